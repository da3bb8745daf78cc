import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitSurvival,
    PatientKFold,
    VisitSequenceTransformer,
    make_samples,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.estimators.targets import (
    common_log_odds,
    cut_time,
    end_of_follow_up,
    place_in_intervals,
    read_survival,
)
from sklearn_ehr.nn import DiscreteHazardLoss

N = 1500
RNG = np.random.default_rng(0)
X = RNG.integers(2, 8, (N, 3, 2))
IS_ILL = (X[:, 2] == 2).any(axis=1)
EVENT_DAY = RNG.exponential(np.where(IS_ILL, 20, 100))
LOST_DAY = RNG.uniform(0, 150, N)


def outcome(event, time):
    return np.rec.fromarrays([event, time], names=["event", "time"])


Y = outcome(EVENT_DAY <= LOST_DAY, np.minimum(EVENT_DAY, LOST_DAY))


def tiny(**params):
    given = {"embedding_dim": 8, "hidden_dim": 8, "max_epochs": 2, "random_state": 0}
    return LSTMVisitSurvival(**{**given, "device": "cpu", **params})


def untrained(**params):
    """So small a learning rate leaves the first weights as they are."""
    return tiny(max_epochs=1, lr=1e-20, dropout=0.0, early_stopping=False, **params)


@pytest.fixture(scope="module")
def model():
    return tiny(max_epochs=30, lr=0.01, early_stopping=False, n_intervals=10).fit(X, Y)


def test_events_and_the_censored_are_at_risk_in_these_intervals():
    ends = np.array([10.0, 20.0, 40.0])
    cause = [1, 1, 2, 1, 0, 0, 0, 0, 0]
    time = [0, 10, 11, 40, 4, 5, 29, 30, 99]
    wanted = [
        [1, -1, -1],
        [1, -1, -1],
        [0, 2, -1],
        [0, 0, 1],
        [-1, -1, -1],
        [0, -1, -1],
        [0, 0, -1],
        [0, 0, 0],
        [0, 0, 0],
    ]
    assert place_in_intervals(np.array(cause), np.array(time), ends).tolist() == wanted


def test_intervals_end_at_quantiles_of_event_times():
    event = np.array([1, 1, 2, 1, 0, 0])
    time = np.array([1.0, 2.0, 3.0, 5.0, 0.5, 99.0])
    assert cut_time(event, time, 2).tolist() == [2.5, 5.0]
    assert cut_time(event, time, 1).tolist() == [5.0]
    assert cut_time(event, np.array([1.0, 1.0, 1.0, 5.0, 0.5, 99.0]), 4).tolist() == [1.0, 2.0, 5.0]


def test_likelihood_is_that_of_a_case_by_hand():
    # Hazards 0.2 and 0.5; one event in the second interval, one in the first, one lost after it.
    logits = torch.tensor([0.2, 0.5]).logit().repeat(3, 1)
    target = torch.tensor([[0, 1], [1, -1], [0, -1]])
    wanted = -np.log([0.8 * 0.5, 0.2, 0.8])
    for offset in (0.0, 1.5):
        loss = DiscreteHazardLoss(offset=[[offset], [offset]], reduction="none")
        np.testing.assert_allclose(loss(logits - offset, target), wanted, rtol=1e-6)
    mean, total = (DiscreteHazardLoss([[0.0], [0.0]], reduction=way) for way in ("mean", "sum"))
    np.testing.assert_allclose(mean(logits, target), wanted.mean(), rtol=1e-6)
    np.testing.assert_allclose(total(logits, target), wanted.sum(), rtol=1e-6)


def test_likelihood_of_competing_events_is_that_of_a_case_by_hand():
    # In both intervals none, readmitted, dead: 0.5, 0.3, 0.2.
    logits = torch.log(torch.tensor([[0.3, 0.2, 0.3, 0.2]]) / 0.5).repeat(2, 1)
    loss = DiscreteHazardLoss(offset=np.zeros((2, 2)), reduction="none")
    target = torch.tensor([[2, -1], [0, 1]])
    np.testing.assert_allclose(loss(logits, target), -np.log([0.2, 0.5 * 0.3]), rtol=1e-6)


