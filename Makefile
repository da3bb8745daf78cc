# make demo   sets up an environment and prints the comparison of examples/plot_quickstart.py
# make test   sets up an environment and runs every test
# make lint   checks style

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: demo test lint

demo: $(READY)
	cd examples && $(abspath $(BIN))/python plot_quickstart.py

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@
