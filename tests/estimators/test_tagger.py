import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitTagger,
    PatientKFold,
    VisitSequenceTransformer,
    make_next_visit_labels,
    make_visit_labels,
)
from sklearn_ehr.datasets import make_visits

N = 60
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(1, 6, N)


def tiny(**params):
    given = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "random_state": 0}
    return LSTMVisitTagger(**{**given, "device": "cpu", **params})


def trained(**params):
    return tiny(**{"max_epochs": 80, "lr": 0.03, "dropout": 0.0, "early_stopping": False, **params})


def make_codes(lengths=LENGTHS):
    codes = RNG.integers(2, 6, (len(lengths), max(lengths), 2))
    codes[np.arange(max(lengths)) >= np.asarray(lengths)[:, None]] = 0
    return codes


X = make_codes()
# A visit is "ill" once code 2 was seen, in it or before.
SEEN = np.logical_or.accumulate((X == 2).any(axis=2), axis=1)
Y = [np.where(seen, "ill", "well")[:n] for seen, n in zip(SEEN, LENGTHS, strict=True)]


def flat(ragged):
    return np.concatenate(list(ragged))


def test_labels_that_hang_on_the_past_are_learnt():
    model = trained().fit(X, Y)
    predicted = model.predict(X)
    assert model.classes_.tolist() == ["ill", "well"]
    assert [len(labels) for labels in predicted] == LENGTHS.tolist()
    assert model.score(X, Y) == accuracy_score(flat(Y), flat(predicted)) > 0.97


def test_answer_for_a_visit_does_not_know_the_next():
    model = tiny().fit(X, Y)
    changed = X.copy()
    changed[:, 2:][changed[:, 2:] > 0] = 2
    for before, after in zip(model.predict_proba(X), model.predict_proba(changed), strict=True):
        np.testing.assert_allclose(before[:2], after[:2], atol=1e-6)


def test_probabilities_are_one_row_a_visit():
    model = tiny().fit(X, Y)
    proba = model.predict_proba(X)
    assert proba.shape == (N,)
    assert [p.shape for p in proba] == [(n, 2) for n in LENGTHS]
    np.testing.assert_allclose(flat(proba).sum(axis=1), 1)
    np.testing.assert_array_equal(
        flat(model.predict(X)), model.classes_[flat(proba).argmax(axis=1)]
    )


@pytest.mark.usefixtures("without_bias_fit")
def test_loss_is_the_mean_over_labelled_visits():
    # So small a learning rate leaves the first weights as they are.
    model = tiny(max_epochs=1, lr=1e-20, dropout=0.0, early_stopping=False, batch_size=7)
    y = [labels.astype(object) for labels in Y]
    for i in range(0, N, 3):
        y[i][0] = None
    model.fit(X, y)
    is_there = flat(y) != None  # noqa: E711
    proba = flat(model.predict_proba(X))
    wanted = log_loss(flat(Y)[is_there], proba[is_there])
    np.testing.assert_allclose(model.history_["train_loss"], wanted, rtol=1e-5)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_visits_without_label_are_neither_a_class_nor_scored(missing):
    codes = make_codes([4] * 20)
    y = RNG.integers(0, 2, (20, 4)).astype(object)
    with_gaps = y.copy()
    with_gaps[:, 1] = missing
    model = tiny().fit(codes, list(with_gaps))
    assert model.classes_.tolist() == [0, 1]
    right = np.stack(list(model.predict(codes))) == y
    assert model.score(codes, list(with_gaps)) == pytest.approx(right[:, [0, 2, 3]].mean())


def test_last_visit_without_label_teaches_nothing():
    codes = make_codes([4] * 20)
    y = [labels.astype(float) for labels in RNG.integers(0, 2, (20, 4))]
    for labels in y:
        labels[3] = np.nan
    model = tiny(dropout=0.0).fit(codes, y)
    without = tiny(dropout=0.0).fit(codes[:, :3], [labels[:3] for labels in y])
    for got, wanted in zip(
        model.predict_proba(codes), without.predict_proba(codes[:, :3]), strict=True
    ):
        np.testing.assert_allclose(got[:3], wanted, atol=1e-6)
    np.testing.assert_allclose(
        model.history_["train_loss"], without.history_["train_loss"], rtol=1e-6
    )


def test_samples_without_labels_are_left_out():
    y = [labels.astype(object) for labels in Y]
    for labels in y[40:]:
        labels[:] = None
    np.testing.assert_array_equal(
        flat(tiny().fit(X, y).predict_proba(X)), flat(tiny().fit(X[:40], y[:40]).predict_proba(X))
    )


