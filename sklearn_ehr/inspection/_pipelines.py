"""Estimators inside fitted pipelines and searches, and the sequences that they read."""

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..estimators import as_sequences, is_explainable
from ._steps import ESTIMATORS


def lstm_and_sequences(estimator, X):
    """Return the LSTM estimator at the end of a fitted model, and the sequences that it reads.

    Parameters
    ----------
    estimator : estimator
        A fitted LSTM estimator, a pipeline that ends with one, or a search with a `best_estimator_`
        that is either.
    X : Cohort, DataFrame, VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        What `estimator` takes.

    Returns
    -------
    lstm : LSTMVisitClassifier, LSTMVisitRegressor, LSTMVisitSurvival or LSTMVisitTagger
    sequences : VisitSequences

    Raises
    ------
    NotFittedError
        If the LSTM estimator is not fitted.
    TypeError
        If `estimator` is none of these.
    """
    lstm, transformers = lstm_and_transformers(estimator)
    for transformer in transformers:
        X = transformer.transform(X)
    return lstm, as_sequences(X)


def lstm_and_transformers(estimator):
    """The fitted LSTM estimator at the end of a model, and a list of the steps before it."""
    lstm, transformers = estimator, []
    while not isinstance(lstm, ESTIMATORS):
        if hasattr(lstm, "best_estimator_"):
            lstm = lstm.best_estimator_
        elif isinstance(lstm, Pipeline):
            transformers += [step for _, step in lstm.steps[:-1] if hasattr(step, "transform")]
            lstm = lstm.steps[-1][1]
        else:
            raise TypeError(_other_model(estimator, lstm))
    check_is_fitted(lstm)
    return lstm, transformers


def explained_and_sequences(estimator, X, function):
    """The same for a function that explains the outputs of a classifier or a regressor alone."""
    lstm, sequences = lstm_and_sequences(estimator, X)
    if not is_explainable(lstm):
        raise TypeError(
            f"{function} explains the predictions of an LSTMVisitClassifier or LSTMVisitRegressor, "
            f"which are one number per sample and output; {type(lstm).__name__} predicts one for "
            f"each time. Fit a classifier of the outcome within a horizon, for instance with "
            f"make_samples(..., horizon=...)."
        )
    return lstm, sequences


def _other_model(estimator, last):
    name = type(estimator).__name__ if not isinstance(estimator, type) else "class"
    ends = "" if last is estimator else f" that ends with a {type(last).__name__}"
    return (
        f"estimator must be a fitted LSTM estimator of sklearn_ehr, a pipeline whose last step is "
        f"one, or a fitted search (refit=True) over either, got a {name}{ends}. For a model of "
        f"counts, scikit-learn's own inspection takes the matrix of CodeCountVectorizer: "
        f"sklearn.inspection.permutation_importance, or the coefficients of a regression."
    )
