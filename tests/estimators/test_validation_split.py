import warnings

import numpy as np
import pytest
from skorch.callbacks import Callback

from sklearn_ehr import LSTMVisitClassifier, VisitSequences

TINY = {
    "embedding_dim": 8,
    "hidden_dim": 8,
    "max_epochs": 2,
    "refit": False,
    "random_state": 0,
    "device": "cpu",
}


class DatasetSpy(Callback):
    """Notes what the last fit trained and validated on; on the class, as callbacks are cloned."""

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        type(self).train, type(self).valid = dataset_train, dataset_valid


def tiny(**params):
    return LSTMVisitClassifier(**(TINY | params))


def numbered(n_samples, patients=None):
    """Samples of one visit, whose first token tells which sample it is."""
    codes = np.arange(2, n_samples + 2).reshape(-1, 1, 1)
    sequences = VisitSequences.from_padded(codes)
    sequences.groups = patients
    return sequences


def split_of_fit(X, y, sample_weight=None, **params):
    """Positions of the samples that a fit trained on and validated on."""
    tiny(callbacks=[DatasetSpy()], **params).fit(X, y, sample_weight=sample_weight)
    sides = DatasetSpy.train, DatasetSpy.valid
    return [None if side is None else side.sequences.tokens - 2 for side in sides]


def alternating(n_samples):
    return np.arange(n_samples) % 2


def test_each_sample_is_on_one_side_with_its_own_label():
    y = alternating(40)
    train, valid = split_of_fit(numbered(40), y)
    assert sorted([*train, *valid]) == list(range(40))
    np.testing.assert_array_equal(DatasetSpy.train.target, y[train])
    np.testing.assert_array_equal(DatasetSpy.valid.target, y[valid])


@pytest.mark.parametrize("seed", range(4))
def test_patient_is_on_one_side(seed):
    patients = np.random.default_rng(seed).integers(0, 12, 60)
    train, valid = split_of_fit(
        numbered(60, patients), alternating(60), validation_fraction=0.3, random_state=seed
    )
    assert len(valid)
    assert not set(patients[train]) & set(patients[valid])


def test_patients_may_be_strings():
    patients = np.array([f"patient-{i % 20}" for i in range(60)], dtype=object)
    train, valid = split_of_fit(numbered(60, patients), alternating(60))
    assert len(set(patients[valid])) == 2
    assert not set(patients[train]) & set(patients[valid])


def test_without_groups_each_sample_is_a_patient():
    codes = np.arange(2, 42).reshape(-1, 1, 1)
    train, valid = split_of_fit(codes, alternating(40))
    assert (len(train), len(valid)) == (36, 4)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_validation_fraction_is_the_share_of_patients(fraction):
    patients = np.repeat(np.arange(40), 2)
    _, valid = split_of_fit(
        numbered(80, patients), np.repeat(alternating(40), 2), validation_fraction=fraction
    )
    assert len(set(patients[valid])) == 40 * fraction


@pytest.mark.parametrize("seed", range(3))
def test_split_is_stratified(seed):
    y = np.repeat([0, 1], [80, 20])
    _, valid = split_of_fit(numbered(100), y, validation_fraction=0.2, random_state=seed)
    assert np.bincount(y[valid]).tolist() == [16, 4]


@pytest.mark.parametrize("seed", range(3))
def test_split_is_stratified_by_patient_for_several_classes(seed):
    y, patients = np.repeat([0, 1, 2], [120, 60, 20]), np.repeat(np.arange(100), 2)
    _, valid = split_of_fit(numbered(200, patients), y, validation_fraction=0.2, random_state=seed)
    assert np.bincount(y[valid]).tolist() == [24, 12, 4]


def test_split_depends_on_the_seed_alone():
    X, y = numbered(40), alternating(40)
    first, again = (split_of_fit(X, y, random_state=0)[1] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(split_of_fit(X, y, random_state=1)[1])


@pytest.mark.parametrize(
    ("patients", "y"),
    [
        pytest.param([7] * 6, [0, 1] * 3, id="one patient with two classes"),
        pytest.param([1, 1, 1, 2, 2, 2], [0, 0, 0, 1, 1, 1], id="one patient a class"),
        pytest.param([1, 2], [0, 1], id="two samples"),
    ],
)
def test_where_no_split_can_be_made_it_warns_and_trains_on_everything(patients, y):
    X = numbered(len(y), np.array(patients))
    with pytest.warns(UserWarning, match="no validation split") as record:
        train, valid = split_of_fit(X, y, validation_fraction=0.4)
    assert sorted(train) == list(range(len(y)))
    assert valid is None
    assert f"all {len(y)} samples" in str(record[0].message)


def test_warning_points_at_the_caller():
    with pytest.warns(UserWarning, match="no validation split") as record:
        tiny().fit(numbered(2), [0, 1])
    assert record[0].filename == __file__


@pytest.mark.parametrize("seed", range(8))
def test_training_never_lacks_a_class(seed):
    patients, y = np.arange(6), np.array([0, 0, 0, 0, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train, _ = split_of_fit(
            numbered(6, patients), y, validation_fraction=0.5, random_state=seed
        )
    assert set(y[train]) == {0, 1}


def test_without_early_stopping_everything_is_trained_on_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "LSTMVisitClassifier has 6 samples")
        train, valid = split_of_fit(numbered(6, np.full(6, 7)), [0, 1] * 3, early_stopping=False)
    assert sorted(train) == list(range(6))
    assert valid is None


def test_samples_of_weight_zero_are_on_neither_side():
    weight = np.tile([1.0, 1.0, 0.0, 0.0], 20)
    train, valid = split_of_fit(numbered(80), alternating(80), weight, validation_fraction=0.25)
    assert (len(train), len(valid)) == (30, 10)
    assert weight[[*train, *valid]].all()


def test_partial_fit_sets_nobody_apart():
    tiny(callbacks=[DatasetSpy()]).partial_fit(numbered(20), alternating(20), classes=[0, 1])
    assert len(DatasetSpy.train) == 20
    assert DatasetSpy.valid is None


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_net_lets_go_of_the_validation_data(method):
    model = tiny().fit(numbered(40), alternating(40))
    if method == "partial_fit":
        model.partial_fit(numbered(40), alternating(40))
    assert model.net_.train_split is None
    assert "early_stopping" not in dict(model.net_.callbacks_)
    assert all(not epoch["batches"] for epoch in model.net_.history)
