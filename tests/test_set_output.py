"""What `set_output` and the sparse interface of scikit-learn ask for."""

from copy import deepcopy
from functools import cache

import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

X, Y = make_visits(120, random_state=0)
in_each_library = pytest.mark.parametrize("library", ["pandas", "polars"])


@cache
def fitted_once():
    sequences = VisitSequenceTransformer(min_frequency=2).fit_transform(X)
    model = LSTMVisitClassifier(max_epochs=1, hidden_dim=4, early_stopping=False, random_state=0)
    return model.fit(sequences, Y), sequences


@pytest.fixture
def lstm():
    return deepcopy(fitted_once())


@pytest.fixture(params=["own", "global"])
def outputs(request):
    """Context in which a transformer makes frames, and a function that sets it up for that."""

    def set_up(transformer, library):
        if request.param == "own":
            return sklearn.config_context(), transformer.set_output(transform=library)
        return sklearn.config_context(transform_output=library), transformer

    return set_up


@in_each_library
def test_dense_counts_become_a_frame(library, outputs):
    pytest.importorskip(library)
    vectorizer = CodeCountVectorizer(min_frequency=2, sparse_output=False)
    expected = vectorizer.fit_transform(X)
    context, vectorizer = outputs(vectorizer, library)
    with context:
        frame = vectorizer.fit_transform(X)
    assert type(frame).__module__.startswith(library)
    assert list(frame.columns) == list(vectorizer.get_feature_names_out())
    assert (frame.to_numpy() == expected).all()


@in_each_library
def test_sparse_counts_say_what_to_set(library, outputs):
    context, vectorizer = outputs(CodeCountVectorizer(min_frequency=2), library)
    message = rf"set_output\(transform='{library}'\) needs a dense array. Set sparse_output=False"
    with context, pytest.raises(ValueError, match=message):
        vectorizer.fit_transform(X)


@in_each_library
def test_hidden_states_become_a_frame(library, outputs, lstm):
    pytest.importorskip(library)
    model, sequences = lstm
    expected = model.transform(sequences)
    context, model = outputs(model, library)
    with context:
        frame = model.transform(sequences)
    assert list(frame.columns) == [f"lstmvisitclassifier{i}" for i in range(4)]
    assert (frame.to_numpy() == expected).all()


@in_each_library
def test_sequences_stay_sequences(library, outputs):
    context, transformer = outputs(VisitSequenceTransformer(min_frequency=2), library)
    with context:
        assert isinstance(transformer.fit_transform(X), VisitSequences)


@in_each_library
def test_pipelines_take_it(library, outputs):
    pytest.importorskip(library)
    network = LSTMVisitClassifier(max_epochs=1, hidden_dim=4, early_stopping=False)
    counts = CodeCountVectorizer(min_frequency=2, sparse_output=False)
    for model in (
        make_pipeline(VisitSequenceTransformer(min_frequency=2), network),
        make_pipeline(counts, LogisticRegression()),
        make_pipeline(FeatureUnion([("all", counts)]), LogisticRegression()),
    ):
        context, model = outputs(model, library)
        with context:
            assert model.fit(X, Y).predict_proba(X).shape == (120, 2)


def test_index_of_hidden_states_and_counts(lstm):
    model, sequences = lstm
    frame = model.set_output(transform="pandas").transform(sequences)
    assert frame.index.equals(pd.RangeIndex(120))


@pytest.mark.skipif(
    "sparse_interface" not in sklearn.get_config(), reason="scikit-learn 1.9 brings the setting"
)
def test_sparse_interface_is_that_which_is_set():
    vectorizer = CodeCountVectorizer(min_frequency=2)
    assert sparse.isspmatrix(vectorizer.fit_transform(X))
    with sklearn.config_context(sparse_interface="sparray"):
        counts = vectorizer.fit_transform(X)
        assert isinstance(counts, sparse.csr_array)
        LogisticRegression().fit(counts, Y)
