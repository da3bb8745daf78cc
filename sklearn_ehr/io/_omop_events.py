"""Rows of the tables of an OMOP database as events, before their concepts are looked up."""

from datetime import datetime

import narwhals.stable.v2 as nw

from ..utils import warn_user
from ._event_rows import TIME
from ._tables import pick, require_tables

VISITS = "visit_occurrence"
# Table, column of the concept, and the beginning of the names of its columns of times.
_CLINICAL = {
    "condition": ("condition_occurrence", "condition_concept_id", "condition_start"),
    "procedure": ("procedure_occurrence", "procedure_concept_id", "procedure"),
    "drug": ("drug_exposure", "drug_concept_id", "drug_exposure_start"),
    "measurement": ("measurement", "measurement_concept_id", "measurement"),
    "observation": ("observation", "observation_concept_id", "observation"),
    "device": ("device_exposure", "device_concept_id", "device_exposure_start"),
}
DOMAINS = (*_CLINICAL, "visit", "death")
TABLE_OF = {domain: table for domain, (table, *_) in _CLINICAL.items()} | {
    "visit": VISITS,
    "death": "death",
    "person": "person",
}
# Both names of a column: from version 5.4 of the model on, and before.
_ADMITTED_FROM = ("admitted_from_concept_id", "admitting_source_concept_id")
_DISCHARGED_TO = ("discharged_to_concept_id", "discharge_to_concept_id")

# An emergency room visit that became a stay in hospital.
_EMERGENCY_AND_INPATIENT = 262

_ID = nw.Int64()
_EVENT = {
    "patient_id": _ID,
    "time": TIME,
    "concept_id": _ID,
    "answer_id": _ID,
    "suffix": nw.String(),
    "visit_id": _ID,
    "value": nw.Float64(),
    "known_time": TIME,
}


def events_of(tables, domain, drug_ends):
    """Events of the table of a domain, a list of frames with the same columns."""
    table = tables[TABLE_OF[domain]]
    if domain == "visit":
        return _events_of_visits(table)
    if domain == "death":
        death = _as_events(_pick_dated(table, "death", ["death"]), "death", suffix=nw.lit("death"))
        return [death]
    name, concept, start = _CLINICAL[domain]
    further = {
        "visit_occurrence_id": _ID,
        "value_as_number": nw.Float64(),
        "value_as_concept_id": _ID,
    }
    stems = [start, "drug_exposure_end"] if domain == "drug" and drug_ends else [start]
    rows = _pick_dated(table, name, stems, {concept: _ID}, further)
    of_row = {"concept_id": nw.col(concept), "visit_id": _nonzero("visit_occurrence_id")}
    starts = _as_events(
        rows,
        start,
        **of_row,
        answer_id=_nonzero("value_as_concept_id"),
        value=nw.col("value_as_number"),
    )
    ends = [_as_events(rows, end, **of_row, suffix=nw.lit("//end")) for end in stems[1:]]
    return [starts, *(end.filter(~nw.col("time").is_null()) for end in ends)]


def _events_of_visits(table):
    """Type of each visit and place of admission, at its start, and of discharge, at its end."""
    rows = _pick_visits(table)
    kind, visit_id = nw.col("visit_concept_id"), nw.col("visit_occurrence_id")
    # At the start of such a visit, nobody knows that an admission will follow.
    is_later = kind == _EMERGENCY_AND_INPATIENT
    known_time = nw.when(is_later).then(_end_or_never()).otherwise(nw.col("visit_start"))
    start = {"concept_id": kind, "visit_id": visit_id, "known_time": known_time}
    places = {"visit_start": _ADMITTED_FROM, "visit_end": _DISCHARGED_TO}
    others = (
        _as_events(
            rows, time, concept_id=nw.coalesce(*map(_nonzero, names)), visit_id=visit_id
        ).filter(~nw.col("time").is_null())
        for time, names in places.items()
    )
    return [_as_events(rows, "visit_start", **start), *others]


def visits_of(table):
    """Visits with their start, end and type."""
    return _pick_visits(table).select(
        nw.col("person_id").alias("patient_id"),
        nw.col("visit_start").alias("time"),
        nw.col("visit_end").alias("end_time"),
        nw.col("visit_occurrence_id").alias("visit_id"),
        nw.col("visit_concept_id").alias("concept_id"),
    )


def _pick_visits(table):
    ids = dict.fromkeys(["visit_occurrence_id", "visit_concept_id"], _ID)
    places = dict.fromkeys([*_ADMITTED_FROM, *_DISCHARGED_TO], _ID)
    return _pick_dated(table, VISITS, ["visit_start", "visit_end"], ids, places)


def _end_or_never():
    """End of a visit; without one, it has not ended."""
    return nw.coalesce("visit_end", nw.lit(datetime(9999, 12, 31)).cast(TIME))


