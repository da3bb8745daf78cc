import subprocess
import sys
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort
from sklearn_ehr.datasets import load_diabetes_readmission


@pytest.fixture(scope="module")
def bunch():
    return load_diabetes_readmission()


@pytest.fixture(scope="module")
def code_counts(bunch):
    return bunch.events["code"].value_counts()


@pytest.fixture(scope="module")
def prefix(bunch):
    return bunch.events["code"].cat.categories.str.split("//").str[0]


def codes_of(bunch, visit):
    return sorted(bunch.events.loc[bunch.events["visit_id"] == visit, "code"])


def test_all_patients_and_encounters_are_there(bunch):
    assert bunch.events["patient_id"].nunique() == 49_900
    assert bunch.events["visit_id"].nunique() == 70_843
    assert list(bunch.events.columns) == ["patient_id", "visit_id", "time", "code"]
    assert not bunch.events.isna().any(axis=None)


def test_samples_are_the_encounters_not_ended_by_death_or_hospice(bunch):
    assert list(bunch.samples.columns) == [
        "patient_id",
        "prediction_time",
        "visit_id",
        "readmitted",
    ]
    assert len(bunch.samples) == 69_136
    assert bunch.samples["visit_id"].is_unique
    assert bunch.samples["patient_id"].nunique() == 48_813
    assert not bunch.samples.isna().any(axis=None)


def test_outcome_counts_readmissions_within_30_days(bunch):
    assert bunch.target.value_counts().to_dict() == {0: 61_251, 1: 7_885}
    assert bunch.target.dtype == np.int64
    pd.testing.assert_series_equal(bunch.target, bunch.samples["readmitted"])


def test_number_of_events_of_each_kind(bunch, prefix):
    kinds = pd.Series(prefix[bunch.events["code"].cat.codes]).value_counts()
    assert kinds.to_dict() == {
        "ICD9": 211_254,
        "ICD9_PRIMARY": 70_828,
        "DRUG": 83_654,
        "GLUCOSE": 3_769,
        "A1C": 11_852,
        "RACE": 69_265,
        "SEX": 70_843,
        "AGE": 70_843,
        "SPECIALTY": 36_089,
        "ADMISSION_TYPE": 67_210,
        "ADMISSION_SOURCE": 66_045,
        "DISCHARGE": 68_319,
        "OUTPATIENT": 70_843,
        "EMERGENCY": 70_843,
        "INPATIENT": 70_843,
        "DAYS": 70_843,
        "LABS": 70_843,
        "PROCEDURES": 70_843,
        "MEDICATIONS": 70_843,
        "DIAGNOSES": 70_843,
    }


def test_an_encounter_has_exactly_the_codes_of_its_row(bunch):
    # Diagnoses 276, 8, V12; admission source NULL; 9 laboratory tests, 11 drugs.
    assert codes_of(bunch, 17_307) == sorted(
        [
            "ICD9_PRIMARY//276",
            "ICD9//276",
            "ICD9//008",
            "ICD9//V12",
            "DRUG//metformin//Steady",
            "DRUG//glyburide//Steady",
            "GLUCOSE//Norm",
            "RACE//Caucasian",
            "SEX//Male",
            "AGE//[70-80)",
            "ADMISSION_TYPE//Emergency",
            "SPECIALTY//Family/GeneralPractice",
            "DISCHARGE//Discharged to home",
            "OUTPATIENT//0",
            "EMERGENCY//0",
            "INPATIENT//0",
            "DAYS//2",
            "LABS//1-9",
            "PROCEDURES//0",
            "MEDICATIONS//10-14",
            "DIAGNOSES//8",
        ]
    )


def test_an_encounter_at_the_upper_ends_of_the_bins(bunch):
    # 14 days, 6 inpatient visits, specialty unknown.
    assert codes_of(bunch, 31_850) == sorted(
        [
            "ICD9_PRIMARY//V57",
            "ICD9//V57",
            "ICD9//799",
            "ICD9//585",
            "DRUG//insulin//Down",
            "A1C//Norm",
            "RACE//Caucasian",
            "SEX//Female",
            "AGE//[60-70)",
            "ADMISSION_TYPE//Elective",
            "ADMISSION_SOURCE//Physician Referral",
            "DISCHARGE//Discharged to home",
            "OUTPATIENT//1",
            "EMERGENCY//0",
            "INPATIENT//5+",
            "DAYS//11-14",
            "LABS//40-49",
            "PROCEDURES//0",
            "MEDICATIONS//10-14",
            "DIAGNOSES//9",
        ]
    )


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("ICD9//008", 622),
        ("ICD9//428", 12_737),
        ("ICD9_PRIMARY//428", 4_795),
        ("INPATIENT//5+", 1_455),
        ("DAYS//11-14", 3_877),
        ("LABS//40-49", 15_618),
        ("MEDICATIONS//40+", 1_078),
        ("DIAGNOSES//10+", 65),
        ("OUTPATIENT//0", 59_037),
        ("PROCEDURES//6", 3_441),
        ("DRUG//insulin//Up", 7_975),
        ("GLUCOSE//>300", 887),
        ("DISCHARGE//Expired", 1_160),
    ],
)
def test_count_of_a_code_over_all_encounters(code_counts, code, count):
    assert code_counts[code] == count


