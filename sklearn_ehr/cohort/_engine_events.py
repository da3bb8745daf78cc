"""Events that an engine holds: what of them a cohort reads."""

import narwhals.stable.v2 as nw
import numpy as np

from ..utils import (
    as_narwhals,
    column_names,
    find_column,
    is_lazy,
    read_frame,
    select_rows,
)
from ._days import is_midnight
from ._event_table import EventTable

_MOST_ODD_TIMES = 10_000


def events_of_patients(events, patients, patient_id):
    """Select the events of patients, in the engine that holds the events.

    Events in memory, and an `EventTable`, are returned unchanged.
    """
    if isinstance(events, EventTable) or not is_lazy(events):
        return events
    own = find_column(column_names(events), patient_id, "events", fixed="patient_id")
    return select_rows(events, own, patients)


def hold_dates_only(events, table, null_time):
    """Whether all times and known times of events in an engine are midnights.

    `table` has been built from some of the events. True for events in memory.
    """
    if not is_lazy(events):
        return True
    names = [table.columns[role] for role in ("time", "known_time") if table.columns[role]]
    names = list(dict.fromkeys(names))
    # Those without a time are static, whenever they were known, or dropped.
    source = (
        as_narwhals(events).select(names).drop_nulls(names if null_time == "drop" else names[0])
    )
    return all(_are_midnights(source.select(name), table) for name in names)


def _are_midnights(source, table):
    (name,) = source.columns
    if source.collect_schema()[name] == nw.Date:
        return True
    time = nw.col(name)
    # Those that are not midnights in the engine may begin a day whose midnight the zone left out.
    odd = source.filter(~time.is_null(), time != time.dt.truncate("1d")).unique()
    odd = read_frame(odd.head(_MOST_ODD_TIMES + 1).to_native(), "events")[name]
    if len(odd) > _MOST_ODD_TIMES:
        return False
    zone = odd.dt.tz
    values = odd if zone is None else odd.dt.tz_convert("UTC").dt.tz_localize(None)
    return bool(np.all(is_midnight(values.to_numpy(), zone)))