def test_several_classes():
    y = [x[:n].max(axis=1) for x, n in zip(X, LENGTHS, strict=True)]
    model = trained().fit(X, y)
    assert model.classes_.tolist() == np.unique(flat(y)).tolist()
    assert len(model.classes_) > 2
    assert model.score(X, y) > 0.9
    y = [labels.astype(float) for labels in y]
    y[0][0] = np.nan
    assert trained().fit(X, y).score(X, y) > 0.9


def test_several_labels_a_visit():
    both = np.stack([SEEN, (X == 3).any(axis=2)], axis=2).astype(float)
    y = [rows[:n] for rows, n in zip(both, LENGTHS, strict=True)]
    y[0][0] = [np.nan, 1]
    y[1][0] = np.nan
    model = trained().fit(X, y)
    assert model.classes_.tolist() == [0, 1]
    proba, predicted = model.predict_proba(X), model.predict(X)
    assert [p.shape for p in proba[:3]] == [(n, 2) for n in LENGTHS[:3]]
    np.testing.assert_array_equal(flat(predicted), flat(proba) > 0.5)
    known = ~np.isnan(flat(y)).any(axis=1)
    right = (flat(predicted) == flat(y)).all(axis=1)[known]
    assert model.score(X, y) == right.mean() > 0.9


def with_static(**params):
    """Histories of three visits and a static one; the label is the visit's number."""
    events = pd.DataFrame(
        {
            "patient_id": np.repeat(np.arange(20), 4),
            "time": np.tile([np.nan, 1.0, 2.0, 3.0], 20),
            "code": np.tile(["sex", "a", "b", "c"], 20),
        }
    )
    cohort = Cohort(events, null_time="static")
    return VisitSequenceTransformer(min_frequency=1, **params).fit_transform(cohort)


def test_static_visit_has_no_label():
    sequences = with_static()
    y = [np.array([1, 2, 3])] * 20
    model = trained().fit(sequences, y)
    assert [labels.tolist() for labels in model.predict(sequences)] == [[1, 2, 3]] * 20
    assert model.score(sequences, y) == 1
    with pytest.raises(ValueError, match=r"20 of 20 sample\(s\).*each visit but a static one"):
        tiny().fit(sequences, [np.array([0, 1, 2, 3])] * 20)


def test_truncation_keeps_the_labels_of_the_visits_kept():
    sequences = with_static(max_visits=2)
    everything, kept = [np.array([1, 2, 3])] * 20, [np.array([2, 3])] * 20
    model = tiny().fit(sequences, everything)
    assert model.classes_.tolist() == [2, 3]
    again = tiny().fit(sequences, kept)
    np.testing.assert_array_equal(
        flat(model.predict_proba(sequences)), flat(again.predict_proba(sequences))
    )
    assert model.score(sequences, everything) == model.score(sequences, kept)
    for wrong in ([3], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="another number of labels"):
            tiny().fit(sequences, [np.array(wrong)] * 20)


def test_object_arrays_lists_and_series_are_one():
    proba = flat(tiny().fit(X, Y).predict_proba(X))
    ragged = np.empty(N, dtype=object)
    ragged[:] = Y
    for y in (ragged, [labels.tolist() for labels in Y], pd.Series(Y), tuple(Y)):
        np.testing.assert_array_equal(flat(tiny().fit(X, y).predict_proba(X)), proba)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        (Y[:-1], "inconsistent"),
        ([*Y[:-1], Y[-1][:-1]], r"1 of 60 sample\(s\)"),
        (np.arange(N), "an array of labels for each sample"),
        (["ill"] * N, "an array of labels for each sample"),
        ([np.full(n, None) for n in LENGTHS], "no label at all"),
        ([np.ones(n) for n in LENGTHS], "LSTMVisitTagger .*only one class: .*1.0"),
        ([np.linspace(0.1, 0.9, n) for n in LENGTHS], "[Cc]ontinuous"),
        ([np.full((n, 2), 3) for n in LENGTHS], "indicator of 0 and 1"),
        ([np.ones((n, 2, 2)) for n in LENGTHS], "3 levels"),
        ([["ill", np.nan, "well", "ill", "ill"][:n] for n in LENGTHS], "None says missing"),
        ([np.ones(n) if i else np.ones((n, 2)) for i, n in enumerate(LENGTHS)], "an array of"),
    ],
)
def test_bad_labels_raise(y, message):
    model = tiny()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "net_")


def test_tagger_reads_in_one_direction_only():
    assert "bidirectional" not in LSTMVisitTagger().get_params()
    assert not tiny().fit(X, Y).net_.module_.lstm.bidirectional


def test_weights_of_zero_where_labels_are_raise():
    y = [labels.astype(object) for labels in Y]
    for labels in y[1:]:
        labels[:] = None
    y[0] = np.array(["ill", "well"] * 3)[: LENGTHS[0]].astype(object)
    assert LENGTHS[0] > 1
    with pytest.raises(ValueError, match="every labelled visit"):
        tiny().fit(X, y, sample_weight=np.r_[0, np.ones(N - 1)])


