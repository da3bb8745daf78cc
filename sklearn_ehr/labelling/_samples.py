"""Samples drawn from events, with outcomes and a table of attrition."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..cohort import (
    RESOLUTION_KEY,
    EventTable,
    as_duration,
    as_event_table,
    check_resolution,
    choose_resolution,
)
from ..utils import shown
from ._clock import is_by, read_length
from ._follow_up import OUTCOME, follow, read_end
from ._index import find_samples, read_index
from ._occurrences import Occurrences, find_events

_COLUMNS = ("prediction_time", "outcome", "event", "duration", "complete")


class _Drawn(NamedTuple):
    """Patient, prediction time, end of observation and row in the index of each sample."""

    patient: np.ndarray
    at: np.ndarray
    end: np.ndarray
    row: np.ndarray

    def take(self, kept):
        return _Drawn(*(column[kept] for column in self))


def make_samples(
    events,
    *,
    index,
    outcome_codes,
    horizon,
    gap=None,
    offset=None,
    every=False,
    competing_codes=None,
    observation_end=None,
    exclude=None,
    incomplete="drop",
    resolution="auto",
    patient_id="patient_id",
    time="time",
    code="code",
    visit_id="visit_id",
):
    """Draw samples from events: prediction times, and whether an outcome followed.

    A sample is predicted at `t`, its index time plus `offset`. It has the outcome if an event with
    one of `outcome_codes` comes in ``(t + gap, t + gap + horizon]``. An event at `t` is never an
    outcome, as the model may see it.

    Parameters
    ----------
    events : EventTable, DataFrame, str or path
        An `EventTable`, or any input that it accepts. Events without a time are
        ignored. An index event counts at its `time`. Outcomes, competing and excluded events count
        at theirs, or when they were known, if that was earlier: what a `Cohort` shows is never the
        outcome.
    index : list of codes, "admission", "discharge", time, list of times, Series or DataFrame
        The index time of each sample:

        * a list of codes: the first event of each patient with one of them (see `every`). Strings
          are codes, and so are numbers if the codes of `events` are numbers.
        * "admission", "discharge": the first or last event of each visit that has an id. A late
          entry moves the last event, see Notes. An event known only by date is not the last one
          if another event has a time on that day.
        * a time or a list of times: each of them, for every patient with an event at or before it.
        * a Series of times: its index holds patient ids, which may repeat.
        * a DataFrame: one row per sample, with the patient and the time in columns with the same
          names as in `events`, of any library. Its other columns are passed on to the samples,
          unless they have the name of a column below.

        Equal prediction times of a patient make one sample, that of the first row.
    outcome_codes : list
        Codes of the outcome, exactly as in `events`.
    horizon : Timedelta, str or number
        Length of the window in which the outcome counts; for numeric times, a number in their unit.
    gap : Timedelta, str or number, default=None
        Delay before the window opens.
    offset : Timedelta, str or number, default=None
        Delay of the prediction after the index time, such as "24h" after admission. Events in
        between do not remove a sample. To leave out stays that have ended by the prediction, keep
        only the others in `index`: ``stays[stays["end_time"] > stays["time"] + offset]``.
    every : bool, default=False
        Whether every event with an index code makes a sample, rather than the first per patient.
    competing_codes : list, default=None
        Codes of events after which the outcome cannot occur, such as death. Samples with such an
        event at or before `t` are left out. One that comes within the horizon, before the outcome,
        ends the follow-up: the outcome is known to be 0. One at the same time as the outcome has no
        effect. If deaths are known by date, also give the code of a discharge as dead.
    observation_end : datetime, str, number or Series, default=None
        End of observation for all patients, or for each one, as a Series indexed by patient id. A
        date (midnight) lasts until that day ends. By default, the latest event of all patients:
        patients without later events are assumed to have had no outcome.
    exclude : "outcome" or list of codes, default=None
        Leave out samples with the outcome, or with one of these codes, at or before `t`.
    incomplete : {"drop", "mark"}, default="drop"
        How to handle samples whose observation ends before the horizon:

        * "drop": leave them out, including those with an outcome. Leaving out only the others would
          raise the share of outcomes.
        * "mark": keep them, with outcome NaN unless it was observed.

        After a competing event, the rest of the horizon counts as observed.
    resolution : {"auto", "day", "instant"}, default="auto"
        How times are compared, as in `Cohort`:

        * "day": by calendar day. Durations are added to the start of the day. Predictions are made
          at midnight, and everything on that day is known.
        * "instant": to the instant. An event at exactly midnight is taken as known only by date,
          and counts at the end of that day. Times given in `index` are used unchanged, so a
          prediction at midnight knows nothing of the day that begins.
        * "auto": "day" if all event times and prediction times are midnights, otherwise "instant".

        Calendar days are those in the time zone of the events. Numeric times have no resolution.
    patient_id, time, code, visit_id : str
        Columns of a frame of `events`. By default, each is named like its parameter.

    Returns
    -------
    samples : DataFrame of shape (n_samples, ...)
        Sorted by patient and prediction time, with these columns:

        * patient, named as in `events`, and `prediction_time`
        * `outcome`: 0 or 1
        * `event`: 0 for none, 1 for the outcome, 2 for a competing event
        * `duration`: time from the prediction to the event, or else to the end of the horizon or of
          observation; in days, or in the unit of numeric times
        * `complete`, with ``incomplete="mark"``: whether the whole horizon was observed
        * other columns of an `index` that is a DataFrame, such as the id of a stay
    attrition : DataFrame of shape (n_rules, 4)
        `rule`, `n_samples` and `n_patients` left after it, and the `resolution` that was used.

    Raises
    ------
    TypeError
        If `events` is not an `EventTable` or a frame, column names are given with an `EventTable`,
        or times, durations or patient ids do not match those of the events.
    ValueError
        If a column is missing, a parameter has a value that is not accepted, no event has one of
        the codes, no sample is left, or the unit of the times is too fine for the times needed.

    Warns
    -----
    UserWarning
        If a few events are over a century later than all others, such as on 9999-12-31, and
        `observation_end` is not given. They are ignored in finding the end of observation.

    See Also
    --------
    EventTable : Events laid out once, for samples and cohorts.
    Cohort : The samples with the events that are visible at their prediction times.
    LSTMVisitSurvival : Takes ``samples[["event", "duration"]].to_records(index=False)`` as `y`.
    TemporalPatientSplit : Splits samples by date; its `horizon` is ``gap + horizon``.

    Notes
    -----
    "discharge" is the last event of a visit, which a late entry can move by weeks: in one database,
    it matched only 54 of 126 true discharge times. If discharges have a code of their own, use it
    with ``every=True``.

    Deaths are often known by date. Under "instant", such a death comes at the end of its day: a
    patient predicted on that day counts as alive, and the death follows. Under "day", a prediction
    on that day knows of the death, and the sample is left out if death competes or is excluded.

    A single index time that is not a midnight makes "auto" choose "instant" for all samples. To
    avoid this, set `resolution`. A `Cohort` of the samples, or of some of them, takes the
    resolution that they were drawn under from ``samples.attrs``. A merge or a file drops it: pass
    that of ``attrition["resolution"]`` to `Cohort` then, or a sample may see its own outcome.

    Samples whose horizon extends beyond a common `observation_end` are kept only after a competing
    event, so none of them has the outcome. If there are many, leave out index times later than
    ``observation_end - gap - horizon``, or use ``incomplete="mark"`` and a survival model, which
    accepts all samples.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import Cohort, EventTable, make_samples
    >>> table = EventTable(pd.DataFrame({
    ...     "patient_id": [1, 1, 2, 3, 3],
    ...     "time": pd.to_datetime(
    ...         ["2020-01-01", "2020-02-01", "2020-03-01", "2020-03-05", "2020-04-04"]
    ...     ),
    ...     "code": ["DIABETES", "STROKE", "DIABETES", "DIABETES", "DEATH"],
    ... }))
    >>> samples, attrition = make_samples(
    ...     table, index=["DIABETES"], outcome_codes=["STROKE"], competing_codes=["DEATH"],
    ...     horizon="180D", observation_end="2020-12-31",
    ... )
    >>> samples
       patient_id prediction_time  outcome  event  duration
    0           1      2020-01-01        1      1      31.0
    1           2      2020-03-01        0      0     180.0
    2           3      2020-03-05        0      2      30.0
    >>> attrition[["rule", "n_samples", "resolution"]]
                                          rule  n_samples resolution
    0                              index event          3        day
    1     no competing event before prediction          3        day
    2  observed for horizon or competing event          3        day
    >>> Cohort(table, samples)
    Cohort(n_samples=3, n_patients=3, n_events=3)
    """
    _check_options(incomplete, every, resolution)
    table = _read_events(events, patient_id=patient_id, time=time, code=code, visit_id=visit_id)
    is_datetime = table.time.dtype.kind == "M"
    horizon = as_duration(horizon, "horizon", is_datetime)
    gap = read_length(gap, "gap", is_datetime)
    offset = read_length(offset, "offset", is_datetime)
    outcomes, competing, excluded = _find_codes(table, outcome_codes, competing_codes, exclude)

    index = read_index(index, table, every)
    clock, patient, at, row, rules = find_samples(index, table, offset, resolution)
    outcomes, competing, excluded = (
        None if events is None else Occurrences.of(table, events, clock.of_facts(events))
        for events in (outcomes, competing, excluded)
    )
    drawn = _Drawn(patient, at, read_end(observation_end, clock, patient), row)
    for rule, known in (
        ("no excluded code before prediction", excluded),
        ("no competing event before prediction", competing),
    ):
        if known is not None:
            drawn = drawn.take(~known.any_by(drawn.patient, drawn.at))
            rules.append((rule, drawn.patient))
    found = follow(*drawn[:3], outcomes, competing, gap=gap, horizon=horizon)
    kept = is_by(drawn.at, drawn.end) if incomplete == "mark" else found.is_complete
    drawn, found = drawn.take(kept), found.take(kept)
    rules.append((_rule_of_observation(incomplete, gap, competing), drawn.patient))
    _check_some_are_left(rules)

    moments = clock.as_times(drawn.at)
    if resolution == "auto":
        _check_resolution_of_cohort(clock, moments)
    patients = table.patients[drawn.patient]
    samples = pd.DataFrame({table.columns["patient_id"]: patients})
    samples["prediction_time"] = moments.as_series()
    samples = _add_follow_up(samples, found, drawn.at, incomplete)
    samples = _add_others(samples, index.others, drawn.row)
    # A Cohort of these samples, or of some of them, takes the same resolution.
    samples.attrs[RESOLUTION_KEY] = clock.resolution
    return samples, _attrition(rules, clock.resolution)


def _check_options(incomplete, every, resolution):
    if not isinstance(incomplete, str) or incomplete not in ("drop", "mark"):
        raise ValueError(
            f"incomplete={shown(incomplete)} is not accepted; choose 'drop' or 'mark'."
        )
    if not isinstance(every, bool | np.bool_):
        raise TypeError(f"every must be True or False, got {shown(every)}.")
    check_resolution(resolution)


def _read_events(events, **columns):
    """Table of events, at least one of them with a time."""
    if not isinstance(events, EventTable):
        columns.update(value=None, null_time="static")
    table = as_event_table(events, **columns)
    if columns["patient_id"] not in ("patient_id", table.columns["patient_id"]):
        raise TypeError(
            f"patient_id={columns['patient_id']!r} is not the column of patients in the "
            f"EventTable, {table.columns['patient_id']!r}. Leave it out here."
        )
    if table.columns["patient_id"] in _COLUMNS:
        raise ValueError(
            f"The column of patients is called {table.columns['patient_id']!r}, as one of those "
            f"that make_samples adds ({', '.join(_COLUMNS)}). Rename it."
        )
    if table.time is None:
        raise ValueError(
            "make_samples needs event times, but events has no column of times. Name it with "
            "time=, in EventTable(...) if you use one."
        )
    if not table.is_dated.any():
        raise ValueError(
            f"All times in column {table.columns['time']!r} of events are null, so no event comes "
            f"after another. Check how they were read."
        )
    return table


def _find_codes(table, outcome_codes, competing_codes, exclude):
    """Positions of the events with each list of codes; None for a list that is not given."""
    outcomes, competing, excluded = find_events(table, outcome_codes, "outcome_codes"), None, None
    if competing_codes is not None:
        competing = find_events(table, competing_codes, "competing_codes")
        if np.isin(competing, outcomes).any():
            raise ValueError(
                "competing_codes and outcome_codes share a code. An event cannot both be the "
                "outcome and rule it out; remove the code from one of them."
            )
    if isinstance(exclude, str) and exclude == "outcome":
        excluded = outcomes
    elif exclude is not None:
        excluded = find_events(table, exclude, "exclude")
    return outcomes, competing, excluded


def _rule_of_observation(incomplete, gap, competing):
    if incomplete == "mark":
        return "observed at prediction"
    rule = "observed for horizon" if gap is None else "observed for gap + horizon"
    return rule if competing is None else f"{rule} or competing event"


def _check_some_are_left(rules):
    if len(rules[-1][1]):
        return
    left = ", ".join(f"{rule}: {len(patient)}" for rule, patient in rules)
    raise ValueError(
        f"No sample is left ({left}). Check index, horizon, exclude, competing_codes and "
        f"observation_end."
    )


def _check_resolution_of_cohort(clock, moments):
    """Raise if a cohort of the samples left would choose another resolution."""
    if choose_resolution("auto", clock.table, moments) != clock.resolution:
        raise ValueError(
            f"resolution='auto' chose {clock.resolution!r} for all prediction times, but a Cohort "
            f"would choose the other one for the samples left. Set resolution='day' or 'instant' "
            f"here and in Cohort."
        )


def _add_follow_up(samples, found, at, incomplete):
    """Add the columns of outcome, event, duration and completeness to the samples."""
    has_outcome = found.event == OUTCOME
    samples["outcome"] = has_outcome.astype(np.float64 if incomplete == "mark" else np.int64)
    samples["event"] = found.event
    samples["duration"] = found.duration(at)
    if incomplete == "mark":
        samples["complete"] = found.is_complete
        samples["outcome"] = samples["outcome"].where(samples["complete"] | has_outcome)
    return samples


def _add_others(samples, others, row):
    """Add the other columns of an index, a frame or None, of which these are the rows."""
    if others is None:
        return samples
    others = others.drop(columns=samples.columns, errors="ignore")
    return samples.join(others.iloc[row].reset_index(drop=True))


def _attrition(rules, resolution):
    attrition = pd.DataFrame(
        [(rule, len(patient), len(np.unique(patient))) for rule, patient in rules],
        columns=["rule", "n_samples", "n_patients"],
    )
    return attrition.assign(resolution=pd.Series([resolution] * len(rules), dtype=object))
