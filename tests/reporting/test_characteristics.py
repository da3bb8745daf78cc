"""Table 1 has the numbers of the samples, and standardised differences by their definition."""

import re

import numpy as np
import pandas as pd
import pytest
from cases import N_PATIENTS, Risk, with_column

from sklearn_ehr import Cohort, report


def table_of(data, model, X=None, X_test=None, **options):
    X = data[0] if X is None else X
    X_test = data[2] if X_test is None else X_test
    options = {"comparison": None, "n_bootstrap": 2} | options
    return report(model, X, data[1], X_test, data[3], **options).characteristics


@pytest.fixture(scope="module")
def frames(data):
    """Samples of both cohorts."""
    X, y, X_test, y_test = data
    return {
        "development": X.samples.assign(y=y.to_numpy()),
        "test": X_test.samples.assign(y=y_test.to_numpy()),
    }


def part(frame, who):
    return frame if who == "all" else frame[frame["y"] == (who == "outcome")]


def test_columns_are_those_of_samples_but_ids_times_and_outcome(made):
    names = made.characteristics.index.get_level_values(0).unique().tolist()
    assert names == [
        "samples",
        "patients",
        "outcome",
        "predictions",
        "events known",
        "visits known",
        "different codes known",
        "risk",
        "sex",
        "age",
        "site",
        "smoker",
        "odd <b>&'\" name",
    ]


def test_first_rows_count_samples_patients_and_outcomes(made, frames):
    table = made.characteristics
    for cohort, frame in frames.items():
        for who in ("all", "outcome", "no outcome"):
            assert table.loc[("samples", "n"), (cohort, who)] == f"{len(part(frame, who)):,}"
        assert table.loc[("patients", "n"), (cohort, "all")] == f"{frame['patient_id'].nunique()}"
        share = f"{frame['y'].sum()} ({100 * frame['y'].mean():.1f} %)"
        assert table.loc[("outcome", "n (%)"), (cohort, "all")] == share
        assert table.loc[("patients", "n"), (cohort, "outcome")] == ""


@pytest.mark.parametrize("who", ["all", "outcome", "no outcome"])
@pytest.mark.parametrize("cohort", ["development", "test"])
def test_numbers_have_mean_quartiles_and_missing(made, frames, cohort, who):
    rows = made.characteristics.loc["age", (cohort, who)]
    ages = part(frames[cohort], who)["age"]
    assert rows["mean (SD)"] == f"{ages.mean():.3g} ({ages.std():.3g})"
    low, middle, high = ages.quantile([0.25, 0.5, 0.75])
    assert rows["median (quartiles)"] == f"{middle:.3g} ({low:.3g} to {high:.3g})"
    assert rows["missing"] == f"{ages.isna().sum()} ({100 * ages.isna().mean():.1f} %)"


def test_levels_have_their_numbers_and_shares(made, frames):
    for cohort, frame in frames.items():
        for who in ("all", "outcome", "no outcome"):
            rows = made.characteristics[cohort, who]
            females = part(frame, who)["sex"] == "female"
            smokers = part(frame, who)["smoker"]
            share = f"{females.sum()} ({100 * females.mean():.1f} %)"
            assert rows["sex", "female"] == share
            assert rows["smoker", "yes"] == f"{smokers.sum()} ({100 * smokers.mean():.1f} %)"
    assert made.characteristics.loc["smoker"].index.tolist() == ["yes"]


def test_history_is_counted_from_visible_events(made, data):
    for cohort, X in (("development", data[0]), ("test", data[2])):
        events = X.visible_events()
        by_sample = events.groupby("sample")
        empty = pd.Series(0.0, index=range(len(X)))
        n_days = by_sample["time"].agg(lambda time: time.dt.normalize().nunique())
        for name, counts in (
            ("events known", by_sample.size()),
            ("different codes known", by_sample["code"].nunique()),
            ("visits known", n_days),
        ):
            counts = (empty + counts).fillna(0)
            found = made.characteristics.loc[(name, "mean (SD)"), (cohort, "all")]
            assert found == f"{counts.mean():.3g} ({counts.std():.3g})"


def difference(one, other):
    """Austin's standardised difference of two columns of numbers, or of 0 and 1."""
    if set(np.unique(one)) <= {0, 1}:
        p, q = one.mean(), other.mean()
        return abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    return abs(one.mean() - other.mean()) / np.sqrt((one.var() + other.var()) / 2)