def test_common_odds_count_who_is_at_risk_by_weight():
    target = np.array([[1, -1], [0, 1], [0, 0], [0, -1]])
    odds = common_log_odds(target, np.array([1.0, 1.0, 2.0, 5.0]), 1)
    np.testing.assert_allclose(odds, np.log([[1.5 / 8.5], [1.5 / 2.5]]))


@pytest.mark.usefixtures("without_bias_fit")
def test_history_reports_the_likelihood():
    fitted = untrained(n_intervals=5).fit(X, Y)
    survival = np.column_stack([np.ones(N), fitted.predict_survival_function(X, return_array=True)])
    k = np.searchsorted(fitted.unique_times_, Y.time)
    ends = np.append(0, fitted.unique_times_)
    half_over = np.searchsorted((ends[1:] + ends[:-1]) / 2, Y.time, side="right")
    rows = np.arange(N)
    at_event = survival[rows, k] - survival[rows, np.minimum(k + 1, 5)]
    likelihood = np.where(Y.event, at_event, survival[rows, half_over])
    np.testing.assert_allclose(fitted.history_["train_loss"], -np.log(likelihood).mean(), rtol=1e-5)


def test_risk_is_learnt_and_curves_are_right(model):
    risk, survival = model.predict(X), model.predict_survival_function(X, return_array=True)
    hazard, incidence = (
        model.predict_cumulative_hazard_function(X, return_array=True),
        model.predict_cumulative_incidence(X),
    )
    n_times = len(model.unique_times_)
    assert risk.shape == (N,)
    assert survival.shape == hazard.shape == (N, n_times)
    assert incidence.shape == (N, 1, n_times)
    assert {array.dtype for array in (risk, survival, hazard, incidence)} == {np.dtype(float)}
    assert (np.diff(survival, axis=1) < 0).all()
    np.testing.assert_allclose(survival, np.exp(-hazard))
    np.testing.assert_allclose(survival + incidence[:, 0], 1)
    np.testing.assert_allclose(risk, hazard.sum(axis=1))
    for is_group, scale in [(IS_ILL, 20), (~IS_ILL, 100)]:
        expected = np.exp(-model.unique_times_ / scale)
        assert np.abs(survival[is_group].mean(axis=0) - expected)[:-1].max() < 0.1


def test_metrics_of_scikit_survival_take_what_is_returned(model):
    metrics = pytest.importorskip("sksurv.metrics")
    index = metrics.concordance_index_censored(Y.event, Y.time, model.predict(X))[0]
    best = metrics.concordance_index_censored(Y.event, Y.time, 1.0 * IS_ILL)[0]
    assert index == model.score(X, Y) > best - 0.01
    times = model.unique_times_[:-1]
    arrays = model.predict_survival_function(X, return_array=True)[:, :-1]
    functions = model.predict_survival_function(X, return_array=False)
    brier = metrics.integrated_brier_score(Y, Y, arrays, times)
    also = metrics.integrated_brier_score(Y, Y, np.array([f(times) for f in functions]), times)
    assert brier == pytest.approx(also)
    everyone = np.tile(np.exp(-times / 60), (N, 1))
    assert brier < metrics.integrated_brier_score(Y, Y, everyone, times)


def test_scorers_of_scikit_survival_take_the_estimator(model):
    metrics = pytest.importorskip("sksurv.metrics")
    times = model.unique_times_[:-1]
    scorer = metrics.as_integrated_brier_score_scorer(model, times=times).fit(X, Y)
    arrays = scorer.estimator_.predict_survival_function(X, return_array=True)[:, :-1]
    brier = metrics.integrated_brier_score(Y, Y, arrays, times)
    assert scorer.score(X, Y) == pytest.approx(-brier)
    by_default = model.predict_survival_function(X)
    assert by_default.shape == (N,)
    assert by_default[0](times[2]) == model.predict_survival_function(X, return_array=True)[0, 2]


