"""Who is predicted when, and what happened to them then."""

from dataclasses import dataclass, replace
from numbers import Number

import numpy as np
import pandas as pd

from ..cohort import Times, add_duration, as_duration, check_comparable, read_time, read_times
from ..utils import (
    column_of,
    key_kind,
    order_by,
    refuse_nulls,
    require_frame,
    run_starts,
    search_ranges,
)


def make_samples(
    events,
    *,
    index,
    outcome_codes,
    horizon,
    gap=None,
    observation_end=None,
    exclude=None,
    incomplete="drop",
    patient_id="patient_id",
    time="time",
    code="code",
    visit_id="visit_id",
):
    """Make samples of events: an index time for each, and whether an outcome followed.

    A sample is predicted at its index time `t` and has the outcome if one of `outcome_codes` comes
    in ``(t + gap, t + gap + horizon]``: never at `t`, when the model may see it. Events count at
    their `time`; where they are known later, name the column of that (``time="known_time"``).

    Parameters
    ----------
    events : DataFrame
        Long frame as of `Cohort`. Events without a time are left out. As in a `Cohort`, a midnight
        among times of day stands for a whole day, known when it has ended.
    index : list of codes, "discharge", or time or list of times
        When a sample is predicted. Codes: once a patient, at the first of them; a list of texts
        holds codes. "discharge": at the last event of each visit that has an id. Times (datetimes
        or numbers): at each, for every patient who has an event by then.
    outcome_codes : list
        Codes of the outcome, whole ones as they stand in `events`.
    horizon : Timedelta, str or number
        How long the outcome is looked for; a number in the unit of numeric times.
    gap : Timedelta, str or number, default=None
        How long after the index time the looking starts; None or 0: at once.
    observation_end : datetime, str, number or Series, default=None
        Until when is known what happened: to all, or as a Series to the patients of its index.
        None: the latest event of all. Not a patient's own: who has no more events is known to have
        had no outcome.
    exclude : "outcome" or list of codes, default=None
        Leave out samples with the outcome, or one of these codes, at or before their index time.
    incomplete : {"drop", "mark"}, default="drop"
        What is made of samples whose observation ends before their horizon: left out, also those
        with an outcome, as dropping the others alone would raise its share; or kept, with
        `outcome` NaN unless it was seen. They never count as without outcome.
    patient_id, time, code, visit_id : str
        Columns of `events`, by default of the parameter's own name.

    Returns
    -------
    samples : DataFrame
        Patient, `prediction_time` and `outcome` (0 or 1), sorted by both; with
        ``incomplete="mark"`` also `complete`, whether the horizon was observed in full.
    attrition : DataFrame
        A row a rule: `rule`, and how many samples and patients were left after it.

    Raises
    ------
    ValueError
        If a column is missing, a parameter is not accepted, no event has one of the codes given, no
        sample is left, or the unit of times cannot hold those looked for.
    TypeError
        If `events` is no frame, or a length or time does not fit the times of events.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import make_samples
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 2, 3],
    ...     "time": pd.to_datetime(["2020-01-01", "2020-02-01", "2020-03-01", "2021-01-01"]),
    ...     "code": ["DIABETES", "STROKE", "DIABETES", "DIABETES"],
    ... })
    >>> samples, attrition = make_samples(
    ...     events, index=["DIABETES"], outcome_codes=["STROKE"], horizon="180D"
    ... )
    >>> samples
       patient_id prediction_time  outcome
    0           1      2020-01-01        1
    1           2      2020-03-01        0
    >>> attrition
                       rule  n_samples  n_patients
    0           index event          3           3
    1  observed for horizon          2           2
    """
    if incomplete not in ("drop", "mark"):
        raise ValueError(f"incomplete={incomplete!r} is not accepted; choose 'drop' or 'mark'.")
    require_frame(events, "events")
    timeline = _Timeline.of(events, patient_id, time, code)
    patient, at = _find_index(timeline, index, events, visit_id)
    if timeline.mixes_days_with(at):
        timeline = timeline.with_ended_days()
        patient, at = _find_index(timeline, index, events, visit_id)
    is_datetime = timeline.times.is_datetime
    horizon = as_duration(horizon, "horizon", is_datetime)
    gap = None if _is_zero(gap) else as_duration(gap, "gap", is_datetime)
    start = at if gap is None else add_duration(at, gap, "gap")
    stop = add_duration(start, horizon, "horizon")
    outcome_codes = timeline.check_codes(outcome_codes, "outcome_codes")

    kept, rules = np.arange(len(patient)), [("index event", patient)]
    if exclude is not None:
        is_outcome = isinstance(exclude, str) and exclude == "outcome"
        codes = outcome_codes if is_outcome else timeline.check_codes(exclude, "exclude")
        kept = np.flatnonzero(~(timeline.next_event(patient, None, codes) <= at))
        rules.append(("no excluded code by then", patient[kept]))
    observed_until = _read_end(observation_end, timeline)[patient]
    needed, whole = at, "observed then"
    if incomplete == "drop":
        needed = stop
        whole = "observed for horizon" if gap is None else "observed for gap + horizon"
    kept = kept[observed_until[kept] >= needed[kept]]
    rules.append((whole, patient[kept]))
    if not len(kept):
        left = ", ".join(f"{rule}: {len(p)}" for rule, p in rules)
        raise ValueError(f"No sample is left ({left}). Look at index, horizon and exclude.")
    patient, at, start, stop, observed_until = (
        values[kept] for values in (patient, at, start, stop, observed_until)
    )
    timeline.check_days_are_told_apart(at)

    found = timeline.next_event(patient, start, outcome_codes)
    has_outcome = (found <= stop) & (found <= observed_until)
    samples = pd.DataFrame(
        {
            timeline.column: timeline.patients[patient],
            "prediction_time": timeline.as_column(at),
            "outcome": has_outcome.astype(np.int64),
        }
    )
    if incomplete == "mark":
        samples["complete"] = observed_until >= stop
        samples["outcome"] = samples["outcome"].where(samples["complete"] | has_outcome)
    attrition = pd.DataFrame(
        [(rule, len(p), len(np.unique(p))) for rule, p in rules],
        columns=["rule", "n_samples", "n_patients"],
    )
    return samples, attrition


