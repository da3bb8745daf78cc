import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    TemporalPatientSplit,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits


def cohort_of(patients, times):
    events = pd.DataFrame({"patient_id": np.unique(patients)})
    events = events.assign(time=pd.Series(times).min(), code="a")
    return Cohort(events, pd.DataFrame({"patient_id": patients, "prediction_time": times}))


def sides(X, *args, **kwargs):
    ((train, test),) = TemporalPatientSplit(*args, **kwargs).split(X)
    return train.tolist(), test.tolist()


def test_before_the_date_trains_and_after_it_tests():
    X = cohort_of([1, 2, 3, 4], [1, 4, 5, 9])
    assert sides(X, 5) == ([0, 1], [2, 3])


def test_label_window_that_is_open_at_the_date_does_neither():
    X = cohort_of([1, 2, 3, 4, 5], [1, 2, 3, 4, 9])
    assert sides(X, 5, horizon=2) == ([0, 1], [4])
    assert sides(X, 5, horizon=3) == ([0], [4])


def test_patient_on_both_sides_stays_in_the_test_set():
    X = cohort_of([1, 2, 1, 2, 3], [1, 2, 8, 3, 9])
    assert sides(X, 5) == ([1, 3], [2, 4])


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_datetimes_compare_in_their_zone(zone):
    noon = pd.Timestamp("2020-01-01 00:30", tz=zone)
    X = cohort_of([1, 2, 3], [noon, noon + pd.Timedelta("1D"), noon + pd.Timedelta("2D")])
    assert sides(X, pd.Timestamp("2020-01-02", tz=zone)) == ([0], [1, 2])
    assert sides(X, str(pd.Timestamp("2020-01-02", tz=zone))) == ([0], [1, 2])
    assert sides(X, pd.Timestamp("2020-01-03", tz=zone), horizon="1D") == ([0], [2])
    other = None if zone else "UTC"
    with pytest.raises(TypeError, match="naive"):
        sides(X, pd.Timestamp("2020-01-02", tz=other))


def test_sequences_split_like_their_cohort():
    X, _ = make_visits(100, random_state=0)
    sequences = VisitSequenceTransformer(min_frequency=5).fit_transform(X)
    options = {"date": pd.Timestamp("2003-01-01"), "horizon": "30D"}
    assert sides(sequences, **options) == sides(X, **options)


@settings(deadline=None)
@given(
    samples=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 20)), min_size=1, max_size=30),
    date=st.integers(0, 20),
    horizon=st.one_of(st.none(), st.integers(1, 6)),
)
def test_sides_are_those_of_a_slow_look_at_every_sample(samples, date, horizon):
    patients, times = zip(*samples, strict=True)
    test = [i for i, t in enumerate(times) if t >= date]
    tested = {patients[i] for i in test}
    train = [
        i
        for i, t in enumerate(times)
        if t + (horizon or 0) < date and t < date and patients[i] not in tested
    ]
    X = cohort_of(list(patients), list(times))
    if not train or not test:
        with pytest.raises(ValueError, match="No sample is left"):
            sides(X, date, horizon=horizon)
    else:
        assert sides(X, date, horizon=horizon) == (train, test)


def test_works_as_cv_of_scikit_learn():
    X, y = make_visits(400, random_state=0)
    cv = TemporalPatientSplit(pd.Timestamp("2003-01-01"), horizon="30D")
    assert cv.get_n_splits(X) == 1
    model = make_pipeline(CodeCountVectorizer(), LogisticRegression(max_iter=1000))
    scores = cross_val_score(model, X, y, cv=cv, scoring="roc_auc")
    assert scores.shape == (1,)
    assert 0 < scores[0] < 1
    assert repr(cv).startswith("TemporalPatientSplit(date=Timestamp(")


@pytest.mark.parametrize(
    ("date", "horizon", "error", "message"),
    [
        (0, None, ValueError, "No sample is left before date=0"),
        (99, None, ValueError, "No sample is left after date=99"),
        (5, 50, ValueError, "shorter horizon=50"),
        (pd.Timestamp("2020-01-01"), None, TypeError, "cannot be compared"),
        ("2020-01-01", None, TypeError, "cannot be compared"),
        ("the fifth", None, ValueError, "date='the fifth' is not a date. Write it as"),
        (float("nan"), None, ValueError, "date=nan is null"),
        (None, None, ValueError, "date=None is null"),
        ([5, 6], None, TypeError, "date must be one datetime or number, got list"),
        (5, "30D", TypeError, "horizon='30D' is not a number"),
        (5, -1, ValueError, "horizon=-1"),
    ],
)
def test_dates_and_horizons_that_do_not_fit_raise(date, horizon, error, message):
    X = cohort_of([1, 2, 3], [1, 4, 9])
    with pytest.raises(error, match=message):
        sides(X, date, horizon=horizon)


