import os

# One thread of BLAS and of torch per process: tests are small, and run in parallel. This must come
# before numpy and torch are imported; values that are already set are kept.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--engines", action="store_true", help="run the tests marked engines")
    parser.addoption("--aces", metavar="PATH", help="command aces-cli, of another environment")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--engines"):
        return
    skip = pytest.mark.skip(reason="needs Spark, Dask and ibis: make test-engines runs it")
    for item in items:
        if "engines" in item.keywords:
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
