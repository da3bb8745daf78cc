"""Samples to predict, each with the events known at its prediction time."""

import warnings

import numpy as np

from ..utils import SampleIndexing, encode, is_frame, open_files, shown
from ._durations import read_lookback
from ._engine_events import events_of_patients, hold_dates_only
from ._event_table import EventTable, as_event_table
from ._repr import cohort_html
from ._sample_table import (
    as_floats,
    match_patients,
    read_features,
    read_prediction_times,
    read_sample_frame,
    read_samples,
    refuse_keys,
    refuse_prediction_time,
    warn_if_drawn,
    without_unused,
)
from ._visibility import RESOLUTION_KEY, check_resolution, choose_resolution
from ._visible_events import VisibleEvents

_CLOSED = ("right", "left")
_SHOWN = ("sample", "time", "known_time", "code", "visit_id", "value")


class Cohort(SampleIndexing):
    """Samples to predict, each with the events known at its prediction time.

    A cohort is the `X` of a pipeline. It is indexed by sample, the way scikit-learn indexes arrays,
    so it works with `cross_val_score`, `GridSearchCV` and the like. A subset shares its events with
    the cohort it was taken from.

    Parameters
    ----------
    events : EventTable, DataFrame, str or path
        A table of events, or anything that `EventTable` builds one from. If an engine or parquet
        files hold the events, only those of the patients in `samples` are read from there.
    samples : DataFrame, default=None
        One row per sample, kept in this order: patient, prediction time, and any other columns,
        which stay in `samples` and which no model reads unless `features` names them. A frame of
        any library that `EventTable` accepts, or parquet files; those of an engine or of files,
        which have no order, are sorted by patient and prediction time, and refused if two rows
        share both. A patient may
        have several samples; patients without a sample are left out. A sample whose patient has no
        events is kept and has no visits. If None, there is one sample per patient, sorted by id,
        with the whole history.
    patient_id : str, default="patient_id"
        Column of patient ids in `samples` and in a frame of `events`. If `samples` has no column of
        the default name, the one that an `EventTable` was built with is used.
    time, code, visit_id, value, known_time, null_time
        As in `EventTable`, and only for a frame of `events`.
    prediction_time : str or None, default="prediction_time"
        Column of prediction times in `samples`. None means that each sample is a whole history.
    group : str, default=None
        Column of `samples` with the group of each sample, which splitters keep on one side of a
        split: for instance the person, if each hospital stay has a patient id of its own. By
        default, each patient is a group.
    features : list of str, default=()
        Columns of `samples` with numbers or booleans that models read beside the codes, such as the
        age at the prediction. Each value must have been known at the prediction time, which cannot
        be checked here; the outcome must not be among them. Null values are accepted.
    resolution : {"auto", "day", "instant"}, default="auto"
        How times are compared:

        * "day": by calendar day. The events on the day of the prediction are visible with
          ``closed="right"`` and hidden with ``closed="left"``.
        * "instant": to the instant. For an event at exactly midnight, only the date is taken as
          known, so it becomes visible when that day has ended.
        * "auto": that under which `make_samples` drew the samples. For other samples, "day" if all
          event times, known times and prediction times are midnights, otherwise "instant".

        Calendar days are those in the time zone of the events.
    closed : {"right", "left"}, default="right"
        Whether an event known at exactly the prediction time is visible ("right") or not ("left").
    lookback : Timedelta, str or number, default=None
        Keep only events whose `time` lies in ``(t - lookback, t]``, or in ``[t - lookback, t)`` if
        `closed` is "left", where `t` is the prediction time. In a whole history, `t` is the time of
        the patient's last event, which is always kept. A duration for datetimes; for numeric times,
        a number in their unit. `resolution` applies here too. Static events are always kept.

    Attributes
    ----------
    samples : DataFrame
        The rows of the samples, in pandas. If none were given, the patient ids, which are also its
        index.
    groups : ndarray of shape (n_samples,)
        Group of each sample, by default its patient.
    patients : ndarray of shape (n_samples,)
        Patient of each sample.
    prediction_times : ndarray of shape (n_samples,) or None
        Prediction time of each sample: datetime64, in UTC if the times are aware, or numbers. None
        for whole histories.
    features : DataFrame of shape (n_samples, n_features)
        The columns named by `features`, float64, NaN where null.
    resolution : {"day", "instant"} or None
        How times are compared. None for numeric times and whole histories.
    event_table : EventTable
        The events, shared by all subsets.
    n_patients : int
        Number of distinct patients among the samples.
    shape : tuple
        ``(n_samples,)``.

    Raises
    ------
    TypeError
        If `events` or `samples` is not of an accepted type, ids or times are of types that cannot
        be compared, a feature is not numeric, or `lookback` does not match the type of the times.
    ValueError
        If a column is missing or has nulls, a frame is empty, no patient of `samples` has events,
        a feature has values beyond the range of 32-bit floats, or a parameter has a value that is
        not accepted.

    Warns
    -----
    UserWarning
        If more than 5 % of the samples have no visible event, if a lookback is counted from events
        that are over a century later than all others, or if the prediction times are of another
        time zone than the events, whose calendar days count.

    Notes
    -----
    Visibility is decided for each event, not for each visit, so a visit in progress is cut in the
    middle. It depends only on the event and the sample. `known_time` decides it if there is such a
    column, otherwise `time` does.

    Aware times are compared in UTC. Aware and naive times cannot be mixed.

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
        "Put CodeCountVectorizer before whatever reads columns (models, BaggingClassifier, RFECV), "
        "and VisitSequenceTransformer before an LSTM. To inspect a fitted pipeline, pass model[-1] "
        "and model[:-1].transform(X). To read columns of samples, use Cohort(..., features=[...]) "
        "or a FeatureUnion. visible_events() lists the events."
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
        features=(),
        resolution="auto",
        closed="right",
        lookback=None,
    ):
        _check_closed(closed)
        check_resolution(resolution)
        events = everything = open_files(events, "events")
        patient = None
        if samples is not None:
            samples, patient = read_sample_frame(samples, events, patient_id, prediction_time)
            events = events_of_patients(events, samples[patient], patient_id)
        features = read_features(samples, features)
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
            refuse_prediction_time(prediction_time)
            prediction_time = None
        rows, patient, groups = read_samples(samples, table, patient, group)
        moments = read_prediction_times(rows, prediction_time, table.time is not None)
        refuse_keys(features, [patient.name, groups.name, prediction_time])
        lookback = read_lookback(lookback, table, moments)
        is_free = resolution == "auto" and rows.attrs.get(RESOLUTION_KEY) is None
        resolution = choose_resolution(resolution, table, moments, rows.attrs.get(RESOLUTION_KEY))
        if is_free and resolution == "day":
            resolution = "day" if hold_dates_only(everything, table, null_time) else "instant"
            warn_if_drawn(rows, resolution)
        position = match_patients(patient, table.patients)

        self._samples = rows
        self._patient_column, self._group_column = patient.name, groups.name
        self._features = features
        self._group = position if group is None else encode(groups)[0]
        self._visible = VisibleEvents.of(table, position, moments, resolution, closed, lookback)
        self._is_subset = False
        self._compacted = None
        self._warn_if_empty()

    def __len__(self):
        return len(self._samples)

    def __repr__(self):
        return (
            f"Cohort(n_samples={len(self)}, n_patients={self.n_patients}, "
            f"n_events={self._visible.counts.sum()})"
        )

    def _repr_html_(self):
        return cohort_html(self)

    @property
    def samples(self):
        """Rows of the samples, DataFrame."""
        return self._samples.copy()

    @property
    def groups(self):
        """Group of each sample, by default its patient, ndarray of shape (n_samples,)."""
        return self._samples[self._group_column].to_numpy(copy=True)

    @property
    def patients(self):
        """Patient of each sample, ndarray of shape (n_samples,)."""
        return self._samples[self._patient_column].to_numpy(copy=True)

    @property
    def patient_column(self):
        """Name of the column of patients in `samples`."""
        return self._patient_column

    @property
    def group_positions(self):
        """Group of each sample as an integer, ndarray of shape (n_samples,)."""
        return self._group

    @property
    def event_table(self):
        """The `EventTable`, shared by all subsets."""
        return self._visible.table

    @property
    def prediction_times(self):
        """Prediction time of each sample, in UTC if aware; None for whole histories."""
        moments = self._visible.moments
        return None if moments is None else moments.values

    @property
    def features(self):
        """Numbers that models read beside the codes, DataFrame (n_samples, n_features)."""
        return as_floats(self._samples, self._features)

    @property
    def resolution(self):
        """How times are compared: "day", "instant" or None."""
        return self._visible.resolution

    @property
    def n_patients(self):
        """Number of distinct patients among the samples."""
        return len(np.unique(self._visible.patient))

    def visible_events(self):
        """List the events that a model sees for each sample.

        Returns
        -------
        DataFrame
            One row per sample and visible event, in the order of samples, then of time. The columns
            are `sample` (the position in the cohort), the patient, and those of `time`,
            `known_time`, `code`, `visit_id` and `value` that the events have.
        """
        if self._patient_column in _SHOWN:
            raise ValueError(
                f"The column of patients is called {self._patient_column!r}, as another one of "
                f"visible_events(). Rename it."
            )
        events = self._visible.as_frame()
        events.insert(1, self._patient_column, self.patients[events["sample"]])
        return events

    def visible_positions(self):
        """Positions of the visible events, sample by sample, and the sample of each.

        Returns
        -------
        event : ndarray of int64 or slice
            Positions in `event_table`.
        sample : ndarray of int32
            Positions in the cohort.
        """
        return self._visible.positions()

    def is_seen(self):
        """Whether any sample sees each event of the table, ndarray of bool (n_events,)."""
        return self._visible.is_seen()

    def known_from(self, event):
        """Times from which these events count as known; None if those are their times."""
        return self._visible.known_from(event)

    def is_recent(self, length, time, sample):
        """Whether times come after the start of a window that ends at the prediction.

        The window starts like a `lookback` of this length, as returned by `as_duration`. Its end is
        not checked. `sample` is the sample that each time belongs to; times have no nulls.
        """
        return self._visible.is_recent(length, time, sample)

    def blocks(self):
        """Split into cohorts of consecutive samples, with about equal numbers of events."""
        return [self[part] for part in self._visible.block_slices()]

    def __getstate__(self):
        if not self._is_subset:
            return self.__dict__
        # The cohort itself must not change, as joblib pickles it in another thread.
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
        """State with only the events and patients that its samples need."""
        return {
            **self.__dict__,
            "_samples": without_unused(self._samples),
            "_group": np.unique(self._group, return_inverse=True)[1],
            "_visible": self._visible.compact(),
            "_is_subset": False,
        }

    def _replace(self, **attributes):
        """Copy with some attributes changed; `copy` would compact it, as a pickle does."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _compacted=None, **attributes)
        return other

    def _warn_if_empty(self):
        n_without = np.count_nonzero(self._visible.counts == 0)
        if 20 * n_without > len(self):
            warnings.warn(
                f"{n_without} of {len(self)} samples have no visible event, and so no visits. If "
                f"this is unexpected, check prediction times, lookback and patient ids.",
                UserWarning,
                stacklevel=3,
            )


def _check_closed(closed):
    if not isinstance(closed, str) or closed not in _CLOSED:
        raise ValueError(f"closed={shown(closed)} is not accepted; choose one of {_CLOSED}.")


def as_cohort(X):
    """Return a cohort unchanged; build one from a long frame with the standard column names."""
    if isinstance(X, Cohort):
        return X
    if isinstance(X, EventTable) or is_frame(X):
        return Cohort(X)
    raise TypeError(
        f"X must be a Cohort or a long DataFrame of events, got {type(X).__name__}. Build a Cohort "
        f"from your events with Cohort(events, samples)."
    )
