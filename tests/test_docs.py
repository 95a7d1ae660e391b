"""The pages for musicians: their blocks run as they stand, if for few steps; their links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recordings import SONGS
from tests.studio_server import ROOT, Server, shortened

ADDRESS = "http://127.0.0.1:7860"
DOCS = ROOT / "docs"
FOR_PROGRAMMERS = ("architecture.md", "official-files.md")
PAGES = sorted(path.name for path in DOCS.glob("*.md") if path.name not in FOR_PROGRAMMERS)
RUN = {"sh": ("bash", "-euo", "pipefail", "-c"), "python": (sys.executable, "-c")}
NOT_RUN = {
    "console": "looked through below",
    "text": "no program",
    "nginx": "what e2e/test_behind_a_proxy.py sends its second studio through",
}
INSTALLS = "loads gigabytes from the net; test_packaging.py installs the wheel beside these libraries"
CLUSTER = "services/training/test_ray_cluster.py has a cluster of its own"
REPLICAS = "services/songs/test_replicas.py has replicas on a cluster of its own"
CONSOLE = {
    "uv venv --python 3.12 && uv pip install -r requirements.txt": INSTALLS,
    "uv run --no-project python app.py": "starts what test_app.py starts",
    "python3 -m venv .venv && source .venv/bin/activate": INSTALLS,
    "pip install -r requirements.txt": INSTALLS,
    "python app.py": "starts what test_app.py starts",
    "pip install -r requirements-cpu.txt": INSTALLS,
    "pip install .": INSTALLS,
    "heartmula-studio serve": "run by test_packaging.py",
    "HEARTMULA_TOKEN=a-secret-of-yours docker compose up studio": "wants Docker's daemon, which no test has",
    "HEARTMULA_TOKEN=a-secret-of-yours docker compose --profile gpu up gpu": "wants Docker's daemon, and a GPU",
    "pip install 'heartmula-studio[ray]'": INSTALLS,
    "mount -t nfs4 -o vers=4.2,actimeo=1,lookupcache=positive storage:/studio /srv/studio": "wants a server of files",
    "ray start --head --port=6379 --num-cpus=0 --disable-usage-stats --include-dashboard=false": CLUSTER,
    "ray start --address=10.0.0.1:6379 --disable-usage-stats": CLUSTER,
    "HEARTMULA_EXECUTOR=ray HEARTMULA_RAY_ADDRESS=10.0.0.1:6379 HEARTMULA_DATA_DIR=/srv/studio "
    "heartmula-studio serve": CLUSTER,
    "pip install 'heartmula-studio[serve]'": INSTALLS,
    "HEARTMULA_SONG_REPLICAS=4 HEARTMULA_RAY_ADDRESS=10.0.0.1:6379 HEARTMULA_DATA_DIR=/srv/studio "
    "heartmula-studio serve": REPLICAS,
    "accelerate launch -m heartmula_studio.finetune RUN": "what it calls is run by finetune/test_launch.py",
    "heartmula-studio train /srv/codes --out RUN --epochs 1": "what it calls is run by finetune/test_catalogue.py",
    "heartmula-studio catalogue /srv/music /srv/codes --workers 8": "what it calls is run by dataset/test_catalogue.py",
    "heartmula-studio catalogue /srv/music /srv/codes --ray 10.0.0.1:6379": CLUSTER,
    "python -m heartmula_studio.services.training.ray_cluster.spread RUN --ray 10.0.0.1:6379 --processes 4": CLUSTER,
    "accelerate launch --num_machines 2 --machine_rank 0 --main_process_ip 10.0.0.1 --main_process_port 29500 "
    "--num_processes 4 -m heartmula_studio.finetune /srv/studio/jobs/ID": "two are run by finetune/test_nodes.py",
}
"""Lines for a person's console, and why they are not run here."""

BY_SHELL = ("first-style.md", "making-songs.md", "preparing-songs.md", "choosing-by-ear.md")
BY_SERVER = ("cookbook.md", "sharing.md")


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of each."""
    return re.findall(r"```(\w*)\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def run(tmp_path, server: Server):
    """run(page): run its blocks of each language as one script, beside short songs; return what it prints."""
    (tmp_path / "songs").symlink_to(SONGS[0].parent)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HEARTMULA_")} | {
        "HEARTMULA_BASE_MODEL": "nano",
        "HEARTMULA_DATA_DIR": str(server.data_dir),
        "HEARTMULA_PREVIEW_SONGS": "0",
        "HEARTMULA_MAX_TRACK_VERSIONS": "1",
        "GRADIO_TEMP_DIR": str(tmp_path / "downloads"),
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }

    def run_page(page: str) -> str:
        printed = ""
        for language, command in RUN.items():
            text = "".join(text for of, text in blocks(page) if of == language)
            if text := shortened(text.replace(ADDRESS, server.url)):
                done = subprocess.run([*command, text], cwd=tmp_path, env=environ, capture_output=True, text=True)
                assert done.returncode == 0, f"{page}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
                printed += done.stdout
        return printed

    return run_page


@pytest.mark.long
def test_the_way_of_a_shell(run, tmp_path):
    printed = {page: run(page) for page in BY_SHELL}
    assert (tmp_path / "mine.wav").read_bytes()[:4] == b"RIFF"
    assert (tmp_path / "at-0.5.wav").read_bytes() != (tmp_path / "at-1.0.wav").read_bytes()
    assert "log-mel distance" in printed["preparing-songs.md"]


@pytest.mark.long
def test_the_way_of_a_client(run, tmp_path):
    printed = {page: run(page) for page in BY_SERVER}
    assert "completed" in printed["cookbook.md"]
    assert (tmp_path / "with.wav").read_bytes() != (tmp_path / "without.wav").read_bytes()
    assert '"name":"From a friend"' in printed["sharing.md"]


@pytest.mark.parametrize("page", sorted(set(PAGES) - {*BY_SHELL, *BY_SERVER}))
def test_the_other_pages(run, page):
    run(page)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_of_a_kind_that_is_looked_after(page):
    """What is not run here has a reason; the files that it names are there."""
    assert {language for language, _ in blocks(page)} <= RUN.keys() | NOT_RUN.keys()
    said = [line for language, text in blocks(page) if language == "console" for line in text.splitlines()]
    assert [line for line in said if line not in CONSOLE] == []
    for language, text in blocks(page):
        named = (
            re.findall(r"\b[\w-]+\.(?:py|bat|yaml)\b|requirements[\w-]*\.txt", text) if language == "console" else ()
        )
        assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        target = DOCS / path if path else DOCS / page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
