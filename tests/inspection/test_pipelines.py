"""Which models can be inspected, and what is read of them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    PatientKFold,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.inspection._pipelines import lstm_and_sequences
from sklearn_ehr.visits import leading_columns, with_outputs


@pytest.fixture(scope="module")
def fitted():
    X, y = make_visits(60, random_state=0)
    lstm = LSTMVisitClassifier(
        embedding_dim=4, hidden_dim=4, max_epochs=1, early_stopping=False, random_state=0
    )
    return make_pipeline(VisitSequenceTransformer(), lstm).fit(X, y), X, y


def test_estimator_in_a_pipeline_reads_what_the_transformer_makes(fitted):
    model, X, _ = fitted
    lstm, sequences = lstm_and_sequences(model, X)
    assert lstm is model[-1]
    np.testing.assert_array_equal(sequences.tokens, model[0].transform(X).tokens)


def test_estimator_alone_reads_sequences_or_padded_codes(fitted):
    model, X, _ = fitted
    sequences = model[0].transform(X)
    assert lstm_and_sequences(model[-1], sequences) == (model[-1], sequences)
    _, one = lstm_and_sequences(model[-1], [[[2, 3], [4, 0]]])
    assert one.tokens.tolist() == [2, 3, 4]


@pytest.mark.parametrize("outside", [True, False])
def test_best_estimator_of_a_search_is_read_inside_and_outside_of_a_pipeline(fitted, outside):
    model, X, y = fitted
    cv = PatientKFold(2)
    if outside:
        grid = {"lstmvisitclassifier__hidden_dim": [2, 3]}
        search = GridSearchCV(model, grid, cv=cv).fit(X, y)
        wanted = search.best_estimator_[-1]
    else:
        inner = GridSearchCV(model[-1], {"hidden_dim": [2, 3]}, cv=cv)
        search = Pipeline([("make", VisitSequenceTransformer()), ("none", "passthrough")])
        search.steps.append(("search", inner))
        search.fit(X, y)
        wanted = search[-1].best_estimator_
    lstm, sequences = lstm_and_sequences(search, X)
    assert lstm is wanted
    assert len(sequences) == len(X)


def test_other_model_is_refused_with_what_is_accepted(fitted):
    _, X, y = fitted
    counts = make_pipeline(CodeCountVectorizer(), LogisticRegression(max_iter=9999)).fit(X, y)
    for model, got in [
        (counts, "got a Pipeline that ends with a LogisticRegression"),
        (counts[-1], "got a LogisticRegression"),
        ("lstm", "got a str"),
        (LSTMVisitClassifier, "got a class"),
    ]:
        with pytest.raises(TypeError, match=f"{got}.*permutation_importance"):
            lstm_and_sequences(model, X)


def test_search_without_refit_is_refused(fitted):
    model, X, y = fitted
    search = GridSearchCV(model, {}, cv=PatientKFold(2), refit=False).fit(X, y)
    with pytest.raises(TypeError, match=r"refit=True.* got a GridSearchCV"):
        lstm_and_sequences(search, X)


def test_unfitted_estimator_is_refused_before_the_cohort_is_transformed():
    for model in (
        LSTMVisitClassifier(),
        make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier()),
    ):
        with pytest.raises(NotFittedError, match="LSTMVisitClassifier"):
            lstm_and_sequences(model, None)


def test_leading_columns_name_the_visits():
    days = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-03-01", None, "2020-02-01"])
    events = pd.DataFrame(
        {
            "patient_id": ["ann", "ann", "ann", "bob", "bob"],
            "visit_id": pd.array([1, 1, 2, None, 3], dtype="Int64"),
            "time": days + pd.Timedelta("8h"),
            "code": list("abcde"),
        }
    )
    cohort = Cohort(events, null_time="static")
    sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(cohort)
    frame = leading_columns(sequences[[1, 0]])
    assert frame.columns.tolist() == ["sample", "patient", "visit", "visit_id", "time"]
    assert frame["sample"].tolist() == [0, 0, 1, 1]
    assert frame["patient"].tolist() == ["bob", "bob", "ann", "ann"]
    assert frame["visit"].tolist() == [0, 1, 0, 1]
    assert frame["visit_id"].isna().tolist() == [True, False, False, False]
    assert frame["visit_id"].tolist()[1:] == [3, 1, 2]
    assert frame["time"].isna().tolist() == [True, False, False, False]
    assert frame["time"].tolist()[1:] == (days + pd.Timedelta("8h"))[[4, 1, 2]].tolist()


def test_leading_columns_of_padded_codes_are_positions():
    frame = leading_columns(VisitSequences.from_padded([[[2], [3]], [[0], [0]], [[4], [0]]]))
    assert frame.to_dict("list") == {
        "sample": [0, 0, 2],
        "patient": [0, 0, 2],
        "visit": [0, 1, 0],
    }


def test_several_outputs_have_a_row_each():
    leading = leading_columns(VisitSequences.from_padded([[[2], [3]]]))
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    frame = with_outputs(leading, np.array(["ill", "well"]), risk=values)
    assert frame.to_dict("list") == {
        "sample": [0, 0, 0, 0],
        "patient": [0, 0, 0, 0],
        "visit": [0, 0, 1, 1],
        "output": ["ill", "well", "ill", "well"],
        "risk": [1.0, 2.0, 3.0, 4.0],
    }
    one = with_outputs(leading, None, risk=values[:, :1])
    assert one["risk"].tolist() == [1.0, 3.0]
    assert "output" not in one
