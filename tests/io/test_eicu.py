"""Events of small tables in the schema of eICU, worked out by hand."""

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

from sklearn_ehr import Cohort, EventTable, PatientKFold, make_samples
from sklearn_ehr.io import read_eicu, read_eicu_visits

pytest.importorskip("duckdb", reason="duckdb comes with the extra store")

# Stays 1 and 2 are of one person, who dies in hospital after the second. Stay 3 is of a person over
# 89, who dies in the unit.
EICU = {
    "patient": """
        patientunitstayid,gender,age,ethnicity,apacheadmissiondx,hospitaladmitoffset,hospitaladmitsource,hospitaldischargeoffset,hospitaldischargelocation,hospitaldischargestatus,unittype,unitadmitsource,unitdischargeoffset,unitdischargelocation,unitdischargestatus,uniquepid
        1,Female,67,Caucasian,,-300,Emergency,6000,Home,Alive,MICU,Floor,2000,Floor,Alive,002-1
        2,Female,68,Caucasian,,-20,,9000,Death,Expired,MICU,Floor,3000,Floor,Alive,002-1
        3,Male,> 89,,,-10,Direct Admit,2500,Death,Expired,NICU,Floor,2400,Death,Expired,003-1
        """,
    "diagnosis": """
        diagnosisid,patientunitstayid,activeupondischarge,diagnosisoffset,diagnosisstring,icd9code,diagnosispriority
        1,1,True,30,cardiovascular|shock / hypotension|sepsis,"038.9, A41.9",Primary
        2,1,False,1500,burns/trauma|trauma - skeletal|fall,E888.9,Other
        3,2,True,10,endocrine|glucose metabolism|diabetes mellitus,"250.00,E11.9,V58.67",Major
        4,3,True,40,neurologic|altered mental status|coma,,Primary
        """,
    "admissiondx": """
        admissiondxid,patientunitstayid,admitdxenteredoffset,admitdxpath,admitdxname,admitdxtext
        1,1,12,admission diagnosis|Sepsis,Sepsis,Sepsis
        """,
    "medication": """
        medicationid,patientunitstayid,drugorderoffset,drugstartoffset,drugordercancelled,drugname,drugstopoffset
        1,1,50,40,No,VANCOMYCIN 1 GM IV SOLN,700
        2,1,55,60,Yes,HEPARIN,900
        3,1,55,60,No,,900
        """,
    "lab": """
        labid,patientunitstayid,labresultoffset,labtypeid,labname,labresult,labresulttext,labmeasurenamesystem,labmeasurenameinterface,labresultrevisedoffset
        1,1,1430,1,creatinine,1.8,1.8,mg/dL,mg/dL,1470
        2,1,-45,7,pH,7.31,7.31,,,-60
        """,
    "treatment": """
        treatmentid,patientunitstayid,treatmentoffset,treatmentstring,activeupondischarge
        1,1,35,pulmonary|ventilation|oxygen,False
        """,
}

EVENTS = by_hand(
    """
    1 | -300 | ADMITTED_FROM//Emergency                         |      | -300
    1 | 0    | ICU_ADMISSION//MICU                              |      | 0
    1 | 0    | ICU_ADMITTED_FROM//Floor                         |      | 0
    1 | 2000 | ICU_DISCHARGE//Floor                             |      | 2000
    1 | 6000 | DISCHARGE//Home                                  |      | 6000
    2 | -20  | ADMITTED_FROM                                    |      | -20
    2 | 0    | ICU_ADMISSION//MICU                              |      | 0
    2 | 0    | ICU_ADMITTED_FROM//Floor                         |      | 0
    2 | 3000 | ICU_DISCHARGE//Floor                             |      | 3000
    2 | 9000 | DISCHARGE//Death                                 |      | 9000
    3 | -10  | ADMITTED_FROM//Direct Admit                      |      | -10
    3 | 0    | ICU_ADMISSION//NICU                              |      | 0
    3 | 0    | ICU_ADMITTED_FROM//Floor                         |      | 0
    3 | 2400 | ICU_DISCHARGE//Death                             |      | 2400
    3 | 2500 | DISCHARGE//Death                                 |      | 2500
    1 | 30   | ICD9CM//038.9                                    |      | 30
    1 | 30   | ICD10CM//A41.9                                   |      | 30
    1 | 1500 | ICD9CM//E888.9                                   |      | 1500
    2 | 10   | ICD9CM//250.00                                   |      | 10
    2 | 10   | ICD10CM//E11.9                                   |      | 10
    2 | 10   | ICD9CM//V58.67                                   |      | 10
    3 | 40   | DIAGNOSIS//neurologic/altered mental status/coma |      | 40
    1 | 12   | ADMISSION_DX//admission diagnosis/Sepsis         |      | 12
    1 | 40   | DRUG//VANCOMYCIN 1 GM IV SOLN                    |      | 50
    1 | 60   | DRUG//HEPARIN                                    |      | 60
    1 | 1430 | LAB//creatinine//mg/dL                           | 1.8  | 1470
    1 | -45  | LAB//pH                                          | 7.31 | -45
    1 | 35   | TREATMENT//pulmonary/ventilation/oxygen          |      | 35
    2 | 9000 | death                                            |      | 9000
    3 | 2400 | death                                            |      | 2400
    """
)


