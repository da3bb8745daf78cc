"""Events of small tables in the schemas of MIMIC-IV and MIMIC-III, worked out by hand."""

import pandas as pd
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
from sklearn_ehr.io import read_mimic, read_mimic_visits

pytest.importorskip("duckdb", reason="duckdb comes with the extra store")

# Patient 1 is in hospital and intensive care, and dies at home. Patient 2 dies in hospital, and is
# over 89. Patient 3 has a stay that has not ended, and a laboratory test outside of it.
MIMIC_IV = {
    "hosp/admissions": """
        subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admission_location,discharge_location,race
        1,10,2150-03-01 10:15:00,2150-03-06 15:30:00,,EW EMER.,EMERGENCY ROOM,HOME,WHITE
        2,20,2180-07-01 09:00:00,2180-07-03 04:20:00,2180-07-03 04:05:00,URGENT,,,ASIAN
        3,30,2200-01-01 08:00:00,,,ELECTIVE,,,
        """,
    "hosp/patients": """
        subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod
        1,F,60,2150,2008 - 2010,2150-09-20
        2,M,91,2180,2011 - 2013,2180-07-03
        3,F,34,2199,2014 - 2016,
        """,
    "hosp/diagnoses_icd": """
        subject_id,hadm_id,seq_num,icd_code,icd_version
        1,10,1,4280 ,9
        2,20,1,I509,10
        3,30,1,I10,10
        """,
    "hosp/procedures_icd": """
        subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version
        1,10,1,2150-03-02,0066,9
        2,20,1,2180-07-01,5A1935Z,10
        """,
    "hosp/prescriptions": """
        subject_id,hadm_id,starttime,stoptime,drug_type,drug,ndc
        1,10,2150-03-02 14:00:00,2150-03-04 14:00:00,MAIN,Furosemide,00409610204
        1,10,2150-03-03 08:00:00,2150-03-04 14:00:00,MAIN,Aspirin,0
        1,10,,,MAIN,Bag,0
        """,
    "hosp/labevents": """
        labevent_id,subject_id,hadm_id,specimen_id,itemid,charttime,storetime,value,valuenum,valueuom
        1,1,10,1,50912,2150-03-01 11:00:00,2150-03-01 12:10:00,1.4,1.4,mg/dL
        2,1,10,1,51484,2150-03-01 11:00:00,,NEG,,
        3,3,,2,50912,2199-12-01 07:00:00,2199-12-01 09:00:00,0.9,0.9,mg/dL
        """,
    "hosp/drgcodes": """
        subject_id,hadm_id,drg_type,drg_code,description,drg_severity,drg_mortality
        1,10,HCFA,291,HEART FAILURE & SHOCK W MCC,,
        3,30,APR,194,HEART FAILURE,2,2
        """,
    "hosp/transfers": """
        subject_id,hadm_id,transfer_id,eventtype,careunit,intime,outtime
        1,10,1,ED,Emergency Department,2150-03-01 08:00:00,2150-03-01 10:15:00
        1,10,2,discharge,,2150-03-06 15:30:00,
        """,
    "icu/icustays": """
        subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los
        1,10,11,Coronary ICU,Medical ICU,2150-03-02 01:00:00,2150-03-03 09:00:00,1.3
        """,
}

