"""Net benefit and calibration slope, checked by hand and by other solvers."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from sklearn_ehr.inspection import calibration_slope, net_benefit
from sklearn_ehr.inspection._smoothing import smooth

Y = [1, 0, 1, 0, 0]
RISK = [0.8, 0.5, 0.3, 0.3, 0.1]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.0, 2 / 5),
        (0.1, 2 / 5 - 3 / 5 * 1 / 9),
        (0.2, 2 / 5 - 2 / 5 * 1 / 4),
        (0.3, 2 / 5 - 2 / 5 * 3 / 7),
        (0.4, 1 / 5 - 1 / 5 * 2 / 3),
        (0.5, 1 / 5 - 1 / 5 * 1),
        (0.75, 1 / 5),
        (0.9, 0.0),
    ],
)
def test_net_benefit_is_that_worked_out_by_hand(threshold, expected):
    assert net_benefit(Y, RISK, threshold) == pytest.approx(expected, abs=1e-12)
    assert net_benefit(Y, RISK, [threshold]).tolist() == pytest.approx([expected], abs=1e-12)


def test_net_benefit_of_treating_all_is_the_prevalence_less_the_harm():
    at = np.linspace(0, 0.9, 7)
    expected = 0.4 - 0.6 * at / (1 - at)
    np.testing.assert_allclose(net_benefit(Y, np.ones(5), at), expected, atol=1e-12)


def test_net_benefit_with_weights_is_that_of_repeated_samples():
    weight = np.array([1, 2, 0, 3, 1])
    at = np.array([0.1, 0.3, 0.6])
    repeated = net_benefit(np.repeat(Y, weight), np.repeat(RISK, weight), at)
    np.testing.assert_allclose(net_benefit(Y, RISK, at, sample_weight=weight), repeated)


@pytest.mark.parametrize(
    ("y_true", "y_prob", "message"),
    [
        ([0, 1], [0.1], "one outcome per risk"),
        ([0, 2], [0.1, 0.2], "must hold 0 and 1"),
        (["no", "yes"], [0.1, 0.2], "y == label"),
        ([0, None], [0.1, 0.2], "null outcomes"),
        (pd.Series([True, None], dtype="boolean"), [0.1, 0.2], "null outcomes"),
        ([0, 1], [0.1, 1.2], "between 0 and 1"),
        ([0, 1], [0.1, np.nan], "between 0 and 1"),
        ([0, 1], [[0.9, 0.1], [0.8, 0.2]], r"choose one: \[:, 1\]"),
        ([0, 1], ["a", "b"], "must hold numbers"),
        ([], [], "one sample at least"),
    ],
)
@pytest.mark.parametrize("metric", [calibration_slope, lambda *args: net_benefit(*args, 0.1)])
def test_outcomes_and_risks_that_make_no_sense_are_refused(metric, y_true, y_prob, message):
    with pytest.raises(ValueError, match=message):
        metric(y_true, y_prob)


@pytest.mark.parametrize("threshold", [1, 1.5, -0.1, np.nan])
def test_thresholds_outside_the_range_are_refused(threshold):
    with pytest.raises(ValueError, match=r"10 % is 0\.1"):
        net_benefit(Y, RISK, threshold)


def test_weights_that_are_negative_or_zero_are_refused():
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        net_benefit(Y, RISK, 0.1, sample_weight=[1, 1, 1, 1, -1])
    with pytest.raises(ValueError, match=r"0 for all|non-zero"):
        net_benefit(Y, RISK, 0.1, sample_weight=np.zeros(5))


def simulated(n, slope, shift, seed=0):
    """Outcomes, and risks whose log-odds are `slope` times too wide and `shift` too high."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-1.5, 1.2, n)
    y = rng.random(n) < 1 / (1 + np.exp(-log_odds))
    return y, 1 / (1 + np.exp(-(slope * log_odds + shift)))


def by_minimisation(y, risk):
    """Slope and intercept by scipy's optimiser, from the likelihood."""
    log_odds = np.log(risk / (1 - risk))

    def loss(eta):
        return np.sum(np.logaddexp(0, eta) - y * eta)

    options = {"method": "BFGS", "options": {"gtol": 1e-7}}
    line = minimize(lambda b: loss(b[0] + b[1] * log_odds), [0.0, 1.0], **options)
    shift = minimize(lambda b: loss(b[0] + log_odds), [0.0], **options)
    return line.x[1], shift.x[0]


