"""Subgroups have the figures of their samples, and none if they are small."""

import numpy as np
import pandas as pd
import pytest
from cases import drawn
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from sklearn_ehr import report
from sklearn_ehr.inspection import calibration_slope, net_benefit
from sklearn_ehr.reporting._performance import METRICS


def subset_of(data, name, level):
    """Whether each test sample has a level, worked out from the column itself."""
    column = data[2].samples[name]
    if level == "missing":
        return column.isna().to_numpy()
    return (column.astype(str) == level).to_numpy()


@pytest.mark.parametrize(
    ("name", "level"), [("sex", "female"), ("sex", "male"), ("age", "missing"), ("smoker", "True")]
)
def test_figures_are_those_of_the_subset(data, model, made, name, level):
    rows = subset_of(data, name, level)
    y, risk = data[3].to_numpy()[rows], model.predict_proba(data[2])[rows, 1]
    found = made.subgroups.loc[(name, level)]
    assert found["n"].tolist() == [rows.sum(), y.sum()]
    expected = {
        "roc_auc": roc_auc_score(y, risk),
        "average_precision": average_precision_score(y, risk),
        "calibration_slope": calibration_slope(y, risk).slope,
        "calibration_in_the_large": calibration_slope(y, risk).intercept,
        "brier_score": brier_score_loss(y, risk),
        "scaled_brier_score": 1 - brier_score_loss(y, risk) / np.mean((y - y.mean()) ** 2),
    }
    assert {metric: found[metric, "estimate"] for metric in METRICS} == pytest.approx(expected)
    benefit = made.subgroup_net_benefit.sort_index().loc[(name, level)]
    at = benefit.index[benefit["estimate"].notna()]
    np.testing.assert_allclose(benefit.loc[at, "estimate"], net_benefit(y, risk, at))


def test_interval_is_that_of_a_slow_loop_over_draws_of_all_patients(data, model, made):
    is_male = subset_of(data, "sex", "male")
    y, risk = data[3].to_numpy(), model.predict_proba(data[2])[:, 1]
    areas = []
    for rows in drawn(data[2], 30, seed=5):
        rows = rows[is_male[rows]]
        areas.append(roc_auc_score(y[rows], risk[rows]))
    found = made.subgroups.loc[("sex", "male"), "roc_auc"]
    np.testing.assert_allclose(found[["low", "high"]], np.quantile(areas, [0.025, 0.975]))


def test_numbers_are_cut_at_rounded_quartiles(data, made):
    ages = data[2].samples["age"]
    levels = made.subgroups.loc["age"].index.tolist()
    low, middle, high = (f"{edge:.3g}" for edge in ages.quantile([0.25, 0.5, 0.75]))
    assert levels == [
        f"under {low}",
        f"{low} to under {middle}",
        f"{middle} to under {high}",
        f"{high} and over",
        "missing",
    ]
    counts = made.subgroups.loc["age", ("n", "samples")]
    assert counts.iloc[0] == (ages < float(low)).sum()
    assert counts.iloc[1] == ((ages >= float(low)) & (ages < float(middle))).sum()
    assert counts.sum() == len(ages)


def test_bins_are_those_given(data, model):
    ages = data[2].samples["age"]
    made = report(
        model, *data, groups=["age"], bins={"age": [60, 65.5]}, comparison=None, n_bootstrap=2
    )
    counts = made.subgroups.loc["age", ("n", "samples")]
    assert counts.to_dict() == {
        "under 60": (ages < 60).sum(),
        "60 to under 65.5": ((ages >= 60) & (ages < 65.5)).sum(),
        "65.5 and over": (ages >= 65.5).sum(),
        "missing": ages.isna().sum(),
    }