EVENTS = by_hand(
    """
    1 | 2150-03-01 10:15 | ADMISSION//EW EMER.            | 10 |     | 2150-03-01 10:15
    1 | 2150-03-01 10:15 | ADMITTED_FROM//EMERGENCY ROOM  | 10 |     | 2150-03-01 10:15
    1 | 2150-03-06 15:30 | DISCHARGE//HOME                | 10 |     | 2150-03-06 15:30
    2 | 2180-07-01 09:00 | ADMISSION//URGENT              | 20 |     | 2180-07-01 09:00
    2 | 2180-07-03 04:20 | DISCHARGE                      | 20 |     | 2180-07-03 04:20
    3 | 2200-01-01 08:00 | ADMISSION//ELECTIVE            | 30 |     | 2200-01-01 08:00
    1 | 2150-03-06 15:30 | ICD9CM//4280                   | 10 |     | 2150-03-06 15:30
    2 | 2180-07-03 04:20 | ICD10CM//I509                  | 20 |     | 2180-07-03 04:20
    1 | 2150-03-02       | ICD9Proc//0066                 | 10 |     | 2150-03-06 15:30
    2 | 2180-07-01       | ICD10PCS//5A1935Z              | 20 |     | 2180-07-03 04:20
    1 | 2150-03-02 14:00 | DRUG//Furosemide               | 10 |     | 2150-03-02 14:00
    1 | 2150-03-03 08:00 | DRUG//Aspirin                  | 10 |     | 2150-03-03 08:00
    1 | 2150-03-01 11:00 | LAB//50912//mg/dL              | 10 | 1.4 | 2150-03-01 12:10
    1 | 2150-03-01 11:00 | LAB//51484                     | 10 |     | 2150-03-01 11:00
    3 | 2199-12-01 07:00 | LAB//50912//mg/dL              |    | 0.9 | 2199-12-01 09:00
    1 | 2150-03-06 15:30 | DRG//HCFA//291                 | 10 |     | 2150-03-06 15:30
    1 | 2150-03-01 08:00 | TRANSFER//Emergency Department | 10 |     | 2150-03-01 08:00
    1 | 2150-03-02 01:00 | ICU_ADMISSION//Coronary ICU    | 10 |     | 2150-03-02 01:00
    1 | 2150-03-03 09:00 | ICU_DISCHARGE//Medical ICU     | 10 |     | 2150-03-03 09:00
    1 | 2150-09-20       | death                          |    |     | 2150-09-20
    2 | 2180-07-03 04:05 | death                          |    |     | 2180-07-03 04:05
    """
)

# Patient 1 is over 89: the date of birth is 300 years before the first admission.
MIMIC_III = {
    "ADMISSIONS": """
        ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,ADMISSION_LOCATION,DISCHARGE_LOCATION,ETHNICITY
        1,1,10,2150-03-01 10:15:00,2150-03-06 15:30:00,,EMERGENCY,CLINIC REFERRAL,SNF,WHITE
        2,2,20,2160-01-02 00:00:00,2160-01-04 11:00:00,,NEWBORN,PHYS REFERRAL,HOME,ASIAN
        """,
    "PATIENTS": """
        ROW_ID,SUBJECT_ID,GENDER,DOB,DOD,DOD_HOSP,DOD_SSN,EXPIRE_FLAG
        1,1,F,1850-03-01 00:00:00,2150-09-20 00:00:00,,2150-09-20 00:00:00,1
        2,2,M,2160-01-02 00:00:00,,,,0
        """,
    "DIAGNOSES_ICD": """
        ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE
        1,1,10,1,0389
        2,2,20,1,V3000
        """,
    "PROCEDURES_ICD": """
        ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE
        1,1,10,1,9671
        """,
    "PRESCRIPTIONS": """
        ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,STARTDATE,ENDDATE,DRUG_TYPE,DRUG,NDC
        1,1,10,,2150-03-02 00:00:00,2150-03-04 00:00:00,MAIN,Furosemide,00409610204
        """,
    "LABEVENTS": """
        ROW_ID,SUBJECT_ID,HADM_ID,ITEMID,CHARTTIME,VALUE,VALUENUM,VALUEUOM,FLAG
        1,1,10,50912,2150-03-01 11:00:00,1.4,1.4,mg/dL,abnormal
        """,
    "DRGCODES": """
        ROW_ID,SUBJECT_ID,HADM_ID,DRG_TYPE,DRG_CODE,DESCRIPTION,DRG_SEVERITY,DRG_MORTALITY
        1,1,10,HCFA,416,SEPTICEMIA AGE >17,,
        """,
    "TRANSFERS": """
        ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,EVENTTYPE,PREV_CAREUNIT,CURR_CAREUNIT,INTIME,OUTTIME
        1,1,10,11,admit,,MICU,2150-03-01 10:20:00,2150-03-02 12:00:00
        2,1,10,,transfer,MICU,,2150-03-02 12:00:00,2150-03-06 15:30:00
        3,1,10,,discharge,,,2150-03-06 15:30:00,
        """,
    "ICUSTAYS": """
        ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,FIRST_CAREUNIT,LAST_CAREUNIT,INTIME,OUTTIME,LOS
        1,1,10,11,MICU,MICU,2150-03-01 10:20:00,,
        """,
}

