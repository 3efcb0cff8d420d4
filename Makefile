# make demo: everything from nothing. make test, make check: for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= not gpu

.PHONY: demo test check lint slow clean

demo: $(VENV)/.installed
	$(BIN)/nas demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "$(TESTS)"

check: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu" -x

lint: $(VENV)/.dev
	$(BIN)/ruff check nas tests benchmarks
	$(BIN)/ruff format --check nas tests benchmarks
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
