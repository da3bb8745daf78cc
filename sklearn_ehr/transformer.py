"""How a cohort becomes what a model takes: visit sequences, or counts of the same tokens."""

from datetime import timedelta
from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    RealNotInt,
    StrOptions,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from ._ragged import offsets_from_lengths, run_starts
from ._threads import map_in_threads
from ._tokens import tokenise
from .cohort import as_cohort
from .vocabulary import N_SPECIAL, Vocabulary


class _CodeTransformer(TransformerMixin, BaseEstimator):
    """What both transformers share: the vocabulary learnt in fit, and the rules of a visit."""

    _parameter_constraints = {
        "min_frequency": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="both"),
        ],
        "max_vocabulary": [Interval(Integral, 1, None, closed="left"), None],
        "handle_unknown": [StrOptions({"token", "ignore"})],
        "visits": [
            StrOptions({"auto", "id", "day", "time"}),
            timedelta,
            np.timedelta64,
            Interval(Real, 0, None, closed="neither"),
        ],
        "max_visits": [Interval(Integral, 1, None, closed="left"), None],
        "max_codes_per_visit": [Interval(Integral, 1, None, closed="left"), None],
        "deduplicate": ["boolean"],
    }

    def __init__(
        self,
        *,
        min_frequency=10,
        max_vocabulary=None,
        handle_unknown="token",
        visits="auto",
        max_visits=None,
        max_codes_per_visit=None,
        deduplicate=True,
    ):
        self.min_frequency = min_frequency
        self.max_vocabulary = max_vocabulary
        self.handle_unknown = handle_unknown
        self.visits = visits
        self.max_visits = max_visits
        self.max_codes_per_visit = max_codes_per_visit
        self.deduplicate = deduplicate

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the vocabulary from the visible events.

        Parameters
        ----------
        X : Cohort or DataFrame
            A long frame has the standard column names and gives one sample a patient.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If no code is frequent enough.
        """
        self.vocabulary_ = Vocabulary.from_cohort(
            as_cohort(X), min_frequency=self.min_frequency, max_vocabulary=self.max_vocabulary
        )
        return self

    def _tokenise(self, cohort):
        check_is_fitted(self)
        return tokenise(
            cohort,
            self.vocabulary_,
            handle_unknown=self.handle_unknown,
            visits=self.visits,
            max_visits=self.max_visits,
            max_codes_per_visit=self.max_codes_per_visit,
            deduplicate=self.deduplicate,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


class VisitSequenceTransformer(_CodeTransformer):
    """Turn patient histories into visits of token ids, for `LSTMVisitClassifier`.

    Parameters
    ----------
    min_frequency : int or float, default=10
        Number of training patients that must have a code for it to be learnt, or their share if a
        float. Rarer codes never enter the fitted model; 10 is the usual small-cell floor.
    max_vocabulary : int, default=None
        Learn at most this many codes, the most frequent; ties go by code.
    handle_unknown : {"token", "ignore"}, default="token"
        Rare and never-seen codes become token 1 ("token"), or are dropped ("ignore").
    visits : {"auto", "id", "day", "time"}, timedelta or float, default="auto"
        What a visit is. "id": events of one visit id. "day": of one calendar day, in the zone of
        aware times. "time": of one time. "auto": by id where a row has one, else by day (numeric
        times: by time). A timedelta (numeric times: a number): a new visit starts after a longer
        gap than this.
    max_visits : int, default=None
        Keep the most recent visits. A static visit is kept besides.
    max_codes_per_visit : int, default=None
        Keep the most recent tokens of a visit. A static visit is kept whole.
    deduplicate : bool, default=True
        Keep a token once a visit.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The codes learnt; id 0 is padding, 1 unknown.

    See Also
    --------
    CodeCountVectorizer : Counts of the same tokens, for any scikit-learn model.

    Notes
    -----
    Visits are ordered by their last visible event, then their first, then their id, so that a visit
    in progress is last. Events of equal time are ordered by code. Visits left without tokens stay,
    as empty visits.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import VisitSequenceTransformer
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 1, 2],
    ...     "time": pd.to_datetime(["2020-01-01", "2020-01-01", "2020-03-01", "2020-02-01"]),
    ...     "code": ["I10", "E11", "I10", "I10"],
    ... })
    >>> sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(events)
    >>> codes, mask, visit_mask = sequences.to_padded()
    >>> codes
    array([[[2, 3],
            [3, 0]],
           [[3, 0],
            [0, 0]]])
    """

    def transform(self, X):
        """Turn histories into sequences.

        Parameters
        ----------
        X : Cohort or DataFrame

        Returns
        -------
        VisitSequences of shape (n_samples,)
        """
        return self._tokenise(as_cohort(X))


class CodeCountVectorizer(_CodeTransformer):
    """Count each code's visits per sample, for linear models and trees.

    The tokens are those that `VisitSequenceTransformer` makes with the same parameters, so that a
    comparison with a network compares models, not preparations.

    Parameters
    ----------
    min_frequency, max_vocabulary, handle_unknown, visits, max_visits, max_codes_per_visit, \
