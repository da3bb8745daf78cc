import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from skorch.callbacks import EpochScoring

from sklearn_ehr import LSTMVisitRegressor, PatientKFold, VisitSequenceTransformer
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.estimators.targets import NumberScaling

N = 120
RNG = np.random.default_rng(0)
X = RNG.integers(2, 8, (N, 3, 2))
# Days in hospital: a code in the last visit adds two.
DAYS = 3.0 + 2 * (X[:, 2] == 2).any(axis=1) + 0.1 * RNG.standard_normal(N)
COUNT = RNG.poisson(np.where((X[:, 2] == 2).any(axis=1), 6.0, 1.0))


def tiny(**params):
    given = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "random_state": 0}
    return LSTMVisitRegressor(**{**given, "device": "cpu", **params})


def trained(**params):
    given = {"max_epochs": 60, "lr": 0.02, "dropout": 0.3, "weight_decay": 0.0}
    return tiny(**{**given, "early_stopping": False, **params})


def untrained(loss):
    """So small a learning rate leaves the first weights as they are."""
    return tiny(loss=loss, max_epochs=1, lr=1e-20, dropout=0.0, early_stopping=False)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_numbers_are_learnt_in_their_unit(loss):
    model = trained(loss=loss).fit(X, DAYS)
    assert model.predict(X).dtype == np.float64
    assert model.score(X, DAYS) == r2_score(DAYS, model.predict(X)) > 0.9


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize(("factor", "shift"), [(1e6, -3e7), (1e-6, 5.0)])
def test_unit_of_y_changes_nothing_but_the_unit(loss, factor, shift):
    model, other = tiny(loss=loss).fit(X, DAYS), tiny(loss=loss).fit(X, factor * DAYS + shift)
    np.testing.assert_allclose(
        (other.predict(X) - shift) / factor, model.predict(X), rtol=1e-3, atol=1e-4
    )


def test_counts_are_learnt_as_rates():
    model = trained(loss="poisson").fit(X, COUNT)
    rate = model.predict(X)
    assert (rate > 0).all()
    constant = np.full(N, COUNT.mean())
    assert mean_poisson_deviance(COUNT, rate) < 0.5 * mean_poisson_deviance(COUNT, constant)
    # With the right link the mean is right in each group too.
    is_ill = (X[:, 2] == 2).any(axis=1)
    np.testing.assert_allclose(rate[is_ill].mean(), COUNT[is_ill].mean(), rtol=0.15)


@pytest.mark.usefixtures("without_bias_fit")
def test_losses_are_what_their_names_say():
    scaled = (DAYS - DAYS.mean()) / DAYS.std()
    model = untrained("squared_error").fit(X, DAYS)
    wanted = np.mean((DAYS - model.predict(X)) ** 2) / DAYS.var()
    np.testing.assert_allclose(model.history_["train_loss"], wanted, rtol=1e-5)
    model = untrained("absolute_error").fit(X, DAYS)
    wanted = mean_absolute_error(scaled, (model.predict(X) - DAYS.mean()) / DAYS.std())
    np.testing.assert_allclose(model.history_["train_loss"], wanted, rtol=1e-5)


@pytest.mark.usefixtures("without_bias_fit")
def test_poisson_loss_is_the_likelihood():
    model, other = untrained("poisson").fit(X, COUNT), trained(loss="poisson").fit(X, COUNT)
    mean = COUNT.mean()
    for fitted in (model, other):
        rate = fitted.predict(X)
        # Of the count in units of its mean, without what does not depend on the rate.
        negative = np.mean(rate / mean - COUNT / mean * np.log(rate / mean))
        if fitted is model:
            np.testing.assert_allclose(model.history_["train_loss"], negative, rtol=1e-5)
    assert other.history_["train_loss"].iloc[-1] < model.history_["train_loss"].iloc[-1]


