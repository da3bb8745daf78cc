"""Importance of codes for the performance of a model."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.parallel import Parallel, delayed

from ..utils import Interval, validate_params
from ..visits import N_SPECIAL
from ._known_predictions import KnownPredictions
from ._pipelines import lstm_and_sequences
from ._token_permutation import TokenPermutation


@validate_params(
    {
        "scoring": [str, callable, None],
        "n_repeats": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def code_importance(
    estimator, X, y, *, scoring=None, groups=None, n_repeats=5, random_state=None, n_jobs=None
):
    """Measure how much worse a model predicts when a code is permuted across samples.

    The permutation importance [1]_ [2]_ of a code is the score of the model minus its mean score on
    histories in which each sample has the occurrences of the code of another sample, drawn at
    random. All other codes stay. Occurrences are placed at the same visit, counted from the last;
    those of visits for which a history is too short go to its first visit, once per code. Static
    visits exchange with each other.

    Parameters
    ----------
    estimator : estimator
        A fitted LSTM estimator, a pipeline that ends with one, or a search over either.
    X : Cohort, VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        Samples in the form that `estimator` accepts, preferably of patients it was not trained on.
        On training samples, codes that the model has overfitted appear important.
    y : array-like of shape (n_samples, ...)
        Outcomes of the samples.
    scoring : str, callable or None, default=None
        Metric, as in scikit-learn. By default, the `score` method of the LSTM estimator. For a
        classifier, this is the accuracy, which hardly moves where outcomes are rare: "roc_auc" or
        "neg_log_loss" tell more.
    groups : dict of str to list of codes, callable or None, default=None
        Codes that are permuted together, such as a chapter, or the bins of a laboratory test: a
        dict of names and codes, or a function that returns the name of the group of a code, None to
        leave it out. By default, each code of the vocabulary is permuted alone.
    n_repeats : int, default=5
        Number of permutations, at least 2.
    random_state : int, RandomState instance or None, default=None
        Controls the permutations, which are the same for all codes. Pass an int for the same
        results in every call.
    n_jobs : int or None, default=None
        Number of processes. None means 1 unless in a `joblib.parallel_backend` context, and -1 all
        processors.

    Returns
    -------
    DataFrame
        Indexed by code or group, the most important ones first, with these columns:

        * `importance`: mean decrease of the score;
        * `standard_error`: of this mean, over the permutations;
        * `n_patients`: number of patients with the code, or a code of the group, in `X`.

    Raises
    ------
    TypeError
        If `estimator` is not one of these models, or `groups` is not of an accepted type.
    ValueError
        If lengths differ, or a group has no code of the vocabulary.

    See Also
    --------
    CodeImportanceDisplay : Draws the result.
    sklearn.inspection.permutation_importance : The same for columns of a matrix, such as that of
        `CodeCountVectorizer`.

    Notes
    -----
    The importance is that for this model and its performance, not the effect of a disease. Of codes
    that come together, each one alone can seem unimportant, because the model still reads the
    others: permute them as a group. A permuted history may also have codes together that exclude
    each other [2]_.

    The standard error tells how precise the mean over permutations is; it does not tell how
    much the importance would differ on other patients. A code that few patients have changes the
    score little, whatever it means for these.

    A permuted history has fewer occurrences of a code than the original ones if the codes come in
    more visits than a sample has. Samples are permuted, not patients: where few patients have many
    samples each, a sample often gets the codes of the same patient, and importances are too low.

    Only samples that a permutation changes are predicted again. Codes that are outside the
    vocabulary are not permuted. `n_patients` counts patients of `X`, and may be below 10: leave out
    such rows before you publish the table.

    References
    ----------
    .. [1] L. Breiman, "Random forests", Machine Learning 45(1), 2001, p. 5-32, section 10.
    .. [2] A. Fisher, C. Rudin and F. Dominici, "All models are wrong, but many are useful: learning
       a variable's importance by studying an entire class of prediction models simultaneously",
       JMLR 20(177), 2019, p. 1-81.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
    >>> from sklearn_ehr.datasets import make_visits
    >>> from sklearn_ehr.inspection import code_importance
    >>> X, y = make_visits(1000, random_state=0)
    >>> model = make_pipeline(
    ...     VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=5, random_state=0)
    ... )
    >>> model.fit(X[:800], y[:800])
    Pipeline(...)
    >>> importance = code_importance(
    ...     model,
    ...     X[800:],
    ...     y[800:],
    ...     scoring="roc_auc",
    ...     groups=lambda code: "of the outcome" if "C014" < code < "C023" else "other",
    ...     random_state=0,
    ... )
    >>> importance.index.tolist()
    ['of the outcome', 'other']
    """
    lstm, sequences = lstm_and_sequences(estimator, X)
    check_consistent_length(sequences, y)
    scorer = check_scoring(lstm, scoring=scoring)
    names, tokens = _read_groups(groups, sequences)
    donors = _draw_donors(len(sequences), n_repeats, random_state)
    n_parts = min(len(names), 4 * effective_n_jobs(n_jobs))
    parts = np.array_split(np.arange(len(names)), max(n_parts, 1))
    measured = Parallel(n_jobs)(
        delayed(_measure)(lstm, sequences, y, scorer, [tokens[i] for i in part], donors)
        for part in parts
    )
    decreases, n_patients = zip(*measured, strict=True)
    decrease = np.concatenate(decreases)
    table = pd.DataFrame(
        {
            "importance": decrease.mean(axis=1),
            "standard_error": decrease.std(axis=1, ddof=1) / np.sqrt(n_repeats),
            "n_patients": np.concatenate(n_patients),
        },
        index=pd.Index(names, name="code" if groups is None else "group"),
    )
    return table.sort_values("importance", ascending=False, kind="stable")


def _measure(estimator, sequences, y, scorer, tokens, donors):
    """Decrease of the score for each group of tokens and permutation, and patients per group."""
    permutation = TokenPermutation(sequences)
    known = KnownPredictions(estimator, sequences)
    patients = np.arange(len(sequences))
    if sequences.groups is not None:
        patients = np.unique(sequences.groups, return_inverse=True)[1]

    def score(other, changed):
        return scorer(known.estimator_for(other, changed), other, y)

    best = score(sequences, [])
    decrease = np.zeros((len(tokens), len(donors)))
    n_patients = np.zeros(len(tokens), dtype=np.int64)
    for i, ids in enumerate(tokens):
        positions = permutation.positions_of(ids)
        if not len(positions):
            continue
        n_patients[i] = len(np.unique(patients[permutation.samples_with(positions)]))
        decrease[i] = [best - score(*permutation.permute(positions, one)) for one in donors]
    return decrease, n_patients


def _draw_donors(n_samples, n_repeats, random_state):
    rng = check_random_state(random_state)
    return [rng.permutation(n_samples) for _ in range(n_repeats)]


def _read_groups(groups, sequences):
    """Names of groups of codes, and the token ids of each one."""
    if sequences.vocabulary is None:
        ids = np.unique(sequences.tokens)
        ids = codes = ids[ids >= N_SPECIAL]
    else:
        codes = sequences.vocabulary.codes
        ids = np.arange(N_SPECIAL, sequences.vocabulary.size)
    if groups is None:
        return codes, ids[:, np.newaxis]
    if isinstance(groups, Mapping):
        members = enumerate(groups.values())
        return list(groups), [ids[_is_member(codes, *member)] for member in members]
    if not callable(groups):
        raise TypeError(
            f"groups must be a dict of names and lists of codes, a function from a code to the "
            f"name of its group, or None, got {type(groups).__name__}."
        )
    place, names = pd.factorize(np.array([groups(code) for code in codes], dtype=object))
    if not len(names):
        raise ValueError(f"groups returns None for all of the {len(codes)} codes.")
    return names, [ids[place == i] for i in range(len(names))]


def _is_member(codes, position, members):
    """Which codes are among the members of a group."""
    if isinstance(members, str) or not pd.api.types.is_list_like(members):
        raise TypeError(
            f"The values of groups must be lists of codes, got {type(members).__name__} at "
            f"position {position}. If groups maps each code to its group, pass groups.get."
        )
    is_member = pd.Index(codes).isin(list(members))
    if not is_member.any():
        raise ValueError(
            f"None of the {len(members)} code(s) of groups at position {position} is among the "
            f"{len(codes)} that the model knows. Codes must be as in the training events, with "
            f"their bin if they have one; codes rarer than min_frequency are unknown."
        )
    return is_member