def known_at_discharge(conditions, tables):
    """Conditions that are known when their visit ends, unless they start later."""
    purpose = "conditions_known='discharge'; or set conditions_known='start'"
    require_tables(tables, [VISITS], purpose)
    if "visit_occurrence_id" not in tables[TABLE_OF["condition"]].collect_schema():
        raise ValueError(
            f"Table 'condition_occurrence' has no column visit_occurrence_id, needed for {purpose}."
        )
    visits = _pick_visits(tables[VISITS]).select(
        nw.col("visit_occurrence_id").alias("visit_id"), _end_or_never().alias("visit_end")
    )
    ends = visits.group_by("visit_id").agg(nw.col("visit_end").max())
    _warn_of_unknown_visits(conditions.filter(~nw.col("visit_id").is_null()), ends)
    joined = conditions.join(ends, on="visit_id", how="left")
    # A visit without a row of its own is as one without an end.
    end = nw.when(nw.col("visit_id").is_null()).then("time").otherwise(_end_or_never())
    # An end at midnight is a date, and so lies after all times of that day.
    is_later = (end > nw.col("time")) | (end == nw.col("time").dt.truncate("1d"))
    known_time = nw.when(is_later).then(end).otherwise(nw.col("time"))
    return joined.with_columns(known_time.alias("known_time")).select(*_EVENT)


def _warn_of_unknown_visits(conditions, visits):
    """Warn of conditions whose visit has no row; on Spark and the like, that would be a job."""
    if isinstance(conditions, nw.LazyFrame) and not conditions.implementation.is_duckdb():
        return
    lost = conditions.join(visits.select("visit_id"), on="visit_id", how="anti")
    n_lost, n_all = (
        frame.lazy().select(nw.len()).collect("pyarrow").item() for frame in (lost, conditions)
    )
    if n_lost:
        warn_user(
            f"{n_lost} of {n_all} conditions with a visit are never known, as visit_occurrence has "
            f"no row of their visit. To see them from their start, set conditions_known='start'."
        )


def events_of_persons(table):
    """Birth at its date, and sex, race and ethnicity without a time."""
    facts = ["gender_concept_id", "race_concept_id", "ethnicity_concept_id"]
    integers = dict.fromkeys(["person_id", "year_of_birth", "month_of_birth", "day_of_birth"], _ID)
    columns = {**integers, "birth_datetime": TIME, **dict.fromkeys(facts, _ID)}
    optional = {*columns} - {"person_id", "year_of_birth"}
    rows = pick(table, "person", columns, optional=optional)
    # The first day of the month or year, if no more is known.
    month, day = (nw.coalesce(part, nw.lit(1)) for part in ("month_of_birth", "day_of_birth"))
    number = nw.col("year_of_birth") * 10_000 + month * 100 + day
    birth_date = number.cast(nw.String).str.to_datetime(format="%Y%m%d").cast(TIME)
    rows = rows.with_columns(
        birth=nw.coalesce("birth_datetime", birth_date), never=nw.lit(None, TIME)
    )
    birth = _as_events(rows, "birth", suffix=nw.lit("birth"))
    return [birth, *(_as_events(rows, "never", concept_id=_nonzero(fact)) for fact in facts)]


def _pick_dated(table, name, stems, columns=None, optional=None):
    """Select columns and times: the datetimes of these stems, or the dates where these are null."""
    optional = dict(optional or {})
    optional |= {f"{stem}_{kind}": TIME for stem in stems for kind in ("datetime", "date")}
    present = table.collect_schema()
    for stem in stems:
        if f"{stem}_date" not in present and f"{stem}_datetime" not in present:
            raise ValueError(f"Table {name!r} has neither {stem}_date nor {stem}_datetime.")
    rows = pick(table, name, {"person_id": _ID, **(columns or {}), **optional}, optional=optional)
    return rows.with_columns(
        nw.coalesce(f"{stem}_datetime", f"{stem}_date").alias(stem) for stem in stems
    )


def _as_events(rows, time, **columns):
    """Give rows the columns of events; those without a person or a code are left out."""
    always = {"patient_id": nw.col("person_id"), "time": nw.col(time), "known_time": nw.col(time)}
    columns = {**always, **columns}
    events = rows.select(
        columns.get(name, nw.lit(None, dtype)).cast(dtype).alias(name)
        for name, dtype in _EVENT.items()
    )
    has_code = ~nw.col("concept_id").is_null() | ~nw.col("suffix").is_null()
    return events.filter(~nw.col("patient_id").is_null() & has_code)


def _nonzero(column):
    """A column in which 0, which stands for none, is null."""
    return nw.when(nw.col(column) != 0).then(nw.col(column))
