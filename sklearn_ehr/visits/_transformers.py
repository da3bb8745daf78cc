"""How a cohort becomes what a model takes: visit sequences, or counts of the same tokens."""

from datetime import timedelta
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    RealNotInt,
    StrOptions,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from ..cohort import as_cohort, as_duration
from ._count_matrix import count_tokens
from ._tokens import tokenise
from ._value_bins import ValueBins
from ._vocabulary import Vocabulary


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
        "value_bins": [Interval(Integral, 2, None, closed="left"), None],
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
        value_bins=None,
    ):
        self.min_frequency = min_frequency
        self.max_vocabulary = max_vocabulary
        self.handle_unknown = handle_unknown
        self.visits = visits
        self.max_visits = max_visits
        self.max_codes_per_visit = max_codes_per_visit
        self.deduplicate = deduplicate
        self.value_bins = value_bins

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
            If no code is frequent enough, or `value_bins` finds no values.
        TypeError
            If `value_bins` meets codes that are no texts.
        """
        cohort, bins = as_cohort(X), None
        if self.value_bins is not None:
            bins = ValueBins.from_cohort(cohort, self.value_bins)
            cohort = bins.apply(cohort)
        self.vocabulary_ = Vocabulary.from_cohort(
            cohort, min_frequency=self.min_frequency, max_vocabulary=self.max_vocabulary
        )
        # Those of rarer codes never enter the fitted model.
        self._value_bins = None if bins is None else bins.keep(self.vocabulary_)
        return self

    def _tokenise(self, cohort):
        check_is_fitted(self)
        return tokenise(
            cohort if self._value_bins is None else self._value_bins.apply(cohort),
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
    value_bins : int, default=None
        Number of bins for the values of each code that has any: an event with a value becomes
        ``code//Q1`` (the lowest) to ``code//Qk`` by the quantiles of that code's values among the
        training events, one without stays the bare code. Equal quantiles make one bin.

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
deduplicate, value_bins
        As in `VisitSequenceTransformer`. An unknown code is no column.
    encoding : {"count", "binary", "log1p"}, default="count"
        Number of visits with a code (of its occurrences with ``deduplicate=False``), whether there
        is any, or the logarithm of one plus the number.
    last_visits : tuple or list of int, default=()
        For each number `k` a block of columns that counts the last `k` visits alone, beside the
        block for the whole history. Static codes count in the whole history only.
    windows : tuple or list of timedelta, str or float, default=()
        For each length of time a block that counts the visits alone whose last event lies within it
        before the prediction (of whole histories: before the sample's last event), such as "90D"; a
        number in the unit of numeric times. An age of just that length lies outside, as under a
        lookback of ``closed="right"``.
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
        "windows": [tuple, list],
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
        value_bins=None,
        encoding="count",
        last_visits=(),
        windows=(),
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
            value_bins=value_bins,
        )
        self.encoding = encoding
        self.last_visits = last_visits
        self.windows = windows
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
            If no code is frequent enough, or `value_bins` finds no values.
        TypeError
            If `value_bins` meets codes that are no texts.
        """
        valid = all(isinstance(k, Integral) and k >= 1 for k in self.last_visits)
        if not valid or len(set(self.last_visits)) < len(self.last_visits):
            raise InvalidParameterError(
                f"last_visits={self.last_visits!r} must hold numbers of visits, each another "
                f"integer of at least 1, such as (1,)."
            )
        cohort = as_cohort(X)
        self._lengths_of_windows(cohort)
        return super().fit(cohort)

    def transform(self, X):
        """Count the tokens of each sample.

        Parameters
        ----------
        X : Cohort or DataFrame

        Returns
        -------
        CSR matrix or ndarray of shape (n_samples, n_features_out), float64
            With ``set_output(transform="pandas")`` a frame with the index of the samples.
        """
        cohort = as_cohort(X)
        counts = count_tokens(
            self._tokenise(cohort), self.last_visits, self._lengths_of_windows(cohort)
        )
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
        """Names of the columns: each code, then for a block ``code@last1`` or ``code@within90D``.

        Where a code itself holds such a mark, blocks are marked by more ``@``.

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
        mark = "@"
        while any(f"{mark}{block}" in code for code in codes for block in ("last", "within")):
            mark += "@"
        suffixes = ["", *(f"{mark}last{k}" for k in self.last_visits)]
        suffixes += [f"{mark}within{window}" for window in self.windows]
        return np.array([code + suffix for suffix in suffixes for code in codes], dtype=object)

    def _lengths_of_windows(self, cohort):
        """Lengths of the windows in days, or in the unit of numeric times."""
        time = cohort.event_table.time
        if not len(self.windows):
            return ()
        if time is None:
            raise ValueError("windows needs event times; events has no time column.")
        lengths = [
            as_duration(window, "windows", time.dtype.kind == "M") for window in self.windows
        ]
        if time.dtype.kind == "M":
            lengths = [length / np.timedelta64(1, "D") for length in lengths]
        if len(set(lengths)) < len(lengths):
            raise ValueError(f"windows={self.windows!r} holds a length twice.")
        return lengths