@pytest.mark.parametrize(
    "X",
    [
        Cohort(pd.DataFrame({"patient_id": [1], "time": [1], "code": ["a"]})),
        VisitSequences.from_padded([[[2]]])._replace(groups=np.array([1])),
    ],
)
def test_without_prediction_times_raises(X):
    with pytest.raises(ValueError, match="needs the prediction time of each sample"):
        sides(X, 5)


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_sequences_know_no_zone_and_take_a_date_in_utc(zone):
    day = pd.Timestamp("2020-01-01 09:00", tz=zone)
    X = cohort_of([1, 2, 3], [day, day + pd.Timedelta("1D"), day + pd.Timedelta("2D")])
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(X)
    with pytest.raises(TypeError, match="Give the date in UTC without a zone, or split the Cohort"):
        sides(sequences, pd.Timestamp("2020-01-02 09:00", tz="Asia/Tokyo"))
    in_utc = "2020-01-02 00:00" if zone else "2020-01-02 09:00"
    assert sides(sequences, in_utc) == sides(X, day + pd.Timedelta("1D")) == ([0], [1, 2])


def test_horizon_that_times_cannot_hold_raises():
    times = pd.to_datetime(pd.Series(["2020-01-01 10:00", "2020-01-02 10:00"]))
    with pytest.raises(ValueError, match=r"horizon=.* reaches beyond"):
        sides(cohort_of([1, 2], times.astype("datetime64[ns]")), "2020-01-02", horizon="100000D")


def test_subset_without_samples_raises():
    X = cohort_of([1, 2], [1, 4])[[]]
    with pytest.raises(ValueError, match="No sample is left"):
        sides(X, 5, horizon=2)


def test_groups_of_another_length_raise():
    X = cohort_of([1, 2, 3], [1, 4, 9])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(TemporalPatientSplit(5).split(X, groups=[1, 2]))


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_dates_beyond_the_unit_of_prediction_times_compare_exactly(unit):
    times = pd.to_datetime(["2020-01-01 10:00", "2020-01-03 10:00"])
    events = pd.DataFrame({"patient_id": [1, 2], "time": times, "code": "A"})
    samples = events[["patient_id"]].assign(prediction_time=times.as_unit(unit))
    X = Cohort(events, samples)
    date = pd.Timestamp("2020-01-03 10:00:00.000000001")
    with pytest.raises(ValueError, match="No sample is left after"):
        next(TemporalPatientSplit(date).split(X))
    train, test = next(TemporalPatientSplit(date - pd.Timedelta("1ns")).split(X))
    assert (train.tolist(), test.tolist()) == ([0], [1])
    with pytest.raises(ValueError, match="No sample is left after"):
        next(TemporalPatientSplit("9999-12-31").split(X))


def test_under_day_the_calendar_day_of_the_date_counts():
    times = pd.to_datetime(["2020-01-01", "2020-02-01"])
    events = pd.DataFrame({"patient_id": [1, 2], "time": times, "code": "A"})
    X = Cohort(events, events[["patient_id"]].assign(prediction_time=times))
    assert X.resolution == "day"
    # Samples of that day see all of it, so none of them was complete at 08:00.
    train, test = next(TemporalPatientSplit("2020-02-01 08:00").split(X))
    assert (train.tolist(), test.tolist()) == ([0], [1])


def test_date_as_text_is_in_the_zone_of_the_events():
    times = pd.to_datetime(["2020-01-01 23:30", "2020-01-02 00:30"]).tz_localize("Asia/Tokyo")
    events = pd.DataFrame({"patient_id": [1, 2], "time": times, "code": "A"})
    X = Cohort(events, events[["patient_id"]].assign(prediction_time=times))
    train, test = next(TemporalPatientSplit("2020-01-02").split(X))
    assert (train.tolist(), test.tolist()) == ([0], [1])
