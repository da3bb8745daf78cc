"""Hospital stays of MEDS, found from the codes that start and end them."""

import numpy as np
import pandas as pd
import pytest
from any_frame import IN_MEMORY, LAZY, dask, ibis, spark
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import Cohort, VisitSequenceTransformer
from sklearn_ehr.io import read_meds
from sklearn_ehr.utils import read_frame

pa = pytest.importorskip("pyarrow", reason="pyarrow comes with the extra arrow")

CODES = ("START", "END")
HEAVY = [pytest.param(kind, marks=pytest.mark.engines) for kind in (ibis, spark)]
# Subject, day, code, stay.
STAYS = [
    (1, None, "STATIC", None),
    (1, 1, "before", None),
    (1, 2, "START//URGENT", 1),
    (1, 2, "same time", 1),
    (1, 3, "within", 1),
    (1, 4, "END//HOME", 1),
    (1, 4, "same time as the end", 1),
    (1, 5, "after", None),
    # Day cases: one from outside, one that is a transfer.
    (1, 6, "START", 2),
    (1, 6, "END", 2),
    (1, 7, "after", None),
    (1, 8, "START", 3),
    (1, 9, "END", 4),
    (1, 9, "START", 4),
    (1, 10, "within", 4),
    (1, 11, "END", 4),
    # An end outside of a stay.
    (1, 12, "END", None),
    (1, 13, "after", None),
    # A stay that never ends, until the next one starts.
    (1, 14, "START", 5),
    (1, 400, "within", 5),
    (1, 401, "START", 6),
    (1, 402, "END", 6),
    (1, 403, "after", None),
    # Not these codes.
    (2, 1, "STARTER", None),
    (2, 2, "BEFORE//START", None),
    (2, 3, "after", None),
    (2, 4, "START", 1),
    (2, 4, "START", 1),
    (2, 4, "END", 1),
    (2, 5, "after", None),
    # Without a time.
    (3, None, "START", None),
    (3, 1, "after", None),
]


def table(rows):
    """Arrow table of rows of subject, day and code, numbered."""
    day = pd.Timedelta("1D")
    times = [None if row[1] is None else pd.Timestamp("2020") + row[1] * day for row in rows]
    return pa.table(
        {
            "row": list(range(len(rows))),
            "subject_id": pa.array([row[0] for row in rows], pa.int64()),
            "time": pa.array(times, pa.timestamp("us")),
            "code": pa.array([row[2] for row in rows], pa.string()),
        }
    )


def stays(events):
    """Stay of each row, in the order of rows, None for none."""
    events = read_frame(events, "events")
    of_row = dict(zip(events["row"], events["visit_id"], strict=True))
    return [None if pd.isna(of_row[row]) else int(of_row[row]) for row in range(len(of_row))]


@pytest.mark.parametrize("kind", [*IN_MEMORY, *LAZY, *HEAVY])
def test_events_get_the_stay_that_is_open(kind, tmp_path):
    shuffled = table(STAYS).take(np.random.default_rng(0).permutation(len(STAYS)))
    events = read_meds(kind(shuffled, tmp_path), visit_codes=CODES)
    assert stays(events) == [row[3] for row in STAYS]
    assert list(read_frame(events, "events")) == ["patient_id", "time", "code", "visit_id", "row"]
    assert type(events) is type(read_meds(kind(shuffled, tmp_path)))


def test_separator_at_the_end_of_a_code_makes_no_difference():
    events = read_meds(table(STAYS).to_pandas(), visit_codes=["START//", "END//"])
    assert stays(events) == [row[3] for row in STAYS]


def test_null_code_starts_no_stay():
    events = read_meds(table([(1, 1, "START"), (1, 2, None)]), visit_codes=CODES)
    assert stays(events) == [1, 1]


def test_events_outside_of_stays_make_a_visit_per_day():
    rows = [(1, 1, "a"), (1, 2, "START"), (1, 3, "END"), (1, 4, "b"), (1, 4, "c")]
    events = read_meds(table(rows).to_pandas(), visit_codes=CODES)
    X = VisitSequenceTransformer(min_frequency=1).fit_transform(Cohort(events))
    assert X.visit_offsets.tolist() == [0, 1, 3, 5]


@pytest.mark.engines
def test_dask_is_sent_to_its_files(tmp_path):
    with pytest.raises(TypeError, match=r"not supported for frames of Dask.*path of their parquet"):
        read_meds(dask(table(STAYS), tmp_path), visit_codes=CODES)


def stays_by_a_loop(rows):
    """Walk through the times of each subject, and ask what is open."""
    found = [None] * len(rows)
    for subject in {row[0] for row in rows}:
        n_stays, is_open = 0, False
        for day in sorted({row[1] for row in rows if row[0] == subject}):
            now = [i for i, row in enumerate(rows) if row[:2] == (subject, day)]
            codes = {rows[i][2] for i in now}
            n_stays += "START" in codes
            for i in now:
                found[i] = n_stays if is_open or "START" in codes else None
            if ("START" in codes) != ("END" in codes):
                is_open = "START" in codes
    return found


ROWS = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 9), st.sampled_from(["START", "END", "x"])),
    min_size=50,
    max_size=300,
)


@settings(deadline=None, max_examples=20)
@given(ROWS, st.integers(1, 8))
def test_stays_are_those_of_a_loop_and_show_nothing_of_the_future(rows, today):
    found = stays(read_meds(table(rows).to_pandas(), visit_codes=CODES))
    assert found == stays_by_a_loop(rows)
    past = [row for row in rows if row[1] <= today]
    expected = [stay for stay, row in zip(found, rows, strict=True) if row[1] <= today]
    assert stays(read_meds(table(past).to_pandas(), visit_codes=CODES)) == expected
