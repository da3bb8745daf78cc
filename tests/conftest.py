import os

# One thread of BLAS and of torch per process: tests are small, and run in parallel. This must come
# before numpy and torch are imported; values that are already set are kept.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402

# docs/ has a conftest of its own, and two modules of a name are not collected.
collect_ignore = ["conftest.py"]

# Markers of tests that are skipped without an option of the same name.
NEEDS = {
    "engines": "Spark, Dask and ibis",
    "tools": "Optuna, MLflow, SHAP and scikit-survival",
}


def pytest_addoption(parser):
    parser.addoption("--aces", metavar="PATH", help="command aces-cli, of another environment")
    for marker in NEEDS:
        parser.addoption(f"--{marker}", action="store_true", help=f"run the tests marked {marker}")


def pytest_collection_modifyitems(config, items):
    for marker, needed in NEEDS.items():
        if config.getoption(f"--{marker}"):
            continue
        skip = pytest.mark.skip(reason=f"needs {needed}: make test-{marker} runs it")
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.fixture
def few_epochs(monkeypatch):
    """Let networks train for two epochs by default, where a test asks only whether code runs."""
    import sklearn_ehr

    for name in sklearn_ehr.__all__:
        if name.startswith("LSTM"):
            defaults = getattr(sklearn_ehr, name).__init__.__kwdefaults__
            monkeypatch.setitem(defaults, "max_epochs", 2)


@pytest.fixture
def without_bias_fit(monkeypatch):
    """Leave networks as they are after their epochs, where a test asks what these did."""
    from sklearn_ehr.estimators import _base

    monkeypatch.setattr(_base, "fit_bias", lambda net, dataset: None)
