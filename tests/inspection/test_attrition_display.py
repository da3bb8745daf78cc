"""The flow chart of a study: its counts, small cells and layout."""

import re

import numpy as np
import pandas as pd
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from drawn import drawn_texts, overlaps  # noqa: E402

from sklearn_ehr import make_samples  # noqa: E402
from sklearn_ehr.inspection import AttritionDisplay  # noqa: E402


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def attrition_of(*rows):
    return pd.DataFrame(rows, columns=["rule", "n_samples", "n_patients"])


STUDY = attrition_of(
    ("index event or visit", 125345, 80123),
    ("patient has events", 124000, 80000),
    ("no excluded code before prediction", 123000, 79500),
    ("no competing event before prediction", 121000, 79000),
    ("observed for gap + horizon or competing event", 99000, 60100),
)
WORDY = attrition_of(
    (
        "patients of the emergency department of the university hospital with an admission "
        "between January 2015 and December 2020 that was not elective",
        1203,
        1003,
    ),
    ("no missing blood pressure in the first twenty-four hours after admission", 1000, 900),
    ("adult", 1000, 900),
)
SMALL = attrition_of(("index event", 1003, 803), ("adult", 998, 801), ("observed", 700, 601))


def texts_of(display):
    return [text.get_text().replace("\n", " ") for text in display.ax_.texts if text.get_text()]


def test_boxes_show_what_is_left_and_what_is_left_out():
    assert texts_of(AttritionDisplay.from_attrition(STUDY)) == [
        "Index event or visit 125,345 samples of 80,123 patients",
        "Patient has events 124,000 samples of 80,000 patients",
        "No excluded code before prediction 123,000 samples of 79,500 patients",
        "No competing event before prediction 121,000 samples of 79,000 patients",
        "Observed for gap + horizon or competing event 99,000 samples of 60,100 patients",
        "Patient without events 1,345 samples (123 patients)",
        "Excluded code before prediction 1,000 samples (500 patients)",
        "Competing event before prediction 2,000 samples (500 patients)",
        "Not observed for gap + horizon or competing event 22,000 samples (18,900 patients)",
    ]


def test_table_of_make_samples_is_drawn():
    events = pd.DataFrame(
        {
            "patient_id": np.repeat(np.arange(40), 2),
            "time": pd.to_datetime(["2020-01-01", "2020-02-01"] * 40),
            "code": ["INDEX", "OUTCOME"] * 40,
        }
    )
    _, attrition = make_samples(
        events,
        index=["INDEX"],
        outcome_codes=["OUTCOME"],
        horizon="90D",
        observation_end="2021-01-01",
    )
    texts = texts_of(AttritionDisplay.from_attrition(attrition))
    assert texts[0] == "Index event 40 samples of 40 patients"
    assert texts[-1] == "Not observed for horizon 0 samples (0 patients)"


def test_small_count_is_not_given_away_by_differences():
    shown = texts_of(AttritionDisplay.from_attrition(SMALL))
    assert shown == [
        "Index event 1,000 samples of 800 patients",
        "Adult 1,000 samples of 800 patients",
        "Observed 700 samples of 600 patients",
        "Left out by: adult <10 samples (<10 patients)",
        "Not observed 300 samples (200 patients)",
        "Counts are rounded to multiples of 10.",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_no_shown_count_is_small(seed):
    rng = np.random.default_rng(seed)
    samples = np.sort(rng.integers(0, 300, 5))[::-1]
    attrition = pd.DataFrame(
        {"rule": [f"r{i}" for i in "abcde"], "n_samples": samples, "n_patients": samples // 2}
    )
    exact = np.concatenate([attrition.iloc[:, 1:], -attrition.iloc[:, 1:].diff().dropna()])
    texts = " ".join(texts_of(AttritionDisplay.from_attrition(attrition)))
    numbers = [int(number) for number in re.findall(r"(?<!<)\b(\d+) (?:sample|patient)", texts)]
    assert not [number for number in numbers if 0 < number < 10]
    if ((exact > 0) & (exact < 10)).any():
        assert not [number for number in numbers if number % 10]
        assert "<10" in texts
    else:
        assert sorted(numbers) == sorted(exact.ravel())


def test_every_count_can_be_shown_exactly():
    shown = texts_of(AttritionDisplay.from_attrition(SMALL, min_count=1))
    assert shown[0] == "Index event 1,003 samples of 803 patients"
    assert shown[3] == "Left out by: adult 5 samples (2 patients)"
    assert len(shown) == 5


@pytest.mark.parametrize("attrition", [STUDY, STUDY.head(1), WORDY, SMALL])
@pytest.mark.parametrize("size", [None, (4, 4)])
def test_texts_neither_overlap_nor_leave_their_boxes(attrition, size):
    ax = None if size is None else plt.subplots(figsize=size, layout="constrained")[1]
    display = AttritionDisplay.from_attrition(attrition, ax=ax)
    figure = display.figure_
    assert overlaps(figure) == []
    boxes = [patch.get_window_extent() for patch in display.ax_.patches]
    assert len(boxes) == 2 * len(attrition) - 1
    for text in drawn_texts(figure):
        if text.get_text().startswith("Counts"):
            continue
        extent = text.get_window_extent()
        inside = [box for box in boxes if box.contains(*extent.min) and box.contains(*extent.max)]
        assert len(inside) == 1, text.get_text()


def test_boxes_do_not_overlap():
    display = AttritionDisplay.from_attrition(WORDY)
    display.figure_.canvas.draw()
    boxes = [patch.get_window_extent() for patch in display.ax_.patches]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)]


@pytest.mark.parametrize(
    ("rule", "left_out"),
    [
        ("not transferred", "Transferred"),
        ("no surgery", "Surgery"),
        ("did not end in death", "Left out by: did not end in death"),
        ("adult", "Left out by: adult"),
        ("observed for horizon", "Not observed for horizon"),
    ],
)
def test_what_a_rule_leaves_out_has_a_name(rule, left_out):
    attrition = attrition_of(("index event", 300, 200), (rule, 200, 100))
    shown = texts_of(AttritionDisplay.from_attrition(attrition))
    assert shown[-1] == f"{left_out} 100 samples (100 patients)"


def test_rule_with_dollars_is_no_formula():
    attrition = attrition_of(("index event", 300, 200), ("cost of $100 to $\\frac$", 200, 100))
    display = AttritionDisplay.from_attrition(attrition)
    display.figure_.canvas.draw()
    assert "Cost of $100 to $\\frac$ 200" in texts_of(display)[1]


def test_table_may_be_of_any_library():
    pl = pytest.importorskip("polars")
    display = AttritionDisplay.from_attrition(pl.from_pandas(STUDY))
    assert texts_of(display) == texts_of(AttritionDisplay.from_attrition(STUDY))


@pytest.mark.parametrize(
    ("attrition", "error", "message"),
    [
        ([("index event", 3, 2)], TypeError, "second table that make_samples returns"),
        (STUDY.drop(columns="n_patients"), ValueError, "n_patients is missing"),
        (STUDY.head(0), ValueError, "every row is missing"),
        (STUDY[::-1], ValueError, "increase from one rule to a later one"),
        (STUDY.assign(n_samples="many"), ValueError, "must hold whole numbers"),
    ],
)
def test_tables_that_make_no_sense_are_refused(attrition, error, message):
    with pytest.raises(error, match=message):
        AttritionDisplay.from_attrition(attrition)
