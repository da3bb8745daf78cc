"""Who is predicted, as of when, from which events."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd

from ..utils import SampleIndexing, column_of, index_ranges, offsets_from_lengths, run_starts
from ._event_table import read_events
from ._sample_table import match_patients, read_prediction_times, without_unused
from ._times import align, as_duration
from ._visibility import align_with_predictions, visible_bounds

_CHOICES = {"closed": ("right", "left"), "null_time": ("error", "drop", "static")}


class Cohort(SampleIndexing):
    """Samples to predict, each with the events that are known at its prediction time.

    A cohort is the `X` of a pipeline. It is indexed by samples as scikit-learn indexes arrays, so
    it passes through `cross_val_score`, `GridSearchCV` and the like; a subset shares the arrays of
    events with the cohort it came from.

    Parameters
    ----------
    events : DataFrame
        Long frame, one row an event. It needs a patient, a code, and a time or a visit id (both is
        best; without times, visits follow each other as their ids sort); value, visit id and known
        time are taken where the column is there. The MEDS names ``subject_id`` and
        ``numeric_value`` are recognised. The frame is neither changed nor kept.
    samples : DataFrame, default=None
        One row a sample, its order kept: patient, prediction time, and any other columns, which
        stay in `samples` and are never features. A patient may have several samples; one without
        events stays, with no visits, and patients without a sample are left out. With None there is
        one sample a patient, sorted by id, with the whole history.
    patient_id, time, code, visit_id, value, known_time : str
        Columns of `events`, by default of the parameter's own name; `patient_id` is a column of
        `samples` too. `time`, `visit_id`, `value` and `known_time` may be None: not used.
        Times are datetimes (aware or not), dates, integers or floats. `known_time` is when a fact
        was recorded, such as a diagnosis coded at discharge: it decides what is visible, `time`
        decides the order.
    prediction_time : str or None, default="prediction_time"
        Column of `samples`. None says that whole histories are meant.
    closed : {"right", "left"}, default="right"
        Whether an event known at exactly the prediction time is visible ("right") or not ("left");
        where both are dates, "right" shows the events of the day of the prediction.
    lookback : Timedelta, str or number, default=None
        Keep only events of the time ``(t - lookback, t]`` (``[t - lookback, t)`` when closed
        "left"), `t` being the prediction time or, without one, the patient's last event, which is
        kept. A duration for datetimes, a number in the unit of numeric times. Static events are
        exempt.
    null_time : {"error", "drop", "static"}, default="error"
        What an event without a time is: an error, left out, or a fact that is always visible and
        stands in a leading visit of its own.

    Attributes
    ----------
    samples : DataFrame
        The rows of the samples.
    groups : ndarray of shape (n_samples,)
        The patient of each sample.
    prediction_times : ndarray of shape (n_samples,) or None
        When each sample is predicted: datetime64 in UTC, or numbers.
    n_patients : int
        Distinct patients among the samples.
    shape : tuple
        ``(n_samples,)``.

    Raises
    ------
    TypeError
        If keys or times are of types that do not compare.
    ValueError
        If a column is missing or has nulls, a frame is empty, no patient of `samples` has events,
        or a parameter is unknown.

    Warns
    -----
    UserWarning
        If more than 5 % of the samples have no visible event.

    Notes
    -----
    Visibility is decided for an event, not for a visit: a visit in progress is cut in the middle.
    An event timed at a midnight stands for a whole day. It counts as known when that day has ended,
    in the zone of the events, unless the prediction times are all whole days, which compare
    plainly; a single one at another hour decides for all. Where an event at midnight is meant, a
    `known_time` one second later says so.

    Aware times compare in UTC and take their calendar day in their own zone; aware beside naive
    ones are an error. A null known time is an error, or drops the event with ``null_time="drop"``.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import Cohort
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 2],
    ...     "time": pd.to_datetime(["2020-01-01", "2020-03-01", "2020-02-01"]),
    ...     "code": ["I10", "E11", "I10"],
    ... })
    >>> samples = pd.DataFrame({
    ...     "patient_id": [1, 2],
    ...     "prediction_time": pd.to_datetime(["2020-02-15", "2020-02-15"]),
    ...     "readmitted": [1, 0],
    ... })
    >>> cohort = Cohort(events, samples)
    >>> cohort.visible_events()["code"].tolist()
    ['I10', 'I10']
    >>> cohort[1].groups
    array([2])
    """

    _way_out = (
        "Put VisitSequenceTransformer or CodeCountVectorizer before the model, or look at it with "
        "visible_events()."
    )

    def __init__(
        self,
        events,
        samples=None,
        *,
        patient_id="patient_id",
        time="time",
        code="code",
        visit_id="visit_id",
        value="value",
        known_time="known_time",
        prediction_time="prediction_time",
        closed="right",
        lookback=None,
        null_time="error",
    ):
        _check_choice("closed", closed)
        _check_choice("null_time", null_time)
        table, patients, times, known = read_events(
            events,
            patient_id=patient_id,
            time=time,
            code=code,
            visit_id=visit_id,
            value=value,
            known_time=known_time,
            null_time=null_time,
        )
        if samples is None:
            samples = pd.DataFrame({patient_id: patients})
            prediction_time = None
        elif not isinstance(samples, pd.DataFrame):
            raise TypeError(f"samples must be a pandas DataFrame, got {type(samples).__name__}.")
        elif not len(samples):
            raise ValueError("samples is an empty frame: there is nobody to predict.")
        patient = column_of(samples, patient_id, "samples", fixed="patient_id")
        prediction_times = read_prediction_times(samples, prediction_time, times)
        cut = None
        if prediction_times is not None:
            table, cut = align_with_predictions(table, times, known, prediction_times)
        elif known is not None:
            times, known = align(times, known)
            table = replace(table, time=times.values, known=known.values)
        if lookback is not None:
            if times is None:
                raise ValueError("lookback needs event times; events has no time column.")
            lookback = as_duration(lookback, "lookback", times.is_datetime)

        self._events = table
        self._samples = samples.copy()
        self._patient_column = patient.name
        self._patient = match_patients(patient, patients)
        self._cut = cut
        self._closed = closed
        self._bounds = visible_bounds(table, self._patient, cut, closed, lookback)
        self._is_subset = False
        self._compacted = None
        self._warn_if_empty()

    def __len__(self):
        return len(self._patient)

    def __repr__(self):
        return (
            f"Cohort(n_samples={len(self)}, n_patients={self.n_patients}, "
            f"n_events={self._n_visible().sum()})"
        )

    @property
    def samples(self):
        """DataFrame of the samples, one row each."""
        return self._samples.copy(deep=False)

    @property
    def groups(self):
        """Patient of each sample, ndarray of shape (n_samples,)."""
        return self._samples[self._patient_column].to_numpy()

    @property
    def event_table(self):
        """Events that the samples are predicted from, shared by all subsets: an `EventTable`."""
        return self._events

    @property
    def group_positions(self):
        """Number of each sample's group, equal for samples of one group, ndarray (n_samples,)."""
        return self._patient

    @property
    def prediction_times(self):
        """When each sample is predicted, in UTC, or None where whole histories are meant."""
        return self._cut

    @property
    def n_patients(self):
        """Number of distinct patients among the samples."""
        return len(np.unique(self._patient))

    def visible_events(self):
        """Events that each sample may be predicted from, to look at what a model sees.

        Returns
        -------
        DataFrame of shape (n_visible_events, ...)
            One row an event and sample: `sample` (position in the cohort), the patient, and those
            of time, code, visit_id and value that the cohort has; in the order of time. An event
            shows once for each sample that sees it.
        """
        event, sample = self.visible_positions()
        table = self._events
        columns = {"sample": sample.astype(np.int64), self._patient_column: self.groups[sample]}
        if table.time is not None:
            time = pd.Series(table.time[event])
            if table.zone is not None:
                time = time.dt.tz_localize("UTC").dt.tz_convert(table.zone)
            columns["time"] = time
        columns["code"] = table.codes[table.code[event]]
        if table.visit is not None:
            # Position -1, which no visit id has, becomes null.
            visit_ids = pd.Series(table.visit_ids).reindex(table.visit[event])
            columns["visit_id"] = visit_ids.reset_index(drop=True)
        if table.value is not None:
            columns["value"] = table.value[event]
        return pd.DataFrame(columns)

    def __getstate__(self):
        if not self._is_subset:
            return self.__dict__
        # The live cohort stays as it is: joblib pickles in a thread of its own.
        if self._compacted is None:
            self._compacted = self._compact()
        return self._compacted

    def is_seen(self):
        """Whether any sample sees each event of the table, ndarray of bool (n_events,)."""
        is_seen = np.zeros(len(self._events), dtype=bool)
        is_seen[self.visible_positions()[0]] = True
        return is_seen

    def visible_positions(self):
        """Index of the visible events, sample by sample, and the sample of each."""
        event = index_ranges(self._bounds[..., 0].ravel(), self._bounds[..., 1].ravel())
        sample = np.repeat(np.arange(len(self), dtype=np.int32), self._n_in_bounds())
        known = self._events.known
        if known is None or self._cut is None:
            return event, sample
        event = np.r_[event]
        known, cut = known[event], self._cut[sample]
        keep = known <= cut if self._closed == "right" else known < cut
        keep |= self._events.is_static(event)
        return event[keep], sample[keep]

    def blocks(self):
        """Cohorts of consecutive samples, about as large; a patient's neighbours stay together."""
        starts = run_starts(self._patient)
        n_before = offsets_from_lengths(self._n_in_bounds())
        return self._cut_at(n_before[:-1][starts][np.cumsum(starts) - 1])

    def _n_in_bounds(self):
        """Events in each sample's ranges, among which known times may hide some."""
        return (self._bounds[..., 1] - self._bounds[..., 0]).sum(axis=1)

    def _n_visible(self):
        if self._events.known is None or self._cut is None:
            return self._n_in_bounds()
        return np.bincount(self.visible_positions()[1], minlength=len(self))

    def _take(self, positions):
        return self._replace(
            _samples=self._samples.iloc[positions],
            _patient=self._patient[positions],
            _cut=None if self._cut is None else self._cut[positions],
            _bounds=self._bounds[positions],
            _is_subset=True,
        )

    def _replace(self, **attributes):
        """The same cohort with other attributes; `copy` would make a pickle's compact one."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _compacted=None, **attributes)
        return other

    def _compact(self):
        """State without events that no sample can see, nor the other patients' codes and ids."""
        keep = self.is_seen()
        patients, patient = np.unique(self._patient, return_inverse=True)
        with_events = patients[patients < len(self._events.dated_starts)]
        events, position = self._events.compact(with_events, keep)
        return {
            **self.__dict__,
            "_events": events,
            "_samples": without_unused(self._samples),
            "_patient": patient,
            "_bounds": position[self._bounds],
            "_is_subset": False,
        }

    def _warn_if_empty(self):
        n_without = np.count_nonzero(self._n_visible() == 0)
        if 20 * n_without > len(self):
            warnings.warn(
                f"{n_without} of {len(self)} samples have no visible event and stay without "
                f"visits. Check the prediction times, lookback, and the patients' ids if this is "
                f"unexpected.",
                UserWarning,
                stacklevel=3,
            )


def as_cohort(X):
    """A cohort as it is; a long frame with the standard column names as a cohort of patients."""
    if isinstance(X, Cohort):
        return X
    if isinstance(X, pd.DataFrame):
        return Cohort(X)
    raise TypeError(
        f"X must be a Cohort or a long DataFrame of events, got {type(X).__name__}. Build a Cohort "
        f"from your events with Cohort(events, samples)."
    )


def _check_choice(name, value):
    if value not in _CHOICES[name]:
        raise ValueError(f"{name}={value!r} is not accepted; choose one of {_CHOICES[name]}.")