def test_class_that_only_samples_without_weight_have_is_none():
    y = [np.zeros(n, dtype=int) for n in LENGTHS]
    y[0][:] = 1
    with pytest.raises(ValueError, match="only one class"):
        tiny().fit(X, y, sample_weight=np.r_[0, np.ones(N - 1)])


def test_score_weighs_samples():
    model = tiny().fit(X, Y)
    weight = np.arange(N, dtype=float)
    wanted = accuracy_score(flat(Y), flat(model.predict(X)), sample_weight=weight.repeat(LENGTHS))
    assert model.score(X, Y, sample_weight=weight) == wanted


@pytest.fixture(scope="module")
def next_visit():
    """Codes that come in turn: a visit tells which code the next one has."""
    rng = np.random.default_rng(0)
    rows = [
        (patient, visit, "abc"[(start + visit) % 3])
        for patient, start in enumerate(rng.integers(0, 3, 60))
        for visit in range(rng.integers(2, 6))
    ]
    cohort = Cohort(pd.DataFrame(rows, columns=["patient_id", "time", "code"]))
    return cohort, make_next_visit_labels(cohort)[0]


def test_next_visit_is_predicted_on_patients_not_seen(next_visit):
    X, y = next_visit
    model = make_pipeline(VisitSequenceTransformer(), trained())
    scores = cross_val_score(model, X, y, cv=PatientKFold(3))
    assert scores.min() > 0.95


def test_cross_val_predict_and_searches_take_ragged_labels(next_visit):
    X, y = next_visit
    model = make_pipeline(VisitSequenceTransformer(max_visits=2), tiny())
    predicted = cross_val_predict(model, X, list(y), cv=PatientKFold(3))
    assert [len(rows) for rows in predicted] == [min(len(rows), 2) for rows in y]
    grid = {"lstmvisittagger__hidden_dim": [4, 8]}
    search = GridSearchCV(model, grid, cv=PatientKFold(3)).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("as_column", [np.float32, object])
def test_a_single_column_of_labels_is_one_label_of_several(as_column):
    y = [(labels == "ill").astype(float)[:, None].astype(as_column) for labels in Y]
    model = trained().fit(X, y)
    assert [p.shape for p in model.predict_proba(X)] == [(n, 1) for n in LENGTHS]
    assert model.score(X, y) > 0.97
    assert model.classes_.tolist() == [0]


def test_labels_of_one_group_or_column_from_the_helpers_are_fitted_and_scored():
    cohort, _ = make_visits(80, random_state=0)
    of_next, _ = make_next_visit_labels(cohort, groups={"C001": "first"})
    visits = cohort.visible_events()[["patient_id", "visit_id"]].drop_duplicates()
    visits["late"] = visits["visit_id"] % 2
    for y in (of_next, make_visit_labels(cohort, visits, label=["late"])):
        model = make_pipeline(VisitSequenceTransformer(), tiny()).fit(cohort, y)
        truth, predicted = flat(y), flat(model.predict(cohort))
        assert truth.shape == predicted.shape == (len(visits), 1)
        known = ~np.isnan(truth)
        assert model.score(cohort, y) == np.mean(truth[known] == predicted[known])


def test_score_needs_a_visit_with_all_of_its_labels():
    y = [np.column_stack([np.zeros(n), np.ones(n)]) for n in LENGTHS]
    model = tiny().fit(X, y)
    for rows in y:
        rows[:, 1] = np.nan
    with pytest.raises(ValueError, match="no visit with all of its labels"):
        model.score(X, y)


def late_events():
    """Of the first visit part becomes known only after the second."""
    table = [(p, 10 * p + v, 5 * v, 5 * v, "a") for p in range(8) for v in (0, 1)]
    table += [(p, 10 * p, 0, 9 if p % 2 else 1, "b") for p in range(8)]
    names = ["patient_id", "visit_id", "time", "known_time", "code"]
    return pd.DataFrame(table, columns=names)


def test_facts_that_become_known_after_the_next_visit_raise():
    y = [np.array(["x", "y"])] * 8
    events = late_events()
    transformer = VisitSequenceTransformer(min_frequency=1).fit(Cohort(events))
    late = transformer.transform(Cohort(events))
    sound = transformer.transform(Cohort(events.assign(known_time=events["time"])))
    with pytest.raises(ValueError, match=r"4 visit\(s\) of X end before .*known_time"):
        tiny().fit(late, y)
    model = tiny().fit(sound, y)
    with pytest.raises(ValueError, match="look ahead"):
        model.predict(late)
