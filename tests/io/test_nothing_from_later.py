"""What a cohort sees of a hospital's tables is what the tables held at the prediction."""

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, EventTable
from sklearn_ehr.io import read_mimic, read_omop

pytest.importorskip("pyarrow", reason="pyarrow comes with the extra arrow")
pytestmark = [
    pytest.mark.filterwarnings("ignore:source has no table"),
    pytest.mark.filterwarnings("ignore:.*samples have no visible event"),
    pytest.mark.filterwarnings("ignore:.*over a century later"),
]

NOW = pd.Timestamp("2150-06-01 12:00")
N_PATIENTS, N_STAYS = 60, 200


def random_stays(seed):
    """Stays with two laboratory tests and three diagnoses each, about NOW."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2150-01-01 10:00") + pd.to_timedelta(rng.integers(0, 300, N_STAYS), "D")
    stays = pd.DataFrame(
        {
            "patient": rng.integers(0, N_PATIENTS, N_STAYS),
            "stay": 1 + np.arange(N_STAYS),
            "start": start,
            "end": start + pd.to_timedelta(rng.integers(1, 20, N_STAYS), "D"),
        }
    )
    tests = stays.loc[stays.index.repeat(2)].reset_index(drop=True)
    tests["drawn"] = tests["start"] + pd.to_timedelta(rng.integers(1, 200, len(tests)), "h")
    tests["stored"] = tests["drawn"] + pd.to_timedelta(rng.integers(0, 48, len(tests)), "h")
    tests["item"] = rng.integers(1, 5, len(tests))
    diagnoses = stays.loc[stays.index.repeat(3)].reset_index(drop=True)
    diagnoses["item"] = rng.integers(1, 5, len(diagnoses))
    return stays, tests, diagnoses


def as_of_now(stays, tests, diagnoses):
    """What of them was known at NOW: no later stay or result, no diagnosis of an open stay."""
    stays = stays[stays["start"] <= NOW]
    diagnoses = diagnoses[diagnoses["end"] <= NOW]
    stays = stays.assign(end=stays["end"].where(stays["end"] <= NOW))
    return stays, tests[tests["stored"] <= NOW], diagnoses


def in_mimic(stays, tests, diagnoses):
    ids = {"patient": "subject_id", "stay": "hadm_id"}
    admissions = stays.rename(columns={**ids, "start": "admittime", "end": "dischtime"})
    labs = tests.rename(
        columns={**ids, "drawn": "charttime", "stored": "storetime", "item": "itemid"}
    )
    codes = diagnoses.rename(columns={**ids, "item": "icd_code"}).astype({"icd_code": str})
    return {
        "admissions": admissions.assign(admission_type="URGENT", discharge_location="HOME"),
        "labevents": labs.assign(valuenum=1.0),
        "diagnoses_icd": codes.assign(icd_version=10),
    }


def in_omop(stays, tests, diagnoses):
    ids = {"patient": "person_id", "stay": "visit_occurrence_id"}
    visits = stays.rename(
        columns={**ids, "start": "visit_start_datetime", "end": "visit_end_datetime"}
    )
    # The model has one time of a measurement: take that of its result.
    labs = tests.rename(
        columns={**ids, "stored": "measurement_datetime", "item": "measurement_concept_id"}
    )
    codes = diagnoses.rename(
        columns={**ids, "start": "condition_start_datetime", "item": "condition_concept_id"}
    )
    return {
        "visit_occurrence": visits.assign(visit_concept_id=9201),
        "measurement": labs,
        "condition_occurrence": codes,
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("read", "layout"), [(read_mimic, in_mimic), (read_omop, in_omop)])
def test_tables_as_of_the_prediction_show_what_the_whole_tables_show(read, layout, seed):
    samples = pd.DataFrame({"patient_id": np.arange(N_PATIENTS), "prediction_time": NOW})

    def visible(tables):
        cohort = Cohort(EventTable(read(layout(*tables))), samples)
        events = cohort.visible_events()[["patient_id", "time", "code", "visit_id"]]
        return sorted(events.astype(str).itertuples(index=False, name=None))

    whole = random_stays(seed)
    now = as_of_now(*whole)
    assert len(now[2]) < len(whole[2])
    assert len(visible(whole)) > 300
    assert visible(now) == visible(whole)
