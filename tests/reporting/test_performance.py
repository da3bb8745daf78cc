"""Figures and intervals are those of scikit-learn and of slow loops."""

import numpy as np
import pandas as pd
import pytest
from cases import Risk, drawn
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from sklearn_ehr import CodeCountVectorizer, report
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.inspection import calibration_slope
from sklearn_ehr.reporting import _draws
from sklearn_ehr.reporting._calibration_lines import CalibrationLines
from sklearn_ehr.reporting._performance import Predicted, estimate

THRESHOLDS = [0.1, 0.3, 0.5]
BENEFITS = [f"net_benefit at {threshold:g}" for threshold in THRESHOLDS]


def by_hand(y, risk):
    """All figures of outcomes and risks, by scikit-learn and from their definitions."""
    log_odds = np.log(risk / (1 - risk))
    line = LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000).fit(log_odds[:, None], y)
    shift = brentq(lambda a: np.sum(y - 1 / (1 + np.exp(-a - log_odds))), -20, 20, xtol=1e-12)
    brier = brier_score_loss(y, risk)
    figures = {
        "roc_auc": roc_auc_score(y, risk),
        "average_precision": average_precision_score(y, risk),
        "calibration_slope": line.coef_[0, 0],
        "calibration_in_the_large": shift,
        "brier_score": brier,
        "scaled_brier_score": 1 - brier / brier_score_loss(y, np.full(len(y), np.mean(y))),
    }
    for name, t in zip(BENEFITS, THRESHOLDS, strict=True):
        true = sum(1 for truth, p in zip(y, risk, strict=True) if p >= t and truth)
        false = sum(1 for truth, p in zip(y, risk, strict=True) if p >= t and not truth)
        figures[name] = true / len(y) - false / len(y) * t / (1 - t)
    return pd.Series(figures)


@pytest.fixture(scope="module")
def slow(data, model, other):
    """Figures of both models in the draws of the report, by slow loops."""
    X, y = data[2], data[3].to_numpy()
    risks = [of.predict_proba(X)[:, 1] for of in (model, other)]
    draws = [[by_hand(y[rows], risk[rows]) for risk in risks] for rows in drawn(X, 30, seed=5)]
    return [pd.DataFrame([draw[i] for draw in draws]) for i in (0, 1)]


def test_figures_are_those_of_scikit_learn_and_of_their_definitions(data, model, made):
    expected = by_hand(data[3].to_numpy(), model.predict_proba(data[2])[:, 1])
    metrics = made.performance["estimate"]
    np.testing.assert_allclose(metrics, expected[metrics.index], rtol=0, atol=2e-5)
    np.testing.assert_allclose(made.net_benefit["estimate"], expected[BENEFITS], atol=1e-12)


