"""MEDS datasets: events, codes, subject splits and labels."""

import numpy as np
import pandas as pd
import pytest
from any_frame import HEAVY, IN_MEMORY, LAZY
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import CodeCountVectorizer, Cohort, EventTable, make_samples
from sklearn_ehr.io import read_meds, read_meds_codes, read_meds_splits
from sklearn_ehr.model_selection import PredefinedPatientSplit
from sklearn_ehr.utils import read_frame

pa = pytest.importorskip("pyarrow", reason="pyarrow comes with the extra arrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with the extra arrow")

EVENTS = [
    # subject, time, code, value, text
    (1, None, "EYE_COLOR//BROWN", None, None),
    (1, "1950-03-01 00:00", "MEDS_BIRTH", None, None),
    (1, "2020-01-01 08:00", "ADMISSION//URGENT", None, None),
    (1, "2020-01-01 09:30", "HR", 101.5, None),
    (1, "2020-01-03 12:00", "DISCHARGE//HOME", None, None),
    (2, "2020-02-01 10:00", "NOTE", None, "well"),
    (2, "2020-02-02 11:00", "HR", 64.0, None),
    (3, "2020-03-01 07:00", "HR", 80.25, None),
]
SHARDS = {"train/0": slice(0, 5), "train/1": slice(5, 7), "held_out/0": slice(7, 8)}
SCHEMA = pa.schema(
    {
        "subject_id": pa.int64(),
        "time": pa.timestamp("us"),
        "code": pa.string(),
        "numeric_value": pa.float32(),
        "text_value": pa.large_string(),
    }
)
LABELS = pa.table(
    {
        "subject_id": [2, 1, 1],
        "prediction_time": pa.array(
            pd.to_datetime(["2020-02-02 10:00", "2020-01-01 09:30", "2020-01-01 09:00"]),
            pa.timestamp("us"),
        ),
        "boolean_value": [False, True, True],
        # As ACES writes them.
        "integer_value": pa.nulls(3, pa.int64()),
        "float_value": pa.nulls(3, pa.float32()),
        "categorical_value": pa.nulls(3, pa.string()),
    }
)


def shard(rows):
    frame = pd.DataFrame(EVENTS[rows], columns=SCHEMA.names)
    frame["time"] = pd.to_datetime(frame["time"])
    return pa.Table.from_pandas(frame, SCHEMA, preserve_index=False)


def whole():
    return shard(slice(None))


@pytest.fixture
def dataset(tmp_path):
    """Folder of a MEDS dataset of three subjects."""
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    root = tmp_path / "dataset"
    for name, rows in SHARDS.items():
        path = root / "data" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(shard(rows), path)
    (root / "metadata").mkdir()
    codes = {
        "code": ["HR", "NOTE"],
        "description": ["Heart rate", None],
        "parent_codes": pa.array([["LOINC/8867-4"], None], pa.list_(pa.string())),
    }
    parquet.write_table(pa.table(codes), root / "metadata" / "codes.parquet")
    splits = {"subject_id": [1, 2, 3], "split": ["train", "tuning", "held_out"]}
    parquet.write_table(pa.table(splits), root / "metadata" / "subject_splits.parquet")
    return root


def assert_same_events(events):
    expected = whole().to_pandas()
    events = read_frame(events, "events").sort_values(["patient_id", "time"], na_position="first")
    assert list(events) == ["patient_id", "time", "code", "value", "text_value"]
    assert events["patient_id"].tolist() == expected["subject_id"].tolist()
    assert events["code"].tolist() == expected["code"].tolist()
    values = events["value"].to_numpy(np.float64, na_value=np.nan)
    np.testing.assert_array_equal(values, expected["numeric_value"])
    times = pd.to_datetime(events["time"]).to_numpy("M8[us]")
    np.testing.assert_array_equal(times, expected["time"])


@pytest.mark.parametrize("part", ["", "data", "data/**/*.parquet"])
def test_shards_of_a_folder_are_events_in_standard_columns(dataset, part):
    assert_same_events(read_meds(dataset / part))


