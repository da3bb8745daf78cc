import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from sklearn_ehr import CodeCountVectorizer, Cohort
from sklearn_ehr.datasets import _simulate, make_visits

SIGNALS = ["bag", "recency", "order", "gaps", "values", "groups"]


@pytest.fixture(scope="module", params=SIGNALS)
def simulated(request):
    return make_visits(4000, signal=request.param, random_state=3)


def past_events(X):
    events = X.visible_events()
    return events.sort_values(["patient_id", "time"], kind="stable")


def cross_validated_auc(X, y):
    model = make_pipeline(
        CodeCountVectorizer(encoding="log1p"), LogisticRegression(C=0.1, max_iter=1000)
    )
    return roc_auc_score(y, cross_val_predict(model, X, y, cv=3, method="predict_proba")[:, 1])


@pytest.mark.parametrize("signal", SIGNALS)
def test_same_seed_gives_the_same_histories_and_outcomes(signal):
    (X, y), (X_again, y_again) = (
        make_visits(50, signal=signal, random_state=np.random.RandomState(7)),
        make_visits(50, signal=signal, random_state=7),
    )
    pd.testing.assert_frame_equal(X.visible_events(), X_again.visible_events())
    pd.testing.assert_frame_equal(X.samples, X_again.samples)
    pd.testing.assert_series_equal(y, y_again)


def test_another_seed_gives_other_histories():
    X, _ = make_visits(50, random_state=7)
    other, _ = make_visits(50, random_state=8)
    assert not X.visible_events().equals(other.visible_events())


def test_one_sample_a_patient_with_a_0_1_outcome(simulated):
    X, y = simulated
    assert isinstance(X, Cohort)
    assert X.shape == (4000,)
    assert len(np.unique(X.groups)) == 4000
    assert sorted(y.unique()) == [0, 1]
    pd.testing.assert_series_equal(y, X.samples["outcome"])


def test_prevalence_and_auc_of_the_true_risk(simulated):
    X, y = simulated
    assert 0.2 < y.mean() < 0.3
    assert 0.76 < roc_auc_score(y, X.samples["risk"]) < 0.83


def test_true_risk_is_calibrated(simulated):
    X, y = simulated
    risk = X.samples["risk"]
    # Within four standard errors, over all and in each fifth of the risk; "order" has so few
    # different risks that fifths coincide.
    fifth = pd.qcut(risk, 5, labels=False, duplicates="drop")
    parts = [risk.index, *risk.groupby(fifth).groups.values()]
    assert len(parts) > 4
    for part in parts:
        error = np.sqrt((risk[part] * (1 - risk[part])).sum()) / len(part)
        assert abs(y[part].mean() - risk[part].mean()) < 4 * error


def test_visits_and_codes_are_heavy_tailed_and_capped():
    X, _ = make_visits(20_000, random_state=0)
    events = X.visible_events()
    codes = events.groupby("visit_id").size()
    visits = events.groupby("patient_id")["visit_id"].nunique()
    # Quantiles of a log-normal: median * exp(sigma * z), z = 1.2816 and 2.3263.
    assert visits.median() == 8
    assert visits.quantile(0.9) == pytest.approx(8 * np.exp(0.8 * 1.2816), rel=0.05)
    assert visits.quantile(0.99) == pytest.approx(8 * np.exp(0.8 * 2.3263), rel=0.08)
    assert visits.between(1, 200).all()
    assert codes.median() == 8
    assert codes.quantile(0.9) == pytest.approx(8 * np.exp(0.7 * 1.2816), rel=0.05)
    assert codes.quantile(0.99) == pytest.approx(8 * np.exp(0.7 * 2.3263), rel=0.05)
    assert codes.max() == 100
    counts = events["code"].value_counts()
    assert counts["C001"] / counts["C100"] == pytest.approx(100**1.05, rel=0.05)


def test_ten_thousand_codes():
    X, _ = make_visits(300, n_codes=10_000, random_state=0)
    codes = X.visible_events()["code"].astype(str)
    assert codes.nunique() > 1000
    assert codes.str.fullmatch(r"C\d{5}").all()


def test_visits_of_a_patient_are_at_least_a_day_apart_and_before_the_prediction(simulated):
    X, _ = simulated
    events = past_events(X)
    assert (events.groupby("visit_id")["time"].nunique() == 1).all()
    visits = events.drop_duplicates("visit_id")
    gaps = visits.groupby("patient_id")["time"].diff().dropna()
    assert (gaps >= pd.Timedelta(days=1)).all()
    last = visits.groupby("patient_id")["time"].max().to_numpy()
    assert (X.samples["prediction_time"].to_numpy() - last >= np.timedelta64(1, "D")).all()
    assert len(np.unique(X.visible_events()["sample"])) == 4000


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_visit_that_gives_the_outcome_away_is_after_the_prediction_time(signal, monkeypatch):
    drawn = []

    def keep_events(events, samples):
        drawn.append(events)
        return Cohort(events, samples)

    monkeypatch.setattr(_simulate, "Cohort", keep_events)
    X, y = make_visits(400, signal=signal, random_state=3)
    assert "OUTCOME" not in set(X.visible_events()["code"])
    later = X.samples.assign(prediction_time=X.samples["prediction_time"] + pd.Timedelta("30D"))
    leaky = Cohort(drawn[0], later).visible_events()
    assert set(leaky.loc[leaky["code"] == "OUTCOME", "patient_id"]) == set(np.flatnonzero(y))


def test_bag_signal_is_learnt_from_counts():
    X, y = make_visits(4000, signal="bag", random_state=0)
    assert cross_validated_auc(X, y) > 0.7


