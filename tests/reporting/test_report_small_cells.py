"""No table has a count under ten, nor numbers that tell one."""

import numpy as np
import pandas as pd
import pytest
from cases import with_column
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_ehr import report
from sklearn_ehr.reporting._attrition import pool_rules
from sklearn_ehr.reporting._calibration_bins import bin_risks
from sklearn_ehr.reporting._performance import Predicted, is_told
from sklearn_ehr.reporting._small_cells import count_patients, pool_levels

SMALL = "<10"
RULES = ["a", "b", "c", "d", "e"]


def pooled(n_samples, n_patients=None):
    attrition = pd.DataFrame(
        {
            "rule": RULES[: len(n_samples)],
            "n_samples": n_samples,
            "n_patients": n_patients or n_samples,
        }
    )
    return pool_rules(attrition)


@pytest.mark.parametrize(
    ("left", "rules", "kept"),
    [
        ([100, 80, 60], ["a", "b", "c"], [100, 80, 60]),
        ([100, 100, 60], ["a", "b", "c"], [100, 100, 60]),
        ([100, 95, 60], ["a", "b; c"], [100, 60]),
        ([100, 97, 94, 60], ["a", "b; c; d"], [100, 60]),
        ([100, 97, 89, 60], ["a", "b; c", "d"], [100, 89, 60]),
        ([100, 80, 75], ["a", "b; c"], [100, 75]),
        ([100, 100, 95], ["a; b; c"], [95]),
        ([100, 97], ["a; b"], [97]),
        ([100], ["a"], [100]),
    ],
)
def test_rule_that_left_out_few_is_joined_to_another(left, rules, kept):
    table = pooled(left)
    assert table["rule"].tolist() == rules
    assert table["n_samples"].tolist() == kept
    assert table["samples_left_out"].tolist()[1:] == (-np.diff(kept)).tolist()


def test_rule_that_left_out_few_patients_of_many_samples_is_joined():
    table = pooled([100, 80, 50], [60, 55, 40])
    assert table["n_patients"].tolist() == [60, 40]


@pytest.mark.parametrize(
    ("n_samples", "n_patients"),
    [([100, 5], None), ([100, 50, 7], None), ([100, 5, 0], None), ([100, 60, 40], [50, 30, 6])],
)
def test_few_that_are_left_are_hidden_and_not_to_be_worked_out(n_samples, n_patients):
    table = pooled(n_samples, n_patients)
    assert table["n_patients"].iloc[-1] == table["patients_left_out"].iloc[-1] == SMALL
    assert table["n_samples"].iloc[0] == 100
    for name in ("samples", "patients"):
        shown = pd.to_numeric(table[f"n_{name}"], errors="coerce")
        left_out = pd.to_numeric(table[f"{name}_left_out"], errors="coerce")
        left = np.concatenate([shown, shown.shift() - left_out])
        assert np.nanmin(left) >= 10


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    columns=st.sampled_from([2, 4]),
    data=st.data(),
)
def test_pooled_table_has_no_small_cell(counts, columns, data):
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    level = np.repeat(np.arange(len(counts)), counts).repeat(columns)
    if not len(level):
        return
    column = rng.integers(0, columns, len(level))
    patient = rng.integers(0, len(level), len(level))
    pooled = pool_levels(level, len(counts), column, columns, patient)
    if pooled is None:
        return
    is_pooled, is_rare = pooled
    assert (is_pooled | ~is_rare).all()
    row = np.where(is_pooled[level], len(counts), level)
    rows = np.unique(row)
    assert len(rows) >= 2
    for number in rows:
        for of in range(columns):
            cell = (row == number) & (column == of)
            assert len(np.unique(patient[cell])) >= 10


def test_cells_are_counted_in_patients():
    counts = count_patients(
        np.array([3, 3, 5, 3, 5]), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 0]), (2, 2)
    )
    assert counts.tolist() == [[2, 0], [1, 1]]


def counts_in(cells):
    """Whole numbers before a share, and alone, among texts."""
    texts = pd.Series(np.ravel(cells)).astype(str).str.replace(",", "")
    return texts.str.extract(r"^(\d+)(?: \(.* %\))?$")[0].dropna().astype(int)


def test_table_one_has_no_small_count_nor_a_complement_of_one(made):
    texts = made.characteristics.drop(columns="difference", level=1)
    values = texts.index.get_level_values("value")
    counts = counts_in(texts[~values.isin(["mean (SD)", "median (quartiles)"])])
    assert len(counts) > 50
    assert counts.min() >= 10
    # Nothing is left of all samples when the values that are shown are taken away.
    for name in ("site", "sex"):
        assert len(texts.loc[name]) == 2
        for column in texts:
            n_all = int(texts.loc[("samples", "n"), column].replace(",", ""))
            assert counts_in(texts.loc[name, column]).sum() == n_all


