import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, EarlyStopping

from sklearn_ehr import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

TINY = {
    "embedding_dim": 8,
    "hidden_dim": 8,
    "max_epochs": 3,
    "random_state": 0,
    "device": "cpu",
}


def codes(n_samples, seed, largest=6):
    return np.random.default_rng(seed).integers(2, largest, (n_samples, 3, 2))


X, X_VAL = codes(60, 0), codes(24, 1)
Y, Y_VAL = X[:, 2, 0] % 2, X_VAL[:, 2, 0] % 2


class KeepData(Callback):
    """Keeps on the class what was trained and validated on."""

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        type(self).train, type(self).valid = dataset_train, dataset_valid


def tokens(data):
    return sorted(map(tuple, data.sequences.to_padded().codes.reshape(len(data), -1)))


def survival(y, seed):
    time = np.random.default_rng(seed).uniform(1, 9, len(y))
    return np.rec.fromarrays([y == 1, time], names="event,time")


def tags(codes):
    return [list(sample[:, 0] % 2) for sample in codes]


TASKS = {
    "classes": (LSTMVisitClassifier, Y, Y_VAL),
    "labels": (LSTMVisitClassifier, np.stack([Y, 1 - Y], 1), np.stack([Y_VAL, 1 - Y_VAL], 1)),
    "numbers": (LSTMVisitRegressor, Y + 0.5, Y_VAL + 0.5),
    "times": (LSTMVisitSurvival, survival(Y, 0), survival(Y_VAL, 1)),
    "visits": (LSTMVisitTagger, tags(X), tags(X_VAL)),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_sample_is_trained_on_and_the_given_ones_validate(task):
    Estimator, y, y_val = TASKS[task]
    model = Estimator(**TINY, callbacks=[KeepData()]).fit(X, y, X_val=X_VAL, y_val=y_val)
    assert tokens(KeepData.train) == sorted(map(tuple, X.reshape(60, -1)))
    assert tokens(KeepData.valid) == sorted(map(tuple, X_VAL.reshape(24, -1)))
    assert model.history_["valid_loss"].notna().all()


def test_given_validation_decides_the_epoch():
    """With labels exchanged the loss rises from the first epochs on."""
    model = LSTMVisitClassifier(**TINY | {"max_epochs": 20, "lr": 0.02})
    right = model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL).history_["valid_loss"]
    wrong = model.fit(X, Y, X_val=X_VAL, y_val=1 - Y_VAL).history_["valid_loss"]
    assert len(wrong) < len(right) == 20
    assert wrong.min() > right.min()


@pytest.mark.usefixtures("without_bias_fit")
def test_validation_loss_is_that_of_the_given_set():
    model = LSTMVisitClassifier(**TINY | {"max_epochs": 1}).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    p = model.predict_proba(X_VAL)[np.arange(len(Y_VAL)), Y_VAL]
    assert model.history_["valid_loss"][0] == pytest.approx(-np.log(p).mean(), rel=1e-5)


