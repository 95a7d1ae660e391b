# make test PKG=store   the tests of one package, in this process
PKG ?=

.PHONY: serve test test-fast lint format types

serve:
	python app.py

test:
	pytest $(if $(PKG),tests/$(PKG) -n 0)

test-fast:
	pytest -m "not slow"

lint:
	ruff check .
	ruff format --check .

format:
	ruff check --fix .
	ruff format .
