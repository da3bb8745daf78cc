"""The risk after each visit is that of a cohort which ends with it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_ehr import Cohort, LSTMVisitClassifier, VisitSequences, VisitSequenceTransformer
from sklearn_ehr.visits import leading_columns

few_events = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")


def make_events(kind, n_patients=30, seed=0):
    """Visits of a few codes each, some days apart; of the first patients' visits there are many."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(n_patients):
        hour = 0.5
        for visit in range(rng.integers(1, 4 if patient % 3 else 9)):
            hour += 24 * rng.integers(3, 40) + rng.integers(1, 20)
            for _ in range(rng.integers(1, 4)):
                event_hour = hour if kind == "day" else hour + rng.integers(0, 3)
                rows.append((patient, 100 * patient + visit, event_hour, rng.choice(list("abcde"))))
        if kind == "static":
            rows.append((patient, None, None, rng.choice(["female", "male"])))
    events = pd.DataFrame(rows, columns=["patient_id", "visit_id", "time", "code"])
    if kind == "number":
        return events
    time = pd.Timestamp("2020-01-01") + pd.to_timedelta(events["time"], "h")
    events["time"] = time.dt.normalize() if kind == "day" else time
    if kind == "known":
        # Recorded up to two days after the visit, and so before the next.
        events["known_time"] = events["time"] + pd.to_timedelta(
            rng.integers(0, 48, len(events)), "h"
        )
    if kind == "static":
        events["visit_id"] = events["visit_id"].astype("Int64")
    return events


def options(kind):
    return {"null_time": "static"} if kind == "static" else {}


def fit(cohort, **params):
    transformer = VisitSequenceTransformer(min_frequency=1, **params).fit(cohort)
    y = np.arange(len(cohort)) % 2
    model = LSTMVisitClassifier(
        embedding_dim=6, hidden_dim=5, max_epochs=3, lr=0.05, early_stopping=False, random_state=0
    )
    return transformer, model.fit(transformer.transform(cohort), y)


def ends_of_visits(events, patient, sequence):
    """When all events of a visit were known, by a slow look at the events of each."""
    for visit, is_static in zip(sequence.visit_ids, sequence.is_static, strict=True):
        mine = events[(events["patient_id"] == patient) & (events["visit_id"] == visit)]
        if is_static:
            yield events.loc[events["patient_id"] == patient, "time"].min() - pd.Timedelta("1s")
        else:
            yield mine["known_time" if "known_time" in events else "time"].max()


@few_events
@pytest.mark.parametrize("kind", ["time", "number", "day", "known", "static"])
@pytest.mark.parametrize("max_visits", [None, 1, 2, 3])
def test_risk_after_a_visit_is_that_of_the_cohort_cut_at_its_end(kind, max_visits):
    events = make_events(kind)
    cohort = Cohort(events, **options(kind))
    transformer, model = fit(cohort, max_visits=max_visits)
    sequences = transformer.transform(cohort)
    got = model.predict_proba_by_visit(sequences)
    assert got.shape == (len(cohort),)
    n_compared = 0
    for patient, sequence, risks in zip(cohort.groups, sequences_of(sequences), got, strict=True):
        ends = list(ends_of_visits(events, patient, sequence))
        samples = pd.DataFrame({"patient_id": patient, "prediction_time": ends})
        cut = Cohort(events, samples, **options(kind))
        wanted = model.predict_proba(transformer.transform(cut))
        np.testing.assert_allclose(risks, wanted, atol=1e-6)
        n_compared += len(ends)
    assert n_compared == sequences.lengths.sum() >= 30
    np.testing.assert_allclose(
        np.array([risks[-1] for risks in got]), model.predict_proba(sequences), atol=1e-6
    )


@few_events
def test_whole_days_are_known_when_they_have_ended():
    events = make_events("day")
    samples = pd.DataFrame(
        {"patient_id": range(30), "prediction_time": pd.Timestamp("2030-01-01 12:00")}
    )
    cohort = Cohort(events, samples)
    transformer, model = fit(cohort)
    sequences = transformer.transform(cohort)
    # One second into the next day, as prediction times that are all midnights compare plainly.
    after = pd.Series(sequences.visit_times[:, 1]) + pd.Timedelta("1 days 1 s")
    patients = np.repeat(cohort.groups, sequences.lengths)
    seen_after = cut_at(events, patients, after, transformer)
    got = np.concatenate(list(model.predict_proba_by_visit(sequences)))
    np.testing.assert_allclose(got, model.predict_proba(seen_after), atol=1e-6)
    seen_before = cut_at(events, patients, after - pd.Timedelta("2 s"), transformer)
    np.testing.assert_array_equal(seen_before.lengths, seen_after.lengths - 1)


def cut_at(events, patients, times, transformer):
    samples = pd.DataFrame({"patient_id": patients, "prediction_time": times})
    return transformer.transform(Cohort(events, samples))


