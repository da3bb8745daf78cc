"""Events of small files of Synthea, worked out by hand."""

import pytest
from written_tables import (
    as_folder,
    as_frames,
    by_hand,
    pandas,
    polars,
    polars_lazy,
    rows_of,
    strings_of_arrow,
)

from sklearn_ehr import Cohort, EventTable, make_samples
from sklearn_ehr.io import read_synthea, read_synthea_visits

pytest.importorskip("duckdb", reason="duckdb comes with the extra store")

SYNTHEA = {
    "patients": """
        Id,BIRTHDATE,DEATHDATE,RACE,ETHNICITY,GENDER
        p-1,1950-05-17,2021-08-09,white,nonhispanic,F
        p-2,1981-01-30,,asian,nonhispanic,M
        """,
    "encounters": """
        Id,START,STOP,PATIENT,ENCOUNTERCLASS,CODE,DESCRIPTION,REASONCODE
        e-1,2020-03-01T10:15:00Z,2020-03-04T08:00:00Z,p-1,inpatient,183452005,Emergency admission,
        e-2,2020-06-01T09:00:00Z,2020-06-01T09:15:00Z,p-2,wellness,162673000,General examination,
        """,
    "conditions": """
        START,STOP,PATIENT,ENCOUNTER,SYSTEM,CODE,DESCRIPTION
        2020-03-01,,p-1,e-1,http://snomed.info/sct,84114007,Heart failure
        """,
    "procedures": """
        START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION
        2020-03-01T12:00:00Z,2020-03-01T12:30:00Z,p-1,e-1,40701008,Echocardiography
        """,
    "medications": """
        START,STOP,PATIENT,PAYER,ENCOUNTER,CODE,DESCRIPTION
        2020-03-02T11:00:00Z,,p-1,x,e-1,308136,Amlodipine 2.5 MG Oral Tablet
        """,
    "observations": """
        DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE
        2020-03-01T10:40:00Z,p-1,e-1,laboratory,4548-4,Hemoglobin A1c,6.3,%,numeric
        2020-06-01T09:00:00Z,p-2,e-2,survey,72166-2,Tobacco smoking status,Never smoker,,text
        2020-06-01T09:00:00Z,p-2,,,QOLS,QOLS,1.0,{score},numeric
        """,
    "immunizations": """
        DATE,PATIENT,ENCOUNTER,CODE,DESCRIPTION
        2020-06-01T09:00:00Z,p-2,e-2,140,Influenza
        """,
    "allergies": """
        START,STOP,PATIENT,ENCOUNTER,CODE,SYSTEM,DESCRIPTION
        2020-06-01,,p-2,e-2,7984,RxNorm,Penicillin V
        2020-06-01,,p-2,e-2,111088007,Unknown,Latex
        """,
    "devices": """
        START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,UDI
        2020-03-03T07:00:00Z,,p-1,e-1,72506001,Implantable defibrillator,x
        """,
    "careplans": """
        Id,START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION
        c-1,2020-03-04,,p-1,e-1,735985000,Heart failure self management plan
        """,
}

EVENTS = by_hand(
    """
    p-1 | 2020-03-01 10:15 | VISIT//inpatient             | e-1 |
    p-1 | 2020-03-01 10:15 | SNOMED//183452005            | e-1 |
    p-2 | 2020-06-01 09:00 | VISIT//wellness              | e-2 |
    p-2 | 2020-06-01 09:00 | SNOMED//162673000            | e-2 |
    p-1 | 2020-03-01       | SNOMED//84114007             | e-1 |
    p-1 | 2020-03-01 12:00 | SNOMED//40701008             | e-1 |
    p-1 | 2020-03-02 11:00 | RxNorm//308136               | e-1 |
    p-1 | 2020-03-01 10:40 | LOINC//4548-4                | e-1 | 6.3
    p-2 | 2020-06-01 09:00 | LOINC//72166-2//Never smoker | e-2 |
    p-2 | 2020-06-01 09:00 | LOINC//QOLS                  |     | 1
    p-2 | 2020-06-01 09:00 | CVX//140                     | e-2 |
    p-2 | 2020-06-01       | ALLERGY//RxNorm//7984        | e-2 |
    p-2 | 2020-06-01       | ALLERGY//SNOMED//111088007   | e-2 |
    p-1 | 2020-03-03 07:00 | SNOMED//72506001             | e-1 |
    p-1 | 2020-03-04       | SNOMED//735985000            | e-1 |
    p-1 | 2021-08-09       | death                        |     |
    """
)