def test_step_functions_begin_at_time_0(model):
    pytest.importorskip("sksurv.functions")
    first = model.unique_times_[0]
    survival = model.predict_survival_function(X, return_array=False)[0]
    hazard = model.predict_cumulative_hazard_function(X, return_array=False)[0]
    assert survival(0) == survival(first / 2) == 1
    assert hazard(0) == hazard(first / 2) == 0
    assert survival(first) == model.predict_survival_function(X, return_array=True)[0, 0]
    assert hazard(first) == model.predict_cumulative_hazard_function(X, return_array=True)[0, 0]


def test_event_at_time_0_is_in_the_step_function():
    pytest.importorskip("sksurv.functions")
    y = np.rec.fromarrays([[True] * 4, [0.0, 0.0, 5.0, 9.0]])
    model = LSTMVisitSurvival(
        n_intervals=4, max_epochs=1, early_stopping=False, device="cpu", random_state=0
    )
    model.fit(X[:4], y)
    assert model.unique_times_[0] == 0
    survival = model.predict_survival_function(X[:4], return_array=True)
    functions = model.predict_survival_function(X[:4], return_array=False)
    np.testing.assert_array_equal([f(0) for f in functions], survival[:, 0])
    np.testing.assert_array_equal([f(2) for f in functions], survival[:, 0])


def test_step_functions_are_flat_from_the_last_event_to_the_end_of_follow_up():
    pytest.importorskip("sksurv.functions")
    y = outcome(Y.event & (Y.time < 60), Y.time)
    fitted = tiny().fit(X, y)
    last, longest = y.time[y.event].max(), y.time.max()
    assert fitted.unique_times_[-1] == last < 60 < longest <= fitted.max_time_
    for predict in (fitted.predict_survival_function, fitted.predict_cumulative_hazard_function):
        array, functions = predict(X[:3], return_array=True), predict(X[:3], return_array=False)
        for values, function in zip(array, functions, strict=True):
            assert function.domain == (0, fitted.max_time_)
            assert function(np.linspace(last, fitted.max_time_, 5)).tolist() == [values[-1]] * 5


@pytest.mark.parametrize(
    ("longest", "end"), [(0, 0), (7, 7), (90, 90), (365, 370), (1001, 1100), (0.1234, 0.13)]
)
def test_end_of_follow_up_is_rounded_up_to_two_digits(longest, end):
    assert end_of_follow_up(np.array([0.0, longest])) == pytest.approx(end)


@pytest.mark.parametrize("longest", [0.07, 0.3, 1e-300, 29.0, 1e22, 1.7e308])
def test_end_of_follow_up_is_no_earlier_than_the_longest_time(longest):
    assert longest <= end_of_follow_up(np.array([longest])) <= longest * 1.11


def fixed_hazards(*hazards, ends):
    """A model whose patients all have these hazards in intervals that end at these times."""
    y = outcome(np.ones(len(ends), bool), np.array(ends))
    fitted = untrained(n_intervals=len(ends)).fit(X[: len(ends)], y)
    fitted.unique_times_ = np.array(ends)
    with torch.no_grad():
        for weights in fitted.net_.module_.parameters():
            weights.zero_()
    fitted.net_.criterion_.offset[:] = torch.tensor(hazards).double().logit()[:, None]
    return fitted


def test_survival_given_survival_so_far_is_that_of_a_case_by_hand():
    # Survival 0.8, 0.4 and 0.1 from days 10, 20 and 30 on.
    fitted = fixed_hazards(0.2, 0.5, 0.75, ends=[10.0, 20.0, 30.0])

    def survival(after):
        return fitted.predict_survival_function(X[:5], return_array=True, conditional_after=after)

    wanted = [[0.8, 0.4, 0.1], [1, 0.5, 0.125], [1, 0.5, 0.125], [1, 1, 0.25], [1, 1, 1]]
    np.testing.assert_allclose(survival([0, 10, 19.9, 20, 30]), wanted, rtol=1e-6)
    np.testing.assert_array_equal(survival(None), survival(0))
    np.testing.assert_array_equal(survival(pd.Series([15] * 5)), survival(15.0))


