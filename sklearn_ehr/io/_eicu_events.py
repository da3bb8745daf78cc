"""Rows of the tables of eICU as events, at minutes since admission to the unit."""

import narwhals.stable.v2 as nw

from ._event_rows import as_events, code_of, event_dtypes, later_of
from ._tables import pick

STAY = "patientunitstayid"
TABLE_OF = {
    "visit": "patient",
    "condition": "diagnosis",
    "admission_condition": "admissiondx",
    "drug": "medication",
    "measurement": "lab",
    "treatment": "treatment",
    "death": "patient",
}

_ID, _MINUTES, _TEXT = nw.Int64(), nw.Int64(), nw.String()
_EVENT = event_dtypes(_ID, _MINUTES)
del _EVENT["visit_id"]
# Codes of ICD-9-CM for diseases, external causes (E) and other factors (V). Those of ICD-10-CM have
# two digits after E, and those that start with V are of accidents.
_ICD9 = r"^(\d|E\d{3}|V)"
_AGE_OVER_89 = "> 89"


def events_of(tables, domain):
    """Events of a domain, a list of frames with the same columns."""
    return _ROWS[domain](tables[TABLE_OF[domain]])


def visits_of(table):
    """Stays in a unit, with their start and end in minutes, and the person."""
    columns = {STAY: _ID, "unitdischargeoffset": _MINUTES, "uniquepid": _TEXT}
    return pick(table, "patient", columns).select(
        nw.col(STAY).alias("patient_id"),
        nw.lit(0, _MINUTES).alias("time"),
        nw.col("unitdischargeoffset").alias("end_time"),
        nw.col("uniquepid").alias("person_id"),
    )


def _pick(table, name, time, *texts, **further):
    columns = {STAY: _ID, time: _MINUTES, **dict.fromkeys(texts, _TEXT), **further}
    return pick(table, name, columns)


def _events(rows, time, code, **columns):
    return as_events(rows, _EVENT, patient_id=nw.col(STAY), time=nw.col(time), code=code, **columns)


def _visits(table):
    columns = {
        "hospitaladmitoffset": ("ADMITTED_FROM", "hospitaladmitsource"),
        "hospitaldischargeoffset": ("DISCHARGE", "hospitaldischargelocation"),
        "unitdischargeoffset": ("ICU_DISCHARGE", "unitdischargelocation"),
    }
    units = {"ICU_ADMISSION": "unittype", "ICU_ADMITTED_FROM": "unitadmitsource"}
    places = [*(place for _, place in columns.values()), *units.values()]
    dtypes = {STAY: _ID, **dict.fromkeys(columns, _MINUTES), **dict.fromkeys(places, _TEXT)}
    rows = pick(table, "patient", dtypes).with_columns(nw.lit(0, _MINUTES).alias("start"))
    codes = [("start", code_of(prefix, place)) for prefix, place in units.items()]
    for time, (prefix, place) in columns.items():
        codes.append((time, nw.coalesce(code_of(prefix, place), nw.lit(prefix))))
    return [_events(rows, time, code) for time, code in codes]


def _conditions(table):
    """Each code of a list; where there is none, the text of the diagnosis."""
    texts = ["icd9code", "diagnosisstring"]
    rows = _pick(table, "diagnosis", "diagnosisoffset", *texts)
    has_code = nw.coalesce("icd9code", nw.lit("")).str.contains("[0-9A-Za-z]")
    coded = rows.filter(has_code)
    coded = _explode(coded.with_columns(nw.col("icd9code").str.split(",")), "icd9code")
    icd = nw.col("icd9code").str.strip_chars()
    nine, ten = code_of("ICD9CM", icd), code_of("ICD10CM", icd)
    code = nw.when(icd.str.contains(_ICD9)).then(nine).otherwise(ten)
    return [
        _events(coded.filter(icd.str.len_chars() > 0), "diagnosisoffset", code),
        _events(rows.filter(~has_code), "diagnosisoffset", code_of("DIAGNOSIS", "diagnosisstring")),
    ]


def _explode(frame, column):
    """Give each item of a column of lists a row."""
    if not frame.implementation.is_pyarrow():
        return frame.explode(column)
    import pyarrow.compute as pc

    table = frame.to_native()
    lists = table[column].combine_chunks()
    position = table.column_names.index(column)
    table = table.take(pc.list_parent_indices(lists))
    return nw.from_native(table.set_column(position, column, pc.list_flatten(lists)))


def _admission_conditions(table):
    rows = _pick(table, "admissiondx", "admitdxenteredoffset", "admitdxpath")
    return [_events(rows, "admitdxenteredoffset", code_of("ADMISSION_DX", "admitdxpath"))]


def _drugs(table):
    rows = _pick(table, "medication", "drugstartoffset", "drugname", drugorderoffset=_MINUTES)
    code = code_of("DRUG", nw.col("drugname").str.strip_chars())
    known = later_of("drugstartoffset", "drugorderoffset")
    return [_events(rows, "drugstartoffset", code, known_time=known)]


def _measurements(table):
    further = {"labresult": nw.Float64(), "labresultrevisedoffset": _MINUTES}
    rows = _pick(table, "lab", "labresultoffset", "labname", "labmeasurenamesystem", **further)
    name = nw.col("labname").str.strip_chars()
    code = nw.coalesce(code_of("LAB", name, "labmeasurenamesystem"), code_of("LAB", name))
    known = later_of("labresultoffset", "labresultrevisedoffset")
    return [_events(rows, "labresultoffset", code, value=nw.col("labresult"), known_time=known)]


def _treatments(table):
    rows = _pick(table, "treatment", "treatmentoffset", "treatmentstring")
    return [_events(rows, "treatmentoffset", code_of("TREATMENT", "treatmentstring"))]


def _deaths(table):
    """Death at the end of the stay in the unit or, of those who left it alive, in the hospital."""
    places = ("unit", "hospital")
    columns = {STAY: _ID, **{f"{place}dischargeoffset": _MINUTES for place in places}}
    columns |= {f"{place}dischargestatus": _TEXT for place in places}
    ends = (
        nw.when(nw.col(f"{place}dischargestatus") == "Expired").then(f"{place}dischargeoffset")
        for place in places
    )
    rows = pick(table, "patient", columns).with_columns(nw.coalesce(*ends).alias("death"))
    return [_events(rows, "death", nw.lit("death"))]


def events_of_persons(table):
    """Sex, ethnicity and age, without a time."""
    rows = pick(
        table, "patient", {STAY: _ID, **dict.fromkeys(["gender", "ethnicity", "age"], _TEXT)}
    )
    age = nw.when(nw.col("age") == _AGE_OVER_89).then(nw.lit("90")).otherwise(nw.col("age"))
    person = {"patient_id": nw.col(STAY), "static": True}
    has_age = rows.filter(~nw.col("age").is_null())
    return [
        as_events(rows, _EVENT, code=code_of("GENDER", "gender"), **person),
        as_events(rows, _EVENT, code=code_of("ETHNICITY", "ethnicity"), **person),
        as_events(has_age, _EVENT, code=nw.lit("AGE"), value=age, **person),
    ]


_ROWS = {
    "visit": _visits,
    "condition": _conditions,
    "admission_condition": _admission_conditions,
    "drug": _drugs,
    "measurement": _measurements,
    "treatment": _treatments,
    "death": _deaths,
}
