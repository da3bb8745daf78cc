"""Rows of the CSV files of Synthea as events."""

import narwhals.stable.v2 as nw

from ._event_rows import TIME, as_events, code_of, event_dtypes
from ._tables import pick

# Table, name of its column of times, and vocabulary of its codes, unless a column tells another.
_CODED = {
    "condition": ("conditions", "start", "SNOMED"),
    "procedure": ("procedures", "start", "SNOMED"),
    "drug": ("medications", "start", "RxNorm"),
    "observation": ("observations", "date", "LOINC"),
    "immunization": ("immunizations", "date", "CVX"),
    "allergy": ("allergies", "start", "SNOMED"),
    "device": ("devices", "start", "SNOMED"),
    "careplan": ("careplans", "start", "SNOMED"),
}
TABLE_OF = {
    "visit": "encounters",
    **{domain: table for domain, (table, *_) in _CODED.items()},
    "death": "patients",
}
# Column of patients in each table.
KEY_OF = dict.fromkeys(TABLE_OF, "patient") | {"death": "id"}

_TEXT = nw.String()
_EVENT = event_dtypes(_TEXT, TIME)
del _EVENT["known_time"]


def events_of(tables, domain):
    """Events of a domain, a list of frames with the same columns."""
    table = tables[TABLE_OF[domain]]
    if domain == "visit":
        return _visits(table)
    if domain == "death":
        rows = pick(table, "patients", {"id": _TEXT, "deathdate": TIME})
        return [_of_patients(rows, nw.lit("death"), time=nw.col("deathdate"))]
    return [_coded(table, domain)]


def visits_of(table):
    """Encounters with their start, end and class."""
    columns = {"patient": _TEXT, "start": TIME, "stop": TIME, "id": _TEXT, "encounterclass": _TEXT}
    return pick(table, "encounters", columns).select(
        nw.col("patient").alias("patient_id"),
        nw.col("start").alias("time"),
        nw.col("stop").alias("end_time"),
        nw.col("id").alias("visit_id"),
        "encounterclass",
    )


def events_of_persons(table):
    """Sex, race and ethnicity without a time, and birth at its date."""
    facts = ("gender", "race", "ethnicity")
    columns = {"id": _TEXT, "birthdate": TIME, **dict.fromkeys(facts, _TEXT)}
    rows = pick(table, "patients", columns)
    birth = _of_patients(rows, nw.lit("birth"), time=nw.col("birthdate"))
    return [
        birth,
        *(_of_patients(rows, code_of(fact.upper(), fact), static=True) for fact in facts),
    ]


def _of_patients(rows, code, **columns):
    return as_events(rows, _EVENT, patient_id=nw.col("id"), code=code, **columns)


def _visits(table):
    columns = {"id": _TEXT, "patient": _TEXT, "start": TIME}
    rows = pick(table, "encounters", {**columns, "encounterclass": _TEXT, "code": _TEXT})
    rows = rows.rename({"id": "encounter"})
    codes = code_of("VISIT", "encounterclass"), code_of("SNOMED", "code")
    return [_of_encounters(rows, "start", code) for code in codes]


def _coded(table, domain):
    name, time, vocabulary = _CODED[domain]
    keys = ["patient", "encounter", "code"]
    columns = {time: TIME, **dict.fromkeys([*keys, "system"], _TEXT)}
    if domain == "observation":
        columns |= dict.fromkeys(["value", "type"], _TEXT)
    rows = pick(table, name, columns, optional=["encounter", "system"])
    code = nw.concat_str([_vocabulary_of("system", vocabulary), "code"], separator="//")
    if domain == "observation":
        is_number = nw.col("type") == "numeric"
        answer = nw.when(~is_number).then(nw.col("value"))
        code = nw.coalesce(nw.concat_str([code, answer], separator="//"), code)
        return _of_encounters(rows, time, code, value=nw.when(is_number).then(nw.col("value")))
    if domain == "allergy":
        # Otherwise, an allergy to a drug would read as the drug.
        code = code_of("ALLERGY", code)
    return _of_encounters(rows, time, code)


def _vocabulary_of(column, default):
    """Vocabulary that a column names, as `SNOMED-CT` or by address; the default where it is not."""
    system = nw.coalesce(column, nw.lit("")).str.to_lowercase()
    vocabulary = nw.lit(default)
    for name in ("SNOMED", "RxNorm"):
        is_named = system.str.contains(name.lower(), literal=True)
        vocabulary = nw.when(is_named).then(nw.lit(name)).otherwise(vocabulary)
    return vocabulary


def _of_encounters(rows, time, code, **columns):
    ids = {"patient_id": nw.col("patient"), "visit_id": nw.col("encounter")}
    return as_events(rows, _EVENT, time=nw.col(time), code=code, **ids, **columns)
