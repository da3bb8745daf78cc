"""Tokens against a slow, obvious reference of dicts and loops, on random small cohorts."""

import pickle
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort, VisitSequenceTransformer

pytestmark = pytest.mark.filterwarnings("ignore:.*no visible event:UserWarning")

CODES = "ABCDE"
# The night clocks are set back in New York; never midnight, which would stand for a whole day.
START = {
    "datetime": pd.Timestamp("2020-10-31 01:30"),
    "aware": pd.Timestamp("2020-10-31 01:30", tz="America/New_York"),
    "int": 3,
    "float": -0.5,
}


def examples(n):
    """Settings of that many examples, on machines as slow as they like."""
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Case:
    """Rows as dicts (`None` is null), samples as (patient, prediction time), and the cohort."""

    kind: str | None
    rows: list
    samples: list
    closed: str
    cohort: Cohort = field(init=False)

    def __post_init__(self):
        self.cohort = self.build(self.rows)

    def build(self, rows):
        events = pd.DataFrame(rows)
        if self.kind is None:
            events = events.drop(columns=["time", "known_time"])
        null_time = "error" if self.kind is None or events["time"].notna().all() else "static"
        samples = pd.DataFrame(self.samples, columns=["patient_id", "prediction_time"])
        whole = samples["prediction_time"].isna().all()
        return Cohort(
            events,
            samples,
            prediction_time=None if whole else "prediction_time",
            closed=self.closed,
            null_time=null_time,
        )

    def visible(self, sample):
        patient, until = self.samples[sample]
        for row in self.rows:
            if row["patient_id"] != patient:
                continue
            known = row["known_time"]
            always = until is None or row["time"] is None
            if always or known < until or (known == until and self.closed == "right"):
                yield row


def step(kind):
    return {"datetime": pd.Timedelta("8h"), "aware": pd.Timedelta("8h"), "float": 0.5}.get(kind, 1)


@st.composite
def cases(draw):
    kind = draw(st.sampled_from(["datetime", "aware", "int", "float", None]))
    all_have_ids = kind is None or draw(st.booleans())
    times = st.integers(0, 7)
    null_time = st.just(False) if kind in ("int", None) else st.sampled_from([False] * 4 + [True])
    visit_ids = st.sampled_from([1, 2, 3] if all_have_ids else [1, 2, None, None])
    late = draw(st.sampled_from([0, 0, 3]))

    def at(n):
        return START[kind] + n * step(kind)

    rows = []
    for _ in range(draw(st.integers(1, 14))):
        time = None if kind is None or draw(null_time) else draw(times)
        known = None if time is None else at(time + draw(st.integers(0, late)))
        rows.append(
            {
                "patient_id": draw(st.integers(1, 3)),
                "time": None if time is None else at(time),
                "known_time": known,
                "visit_id": draw(visit_ids),
                "code": draw(st.sampled_from(CODES)),
            }
        )
    if kind is not None and not any(row["time"] is not None for row in rows):
        rows[0]["time"] = rows[0]["known_time"] = at(0)
    patients = [rows[0]["patient_id"], *draw(st.lists(st.integers(1, 4), max_size=4))]
    cut = kind is not None and draw(st.booleans())
    samples = [(p, at(draw(times)) if cut else None) for p in patients]
    return Case(kind, rows, samples, draw(st.sampled_from(["right", "left"])))


@st.composite
def options(draw, case):
    visits = ["auto"]
    if all(row["visit_id"] is not None for row in case.rows):
        visits.append("id")
    if case.kind is not None:
        visits += ["time", step(case.kind), 2.5 * step(case.kind)]
    if case.kind in ("datetime", "aware"):
        visits += ["day", "day"]
    return {
        "visits": draw(st.sampled_from(visits)),
        "min_frequency": draw(st.sampled_from([1, 1, 2, 0.5])),
        "max_vocabulary": draw(st.sampled_from([None, 1, 3])),
        "handle_unknown": draw(st.sampled_from(["token", "ignore"])),
        "max_visits": draw(st.sampled_from([None, 1, 2])),
        "deduplicate": draw(st.booleans()),
    }


def reference_vocabulary(case, min_frequency, max_vocabulary):
    patients_with = {}
    for sample, (patient, _) in enumerate(case.samples):
        for row in case.visible(sample):
            patients_with.setdefault(row["code"], set()).add(patient)
    count = {code: len(patients) for code, patients in patients_with.items()}
    least = min_frequency
    if isinstance(least, float):
        least *= len({patient for patient, _ in case.samples})
    frequent = sorted((c for c in count if count[c] >= least), key=lambda c: (-count[c], c))
    return sorted(frequent[:max_vocabulary])