@pytest.mark.parametrize("compressed", [False, True])
def test_events_of_a_folder_are_those_by_hand(compressed, tmp_path):
    events = read_synthea(as_folder(SYNTHEA, tmp_path, compressed))
    assert events.columns == ["patient_id", "time", "code", "visit_id", "value"]
    assert rows_of(events) == EVENTS


@pytest.mark.parametrize("kind", [pandas, strings_of_arrow, polars, polars_lazy])
def test_events_of_frames_are_those_by_hand(kind):
    frames = as_frames(SYNTHEA, kind)
    events = read_synthea(frames)
    assert type(events) is type(frames["patients"])
    assert rows_of(events) == EVENTS


def test_later_events_of_a_stay_are_invisible_a_day_after_admission(tmp_path):
    folder = as_folder(SYNTHEA, tmp_path)
    table = EventTable(read_synthea(folder))
    samples, _ = make_samples(
        table,
        index=read_synthea_visits(folder, encounter_class="inpatient"),
        offset="24h",
        outcome_codes=["death"],
        horizon="730D",
        observation_end="2024-01-01",
    )
    assert samples[["patient_id", "outcome"]].values.tolist() == [["p-1", 1]]
    assert set(Cohort(table, samples).visible_events()["code"]) == {
        "VISIT//inpatient",
        "SNOMED//183452005",
        "SNOMED//84114007",
        "SNOMED//40701008",
        "LOINC//4548-4",
    }


def test_person_adds_birth_and_static_facts(tmp_path):
    events = read_synthea(as_folder(SYNTHEA, tmp_path), domains=["death"], person=True)
    assert rows_of(events) == by_hand(
        """
        p-1 | 2021-08-09 | death                  | |
        p-1 | 1950-05-17 | birth                  | |
        p-2 | 1981-01-30 | birth                  | |
        p-1 |            | GENDER//F              | |
        p-2 |            | GENDER//M              | |
        p-1 |            | RACE//white            | |
        p-2 |            | RACE//asian            | |
        p-1 |            | ETHNICITY//nonhispanic | |
        p-2 |            | ETHNICITY//nonhispanic | |
        """
    )
    assert len(EventTable(events, null_time="static")) == 9


def test_encounters_are_all_or_those_of_a_class(tmp_path):
    folder = as_folder(SYNTHEA, tmp_path)
    stays = read_synthea_visits(folder, encounter_class="inpatient")
    assert stays.columns == ["patient_id", "time", "end_time", "visit_id"]
    assert rows_of(stays) == by_hand("p-1 | 2020-03-01 10:15 | 2020-03-04 08:00 | e-1")
    both = read_synthea_visits(folder, encounter_class=["inpatient", "wellness"])
    assert rows_of(both) == rows_of(read_synthea_visits(folder)) != rows_of(stays)


@pytest.mark.parametrize("encounter_class", [[], [1]])
def test_class_that_is_no_string_is_refused(encounter_class):
    with pytest.raises(ValueError, match="encounter_class=<list> is not accepted"):
        read_synthea_visits("no such folder", encounter_class=encounter_class)


def test_missing_tables_are_told_in_one_warning():
    frames = as_frames({"patients": SYNTHEA["patients"]}, pandas)
    with pytest.warns(UserWarning, match="no table encounters, conditions") as told:
        events = read_synthea(frames)
    assert len(told) == 1
    assert len(events) == 1