def test_conditional_curves_are_ratios_of_the_step_functions(model):
    pytest.importorskip("sksurv.functions")
    rows = slice(0, 40)
    after = np.linspace(0, model.max_time_, 40)
    days = np.linspace(0, model.max_time_, 97)
    curves = model.predict_survival_function(X[rows])
    given = model.predict_survival_function(X[rows], conditional_after=after)
    for curve, conditional, t0 in zip(curves, given, after, strict=True):
        wanted = np.where(days < t0, 1, curve(days) / curve(t0))
        np.testing.assert_allclose(conditional(days), wanted)


def test_survival_given_what_has_no_probability_is_no_nan():
    fitted = fixed_hazards(0.5, 0.5, 0.5, ends=[10.0, 20.0, 30.0])
    fitted.net_.criterion_.offset[:2] = 3e4
    assert (fitted.predict_survival_function(X[:1], return_array=True) == 0).all()
    survival = fitted.predict_survival_function(X[:1], return_array=True, conditional_after=25)
    np.testing.assert_allclose(survival, [[1, 1, 0.5]])


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (-1, r"has 1 time\(s\) that are negative"),
        ([1, np.nan, np.inf], r"has 2 time\(s\) that are negative, NaN or infinite"),
        ([1, 1e9, 2], r"has 1 time\(s\) beyond 150, where the follow-up"),
        ([1, 2], r"one for each of the 3 samples of X; got an array of shape \(2,\)"),
        ([[1], [2], [3]], r"got an array of shape \(3, 1\)"),
        ("30 days", "conditional_after must hold a number"),
        (pd.to_timedelta(["1D"] * 3), r"dividing by pandas.Timedelta\('1D'\)"),
    ],
)
def test_times_that_nobody_can_have_survived_raise(model, after, message):
    with pytest.raises(ValueError, match=message):
        model.predict_survival_function(X[:3], conditional_after=after)


