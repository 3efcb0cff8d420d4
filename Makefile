# make demo: everything from nothing. make test, make check: for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= not gpu and not faults
ARGS ?=

.PHONY: demo test check lint faults soak clean

demo: $(VENV)/.installed
	$(BIN)/nas demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "$(TESTS)" $(ARGS)

check: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu" -x

lint: $(VENV)/.dev
	$(BIN)/ruff check nas tests benchmarks
	$(BIN)/ruff format --check nas tests benchmarks
	$(BIN)/mypy

# Every fault of docs/reliability.md, 20 times each, and 10,000 examples of hostile input for every reader: 70 minutes.
faults: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not gpu" tests/faults tests/workflows/test_profile_faults.py

# Does a long job keep its size? `make soak MINUTES=10` is a shorter look.
MINUTES ?= 120
soak: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak.py --minutes $(MINUTES)

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