@pytest.mark.parametrize("kind", [*IN_MEMORY, *LAZY, *HEAVY])
def test_frame_of_any_library_becomes_one_of_its_own(kind, tmp_path):
    frame = kind(whole(), tmp_path)
    events = read_meds(frame)
    assert type(events) is type(frame)
    assert_same_events(events)


def test_dataset_is_a_relation_that_a_table_reads(dataset):
    import duckdb

    events = read_meds(dataset)
    assert isinstance(events, duckdb.DuckDBPyRelation)
    assert len(EventTable(events, null_time="static")) == len(EVENTS)


def test_values_are_optional_and_other_columns_stay():
    events = read_meds(
        pd.DataFrame({"hadm_id": [5], "code": ["a"], "time": [0], "subject_id": [1]})
    )
    assert list(events) == ["patient_id", "time", "code", "hadm_id"]


def test_codes_come_with_their_descriptions(dataset):
    codes = read_meds_codes(dataset)
    assert codes["code"].tolist() == ["HR", "NOTE"]
    assert codes["description"].fillna("none").tolist() == ["Heart rate", "none"]
    assert list(codes["parent_codes"][0]) == ["LOINC/8867-4"]
    assert read_meds_codes(dataset / "metadata" / "codes.parquet").equals(codes)


def test_splits_are_those_of_patients(dataset):
    splits = read_meds_splits(dataset)
    assert splits["patient_id"].tolist() == [1, 2, 3]
    assert splits["split"].tolist() == ["train", "tuning", "held_out"]
    splitter = PredefinedPatientSplit(splits, train=("train", "tuning"), test="held_out")
    ((train, test),) = splitter.split(
        Cohort(read_meds(dataset), null_time="static", prediction_time=None)
    )
    assert train.tolist() == [0, 1]
    assert test.tolist() == [2]


def test_labels_are_samples_as_they_are(dataset, tmp_path):
    parquet.write_table(LABELS, tmp_path / "labels.parquet")
    labels = pd.read_parquet(tmp_path / "labels.parquet")
    cohort = Cohort(read_meds(dataset), labels, null_time="static")
    assert cohort.groups.tolist() == [2, 1, 1]
    assert cohort.samples["boolean_value"].tolist() == [False, True, True]
    assert cohort.resolution == "instant"
    # Up to and including the prediction time, as MEDS defines it.
    events = cohort.visible_events()
    assert events.groupby("sample")["code"].agg(list).to_dict() == {
        0: ["NOTE"],
        1: ["EYE_COLOR//BROWN", "MEDS_BIRTH", "ADMISSION//URGENT", "HR"],
        2: ["EYE_COLOR//BROWN", "MEDS_BIRTH", "ADMISSION//URGENT"],
    }
    # Those in files are sorted by patient and prediction time.
    from_file = Cohort(read_meds(dataset), tmp_path / "labels.parquet", null_time="static")
    assert from_file.samples["boolean_value"].tolist() == [True, True, False]
    assert from_file.groups.tolist() == [1, 1, 2]


@pytest.mark.parametrize("make", [lambda e: EventTable(e, null_time="static"), lambda e: e])
def test_events_of_meds_and_its_labels_share_an_id_of_patients(dataset, make):
    events = make(read_meds(dataset))
    options = {} if isinstance(events, EventTable) else {"null_time": "static"}
    cohort = Cohort(events, LABELS, **options)
    assert cohort.groups.tolist() == [2, 1, 1]
    assert cohort.event_table.columns["patient_id"] == "patient_id"
    assert cohort.event_table.columns["value"] == "value"


def test_samples_are_drawn_from_events_of_meds(dataset):
    table = EventTable(read_meds(dataset), null_time="static")
    samples, _ = make_samples(
        table, index=["ADMISSION//URGENT"], outcome_codes=["HR"], horizon="3D"
    )
    assert samples["outcome"].tolist() == [1]