def test_without_scikit_survival_arrays_are_there_and_the_rest_names_the_extra(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sksurv", None)
    monkeypatch.setitem(sys.modules, "sksurv.functions", None)
    assert model.predict_survival_function(X).shape == (N, len(model.unique_times_))
    with pytest.raises(ImportError, match=r"score needs scikit-survival.*sklearn_ehr\[survival\]"):
        model.score(X, Y)
    with pytest.raises(ImportError, match="return_array=False needs scikit-survival"):
        model.predict_survival_function(X, return_array=False)


SAME_HISTORY = np.full((N, 1, 1), 2)


def fit_to_same_histories(y):
    """What is learnt of patients who do not differ is what is true of all of them together."""
    steady = {"batch_size": N, "lr": 3e-3, "dropout": 0.0, "early_stopping": False}
    return tiny(n_intervals=40, max_epochs=200, **steady).fit(SAME_HISTORY, y)


@pytest.mark.parametrize("n_intervals", [10, 40])
def test_common_hazards_are_those_of_kaplan_and_meier(n_intervals):
    nonparametric = pytest.importorskip("sksurv.nonparametric")
    event = Y.event.astype(int)
    ends = cut_time(event, Y.time, n_intervals)
    odds = common_log_odds(place_in_intervals(event, Y.time, ends), np.ones(N), 1)[:, 0]
    times, wanted = nonparametric.kaplan_meier_estimator(Y.event, Y.time)
    at = np.searchsorted(times, ends, side="right") - 1
    # Half an event more among the 20 or so of an interval; in the last one few are at risk.
    assert np.abs((1 - expit(odds)).cumprod() - wanted[at])[:-1].max() < 0.01


def test_curve_of_same_histories_is_that_of_kaplan_and_meier():
    nonparametric = pytest.importorskip("sksurv.nonparametric")
    fitted = fit_to_same_histories(Y)
    times, wanted = nonparametric.kaplan_meier_estimator(Y.event, Y.time)
    at = np.searchsorted(times, fitted.unique_times_, side="right") - 1
    got = fitted.predict_survival_function(SAME_HISTORY[:1], return_array=True)[0]
    # In the last interval few are at risk, and who is lost in it counts in full or not at all.
    assert np.abs(got - wanted[at])[:-1].max() < 0.002


@pytest.fixture(scope="module")
def competing():
    """Death, 2, comes sooner than readmission, 1, for most; who dies is readmitted no more."""
    rng = np.random.default_rng(1)
    readmitted, dead = rng.exponential(100, N), rng.exponential(40, N)
    lost = rng.uniform(20, 200, N)
    first = np.minimum(np.minimum(readmitted, dead), lost)
    return outcome(np.select([first == readmitted, first == dead], [1, 2]), first)


def test_incidence_of_competing_events_is_that_of_aalen_and_johansen(competing):
    nonparametric = pytest.importorskip("sksurv.nonparametric")
    fitted = fit_to_same_histories(competing)
    assert fitted.event_types_.tolist() == [1, 2]
    times, wanted = nonparametric.cumulative_incidence_competing_risks(
        competing.event, competing.time
    )
    at = np.searchsorted(times, fitted.unique_times_, side="right") - 1
    incidence = fitted.predict_cumulative_incidence(SAME_HISTORY[:1])
    assert np.abs(incidence[0] - wanted[1:, at]).max() < 0.02
    total = incidence.sum(axis=1) + fitted.predict_survival_function(
        SAME_HISTORY[:1], return_array=True
    )
    np.testing.assert_allclose(total, 1)
    np.testing.assert_allclose(fitted.predict(SAME_HISTORY[:1]), incidence.sum(axis=2))


def test_death_as_censoring_is_visibly_wrong(competing):
    """Readmission is foretold for those whom death keeps from it."""
    aware = fit_to_same_histories(competing)
    unaware = fit_to_same_histories(outcome(competing.event == 1, competing.time))
    # Of rates 1/100 and 1/40, in the long run.
    happened = 40 / 140
    wrong = 1 - unaware.predict_survival_function(SAME_HISTORY[:1], return_array=True)[0, -1]
    right = aware.predict_cumulative_incidence(SAME_HISTORY[:1])[0, 0, -1]
    assert abs(right - happened) < 0.05
    assert wrong > happened + 0.3


def test_each_event_is_learnt_by_its_own_codes():
    pytest.importorskip("sksurv")
    rng = np.random.default_rng(2)
    readmitted = rng.exponential(np.where(IS_ILL, 20, 200))
    is_frail = (X[:, 1] == 3).any(axis=1)
    dead = rng.exponential(np.where(is_frail, 20, 200))
    first = np.minimum(np.minimum(readmitted, dead), 100)
    y = outcome(np.select([first == readmitted, first == dead], [3, 7]), first)
    fitted = tiny(max_epochs=60, lr=0.02, early_stopping=False).fit(X, y)
    assert fitted.event_types_.tolist() == [3, 7]
    risk = fitted.predict(X)
    assert risk[IS_ILL & ~is_frail, 0].mean() > 2 * risk[is_frail & ~IS_ILL, 0].mean()
    assert risk[is_frail & ~IS_ILL, 1].mean() > 2 * risk[IS_ILL & ~is_frail, 1].mean()
    assert 0.5 < fitted.score(X, y) < 1


def test_one_interval_is_enough():
    fitted = tiny(n_intervals=1).fit(X, Y)
    assert fitted.predict_survival_function(X, return_array=True).shape == (N, 1)


def test_sample_weights_of_zero_hide_events_and_times():
    y = outcome(np.where(np.arange(N) < 5, 2, Y.event.astype(int)), Y.time)
    y.time[0] = 1e6
    weight = np.where(np.arange(N) < 5, 0.0, 1.0)
    weighted, without = tiny().fit(X, y, sample_weight=weight), tiny().fit(X[5:], y[5:])
    assert weighted.event_types_.tolist() == [1]
    np.testing.assert_array_equal(weighted.unique_times_, without.unique_times_)
    np.testing.assert_array_equal(weighted.predict(X), without.predict(X))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        (Y[:-1], "inconsistent"),
        (Y.time, "structured array of two fields"),
        (Y.event, "structured array of two fields"),
        (pd.DataFrame(Y), "structured array of two fields"),
        (outcome(Y.time, Y.event), "structured array of two fields"),
        (outcome(Y.event.astype(str), Y.time), "structured array of two fields"),
        (outcome(Y.event, Y.time - 1), r"'time' of y has \d+ time\(s\) that are negative"),
        (outcome(Y.event, np.where(Y.event, np.nan, 1)), "NaN or infinite"),
        (outcome(np.zeros(N, bool), Y.time), "every sample is censored"),
        (outcome(-Y.event.astype(int), Y.time), "negative event"),
        (outcome(Y.event.astype(float), Y.time), r"'event' \(float64\).*astype"),
        (outcome(Y.time.astype(int), Y.event.astype(int)), "fields of y look swapped"),
        (outcome(Y.time.astype(int), 2 * Y.event.astype(int)), "fields of y look swapped"),
        (outcome(Y.time.astype(int), Y.event.astype(float)), "fields of y look swapped"),
        (outcome(Y.time.astype(int) // 50, Y.event.astype(int)), "fields of y look swapped"),
    ],
)
def test_bad_outcomes_raise(y, message):
    fitted = tiny()
    with pytest.raises(ValueError, match=message):
        fitted.fit(X, y)
    assert not hasattr(fitted, "net_")


def test_works_in_cross_validation_over_patients():
    pytest.importorskip("sksurv")
    X, _ = make_visits(120, random_state=0)
    time = np.random.default_rng(0).exponential(30 / X.samples["risk"])
    y = outcome(time < 90, np.minimum(time, 90))
    model = make_pipeline(VisitSequenceTransformer(min_frequency=5), tiny())
    assert np.isfinite(cross_val_score(model, X, y, cv=PatientKFold(3))).all()


def test_scale_of_sample_weights_does_not_matter():
    weight = 1.0 + np.arange(N) % 3
    one = tiny().fit(X, Y, sample_weight=weight)
    other = tiny().fit(X, Y, sample_weight=weight / 2**20)
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-4)


