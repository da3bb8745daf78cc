"""HTML of visit sequences: what it tells, and what of patients it never shows."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, VisitSequences, VisitSequenceTransformer, Vocabulary

TOO_FEW = "<10 (of so few, nothing else is shown)"


def parsed(shown):
    return ElementTree.fromstring(f"<div>{shown._repr_html_()}</div>")


def table_of(shown):
    return {row.find("th").text: row.find("td").text for row in parsed(shown).iter("tr")}


def bars_of(shown):
    return [title.text for title in parsed(shown).iter("title")]


def sequences_of(n_visits, **attributes):
    """Two tokens in each visit."""
    n_visits = np.asarray(n_visits, dtype=int)
    offsets = np.append(0, n_visits.cumsum())
    tokens = np.full(2 * offsets[-1], 2, dtype=np.int32)
    return VisitSequences(tokens, 2 * np.arange(offsets[-1] + 1), offsets, **attributes)


def many_events(n_patients=120):
    patient = np.repeat(np.arange(n_patients), 3)
    number = np.arange(len(patient)) % 3
    start = pd.to_datetime([f"{year}-03-04 05:06" for year in range(2005, 2009)])
    return pd.DataFrame(
        {
            "patient_id": [f"PATIENTSECRET{p}" for p in patient],
            "time": start[patient % 4] + number * pd.Timedelta("40D"),
            "visit_id": [f"VISITSECRET{i}" for i in range(len(patient))],
            "code": [f"CODESECRET{i}" for i in number],
        }
    )


def test_sequences_tell_their_size():
    n_visits = np.arange(100) % 5
    sequences = sequences_of(n_visits, vocabulary=Vocabulary(["a", "b"]))
    assert table_of(sequences) == {
        "Samples": "100",
        "Patients": "100",
        "Visits": "200",
        "Codes": "400",
        "Codes per visit": "2.0 on average",
        "Visits per sample": "median 2, half of them 1 to 3, 90% 0 to 4",
        "Vocabulary": "2 codes",
    }
    assert bars_of(sequences) == [
        f"{label}: 20% of samples" for label in ("under 1", "1", "2", "3", "4 or more")
    ]


def test_samples_of_few_patients_are_as_few_as_those():
    many = {"n_visits": np.arange(100) % 5}
    assert table_of(sequences_of(**many, groups=np.arange(100) % 9)) == {"Patients": TOO_FEW}
    rows = table_of(sequences_of(**many, groups=np.arange(100) % 10))
    assert rows["Patients"] == "10"
    # Every patient has the same length in all samples.
    assert "Visits per sample" not in rows


@pytest.mark.parametrize("groups", [["a", None] * 5, [1, "b"] * 5, [np.nan] * 10])
def test_groups_of_any_kind(groups):
    assert table_of(sequences_of([1] * 10, groups=groups)) == {"Patients": TOO_FEW}


@pytest.mark.parametrize("n_samples", [0, 3, 9])
def test_of_fewer_than_ten_patients_nothing_is_shown(n_samples):
    sequences = sequences_of([1] * n_samples)
    assert table_of(sequences) == {"Patients": TOO_FEW}
    assert bars_of(sequences) == []


def test_sequences_without_visits():
    rows = table_of(sequences_of([0] * 50))
    assert rows["Visits"] == rows["Codes"] == "<10"
    assert "Codes per visit" not in rows


def test_years_are_those_of_predictions_or_else_of_visits():
    events = many_events()
    transformer = VisitSequenceTransformer(min_frequency=1)
    assert table_of(transformer.fit_transform(events))["Years"] == "2005 to 2008 (of events)"
    samples = events[["patient_id"]].drop_duplicates()
    samples["prediction_time"] = pd.Timestamp("2012-05-06")
    X = Cohort(events, samples)
    assert table_of(transformer.fit_transform(X))["Years"] == "2012 to 2012 (of predictions)"
    numbers = events.assign(time=np.arange(len(events)))
    assert "Years" not in table_of(transformer.fit_transform(numbers))


def test_static_visits_have_no_years():
    events = many_events()
    events.loc[::3, "time"] = pd.NaT
    first = Cohort(events, null_time="static")
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(first)
    assert sequences.is_static.sum() == 120
    assert table_of(sequences)["Years"] == "2005 to 2008 (of events)"
    events["time"] = pd.Series(pd.NaT, index=events.index, dtype="datetime64[ns]")
    only = VisitSequenceTransformer(min_frequency=1).fit_transform(
        Cohort(events, null_time="static")
    )
    assert only.is_static.all()
    assert "Years" not in table_of(only)


def test_no_cell_of_the_data_is_shown():
    events = many_events()
    samples = events[["patient_id"]].drop_duplicates()
    samples["prediction_time"] = pd.Timestamp("2012-05-06")
    samples["<script>"] = 54.321 + np.arange(120)
    X = Cohort(events, samples, features=["<script>"])
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(X)
    for shown in (sequences, sequences[:20], sequences[:3]):
        html = shown._repr_html_()
        assert not [text for text in ("SECRET", "2012-0", "2005-0", "<script") if text in html]
    assert table_of(sequences)["Features"] == "<script>"


def test_of_large_sequences_on_disk_only_some_samples_are_looked_at(tmp_path):
    pytest.importorskip("filelock", reason="filelock comes with the extra store")
    n_visits = np.arange(20_000) % 5
    sequences_of(n_visits, groups=np.arange(20_000)).save(tmp_path / "sequences")
    rows = table_of(VisitSequences.open(tmp_path / "sequences"))
    assert rows["Samples"] == "20,000"
    assert rows["Looked at"] == "10,000 samples"
    assert rows["Visits per sample"] == "median 2, half of them 1 to 3, 90% 0 to 4"
    assert "Patients" not in rows
