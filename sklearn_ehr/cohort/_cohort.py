"""Samples to predict, each with the events known at its prediction time."""

import warnings

import numpy as np
import pandas as pd

from ..utils import SampleIndexing, column_of, encode
from ._durations import as_duration
from ._event_table import as_event_table
from ._sample_table import match_patients, read_groups, read_prediction_times, without_unused
from ._times import times_far_ahead
from ._visibility import check_resolution, choose_resolution
from ._visible_events import VisibleEvents

_CLOSED = ("right", "left")


class Cohort(SampleIndexing):
    """Samples to predict, each with the events that are known at its prediction time.

    A cohort is the `X` of a pipeline. It is indexed by samples as scikit-learn indexes arrays, so
    it passes through `cross_val_score`, `GridSearchCV` and the like. A subset shares the events
    with the cohort it came from.

    Parameters
    ----------
    events : EventTable or DataFrame
        Events laid out once, or a long frame with one row an event, from which an `EventTable` is
        made.
    samples : DataFrame, default=None
        One row a sample, in any order, which is kept: patient, prediction time, and any other
        columns, which stay in `samples` and are never features. A patient may have several samples.
        A sample whose patient has no events stays, without visits. Patients without a sample are
        left out. With None there is one sample a patient, sorted by id, with the whole history.
    patient_id : str, default="patient_id"
        Column of the patient, in `samples` and in a frame of `events`. An `EventTable` brings its
        own name for it.
    time, code, visit_id, value, known_time, null_time
        As in `EventTable`; only for a frame of `events`.
    prediction_time : str or None, default="prediction_time"
        Column of `samples`. None says that whole histories are meant.
    group : str, default=None
        Column of `samples` that names who must stay on one side of a split, such as the person
        where the patient key is a stay. By default the patient.
    resolution : {"auto", "day", "instant"}, default="auto"
        How times compare:

        * "day": times are dates. Events and predictions compare as calendar days, so that
          ``closed="right"`` shows the day of the prediction.
        * "instant": times are moments. An event at exactly midnight is one of which only the date
          is known, and is visible when its day has ended.
        * "auto": "day" where every event time and every prediction time is a midnight, else
          "instant".

        Calendar days are those of the zone of the events.
    closed : {"right", "left"}, default="right"
        Whether an event known at exactly the prediction time is visible ("right") or not ("left").
    lookback : Timedelta, str or number, default=None
        Keep only events of the time ``(t - lookback, t]`` (``[t - lookback, t)`` when closed
        "left"), where `t` is the prediction time or, without one, the patient's last event. A
        duration for datetimes, a number in the unit of numeric times. Static events are exempt.

    Attributes
    ----------
    samples : DataFrame
        The rows of the samples. Without `samples`, the patients, which are its index too.
    groups : ndarray of shape (n_samples,)
        The group of each sample, by default its patient.
    prediction_times : ndarray of shape (n_samples,) or None
        When each sample is predicted: datetime64 in UTC, or numbers.
    resolution : {"day", "instant"} or None
        Resolution under which times compare; None for numeric times and whole histories.
    event_table : EventTable
        The events, shared by all subsets.
    n_patients : int
        Number of distinct patients among the samples.
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
        If more than 5 % of the samples have no visible event, or a lookback counts from times
        centuries beyond the others.

    Notes
    -----
    Visibility is decided for an event, not for a visit, and by that event and its own sample alone:
    a visit in progress is cut in the middle. `known_time` decides it where given, else `time`.

    Aware times compare in UTC; aware beside naive ones are an error.

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
    >>> cohort.resolution
    'day'
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
        null_time="error",
        prediction_time="prediction_time",
        group=None,
        resolution="auto",
        closed="right",
        lookback=None,
    ):
        if closed not in _CLOSED:
            raise ValueError(f"closed={closed!r} is not accepted; choose one of {_CLOSED}.")
        check_resolution(resolution)
        table = as_event_table(
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
            index = pd.Index(table.patients)
            samples = pd.DataFrame({table.patient_column: table.patients}, index=index)
            prediction_time = None
        elif not isinstance(samples, pd.DataFrame):
            raise TypeError(f"samples must be a pandas DataFrame, got {type(samples).__name__}.")
        elif not len(samples):
            raise ValueError("samples is an empty frame: there is nobody to predict.")
        if patient_id not in samples.columns and patient_id in ("patient_id", None):
            patient_id = table.patient_column
        patient = column_of(samples, patient_id, "samples", fixed="patient_id")
        moments = read_prediction_times(samples, prediction_time, table.time is not None)
        if lookback is not None:
            if table.time is None:
                raise ValueError("lookback needs event times; events has no time column.")
            lookback = as_duration(lookback, "lookback", table.time.dtype.kind == "M")
            if moments is None:
                _warn_if_far_ahead(table)
        resolution = choose_resolution(resolution, table, moments)

        groups = read_groups(samples, group)
        position = match_patients(patient, table.patients)
        self._samples = samples.copy()
        self._patient_column = patient.name
        self._group_column = patient.name if groups is None else groups.name
        self._group = position if groups is None else encode(groups)[0]
        for column in (patient, groups):
            if column is not None and column.dtype != samples[column.name].dtype:
                self._samples[column.name] = column
        self._visible = VisibleEvents.of(table, position, moments, resolution, closed, lookback)
        self._is_subset = False
        self._compacted = None
        self._warn_if_empty()

    def __len__(self):
        return len(self._samples)

    def __repr__(self):
        return (
            f"Cohort(n_samples={len(self)}, n_patients={self.n_patients}, "
            f"n_events={self._visible.counts().sum()})"
        )

    @property
    def samples(self):
        """DataFrame of the samples, one row each."""
        return self._samples.copy(deep=False)

    @property
    def groups(self):
        """Group of each sample, by default its patient, ndarray of shape (n_samples,)."""
        return self._samples[self._group_column].to_numpy()

    @property
    def patients(self):
        """Patient of each sample, ndarray of shape (n_samples,)."""
        return self._samples[self._patient_column].to_numpy()

    @property
    def patient_column(self):
        """Name of the column of patients in `samples`."""
        return self._patient_column

    @property
    def group_positions(self):
        """Number of each sample's group, equal for samples of one group, ndarray (n_samples,)."""
        return self._group

    @property
    def event_table(self):
        """Events that the samples are predicted from, shared by all subsets: an `EventTable`."""
        return self._visible.table

    @property
    def prediction_times(self):
        """When each sample is predicted, in UTC, or None where whole histories are meant."""
        moments = self._visible.moments
        return None if moments is None else moments.values

    @property
    def resolution(self):
        """Resolution under which times compare: "day", "instant" or None."""
        return self._visible.resolution

    @property
    def n_patients(self):
        """Number of distinct patients among the samples."""
        return len(np.unique(self._visible.patient))

    def visible_events(self):
        """Events that each sample may be predicted from, to look at what a model sees.

        Returns
        -------
        DataFrame of shape (n_visible_events, ...)
            One row an event and sample: `sample` (position in the cohort), the patient, and those
            of time, known_time, code, visit_id and value that the cohort has; in the order of time.
            An event shows once for each sample that sees it.
        """
        event, sample = self.visible_positions()
        table = self.event_table
        columns = {"sample": sample.astype(np.int64), self._patient_column: self.patients[sample]}
        if table.time is not None:
            columns["time"] = table.times_of(event).as_series()
        if table.known_time is not None:
            columns["known_time"] = table.known_times_of(event).as_series()
        columns["code"] = table.codes[table.code[event]]
        if table.visit is not None:
            # Position -1, which no visit id has, becomes null.
            visit_ids = pd.Series(table.visit_ids).reindex(table.visit[event])
            columns["visit_id"] = visit_ids.reset_index(drop=True)
        if table.value is not None:
            columns["value"] = table.value[event]
        return pd.DataFrame(columns)

    def visible_positions(self):
        """Positions of the visible events, sample by sample, and the sample of each.

        Returns
        -------
        event : ndarray of int64 or slice
            Positions in `event_table`.
        sample : ndarray of int32
        """
        return self._visible.positions()

    def is_seen(self):
        """Whether any sample sees each event of the table, ndarray of bool (n_events,)."""
        return self._visible.is_seen()

    def known_from(self, event):
        """When the events of this index count as known, or None where that is their time."""
        return self._visible.known_from(event)

    def is_recent(self, length, time, sample):
        """Whether times lie within a length of time before the predictions of their samples.

        The rule is that of `lookback`.

        Parameters
        ----------
        length : timedelta64 or number
        time : ndarray of shape (n,)
            Times of the unit of the events', not null.
        sample : ndarray of int, shape (n,)

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        return self._visible.is_recent(length, time, sample)

    def blocks(self):
        """Cohorts of consecutive samples that see about as many events."""
        return [self[part] for part in self._visible.block_slices()]

    def __getstate__(self):
        if not self._is_subset:
            return self.__dict__
        # The live cohort stays as it is: joblib pickles in a thread of its own.
        if self._compacted is None:
            self._compacted = self._compact()
        return self._compacted

    def _take(self, positions):
        return self._replace(
            _samples=self._samples.iloc[positions],
            _group=self._group[positions],
            _visible=self._visible.take(positions),
            _is_subset=True,
        )

    def _compact(self):
        """State without the events that no sample sees, and without other patients."""
        return {
            **self.__dict__,
            "_samples": without_unused(self._samples),
            "_group": np.unique(self._group, return_inverse=True)[1],
            "_visible": self._visible.compact(),
            "_is_subset": False,
        }

    def _replace(self, **attributes):
        """The same cohort with other attributes; `copy` would make a pickle's compact one."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _compacted=None, **attributes)
        return other

    def _warn_if_empty(self):
        n_without = np.count_nonzero(self._visible.counts() == 0)
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


def _warn_if_far_ahead(table):
    n_far = np.count_nonzero(times_far_ahead(table.times_of(slice(None))))
    if n_far:
        warnings.warn(
            f"{n_far} event(s) (column {table.time_column!r}) come over a century after all "
            f"others, such as an open end written as 9999-12-31. Without prediction times a "
            f"lookback counts from the last event of each patient. Drop these events, or give "
            f"them a null time.",
            UserWarning,
            stacklevel=3,
        )