def test_model_is_scored_on_the_split_of_meds():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(300), 3)
    shards = pd.DataFrame(
        {
            "subject_id": subject,
            "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, 900), "h"),
            "code": rng.choice(["a", "b", "c"], 900),
            "numeric_value": np.float32(0),
        }
    )
    labels = pd.DataFrame({"subject_id": np.arange(300), "prediction_time": pd.Timestamp("2021")})
    has_a = shards.groupby("subject_id")["code"].agg(lambda codes: "a" in set(codes))
    labels["boolean_value"] = has_a.to_numpy()
    splits = pd.DataFrame(
        {"subject_id": np.arange(300), "split": ["train", "tuning", "held_out"] * 100}
    )
    X = Cohort(read_meds(shards), labels)
    model = make_pipeline(CodeCountVectorizer(min_frequency=1), LogisticRegression())
    cv = PredefinedPatientSplit(read_meds_splits(splits))
    scores = cross_val_score(model, X, X.samples["boolean_value"], cv=cv, scoring="roc_auc")
    assert scores.shape == (1,)
    assert scores[0] > 0.9


def meds(**columns):
    frame = {"subject_id": [987654321], "time": pd.to_datetime(["2017-03-04"]), "code": ["SECRET"]}
    return pd.DataFrame(frame | columns)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: read_meds(meds().drop(columns="code")),
            ValueError,
            "no column 'code' among its 2",
        ),
        (lambda: read_meds(meds().drop(columns=["code", "time"])), ValueError, "'time', 'code'"),
        (lambda: read_meds([["SECRET"]]), TypeError, "data must be a pandas DataFrame.*got list"),
        (lambda: read_meds(meds(patient_id=1)), ValueError, "'patient_id' among its columns"),
        (lambda: read_meds(meds(numeric_value=1, value=1)), ValueError, "'value' among"),
        (
            lambda: read_meds(meds(visit_id=1), visit_codes=("A", "B")),
            ValueError,
            "'visit_id' among its columns",
        ),
        (lambda: read_meds(meds(), visit_codes="ADMISSION"), TypeError, "the code that starts"),
        (lambda: read_meds(meds(), visit_codes=("A", 1)), TypeError, "<tuple> is not accepted"),
        (lambda: read_meds(meds(), visit_codes=("A", "A//")), ValueError, "includes the other"),
        (lambda: read_meds(meds(), visit_codes=("A", "A//B")), ValueError, "includes the other"),
        (lambda: read_meds(meds(), visit_codes=("A//B", "A")), ValueError, "includes the other"),
        (lambda: read_meds(meds(), visit_codes=("//", "A")), ValueError, "is empty"),
        (lambda: read_meds_codes(meds(code=1).drop(columns="code")), ValueError, "column 'code'"),
        (lambda: read_meds_splits(meds()), ValueError, "no column 'split'"),
        (lambda: read_meds_splits(7), TypeError, "data must be"),
    ],
)
def test_what_is_no_meds_is_refused_without_showing_a_cell(call, error, message):
    with pytest.raises(error, match=message) as info:
        call()
    assert not [cell for cell in ("SECRET", "987654321", "2017") if cell in str(info.value)]


@pytest.mark.parametrize("read", [read_meds, read_meds_codes, read_meds_splits])
def test_folder_without_files_is_told(read, tmp_path):
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    with pytest.raises(
        FileNotFoundError, match=r"data=.* (is no parquet file|has no file metadata/)"
    ):
        read(tmp_path)


def test_events_are_not_read_as_metadata(tmp_path):
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    (tmp_path / "data").mkdir()
    meds().assign(split="train").to_parquet(tmp_path / "data" / "0.parquet")
    for read, file in ((read_meds_codes, "codes"), (read_meds_splits, "subject_splits")):
        with pytest.raises(FileNotFoundError, match=f"metadata/{file}.parquet"):
            read(tmp_path)
