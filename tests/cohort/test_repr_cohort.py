"""HTML of event tables and cohorts: what it tells, and what of patients it never shows."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import Cohort, EventTable

TOO_FEW = "<10 (of so few, nothing else is shown)"
DAY = pd.Timedelta("1D")


def parsed(shown):
    return ElementTree.fromstring(f"<div>{shown._repr_html_()}</div>")


def table_of(shown):
    """Rows of the table in the HTML, by name."""
    rows = [(row.find("th").text, row.find("td").text) for row in parsed(shown).iter("tr")]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def bars_of(shown):
    return [title.text for title in parsed(shown).iter("title")]


def many_events(n_patients=200, **columns):
    """Patient `p` has `p % 7 + 1` events, one a day from a day in 2005 to 2009 on."""
    patient = np.repeat(np.arange(n_patients), np.arange(n_patients) % 7 + 1)
    number = pd.Series(patient).groupby(patient).cumcount().to_numpy()
    start = pd.to_datetime([f"{year}-03-04 05:06" for year in range(2005, 2010)])
    time = start[patient % 5] + number * DAY
    return pd.DataFrame(
        {
            "patient_id": [f"PATIENTSECRET{p}" for p in patient],
            "time": time,
            "code": [f"CODESECRET{i}" for i in (patient + number) % 50],
        }
        | columns
    )


def many_samples(events, n_days=1, **columns):
    """A sample of each patient, as many days after the first event."""
    first = events.groupby("patient_id", sort=False)["time"].min()
    return pd.DataFrame(
        {"patient_id": first.index, "prediction_time": first.to_numpy() + n_days * DAY} | columns
    )


def test_table_tells_its_size():
    events = many_events()
    assert table_of(EventTable(events)) == {
        "Patients": "200",
        "Events": "794",
        "Codes": "50",
        "Events per patient": "median 4, half of them 2 to 6, 90% 1 to 7",
        "Years": "2005 to 2009 (of events)",
        "Columns": "patient_id, time, code",
        "Stored": "in memory",
    }
    assert len(events) == 794
    lengths = events["patient_id"].value_counts()
    assert lengths.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist() == [1, 2, 4, 6, 7]
    assert bars_of(EventTable(events)) == [
        f"{label}: 14% of patients" for label in ("under 2", "2", "3", "4", "5", "6", "7 or more")
    ]


def test_table_tells_visit_ids_and_the_names_of_columns():
    events = many_events().rename(columns={"code": "icd10"})
    events["visit_id"] = np.arange(len(events)) // 2
    table = EventTable(events, code="icd10")
    rows = table_of(table)
    assert rows["Visit ids"] == "397"
    assert rows["Columns"] == "patient_id, time, code: icd10, visit_id"


def test_cohort_tells_its_size_and_the_share_of_its_outcome():
    events = many_events()
    samples = many_samples(events, readmitted=np.arange(200) % 4 == 0)
    X = Cohort(events, samples)
    # Each patient sees the events of the first day and of the next, but one in seven has only one.
    n_single = len(range(0, 200, 7))
    assert table_of(X) == {
        "Samples": "200",
        "Patients": "200",
        "Events": f"{400 - n_single}, each counted once",
        "Codes": "50 in the event table",
        "Events per patient": "median 2, half of them 2 to 2, 90% 1 to 2",
        "Years": "2005 to 2009 (of predictions)",
        "Histories": "until the prediction time (by instant)",
        "readmitted": "25.0%",
    }
    assert len(X.visible_events()) == 400 - n_single


def test_whole_histories_tell_the_years_of_their_events():
    rows = table_of(Cohort(many_events()))
    assert rows["Histories"] == "whole"
    assert rows["Years"] == "2005 to 2009 (of events)"
    assert rows["Events"] == "794, each counted once"


@pytest.mark.parametrize("lookback", [None, "60h", "84h"])
@pytest.mark.filterwarnings("ignore:.* samples have no visible event")
@pytest.mark.parametrize("has_known_times", [False, True])
def test_events_of_several_samples_count_once(lookback, has_known_times):
    events = many_events()
    if has_known_times:
        events["known_time"] = events["time"] + DAY
    parts = [many_samples(events, n_days) for n_days in (1, 2, 3)]
    X = Cohort(events, pd.concat(parts, ignore_index=True), lookback=lookback)
    n_seen = int(X.is_seen().sum())
    assert n_seen < len(X.visible_events())
    shown = table_of(X)["Events"]
    if lookback is None or not has_known_times:
        assert shown == f"{n_seen}, each counted once"
    else:
        n_most = int(re.fullmatch("at most ([0-9]+), each counted once", shown)[1])
        assert n_seen <= n_most <= len(events)
    assert ("within the lookback" in table_of(X)["Histories"]) == (lookback is not None)


@pytest.mark.parametrize(
    "shown",
    [
        Cohort(many_events())[:3],
        Cohort(many_events())[:0],
        Cohort(many_events(9), many_samples(many_events(9), sex=["f", "m", "m"] * 3)),
        EventTable(many_events(9)),
    ],
)
def test_of_fewer_than_ten_patients_nothing_is_shown(shown):
    assert table_of(shown) == {"Patients": TOO_FEW}
    assert bars_of(shown) == []


def test_groups_of_fewer_than_ten_persons_are_as_small_as_so_few_patients():
    events = many_events()
    samples = many_samples(events, person=np.arange(200) % 9, outcome=np.arange(200) % 2)
    assert table_of(Cohort(events, samples, group="person")) == {"Groups": TOO_FEW}
    samples["person"] = np.arange(200) % 10
    rows = table_of(Cohort(events, samples, group="person"))
    assert rows["Groups"] == "10"
    assert rows["Patients"] == "200"
    # The odd persons have one of the outcomes, the even ones the other.
    assert rows["outcome"] == "<10 patients with one of its two values"


def test_shares_need_ten_patients_with_either_value():
    events = many_events()
    samples = many_samples(
        events,
        rare=np.arange(200) < 9,
        sex=np.where(np.arange(200) < 50, "f", "m"),
        known=np.where(np.arange(200) < 100, np.arange(200) % 5 == 0, None),
        code=np.where(np.arange(200) < 195, 3.0, 7.0),
        three=np.arange(200) % 3,
        constant=1,
    )
    rows = table_of(Cohort(events, samples))
    assert rows["rare"] == "<10 patients with one of its two values"
    assert rows["sex"] == "m: 75.0%"
    assert rows["known"] == "20.0%"
    assert rows["code"] == "<10 patients with one of its two values"
    assert not {"three", "constant"} & rows.keys()


def test_samples_of_one_patient_are_one_patient_in_a_share():
    events = many_events()
    samples = many_samples(events, outcome=0)
    again = samples.iloc[np.zeros(50, dtype=int)].assign(outcome=1)
    X = Cohort(events, pd.concat([samples, again], ignore_index=True))
    assert table_of(X)["outcome"] == "<10 patients with one of its two values"


def test_only_the_first_shares_are_shown_of_a_wide_table():
    events = many_events()
    samples = many_samples(events)
    wide = pd.DataFrame({f"x{i}": np.arange(200) % 2 for i in range(50)})
    rows = table_of(Cohort(events, pd.concat([samples, wide], axis=1)))
    assert [name for name in rows if name and name.startswith("x")] == [f"x{i}" for i in range(20)]
    assert "further columns of two values are not shown" in rows.values()


def secrets(*frames):
    """All cells of patients, codes and times, times also as dates and without the century."""
    for frame in frames:
        for name in ("patient_id", "code", "visit_id"):
            if name in frame:
                yield from frame[name].astype(str).unique()
        for name in ("time", "prediction_time", "known_time"):
            if name in frame:
                times = frame[name].dropna()
                yield from times.astype(str).unique()
                yield from times.dt.date.astype(str).unique()


@pytest.mark.filterwarnings("ignore:.* samples have no visible event")
@pytest.mark.parametrize("lookback", [None, "1D"])
def test_no_cell_of_the_data_is_shown(lookback):
    events = many_events()
    events["visit_id"] = [f"VISITSECRET{i}" for i in range(len(events))]
    events["value"] = 1234.56789
    samples = many_samples(events, sex=np.where(np.arange(200) < 50, "f", "m"), age=54.321)
    X = Cohort(events, samples, features=["age"], lookback=lookback)
    for shown in (X, X[:30], X[:3], X[:0], X.event_table):
        html = shown._repr_html_()
        assert not [secret for secret in secrets(events, samples) if secret in html]
        assert "SECRET" not in html
        assert "1234.5" not in html
        assert "54.3" not in html


def test_a_year_of_few_patients_is_not_shown():
    events = many_events()
    events.loc[0, "time"] = pd.Timestamp("1901-01-01")
    events.loc[len(events) - 1, "time"] = pd.Timestamp("2150-01-01")
    for shown in (EventTable(events), Cohort(events)):
        assert table_of(shown)["Years"] == "2005 to 2009 (of events)"


def test_the_longest_history_is_not_shown():
    events = many_events()
    longest = pd.DataFrame(
        {"patient_id": "one", "time": pd.Timestamp("2007-01-01"), "code": ["x"] * 98765}
    )
    html = EventTable(pd.concat([events, longest]))._repr_html_()
    assert re.findall("98.?765|99.?[0-9]{3}", html) == ["99,559"]  # the number of all events
    assert len(events) + len(longest) == 99_559


def test_names_of_columns_are_escaped():
    name = "<script>alert(1)</script>"
    events = many_events().rename(columns={"code": name})
    samples = many_samples(events, **{"<img src=x onerror=alert(1)>": np.arange(200) % 2})
    samples[("a", "<b>")] = np.where(np.arange(200) % 2, "<i>", "</table>")
    samples[7] = np.arange(200) % 2
    samples["Samples"] = np.arange(200) % 2
    X = Cohort(events, samples.assign(**{name: 0.5}), code=name, features=[name])
    for shown in (X, X.event_table):
        html = shown._repr_html_()
        assert not re.search("<(script|img|b|i)[ >]", html)
        assert html.count("</table>") == 1
    assert "<img src=x onerror=alert(1)>" in [cell.text for cell in parsed(X).iter("th")]
    assert "<i>: 50.0%" in [cell.text for cell in parsed(X).iter("td")]


def test_columns_of_any_kind_are_shown_or_passed_over():
    events = many_events()
    n = np.arange(200)
    samples = many_samples(
        events,
        lists=[[i] for i in n],
        mixed=[i if i % 2 else str(i) for i in n],
        nothing=None,
        dates=pd.to_datetime("2020-01-01") + n % 2 * DAY,
        durations=pd.to_timedelta(n % 2, "D"),
        categories=pd.Categorical(np.where(n % 2, "a", "b"), ["b", "a", "c"]),
        intervals=pd.cut(n % 2, 2),
        complex=n * 1j,
        integers=pd.array(n % 2, dtype="Int8"),
        infinite=np.where(n % 2, np.inf, 0),
        sparse=pd.arrays.SparseArray(n % 2),
    )
    samples = pd.concat(
        [samples, samples[["integers"]].rename(columns={"integers": "lists"})], axis=1
    )
    rows = table_of(Cohort(events, samples))
    found = {name: text for name, text in rows.items() if text and text.endswith("50.0%")}
    assert found == {
        "categories": "a: 50.0%",
        "integers": "50.0%",
        "lists": "50.0%",
        "infinite": "inf: 50.0%",
        "sparse": "50.0%",
    }


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_numeric_times_have_no_years(dtype):
    events = many_events()
    events["time"] = (events["time"].dt.year * 1000).astype(dtype)
    samples = many_samples(events.assign(time=pd.Timestamp("2020-01-01")))
    samples["prediction_time"] = 2_010_000
    for shown in (EventTable(events), Cohort(events), Cohort(events, samples)):
        assert "Years" not in table_of(shown)
        assert not re.search("20[0-9]{2}", shown._repr_html_())
    assert table_of(Cohort(events, samples))["Histories"] == "until the prediction time"


def test_events_without_times():
    events = many_events().drop(columns="time")
    events["visit_id"] = np.arange(len(events))
    assert "Years" not in table_of(EventTable(events))
    assert table_of(Cohort(events))["Events"] == "794, each counted once"


def test_static_events_have_no_years():
    events = many_events()
    events["time"] = events["time"].where(events["patient_id"].str.endswith("7"))
    few, none = events["time"].notna(), events.assign(time=pd.NaT)
    assert 10 < events.loc[few, "patient_id"].nunique() < 40
    table = EventTable(none.astype({"time": "datetime64[ns]"}), null_time="static")
    assert "Years" not in table_of(table)
    assert "Years" not in table_of(Cohort(table))
    assert table_of(EventTable(events, null_time="static"))["Events"] == "794"


@pytest.mark.filterwarnings("ignore:.* samples have no visible event")
def test_patients_without_events_have_empty_histories():
    events = many_events()
    samples = pd.concat(
        [many_samples(events, n_days=-1), pd.DataFrame({"patient_id": ["PATIENTSECRETX"]})]
    )
    X = Cohort(events, samples.fillna({"prediction_time": pd.Timestamp("2010-01-01")}))
    assert table_of(X)["Events"] == "<10, each counted once"
    assert table_of(X)["Events per patient"] == "median 0, half of them 0 to 0, 90% 0 to 0"
    assert bars_of(X) == []
    rows = table_of(Cohort(events, samples[["patient_id"]], prediction_time=None))
    assert rows["Patients"] == "201"
    assert rows["Years"] == "2005 to 2009 (of events)"


def test_aware_times():
    events = many_events()
    events["time"] = events["time"].dt.tz_localize("America/New_York")
    samples = events[["patient_id"]].drop_duplicates()
    X = Cohort(events, samples.assign(prediction_time=events["time"].max()))
    assert table_of(X)["Years"] == "2009 to 2009 (of predictions)"
    assert table_of(X.event_table)["Years"] == "2005 to 2009 (of events)"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    pytest.importorskip("filelock", reason="filelock comes with the extra store")
    directory = tmp_path_factory.mktemp("store") / "events"
    return EventTable(many_events(20_000), directory=directory)


def test_table_on_disk_tells_what_one_in_memory_tells(tmp_path):
    pytest.importorskip("filelock", reason="filelock comes with the extra store")
    events = many_events()
    table = EventTable(events, directory=tmp_path / "store")
    assert table_of(table) == table_of(EventTable(events)) | {"Stored": "on disk"}
    samples = many_samples(events, outcome=np.arange(200) % 2)
    assert table_of(Cohort(table, samples)) == table_of(Cohort(events, samples))
    assert table_of(Cohort(table)) == table_of(Cohort(events))


class Counted:
    """An array that counts what is read of it."""

    def __init__(self, array):
        self.array, self.dtype, self.n_read = array, array.dtype, 0

    def __len__(self):
        return len(self.array)

    def __getitem__(self, key):
        read = self.array[key]
        self.n_read += read.size
        return read


def test_a_large_table_on_disk_is_not_read(store):
    table = EventTable.open(store.directory)
    names = ("patient_offsets", "dated_starts", "code", "time")
    vars(table).update({name: Counted(getattr(table, name)) for name in names})
    rows = table_of(table)
    assert rows["Patients"] == "20,000"
    assert rows["Events"] == "79,997"
    assert rows["Looked at"] == "10,000 patients"
    assert rows["Years"] == "2005 to 2009 (of events)"
    assert rows["Events per patient"] == "median 4, half of them 2 to 6, 90% 1 to 7"
    n_read = {name: getattr(table, name).n_read for name in names}
    assert n_read.pop("code") == 0
    assert all(0 < n <= 40_000 for n in n_read.values())


@pytest.mark.filterwarnings("ignore:.* samples have no visible event")
def test_a_cohort_reads_no_events_of_a_table_on_disk(store):
    patients = pd.DataFrame({"patient_id": store.patients})
    samples = patients.assign(prediction_time=pd.Timestamp("2008-01-01"))
    table = EventTable.open(store.directory)
    X = Cohort(table, samples)
    whole = Cohort(table, patients, prediction_time=None)
    names = ("code", "time")
    vars(table).update({name: Counted(getattr(table, name)) for name in names})
    assert table_of(X[:-1])["Samples"] == "19,999"
    assert table.time.n_read == 0
    assert table_of(whole)["Years"] == "2005 to 2009 (of events)"
    assert table.time.n_read <= 20_000
    assert table.code.n_read == 0