def test_column_of_outcomes_raises():
    with pytest.raises(ValueError, match="y must have one dimension"):
        tiny().fit(X, Y.reshape(-1, 1))


def test_scorers_of_scikit_survival_run_in_cross_validation_beside_its_own_models():
    metrics = pytest.importorskip("sksurv.metrics")
    from sksurv.ensemble import RandomSurvivalForest
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    X, _ = make_visits(150, random_state=0)
    event_day = np.random.default_rng(0).exponential(30 / X.samples["risk"])
    lost_day = np.random.default_rng(1).uniform(60, 100, 150)
    # No event in the last days, which the scorers ask for too.
    y = outcome((event_day <= lost_day) & (event_day < 40), np.minimum(event_day, lost_day))
    times = [10, 30, 50, 55]
    counts = CodeCountVectorizer(min_frequency=5, sparse_output=False)
    models = [
        make_pipeline(VisitSequenceTransformer(min_frequency=5), tiny()),
        make_pipeline(counts, CoxPHSurvivalAnalysis(alpha=10)),
        make_pipeline(counts, RandomSurvivalForest(10, min_samples_leaf=15, random_state=0)),
    ]
    for model in models:
        for scorer in (
            metrics.as_concordance_index_ipcw_scorer(model, tau=55),
            metrics.as_cumulative_dynamic_auc_scorer(model, times=times),
            metrics.as_integrated_brier_score_scorer(model, times=times),
        ):
            scores = cross_val_score(scorer, X, y, cv=PatientKFold(3), error_score="raise")
            assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("event", "time"),
    [
        ([True, False, True], [1, 1, 1]),
        (np.array([0, 1, 1, 0], dtype=np.uint8), [5, 5, 5, 5]),
        ([0, 1, 2, 3, 2], [1, 1, 2, 3, 4]),
        ([1, 2, 1, 2], [1, 2, 1, 2]),
        ([3, 0, 7], [1.5, 2.5, 1e4]),
    ],
)
def test_events_and_times_of_few_values_are_read(event, time):
    y = outcome(np.asarray(event), np.asarray(time))
    read = read_survival(y, y, "LSTMVisitSurvival")
    np.testing.assert_array_equal(read, [np.asarray(event).astype(int), time])