def test_every_icd9_code_has_three_digits_before_the_point(bunch, prefix):
    codes = bunch.events["code"].cat.categories
    icd9 = codes[prefix.isin(["ICD9", "ICD9_PRIMARY"])].str.split("//").str[1]
    assert icd9.str.fullmatch(r"(\d{3}|V\d\d|E\d{3})(\.\d{1,2})?").all()


def test_no_code_tells_of_the_outcome_the_payer_or_a_missing_value(bunch, prefix):
    codes = bunch.events["code"].cat.categories
    assert set(prefix) == {
        *("ICD9", "ICD9_PRIMARY", "DRUG", "GLUCOSE", "A1C", "RACE", "SEX", "AGE"),
        *("ADMISSION_TYPE", "ADMISSION_SOURCE", "DISCHARGE", "SPECIALTY", "OUTPATIENT"),
        *("EMERGENCY", "INPATIENT", "DAYS", "LABS", "PROCEDURES", "MEDICATIONS", "DIAGNOSES"),
    }
    assert not codes.str.contains(r"readmi|payer|weight|\?|<30|>30$|diabetesMed", case=False).any()
    assert not codes.str.split("//").str[-1].isin(["No", "None", "NULL", "nan", ""]).any()


def test_encounter_ended_by_hospice_is_history_and_no_sample(bunch):
    # Patient 12517: first encounter ended in a hospice facility, a second one in a hospital.
    events = bunch.events[bunch.events["patient_id"] == 12_517]
    assert sorted(events["visit_id"].unique()) == [17_577, 17_578]
    sample = np.flatnonzero(bunch.samples["patient_id"] == 12_517)
    assert bunch.samples.loc[sample, "visit_id"].tolist() == [17_578]
    seen = bunch.data[sample].visible_events()
    assert "DISCHARGE//Hospice / medical facility" in set(seen["code"])
    assert set(seen["visit_id"]) == {17_577, 17_578}


def test_no_sample_ends_in_death_or_hospice(bunch):
    ended = bunch.events["code"].astype(str).str.match("DISCHARGE//(Expired|Hospice)")
    visits = bunch.events.loc[ended, "visit_id"]
    assert len(visits) == 70_843 - 69_136
    assert not bunch.samples["visit_id"].isin(visits).any()


def test_time_is_the_rank_of_the_encounter_within_its_patient(bunch):
    visits = bunch.events.drop_duplicates("visit_id")
    rank = visits.sort_values("visit_id").groupby("patient_id").cumcount()
    assert (visits["time"] == rank).all()
    assert visits["time"].max() == 39
    assert (bunch.events.groupby("visit_id")["time"].nunique() == 1).all()


def test_visit_ids_have_no_gaps_that_could_tell_the_outcome(bunch):
    assert (np.unique(bunch.events["visit_id"]) == np.arange(70_843)).all()
    visits = bunch.events.drop_duplicates("visit_id").sort_values("visit_id")
    assert (visits.groupby("patient_id")["visit_id"].diff().dropna() == 1).all()


def test_a_sample_sees_its_own_encounter_and_none_after(bunch):
    sample = int(np.flatnonzero(bunch.samples["visit_id"] == 31_850)[0])
    assert bunch.samples.loc[sample, "prediction_time"] == 5
    seen = bunch.data[sample].visible_events()
    assert sorted(seen["visit_id"].unique()) == [31_845, 31_846, 31_847, 31_848, 31_849, 31_850]


def test_return_X_y_gives_the_cohort_and_its_outcome(bunch):
    X, y = load_diabetes_readmission(return_X_y=True)
    assert isinstance(X, Cohort)
    assert X.shape == (69_136,)
    pd.testing.assert_series_equal(y, X.samples["readmitted"])
    pd.testing.assert_series_equal(y, bunch.target)


def assert_same_events(one, other):
    """Compare categorical codes by their integers: a million texts take many seconds."""
    assert one["code"].dtype == other["code"].dtype
    pd.testing.assert_index_equal(one["code"].cat.categories, other["code"].cat.categories)
    one, other = (frame.assign(code=frame["code"].cat.codes) for frame in (one, other))
    pd.testing.assert_frame_equal(one, other)


def test_changing_a_loaded_frame_leaves_the_next_load_unchanged(bunch):
    other = load_diabetes_readmission()
    assert_same_events(other.events, bunch.events)
    other.samples["readmitted"] = 9
    other.events["time"] = -1
    again = load_diabetes_readmission()
    pd.testing.assert_frame_equal(again.samples, bunch.samples)
    assert_same_events(again.events, bunch.events)


def test_description_names_source_and_licence(bunch):
    assert "CC BY 4.0" in bunch.DESCR
    assert "10.1155/2014/781670" in bunch.DESCR
    assert "CC BY 4.0" in load_diabetes_readmission.__doc__


def test_return_X_y_must_be_a_bool():
    with pytest.raises(ValueError, match="return_X_y"):
        load_diabetes_readmission(return_X_y="yes")


def test_loading_needs_no_pyarrow():
    script = (
        "import sys; sys.modules['pyarrow'] = None; "
        "from sklearn_ehr.datasets import load_diabetes_readmission as load; "
        "assert len(load().samples) == 69136"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_shipped_file_is_small_and_holds_no_pickle():
    path = files("sklearn_ehr.datasets") / "data" / "diabetes130.npz"
    assert len(path.read_bytes()) < 700_000
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
