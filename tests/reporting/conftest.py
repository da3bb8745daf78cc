import warnings

import pytest
from cases import Risk, make_cohort, split

from sklearn_ehr import report


@pytest.fixture(scope="session")
def data():
    """Development and test cohort with their outcomes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = make_cohort()
    y = X.samples["outcome"]
    train, test = split(X)
    return X[train], y.iloc[train], X[test], y.iloc[test]


@pytest.fixture(scope="session")
def model(data):
    return Risk(1.4, 0.2).fit(data[0], data[1])


@pytest.fixture(scope="session")
def other(data):
    return Risk(0.8, -0.1, decimals=2).fit(data[0], data[1])


GROUPS = ["sex", "age", "site", "smoker", "odd <b>&'\" name"]


@pytest.fixture(scope="session")
def made(data, model, other):
    """A report with all its parts."""
    return report(
        model,
        *data,
        groups=GROUPS,
        comparison=other,
        thresholds=[0.1, 0.3, 0.5],
        n_bootstrap=30,
        random_state=5,
    )
