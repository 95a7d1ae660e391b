# make test PKG=store   the tests of one package, in this process
PKG ?=

.PHONY: serve test test-fast test-long lint format

serve:
	python app.py

test:
	pytest $(if $(PKG),tests/$(PKG),-n auto --dist loadfile --no-loadscope-reorder)

test-long:
	HEARTMULA_LONG_TESTS=1 $(MAKE) test

test-fast:
	pytest -m "not slow" -n auto --dist loadfile

lint:
	ruff check .
	ruff format --check .
	hadolint Dockerfile
	mypy

format:
	ruff check --fix .
	ruff format .