@dataclass(frozen=True)
class _Timeline:
    """Events with a time, sorted by patient and time."""

    column: str
    patients: np.ndarray
    patient: np.ndarray
    times: Times
    code: pd.Series
    row: np.ndarray
    has_ended_days: bool = False

    @classmethod
    def of(cls, events, patient_id, time, code):
        patient = _column(events, patient_id, "patient_id")
        codes = _column(events, code, "code")
        column = _column(events, time, "time")
        for keys in (patient, codes):
            refuse_nulls(keys.isna(), keys.name, "Drop those rows.")
        times = read_times(column, column.name)
        row = np.flatnonzero(~times.is_null)
        if not len(row):
            raise ValueError(
                f"events has no time in column {column.name!r}, so nothing comes after anything."
            )
        position, patients = pd.factorize(patient.iloc[row], sort=True)
        times = replace(times, values=times.values[row])
        timeline = cls(patient.name, np.asarray(patients), position, times, codes.iloc[row], row)
        return timeline._sorted()

    def _sorted(self):
        order = order_by(self.patient, self.times.values)
        return replace(
            self,
            patient=self.patient[order],
            times=replace(self.times, values=self.times.values[order]),
            code=self.code.iloc[order],
            row=self.row[order],
        )

    def mixes_days_with(self, at):
        """Whether some events are whole days, and some of these times are none."""
        is_day = self.times.is_datetime and self.times.starts_day().any()
        return bool(is_day) and not replace(self.times, values=at).resolved_to_days()

    def with_ended_days(self):
        """The same with events of whole days at the end of these."""
        ended = self.times.end_of_day(self.times.starts_day())
        return replace(self, times=ended, has_ended_days=True)._sorted()

    def check_days_are_told_apart(self, at):
        """Raise where a `Cohort` of these predictions would see whole days that are still ahead."""
        if self.has_ended_days and replace(self.times, values=at).resolved_to_days():
            raise ValueError(
                "All samples left are predicted at midnights, as their index events are whole days "
                "among times of day: it could not be told what was known by then. Give events of "
                "whole days a time of day, such as their last second."
            )

    def check_codes(self, codes, name):
        """Codes as a list, of which events have at least one."""
        if isinstance(codes, str) or not pd.api.types.is_list_like(codes) or not len(codes):
            raise ValueError(
                f"{name} must be a list of codes, and not empty; got a {type(codes).__name__}."
            )
        if not self.code.isin(codes).any():
            raise ValueError(
                f"No event has a code of {name}. Give whole codes as they stand in events, of the "
                f"same type ({key_kind(self.code)})."
            )
        return list(codes)

    def next_event(self, patient, after, codes):
        """Time of each patient's first event of these codes after a time; null without one."""
        is_one = self.code.isin(codes).to_numpy()
        who, when = self.patient[is_one], self.times.values[is_one]
        starts, stops = (np.searchsorted(who, patient, side=side) for side in ("left", "right"))
        if after is not None:
            starts = search_ranges(when, starts, stops, after, "right")
        if not self.times.is_datetime:
            when = when.astype(np.float64)
        # One null more: where a range is empty, its start may be the end of all.
        null = np.array(["NaT" if self.times.is_datetime else np.nan], dtype=when.dtype)
        return np.where(starts < stops, np.append(when, null)[starts], null)

    def read(self, values, name):
        """Times that compare with those of events."""
        times = read_times(pd.Series(values), name)
        check_comparable(self.times, times)
        if times.is_null.any():
            raise ValueError(f"{name} holds a null time.")
        return times.values

    def as_column(self, values):
        """Times as a column like that of events."""
        column = pd.Series(values)
        if self.times.zone is not None:
            column = column.dt.tz_localize("UTC").dt.tz_convert(self.times.zone)
        return column


