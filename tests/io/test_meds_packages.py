"""Datasets and samples made by the packages of MEDS themselves."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_ehr import CodeCountVectorizer, Cohort, EventTable, make_samples
from sklearn_ehr.io import (
    read_meds,
    read_meds_codes,
    read_meds_splits,
    to_meds,
    to_meds_predictions,
)
from sklearn_ehr.model_selection import PredefinedPatientSplit

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with the extra arrow")

GENERATE = "from meds_testing_helpers.dataset_generator import main; main()"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Folder of a dataset of 200 subjects, in two shards."""
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    pytest.importorskip("meds_testing_helpers", reason="it comes with the extra dev")
    folder = tmp_path_factory.mktemp("generated")
    options = [
        "seed=1",
        "N_subjects=200",
        "do_overwrite=False",
        "dataset_spec/data_generator=sample",
    ]
    paths = [f"output_dir={folder}/dataset", f"hydra.run.dir={folder}/log"]
    subprocess.run([sys.executable, "-c", GENERATE, *options, *paths], check=True)
    return folder / "dataset"


def test_generated_dataset_comes_back_as_it_was(generated):
    table = to_meds(read_meds(generated))
    pytest.importorskip("meds", reason="meds comes with the extra dev").DataSchema.validate(table)
    shards = parquet.read_table(generated / "data").replace_schema_metadata(None)
    assert len(list((generated / "data").glob("*.parquet"))) > 1
    assert table.equals(shards.sort_by("subject_id"))


def test_generated_codes_and_splits_are_read(generated):
    assert {"code", "description", "parent_codes"} <= set(read_meds_codes(generated))
    splits = read_meds_splits(generated)
    assert splits["patient_id"].nunique() == len(splits) == 200
    assert set(splits["split"]) == {"train", "tuning", "held_out"}


def test_model_of_generated_data_is_evaluated_by_meds_evaluation(generated):
    pytest.importorskip("meds_evaluation", reason="meds-evaluation comes with the extra dev")
    import polars as pl
    from meds_evaluation.evaluate import evaluate_binary_classification

    table = EventTable(read_meds(generated), null_time="static")
    samples, _ = make_samples(
        table, index=["dynamic//4"], outcome_codes=["dynamic//3"], horizon="3650D"
    )
    X = Cohort(table, samples)
    y = X.samples["outcome"].to_numpy()
    cv = PredefinedPatientSplit(read_meds_splits(generated), test=("tuning", "held_out"))
    train, test = next(cv.split(X))
    model = make_pipeline(CodeCountVectorizer(min_frequency=2), LogisticRegression(max_iter=1000))
    model.fit(X[train], y[train])
    predictions = to_meds_predictions(
        X[test].samples, model.predict_proba(X[test]), model.predict(X[test]), outcome="outcome"
    )
    result = evaluate_binary_classification(pl.from_arrow(predictions))
    result = result["samples_equally_weighted"]
    proba = model.predict_proba(X[test])[:, 1].astype(np.float32)
    assert result["brier_score"] == pytest.approx(np.mean((proba - y[test]) ** 2))
    assert result["binary_accuracy"] == pytest.approx(model.score(X[test], y[test]))


TASK = """
predicates:
  admission: {code: {regex: "^ADMISSION//.*"}}
  discharge: {code: {regex: "^DISCHARGE//.*"}}
  fever: {code: TEMP, value_min: 38.0}
trigger: admission
windows:
  input:
    start: null
    end: trigger + 1h
    start_inclusive: True
    end_inclusive: True
    index_timestamp: end
  target:
    start: input.end
    end: start -> discharge
    start_inclusive: False
    end_inclusive: True
    label: fever
"""
STAYS = [
    (7, None, "EYE_COLOR//BROWN", None),
    (7, "2020-01-01 08:00", "ADMISSION//URGENT", None),
    (7, "2020-01-01 08:30", "TEMP", 37.0),
    (7, "2020-01-01 12:00", "TEMP", 38.5),
    (7, "2020-01-02 09:00", "DISCHARGE//HOME", None),
    (8, "2020-02-01 08:00", "ADMISSION//URGENT", None),
    (8, "2020-02-01 12:00", "TEMP", 37.0),
    (8, "2020-02-02 09:00", "DISCHARGE//HOME", None),
]


@pytest.mark.slow
def test_samples_of_aces_are_samples_as_they_are(tmp_path, request):
    command = request.config.getoption("--aces")
    if command is None:
        pytest.skip("es-aces needs polars below 2, in an environment of its own: make test-aces")
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    events = pd.DataFrame(STAYS, columns=["patient_id", "time", "code", "value"])
    events["time"] = pd.to_datetime(events["time"])
    for folder in ("data", "task"):
        (tmp_path / folder).mkdir()
    parquet.write_table(to_meds(events), tmp_path / "data" / "0.parquet")
    (tmp_path / "task" / "fever.yaml").write_text(TASK)
    options = ["data.standard=meds", f"data.path={tmp_path}/data/0.parquet"]
    paths = [f"cohort_dir={tmp_path}/task", "cohort_name=fever"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([command, *paths, *options], check=True, env=environment, cwd=tmp_path)

    events = read_meds(tmp_path, visit_codes=("ADMISSION", "DISCHARGE"))
    labels = tmp_path / "task" / "fever.parquet"
    for samples in (labels, pd.read_parquet(labels)):
        X = Cohort(events, samples, null_time="static")
        assert X.groups.tolist() == [7, 8]
        expected = np.array(["2020-01-01T09:00", "2020-02-01T09:00"], "M8[us]")
        np.testing.assert_array_equal(X.prediction_times, expected)
        assert X.samples["boolean_value"].tolist() == [True, False]
        codes = X.visible_events().groupby("sample")["code"].agg(list)
        assert codes[0] == ["EYE_COLOR//BROWN", "ADMISSION//URGENT", "TEMP"]
        assert codes[1] == ["ADMISSION//URGENT"]