EVENTS_III = by_hand(
    """
    1 | 2150-03-01 10:15 | ADMISSION//EMERGENCY           | 10 |     | 2150-03-01 10:15
    1 | 2150-03-01 10:15 | ADMITTED_FROM//CLINIC REFERRAL | 10 |     | 2150-03-01 10:15
    1 | 2150-03-06 15:30 | DISCHARGE//SNF                 | 10 |     | 2150-03-06 15:30
    2 | 2160-01-02       | ADMISSION//NEWBORN             | 20 |     | 2160-01-02
    2 | 2160-01-02       | ADMITTED_FROM//PHYS REFERRAL   | 20 |     | 2160-01-02
    2 | 2160-01-04 11:00 | DISCHARGE//HOME                | 20 |     | 2160-01-04 11:00
    1 | 2150-03-06 15:30 | ICD9CM//0389                   | 10 |     | 2150-03-06 15:30
    2 | 2160-01-04 11:00 | ICD9CM//V3000                  | 20 |     | 2160-01-04 11:00
    1 | 2150-03-06 15:30 | ICD9Proc//9671                 | 10 |     | 2150-03-06 15:30
    1 | 2150-03-02       | DRUG//Furosemide               | 10 |     | 2150-03-02
    1 | 2150-03-01 11:00 | LAB//50912//mg/dL              | 10 | 1.4 | 2150-03-01 11:00
    1 | 2150-03-06 15:30 | DRG//HCFA//416                 | 10 |     | 2150-03-06 15:30
    1 | 2150-03-01 10:20 | TRANSFER//MICU                 | 10 |     | 2150-03-01 10:20
    1 | 2150-03-01 10:20 | ICU_ADMISSION//MICU            | 10 |     | 2150-03-01 10:20
    1 | 2150-09-20       | death                          |    |     | 2150-09-20
    """
)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("tables", "expected"), [(MIMIC_IV, EVENTS), (MIMIC_III, EVENTS_III)], ids=["IV", "III"]
)
def test_events_of_a_folder_are_those_by_hand(tables, expected, compressed, tmp_path):
    events = read_mimic(as_folder(tables, tmp_path, compressed))
    assert events.columns == ["patient_id", "time", "code", "visit_id", "value", "known_time"]
    assert rows_of(events) == expected


@pytest.mark.parametrize("kind", [strings_of_arrow, polars, polars_lazy])
@pytest.mark.parametrize(
    ("tables", "expected"), [(MIMIC_IV, EVENTS), (MIMIC_III, EVENTS_III)], ids=["IV", "III"]
)
def test_events_of_frames_of_strings_are_those_by_hand(tables, expected, kind):
    frames = as_frames(tables, kind)
    events = read_mimic(frames)
    assert type(events) is type(next(iter(frames.values())))
    assert rows_of(events) == expected


def test_events_of_pandas_are_those_by_hand_where_codes_are_read_as_strings():
    frames = as_frames(MIMIC_IV, lambda text: pd.read_csv(text, dtype={"icd_code": "string"}))
    assert rows_of(read_mimic(frames)) == EVENTS


def test_nothing_known_only_at_discharge_is_visible_a_day_after_admission(tmp_path):
    folder = as_folder(MIMIC_IV, tmp_path)
    table = EventTable(read_mimic(folder))
    samples, _ = make_samples(
        table,
        index=read_mimic_visits(folder),
        offset="24h",
        outcome_codes=["death"],
        competing_codes=["DISCHARGE//HOME", "DISCHARGE"],
        horizon="90D",
        observation_end="2201-01-01",
    )
    assert samples["patient_id"].tolist() == [1, 2, 3]
    assert samples["event"].tolist() == [2, 1, 0]
    cohort = Cohort(table, samples)
    visible = [sorted(cohort[i].visible_events()["code"]) for i in range(3)]
    assert visible == [
        [
            "ADMISSION//EW EMER.",
            "ADMITTED_FROM//EMERGENCY ROOM",
            "ICU_ADMISSION//Coronary ICU",
            "LAB//50912//mg/dL",
            "LAB//51484",
            "TRANSFER//Emergency Department",
        ],
        ["ADMISSION//URGENT"],
        ["ADMISSION//ELECTIVE", "LAB//50912//mg/dL"],
    ]


def test_laboratory_test_is_invisible_until_its_result_is_stored(tmp_path):
    table = EventTable(read_mimic(as_folder(MIMIC_IV, tmp_path), domains=["measurement"]))
    samples = pd.DataFrame(
        {
            "patient_id": [1, 1],
            "prediction_time": pd.to_datetime(["2150-03-01 12:00", "2150-03-01 12:10"]),
        }
    )
    cohort = Cohort(table, samples)
    assert [len(cohort[i].visible_events()) for i in range(2)] == [1, 2]