def test_rare_value_of_table_one_is_merged(made):
    assert made.subgroups.loc["site"].index.tolist() == ["north", "south or other values"]
    assert made.characteristics.loc["site"].index.tolist() == ["north", "south or other values"]


def test_only_the_most_frequent_values_are_told_apart():
    # 15 values, the later the more frequent, each in enough patients of both columns.
    level = np.repeat(np.arange(15), 2 * np.arange(20, 35))
    column, patient = np.arange(len(level)) % 2, np.arange(len(level))
    is_pooled, is_rare = pool_levels(level, 15, column, 2, patient)
    assert np.flatnonzero(is_pooled).tolist() == np.flatnonzero(is_rare).tolist() == [0, 1, 2]


def test_values_that_few_have_are_not_named(data, model):
    X, y, X_test, y_test = data
    sex = X.samples["sex"].to_numpy(dtype=object, copy=True)
    sex[:5] = "SECRET"
    test = X_test.samples["sex"].to_numpy(dtype=object, copy=True)
    test[:3] = None
    X, X_test = with_column(X, "sex", sex), with_column(X_test, "sex", test)
    made = report(model, X, y, X_test, y_test, comparison=None, n_bootstrap=2)
    (first, second) = made.characteristics.loc["sex"].index
    assert {first, second.split(" or ")[0]} == {"female", "male"}
    assert second.endswith(" or other values or missing")
    assert "SECRET" not in made._repr_html_()


def test_variable_with_a_small_cell_by_outcome_is_shown_without_outcome(data, model):
    X, y, X_test, y_test = data
    # Few of the test samples with the outcome have the value.
    is_rare = np.zeros(len(X_test), dtype=bool)
    is_rare[np.flatnonzero(y_test.to_numpy() == 0)[:80]] = True
    is_rare[np.flatnonzero(y_test.to_numpy() == 1)[:4]] = True
    frames = [
        with_column(X, "flag", np.arange(len(X)) % 4 == 0),
        with_column(X_test, "flag", is_rare),
    ]
    made = report(model, frames[0], y, frames[1], y_test, comparison=None, n_bootstrap=2)
    row = made.characteristics.loc[("flag", "yes")]
    assert row["test", "all"].startswith("84 (")
    assert row["test", "outcome"] == row["test", "no outcome"] == SMALL
    assert row["development", "outcome"] == SMALL
    assert np.isnan(row["test", "difference"])
    assert row["development and test", "difference"] > 0


def test_variable_that_few_have_is_left_out_and_named(data, model):
    X, y, X_test, y_test = data
    few = with_column(X_test, "flag", np.arange(len(X_test)) < 5)
    made = report(
        model, with_column(X, "flag", np.arange(len(X)) % 2 == 0), y, few, y_test,
        comparison=None, n_bootstrap=2,
    )  # fmt: skip
    assert made.left_out == ["flag"]
    assert "flag" not in made.characteristics.index.get_level_values(0)
    assert "Not shown, as too few patients share a value: <code>flag</code>" in made._repr_html_()


def test_number_that_few_have_is_hidden_by_outcome(data, model):
    X, y, X_test, y_test = data
    score = np.full(len(X_test), np.nan)
    score[np.flatnonzero(y_test.to_numpy() == 1)[:5]] = 100.5
    score[np.flatnonzero(y_test.to_numpy() == 0)[:90]] = np.arange(90) / 2
    frames = with_column(X, "score", np.arange(len(X)) / 2.0), with_column(X_test, "score", score)
    made = report(model, frames[0], y, frames[1], y_test, comparison=None, n_bootstrap=2)
    rows = made.characteristics.loc["score"]
    assert rows.loc["mean (SD)", ("test", "outcome")] == SMALL
    assert rows.loc["mean (SD)", ("test", "no outcome")] == SMALL
    assert rows.loc["mean (SD)", ("test", "all")] != SMALL
    assert rows.loc["missing", ("test", "all")].startswith(f"{len(X_test) - 95} (")
    assert rows.loc["missing", ("test", "outcome")] == SMALL
    # Nothing is missing in the development cohort, and nothing is fewer than 10.
    assert rows.loc["missing", ("development", "all")] == SMALL


def test_net_benefit_that_rests_on_few_is_hidden(data, model):
    risk = np.sort(model.predict_proba(data[2])[:, 1])
    high, low = risk[-8], risk[4]
    assert low < risk[20]
    assert high > risk[-40]
    made = report(model, *data, comparison=model, thresholds=[low, risk[200], high], n_bootstrap=2)
    assert made.net_benefit["estimate"].isna().tolist() == [True, False, True]
    assert made.net_benefit["treat_all"].notna().all()
    assert made.net_benefit["comparison"].isna().tolist() == [True, False, True]
    hidden = made.comparison[6:].isna().all(axis=1)
    assert hidden.tolist() == [True, False, True]
    assert not made.comparison[:6].isna().any(axis=None)