@pytest.mark.parametrize("as_groups", [
    dict,
    pd.DataFrame,
    lambda columns: pd.DataFrame(columns).set_axis(range(7, 7 + len(columns["a"]))),
])  # fmt: skip
def test_values_may_be_given(data, model, as_groups):
    sex = data[2].samples["sex"].to_numpy()
    groups = as_groups({"a": sex, "b": list(data[2].samples["smoker"])})
    made = report(model, *data, groups=groups, comparison=None, n_bootstrap=2)
    assert made.subgroups.index.tolist() == [
        ("a", "female"), ("a", "male"), ("b", "False"), ("b", "True")
    ]  # fmt: skip
    assert made.subgroups.loc[("a", "male"), ("n", "samples")] == (sex == "male").sum()


def test_polars_frame_of_values(data, model):
    pl = pytest.importorskip("polars")
    groups = pl.DataFrame({"a": data[2].samples["sex"].tolist()})
    made = report(model, *data, groups=groups, comparison=None, n_bootstrap=2)
    assert made.subgroups.index.tolist() == [("a", "female"), ("a", "male")]


def test_few_different_numbers_and_categories_are_levels(data, model):
    n = len(data[2])
    groups = {
        "number": np.arange(n) % 3 + 1.0,
        "stage": pd.Categorical(np.array(["II", "I", "III"])[np.arange(n) % 3], ["I", "II", "III"]),
        "mixed": np.array([1, "one", None], dtype=object)[np.arange(n) % 3],
    }
    table = report(model, *data, groups=groups, comparison=None, n_bootstrap=2).subgroups
    assert table.loc["number"].index.tolist() == ["1", "2", "3"]
    assert table.loc["stage"].index.tolist() == ["I", "II", "III"]
    assert table.loc["mixed"].index.tolist() == ["1", "one", "missing"]


def group_with(data, n_events, n_others):
    """A level of the first samples, of different patients, with these numbers of outcomes."""
    X, y = data[2], data[3].to_numpy()
    _, first = np.unique(X.groups, return_index=True)
    events, others = first[y[first] == 1], first[y[first] == 0]
    level = np.full(len(X), "large")
    level[events[:n_events]] = "small"
    level[others[:n_others]] = "small"
    return level


@pytest.mark.parametrize(
    ("n_events", "n_others", "is_shown"),
    [(10, 10, True), (9, 60, False), (40, 9, False), (0, 50, False), (5, 3, False)],
)
def test_level_is_shown_from_ten_patients_of_each_outcome_on(
    data, model, n_events, n_others, is_shown
):
    level = group_with(data, n_events, n_others)
    made = report(model, *data, groups={"g": level}, comparison=None, n_bootstrap=2)
    if is_shown:
        assert made.subgroups.loc[("g", "small"), "n"].tolist() == [20, 10]
        assert made.subgroups.loc[("g", "large"), ("n", "events")] == data[3].sum() - 10
        assert made.subgroups[list(METRICS)].notna().all(axis=None)
        return
    # All samples less the large level would tell the number of the small one.
    assert made.subgroups.empty
    assert made.left_out_groups == ["g"]
    assert "too few patients share a level: <code>g</code>" in made._repr_html_()
    assert made.checklist.loc["23a", "status"] == "in part"


def test_small_level_is_merged_and_large_ones_are_kept(data, model):
    level = group_with(data, 9, 40)
    large = np.flatnonzero(level == "large")
    level[large[::3]], level[large[1::3]], level[large[2::3]] = "a", "b", "c"
    made = report(model, *data, groups={"g": level}, comparison=None, n_bootstrap=2)
    names = made.subgroups.loc["g"].index.tolist()
    assert names[:2] in (["a", "b"], ["a", "c"], ["b", "c"])
    assert names[2].endswith(" or other values")
    merged = ~np.isin(level, names[:2])
    expected = [merged.sum(), data[3].to_numpy()[merged].sum()]
    assert made.subgroups.loc[("g", names[2]), "n"].tolist() == expected
    risk = model.predict_proba(data[2])[:, 1]
    found = made.subgroups.loc[("g", names[2]), ("roc_auc", "estimate")]
    assert found == pytest.approx(roc_auc_score(data[3][merged], risk[merged]))