def test_national_drug_codes_are_read_on_request_and_names_kept_where_there_is_none(tmp_path):
    events = read_mimic(as_folder(MIMIC_IV, tmp_path), domains=["drug"], drug_codes="ndc")
    assert [row[2] for row in rows_of(events)] == ["NDC//00409610204", "DRUG//Aspirin"]


def test_person_of_mimic_iv_is_born_at_the_start_of_a_year(tmp_path):
    folder = as_folder(MIMIC_IV, tmp_path)
    events = read_mimic(folder, domains=["drg"], person=True)
    assert rows_of(events) == by_hand(
        """
        1 | 2150-03-06 15:30 | DRG//HCFA//291 | 10 | | 2150-03-06 15:30
        1 |                  | GENDER//F      |    | |
        2 |                  | GENDER//M      |    | |
        3 |                  | GENDER//F      |    | |
        1 | 2090-01-01       | birth          |    | | 2090-01-01
        2 | 2089-01-01       | birth          |    | | 2089-01-01
        3 | 2165-01-01       | birth          |    | | 2165-01-01
        1 | 2150-03-01 10:15 | RACE//WHITE    | 10 | | 2150-03-01 10:15
        2 | 2180-07-01 09:00 | RACE//ASIAN    | 20 | | 2180-07-01 09:00
        """
    )
    assert len(EventTable(events, null_time="static")) == 9


def test_person_of_mimic_iii_over_89_is_91_at_first_admission(tmp_path):
    events = read_mimic(as_folder(MIMIC_III, tmp_path), domains=["drg"], person=True)
    births = [row[:3] for row in rows_of(events) if row[2] == "birth"]
    assert births == [
        (1, "2059-01-01 00:00:00", "birth"),
        (2, "2160-01-02 00:00:00", "birth"),
    ]


def test_stays_are_those_of_the_hospital_or_of_intensive_care(tmp_path):
    folder = as_folder(MIMIC_IV, tmp_path)
    stays = read_mimic_visits(folder)
    assert stays.columns == ["patient_id", "time", "end_time", "visit_id"]
    assert rows_of(stays) == by_hand(
        """
        1 | 2150-03-01 10:15 | 2150-03-06 15:30 | 10
        2 | 2180-07-01 09:00 | 2180-07-03 04:20 | 20
        3 | 2200-01-01 08:00 |                  | 30
        """
    )
    assert rows_of(read_mimic_visits(folder, icu=True)) == by_hand(
        "1 | 2150-03-02 01:00 | 2150-03-03 09:00 | 10"
    )


def test_missing_tables_are_told_in_one_warning():
    frames = as_frames({"hosp/labevents": MIMIC_IV["hosp/labevents"]}, pandas)
    with pytest.warns(UserWarning, match="no table admissions, diagnoses_icd, .*domains=") as told:
        events = read_mimic(frames)
    assert len(told) == 1
    assert len(events) == 3


def test_billed_codes_need_the_time_of_discharge():
    frames = as_frames({"hosp/drgcodes": MIMIC_IV["hosp/drgcodes"]}, pandas)
    with pytest.raises(ValueError, match=r"no table admissions.*discharge in drg"):
        read_mimic(frames, domains=["drg"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"domains": ["diagnosis"]}, "domains has 'diagnosis'; accepted are visit, condition"),
        ({"domains": "drug"}, "give a list"),
        ({"domains": []}, "give a list"),
        ({"drug_codes": "rxnorm"}, "'name' or 'ndc'"),
    ],
)
def test_parameters_that_are_not_accepted_are_refused_before_the_source_is_opened(
    parameters, message
):
    with pytest.raises(ValueError, match=message):
        read_mimic("no such folder", **parameters)


@pytest.mark.parametrize("kind", [pandas, polars])
def test_value_of_another_type_is_refused_without_naming_it(kind):
    labs = MIMIC_IV["hosp/labevents"].replace("2150-03-01 11:00:00,,NEG", "secret,,NEG")
    with pytest.raises(ValueError, match="'charttime' of table 'labevents' cannot") as error:
        read_mimic(as_frames({"hosp/labevents": labs}, kind), domains=["measurement"])
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None