def test_order_signal_is_not_learnt_from_counts():
    X, y = make_visits(4000, signal="order", random_state=0)
    assert 0.45 < cross_validated_auc(X, y) < 0.55


def test_recency_signal_is_largely_missed_by_counts():
    X, y = make_visits(4000, signal="recency", random_state=0)
    auc = cross_validated_auc(X, y)
    assert 0.53 < auc < roc_auc_score(y, X.samples["risk"]) - 0.1


def test_risk_follows_the_order_of_pairs_that_everybody_has():
    X, _ = make_visits(2000, signal="order", random_state=0)
    events = X.visible_events()
    pairs = [("C015", "C016"), ("C017", "C018"), ("C019", "C020"), ("C021", "C022")]
    lead = np.zeros(2000)
    for first, second in pairs:
        time = {}
        for code in (first, second):
            one = events[events["code"] == code]
            assert one["patient_id"].tolist() == sorted(set(range(2000)))
            time[code] = one["time"].to_numpy()
        lead += np.sign((time[second] - time[first]).astype(np.int64))
    log_odds = np.log(X.samples["risk"] / (1 - X.samples["risk"]))
    # A straight line through a sum of signs: nothing else enters.
    assert np.corrcoef(lead, log_odds)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("signal", ["gaps", "values"])
def test_signals_of_gaps_and_values_are_not_learnt_from_counts(signal):
    X, y = make_visits(4000, signal=signal, random_state=0)
    assert 0.45 < cross_validated_auc(X, y) < 0.55


def test_risk_follows_the_reasons_that_codes_of_a_visit_share():
    X, _ = make_visits(2000, signal="groups", n_codes=1000, random_state=0)
    events = X.visible_events()
    reason = (events["code"].astype(str).str[1:].astype(int) - 1) % 20
    # The commonest twentieth among a visit's codes guesses its reason, mostly right.
    guess = reason.groupby([events["patient_id"], events["visit_id"]]).agg(lambda r: r.mode()[0])
    counts = guess.groupby("patient_id").value_counts().unstack(fill_value=0)
    log_odds = np.log(X.samples["risk"] / (1 - X.samples["risk"]))
    fitted = LinearRegression().fit(np.log1p(counts), log_odds)
    assert fitted.score(np.log1p(counts), log_odds) > 0.7
    np.testing.assert_array_less(np.abs(fitted.coef_[:12]), 0.2)
    np.testing.assert_array_less(0.5, np.abs(fitted.coef_[12:]))


def test_risk_follows_the_mean_logarithm_of_gaps_and_nothing_else():
    X, _ = make_visits(1000, signal="gaps", random_state=0)
    visits = X.visible_events().drop_duplicates(["patient_id", "time"])
    visits = visits.sort_values(["patient_id", "time"])
    gap = visits.groupby("patient_id")["time"].diff() / pd.Timedelta("1D")
    score = np.log1p(gap).groupby(visits["patient_id"]).mean().reindex(range(1000))
    log_odds = np.log(X.samples["risk"] / (1 - X.samples["risk"]))
    slope, intercept = np.polyfit(score.dropna(), log_odds[score.notna()], 1)
    assert slope > 0
    np.testing.assert_allclose((slope * score + intercept).dropna(), log_odds[score.notna()])


def test_risk_follows_the_values_of_the_eight_codes_and_nothing_else():
    X, _ = make_visits(1000, signal="values", random_state=0)
    events = X.visible_events()
    place = events["code"].astype(str).str[1:].astype(int) - 15
    is_test = place.between(0, 7)
    assert (events["value"].notna() == is_test).all()
    events, place = events[is_test], place[is_test]
    standard = events["value"] / 10.0 ** (place % 4) - 10
    mean = standard.groupby([events["patient_id"], place]).mean()
    sign = np.where(mean.index.get_level_values(1) % 2, -1.0, 1.0)
    score = (mean * sign).groupby(level=0).sum().reindex(range(1000), fill_value=0)
    log_odds = np.log(X.samples["risk"] / (1 - X.samples["risk"]))
    assert np.corrcoef(score, log_odds)[0, 1] > 1 - 1e-9


@pytest.mark.parametrize("signal", ["bag", "recency"])
def test_risk_follows_the_eight_codes_and_nothing_else(signal):
    X, _ = make_visits(1000, signal=signal, random_state=0)
    events = X.visible_events().drop_duplicates(["visit_id", "code"])
    due = X.samples["prediction_time"].to_numpy()[events["patient_id"]]
    days = (due - events["time"].to_numpy()) / np.timedelta64(1, "D")
    events = events.assign(amount=1.0 if signal == "bag" else 2 ** (-days / 45))
    score = np.zeros(1000)
    for rank in range(15, 23):
        one = events[events["code"] == f"C{rank:03d}"]
        amount = one.groupby("patient_id")["amount"].sum().reindex(range(1000), fill_value=0)
        sign = 1 if rank % 2 else -1
        score += sign * (np.log1p(amount) if signal == "bag" else amount).to_numpy()
    log_odds = np.log(X.samples["risk"] / (1 - X.samples["risk"]))
    assert np.corrcoef(score, log_odds)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_single_patient_has_a_finite_risk(signal):
    X, _ = make_visits(1, signal=signal, random_state=0)
    assert 0 < X.samples["risk"][0] < 1


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("signal", "trend"), ("n_patients", 0), ("n_codes", 10), ("random_state", "seed")],
)
def test_bad_parameter_is_named(parameter, value):
    with pytest.raises(ValueError, match=parameter):
        make_visits(**{"n_patients": 10, parameter: value})