def rows(events):
    """Rows with a slash for each bar of a path, as bars separate the columns of those by hand."""
    return [(*row[:2], row[2].replace("|", "/"), *row[3:]) for row in rows_of(events)]


@pytest.mark.parametrize("compressed", [False, True])
def test_events_of_a_folder_are_those_by_hand(compressed, tmp_path):
    events = read_eicu(as_folder(EICU, tmp_path, compressed))
    assert events.columns == ["patient_id", "time", "code", "value", "known_time"]
    assert rows(events) == EVENTS


@pytest.mark.parametrize("kind", [pandas, strings_of_arrow, polars, polars_lazy])
def test_events_of_frames_are_those_by_hand(kind):
    frames = as_frames(EICU, kind)
    events = read_eicu(frames)
    assert type(events) is type(frames["patient"])
    assert rows(events) == EVENTS


def test_nothing_known_only_later_is_visible_a_day_after_admission(tmp_path):
    folder = as_folder(EICU, tmp_path)
    table = EventTable(read_eicu(folder))
    samples, _ = make_samples(
        table,
        index=read_eicu_visits(folder),
        offset=24 * 60,
        outcome_codes=["death"],
        horizon=10_000,
        observation_end=20_000,
    )
    assert samples["outcome"].tolist() == [0, 1, 1]
    cohort = Cohort(table, samples)
    known = {row[2] for row in EVENTS if row[4] <= 1440}
    assert {code.replace("|", "/") for code in cohort.visible_events()["code"]} == known
    assert not known & {"LAB//creatinine//mg/dL", "ICD9CM//E888.9", "DISCHARGE//Home", "death"}


def test_stays_of_a_person_stay_on_one_side_of_a_split(tmp_path):
    folder = as_folder(EICU, tmp_path)
    stays = read_eicu_visits(folder)
    assert stays.columns == ["patient_id", "time", "end_time", "person_id"]
    assert rows_of(stays) == [(1, 0, 2000, "002-1"), (2, 0, 3000, "002-1"), (3, 0, 2400, "003-1")]
    samples = stays.df().assign(prediction_time=1440)
    cohort = Cohort(EventTable(read_eicu(folder)), samples, group="person_id")
    assert list(cohort.groups) == ["002-1", "002-1", "003-1"]
    tests = {tuple(test) for _, test in PatientKFold(2).split(cohort)}
    assert tests == {(0, 1), (2,)}


def test_person_is_static_and_over_89_is_90(tmp_path):
    events = read_eicu(as_folder(EICU, tmp_path), domains=["treatment"], person=True)
    static = [row for row in rows(events) if row[1] is None]
    assert static == by_hand(
        """
        1 | | GENDER//Female       |    |
        1 | | ETHNICITY//Caucasian |    |
        1 | | AGE                  | 67 |
        2 | | GENDER//Female       |    |
        2 | | ETHNICITY//Caucasian |    |
        2 | | AGE                  | 68 |
        3 | | GENDER//Male         |    |
        3 | | AGE                  | 90 |
        """
    )
    assert len(EventTable(events, null_time="static")) == 9


def test_missing_tables_are_told_in_one_warning():
    frames = as_frames({"lab": EICU["lab"]}, pandas)
    with pytest.warns(UserWarning, match="no table patient, diagnosis, admissiondx") as told:
        events = read_eicu(frames)
    assert len(told) == 1
    assert len(events) == 2


def test_domains_that_are_not_accepted_are_refused():
    with pytest.raises(ValueError, match="domains has 'icu'; accepted are visit, condition"):
        read_eicu("no such folder", domains=["icu"])