def test_scoring_is_on_the_given_set():
    model = LSTMVisitClassifier(**TINY | {"max_epochs": 1}, scoring="roc_auc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    score = roc_auc_score(Y_VAL, model.predict_proba(X_VAL)[:, 1])
    assert model.history_["valid_score"][0] == pytest.approx(score)


def test_there_is_no_refit_after_a_given_validation():
    """Which would be for a validation set that was split off."""
    model = LSTMVisitClassifier(**TINY, refit=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.history_["stage"].unique().tolist() == ["fit"]


def test_codes_that_only_the_validation_has_are_unknown():
    larger = np.where(X_VAL == 5, 1000, X_VAL)
    unknown = np.where(X_VAL == 5, 1, X_VAL)
    one, other = (
        LSTMVisitClassifier(**TINY).fit(X, Y, X_val=given, y_val=Y_VAL)
        for given in (larger, unknown)
    )
    np.testing.assert_array_equal(one.history_["valid_loss"], other.history_["valid_loss"])


@pytest.mark.parametrize(
    ("params", "given", "message"),
    [
        ({}, {"X_val": X_VAL}, "y_val is None"),
        ({}, {"y_val": Y_VAL}, "X_val is None"),
        ({"early_stopping": False}, {"X_val": X_VAL, "y_val": Y_VAL}, "early_stopping=True"),
        ({}, {"X_val": X_VAL, "y_val": Y_VAL[1:]}, "inconsistent numbers of samples"),
        ({}, {"X_val": X_VAL, "y_val": Y_VAL + 1}, r"y_val has \d+ label\(s\) that are not in y"),
        ({}, {"X_val": X_VAL, "y_val": np.stack([Y_VAL] * 2, 1)}, "y_val has shape"),
    ],
)
def test_validation_set_that_does_not_fit_raises(params, given, message):
    model = LSTMVisitClassifier(**TINY | params)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, **given)
    assert not hasattr(model, "net_")


def test_validation_set_of_another_vocabulary_raises():
    cohort, y = make_visits(120, random_state=0)
    one = VisitSequenceTransformer(min_frequency=2).fit_transform(cohort)
    other = VisitSequenceTransformer(min_frequency=60).fit_transform(cohort)
    with pytest.raises(ValueError, match="X_val has another vocabulary"):
        LSTMVisitClassifier(**TINY).fit(one, y, X_val=other, y_val=y)


def test_numbers_of_other_outcomes_raise():
    two = np.stack([Y_VAL, Y_VAL], axis=1)
    with pytest.raises(ValueError, match=r"y_val has shape \(24, 2\)"):
        LSTMVisitRegressor(**TINY).fit(X, Y, X_val=X_VAL, y_val=two)


def test_patients_on_both_sides_are_told():
    one, other = VisitSequences.from_padded(X), VisitSequences.from_padded(X_VAL)
    one.groups, other.groups = np.arange(60), np.arange(40, 64)
    with pytest.warns(UserWarning, match=r"X_val and X share 20 patient\(s\)") as record:
        LSTMVisitClassifier(**TINY).fit(one, Y, X_val=other, y_val=Y_VAL)
    assert any(warning.filename == __file__ for warning in record)


def test_validation_set_that_is_not_transformed_is_named():
    cohort, y = make_visits(160, random_state=0)
    sequences = VisitSequenceTransformer(min_frequency=2).fit_transform(cohort)
    with pytest.raises(TypeError, match=r"X_val must be .* got Cohort\. Transform it as X"):
        LSTMVisitClassifier(**TINY).fit(sequences, y, X_val=cohort, y_val=y)


def test_pipeline_transforms_the_validation_set():
    cohort, y = make_visits(160, random_state=0)
    with config_context(enable_metadata_routing=True):
        network = LSTMVisitClassifier(**TINY).set_fit_request(X_val=True, y_val=True)
        model = make_pipeline(
            VisitSequenceTransformer(min_frequency=2), network, transform_input=["X_val"]
        )
        model.fit(cohort[:120], y[:120], X_val=cohort[120:], y_val=y[120:])
    assert model[-1].history_["valid_loss"].notna().all()


def test_callbacks_may_monitor_a_given_validation_set():
    """Although refit is on by default: after a given set there is none."""
    stop = EarlyStopping(patience=2, sink=lambda _: None)
    model = LSTMVisitClassifier(**TINY, callbacks=[stop])
    assert model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL).history_["stage"].unique() == ["fit"]
    with pytest.raises(ValueError, match="there is no validation set"):
        clone(model).set_params(early_stopping=False).fit(X, Y)


def test_balanced_weights_of_training_weigh_validation():
    y = (np.arange(60) < 15).astype(int)
    y_val = (np.arange(24) < 12).astype(int)
    balanced, given = (
        LSTMVisitClassifier(**TINY, class_weight=class_weight).fit(X, y, X_val=X_VAL, y_val=y_val)
        for class_weight in ("balanced", {0: 60 / 90, 1: 60 / 30})
    )
    np.testing.assert_allclose(balanced.history_["valid_loss"], given.history_["valid_loss"])


def test_errors_about_the_validation_set_say_so():
    with pytest.raises(ValueError, match=r"X_val and y_val cannot be used .* null label"):
        LSTMVisitClassifier(**TINY).fit(X, Y, X_val=X_VAL, y_val=[None] * len(Y_VAL))


def test_patients_of_another_type_are_other_patients():
    one, other = VisitSequences.from_padded(X), VisitSequences.from_padded(X_VAL)
    one.groups, other.groups = np.arange(60), np.arange(24).astype(str)
    LSTMVisitClassifier(**TINY).fit(one, Y, X_val=other, y_val=Y_VAL)


def test_events_that_training_does_not_have_are_told():
    pytest.importorskip("sksurv")
    y_val = np.rec.fromarrays([1 + Y_VAL, np.arange(1.0, 25)], names="event,time")
    with pytest.warns(UserWarning, match="not among the event_types_ of fit"):
        LSTMVisitSurvival(**TINY).fit(X, survival(Y, 0), X_val=X_VAL, y_val=y_val)