def sequences_of(sequences):
    return [sequences[i] for i in range(len(sequences))]


def test_risk_differs_from_visit_to_visit():
    cohort = Cohort(make_events("time"))
    transformer, model = fit(cohort)
    risks = model.predict_proba_by_visit(transformer.transform(cohort))
    assert max(np.ptp(risk[:, 1]) for risk in risks) > 0.01


def test_subset_of_truncated_sequences_says_the_same():
    cohort = Cohort(make_events("time"))
    transformer, model = fit(cohort, max_visits=2)
    sequences = transformer.transform(cohort)
    everything = model.predict_proba_by_visit(sequences)
    chosen = [7, 0, 3, 0]
    subset = model.predict_proba_by_visit(sequences[chosen])
    for i, risks in zip(chosen, subset, strict=True):
        np.testing.assert_allclose(risks, everything[i], atol=1e-6)


def test_batches_do_not_change_the_risk_of_truncated_sequences():
    cohort = Cohort(make_events("static"), null_time="static")
    transformer, model = fit(cohort, max_visits=3)
    sequences = transformer.transform(cohort)
    wanted = np.concatenate(list(model.predict_proba_by_visit(sequences)))
    for batch_size in (1, 3):
        model.set_params(batch_size=batch_size)
        got = np.concatenate(list(model.predict_proba_by_visit(sequences)))
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_several_classes_and_labels_by_visit():
    codes = np.random.default_rng(0).integers(2, 6, (30, 3, 2))
    codes[::2, 2] = 0
    for y, n_columns in [(np.arange(30) % 3, 3), (np.eye(4, dtype=int)[np.arange(30) % 4], 4)]:
        model = LSTMVisitClassifier(hidden_dim=4, max_epochs=1, early_stopping=False).fit(codes, y)
        risks = model.predict_proba_by_visit(codes)
        assert [risk.shape for risk in risks[:2]] == [(2, n_columns), (3, n_columns)]
        np.testing.assert_allclose(risks[1][1:2], model.predict_proba(codes[1:2, :2]), atol=1e-6)
        np.testing.assert_allclose(risks[0][-1:], model.predict_proba(codes[:1]), atol=1e-6)


def test_samples_of_equal_length_and_without_visits_stay_apart():
    codes = np.array([[[2, 3], [3, 0]], [[4, 0], [2, 2]], [[0, 0], [0, 0]]])
    model = LSTMVisitClassifier(hidden_dim=4, max_epochs=1, early_stopping=False)
    risks = model.fit(codes, [0, 1, 0]).predict_proba_by_visit(codes)
    assert [risk.shape for risk in risks] == [(2, 2), (2, 2), (0, 2)]
    assert [risk.shape for risk in model.predict_proba_by_visit(codes[:1])] == [(2, 2)]


def overlapping(**changes):
    """Patient 1's visit 11 begins in visit 10; patient 2 has one visit after the other."""
    hours = [0, 5, 3, 9, 0, 2, 5]
    frame = {
        "patient_id": [1, 1, 1, 1, 2, 2, 2],
        "visit_id": [10, 10, 11, 11, 20, 20, 21],
        "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(hours, "h"),
        "code": list("abcdabc"),
    }
    return pd.DataFrame({**frame, **changes})


def by_visit(events, **params):
    cohort = Cohort(events)
    transformer, model = fit(cohort, **params)
    return model.predict_proba_by_visit(transformer.transform(cohort))


def without_risk(risks):
    """Samples whose probabilities are all NaN, where no other probability may be."""
    is_nan = [np.isnan(risk) for risk in risks]
    assert all(part.all() or not part.any() for part in is_nan)
    return [bool(part.all()) for part in is_nan]


def test_sample_whose_visits_overlap_has_no_risk_and_a_warning_helps():
    with pytest.warns(UserWarning, match=r"1 of 2 sample\(s\) of X .*visits='time'") as warned:
        risks = by_visit(overlapping())
    assert sum("overlap" in str(warning.message) for warning in warned) == 1
    assert [len(risk) for risk in risks] == [2, 2]
    assert without_risk(risks) == [True, False]
    assert [len(risks) for risks in by_visit(overlapping(), visits="time")] == [4, 3]
    assert [len(risks) for risks in by_visit(overlapping(), visits="day")] == [1, 1]


