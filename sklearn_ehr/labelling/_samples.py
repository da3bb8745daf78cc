"""Samples drawn from events, with outcomes and a table of attrition."""

import numpy as np
import pandas as pd

from ..cohort import EventTable, as_duration, as_event_table, check_resolution, choose_resolution
from ..utils import column_of, require_frame
from ._clock import is_by, read_length
from ._follow_up import OUTCOME, follow, read_end
from ._index import find_samples, read_index
from ._occurrences import Occurrences, find_events


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
    events : EventTable or DataFrame
        Events laid out once, or a long frame with one row an event. Events without a time are left
        out. Events count at their `time`; `known_time` is not used.
    index : list of codes, "admission", "discharge", time, list of times, Series or DataFrame
        The index time of each sample:

        * a list of codes: the first event with one of them, for each patient (see `every`). Texts
          are codes, and so are numbers where the codes are numbers.
        * "admission", "discharge": the first or the last event of each visit that has an id. A
          late entry moves the last event, see Notes. An event dated by day is not the last one if
          another has a time on that day.
        * a time or a list of times: each of them, for every patient who has an event by then.
        * a Series of times: its index holds patient ids, which may repeat.
        * a DataFrame: one row a sample, with the patient and the time in columns of the same names
          as in `events`. Other columns are ignored.

        Equal prediction times of a patient make one sample.
    outcome_codes : list
        Codes of the outcome, exactly as in `events`.
    horizon : Timedelta, str or number
        Length of the window in which the outcome counts; a number in the unit of numeric times.
    gap : Timedelta, str or number, default=None
        Delay before this window opens.
    offset : Timedelta, str or number, default=None
        Delay of the prediction after the index time, such as "24h" after admission. What happens in
        between does not remove a sample: leave out patients who have died or gone home by then with
        `competing_codes` or `exclude`.
    every : bool, default=False
        Whether each event with an index code makes a sample, not only a patient's first.
    competing_codes : list, default=None
        Codes of events after which the outcome cannot come, such as death. Samples with such an
        event at or before `t` are left out. One that comes within the horizon, before the outcome,
        ends the follow-up: the outcome is 0, and known to be. One at the same time as the outcome
        changes nothing. Where deaths are known by date, give the code of a discharge as dead too.
    observation_end : datetime, str, number or Series, default=None
        End of observation, for all patients or, as a Series indexed by patient id, for each. A date
        (midnight) ends with that day. By default the latest event of all patients: someone without
        later events is assumed to have had no outcome.
    exclude : "outcome" or list of codes, default=None
        Leave out samples with the outcome, or with one of these codes, at or before `t`.
    incomplete : {"drop", "mark"}, default="drop"
        How samples are treated whose observation ends before their horizon, without a competing
        event:

        * "drop": they are left out, including those with an outcome. Leaving out only the others
          would raise the share of outcomes.
        * "mark": they are kept, and their outcome is NaN unless it was observed.
    resolution : {"auto", "day", "instant"}, default="auto"
        How times compare, as in `Cohort`:

        * "day": times are dates. All times compare as calendar days, and lengths are added to the
          start of the day. Samples are predicted at midnight, and everything on that day is known.
        * "instant": times are moments. An event at exactly midnight is one of which only the date
          is known: it comes at the end of its day. Times given in `index` are taken as they are, so
          that a prediction at midnight knows nothing of the day that begins.
        * "auto": "day" where every event time and every prediction time is a midnight, else
          "instant".

        Calendar days are those of the zone of the events. Numeric times have no resolution.
    patient_id, time, code, visit_id : str
        Columns of a frame of `events`, by default of the parameter's own name.

    Returns
    -------
    samples : DataFrame of shape (n_samples, ...)
        Sorted by patient and prediction time, with the columns

        * patient, named as in `events`, and `prediction_time`
        * `outcome`: 0 or 1
        * `event`: 0 for none, 1 for the outcome, 2 for a competing event
        * `duration`: time from the prediction to the event, or else to the end of the horizon or of
          observation; in days, or in the unit of numeric times
        * `complete`, with ``incomplete="mark"``: whether all of the horizon is known
    attrition : DataFrame of shape (n_rules, 4)
        `rule`, `n_samples` and `n_patients` left after it, and the `resolution` that was used.

    Raises
    ------
    TypeError
        If `events` is not an `EventTable` or a frame, column names are given with an `EventTable`,
        or times, lengths or patient ids do not fit those of the events.
    ValueError
        If a column is missing, a parameter is not accepted, no event has one of the codes, no
        sample is left, or the unit of the times is too fine for the times needed.

    Warns
    -----
    UserWarning
        If a few events come over a century after all others, such as on 9999-12-31, and
        `observation_end` is not given. They are not taken as the end of observation.

    See Also
    --------
    EventTable : Events laid out once, for samples and cohorts.
    Cohort : The samples with the events that are visible at their prediction times.
    LSTMVisitSurvival : Takes ``samples[["event", "duration"]].to_records(index=False)`` as `y`.
    TemporalPatientSplit : Splits samples by date; its `horizon` is ``gap + horizon``.

    Notes
    -----
    "discharge" is the last event of a visit, which a late entry can move by weeks: on one database
    only 54 of 126 true discharge times were met. Where discharges have a code of their own, use it
    with ``every=True``.

    Deaths are often known by date. Under "instant", a death dated by day comes at the end of that
    day: a patient predicted on the day counts as alive, and the death follows. Under "day", it is
    known to a prediction on that day, and the sample is left out if death competes or is excluded.

    Times given in `index` for one patient alone can keep ``resolution="auto"`` from "day"; give the
    resolution, here and to `Cohort`, to rule that out. A `Cohort` made from a frame also reads its
    known times, and this function does not: make an `EventTable` and give it to both.

    With one `observation_end` for all, samples whose horizon reaches beyond it are kept only if a
    competing event ended it, so that among them no outcome is left. Where these are many, leave out
    index times later than ``observation_end - gap - horizon``, or use ``incomplete="mark"`` and a
    survival model, which takes all of them.

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
    1               no competing event by then          3        day
    2  observed for horizon or competing event          3        day
    >>> Cohort(table, samples)
    Cohort(n_samples=3, n_patients=3, n_events=3)
    """
    if incomplete not in ("drop", "mark"):
        raise ValueError(f"incomplete={incomplete!r} is not accepted; choose 'drop' or 'mark'.")
    check_resolution(resolution)
    table = _read_events(events, patient_id=patient_id, time=time, code=code, visit_id=visit_id)
    is_datetime = table.time.dtype.kind == "M"
    horizon = as_duration(horizon, "horizon", is_datetime)
    gap = read_length(gap, "gap", is_datetime)
    offset = read_length(offset, "offset", is_datetime)
    outcomes, competing, excluded = _find_codes(table, outcome_codes, competing_codes, exclude)

    index = read_index(index, table, every)
    clock, patient, at, rules = find_samples(index, table, offset=offset, resolution=resolution)
    outcomes, competing, excluded = (
        None if events is None else Occurrences.of(clock, events)
        for events in (outcomes, competing, excluded)
    )
    end = read_end(observation_end, clock, patient)
    for rule, known in (
        ("no excluded code by then", excluded),
        ("no competing event by then", competing),
    ):
        if known is not None:
            kept = ~known.any_by(patient, at)
            patient, at, end = patient[kept], at[kept], end[kept]
            rules.append((rule, patient))
    found = follow(patient, at, outcomes, competing, end, gap=gap, horizon=horizon)
    kept = is_by(at, end) if incomplete == "mark" else found.is_complete
    patient, at, found = patient[kept], at[kept], found.take(kept)
    rules.append((_rule_of_observation(incomplete, gap, competing), patient))
    _check_some_are_left(rules)

    moments = clock.as_times(at)
    if resolution == "auto":
        _check_resolution_of_cohort(clock, moments)
    samples = pd.DataFrame(
        {
            table.columns["patient_id"]: table.patients[patient],
            "prediction_time": moments.as_series(),
        }
    )
    return _add_follow_up(samples, found, at, incomplete), _attrition(rules, clock.resolution)


def _read_events(events, *, patient_id, time, code, visit_id):
    """Table of events that have times."""
    names = {"patient_id": patient_id, "time": time, "code": code, "visit_id": visit_id}
    if isinstance(events, EventTable):
        table = as_event_table(events, **names)
        if patient_id not in ("patient_id", table.columns["patient_id"]):
            raise TypeError(
                "patient_id cannot be given with an EventTable, which has its columns already. "
                "Give it to EventTable(...)."
            )
    else:
        require_frame(events, "events")
        for name, role in ((patient_id, "patient_id"), (time, "time"), (code, "code")):
            column_of(events, name, "events", fixed=role)
        table = as_event_table(events, **names, value=None, known_time=None, null_time="static")
    if table.time is None:
        raise ValueError(
            "make_samples needs event times, and events has no column of them. Name it with time=, "
            "where the EventTable is made."
        )
    if not table.is_dated.any():
        raise ValueError(
            f"All times in column {table.columns['time']!r} of events are null, so nothing comes "
            f"after anything. Check how they were read."
        )
    return table


def _find_codes(table, outcome_codes, competing_codes, exclude):
    """Positions of the events of each list of codes, None for those not given."""
    outcomes, competing, excluded = find_events(table, outcome_codes, "outcome_codes"), None, None
    if competing_codes is not None:
        competing = find_events(table, competing_codes, "competing_codes")
        if np.isin(competing, outcomes).any():
            raise ValueError(
                "competing_codes and outcome_codes share a code. An event cannot be the outcome "
                "and rule it out; leave the code out of one of them."
            )
    if isinstance(exclude, str) and exclude == "outcome":
        excluded = outcomes
    elif exclude is not None:
        excluded = find_events(table, exclude, "exclude")
    return outcomes, competing, excluded


def _rule_of_observation(incomplete, gap, competing):
    if incomplete == "mark":
        return "observed then"
    rule = "observed for horizon" if gap is None else "observed for gap + horizon"
    return rule if competing is None else f"{rule} or competing event"


def _check_some_are_left(rules):
    if len(rules[-1][1]):
        return
    left = ", ".join(f"{rule}: {len(patient)}" for rule, patient in rules)
    raise ValueError(
        f"No sample is left ({left}). Look at index, horizon, exclude, competing_codes and "
        f"observation_end."
    )


def _check_resolution_of_cohort(clock, moments):
    """Raise where a cohort of the samples left would choose another resolution."""
    if choose_resolution("auto", clock.table, moments) != clock.resolution:
        raise ValueError(
            f"resolution='auto' took {clock.resolution!r} for all prediction times, and a Cohort "
            f"would take the other one for those of the samples left. Give resolution='day' or "
            f"'instant' here, and the same to Cohort."
        )


def _add_follow_up(samples, found, at, incomplete):
    """The samples with columns of outcome, event, duration and completeness."""
    has_outcome = found.event == OUTCOME
    samples["outcome"] = has_outcome.astype(np.int64)
    samples["event"] = found.event
    samples["duration"] = found.duration(at)
    if incomplete == "mark":
        samples["complete"] = found.is_complete
        samples["outcome"] = samples["outcome"].where(samples["complete"] | has_outcome)
    return samples


def _attrition(rules, resolution):
    attrition = pd.DataFrame(
        [(rule, len(patient), len(np.unique(patient))) for rule, patient in rules],
        columns=["rule", "n_samples", "n_patients"],
    )
    return attrition.assign(resolution=pd.Series([resolution] * len(rules), dtype=object))