@pytest.mark.parametrize(
    ("row", "read"),
    [
        (("age", "mean (SD)"), lambda frame: frame["age"].dropna()),
        (("risk", "mean (SD)"), lambda frame: frame["risk"]),
        (("smoker", "yes"), lambda frame: frame["smoker"].astype(float)),
        (("sex", "female"), lambda frame: (frame["sex"] == "male").astype(float)),
    ],
)
def test_standardised_differences_are_those_of_their_definition(made, frames, row, read):
    found = made.characteristics.loc[row]
    development, test = frames["development"], frames["test"]
    for cohort, frame in frames.items():
        parts = [read(part(frame, who)) for who in ("outcome", "no outcome")]
        assert found[cohort, "difference"] == pytest.approx(difference(*parts))
    both = difference(read(development), read(test))
    assert found["development and test", "difference"] == pytest.approx(both)


def in_turn(values, X):
    """Values that the samples have one after the other, from the first one again."""
    return np.array(values)[np.arange(len(X)) % len(values)]


def test_difference_of_numbers_by_hand(data, model):
    # 0 to 10 in turn have a mean of 5 and a variance of 10; 1 to 11 have a mean of 6.
    X = with_column(data[0], "x", in_turn(np.arange(11.0), data[0]))
    X_test = with_column(data[2], "x", in_turn(np.arange(1.0, 12), data[2]))
    rows = table_of(data, model, X, X_test, characteristics=["x"]).loc["x"]
    expected = 1 / np.sqrt(10)
    found = rows["development and test", "difference"].iloc[0]
    assert found == pytest.approx(expected, abs=0.01)


def test_difference_of_three_levels_by_hand(data, model):
    # Shares of 1/2, 1/4, 1/4 and of 1/4, 1/4, 1/2. For the last two levels, the mean covariance is
    # [[3/16, -3/32], [-3/32, 7/32]], and the difference is (0, 1/4): d² = 1/16 * 3/16 / det.
    X = with_column(data[0], "x", in_turn(["a", "b", "c", "a"], data[0]))
    X_test = with_column(data[2], "x", in_turn(["a", "b", "c", "c"], data[2]))
    determinant = 3 / 16 * 7 / 32 - (3 / 32) ** 2
    expected = np.sqrt(1 / 16 * 3 / 16 / determinant)
    rows = table_of(data, model, X, X_test, characteristics=["x"]).loc["x"]
    found = rows["development and test", "difference"]
    assert found.iloc[0] == pytest.approx(expected, abs=0.01)
    assert found.iloc[1:].isna().all()


def test_years_are_those_with_predictions_of_ten_patients(data, model, made, frames):
    for cohort, frame in frames.items():
        years = frame.groupby(frame["prediction_time"].dt.year)["patient_id"].nunique()
        years = years[years >= 10].index
        found = made.characteristics.loc[("predictions", "years"), (cohort, "all")]
        assert found == f"{years.min()} to {years.max()}"


def test_columns_can_be_chosen(data, model):
    table = table_of(data, model, characteristics=["stay_id", "sex"])
    names = table.index.get_level_values(0).unique().tolist()
    assert names[-2:] == ["stay_id", "sex"]
    assert "age" not in names


def test_columns_of_all_kinds(data, model):
    """Nullable, categorical, Arrow and object columns, numbers of two values, and unusable ones."""
    pa = pytest.importorskip("pyarrow")
    X, y, X_test, y_test = data

    def add(cohort):
        i = np.arange(len(cohort))
        columns = {
            "nullable": pd.array(np.where(i % 3 == 0, None, i % 17), dtype="Int64"),
            "flag": pd.array(np.where(i % 3 == 0, None, i % 3 == 1), dtype="boolean"),
            "one or two": 1 + i % 2,
            "stage": pd.Categorical(in_turn(["low", "high"], cohort), ["low", "high"]),
            "arrow": pd.array(in_turn(["x", "y"], cohort), dtype=pd.ArrowDtype(pa.string())),
            "mixed": np.array([1, "one"], dtype=object)[i % 2],
            "constant": "same",
            "when": cohort.samples["prediction_time"] + pd.Timedelta("1D"),
            "lists": pd.Series([[1]] * len(cohort)).to_numpy(),
            "free text": [f"note {j}" for j in i],
            "few share": [f"note {j // 3}" for j in i],
        }
        return Cohort(cohort.event_table, cohort.samples.assign(**columns))

    made = report(model, add(X), y, add(X_test), y_test, comparison=None, n_bootstrap=2)
    table = made.characteristics
    assert table.loc["nullable"].index.tolist() == ["mean (SD)", "median (quartiles)", "missing"]
    assert table.loc["flag"].index.tolist() == ["yes", "missing"]
    assert table.loc["one or two"].index.tolist() == ["1", "2"]
    assert table.loc["stage"].index.tolist() == ["low", "high"]
    assert table.loc["arrow"].index.tolist() == ["x", "y"]
    assert table.loc["mixed"].index.tolist() == ["1", "one"]
    assert not table.index.get_level_values(0).isin(["when", "lists", "free text"]).any()
    assert made.left_out == ["constant", "few share"]


