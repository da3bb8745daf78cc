"""Rows of tables as events: the columns that readers return."""

import narwhals.stable.v2 as nw

TIME = nw.Datetime("us")


def event_dtypes(ids, times):
    """Dtypes of the columns of events, given those of ids and times."""
    return {
        "patient_id": ids,
        "time": times,
        "code": nw.String(),
        "visit_id": ids,
        "value": nw.Float64(),
        "known_time": times,
    }


def as_events(rows, dtypes, *, static=False, **columns):
    """Events of rows, with columns given as expressions; those not given are null.

    Without a known time, an event is known at its time. Rows without a patient or a code are left
    out, and unless the events are static, those without a time.
    """
    if isinstance(rows, nw.DataFrame) and not len(rows):
        # narwhals 2.10 does not repeat a literal for no rows of an Arrow table.
        return nw.from_dict({name: [] for name in dtypes}, dtypes, backend=rows.implementation)
    columns = {"known_time": columns.get("time"), **columns}
    events = rows.select(
        (nw.lit(None, dtype) if columns.get(name) is None else columns[name].cast(dtype)).alias(
            name
        )
        for name, dtype in dtypes.items()
    )
    needed = ["patient_id", "code"] if static else ["patient_id", "code", "time"]
    return events.filter(*(~nw.col(name).is_null() for name in needed))


def code_of(prefix, *columns):
    """Codes ``prefix//value``, null where one of the columns is."""
    return nw.concat_str([nw.lit(prefix), *columns], separator="//")


def later_of(time, other):
    """The later of two columns of times; the first where the other is null."""
    # On Arrow tables, narwhals 2.10 gives null where the condition is null.
    other = nw.coalesce(other, time)
    return nw.when(other > nw.col(time)).then(other).otherwise(nw.col(time))
