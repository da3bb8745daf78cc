"""What a cohort sees of a hospital's tables is what the tables held at the prediction."""

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, EventTable
from sklearn_ehr.io import read_eicu, read_mimic, read_omop

pytest.importorskip("pyarrow", reason="pyarrow comes with the extra arrow")
pytestmark = [
    pytest.mark.filterwarnings("ignore:source has no table"),
    pytest.mark.filterwarnings("ignore:.*samples have no visible event"),
    pytest.mark.filterwarnings("ignore:.*over a century later"),
]

NOW = pd.Timestamp("2150-06-01 12:00")
N_PATIENTS, N_STAYS = 60, 200


def random_hospital(seed):
    """Stays about NOW, each with tests, diagnoses, a procedure and drugs, and deaths of some."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2150-01-01 10:00") + pd.to_timedelta(rng.integers(0, 300, N_STAYS), "D")
    stays = pd.DataFrame(
        {
            "patient": rng.integers(0, N_PATIENTS, N_STAYS),
            "stay": 1 + np.arange(N_STAYS),
            "start": start,
            "end": start + pd.to_timedelta(rng.integers(1, 20, N_STAYS), "D"),
            "place": rng.integers(1, 5, N_STAYS),
        }
    )

    def in_stays(n_rows, n_hours):
        rows = stays.drop(columns="place").loc[stays.index.repeat(n_rows)].reset_index(drop=True)
        rows["at"] = rows["start"] + pd.to_timedelta(rng.integers(1, n_hours, len(rows)), "h")
        return rows.assign(item=rng.integers(1, 5, len(rows)))

    tests, drugs = in_stays(2, 200), in_stays(2, 100)
    tests["stored"] = tests["at"] + pd.to_timedelta(rng.integers(0, 48, len(tests)), "h")
    drugs["until"] = drugs["at"] + pd.to_timedelta(rng.integers(1, 300, len(drugs)), "h")
    deaths = pd.DataFrame({"patient": np.arange(N_PATIENTS)})
    days = pd.Series(
        pd.Timestamp("2150-03-01") + pd.to_timedelta(rng.integers(0, 200, N_PATIENTS), "D")
    )
    deaths["day"] = days.where(rng.random(N_PATIENTS) < 0.5)
    return {
        "stays": stays,
        "tests": tests,
        "diagnoses": in_stays(3, 24),
        "procedures": in_stays(1, 24),
        "drugs": drugs,
        "deaths": deaths,
    }


def as_of_now(hospital):
    """What of it was known at NOW; a death is known when its day has ended."""
    stays, tests, drugs = hospital["stays"], hospital["tests"], hospital["drugs"]
    has_ended, deaths = stays["end"] <= NOW, hospital["deaths"]
    is_known = deaths["day"] < NOW.normalize()
    return {
        "stays": stays[["end", "place"]]
        .where(has_ended)
        .combine_first(stays.drop(columns=["end", "place"]))[stays["start"] <= NOW],
        "tests": tests[tests["stored"] <= NOW],
        "diagnoses": hospital["diagnoses"][hospital["diagnoses"]["end"] <= NOW],
        "procedures": hospital["procedures"][hospital["procedures"]["end"] <= NOW],
        "drugs": drugs.assign(until=drugs["until"].where(drugs["until"] <= NOW))[
            drugs["at"] <= NOW
        ],
        "deaths": deaths.assign(day=deaths["day"].where(is_known)),
    }


def in_mimic(hospital):
    ids = {"patient": "subject_id", "stay": "hadm_id"}
    tables = {name: table.rename(columns=ids) for name, table in hospital.items()}
    stays = tables["stays"].assign(
        place=tables["stays"]["place"].map("UNIT {:.0f}".format, na_action="ignore")
    )
    admissions = stays.rename(
        columns={"start": "admittime", "end": "dischtime", "place": "discharge_location"}
    )
    units = stays.rename(columns={"start": "intime", "end": "outtime", "place": "last_careunit"})
    labs = tables["tests"].rename(
        columns={"at": "charttime", "stored": "storetime", "item": "itemid"}
    )
    drgs = tables["diagnoses"].rename(columns={"item": "drg_code"}).astype({"drg_code": str})
    codes, operations = (
        tables[name]
        .rename(columns={"item": "icd_code", "at": "chartdate"})
        .astype({"icd_code": str})
        for name in ("diagnoses", "procedures")
    )
    orders = tables["drugs"].rename(columns={"at": "starttime", "item": "drug"})
    people = tables["deaths"].rename(columns={"day": "dod"})
    return {
        "admissions": admissions.assign(admission_type="URGENT"),
        "icustays": units.assign(first_careunit="MICU"),
        "labevents": labs.assign(valuenum=1.0),
        "diagnoses_icd": codes.assign(icd_version=10),
        "procedures_icd": operations.assign(icd_version=10),
        "drgcodes": drgs.assign(drg_type="HCFA"),
        "prescriptions": orders.astype({"drug": str}),
        "patients": people,
    }


def in_omop(hospital):
    ids = {"patient": "person_id", "stay": "visit_occurrence_id"}
    tables = {name: table.rename(columns=ids) for name, table in hospital.items()}
    visits = tables["stays"].rename(
        columns={
            "start": "visit_start_datetime",
            "end": "visit_end_datetime",
            "place": "discharged_to_concept_id",
        }
    )
    # The model has one time of a measurement: take that of its result.
    labs = tables["tests"].rename(
        columns={"stored": "measurement_datetime", "item": "measurement_concept_id"}
    )
    codes = tables["diagnoses"].rename(
        columns={"at": "condition_start_datetime", "item": "condition_concept_id"}
    )
    orders = tables["drugs"].rename(
        columns={
            "at": "drug_exposure_start_datetime",
            "until": "drug_exposure_end_datetime",
            "item": "drug_concept_id",
        }
    )
    deaths = tables["deaths"].dropna().rename(columns={"day": "death_date"})
    return {
        # Every other stay began in the emergency room.
        "visit_occurrence": visits.assign(
            visit_concept_id=9201 - visits["visit_occurrence_id"] % 2 * 8939
        ),
        "measurement": labs,
        "condition_occurrence": codes,
        "drug_exposure": orders,
        "death": deaths,
    }


def omop_with_ends(tables):
    return read_omop(tables, drug_ends=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("read", "layout"), [(read_mimic, in_mimic), (omop_with_ends, in_omop)])
def test_tables_as_of_the_prediction_show_what_the_whole_tables_show(read, layout, seed):
    samples = pd.DataFrame({"patient_id": np.arange(N_PATIENTS), "prediction_time": NOW})

    def visible(hospital):
        cohort = Cohort(EventTable(read(layout(hospital))), samples)
        events = cohort.visible_events()[["patient_id", "time", "code", "visit_id"]]
        return sorted(events.astype(str).itertuples(index=False, name=None))

    whole = random_hospital(seed)
    now = as_of_now(whole)
    assert all(now[name].count().sum() < whole[name].count().sum() for name in whole)
    assert len(visible(whole)) > 300
    assert visible(now) == visible(whole)


def random_unit(rng):
    """Tables of eICU: stays of up to 6,000 minutes."""
    stay = np.arange(N_STAYS)
    unit_end = rng.integers(500, 4000, N_STAYS)
    hospital_end = unit_end + rng.integers(0, 2000, N_STAYS)
    dies = rng.random(N_STAYS) < 0.3
    patient = pd.DataFrame(
        {
            "patientunitstayid": stay,
            "uniquepid": "one",
            "hospitaladmitoffset": -rng.integers(0, 500, N_STAYS),
            "hospitaladmitsource": "ED",
            "unittype": "MICU",
            "unitadmitsource": "ED",
            "unitdischargeoffset": unit_end,
            "unitdischargelocation": "Ward",
            "unitdischargestatus": "Alive",
            "hospitaldischargeoffset": hospital_end,
            "hospitaldischargelocation": np.where(dies, "Death", "Home"),
            "hospitaldischargestatus": np.where(dies, "Expired", "Alive"),
        }
    )
    minute = rng.integers(-100, 4000, 3 * N_STAYS)
    ids = {"patientunitstayid": np.repeat(stay, 3)}
    later = minute + rng.integers(0, 500, len(minute))
    item = rng.integers(1, 5, len(minute)).astype(str)
    return {
        "patient": patient,
        "diagnosis": pd.DataFrame(
            {**ids, "diagnosisoffset": minute, "icd9code": item, "diagnosisstring": item}
        ),
        "lab": pd.DataFrame(
            {
                **ids,
                "labresultoffset": minute,
                "labresultrevisedoffset": later,
                "labname": item,
                "labmeasurenamesystem": "mg/dL",
                "labresult": 1.0,
            }
        ),
        "medication": pd.DataFrame(
            {**ids, "drugstartoffset": minute, "drugorderoffset": later, "drugname": item}
        ),
    }


def unit_as_of(tables, minute):
    """What of them was known by a minute."""
    patient = tables["patient"].copy()
    for place in ("unit", "hospital"):
        columns = [f"{place}discharge{what}" for what in ("offset", "location", "status")]
        patient[columns] = patient[columns].where(patient[columns[0]] <= minute)
    known_at = {
        "diagnosis": "diagnosisoffset",
        "lab": "labresultrevisedoffset",
        "medication": "drugorderoffset",
    }
    rows = {name: tables[name][tables[name][known] <= minute] for name, known in known_at.items()}
    return {"patient": patient, **rows}


@pytest.mark.parametrize("seed", range(3))
def test_minutes_of_a_unit_show_nothing_of_later_ones(seed):
    whole, minute = random_unit(np.random.default_rng(seed)), 1500
    samples = pd.DataFrame({"patient_id": np.arange(N_STAYS), "prediction_time": minute})

    def visible(tables):
        cohort = Cohort(EventTable(read_eicu(tables)), samples)
        events = cohort.visible_events()[["patient_id", "time", "code"]]
        return sorted(events.itertuples(index=False, name=None))

    now = unit_as_of(whole, minute)
    assert all(now[name].count().sum() < whole[name].count().sum() for name in whole)
    assert len(visible(whole)) > 300
    assert visible(now) == visible(whole)