def test_few_repeated_patients_are_not_told(data, model):
    assert pooled([230, 205], [200, 200])["n_patients"].tolist() == [SMALL, SMALL]
    assert pooled([230, 210], [200, 200])["n_patients"].tolist() == [200, 200]
    X, y, X_test, y_test = data
    _, first = np.unique(X_test.groups, return_index=True)
    rows = np.sort(np.append(first, np.setdiff1d(np.arange(len(X_test)), first)[:3]))
    made = report(model, X, y, X_test[rows], y_test.iloc[rows], comparison=None, n_bootstrap=2)
    found = made.characteristics.loc[("patients", "n")]
    assert found["test", "all"] == SMALL
    assert found["development", "all"] == "250"


def test_numbers_of_few_different_values_are_levels(data, model):
    """Of mean and deviation of 0, 1 and 2, the number of each could be worked out."""
    X, y, X_test, y_test = data
    n_visits = [np.arange(len(cohort)) % 2 for cohort in (X, X_test)]
    n_visits[1][:4] = 2
    X, X_test = with_column(X, "k", n_visits[0]), with_column(X_test, "k", n_visits[1])
    made = report(model, X, y, X_test, y_test, comparison=None, n_bootstrap=2)
    assert made.characteristics.loc["k"].index.tolist() in (
        ["0", "1 or other values"],
        ["1", "0 or other values"],
    )


def test_table_one_and_subgroups_do_not_merge_a_value_with_different_ones(data, model):
    X, y, X_test, y_test = data
    # "mid" is the rarest in the development cohort, and "low" in the test cohort.
    sites = []
    for cohort, names in (
        (X, ["low"] * 3 + ["mid"] + ["top"] * 4),
        (X_test, ["low"] * 2 + ["mid"] * 3 + ["top"] * 4),
    ):
        site = np.array(names, dtype=object)[np.arange(len(cohort)) % len(names)]
        site[:6] = "SECRET"
        site[6:9] = "top"
        sites.append(site)
    X, X_test = with_column(X, "s", sites[0]), with_column(X_test, "s", sites[1])
    made = report(model, X, y, X_test, y_test, groups=["s"], comparison=None, n_bootstrap=2)
    assert set(made.subgroups.loc["s"].index) == {"mid", "top", "low or other values"}
    assert made.left_out == ["s"]
    assert "s" not in made.characteristics.index.get_level_values(0)
    alone = report(model, X, y, X_test, y_test, comparison=None, n_bootstrap=2).characteristics
    assert set(alone.loc["s"].index) == {"low", "top", "mid or other values"}


def test_value_that_no_test_sample_has_keeps_its_column_in_table_one(data, model):
    X, y, X_test, y_test = data
    sex = X.samples["sex"].to_numpy(dtype=object, copy=True)
    sex[:4] = "unknown"
    made = report(
        model, with_column(X, "sex", sex), y, X_test, y_test, groups=["sex"], comparison=None,
        n_bootstrap=2,
    )  # fmt: skip
    assert made.subgroups.loc["sex"].index.tolist() == ["female", "male"]
    assert any("other values" in label for label in made.characteristics.loc["sex"].index)


@pytest.mark.parametrize(
    ("treated", "others", "is_shown"),
    [
        ((10, 10), (10, 10), True),
        ((30, 40), (0, 0), True),
        ((0, 0), (30, 40), True),
        ((30, 40), (0, 10), True),
        ((0, 40), (30, 10), True),
        ((9, 40), (30, 40), False),
        ((40, 9), (30, 40), False),
        ((40, 30), (5, 60), False),
        ((40, 30), (60, 5), False),
        ((40, 30), (1, 0), False),
    ],
)
def test_net_benefit_tells_of_ten_patients_or_none_in_each_cell(treated, others, is_shown):
    """Cells of patients with and without the outcome, above and below the threshold."""
    is_event = np.repeat([True, False, True, False], [*treated, *others])
    risk = np.repeat([0.8, 0.2], [sum(treated), sum(others)])
    predicted = Predicted(is_event, risk, np.arange(len(risk)))
    assert is_told(predicted, [0.5]).tolist() == [is_shown]
    # Two samples of each patient are not more patients.
    twice = Predicted(*(np.tile(of, 2) for of in (is_event, risk, np.arange(len(risk)))))
    assert is_told(twice, [0.5]).tolist() == [is_shown]


def test_bins_of_the_curve_have_ten_patients_of_each_outcome(data, model):
    X, y = data[2], data[3].to_numpy(dtype=bool)
    patient = np.unique(X.groups, return_inverse=True)[1]
    bin_ = bin_risks(Predicted(y, model.predict_proba(X)[:, 1], patient))
    tenth = bin_risks(Predicted(np.arange(len(y)) % 2 == 0, np.arange(len(y)) / len(y), patient))
    assert len(np.unique(tenth)) == 10
    assert 3 <= len(np.unique(bin_)) < 10
    for number in np.unique(bin_):
        for outcome in (True, False):
            assert len(np.unique(patient[(bin_ == number) & (y == outcome)])) >= 10
