"""The page is whole, needs no network, and shows nobody."""

import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
    report,
)
from sklearn_ehr.reporting import Report
from sklearn_ehr.reporting._figures import draw_subgroups, ticks
from sklearn_ehr.reporting._html import _number

VOID = {"meta", "br", "line", "circle", "polyline", "polygon"}
SECTIONS = [
    "1. Participants",
    "2. Characteristics",
    "3. Model",
    "4. Performance",
    "5. Net benefit",
    "6. Subgroups",
    "7. Comparison",
    "8. What was not reported",
    "9. Methods and references",
]
FRAMES = [
    "characteristics",
    "parameters",
    "performance",
    "calibration",
    "net_benefit",
    "subgroups",
    "subgroup_net_benefit",
    "comparison",
    "checklist",
]


class Reader(HTMLParser):
    """Checks that elements are closed in order, and collects texts, attributes and headings."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.attributes, self.cells = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if "style" not in self.open:
            self.texts.append(text)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(text)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    made.save(path)
    return path.read_text(encoding="utf-8")


def test_page_is_one_document_with_all_sections(page):
    assert page.startswith("<!DOCTYPE html>")
    reader = read(page)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == SECTIONS
    assert page.count("<html") == page.count("</html>") == 1
    assert ("charset", "utf-8") in reader.attributes
    assert page.count("<figure>") == 4


def test_page_needs_no_network_and_runs_nothing(page):
    reader = read(page)
    names = {name for name, _ in reader.attributes}
    assert not names & {"src", "href", "xlink:href", "onload", "onclick", "srcset", "data"}
    for word in ("<script", "<link", "<iframe", "@import", "url(", "http://", "https://"):
        assert word not in page


def test_notebook_shows_the_same_without_a_document_around_it(made, page):
    shown = made._repr_html_()
    assert shown in page
    read(shown)
    assert "<html" not in shown
    # Style that would reach beyond the report.
    style = re.search(r"<style>(.*?)</style>", shown, re.DOTALL).group(1)
    selectors = re.findall(r"([^{}]+)\{", style)
    selectors = [one.strip(" }\n") for group in selectors for one in group.split(",")]
    assert all(one.startswith(".ehr-report") for one in selectors if one != "@media print")


def test_names_of_columns_and_values_are_escaped(page):
    assert "<i>one" not in page
    assert "odd <b>" not in page
    texts = read(page).texts
    assert "<i>one</i>" in texts
    assert "odd <b>&'\" name" in texts
    assert "two & three" in texts


def test_title_and_outcome_are_escaped(data, model):
    X, y, X_test, y_test = data
    made = report(
        model, X, y.rename("<u>out"), X_test, y_test, title="<h1>T & C", comparison=None,
        n_bootstrap=2,
    )  # fmt: skip
    page = made._repr_html_()
    assert "<u>" not in page
    assert "<h1>T" not in page
    assert {"<h1>T & C", "<u>out"} <= set(read(page).texts)


def test_nothing_shows_a_patient_a_code_a_stay_or_a_time(made, page, data):
    everything = (
        page
        + repr(made)
        + "".join(
            getattr(made, name).to_string() + str(getattr(made, name).attrs) for name in FRAMES
        )
    )
    content = pickle.dumps(made)
    assert "SECRET" not in everything
    assert b"SECRET" not in content
    for X in (data[0], data[2]):
        for column in ("stay_id", "risk"):
            for value in X.samples[column]:
                assert str(value) not in everything
        times = X.samples["prediction_time"]
        assert not any(str(time.date()) in everything for time in times.head(100))
        assert times.astype("int64").iloc[0].tobytes() not in content
    assert len(content) < 200_000


def test_scan_would_find_what_a_page_shows(page, made):
    assert "female" in page
    assert b"female" in pickle.dumps(made)


def test_counts_in_the_page_are_ten_or_more(page):
    sections = dict(re.findall(r"<h2>(.*?)</h2>(.*?)</section>", page, re.DOTALL))
    cells = read(sections["2. Characteristics"] + sections["6. Subgroups"]).cells
    found = [re.fullmatch(r"([\d,]+)(?: \([\d.]+ %\))?", cell) for cell in cells]
    counts = [int(match.group(1).replace(",", "")) for match in found if match]
    assert len(counts) > 60
    assert min(counts) >= 10
    assert "<10" in cells


def test_figures_show_the_numbers_of_their_frames(made, page):
    curve, benefit, areas, _ = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert curve.count("<circle") == len(made.calibration)
    assert areas.count("<circle") == len(made.subgroups)
    # Two models, and treating all or none.
    assert benefit.count("<polyline") == 4
    assert "nan" not in curve + benefit + areas


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.5, 0.9, [-0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8]),
        (0.05, 0.5, [0.1, 0.2, 0.3, 0.4, 0.5]),
        (-0.012, 0.03, [-0.01, 0, 0.01, 0.02, 0.03]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)
    assert "-0" not in [f"{tick:g}" for tick in ticks(low, high)]


def test_report_prints_its_figures(made):
    assert isinstance(made, Report)
    lines = repr(made).splitlines()
    assert lines[0] == "Report: Report of a prediction model"
    assert sum("roc_auc" in line for line in lines) == 1


def test_attrition_is_shown_pooled(data, model):
    attrition = pd.DataFrame(
        {
            "rule": ["index <event>", "no excluded code", "observed"],
            "n_samples": [5000, 4996, 1033],
            "n_patients": [900, 899, 500],
            "resolution": "day",
        }
    )
    made = report(model, *data, attrition=attrition, comparison=None, n_bootstrap=2)
    assert made.attrition["rule"].tolist() == ["index <event>", "no excluded code; observed"]
    page = made._repr_html_()
    assert "4,996" not in page
    assert "<td>3,967</td>" in page
    read(page)
    assert made.checklist.loc["6b", "status"] == "in part"


def test_checklist_has_the_items_of_tripod_ai(made, data, model):
    table = made.checklist
    # 27 items: those with parts have 3, 3, 3, 3, 2, 7, 6, 3, 2, 3.
    assert len(table) == 52
    assert table.index.is_unique
    numbers = [int(re.match(r"\d+", item).group()) for item in table.index]
    assert sorted(set(numbers)) == list(range(1, 28))
    assert numbers == sorted(numbers)
    assert set(table["status"]) == {"filled", "in part", "open"}
    is_open = table["status"] == "open"
    assert (table.loc[is_open, "where"] == "").all()
    assert (table.loc[~is_open, "where"].str.contains("Section")).all()
    assert table.loc["23a", "status"] == "filled"
    without = report(model, *data, comparison=None, n_bootstrap=2).checklist
    assert without.loc["23a", "status"] == "in part"
    assert without.loc["14", "status"] == "open"
    told = int(re.search(r"(\d+) are open", made._repr_html_()).group(1))
    assert told == is_open.sum()


def test_checklist_names_only_sections_that_the_page_has(made, data, model):
    assert made.checklist.loc["12e", "where"] == "Sections 4, 5, 6, 7 and 9"
    assert made.checklist.loc["21", ["status", "where"]].tolist() == ["filled", "Sections 2 and 6"]
    without = report(model, *data, comparison=None, n_bootstrap=2).checklist
    assert without.loc["12e", ["status", "where"]].tolist() == ["filled", "Sections 4, 5 and 9"]
    assert without.loc["21", "status"] == "in part"
    assert not without["where"].str.contains("6|7").any()


def test_checklist_tells_if_nothing_is_missing(made, data, model):
    assert made.checklist.loc["11", "where"] == "Section 2: how often values are missing"
    whole = report(model, *data, characteristics=["sex"], comparison=None, n_bootstrap=2)
    assert whole.checklist.loc["11", "where"] == "Section 2: no value of its rows is missing"


def test_file_is_whole_or_stays_as_it_was(made, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("before")

    def fill_disk(part, text, **_):
        part.write_bytes(text[:100].encode())
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fill_disk)
        with pytest.raises(OSError, match="No space left"):
            made.save(path)
    assert path.read_text() == "before"
    made.save(str(path))
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE")
    assert list(tmp_path.iterdir()) == [path]


def test_counts_are_whole_and_minus_signs_are_one(made, page):
    section = re.search(r"<h2>6\. Subgroups</h2>(.*?)</section>", page, re.DOTALL).group(1)
    counts = made.subgroups["n", "samples"]
    assert {f"<td>{n}</td>" in section for n in counts} == {True}
    assert not re.search(r"<td>\d+\.0</td>", section)
    figures = "".join(re.findall(r"<figure>.*?</figure>", page, re.DOTALL))
    assert ">-" not in figures
    assert ">\N{MINUS SIGN}0." in figures


def test_figures_without_an_interval_or_an_end_have_no_nan(data, model, made):
    table = made.subgroups["roc_auc"].copy()
    table.iloc[0, 1:] = np.nan
    frame = pd.concat({"roc_auc": table}, axis=1)
    figure = draw_subgroups(frame, made.performance, "roc_auc", "area")
    assert "nan" not in figure
    assert figure.count("<circle") == len(table)
    assert [_number(value) for value in (np.inf, -np.inf)] == ["∞", "\N{MINUS SIGN}∞"]


def test_page_prints_without_losing_columns(page):
    assert "@page{size:A4 landscape" in page
    printed = page.split("@media print{")[1]
    assert ".ehr-report .scroll{overflow:visible}" in printed


def test_pipeline_is_described_with_its_parameters(data):
    X, y, X_test, y_test = data
    network = LSTMVisitClassifier(
        embedding_dim=4, hidden_dim=4, max_epochs=1, random_state=0, device="cpu"
    )
    model = make_pipeline(VisitSequenceTransformer(min_frequency=5), network).fit(X, y)
    made = report(model, X, y, X_test, y_test, comparison=None, n_bootstrap=2)
    values = made.parameters["value"]
    assert values[""] == "Pipeline"
    assert values["visitsequencetransformer"] == "VisitSequenceTransformer"
    assert values["visitsequencetransformer__min_frequency"] == "5"
    assert made.parameters.loc["lstmvisitclassifier__hidden_dim"].tolist() == ["4", "128"]
    assert "lstmvisitclassifier__num_layers" not in values
    assert "is an LSTM over visits" in made.description
    assert "<code>lstmvisitclassifier</code>" in made._repr_html_()
    assert "SECRET" not in made._repr_html_()


def test_search_is_described_by_its_best_model(data):
    X, y, X_test, y_test = data
    pipeline = make_pipeline(CodeCountVectorizer(min_frequency=5), LogisticRegression())
    grid = {"logisticregression__C": [0.5, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=StratifiedPatientKFold(2), scoring="roc_auc")
    search.fit(X, y)
    made = report(search, X, y, X_test, y_test, comparison="regression", n_bootstrap=2)
    assert made.description.startswith(
        "Tuned by `GridSearchCV` among 2 candidates, for the best `roc_auc`: "
        f"`logisticregression__C={search.best_params_['logisticregression__C']}`."
    )
    best = search.best_params_["logisticregression__C"]
    assert (
        "Its last step is a `LogisticRegression`. The pipeline reads codes, not" in made.description
    )
    assert "Its last step is a `LogisticRegression`" in made.comparison_description
    assert "`logisticregression__C=" in made.comparison_description
    assert "<code>LogisticRegression</code>" in made._repr_html_()
    # A tuned parameter is shown even if it is the default.
    assert made.parameters.loc["logisticregression__C"].tolist() == [repr(best), "1.0"]
    assert "among 5 candidates" in made.comparison_description
    assert made.comparison.index[:2].tolist() == ["roc_auc", "average_precision"]
    assert "tuning" in made.checklist.loc["12c", "where"]
    read(made._repr_html_())


def test_vectors_of_codes_are_not_shown(data):
    X, y, X_test, y_test = data
    vectors = {f"CODESECRET{i:02d}": np.full(4, i / 7) for i in range(40)}
    network = LSTMVisitClassifier(
        embedding_dim=4, hidden_dim=4, max_epochs=1, embedding_init=vectors, random_state=0
    )
    model = make_pipeline(VisitSequenceTransformer(min_frequency=5), network).fit(X, y)
    made = report(model, X, y, X_test, y_test, comparison=None, n_bootstrap=2)
    assert made.parameters.loc["lstmvisitclassifier__embedding_init", "value"] == "dict of 40"
    assert "SECRET" not in made._repr_html_()


def test_subgroups_with_long_names_fit_into_the_figure(data, model):
    n = len(data[2])
    groups = {"a long name of a column, of which": np.array(["x" * 60, "y"])[np.arange(n) % 2]}
    page = report(model, *data, groups=groups, comparison=None, n_bootstrap=2)._repr_html_()
    figures = "".join(re.findall(r"<figure>.*?</figure>", page, re.DOTALL))
    assert "x" * 27 not in figures
    assert "x" * 60 in page
