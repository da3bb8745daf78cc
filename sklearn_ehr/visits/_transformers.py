"""Transformers from cohorts to visit sequences, or to counts of the same tokens."""

from numbers import Integral

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from ..cohort import as_cohort, as_duration, warn_if_far_ahead
from ..utils import (
    InvalidParameterError,
    StrOptions,
    align_sparse,
    iterate_in_threads,
    output_config,
)
from ._base import CodeTransformer
from ._count_matrix import count_tokens, is_recent, stack
from ._sequences import VisitSequences


class VisitSequenceTransformer(CodeTransformer):
    """Turn patient histories into visits of token ids, the input of the LSTM estimators.

    Parameters
    ----------
    min_frequency : int or float, default=10
        Minimum number of training patients (groups, if the cohort has any) with a code, or their
        share if a float. Rarer codes never enter the fitted model. The default is the usual
        small-cell threshold.
    max_vocabulary : int, default=None
        Maximum number of codes. The most frequent ones are kept; ties are broken by code.
    handle_unknown : {"token", "ignore"}, default="token"
        How rare and new codes are handled: "token" turns each of them into token 1, "ignore" drops
        them.
    visits : {"auto", "id", "day", "time"}, timedelta or float, default="auto"
        How events are grouped into visits:

        - "id": by visit id;
        - "day": by calendar day, in the time zone of the events;
        - "time": by distinct time;
        - "auto": by visit id where an event has one, otherwise by day (numeric times: by time);
        - a timedelta, or a number for numeric times: a new visit starts after a longer gap.
    max_visits : int, default=None
        Maximum number of visits of a sample. The most recent ones are kept, and the static visit in
        addition.
    deduplicate : bool, default=True
        Whether to keep each token only once per visit.
    value_bins : int, default=None
        Number of bins for the values of each code. An event with a value becomes ``code//Q1``
        (lowest values) to ``code//Qk``, by the quantiles of the values of that code in the training
        events; an event without a value keeps its code. Each edge between two bins is a mean over
        at least `min_frequency` patients, and bins with values of fewer patients are merged with a
        neighbour, so a code may have fewer bins.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The codes and their token ids; id 0 is padding, id 1 stands for unknown codes.
    resolution_ : {"day", "instant"} or None
        Resolution of the training cohort.
    needs : dict
        What new data must bring: columns, features, resolution, kind and unit of times, vocabulary
        size, and versions of libraries.

    See Also
    --------
    CodeCountVectorizer : Counts of the same tokens, for any scikit-learn model.

    Notes
    -----
    Visits are ordered by the time of their last visible event, then of their first one, then by id,
    so a visit in progress comes last. Events at the same time are ordered by code. A visit without
    tokens is kept, as an empty visit.

    If the cohort has features, they are standardised by their mean and standard deviation in the
    training samples. A null value becomes 0, the mean, and a second column marks the null values of
    a feature that at least `min_frequency` training patients have no value of. A feature is left
    out if its mean could tell the value of a single patient: if fewer than `min_frequency` training
    patients have a value, or one that differs from the most common value.

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

    Numbers beside the codes:

    >>> from sklearn_ehr import Cohort
    >>> samples = pd.DataFrame({"patient_id": [1, 2], "age": [40, 60], "bmi": [25, None]})
    >>> X = Cohort(events, samples, prediction_time=None, features=["age", "bmi"])
    >>> sequences = VisitSequenceTransformer(min_frequency=1).fit_transform(X)
    >>> sequences.feature_names
    ['age', 'bmi', 'missingindicator_bmi']
    >>> sequences.features
    array([[-1.,  0.,  0.],
           [ 1.,  0.,  1.]], dtype=float32)
    """

    def transform(self, X):
        """Turn histories into visit sequences.

        Parameters
        ----------
        X : Cohort or DataFrame
            As in `fit`.

        Returns
        -------
        VisitSequences of shape (n_samples,)

        Raises
        ------
        ValueError
            If the events of `X` lack values or times that those of `fit` had, or the resolution or
            the features of `X` are others.
        TypeError
            If `X` is neither a cohort nor a frame, or its codes are of another type.
        NotFittedError
            If this transformer is not fitted.

        Warns
        -----
        UserWarning
            If no visible code is in the vocabulary, only one of `X` and the events of `fit` has
            visit ids or values, or numeric times seem to be in another unit.
        """
        cohort = as_cohort(X)
        tokenise = self._make_tokeniser(cohort)
        features = self._feature_encoder(cohort).astype(np.float32)
        sequences = VisitSequences._concatenate(iterate_in_threads(tokenise, cohort.blocks()))
        if not features.shape[1]:
            return sequences
        return sequences._replace(
            features=features, feature_names=list(self._feature_encoder.names_out)
        )

    def set_output(self, *, transform=None):
        """Do nothing, as sequences of visits do not fit into a DataFrame.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            Ignored.

        Returns
        -------
        self : VisitSequenceTransformer
        """
        if transform not in ("default", "pandas", "polars", None):
            raise ValueError(f"transform={transform!r} is not a library that is known.")
        return self


