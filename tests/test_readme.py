"""The README is what a reader sees first: its code runs as it stands, and its links hold."""

import re

import numpy as np
import pytest
from pages import ROOT

from sklearn_ehr.datasets import make_visits

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
N_LINES = 95


@pytest.mark.slow
def test_lines_from_a_table_to_a_model_print_a_score_of_each_fold(
    few_epochs, tmp_path, monkeypatch, capsys
):
    X, y = make_visits(200, n_codes=40, random_state=0)
    X.visible_events().drop(columns="sample").to_csv(tmp_path / "events.csv", index=False)
    X.samples.assign(outcome=y).to_csv(tmp_path / "samples.csv", index=False)
    monkeypatch.chdir(tmp_path)
    (block,) = BLOCKS
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(names["X"]) == 200
    scores = np.fromstring(capsys.readouterr().out.strip("[]\n"), sep=" ")
    assert scores.shape == (5,)
    assert (scores > 0).all()


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text)
    inner = [link for link in links if "://" not in link]
    assert not [link for link in inner if not (ROOT / link).exists()]


def test_readme_fits_on_a_screen_and_a_half():
    assert len(README.splitlines()) <= N_LINES