@pytest.mark.parametrize(("slope", "shift"), [(1, 0), (2, 0), (0.5, 0), (1, 0.7), (-1, -2)])
def test_slope_and_intercept_are_those_of_another_solver(slope, shift):
    y, risk = simulated(500, slope, shift)
    assert calibration_slope(y, risk) == pytest.approx(by_minimisation(y, risk), abs=1e-5)


def newton(y, design, offset):
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(design @ beta + offset)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design
        beta += np.linalg.solve(hessian, design.T @ (y - p))
    return beta


def test_slope_and_intercept_are_those_of_newtons_method():
    y, risk = simulated(300, 1.4, 0.3, seed=1)
    log_odds = np.log(risk / (1 - risk))
    ones = np.ones((len(y), 1))
    found = calibration_slope(y, risk)
    slope = newton(y, np.column_stack([ones, log_odds]), 0)[1]
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.intercept == pytest.approx(newton(y, ones, log_odds)[0], abs=1e-6)


def test_calibrated_risks_have_slope_one_and_intercept_zero():
    slope, intercept = calibration_slope(*simulated(100_000, 1, 0))
    assert slope == pytest.approx(1, abs=0.02)
    assert intercept == pytest.approx(0, abs=0.02)


def test_risks_that_are_too_high_have_a_negative_intercept():
    assert calibration_slope(*simulated(2000, 1, 1)).intercept == pytest.approx(-1, abs=0.15)


def test_risks_without_a_finite_slope():
    assert calibration_slope([0, 0, 1], [0.1, 0.3, 0.3]).slope == np.inf
    assert calibration_slope([1, 0, 0], [0.1, 0.2, 0.3]).slope == -np.inf
    constant = calibration_slope([0, 0, 0, 1], [0.5] * 4)
    assert np.isnan(constant.slope)
    assert constant.intercept == pytest.approx(np.log(1 / 3))


def test_certain_risks_have_a_finite_intercept():
    y = [0, 1, 0, 1]
    found = calibration_slope(y, [0.0, 1.0, 1.0, 0.5])
    assert found == calibration_slope(y, [1e-6, 1 - 1e-6, 1 - 1e-6, 0.5])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("outcome", [0, 1])
def test_outcomes_of_one_kind_cannot_be_calibrated(outcome):
    with pytest.raises(ValueError, match="All outcomes in y_true are the same"):
        calibration_slope([outcome] * 3, [0.1, 0.2, 0.3])


def smooth_slowly(x, y, at, span):
    """Loess by its definition, one point at a time."""
    n_near = int(np.ceil(span * len(x)))
    values = []
    for t in at:
        near = np.argsort(np.abs(x - t), kind="stable")[:n_near]
        away = np.abs(x[near] - t)
        weight = np.sqrt((1 - (away / away.max() / (1 + 1e-6)) ** 3) ** 3)
        values.append(np.polyval(np.polyfit(x[near] - t, y[near], 1, w=weight), 0))
    return values


@pytest.mark.parametrize("span", [0.3, 0.75, 1.0])
def test_smooth_curve_is_a_weighted_line_through_the_neighbours(span):
    rng = np.random.default_rng(0)
    x, y = rng.random(60), rng.random(60)
    at = np.linspace(x.min(), x.max(), 15)
    np.testing.assert_allclose(smooth(x, y, at, span), smooth_slowly(x, y, at, span), atol=1e-9)


def test_smooth_curve_of_a_line_is_the_line():
    x = np.array([0.1, 0.1, 0.4, 0.2, 0.9])
    np.testing.assert_allclose(smooth(x, 2 * x + 1, x), 2 * x + 1)


def test_smooth_curve_of_equal_risks_is_the_mean():
    y = np.arange(3000) % 4 == 0
    np.testing.assert_allclose(smooth(np.full(3000, 0.13), y, np.array([0.13])), 0.25)


def test_smooth_curve_does_not_depend_on_the_order_of_equal_risks():
    x, at = np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.3]), np.array([0.1, 0.2, 0.25])
    y = np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(smooth(x, y, at), smooth(x[::-1], y[::-1], at))