@pytest.mark.parametrize("max_visits", [None, 1, 2])
def test_other_samples_have_the_risk_that_they_have_alone(max_visits):
    events = make_events("time", n_patients=12)
    is_crossed = events["patient_id"].isin([0, 3])
    events.loc[is_crossed, "visit_id"] %= 2
    cohort = Cohort(events)
    transformer, model = fit(cohort, max_visits=max_visits)
    sequences = transformer.transform(cohort)
    with pytest.warns(UserWarning, match=r"2 of 12 sample\(s\)"):
        risks = model.predict_proba_by_visit(sequences)
    others = [i for i in range(12) if i not in (0, 3)]
    assert [i for i, is_without in enumerate(without_risk(risks)) if not is_without] == others
    alone = model.predict_proba_by_visit(sequences[others])
    for got, wanted in zip(risks[others], alone, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_cohort_in_which_all_overlap_has_no_risk_and_warns():
    with pytest.warns(UserWarning, match=r"2 of 2 sample\(s\) of X"):
        risks = by_visit(overlapping(time=[0, 5, 3, 9, 0, 5, 3], visit_id=[1, 1, 2, 2, 3, 3, 4]))
    assert without_risk(risks) == [True, True]


def test_visit_that_begins_as_another_ends_overlaps_with_it():
    with pytest.warns(UserWarning, match="overlap"):
        risks = by_visit(overlapping(time=[0, 5, 5, 9, 0, 2, 5]))
    assert without_risk(risks) == [True, False]
    assert without_risk(by_visit(overlapping(time=[0, 5, 6, 9, 0, 2, 5]))) == [False, False]


def test_overlap_with_a_visit_that_max_visits_left_out_counts():
    with pytest.warns(UserWarning, match="overlap"):
        assert without_risk(by_visit(overlapping(), max_visits=1)) == [True, False]


def test_fact_recorded_after_the_next_visit_began_is_an_overlap():
    time = pd.Series([0, 5, 6, 9, 0, 2, 5])
    assert without_risk(by_visit(overlapping(time=time, known_time=time))) == [False, False]
    with pytest.warns(UserWarning, match="known_time"):
        risks = by_visit(overlapping(time=time, known_time=time.replace(5, 7)))
    assert without_risk(risks) == [True, False]


def test_frame_has_a_row_for_each_visit():
    events = pd.concat([make_events("static", 12), overlapping(patient_id=[77] * 4 + [78] * 3)])
    cohort = Cohort(events.astype({"visit_id": "Int64"}), null_time="static")
    transformer, model = fit(cohort)
    sequences = transformer.transform(cohort)[[13, 12, 3, 5]]
    with pytest.warns(UserWarning, match=r"1 of 4 sample\(s\)"):
        frame = model.predict_proba_by_visit(sequences, as_frame=True)
    with pytest.warns(UserWarning, match=r"1 of 4 sample\(s\)"):
        arrays = model.predict_proba_by_visit(sequences)
    columns = ["sample", "patient", "visit", "visit_id", "time", "risk"]
    assert frame.columns.tolist() == columns
    pd.testing.assert_frame_equal(frame[columns[:-1]], leading_columns(sequences))
    np.testing.assert_array_equal(frame["risk"], np.concatenate([a[:, 1] for a in arrays]))
    assert frame.groupby("patient")["risk"].count()[[77, 78]].tolist() == [0, 2]


def test_frame_of_several_classes_or_labels_has_a_row_for_each():
    codes = np.random.default_rng(0).integers(2, 6, (30, 3, 2))
    labels = np.eye(4, dtype=int)[np.arange(30) % 4]
    for y, names in [(np.array(list("xyz"))[np.arange(30) % 3], list("xyz")), (labels, range(4))]:
        model = LSTMVisitClassifier(hidden_dim=4, max_epochs=1, early_stopping=False).fit(codes, y)
        frame = model.predict_proba_by_visit(codes[:2], as_frame=True)
        assert frame.columns.tolist() == ["sample", "patient", "visit", "output", "risk"]
        assert frame["output"].tolist() == [*names] * 6
        wanted = np.concatenate(list(model.predict_proba_by_visit(codes[:2])))
        np.testing.assert_array_equal(frame["risk"], wanted.ravel())


def test_visits_without_times_follow_their_ids():
    assert [len(risks) for risks in by_visit(overlapping().drop(columns="time"))] == [2, 2]


def test_bidirectional_network_raises():
    codes = np.array([[[2, 3], [3, 0]], [[4, 0], [2, 2]]])
    model = LSTMVisitClassifier(bidirectional=True, max_epochs=1, early_stopping=False)
    with pytest.raises(ValueError, match="bidirectional=False"):
        model.fit(codes, [0, 1]).predict_proba_by_visit(codes)


def test_not_fitted_raises_first():
    with pytest.raises(NotFittedError):
        LSTMVisitClassifier().predict_proba_by_visit(VisitSequences.from_padded([[[2]]]))


def test_static_facts_are_known_from_the_start():
    events = make_events("static")
    is_static = events["time"].isna()
    start = pd.Timestamp("2020-01-01")
    events["known_time"] = events["time"].where(~is_static, start + pd.Timedelta("9000D"))
    cohort = Cohort(events, null_time="static")
    transformer, model = fit(cohort)
    risks = model.predict_proba_by_visit(transformer.transform(cohort))
    sound = transformer.transform(Cohort(events.drop(columns="known_time"), null_time="static"))
    for got, wanted in zip(risks, model.predict_proba_by_visit(sound), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
