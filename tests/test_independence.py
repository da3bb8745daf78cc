"""What a sample sees, its tokens and its label depend on its own patient alone."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    EventTable,
    VisitSequenceTransformer,
    make_samples,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning"),
    pytest.mark.filterwarnings("ignore:None of the .* visible events:UserWarning"),
]

START = pd.Timestamp("2020-03-27")
OWN = 2
END = pd.Timestamp("2020-06-01")
# Half of the moments are midnights; the clocks of Berlin and Havana change among them.
HOURS = st.sampled_from([24 * day for day in range(6)]) | st.integers(0, 6 * 24).map(float)


def moments(hours, zone):
    times = START + pd.to_timedelta(pd.Series(hours, dtype=float), unit="h")
    return times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)


def events_of(patients):
    return st.lists(
        st.fixed_dictionaries(
            {
                "patient_id": st.sampled_from(patients),
                "time": HOURS,
                "known_time": HOURS,
                "code": st.sampled_from(["DM", "STROKE", "FLU", "DEATH", "RARE"]),
                "visit_id": st.none() | st.sampled_from(["a", "b", "c"]),
                "value": st.none() | st.floats(-5, 5),
            }
        ),
        max_size=10,
    )


@st.composite
def problems(draw):
    patients = [1, 3, 4]
    samples = st.lists(st.tuples(st.sampled_from([1, OWN, 3, 9]), HOURS), max_size=4)
    own = draw(events_of([OWN]))
    first = {"time": 30.0, "known_time": 30.0, "code": "DM", "visit_id": "a", "value": 0.5}
    return {
        "own": [{"patient_id": OWN, **first}, *own],
        "others": [
            [{"patient_id": 1, **first}, *draw(events_of(patients))],
            [{"patient_id": 4, **first}, *draw(events_of(patients))],
        ],
        "samples": [draw(samples), draw(samples)],
        "now": draw(HOURS),
        "zone": draw(st.sampled_from([None, "Europe/Berlin", "America/Havana"])),
        "unit": draw(st.sampled_from(["s", "ns"])),
        "has_known": draw(st.booleans()),
        "has_visits": draw(st.booleans()),
        "resolution": draw(st.sampled_from(["day", "instant"])),
        "closed": draw(st.sampled_from(["right", "left"])),
        "lookback": draw(st.sampled_from([None, "36h", "2D"])),
        "visits": draw(st.sampled_from(["auto", "day", "time", pd.Timedelta("12h")])),
        "max_visits": draw(st.sampled_from([None, 1, 2])),
    }


def frame_of(problem, i):
    """Events of the sample's own patient among one of two sets of others."""
    events = pd.DataFrame([*problem["others"][i], *problem["own"]])
    for name in ("time", "known_time"):
        events[name] = moments(events[name], problem["zone"]).dt.as_unit(problem["unit"])
    events = events.astype({"value": float, "visit_id": "string", "code": "string"})
    unused = [] if problem["has_known"] else ["known_time"]
    unused += [] if problem["has_visits"] else ["visit_id"]
    return events.drop(columns=unused)


def cohort_of(problem, i):
    """The sample, at a position of its own, among one of two sets of other samples."""
    rows = [*problem["samples"][i], (OWN, problem["now"])]
    samples = pd.DataFrame(rows, columns=["patient_id", "prediction_time"])
    samples["prediction_time"] = moments(samples["prediction_time"], problem["zone"])
    options = {name: problem[name] for name in ("resolution", "closed", "lookback")}
    return Cohort(EventTable(frame_of(problem, i)), samples, **options)[[-1]]


def tokens_of(sequences):
    names = ("tokens", "visit_offsets", "visit_times", "visit_ids")
    arrays = [getattr(sequences, name) for name in names]
    # Known times are left out where no event of the table was known later than at its time.
    known = sequences.known_times
    arrays.append(sequences.visit_times if known is None else known)
    arrays += [sequences.time_gaps, sequences.times_to_prediction, sequences.prediction_times]
    return pickle.dumps([None if array is None else np.asarray(array).tolist() for array in arrays])


@settings(max_examples=700, deadline=None)
@given(problems())
def test_other_samples_and_other_patients_events_change_no_bit(problem):
    one, other = (cohort_of(problem, i) for i in range(2))
    alone = pickle.loads(pickle.dumps(one))
    for same in (other, alone):
        # A column that is all null may be of another type.
        pd.testing.assert_frame_equal(
            same.visible_events(), one.visible_events(), check_dtype=False, check_exact=True
        )

    training = Cohort(EventTable(frame_of(problem, 0)))
    options = {"min_frequency": 1, "visits": problem["visits"], "max_visits": problem["max_visits"]}
    transformer = VisitSequenceTransformer(value_bins=2, **options).fit(training)
    expected = tokens_of(transformer.transform(one))
    assert tokens_of(transformer.transform(other)) == expected
    assert tokens_of(transformer.transform(alone)) == expected
    vectorizer = CodeCountVectorizer(windows=("36h", "3D"), sparse_output=False, **options)
    vectorizer.fit(training)
    expected = vectorizer.transform(one).tolist()
    assert vectorizer.transform(other).tolist() == expected
    assert vectorizer.transform(alone).tolist() == expected


@settings(max_examples=700, deadline=None)
@given(problems(), st.booleans())
def test_other_patients_events_change_no_bit_of_a_label(problem, every):
    end = END if problem["zone"] is None else END.tz_localize(problem["zone"])
    labels = []
    for i in range(2):
        events = frame_of(problem, i)
        # Others have every code, so that none is refused as absent, and one has a sample left.
        extra = pd.DataFrame({"patient_id": [5, 6, 6], "code": ["DM", "STROKE", "DEATH"]})
        extra = extra.assign(time=events["time"].iloc[0])
        if problem["has_known"]:
            extra["known_time"] = extra["time"]
        events = pd.concat([events, extra], ignore_index=True)
        samples, _ = make_samples(
            EventTable(events),
            index=["DM"],
            every=every,
            offset=problem["lookback"],
            outcome_codes=["STROKE"],
            competing_codes=["DEATH"],
            horizon="2D",
            observation_end=end,
            resolution=problem["resolution"],
        )
        labels.append(samples[samples["patient_id"] == OWN].reset_index(drop=True))
        # Nothing that is an outcome or competes was seen.
        X = Cohort(EventTable(events), samples)
        seen = X.visible_events()
        assert X.resolution == problem["resolution"]
        assert not (seen["code"] == "DEATH").any()
    pd.testing.assert_frame_equal(labels[0], labels[1])
