# syntax=docker/dockerfile:1
# docker build --build-arg TORCH=cpu .     for a machine without a GPU: a third of the size
# docker build .                           for NVIDIA GPUs
FROM python:3.12-slim-bookworm

ARG TORCH=cuda
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# A C compiler for Triton, which builds its kernels on the machine they run on; Debian keeps no older versions to pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 studio \
    && install --directory --owner studio --group studio /data

WORKDIR /opt/studio
# Libraries before the program: they stay in the image's cache while the program changes.
COPY requirements.txt requirements-cpu.txt ./
RUN if [ "$TORCH" = cpu ]; then pip install --requirement requirements-cpu.txt; fi \
    && pip install --requirement requirements.txt
COPY pyproject.toml README.md LICENSE spaces_config.yaml ./
COPY heartmula_studio heartmula_studio
COPY themes themes
RUN pip install --no-deps .

USER 1000:1000
WORKDIR /home/studio
ENV HEARTMULA_DATA_DIR=/data HEARTMULA_HOST=0.0.0.0 HEARTMULA_PORT=7860 HF_HOME=/data/.huggingface
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health', timeout=8)"]
CMD ["heartmula-studio", "serve"]