def test_intervals_are_those_of_a_slow_loop_over_draws_of_patients(made, slow):
    expected = slow[0].quantile([0.025, 0.975]).T
    performance = made.performance
    np.testing.assert_allclose(
        performance[["low", "high"]], expected.loc[performance.index], rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(
        made.net_benefit[["low", "high"]], expected.loc[BENEFITS], rtol=0, atol=1e-12
    )
    assert (performance["low"] < performance["high"]).all()


def test_differences_are_paired_on_the_same_draws(made, slow, data, other):
    expected = (slow[0] - slow[1]).quantile([0.025, 0.975]).T
    of_other = by_hand(data[3].to_numpy(), other.predict_proba(data[2])[:, 1])
    # Fewer than 10 patients with the outcome are below the lowest threshold of the other model.
    assert made.comparison.index[made.comparison["difference"].isna()].tolist() == BENEFITS[:1]
    table, expected = (frame.drop(index=BENEFITS[:1]) for frame in (made.comparison, expected))
    np.testing.assert_allclose(table[["low", "high"]], expected, rtol=0, atol=2e-4)
    np.testing.assert_allclose(table["comparison"], of_other[table.index], rtol=0, atol=2e-5)
    np.testing.assert_allclose(table["difference"], table["model"] - table["comparison"])
    # Paired, as a model less itself has no spread.
    unpaired = slow[0]["roc_auc"] - slow[1]["roc_auc"].to_numpy()[::-1]
    low, high = unpaired.quantile([0.025, 0.975])
    paired = made.comparison.loc["roc_auc"]
    assert paired["high"] - paired["low"] < 0.7 * (high - low)


def test_model_less_itself_is_zero(data, model):
    table = report(model, *data, comparison=model, thresholds=[0.2], n_bootstrap=5).comparison
    np.testing.assert_array_equal(table[["difference", "low", "high"]], 0)


def test_fast_figures_of_all_samples_are_the_estimates(data, model):
    X, y = data[2], data[3].to_numpy(dtype=bool)
    patient = np.unique(X.groups, return_inverse=True)[1]
    predicted = Predicted(y, model.predict_proba(X)[:, 1], patient)
    fast = _draws.RedrawnFigures(predicted, THRESHOLDS, patient.max() + 1)
    once = np.ones((1, patient.max() + 1), dtype=np.int32)
    np.testing.assert_allclose(fast(once)[:, 0], estimate(predicted, THRESHOLDS), atol=1e-6)


def test_draws_do_not_depend_on_how_many_are_scored_at_once(data, model, monkeypatch, made):
    monkeypatch.setattr(_draws, "N_DRAWS_OF_BLOCK", 7)
    again = report(
        model, *data, comparison=None, thresholds=THRESHOLDS, n_bootstrap=30, random_state=5
    )
    np.testing.assert_allclose(again.performance, made.performance, rtol=0, atol=1e-8)


def test_certain_risks_have_finite_calibration(data):
    X, y, X_test, y_test = data

    class Certain(Risk):
        def predict_proba(self, X):
            risk = super().predict_proba(X)[:, 1]
            risk = np.where(risk > 0.8, 1.0, np.where(risk < 0.05, 0.0, risk))
            return np.column_stack([1 - risk, risk])

    made = report(Certain().fit(X, y), X, y, X_test, y_test, comparison=None, n_bootstrap=10)
    assert np.isfinite(made.performance).all(axis=None)


def test_constant_risks_have_no_slope_and_the_figures_of_chance(data):
    class Constant(Risk):
        def predict_proba(self, X):
            return np.tile([0.75, 0.25], (len(X), 1))

    X, y, X_test, y_test = data
    made = report(Constant().fit(X, y), X, y, X_test, y_test, comparison=None, n_bootstrap=10)
    assert np.isnan(made.performance.loc["calibration_slope"]).all()
    np.testing.assert_array_equal(made.performance.loc["roc_auc"], 0.5)
    share = y_test.mean()
    expected = np.log(share / (1 - share)) - np.log(1 / 3)
    assert made.performance.loc["calibration_in_the_large", "estimate"] == pytest.approx(expected)
    assert len(made.calibration) == 1
    assert made.calibration["observed"].item() == pytest.approx(share)
    page = made._repr_html_()
    assert "nan" not in page
    assert "calibration slope</th><td>\N{EN DASH}</td>" in page


def test_separable_draws_have_no_slope_and_are_left_out():
    log_odds = np.array([-1.0, 1.0, 0.0, 2.0])
    is_event = np.array([False, False, True, True])
    predicted = Predicted(is_event, 1 / (1 + np.exp(-log_odds)), np.arange(4))
    counts = np.array([[1, 1, 1, 1], [1, 2, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    slope = CalibrationLines(predicted, 4, has_slope=True)(counts, counts.astype(float))
    for weight, found in zip(counts[:2], slope, strict=False):
        fitted = LogisticRegression(C=np.inf, tol=1e-9).fit(
            log_odds[:, None], is_event, sample_weight=weight
        )
        assert found == pytest.approx(fitted.coef_[0, 0], abs=1e-5)
    assert np.isnan(slope[2:]).all()
    shift = CalibrationLines(predicted, 4, has_slope=False)(counts, counts.astype(float))
    assert np.isfinite(shift[:3]).all()
    assert np.isnan(shift[3:]).all()


@pytest.mark.parametrize(
    "classifier",
    [DecisionTreeClassifier(random_state=0), LogisticRegression(C=1e4, max_iter=5000)],
)
def test_intervals_of_a_model_that_is_too_sure_are_those_of_calibration_slope(classifier):
    X, y = make_visits(800, random_state=0)
    model = make_pipeline(CodeCountVectorizer(), classifier).fit(X[:400], y[:400])
    made = report(
        model, X[:400], y[:400], X[400:], y[400:], comparison=None, n_bootstrap=100, random_state=3
    )
    y, risk = y[400:].to_numpy(), model.predict_proba(X[400:])[:, 1]
    draws = [calibration_slope(y[rows], risk[rows]) for rows in drawn(X[400:], 100, seed=3)]
    found = made.performance.loc[["calibration_slope", "calibration_in_the_large"]]
    assert found["estimate"].iloc[0] < 0.1
    expected = np.quantile(draws, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose(found[["low", "high"]], expected, rtol=1e-3)


def test_calibration_curve_is_the_share_by_tenths_of_the_risk(data, model, made):
    X, y = data[2], data[3].to_numpy()
    risk = model.predict_proba(X)[:, 1]
    edges = np.quantile(risk, np.arange(1, 10) / 10)
    tenth = pd.Series(np.searchsorted(edges, risk, side="right"))
    frame = pd.DataFrame({"y": y, "risk": risk}).groupby(tenth)
    curve = made.calibration
    # The lowest tenths have too few outcomes, and are one bin.
    n_merged = 10 - len(curve)
    assert n_merged > 0
    np.testing.assert_allclose(curve["observed"].iloc[-3:], frame["y"].mean().iloc[-3:])
    np.testing.assert_allclose(curve["mean_risk"].iloc[-3:], frame["risk"].mean().iloc[-3:])
    assert curve["n_samples"].sum() == len(y)
    assert (curve["mean_risk"].diff().dropna() > 0).all()
    assert ((curve["low"] <= curve["observed"]) & (curve["observed"] <= curve["high"])).all()
    total = (curve["n_samples"] * curve["observed"]).sum()
    assert total == pytest.approx(y.sum())


def test_interval_of_the_curve_is_that_of_a_slow_loop(data, model, made):
    X, y = data[2], data[3].to_numpy()
    risk = model.predict_proba(X)[:, 1]
    is_last = risk >= np.quantile(risk, 0.9)
    shares = [y[rows][is_last[rows]].mean() for rows in drawn(X, 30, seed=5)]
    np.testing.assert_allclose(
        made.calibration.loc[len(made.calibration), ["low", "high"]].astype(float),
        np.quantile(shares, [0.025, 0.975]),
    )


def test_net_benefit_of_treating_all_is_that_of_its_definition(data, made):
    share = data[3].mean()
    expected = [share - (1 - share) * t / (1 - t) for t in THRESHOLDS]
    np.testing.assert_allclose(made.net_benefit["treat_all"], expected)
    assert made.net_benefit.index.tolist() == THRESHOLDS
    of_other = made.comparison.loc[BENEFITS, "comparison"]
    np.testing.assert_array_equal(made.net_benefit["comparison"], of_other)


def test_report_is_the_same_for_a_seed_and_another_for_another(data, model, made, other):
    options = {"comparison": other, "thresholds": THRESHOLDS, "n_bootstrap": 30}
    same = report(model, *data, **options, random_state=5)
    pd.testing.assert_frame_equal(same.performance, made.performance)
    pd.testing.assert_frame_equal(same.comparison, made.comparison)
    another = report(model, *data, **options, random_state=6)
    assert (another.performance["low"] != made.performance["low"]).all()
    assert (another.performance["estimate"] == made.performance["estimate"]).all()
