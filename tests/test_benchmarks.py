"""Each benchmark runs from end to end on little data; what it measures is no test."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from sklearn_ehr import VisitSequenceTransformer

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def others():
    for package in ("polars", "pyarrow"):
        pytest.importorskip(package, reason=f"{package} comes with the extra benchmarks")


def test_transform(load, others):
    report = load("transform").main(n_patients=200, growth=(100, 200), n_rounds=1, n_processes=1)
    assert len(report.rows) == 8


def test_transform_compares_the_same_work(load, others):
    transform = load("transform")
    events = transform.make_events(50)
    ours = VisitSequenceTransformer(min_frequency=1, deduplicate=False).fit_transform(events)
    ours = np.split(ours.vocabulary.decode(ours.tokens), ours.visit_offsets[1:-1])
    frame = transform.as_polars(events)
    expected = [sorted(visit) for visit in ours]
    assert [sorted(visit) for visit in transform.with_polars_texts(frame)["code"]] == expected
    assert [sorted(visit) for visit in transform.with_pandas(events)] == expected
    assert [len(v) for v in transform.with_polars(frame)["code"]] == [len(v) for v in expected]


@pytest.mark.slow
def test_train(load):
    report = load("train").main(n_patients=150, n_steps=2, n_rounds=1, padded_gib=0.1)
    assert len(report.rows) == 11
    assert all(row["ratio"] > 0 for row in report.rows)


@pytest.mark.slow
def test_model_selection(load):
    report = load("model_selection").main(n_patients=300, n_simulated=300, max_epochs=1, n_rounds=1)
    assert [row["bar"] for row in report.rows] == ["<= 0.65", "<= 1"] * 2


@pytest.mark.slow
def test_bucketing(load):
    report = load("bucketing").main(n_patients=200, n_seeds=2, max_epochs=1, with_bundled=False)
    assert len(report.rows) == 3


def test_report_holds_ratios_against_bars(load, capsys, monkeypatch, tmp_path):
    module = load("_report")
    monkeypatch.setattr(module, "_HERE", tmp_path)
    monkeypatch.setattr(module, "_RESULTS", tmp_path / "results")
    (tmp_path / "README.md").write_text("What it is.\n\n# The last tables\n\noutdated")
    report = module.Report("demo")
    report.add("fast", "1 s", "4 s", 4.0, ">= 2")
    report.add("slow", "4 s", "1 s", 0.25, ">= 2")
    report.add("told only", "1 s", "1 s", 1.0)
    report.publish()
    holds = [line.split("|")[-2].strip() for line in capsys.readouterr().out.splitlines()]
    assert holds == ["holds", "-----", "yes", "NO", ""]
    told = (tmp_path / "README.md").read_text()
    assert told.startswith(
        "What it is.\n\n# The last tables\n\n1 of 2 bars hold. Not held:\n\n"
        "* slow: 0.25 (bar >= 2)\n\n## demo\n\n| what "
    )
    assert "outdated" not in told
    saved = json.loads((tmp_path / "results" / "demo.json").read_text())
    assert [row["holds"] for row in saved["rows"]] == [True, False, None]
    assert saved["machine"]["cpus"] >= 1