class CodeCountVectorizer(CodeTransformer):
    """Count the visits of each sample that have each code, for linear models and trees.

    The tokens are those of `VisitSequenceTransformer` with the same parameters, so a comparison
    with a network compares models, not preparations. If the cohort has features, their columns
    follow those of the counts, and are the same as there too.

    Parameters
    ----------
    min_frequency, max_vocabulary, handle_unknown, visits, max_visits, deduplicate, value_bins
        As in `VisitSequenceTransformer`. Unknown codes have no column.
    encoding : {"count", "binary", "log1p"}, default="count"
        Number of visits with a code (of its occurrences if ``deduplicate=False``), whether there is
        any, or the logarithm of one plus the number.
    last_visits : tuple or list of int, default=()
        Each number `k` adds a block of columns that counts only the last `k` visits. Static codes
        are counted in the first block only, that of the whole history.
    windows : tuple or list of timedelta, str or float, default=()
        Each length of time, such as "90D" (numeric times: a number in their unit), adds a block of
        columns that counts only visits whose last event lies within that time before the prediction
        or, for whole histories, before the last event of the sample. A last event at exactly that
        distance lies outside if the cohort has ``closed="right"``, inside if ``closed="left"``.
    sparse_output : bool, default=True
        Whether to return a CSR matrix or an array. `HistGradientBoostingClassifier` and pandas
        output (`set_output`) need an array.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The codes that are counted.
    resolution_ : {"day", "instant"} or None
        Resolution of the training cohort.
    needs : dict
        What new data must bring: columns, features, resolution, kind and unit of times, vocabulary
        size, and versions of libraries.

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
        **CodeTransformer._parameter_constraints,
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
            deduplicate=deduplicate,
            value_bins=value_bins,
        )
        self.encoding = encoding
        self.last_visits = last_visits
        self.windows = windows
        self.sparse_output = sparse_output

    def transform(self, X):
        """Count the tokens of each sample.

        Parameters
        ----------
        X : Cohort or DataFrame
            As in `fit`.

        Returns
        -------
        CSR matrix or ndarray of shape (n_samples, n_features_out), float64
            A CSR array, if scikit-learn 1.9 is set to ``sparse_interface="sparray"``. After
            ``set_output(transform="pandas")`` or ``"polars"``, which need ``sparse_output=False``,
            a DataFrame; that of pandas has the index of the samples, or the patient ids, if `X` is
            a frame of events.

        Raises
        ------
        ValueError
            If the events of `X` lack values or times that those of `fit` had, or the resolution or
            the features of `X` are others.
        TypeError
            If `X` is neither a cohort nor a frame, or its codes are of another type.
        NotFittedError
            If this transformer is not fitted.

        Warns
        -----
        UserWarning
            If no visible code is in the vocabulary, only one of `X` and the events of `fit` has
            visit ids or values, or numeric times seem to be in another unit.
        """
        check_is_fitted(self)
        container = self._container()
        cohort = as_cohort(X)
        tokenise = self._make_tokeniser(cohort)
        features = self._feature_encoder(cohort)
        windows = self._lengths_of_windows(cohort)

        def count(block):
            sequences = tokenise(block)
            recent = [is_recent(block, sequences, window) for window in windows]
            return count_tokens(sequences, self.last_visits, recent)

        # Counted block by block: the tokens of all samples may take more memory than the counts.
        counts = stack(iterate_in_threads(count, cohort.blocks()))
        if self.encoding == "binary":
            counts.data[:] = 1
        elif self.encoding == "log1p":
            np.log1p(counts.data, out=counts.data)
        if features.shape[1]:
            counts = sparse.hstack([counts, sparse.csr_matrix(features)], format="csr")
        if self.sparse_output:
            return align_sparse(counts)
        if container == "pandas":
            # scikit-learn would take the index of X, and in a frame of events a row is an event.
            return pd.DataFrame(counts.toarray(), index=cohort.samples.index)
        return counts.toarray()

    def get_feature_names_out(self, input_features=None):
        """Names of the columns: the codes, those of the other blocks, and the features.

        The columns of the blocks are called ``code@last1``, ``code@within90D`` and so on. If a code
        itself contains such a mark, the mark has more ``@``. The column that marks null values of a
        feature is called ``missingindicator_age`` and so on. A feature with the name of another
        column has ``@feature`` after it.

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
        names = [code + suffix for suffix in suffixes for code in codes]
        taken = set(names)
        for name in self._feature_encoder.names_out:
            while name in taken:
                name += "@feature"
            taken.add(name)
            names.append(name)
        return np.array(names, dtype=object)

    def _container(self):
        """Library of the frame for the counts, or "default"; raises for sparse counts."""
        container = output_config("transform", self)["dense"]
        if self.sparse_output and container != "default":
            raise ValueError(
                f"set_output(transform={container!r}) needs a dense array. Set "
                f"sparse_output=False, or set_output(transform='default') for this step."
            )
        return container

    def _check_fit(self, cohort):
        self._container()
        valid = all(
            isinstance(k, Integral) and not isinstance(k, bool) and k >= 1 for k in self.last_visits
        )
        if not valid or len(set(self.last_visits)) < len(self.last_visits):
            raise InvalidParameterError(
                f"last_visits={self.last_visits!r} must hold distinct integers of at least 1, such "
                f"as (1, 3)."
            )
        self._lengths_of_windows(cohort)

    def _lengths_of_windows(self, cohort):
        """Lengths of the windows, as returned by `as_duration`."""
        time = cohort.event_table.time
        if not len(self.windows):
            return []
        if time is None:
            raise ValueError(
                "windows needs event times, but events has no time column. Name it with time=."
            )
        if cohort.prediction_times is None:
            warn_if_far_ahead(
                cohort.event_table.times_of(slice(None)),
                "Without prediction times, windows are counted from the last event of each sample. "
                "Drop these events, or set their time to null.",
            )
        is_datetime = time.dtype.kind == "M"
        lengths = [as_duration(window, "windows", is_datetime) for window in self.windows]
        if len(set(lengths)) < len(lengths):
            raise ValueError(f"windows={self.windows!r} holds a length twice.")
        return lengths