def test_visit_of_undated_events_is_not_counted(data, model):
    def with_undated(cohort):
        events = cohort.visible_events()
        patient = cohort.samples["patient_id"].to_numpy()[events["sample"]]
        events = events[["code", "time"]].assign(patient_id=patient)
        undated = pd.DataFrame({"patient_id": np.unique(cohort.groups), "code": "U"})
        events = pd.concat([events.drop_duplicates(), undated], ignore_index=True)
        return Cohort(events, cohort.samples, null_time="static")

    plain = table_of(data, model).loc["visits known"]
    table = table_of(data, model, with_undated(data[0]), with_undated(data[2]))
    table = table.loc["visits known"]
    pd.testing.assert_frame_equal(table, plain)


def of_patient(values, X):
    """A value of each patient, at all of the patient's samples."""
    return np.array(values)[np.unique(X.groups, return_inverse=True)[1]]


def test_column_that_tells_patients_apart_is_not_described(data, model):
    X, y, X_test, y_test = data
    rng = np.random.default_rng(0)

    def add(cohort):
        n = len(np.unique(cohort.groups))
        number = 7_100_000 + rng.permutation(n)
        columns = {
            "mrn": of_patient(number, cohort),
            "mrn or none": of_patient(np.where(np.arange(n) % 9, number, np.nan), cohort),
            "insured as": of_patient(np.char.mod("NAMESECRET%d", number), cohort),
            "weight": of_patient(rng.normal(70.0, 10, n), cohort),
            "ward": of_patient(np.arange(n) % 3, cohort),
        }
        return Cohort(cohort.event_table, cohort.samples.assign(**columns))

    made = report(model, add(X), y, add(X_test), y_test, comparison=None, n_bootstrap=2)
    names = made.characteristics.index.get_level_values(0).unique().tolist()
    assert names[-2:] == ["weight", "ward"]
    assert not {"mrn", "mrn or none", "insured as"} & {*names, *made.left_out}


def test_quartiles_have_three_digits_and_tell_no_value(data, model):
    X, _, X_test, _ = data
    rng = np.random.default_rng(0)
    income = [rng.integers(2_000_000, 9_000_000, len(cohort)) for cohort in (X, X_test)]
    X, X_test = with_column(X, "income", income[0]), with_column(X_test, "income", income[1])
    table = table_of(data, model, X, X_test, characteristics=["income"])
    cells = table.loc[("income", "median (quartiles)"), [("test", "all")]]
    expected = [f"{float(f'{q:.3g}'):,.0f}" for q in np.quantile(income[1], [0.5, 0.25, 0.75])]
    assert cells.item() == f"{expected[0]} ({expected[1]} to {expected[2]})"
    told = " ".join(table.loc["income"].drop(columns="difference", level=1).to_numpy().ravel())
    numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]{9}", told)]
    assert len(numbers) == 30
    assert not [number for number in numbers if number % 10_000]


def test_whole_histories_have_no_years(data):
    rng = np.random.default_rng(0)
    n = N_PATIENTS
    events = data[0].event_table
    samples = pd.DataFrame({"patient_id": events.patients})
    samples["risk"] = rng.random(len(samples)) * 0.8 + 0.1
    X = Cohort(events, samples, prediction_time=None)
    y = rng.binomial(1, X.samples["risk"])
    half = n // 2
    model = Risk().fit(X[:half], y[:half])
    made = report(model, X[:half], y[:half], X[half:], y[half:], comparison=None, n_bootstrap=2)
    assert "predictions" not in made.characteristics.index.get_level_values(0)
    assert made.checklist.loc["5b", "status"] == "open"
    assert made.outcome == "the outcome"