deduplicate
        As in `VisitSequenceTransformer`. An unknown code is no column.
    encoding : {"count", "binary", "log1p"}, default="count"
        Number of visits with a code (of its occurrences with ``deduplicate=False``), whether there
        is any, or the logarithm of one plus the number.
    last_visits : tuple or list of int, default=()
        For each number `k` a block of columns that counts the last `k` visits alone, beside the
        block for the whole history. Static codes count in the whole history only.
    sparse_output : bool, default=True
        Return a CSR matrix; otherwise an array, as `HistGradientBoostingClassifier` and output of
        pandas frames (`set_output`) need it.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The codes learnt.

    See Also
    --------
    VisitSequenceTransformer : The same tokens as sequences of visits.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import CodeCountVectorizer
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 1, 2],
    ...     "time": pd.to_datetime(["2020-01-01", "2020-01-01", "2020-03-01", "2020-02-01"]),
    ...     "code": ["I10", "E11", "I10", "I10"],
    ... })
    >>> vectorizer = CodeCountVectorizer(min_frequency=1, last_visits=(1,), sparse_output=False)
    >>> vectorizer.fit_transform(events)
    array([[1., 2., 0., 1.],
           [0., 1., 0., 1.]])
    >>> vectorizer.get_feature_names_out()
    array(['E11', 'I10', 'E11@last1', 'I10@last1'], dtype=object)
    """

    _parameter_constraints = {
        **_CodeTransformer._parameter_constraints,
        "encoding": [StrOptions({"count", "binary", "log1p"})],
        "last_visits": [tuple, list],
        "sparse_output": ["boolean"],
    }

    def __init__(
        self,
        *,
        min_frequency=10,
        max_vocabulary=None,
        handle_unknown="token",
        visits="auto",
        max_visits=None,
        max_codes_per_visit=None,
        deduplicate=True,
        encoding="count",
        last_visits=(),
        sparse_output=True,
    ):
        super().__init__(
            min_frequency=min_frequency,
            max_vocabulary=max_vocabulary,
            handle_unknown=handle_unknown,
            visits=visits,
            max_visits=max_visits,
            max_codes_per_visit=max_codes_per_visit,
            deduplicate=deduplicate,
        )
        self.encoding = encoding
        self.last_visits = last_visits
        self.sparse_output = sparse_output

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the vocabulary from the visible events.

        Parameters
        ----------
        X : Cohort or DataFrame
            A long frame has the standard column names and gives one sample a patient.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If no code is frequent enough.
        """
        valid = all(isinstance(k, Integral) and k >= 1 for k in self.last_visits)
        if not valid or len(set(self.last_visits)) < len(self.last_visits):
            raise InvalidParameterError(
                f"last_visits={self.last_visits!r} must hold numbers of visits, each another "
                f"integer of at least 1, such as (1,)."
            )
        return super().fit(X)

    def transform(self, X):
        """Count the tokens of each sample.

        Parameters
        ----------
        X : Cohort or DataFrame

        Returns
        -------
        CSR matrix or ndarray of shape (n_samples, n_codes * (1 + len(last_visits))), float64
            With ``set_output(transform="pandas")`` a frame with the index of the samples.
        """
        cohort = as_cohort(X)
        counts = count_tokens(self._tokenise(cohort), self.last_visits)
        if self.encoding == "binary":
            counts.data[:] = 1
        elif self.encoding == "log1p":
            np.log1p(counts.data, out=counts.data)
        if self.sparse_output:
            return counts
        if _get_output_config("transform", self)["dense"] == "pandas":
            # scikit-learn would take the index of X, but a row is a sample, not an event.
            return pd.DataFrame(counts.toarray(), index=cohort.samples.index)
        return counts.toarray()

    def get_feature_names_out(self, input_features=None):
        """Names of the columns: each code, then for each block ``code@lastk``.

        Where a code itself holds ``@last``, the blocks are marked by more ``@``.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_features_out,), str objects
        """
        check_is_fitted(self)
        codes = [str(code) for code in self.vocabulary_.codes]
        mark = "@last"
        while any(mark in code for code in codes):
            mark = "@" + mark
        suffixes = ["", *(f"{mark}{k}" for k in self.last_visits)]
        return np.array([code + suffix for suffix in suffixes for code in codes], dtype=object)


def count_tokens(sequences, last_visits=()):
    """Count each code's tokens per sample, over the history and over the last visits.

    Parameters
    ----------
    sequences : VisitSequences
        With their vocabulary.
    last_visits : sequence of int, default=()
        One more block of columns for each.

    Returns
    -------
    CSR matrix of shape (n_samples, n_codes * (1 + len(last_visits))), float64
    """
    blocks = sequences._blocks()
    return sparse.vstack(
        map_in_threads(_count_block, blocks, [last_visits] * len(blocks)), format="csr"
    )


def _count_block(sequences, last_visits):
    n_samples, n_codes = len(sequences), sequences.vocabulary.size - N_SPECIAL
    n_columns = n_codes * (1 + len(last_visits))
    # A cell of the matrix is one integer, as narrow as may be: it sorts the faster.
    dtype = np.min_scalar_type(max(n_samples, 1) * n_columns)
    n_tokens = np.diff(sequences.visit_offsets[sequences.sample_offsets])
    cell = np.repeat(np.arange(n_samples, dtype=dtype) * n_columns, n_tokens)
    cell += (sequences.tokens - N_SPECIAL).astype(dtype)
    is_known = sequences.tokens >= N_SPECIAL
    cells = [cell[is_known]]
    to_come, is_dated = sequences._visits_to_come(), ~sequences.is_static
    for i, k in enumerate(last_visits, start=1):
        is_recent = np.repeat((to_come < k) & is_dated, np.diff(sequences.visit_offsets))
        cells.append(cell[is_known & is_recent] + i * n_codes)
    cells = np.sort(np.concatenate(cells))
    starts = np.flatnonzero(run_starts(cells))
    counts = np.diff(starts, append=len(cells)).astype(np.float64)
    cells = cells[starts]
    # numpy divides by one number much faster than it takes remainders.
    row = cells // n_columns
    column = (cells - row * n_columns).astype(np.int64)
    offsets = offsets_from_lengths(np.bincount(row.astype(np.int64), minlength=n_samples))
    return sparse.csr_matrix((counts, column, offsets), shape=(n_samples, n_columns))
