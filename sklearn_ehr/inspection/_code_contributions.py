"""Contributions of codes to predictions, and attention weights."""

import numpy as np

from ..estimators import (
    integrated_gradients,
    names_of_outputs,
    outputs_of,
    weights_of_codes,
)
from ..utils import StrOptions, map_in_threads, validate_params, warn_user
from ..visits import OccludedHistories, code_columns, with_outputs
from ._pipelines import explained_and_sequences, lstm_and_sequences

_TOLERANCE = 1e-3


@validate_params(
    {"method": [StrOptions({"occlusion", "integrated_gradients"})]},
    prefer_skip_nested_validation=True,
)
def code_contributions(estimator, X, method="occlusion"):
    """Tell how much each code of each visit contributes to a prediction.

    Parameters
    ----------
    estimator : estimator
        A fitted `LSTMVisitClassifier` or `LSTMVisitRegressor`, a pipeline that ends with one, or a
        search over either.
    X : Cohort, DataFrame, VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        Samples, as `estimator` takes them.
    method : {"occlusion", "integrated_gradients"}, default="occlusion"
        How the contribution of a code is computed:

        * "occlusion" [1]_: the log-odds (the logit of each of several classes, or a regressor's
          prediction), minus those of the same history without the code in this visit. The visit
          stays, even if it has no other code. This is exact, and answers what the prediction would
          be if the code had not been recorded there. The contributions of a sample do not sum to
          anything: of two codes that say the same, each may contribute nothing.
        * "integrated_gradients" [2]_: the gradient of the log-odds on the embedding of the code,
          integrated from zero vectors for all codes to their embeddings. The contributions of a
          sample sum to the difference between its prediction and that of the same visits without
          codes. Unlike "occlusion", its cost does not grow with the square of the length of a
          history.

    Returns
    -------
    DataFrame
        One row for each code of each visit of each sample, and for each output if there are
        several. Columns:

        * `sample`, `patient`, `visit`, `visit_id`, `time`: as in `visit_contributions`.
        * `code`: the code, null for the unknown code; token ids if the sequences have no
          vocabulary.
        * `output`: class, label or position of the outcome; if there are several.
        * `contribution`: of the code, in log-odds, logits, or in the unit of the prediction.

    Warns
    -----
    UserWarning
        If contributions of some samples by "integrated_gradients" do not sum to the difference
        within 0.001 (of a regressor, in standard deviations of the training outcomes, or with
        ``loss="poisson"`` in their means).

    Raises
    ------
    TypeError
        If `estimator` is not a fitted classifier or regressor of this package, or does not end with
        one.
    ValueError
        If `method` is not known.

    See Also
    --------
    visit_contributions : How much each visit changes the prediction.
    attention_weights : Weights of codes within a visit.

    Notes
    -----
    For "occlusion", a history of `n` codes is read `n` times, in as many threads as scikit-learn
    uses. For "integrated_gradients", paths are halved until the sum holds.

    References
    ----------
    .. [1] M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks",
       ECCV 2014, LNCS 8689, p. 818-833.
    .. [2] M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for deep networks", ICML
       2017, PMLR 70, p. 3319-3328.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> from sklearn_ehr.inspection import code_contributions
    >>> X, y = make_visits(300, random_state=0)
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=2, random_state=0)
    ... ).fit(X, y)
    >>> frame = code_contributions(model, X[:2])
    >>> frame.columns.tolist()
    ['sample', 'patient', 'visit', 'visit_id', 'time', 'code', 'contribution']
    """
    lstm, sequences = explained_and_sequences(estimator, X, "code_contributions")
    if method == "occlusion":
        contributions = _by_occlusion(lstm, sequences)
    else:
        contributions = _by_integrated_gradients(lstm, sequences)
    columns = code_columns(sequences)
    return with_outputs(columns, names_of_outputs(lstm), contribution=contributions)


def attention_weights(estimator, X):
    """Return the weight of each code within its visit, of a network with attention.

    Parameters
    ----------
    estimator : estimator
        A fitted LSTM estimator of this package with ``aggregation="attention"``, a pipeline that
        ends with one, or a search over either.
    X : Cohort, DataFrame, VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        Samples, as `estimator` takes them.

    Returns
    -------
    DataFrame
        One row for each code of each visit of each sample. Columns: those of `code_contributions`
        up to `code`, and `weight`. The weights of a visit sum to 1.

    Raises
    ------
    TypeError
        If `estimator` is not a fitted LSTM estimator, or does not end with one.
    ValueError
        If its `aggregation` is another.

    See Also
    --------
    code_contributions : How much each code contributes to the prediction.

    Notes
    -----
    A weight says how much of a visit's vector is that of the code, not how much the code changes
    the prediction, nor in which direction [1]_. `code_contributions` says that.

    References
    ----------
    .. [1] S. Jain and B. C. Wallace, "Attention is not explanation", NAACL-HLT 2019, p. 3543-3556.

    Examples
    --------
    >>> from sklearn_ehr import LSTMVisitClassifier
    >>> from sklearn_ehr.inspection import attention_weights
    >>> codes = [[[2, 3], [4, 0]], [[2, 0], [0, 0]]]
    >>> model = LSTMVisitClassifier(aggregation="attention", max_epochs=1, early_stopping=False)
    >>> attention_weights(model.fit(codes, [0, 1]), codes).groupby(["sample", "visit"]).sum()
                  patient  code  weight
    sample visit
    0      0            0     5     1.0
           1            0     4     1.0
    1      0            1     2     1.0
    """
    lstm, sequences = lstm_and_sequences(estimator, X)
    encoder = lstm.net_.module_.encoder
    if encoder.aggregation != "attention":
        raise ValueError(
            f"attention_weights needs an estimator fitted with aggregation='attention', but this "
            f"{type(lstm).__name__} has aggregation={encoder.aggregation!r}. code_contributions "
            f"explains the predictions of either."
        )
    return code_columns(sequences).assign(weight=weights_of_codes(lstm, sequences))


def _by_occlusion(lstm, sequences):
    """Outputs minus those without each token, (n_tokens, n_outputs)."""
    whole = outputs_of(lstm, sequences)
    sample = np.repeat(np.arange(len(sequences)), sequences.lengths)
    sample = np.repeat(sample, np.diff(sequences.visit_offsets))
    histories = OccludedHistories(sequences)
    without = map_in_threads(lambda part: outputs_of(lstm, histories[part]), histories.slices())
    return whole[sample] - np.concatenate([whole[:0], *without])


def _by_integrated_gradients(lstm, sequences):
    contributions, is_exact = integrated_gradients(lstm, sequences, _TOLERANCE)
    if n_inexact := np.count_nonzero(~is_exact):
        warn_user(
            f"Integrated gradients of {n_inexact} of {len(sequences)} sample(s) do not sum to the "
            f"difference that they explain within {_TOLERANCE}: the network is too steep between "
            f"its ends. method='occlusion' is exact."
        )
    return contributions