@pytest.mark.parametrize("kinds", [("boolean", "Float64"), ("Int64", "Int64"), ("uint8", "int16")])
def test_columns_of_any_type_make_records(kinds):
    frame = pd.DataFrame({"event": [1, 0, 1], "days": [3, 4, 5]})
    y = frame.astype(dict(zip(frame, kinds, strict=True))).to_records(index=False)
    read = read_survival(y, y, "LSTMVisitSurvival")
    np.testing.assert_array_equal(read, [[1, 0, 1], [3, 4, 5]])


def test_competing_events_without_censoring_are_told():
    with pytest.warns(UserWarning, match=r"'event' of y is never 0.*y\['event'\] == 2"):
        fitted = tiny(max_epochs=1).fit(X, outcome(1 + Y.event, Y.time))
    assert fitted.event_types_.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("event", "weight"),
    [
        (Y.event, None),
        (np.ones(N, bool), None),
        (np.full(N, 2), None),
        (np.where(Y.event, 2, 0), None),
        (1 + Y.event, 1.0 - Y.event),
    ],
    ids=["bool", "all", "all of one kind", "censored", "one kind with weight"],
)
def test_outcomes_with_censoring_or_one_event_are_quiet(event, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*samples to learn from")
        tiny(max_epochs=1, early_stopping=False).fit(X, outcome(event, Y.time), weight)


def test_events_that_fit_did_not_have_are_told_in_score(model):
    pytest.importorskip("sksurv")
    assert model.score(X, outcome(Y.event.astype(int), Y.time)) == model.score(X, Y)
    with pytest.warns(UserWarning, match="not among the event_types_ of fit"):
        model.score(X, outcome(1 + Y.event, Y.time))


def test_samples_of_make_samples_feed_straight_in():
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2020-01-01")
    days = {"DIABETES": np.zeros(60), "STROKE": rng.integers(1, 400, 60), "DEATH": [200] * 60}
    events = pd.concat(
        pd.DataFrame({"patient_id": range(60), "time": start + pd.to_timedelta(day, "D")}).assign(
            code=code
        )
        for code, day in days.items()
    )
    ends = start + pd.to_timedelta(np.where(np.arange(60) < 20, 30, 300), "D")
    samples, _ = make_samples(
        events,
        index=["DIABETES"],
        outcome_codes=["STROKE"],
        competing_codes=["DEATH"],
        horizon="365D",
        observation_end=pd.Series(ends, index=range(60)),
        incomplete="mark",
    )
    y = samples[["event", "duration"]].to_records(index=False)
    stroke = days["STROKE"]
    lost = np.where(np.arange(60) < 20, 30, 300)
    first = np.minimum(np.minimum(stroke, 200), lost)
    assert set(y.event) == {0, 1, 2}
    np.testing.assert_array_equal(y.duration, first)
    np.testing.assert_array_equal(y.event, np.select([first == stroke, first == 200], [1, 2]))
    X = Cohort(events, samples)
    fitted = make_pipeline(VisitSequenceTransformer(), tiny(max_epochs=1)).fit(X, y)
    assert fitted[-1].event_types_.tolist() == [1, 2]
    assert fitted[-1].max_time_ == 200
