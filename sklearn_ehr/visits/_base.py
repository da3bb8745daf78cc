"""The base of both transformers: parameters, the vocabulary, and checks of their input."""

import warnings
from datetime import timedelta
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..cohort import as_cohort
from ..utils import (
    CallbackSupportMixin,
    EstimatorReprMixin,
    Interval,
    RealNotInt,
    SavedStateMixin,
    StrOptions,
    fit_context,
    library_versions,
    start_callbacks,
)
from ._checks import (
    kind_of_times,
    refuse_other_resolution,
    refuse_other_times,
    refuse_unordered_target,
    scale_of_times,
    warn_of_another_unit,
    warn_of_other_visit_ids,
    warn_without_known_times,
    warn_without_values,
)
from ._event_codes import EventCodes
from ._features import FeatureEncoder
from ._grouping import check_visits, refuse_events_without_id
from ._needs import needs_of
from ._tokens import Tokeniser
from ._value_bins import ValueBins
from ._vocabulary import Vocabulary, frequent_codes, least_patients


class CodeTransformer(
    SavedStateMixin, CallbackSupportMixin, EstimatorReprMixin, TransformerMixin, BaseEstimator
):
    """Base class of transformers that learn a vocabulary and make visits of its tokens."""

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
        deduplicate=True,
        value_bins=None,
    ):
        self.min_frequency = min_frequency
        self.max_vocabulary = max_vocabulary
        self.handle_unknown = handle_unknown
        self.visits = visits
        self.max_visits = max_visits
        self.deduplicate = deduplicate
        self.value_bins = value_bins

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the vocabulary from the visible events, and the scale of the features.

        Parameters
        ----------
        X : Cohort or DataFrame
            A frame of events has the standard column names, and one sample for each patient, sorted
            by id.
        y : Series or DataFrame, default=None
            Not used. With a frame of events as `X`, its index must be the sorted patient ids, as
            the estimators after this transformer take its order.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If no code is frequent enough, `value_bins` is given for events without values, or the
            order of `y` is not that of `X`.
        TypeError
            If `X` is neither a cohort nor a frame, or `value_bins` is given for codes that are not
            strings.

        Warns
        -----
        UserWarning
            If a feature is left out, because too few patients have a value of it.
        """
        cohort = as_cohort(X)
        if cohort is not X and y is not None:
            refuse_unordered_target(y, cohort.groups)
        self._check_fit(cohort)
        task = {"estimator": self, "X": X, "y": y}
        callbacks = start_callbacks(self).call_on_fit_task_begin(**task)
        table, bins = cohort.event_table, None
        check_visits(table, self.visits)
        least = least_patients(cohort, self.min_frequency)
        if self.value_bins is not None:
            bins = ValueBins.from_cohort(cohort, self.value_bins, least)
        codes = frequent_codes(
            cohort,
            EventCodes(table, bins),
            min_frequency=self.min_frequency,
            max_vocabulary=self.max_vocabulary,
        )
        self.vocabulary_ = Vocabulary(codes)
        self.resolution_ = cohort.resolution
        self._feature_encoder = FeatureEncoder.of(cohort, least)
        self._value_bins = None if bins is None else bins.keep(self.vocabulary_)
        self._kind_of_times = kind_of_times(table)
        self._scale_of_times = scale_of_times(cohort)
        self._has_visit_ids = table.visit is not None
        self._has_known_times = table.known_time is not None
        self._versions = library_versions("sklearn_ehr", "numpy", "pandas", "scikit-learn")
        callbacks.call_on_fit_task_end(**task, reconstruction_attributes={})
        return self

    @property
    def needs(self):
        """What new data must bring, which `transform` checks.

        Returns
        -------
        dict
            With these items, in this order:

            - "columns": names of the columns of events that are read, here the standard names. The
              column of known times may be missing where samples are whole histories.
            - "features": names of the features of the cohort.
            - "resolution": "day" or "instant"; None if any is accepted.
            - "times": "datetime", "number", or None for events without times.
            - "unit": order of magnitude of numeric times; `transform` warns of times a thousand
              times larger or smaller. None if it is not checked.
            - "vocabulary_size": number of codes in the vocabulary. `transform` warns if none of
              them is visible.
            - "versions": versions of the libraries. Loading a saved transformer warns if others are
              installed.

        Raises
        ------
        NotFittedError
            If this transformer is not fitted.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_ehr import VisitSequenceTransformer
        >>> events = pd.DataFrame({
        ...     "patient_id": [1, 1, 2],
        ...     "time": [100, 200, 300],
        ...     "code": ["I10", "E11", "I10"],
        ... })
        >>> VisitSequenceTransformer(min_frequency=1).fit(events).needs
        {'columns': ['patient_id', 'time', 'code'], 'features': [], 'resolution': None,
         'times': 'number', 'unit': 'numbers of about 1e2', 'vocabulary_size': 2,
         'versions': {'sklearn_ehr': ...}}
        """
        check_is_fitted(self)
        return needs_of(self)

    def _check_fit(self, cohort):
        """Check the parameters of a subclass against the training cohort."""

    def _make_tokeniser(self, cohort):
        """Tokeniser of a cohort; raises if the cohort does not fit the one of `fit`."""
        check_is_fitted(self)
        table = cohort.event_table
        refuse_other_resolution(cohort.resolution, self.resolution_)
        refuse_other_times(kind_of_times(table), self._kind_of_times)
        warn_of_another_unit(scale_of_times(cohort), self._scale_of_times)
        has_predictions = cohort.prediction_times is not None
        warn_without_known_times(table, has_predictions, self._has_known_times)
        warn_without_values(table, self._value_bins)
        if self.visits in ("auto", "id"):
            warn_of_other_visit_ids(table.visit is not None, self._has_visit_ids)
        if self.visits == "id":
            refuse_events_without_id(cohort)
        tokeniser = Tokeniser(
            EventCodes(table, self._value_bins),
            self.vocabulary_,
            handle_unknown=self.handle_unknown,
            visits=self.visits,
            max_visits=self.max_visits,
            deduplicate=self.deduplicate,
        )
        _warn_if_nothing_is_known(cohort, tokeniser)
        return tokeniser

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


def _warn_if_nothing_is_known(cohort, tokeniser):
    n_visible = 0
    # The first block almost always has a known code.
    for block in cohort.blocks():
        n_events, n_known = tokeniser.count_known(block)
        if n_known:
            return
        n_visible += n_events
    if n_visible:
        warnings.warn(
            f"None of the {n_visible} visible events of X has a code of the vocabulary that was "
            f"learnt in fit. Check that X is coded like the training events (coding system, upper "
            f"and lower case, values).",
            UserWarning,
            stacklevel=5,
        )
