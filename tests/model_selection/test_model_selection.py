"""Splits keep a patient on one side, the inner ones of meta-estimators too."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    StratifiedGroupKFold,
    TunedThresholdClassifierCV,
    cross_val_score,
)
from sklearn.utils.fixes import parse_version

from sklearn_ehr import (
    Cohort,
    PatientKFold,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    VisitSequences,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.model_selection import split_off_patients


class ShuffledStratifiedGroupKFold:
    """The shuffle of `StratifiedGroupKFold`, which loses the stratification before 1.8."""

    def __init__(self, n_splits, random_state):
        self.n_splits, self.random_state = n_splits, random_state

    def split(self, X, y, groups):
        shuffled = np.random.RandomState(self.random_state).permutation(np.unique(groups))
        number = {group: i for i, group in enumerate(shuffled)}
        folds = StratifiedGroupKFold(self.n_splits)
        return folds.split(X, y, [number[group] for group in groups])


PAIRS = [
    (PatientKFold(4), GroupKFold(4)),
    (PatientKFold(3, shuffle=True, random_state=1), GroupKFold(3, shuffle=True, random_state=1)),
    (StratifiedPatientKFold(3), StratifiedGroupKFold(3)),
    (
        StratifiedPatientKFold(4, shuffle=True, random_state=2),
        StratifiedGroupKFold(4, shuffle=True, random_state=2)
        if parse_version(sklearn.__version__) >= parse_version("1.8")
        else ShuffledStratifiedGroupKFold(4, random_state=2),
    ),
    (PatientShuffleSplit(random_state=3), GroupShuffleSplit(random_state=3)),
    (
        PatientShuffleSplit(2, test_size=0.4, train_size=5, random_state=4),
        GroupShuffleSplit(2, test_size=0.4, train_size=5, random_state=4),
    ),
]
SPLITTERS = [pair[0] for pair in PAIRS]


def make_cohort(n_patients=24, n_samples=120, seed=0):
    """Several samples a patient, in mixed order, with text ids."""
    rng = np.random.default_rng(seed)
    patients = np.array([f"p{i}" for i in range(n_patients)])
    events = pd.DataFrame({"patient_id": patients, "time": 0, "code": "A"})
    chosen = np.append(patients, rng.choice(patients, n_samples - n_patients))
    samples = pd.DataFrame({"patient_id": rng.permutation(chosen), "prediction_time": 1})
    return Cohort(events, samples), rng.permutation(np.arange(n_samples) % 2)


def sequences_of(groups):
    offsets = np.arange(len(groups) + 1)
    return VisitSequences(np.full(len(groups), 2), offsets, offsets, groups=groups)


def as_lists(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


@pytest.mark.parametrize(("splitter", "reference"), PAIRS)
def test_folds_are_those_of_scikit_learn_with_groups(splitter, reference):
    cohort, y = make_cohort()
    expected = as_lists(reference.split(np.zeros(len(y)), y, groups=cohort.groups))
    assert as_lists(splitter.split(cohort, y)) == expected
    assert as_lists(splitter.split(sequences_of(cohort.groups), y)) == expected
    assert as_lists(splitter.split(np.zeros(len(y)), y, cohort.groups)) == expected
    assert splitter.get_n_splits(cohort, y) == len(expected)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_no_patient_is_on_two_sides(splitter):
    cohort, y = make_cohort()
    for train, test in splitter.split(cohort, y):
        assert len(train)
        assert len(test)
        assert not set(cohort.groups[train]) & set(cohort.groups[test])


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_groups_that_are_passed_go_before_those_of_the_cohort(splitter):
    cohort, y = make_cohort()
    groups = np.arange(len(y)) // 10
    expected = as_lists(splitter.split(np.zeros(len(y)), y, groups))
    assert as_lists(splitter.split(cohort, y, groups)) == expected


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("X", [np.zeros((9, 2)), VisitSequences.from_padded([[[2]]] * 9)])
def test_without_groups_the_error_says_what_to_do(splitter, X):
    name = type(splitter).__name__
    with pytest.raises(ValueError, match=rf"{name} needs the patient.*{type(X).__name__}.*groups="):
        next(splitter.split(X, np.arange(9) % 2))


@pytest.mark.parametrize("splitter", [PatientKFold(4), StratifiedPatientKFold(4)])
def test_more_folds_than_patients_is_an_error(splitter):
    cohort, y = make_cohort(3, 12)
    with pytest.raises(ValueError, match=r"n_splits=4 .* number of groups: 3"):
        next(splitter.split(cohort, y))


def test_stratified_folds_have_about_equal_shares():
    cohort, _ = make_cohort(40, 40)
    y = np.arange(40) % 4 == 0
    for _, test in StratifiedPatientKFold(5).split(cohort, y):
        assert y[test].sum() == 2


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_splitters_repeat_and_survive_cloning(splitter):
    cohort, y = make_cohort()
    first = as_lists(splitter.split(cohort, y))
    assert as_lists(splitter.split(cohort, y)) == first
    search = clone(GridSearchCV(LogisticRegression(), {}, cv=splitter))
    assert type(search.cv) is type(splitter)
    assert as_lists(search.cv.split(cohort, y)) == first


def test_repr_shows_the_parameters():
    assert repr(PatientKFold(4)) == "PatientKFold(n_splits=4, random_state=None, shuffle=False)"
    assert repr(StratifiedPatientKFold(shuffle=True, random_state=0)) == (
        "StratifiedPatientKFold(n_splits=5, random_state=0, shuffle=True)"
    )
    assert " ".join(repr(PatientShuffleSplit(2, test_size=0.3)).split()) == (
        "PatientShuffleSplit(n_splits=2, random_state=None, test_size=0.3, train_size=None)"
    )


def test_random_states_draw_different_splits():
    cohort, y = make_cohort()
    splits = {
        str(as_lists(PatientShuffleSplit(1, random_state=seed).split(cohort, y)))
        for seed in range(5)
    }
    assert len(splits) == 5


class Recorder(ClassifierMixin, BaseEstimator):
    """Predict by chance, and record which patients were fitted and predicted together."""

    pairs = []

    def __init__(self, bias=0.0):
        self.bias = bias

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.fitted_ = frozenset(X.groups)
        return self

    def predict_proba(self, X):
        Recorder.pairs.append((self.fitted_, frozenset(X.groups)))
        p = np.random.default_rng(0).uniform(0.1, 0.9, len(X)) + self.bias
        return np.stack([1 - p, p], axis=1)

    def predict(self, X):
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]


def halving(Search, cv):
    options = {"min_resources": 40, "return_train_score": False, "random_state": 0}
    return Search(Recorder(), {"bias": [-0.1, -0.05, 0.0, 0.1]}, cv=cv, **options)


META_ESTIMATORS = {
    "calibration": lambda cv: CalibratedClassifierCV(Recorder(), cv=cv),
    "calibration of one": lambda cv: CalibratedClassifierCV(Recorder(), cv=cv, ensemble=False),
    "stacking": lambda cv: StackingClassifier([("a", Recorder()), ("b", Recorder(0.1))], cv=cv),
    "threshold": lambda cv: TunedThresholdClassifierCV(Recorder(), cv=cv),
    "grid": lambda cv: GridSearchCV(Recorder(), {"bias": [0.0, 0.1]}, cv=cv),
    "halving grid": lambda cv: halving(HalvingGridSearchCV, cv),
    "halving random": lambda cv: halving(HalvingRandomSearchCV, cv),
    "grid of calibration": lambda cv: GridSearchCV(
        CalibratedClassifierCV(Recorder(), cv=cv), {"estimator__bias": [0.0, 0.1]}, cv=cv
    ),
}


def recorded(model, outer):
    """Patients fitted and predicted together in every inner and outer split."""
    cohort, y = make_cohort(40, 240)
    Recorder.pairs.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # scikit-learn 1.6.0 routes no None.
        cross_val_score(model, cohort, y, cv=outer, params={})
    return list(Recorder.pairs)


@pytest.mark.parametrize("name", META_ESTIMATORS)
@pytest.mark.parametrize(
    "splitter", [PatientKFold(3), StratifiedPatientKFold(3, shuffle=True, random_state=0)]
)
def test_no_patient_crosses_an_inner_split(name, splitter):
    assert_patients_kept_apart(name, splitter)


@pytest.mark.parametrize("name", ["calibration", "threshold", "grid", "halving grid"])
def test_no_patient_crosses_an_inner_random_split(name):
    assert_patients_kept_apart(name, PatientShuffleSplit(2, test_size=0.3, random_state=0))


def assert_patients_kept_apart(name, splitter):
    pairs = recorded(META_ESTIMATORS[name](splitter), PatientKFold(2))
    assert len(pairs) >= 2 * (1 + splitter.get_n_splits())
    assert not [pair for pair in pairs if pair[0] & pair[1]]


@pytest.mark.parametrize("name", META_ESTIMATORS)
def test_patients_would_cross_the_inner_splits_of_scikit_learn(name):
    cv = KFold(3, shuffle=True, random_state=0)
    pairs = recorded(META_ESTIMATORS[name](cv), PatientKFold(2))
    assert [pair for pair in pairs if pair[0] & pair[1]]


def test_patients_are_read_under_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        for name in ("grid", "calibration", "threshold", "stacking"):
            pairs = recorded(META_ESTIMATORS[name](PatientKFold(3)), PatientKFold(2))
            assert not [pair for pair in pairs if pair[0] & pair[1]]


def test_stratified_folds_without_y_raise():
    cohort, _ = make_cohort()
    with pytest.raises(ValueError, match=r"StratifiedPatientKFold needs y.*PatientKFold"):
        next(StratifiedPatientKFold(3).split(cohort))


@pytest.mark.parametrize("shuffle", [False, True])
def test_many_patients_are_split_as_evenly_as_few(shuffle):
    rng = np.random.default_rng(0)
    patients = np.repeat(rng.permutation(5_000), rng.geometric(0.7, 5_000))
    y = (rng.random(len(patients)) < 0.1).astype(int)
    cv = StratifiedPatientKFold(5, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = [test for _, test in cv.split(np.zeros(len(y)), y, patients)]
    assert sorted(np.concatenate(folds)) == list(range(len(y)))
    for test in folds:
        assert not set(patients[test]) & set(np.delete(patients, test))
        assert len(test) == pytest.approx(len(y) / 5, rel=0.01)
        assert y[test].mean() == pytest.approx(y.mean(), rel=0.01)
    again = [test for _, test in cv.split(np.zeros(len(y)), y, patients)]
    for one, other in zip(folds, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_seed_decides_which_of_many_patients_share_a_fold():
    patients, y = np.arange(5_000), np.arange(5_000) % 2

    def first_fold(**parameters):
        return set(next(StratifiedPatientKFold(2, **parameters).split(patients, y, patients))[1])

    one, other = (first_fold(shuffle=True, random_state=seed) for seed in (0, 1))
    assert 0.4 < len(one & other) / len(one) < 0.6


def split_off(y, groups, fraction=0.25, random_state=0):
    return split_off_patients(np.asarray(y), np.asarray(groups), fraction, random_state)


def test_split_off_keeps_patients_on_one_side_and_every_sample():
    cohort, y = make_cohort()
    kept, apart = split_off(y, cohort.groups)
    assert sorted([*kept, *apart]) == list(range(len(y)))
    assert not set(cohort.groups[kept]) & set(cohort.groups[apart])
    assert len(set(cohort.groups[apart])) == 6


def test_split_off_is_stratified_by_the_rarest_outcome_of_a_patient():
    # Patients 0 to 7 have the rare outcome in one of two samples; 8 to 39 never have it.
    groups = np.repeat(np.arange(40), 2)
    y = ((groups < 8) & (np.arange(80) % 2 == 0)).astype(int)
    for seed in range(10):
        _, apart = split_off(y, groups, random_state=seed)
        assert y[apart].sum() == 2
        assert len(set(groups[apart])) == 10
        _, apart = split_off(1 - y, groups, random_state=seed)
        assert (1 - y[apart]).sum() == 18


def test_split_off_ranks_three_outcomes_by_how_rare_they_are():
    # Every patient has outcome 0; half of them 2, of those half 1, which is the rarest.
    groups = np.repeat(np.arange(16), 4)
    y = np.zeros((16, 4), dtype=int)
    y[:8, 1:3] = 2
    y[:4, 3] = 1
    for seed in range(10):
        _, apart = split_off(y.ravel(), groups, random_state=seed)
        assert np.bincount(y.ravel()[apart]).tolist() == [11, 1, 4]


@pytest.mark.parametrize("seed", range(5))
def test_split_off_leaves_the_only_patient_of_an_outcome_in_training(seed):
    y = np.repeat([0, 1, 2], [90, 9, 1])
    kept, apart = split_off(y, np.arange(100), fraction=0.3, random_state=seed)
    assert np.bincount(y[apart], minlength=3).tolist() == [27, 3, 0]
    assert len(kept) == 70


def test_split_off_without_strata_where_there_are_more_outcomes_than_patients_to_take():
    y = np.repeat(np.arange(10), 2)
    kept, apart = split_off(y, np.arange(20), fraction=0.1)
    assert len(apart) == 2
    assert len(kept) == 18


def test_split_off_follows_the_random_state():
    cohort, y = make_cohort()
    first, again, other = (split_off(y, cohort.groups, random_state=s)[1] for s in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_split_off_the_only_patient_is_an_error():
    with pytest.raises(ValueError, match="n_samples=0"):
        split_off([0, 1, 0], ["Ann"] * 3)


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0, 1, 40),
        np.eye(40, 3, dtype=int),
        np.rec.fromarrays([[True] * 40, np.arange(40.0)]),
        np.array([np.zeros(2 + i % 2) for i in range(40)], dtype=object),
    ],
    ids=["numbers", "several labels", "times to events", "labels of visits"],
)
def test_stratified_folds_of_what_is_no_class_raise(y):
    X, _ = make_visits(40, random_state=0)
    with pytest.raises(ValueError, match=r"needs one class per sample.*PatientKFold"):
        next(StratifiedPatientKFold(3).split(X, y))
