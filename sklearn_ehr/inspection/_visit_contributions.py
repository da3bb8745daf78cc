"""Contributions of visits to predictions."""

import numpy as np

from ..estimators import names_of_outputs, outputs_in_order, risks_of
from ..visits import leading_columns, with_outputs
from ._pipelines import explained_and_sequences


def visit_contributions(estimator, X):
    """Tell how much each visit changes a prediction when it is read.

    The network reads the visits of a sample one after the other. The contribution of a visit is the
    change of the log-odds (of the logit of each of several classes, or of a regressor's prediction)
    when it is read after the visits before it. The base is the output for the sample without any
    visit, which depends on its features, if there are any. For each sample, the base and the
    contributions sum to `decision_function` of a classifier, or to `predict` of a regressor.

    Parameters
    ----------
    estimator : estimator
        A fitted `LSTMVisitClassifier` or `LSTMVisitRegressor`, a pipeline that ends with one, or a
        search over either.
    X : Cohort, DataFrame, VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        Samples, as `estimator` takes them.

    Returns
    -------
    DataFrame
        One row for each visit that is read of each sample, in order, and for each output if there
        are several. Columns:

        * `sample`: position of the sample.
        * `patient`: its group, or its position if there are no groups.
        * `visit`: position of the visit in the sample, from 0.
        * `visit_id`: if there are any, None for a visit without one.
        * `time`: time of the last event of the visit, null for a static visit; if there are times.
        * `output`: class, label or position of the outcome; if there are several.
        * `base`: log-odds, logit or prediction without any visit.
        * `contribution`: change when the visit is read, in the same unit.
        * `risk`: probability after the visit is read (of the second of two classes); for a
          regressor `prediction`, the prediction after the visit is read.

    Raises
    ------
    TypeError
        If `estimator` is not a fitted classifier or regressor of this package, or does not end with
        one.
    ValueError
        If the network is bidirectional.

    See Also
    --------
    code_contributions : How much each code adds.
    sklearn_ehr.LSTMVisitClassifier.predict_proba_by_visit : Risk at the end of each visit.

    Notes
    -----
    Contributions depend on the order of the visits: a visit that repeats what an earlier one has
    said adds little.

    A risk after a visit need not be one that could have been predicted at that time, as
    `predict_proba_by_visit` returns it. Features are those of the prediction time. Visits that
    overlap are read in their order. Visits that `max_visits` left out are not read at all. With
    `time_gaps`, the contribution of the last visit includes the time from there to the prediction.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> from sklearn_ehr.inspection import visit_contributions
    >>> X, y = make_visits(300, random_state=0)
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=2, random_state=0)
    ... ).fit(X, y)
    >>> frame = visit_contributions(model, X[:2])
    >>> frame.columns.tolist()
    ['sample', 'patient', 'visit', 'visit_id', 'time', 'base', 'contribution', 'risk']
    >>> by_sample = frame.groupby("sample")
    >>> total = by_sample["base"].first() + by_sample["contribution"].sum()
    >>> bool(abs(total - model.decision_function(X[:2])).max() < 1e-5)
    True
    """
    lstm, sequences = explained_and_sequences(estimator, X, "visit_contributions")
    if lstm.net_.module_.lstm.bidirectional:
        raise ValueError(
            "visit_contributions needs a network that reads visits in their order, but this one is "
            "bidirectional. Fit the estimator with bidirectional=False, or use code_contributions."
        )
    base, after = outputs_in_order(lstm, sequences)
    sample = np.repeat(np.arange(len(sequences)), sequences.lengths)
    before = np.empty_like(after)
    before[1:] = after[:-1]
    first = sequences.sample_offsets[:-1][sequences.lengths > 0]
    before[first] = base[sequences.lengths > 0]
    columns = {"base": base[sample], "contribution": after - before}
    if hasattr(lstm, "classes_"):
        columns["risk"] = risks_of(lstm, after)
    else:
        columns["prediction"] = after
    return with_outputs(leading_columns(sequences), names_of_outputs(lstm), **columns)
