"""The site: its code runs, its reference is whole, and the checks of a build find what is wrong."""

import ast
import doctest
import importlib
import inspect
import re

import pytest
from pages import DOCS, ROOT, blocks_of, pages, python_blocks, read

import sklearn_ehr
from sklearn_ehr.datasets import make_visits

# Pages whose python blocks a test of their own runs; all other code is run as doctests.
RUN_BY = {
    "explanation/scaling": "test_docs.py",
    "how_to/scikit_learn": "test_scikit_learn_page.py",
    "how_to/tools": "test_tools.py",
}
OTHER_LANGUAGES = {"bash", "console", "ini", "json", "none", "pycon", "sql", "text", "toml"}
PAGES = pages()


@pytest.fixture
def check_links(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("check_links")


@pytest.fixture
def extensions(monkeypatch):
    pytest.importorskip("sphinx", reason="sphinx comes with the extra docs")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))


def reads_as_python(text):
    """Whether a block is code that does something, without prompts."""
    try:
        lines = ast.parse(text).body
    except SyntaxError:
        return False
    return any(not isinstance(line, ast.Expr) or isinstance(line.value, ast.Call) for line in lines)


def blocks_that_no_test_runs(page, text):
    found = []
    for language, body in blocks_of(text):
        if ">>>" in body:
            continue
        if language == "python":
            runs = page in RUN_BY
        else:
            runs = language in OTHER_LANGUAGES | {""} and (
                language in ("bash", "console") or not reads_as_python(body)
            )
        if not runs:
            found.append(body)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_code_is_run(page):
    assert blocks_that_no_test_runs(page, read(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_no_doctest_is_skipped(page):
    examples = doctest.DocTestParser().get_examples(read(page))
    assert not [example.source for example in examples if doctest.SKIP in example.options]


@pytest.mark.parametrize("page", RUN_BY)
def test_page_with_python_blocks_names_a_test_that_runs_them(page):
    assert f'"{page}"' in (ROOT / "tests" / RUN_BY[page]).read_text(encoding="utf-8")
    assert python_blocks(page)


@pytest.mark.parametrize(
    ("text", "n_found"),
    [
        (".. code-block:: python\n\n   x = 1\n", 1),
        (".. code-block:: python\n   :caption: c\n\n   >>> 1 + 1\n   2\n", 0),
        (".. code:: text\n\n   import sklearn_ehr\n", 1),
        (".. code-block:: text\n\n   roc_auc  0.7\n", 0),
        (".. code-block:: bash\n\n   make test\n", 0),
        (".. code-block:: ipython\n\n   1\n", 1),
        ("As here::\n\n    fit(X, y)\n\nEnd.\n", 1),
        ("As here::\n\n    patient_id  code\n    1  I10\n", 0),
        ("* As here::\n\n    a = 1\n", 1),
        (">>> 1 + 1\n2\n", 0),
    ],
)
def test_rule_finds_blocks_that_are_not_run(text, n_found):
    assert len(blocks_that_no_test_runs("page", text)) == n_found


def test_lines_of_the_page_on_scaling_run(few_epochs, tmp_path, monkeypatch):
    pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
    X, _ = make_visits(100, random_state=0)
    (tmp_path / "events").mkdir()
    X.visible_events().drop(columns="sample").to_parquet(tmp_path / "events" / "all.parquet")
    monkeypatch.chdir(tmp_path)
    (block,) = python_blocks("explanation/scaling")
    names = {"samples": X.samples}
    exec(compile(block, "explanation/scaling", "exec"), names)
    assert names["model"].predict_proba(names["sequences"]).shape == (100, 2)
    assert len(sklearn_ehr.VisitSequences.open(tmp_path / "sequences")) == 100


def names_in_the_reference():
    found = []
    for page in PAGES:
        if page.startswith("reference/"):
            lists = re.findall(r"   :nosignatures:\n\n((?: {3}\S+\n)+)", read(page))
            found += [name.rpartition(".")[2] for names in lists for name in names.split()]
    return sorted(found)


def test_reference_lists_every_public_name_once():
    public = set(sklearn_ehr.__all__)
    for room in {*sklearn_ehr._SUBMODULES} - {"model_selection"}:
        public |= {*importlib.import_module(f"sklearn_ehr.{room}").__all__}
    assert names_in_the_reference() == sorted(public)


def test_single_backticks_link_the_names_of_the_reference(extensions):
    targets = importlib.import_module("linking").link_targets()
    assert {*names_in_the_reference()} <= {*targets}
    assert targets["Cohort"] == "sklearn_ehr.Cohort"
    assert targets["read_omop"] == "sklearn_ehr.io.read_omop"
    assert targets["VisitSequences.save"] == "sklearn_ehr.VisitSequences.save"
    # What only rooms use among themselves, or every estimator of scikit-learn has, is no link.
    assert not {"Cohort.known_from", "split_off_patients", "fit"} & {*targets}


def test_summaries_cite_nothing(extensions):
    """A table of summaries is on another page than the references."""
    public = importlib.import_module("public")
    found = [*public.public_names().values()]
    summaries = [inspect.getdoc(public.find(path)).partition("\n\n")[0] for path in found]
    assert not [summary for summary in summaries if "]_" in summary]


def build(folder, conf, **texts):
    """HTML of a small site, by page."""
    from sphinx.cmd.build import build_main

    folder.mkdir()
    (folder / "conf.py").write_text(conf, encoding="utf-8")
    for name, text in texts.items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")
    assert build_main(["-q", "-n", "-W", str(folder), str(folder / "html")]) == 0
    return folder / "html"


def test_site_links_public_names_and_lists_its_pages(extensions, tmp_path):
    html = build(
        tmp_path / "site",
        "extensions = ['linking', 'llms']\ndefault_role = 'link'\nproject = 'p'\n",
        index="A site\n======\n\nIt says what. And more.\n\n.. toctree::\n\n   tutorial\n",
        tutorial="Start\n=====\n\nA `Cohort` has a `shape`, of 1.5 kinds.\n\n"
        ".. py:class:: sklearn_ehr.Cohort\n\n   Of patients.\n",
    )
    page = (html / "tutorial.html").read_text(encoding="utf-8")
    assert re.search(r'<a [^>]*href="#sklearn_ehr\.Cohort"[^>]*><code[^>]*><span[^>]*>Cohort', page)
    assert re.search(r"<code[^>]*><span[^>]*>shape</span></code>,", page)
    llms = (html / "llms.txt").read_text(encoding="utf-8")
    assert llms.startswith("# sklearn_ehr\n\n> It says what.\n")
    assert "- [Start](tutorial.html): Of patients." in llms


def test_headings_of_the_changelog_become_headings(extensions, tmp_path):
    content = ["## 0.1 (new)\n\n* `Cohort`: ## no heading\n\n### Decisions\n"]
    importlib.import_module("changelog").convert(None, tmp_path / "C.md", "changelog", content)
    assert content == [
        "0.1 (new)\n---------\n\n* `Cohort`: ## no heading\n\nDecisions\n~~~~~~~~~\n"
    ]


def write_site(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def test_site_whose_links_lead_somewhere_has_no_fault(check_links, tmp_path):
    site = write_site(
        tmp_path,
        a__html="<a href='b.html#x'>b</a><a href='#top'>t</a><a href='https://a.org'>o</a>"
        "<p id='top'><a href=''>here</a><a href='s.css'>s</a><script src='data:,1'></script>",
        b__html="<a name='x'></a><svg><a href='a.html'>a</a></svg>",
        s__css="a { background: url(data:image/png;base64,AA) }",
        llms__txt="- [A](a.html): of a.\n",
    )
    assert check_links.faults_of(site) == []


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"a__html": "<a href='c.html'>c</a>"}, "a.html: c.html leads nowhere"),
        ({"a__html": "<a href='#x'>x</a>"}, "a.html: #x leads nowhere"),
        ({"a__html": "<a href='b.html#y'>y</a>", "b__html": ""}, "a.html: b.html#y leads nowhere"),
        ({"a__html": "<img src='p.png'>"}, "a.html: p.png leads nowhere"),
        (
            {"a__html": "<script src='//c.org/j.js'></script>"},
            "a.html: //c.org/j.js is of another site",
        ),
        (
            {"s__css": "@import 'https://c.org/f.css';"},
            "s.css: https://c.org/f.css is of another site",
        ),
        ({"llms__txt": "- [C](c.html)"}, "llms.txt: c.html leads nowhere"),
    ],
)
def test_faults_of_a_site_are_found(check_links, tmp_path, files, fault):
    assert check_links.faults_of(write_site(tmp_path, **files)) == [fault]


def test_number_of_bars_that_hold_is_that_of_the_benchmarks():
    told = r"(\d+ of \d+) bars hold"
    (of_benchmarks,) = re.findall(told, (ROOT / "benchmarks" / "README.md").read_text("utf-8"))
    page = ROOT / "docs" / "explanation" / "tested.rst"
    assert re.findall(told, page.read_text("utf-8")) == [of_benchmarks]