def test_values_that_few_have_are_merged_without_their_names(data, model):
    job = np.array(["nurse", "teacher"], dtype=object)[np.arange(len(data[2])) % 2]
    job[:1], job[1:5], job[-3:] = "lighthouse keeper", "astronaut", None
    made = report(model, *data, groups={"job": job}, comparison=None, n_bootstrap=2)
    first, second = made.subgroups.loc["job"].index
    assert {first, second.split(" or ")[0]} == {"nurse", "teacher"}
    assert second.endswith(" or other values or missing")
    levels = made.subgroup_net_benefit.index.get_level_values("level")
    assert levels.unique().tolist() == [first, second]
    page = made._repr_html_()
    assert "lighthouse" not in page
    assert "astronaut" not in page


def test_rare_values_that_are_many_together_are_a_subgroup(data, model):
    job = np.array(["nurse", "teacher"], dtype=object)[np.arange(len(data[2])) % 2]
    job[:90] = np.char.mod("job %d", np.arange(90) // 6)
    made = report(model, *data, groups={"job": job}, comparison=None, n_bootstrap=2)
    found = made.subgroups.loc[("job", "other values")]
    assert found["n"].tolist() == [90, data[3].iloc[:90].sum()]
    assert np.isfinite(found["roc_auc", "estimate"])


def test_net_benefit_is_hidden_in_all_levels_of_a_group_or_in_none(data, model):
    thresholds = [0.1, 0.3, 0.5, 0.7, 0.9]
    groups = {"a": np.arange(len(data[2])) % 5, "b": data[2].samples["sex"]}
    made = report(
        model, *data, groups=groups, thresholds=thresholds, comparison=None, n_bootstrap=2
    )
    hidden = made.subgroup_net_benefit["estimate"].isna().groupby(["group", "threshold"])
    assert (hidden.nunique() == 1).all()
    assert 0 < hidden.first().sum() < len(hidden.first())
    y, risk = data[3].to_numpy(), model.predict_proba(data[2])[:, 1]
    for level in range(5):
        rows = groups["a"] == level
        for t in thresholds:
            true = np.sum((risk >= t) & (y == 1) & rows)
            if 0 < true < 10:
                assert np.isnan(made.subgroup_net_benefit.loc[("a", str(level), t), "estimate"])


def test_numbers_that_tell_patients_apart_are_no_grouping(data, model):
    number = 5_000_000 + np.unique(data[2].groups, return_inverse=True)[1]
    with pytest.raises(ValueError, match="tells patients apart") as info:
        report(model, *data, groups={"mrn": number}, comparison=None)
    assert "5000" not in str(info.value)
    options = {"groups": {"mrn": number}, "bins": {"mrn": [5_000_100]}}
    made = report(model, *data, **options, comparison=None, n_bootstrap=2)
    assert len(made.subgroups) == 2


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["missing", None, "x"], ["missing", "x"]),
        ([0.12345678, 0.12345679, 0.5], ["0.123457", "0.5"]),
        ([1, "1", "one"], ["1", "one"]),
        (["other values", "x", "y"], ["other values", "x", "y"]),
    ],
)
def test_names_of_levels_are_distinct(data, model, values, names):
    level = pd.Series([values[i % 3] for i in range(len(data[2]))])
    made = report(model, *data, groups={"g": level}, comparison=None, n_bootstrap=2)
    assert made.subgroups.loc["g"].index.tolist() == names
    assert made.subgroups["n", "samples"].sum() == len(level)


def test_level_called_as_merged_ones_is_told_apart(data, model):
    level = np.array(["other values", "x"], dtype=object)[np.arange(len(data[2])) % 2]
    level[:90] = np.char.mod("rare %d", np.arange(90) // 6)
    made = report(model, *data, groups={"g": level}, comparison=None, n_bootstrap=2)
    assert made.subgroups.loc["g"].index.tolist() == [
        "other values", "x", "other values (merged)"
    ]  # fmt: skip


def test_no_groups_no_subgroups(data, model):
    made = report(model, *data, comparison=None, n_bootstrap=2)
    assert made.subgroups.empty
    assert made.subgroup_net_benefit.empty
    assert "No subgroups were given" in made._repr_html_()