def reference_visits(case, sample, vocabulary, o):
    """Visits of one sample: (tokens, first time, last time)."""
    static = sorted(row["code"] for row in case.visible(sample) if row["time"] is None)
    if case.kind is None:
        static = []
    dated = [row for row in case.visible(sample) if row["time"] is not None or case.kind is None]
    dated.sort(key=lambda row: (row["time"] if case.kind else row["visit_id"], row["code"]))

    rule, visit, previous = o["visits"], 0, None
    labelled = {}
    for row in dated:
        by_time = row["time"].date() if case.kind in ("datetime", "aware") else row["time"]
        if rule == "id" or (rule == "auto" and row["visit_id"] is not None):
            label = (0, row["visit_id"])
        elif rule in ("auto", "day"):
            label = (1, by_time)
        elif rule == "time":
            label = (1, row["time"])
        else:
            if previous is not None and row["time"] - previous > rule:
                visit += 1
            previous = row["time"]
            label = (1, visit)
        labelled.setdefault(label, []).append(row)

    def position(label):
        if case.kind is None:
            return label
        times = [row["time"] for row in labelled[label]]
        return (max(times), min(times), label)

    visits = []
    for label in sorted(labelled, key=position):
        rows = labelled[label]
        visits.append(([r["code"] for r in rows], rows[0]["time"], rows[-1]["time"]))
    if o["max_visits"] is not None:
        visits = visits[-o["max_visits"] :]
    visits = [(tokens_of(codes, vocabulary, o), *times) for codes, *times in visits]
    if static:
        visits.insert(0, (tokens_of(static, vocabulary, o), None, None))
    return visits


def tokens_of(codes, vocabulary, o):
    tokens = [vocabulary.index(c) + 2 if c in vocabulary else 1 for c in codes]
    if o["handle_unknown"] == "ignore":
        tokens = [t for t in tokens if t != 1]
    if o["deduplicate"]:
        tokens = [t for i, t in enumerate(tokens) if t not in tokens[i + 1 :]]
    return tokens


def as_lists(sequences):
    """Sequences as lists: sample, visit, token."""
    token, visit = sequences.visit_offsets, sequences.sample_offsets
    visits = [sequences.tokens[a:b].tolist() for a, b in pairwise(token)]
    return [visits[a:b] for a, b in pairwise(visit)]


def as_bits(sequences):
    names = ["tokens", "visit_offsets", "sample_offsets", "visit_times", "groups"]
    arrays = [getattr(sequences, name) for name in names]
    return [None if a is None else (a.dtype, a.shape, a.tobytes()) for a in arrays]


@examples(300)
@given(data=st.data(), case=cases())
def test_transformer_does_as_the_slow_reference(data, case):
    o = data.draw(options(case))
    vocabulary = reference_vocabulary(case, o["min_frequency"], o["max_vocabulary"])
    transformer = VisitSequenceTransformer(**o)
    if not vocabulary:
        with pytest.raises(ValueError, match="vocabulary is empty"):
            transformer.fit(case.cohort)
        return
    sequences = transformer.fit_transform(case.cohort)
    assert transformer.vocabulary_.codes.tolist() == vocabulary
    assert sequences.vocabulary is transformer.vocabulary_
    assert sequences.tokens.dtype == np.int32
    assert sequences.groups.tolist() == [patient for patient, _ in case.samples]

    n_samples = len(case.samples)
    expected = [reference_visits(case, i, vocabulary, o) for i in range(n_samples)]
    assert as_lists(sequences) == [[tokens for tokens, *_ in visits] for visits in expected]
    if case.kind is None:
        assert sequences.visit_times is None
        return
    visits = [visit for sample in expected for visit in sample]
    assert sequences.visit_times.shape == (len(visits), 2)
    times = pd.DataFrame(sequences.visit_times).to_numpy(dtype=object)
    for actual, (_, *wanted) in zip(times, visits, strict=True):
        if wanted[0] is None:
            assert pd.isna(actual).all()
        elif case.kind == "aware":
            assert [pd.Timestamp(t, tz="UTC") for t in actual] == wanted
        else:
            assert actual.tolist() == wanted

    gaps = []
    for visits in expected:
        before = None
        for _, first, last in visits:
            gap = 0 if None in (before, first) else first - before
            gaps.append(max(gap / timedelta(days=1) if isinstance(gap, timedelta) else gap, 0))
            before = last
    assert sequences.time_gaps.tolist() == gaps


@examples(60)
@given(data=st.data(), case=cases())
def test_order_of_the_rows_of_events_changes_nothing(data, case):
    assume(reference_vocabulary(case, 0.0, None))
    o = {**data.draw(options(case)), "min_frequency": 0.0}
    shuffled = case.build(data.draw(st.permutations(case.rows)))
    transformer = VisitSequenceTransformer(**o)
    left, right = transformer.fit_transform(case.cohort), transformer.fit_transform(shuffled)
    assert as_bits(left) == as_bits(right)


@examples(60)
@given(data=st.data(), case=cases())
def test_subset_of_a_cohort_gives_the_subset_of_the_sequences(data, case):
    assume(reference_vocabulary(case, 0.0, None))
    transformer = VisitSequenceTransformer(**{**data.draw(options(case)), "min_frequency": 0.0})
    sequences = transformer.fit(case.cohort).transform(case.cohort)
    positions = data.draw(st.lists(st.integers(0, len(case.samples) - 1), max_size=4))
    subset = case.cohort[positions]
    assert as_bits(transformer.transform(subset)) == as_bits(sequences[positions])
    compacted = pickle.loads(pickle.dumps(subset))
    assert as_bits(transformer.transform(compacted)) == as_bits(sequences[positions])