def test_several_outcomes_are_learnt_beside_each_other():
    y = np.column_stack([DAYS, 1000 * (X == 3).any(axis=(1, 2))])
    model = trained(max_epochs=120).fit(X, y)
    assert model.predict(X).shape == (N, 2)
    assert r2_score(y, model.predict(X), multioutput="raw_values").min() > 0.8
    np.testing.assert_array_equal(
        trained(max_epochs=120).fit(X, y.tolist()).predict(X), model.predict(X)
    )
    assert get_tags(model).target_tags.multi_output


def test_one_column_is_one_outcome():
    with pytest.warns(UserWarning, match="column-vector"):
        model = tiny().fit(X, pd.DataFrame({"days": DAYS}))
    np.testing.assert_array_equal(model.predict(X), tiny().fit(X, DAYS).predict(X))


def test_constant_outcome_is_predicted():
    model = trained().fit(X, np.full(N, 7.0))
    np.testing.assert_allclose(model.predict(X), 7, atol=0.2)


def test_scaling_counts_by_weight():
    scaling = NumberScaling.of(
        np.array([1.0, 3.0, 9.0]), np.array([1.0, 1.0, 0.0]), "squared_error"
    )
    assert (scaling.center, scaling.scale) == (2.0, 1.0)
    assert scaling.as_target(np.array([4.0])).tolist() == [2.0]
    assert scaling.to_numbers(np.array([[2.0]], dtype=np.float32)).tolist() == [4.0]
    scaling = NumberScaling.of(np.array([[1.0, 0.0], [3.0, 4.0]]), np.ones(2), "poisson")
    assert scaling.scale.tolist() == [2.0, 2.0]
    np.testing.assert_allclose(scaling.to_numbers(np.log([[0.5, 3.0]])), [[1.0, 6.0]])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["long"] * N, "does not convert to float"),
        (np.where(np.arange(N) < 2, np.nan, DAYS), r"2 value\(s\) that are NaN"),
        (np.where(np.arange(N) < 3, np.inf, DAYS), r"3 value\(s\) that are NaN or infinite"),
        ([None] + [1.0] * (N - 1), r"1 value\(s\)"),
        (np.ones((N, 2, 2)), "shape"),
        (3.0, "shape"),
        (DAYS[:-1], "inconsistent"),
        (None, "requires y"),
    ],
)
def test_bad_outcomes_raise(y, message):
    with pytest.raises(ValueError, match=message) as error:
        tiny().fit(X, y)
    assert "long" not in str(error.value)


@pytest.mark.parametrize("y", [COUNT - 1, np.zeros(N), np.column_stack([COUNT, 0 * COUNT])])
def test_poisson_needs_counts(y):
    model = tiny(loss="poisson")
    with pytest.raises(ValueError, match="loss='poisson' needs counts or rates"):
        model.fit(X, y)
    assert not hasattr(model, "net_")


def test_weights_of_zero_raise():
    with pytest.raises(ValueError, match="zero"):
        tiny().fit(X, DAYS, sample_weight=np.zeros(N))


def test_sample_weights_pull():
    is_first = np.arange(N) < N // 2
    y = np.where(is_first, 0.0, 10.0)
    heavy = trained().fit(X, y, sample_weight=np.where(is_first, 1e4, 1.0))
    assert heavy.predict(X).mean() < 1


def test_scoring_callbacks_see_numbers():
    scoring = EpochScoring("r2", lower_is_better=False, on_train=True, name="r2")
    model = trained(callbacks=[scoring]).fit(X, DAYS)
    assert model.history_["r2"].iloc[-1] > 0.8


def test_cross_validation_over_patients():
    X, _ = make_visits(90, random_state=0)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=5), tiny())
    scores = cross_val_score(model, X, X.samples["risk"], cv=PatientKFold(3))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("dtype", ["timedelta64[ns]", "datetime64[s]"])
def test_times_are_no_numbers(dtype):
    with pytest.raises(ValueError, match=r"divid.* by pandas.Timedelta"):
        LSTMVisitRegressor().fit(np.full((3, 1, 1), 2), np.arange(3).astype(dtype))
