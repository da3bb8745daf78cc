# make demo   sets up an environment and prints the comparison of examples/plot_quickstart.py
# make test   sets up an environment and runs every test, as many at once as there are cores;
#             make test JOBS=1 runs one after the other
# make lint   checks style
# make bench-train, bench-transform, bench-cohort, bench-model-selection, bench-bucketing,
# make bench-quality, bench-signals, bench-nafld, bench-saving
#             print ratios measured side by side; on a machine that does nothing else

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

# Tests run in JOBS processes ("auto": one per core), each with one thread (tests/conftest.py).
JOBS ?= auto

BENCHMARKS = train transform cohort model-selection bucketing quality signals nafld saving

.PHONY: demo test lint $(BENCHMARKS:%=bench-%)

demo: $(READY)
	cd examples && $(abspath $(BIN))/python plot_quickstart.py

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(BENCHMARKS:%=bench-%): bench-%: $(READY)
	$(BIN)/python benchmarks/$(subst -,_,$*).py

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@