def _find_index(timeline, index, events, visit_id):
    """Patient and time of each sample, sorted by both."""
    if isinstance(index, str):
        if index != "discharge":
            raise ValueError(
                f"index={index!r} is not accepted; choose 'discharge', a list of codes, or times."
            )
        visit = _column(events, visit_id, "visit_id").iloc[timeline.row]
        visit_of = pd.factorize(visit)[0]
        frame = pd.DataFrame({"p": timeline.patient, "v": visit_of, "t": timeline.times.values})
        ends = frame[visit_of >= 0].groupby(["p", "v"])["t"].max().reset_index()
        ends = ends.drop_duplicates(["p", "t"]).sort_values(["p", "t"])
        patient, at = ends["p"].to_numpy(), ends["t"].to_numpy()
    else:
        values = list(index) if pd.api.types.is_list_like(index) else [index]
        is_first = run_starts(timeline.patient)
        if values and key_kind(pd.Series(values)) == key_kind(timeline.code):
            is_one = timeline.code.isin(values).to_numpy()
            is_first = np.zeros(len(is_one), dtype=bool)
            is_first[np.flatnonzero(is_one)[run_starts(timeline.patient[is_one])]] = True
            patient, at = timeline.patient[is_first], timeline.times.values[is_first]
        else:
            dates = np.unique(timeline.read(values, "index"))
            first = timeline.times.values[is_first]
            known, date = np.nonzero(first[:, None] <= dates)
            patient, at = timeline.patient[is_first][known], dates[date]
    if not len(patient):
        raise ValueError(
            "No event fits index. Give codes as they stand in events, times after the first event "
            "(as datetimes or numbers: texts are codes), or 'discharge' with visit ids."
        )
    return patient, at


def _read_end(observation_end, timeline):
    """Until when each patient is observed."""
    n_patients = len(timeline.patients)
    if observation_end is None:
        return np.full(n_patients, timeline.times.values.max())
    if not isinstance(observation_end, pd.Series):
        end = read_time(observation_end, "observation_end")
        check_comparable(timeline.times, end)
        return np.repeat(end.values, n_patients)
    if observation_end.index.has_duplicates:
        raise ValueError("observation_end holds several times for a patient; keep one.")
    row = observation_end.index.get_indexer(timeline.patients)
    if n_missing := np.count_nonzero(row < 0):
        raise ValueError(
            f"observation_end has no entry for {n_missing} of {n_patients} patients. Its index "
            f"must hold the patients of events."
        )
    return timeline.read(observation_end.iloc[row].reset_index(drop=True), "observation_end")


def _column(events, name, role):
    return column_of(events, name, "events", fixed=role, owner="make_samples")


def _is_zero(gap):
    return gap is None or (isinstance(gap, Number) and gap == 0)
