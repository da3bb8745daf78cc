"""HTML that scikit-learn makes of fitted estimators: what is listed of the fit, and links."""

import re
from importlib.metadata import PackageNotFoundError
from xml.etree import ElementTree

import numpy as np
import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.utils.fixes import parse_version

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.utils import _sklearn_compat

needs_lists = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="scikit-learn lists fitted attributes from 1.9 on",
)
SIZES = {"embedding_dim": 4, "hidden_dim": 3, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    X, y = make_visits(300, random_state=0)
    return VisitSequenceTransformer().fit_transform(X), X, y.to_numpy()


def fitted_table(estimator):
    """Types and values of the fitted attributes in the HTML, by name."""
    html = estimator._repr_html_()
    (table,) = re.findall(r"<summary>Fitted attributes</summary>\s*(<table.*?</table>)", html, re.S)
    rows = [row.findall("td") for row in ElementTree.fromstring(table).iter("tr")]
    return {
        "".join(name.itertext()).strip(): (kind.text, value.text)
        for name, kind, value in filter(None, rows)
    }


@needs_lists
def test_transformers_list_their_vocabulary(data):
    _, X, _ = data
    for Transformer in (VisitSequenceTransformer, CodeCountVectorizer):
        assert fitted_table(Transformer().fit(X)) == {
            "resolution_": ("str", "'instant'"),
            "vocabulary_": ("Vocabulary", "Vocabulary(size=202)"),
        }


@needs_lists
def test_classifier_lists_what_is_worth_reading(data):
    sequences, _, y = data
    model = LSTMVisitClassifier(**SIZES, early_stopping=False).fit(sequences, y)
    # Embeddings, the four gates of the LSTM with two biases each, and the head.
    n_weights = 202 * 4 + 4 * 3 * (4 + 3 + 2) + 4
    assert fitted_table(model) == {
        "classes_": ("ndarray[int64](2,)", "[0,1]"),
        "history_": ("DataFrame", "epochs: 2 fit"),
        "net_": ("VisitClassifierNet", f"{n_weights:,} weights"),
        "vocabulary_": ("Vocabulary", "Vocabulary(size=202)"),
    }


@needs_lists
def test_every_stage_of_training_is_listed(data):
    sequences, _, y = data
    model = LSTMVisitRegressor(**SIZES).fit(sequences, y + 0.5)
    n_refit = (model.history_["stage"] == "refit").sum()
    assert fitted_table(model)["history_"][1] == f"epochs: 2 fit, {n_refit} refit"


@needs_lists
def test_coverage_is_listed_where_vectors_were_given(data):
    sequences, _, y = data
    codes = sequences.vocabulary.codes
    model = LSTMVisitClassifier(**SIZES, embedding_init={code: np.ones(4) for code in codes[:50]})
    assert fitted_table(model.fit(sequences, y))["embedding_coverage_"] == ("float", "0.25")


@needs_lists
def test_the_time_of_the_last_event_is_not_listed(data):
    sequences, _, y = data
    time = 10 + np.arange(len(y)) % 123
    outcome = np.rec.fromarrays([y.astype(bool), time], names=["event", "time"])
    model = LSTMVisitSurvival(**SIZES, n_intervals=5).fit(sequences, outcome)
    last = time[y == 1].max()
    assert model.unique_times_[-1] == last
    table = fitted_table(model)
    assert table["unique_times_"] == ("ndarray[float64](5,)", "5 intervals")
    assert not [name for name, (_, value) in table.items() if str(last) in value]


@needs_lists
def test_lists_are_short(data):
    sequences, _, y = data
    labels = [np.arange(n) % 2 for n in sequences.lengths]
    for model in (
        LSTMVisitTagger(**SIZES).fit(sequences, labels),
        LSTMVisitClassifier(**SIZES).fit(sequences, y),
    ):
        for kind, value in fitted_table(model).values():
            assert len(kind) < 40
            assert len(value) <= 30
            assert "..." not in value


def links_of(estimator):
    return re.findall(r'href="([^"#]*)', estimator._repr_html_())


@pytest.fixture
def tell_urls(monkeypatch):
    """A function that sets the addresses in the metadata of the package; None: not installed."""

    class Metadata:
        def __init__(self, urls):
            self.urls = urls

        def get_all(self, name):
            assert name == "Project-URL"
            return self.urls

    def tell(*urls):
        monkeypatch.setattr(_sklearn_compat, "metadata", lambda name: Metadata(list(urls) or None))
        _sklearn_compat.reference_page.cache_clear()

    yield tell
    _sklearn_compat.reference_page.cache_clear()


def test_there_are_no_links_without_an_address_of_the_documentation(tell_urls):
    for urls in ([], ["Source, https://other.example"]):
        tell_urls(*urls)
        assert links_of(VisitSequenceTransformer()) == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_links_lead_to_the_page_of_the_class_in_the_reference(tell_urls, slash):
    tell_urls("Source, https://other.example", f"Documentation, https://docs.example{slash}")
    pipeline = make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier())
    ours = {link for link in links_of(pipeline) if "scikit-learn.org" not in link}
    page = "https://docs.example/reference/generated/sklearn_ehr."
    assert ours == {f"{page}VisitSequenceTransformer.html", f"{page}LSTMVisitClassifier.html"}


def test_classes_of_others_have_no_links(tell_urls):
    class Mine(LSTMVisitClassifier):
        pass

    tell_urls("Documentation, https://docs.example")
    assert links_of(Mine()) == []


def test_package_that_is_not_installed_has_no_links(tell_urls, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    tell_urls()
    monkeypatch.setattr(_sklearn_compat, "metadata", missing)
    assert links_of(VisitSequenceTransformer()) == []
