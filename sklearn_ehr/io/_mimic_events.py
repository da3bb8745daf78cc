"""Rows of the tables of MIMIC-IV and MIMIC-III as events."""

import narwhals.stable.v2 as nw

from ._event_rows import TIME, as_events, code_of, event_dtypes, later_of
from ._tables import pick

TABLE_OF = {
    "visit": "admissions",
    "condition": "diagnoses_icd",
    "procedure": "procedures_icd",
    "drug": "prescriptions",
    "measurement": "labevents",
    "drg": "drgcodes",
    "transfer": "transfers",
    "icu": "icustays",
    "death": "patients",
}
# Their codes are of the bill, which is written after discharge.
BILLED = ("condition", "procedure", "drg")

_ID, _TEXT = nw.Int64(), nw.String()
_EVENT = event_dtypes(_ID, TIME)
_IDS = {"subject_id": _ID, "hadm_id": _ID}
# In MIMIC-III, those over 89 were born 300 years before their first admission, of 2100 to 2210.
_LAST_SHIFTED_BIRTH = 1950
_AGE_OVER_89 = 91


def events_of(tables, domain, drug_codes):
    """Events of a domain, a list of frames with the same columns."""
    table = tables[TABLE_OF[domain]]
    if domain in BILLED:
        return [_BILLED_ROWS[domain](table, _discharges_of(tables))]
    if domain == "drug":
        return [_drugs(table, drug_codes)]
    if domain == "death":
        return [_deaths(table, tables.get("admissions"))]
    return _ROWS[domain](table)


def visits_of(table, name, start, end):
    """Stays of the hospital, or of intensive care, with their start and end."""
    rows = pick(table, name, {**_IDS, start: TIME, end: TIME})
    return rows.select(
        nw.col("subject_id").alias("patient_id"),
        nw.col(start).alias("time"),
        nw.col(end).alias("end_time"),
        nw.col("hadm_id").alias("visit_id"),
    ).filter(~nw.col("time").is_null())


def _discharges_of(tables):
    """Time of discharge of each stay that has ended."""
    stays = pick(tables["admissions"], "admissions", {"hadm_id": _ID, "dischtime": TIME})
    return stays.filter(~nw.col("dischtime").is_null())


def _events(rows, time, code, **columns):
    time = nw.col(time)
    ids = {"patient_id": nw.col("subject_id"), "visit_id": nw.col("hadm_id")}
    return as_events(rows, _EVENT, time=time, code=code, **{**ids, **columns})


def _visits(table):
    places = ["admission_location", "discharge_location"]
    columns = {
        **_IDS,
        "admittime": TIME,
        "dischtime": TIME,
        **dict.fromkeys(["admission_type", *places], _TEXT),
    }
    rows = pick(table, "admissions", columns, optional=places)
    discharge = nw.coalesce(code_of("DISCHARGE", "discharge_location"), nw.lit("DISCHARGE"))
    return [
        _events(rows, "admittime", code_of("ADMISSION", "admission_type")),
        _events(rows, "admittime", code_of("ADMITTED_FROM", "admission_location")),
        _events(rows, "dischtime", discharge),
    ]


def _pick_icd(table, name, systems, **further):
    """Rows with a column of ICD codes, of version 9 where the table has no other."""
    if "icd9_code" in table.collect_schema():
        rows = pick(table, name, {**_IDS, "icd9_code": _TEXT, **further}, optional=further)
        return rows, code_of(systems[9], nw.col("icd9_code").str.strip_chars())
    icd = {"icd_code": _TEXT, "icd_version": _ID}
    rows = pick(table, name, {**_IDS, **icd, **further}, optional=further)
    code = nw.col("icd_code").str.strip_chars()
    nine, ten = (code_of(systems[version], code) for version in (9, 10))
    return rows, nw.when(nw.col("icd_version") == 9).then(nine).otherwise(ten)


def _conditions(table, discharges):
    rows, code = _pick_icd(table, "diagnoses_icd", {9: "ICD9CM", 10: "ICD10CM"})
    return _events(rows.join(discharges, on="hadm_id"), "dischtime", code)


def _procedures(table, discharges):
    rows, code = _pick_icd(table, "procedures_icd", {9: "ICD9Proc", 10: "ICD10PCS"}, chartdate=TIME)
    rows = rows.join(discharges, on="hadm_id")
    rows = rows.with_columns(nw.coalesce("chartdate", "dischtime").alias("chartdate"))
    return _events(rows, "chartdate", code, known_time=later_of("chartdate", "dischtime"))


def _drgs(table, discharges):
    rows = pick(table, "drgcodes", {**_IDS, "drg_type": _TEXT, "drg_code": _TEXT})
    code = code_of("DRG", "drg_type", "drg_code")
    return _events(rows.join(discharges, on="hadm_id"), "dischtime", code)


def _drugs(table, drug_codes):
    start = "startdate" if "startdate" in table.collect_schema() else "starttime"
    columns = {**_IDS, start: TIME, "drug": _TEXT, "ndc": _TEXT}
    rows = pick(table, "prescriptions", columns, optional=["ndc"])
    code = code_of("DRUG", nw.col("drug").str.strip_chars())
    if drug_codes == "ndc":
        # 0 stands for none.
        ndc = nw.when(nw.col("ndc") != "0").then(nw.col("ndc"))
        code = nw.coalesce(code_of("NDC", ndc), code)
    return _events(rows, start, code)


def _measurements(table):
    columns = {
        **_IDS,
        "itemid": _ID,
        "charttime": TIME,
        "storetime": TIME,
        "valuenum": nw.Float64(),
        "valueuom": _TEXT,
    }
    rows = pick(table, "labevents", columns, optional=["storetime", "valueuom"])
    item = nw.col("itemid").cast(_TEXT)
    code = nw.coalesce(code_of("LAB", item, "valueuom"), code_of("LAB", item))
    known = later_of("charttime", "storetime")
    return [_events(rows, "charttime", code, value=nw.col("valuenum"), known_time=known)]


def _transfers(table):
    unit = "curr_careunit" if "curr_careunit" in table.collect_schema() else "careunit"
    rows = pick(table, "transfers", {**_IDS, "eventtype": _TEXT, unit: _TEXT, "intime": TIME})
    rows = rows.filter(nw.col("eventtype") != "discharge")
    return [_events(rows, "intime", code_of("TRANSFER", unit))]


def _icu_stays(table):
    units = dict.fromkeys(["first_careunit", "last_careunit"], _TEXT)
    rows = pick(table, "icustays", {**_IDS, **units, "intime": TIME, "outtime": TIME})
    return [
        _events(rows, "intime", code_of("ICU_ADMISSION", "first_careunit")),
        _events(rows, "outtime", code_of("ICU_DISCHARGE", "last_careunit")),
    ]


def _deaths(patients, admissions):
    """One death per patient, at its time if that is known, and otherwise at its date."""
    rows = pick(patients, "patients", {"subject_id": _ID, "dod": TIME})
    if admissions is not None:
        columns = {"subject_id": _ID, "deathtime": TIME}
        times = pick(admissions, "admissions", columns, optional=["deathtime"])
        times = times.group_by("subject_id").agg(nw.col("deathtime").min())
        rows = rows.join(times, on="subject_id", how="left")
        rows = rows.with_columns(nw.coalesce("deathtime", "dod").alias("dod"))
    return _events(rows, "dod", nw.lit("death"), visit_id=None)


def events_of_persons(patients, admissions):
    """Sex without a time, birth at its date, and race or ethnicity at each admission."""
    is_shifted = "dob" in patients.collect_schema()
    years = {"dob": TIME} if is_shifted else {"anchor_year": _ID, "anchor_age": _ID}
    rows = pick(patients, "patients", {"subject_id": _ID, "gender": _TEXT, **years})
    race = "race" if "race" in admissions.collect_schema() else "ethnicity"
    stays = pick(admissions, "admissions", {**_IDS, race: _TEXT, "admittime": TIME})
    person = {"patient_id": nw.col("subject_id")}
    sex = as_events(rows, _EVENT, static=True, code=code_of("GENDER", "gender"), **person)
    birth = _birth_of_date() if is_shifted else _first_day(_year_of_anchor())
    return [
        sex,
        as_events(rows, _EVENT, time=birth, code=nw.lit("birth"), **person),
        _events(stays, "admittime", code_of(race.upper(), race)),
    ]


def _year_of_anchor():
    return nw.col("anchor_year") - nw.col("anchor_age")


def _birth_of_date():
    """Date of birth; of those over 89, the first of the year 91 years before first admission."""
    year = nw.col("dob").dt.year()
    shifted = _first_day(year.cast(_ID) + 300 - _AGE_OVER_89)
    return nw.when(year < _LAST_SHIFTED_BIRTH).then(shifted).otherwise(nw.col("dob"))


def _first_day(year):
    date = nw.concat_str([year.cast(_TEXT), nw.lit("-01-01")])
    return date.str.to_datetime(format="%Y-%m-%d").cast(TIME)


_BILLED_ROWS = {"condition": _conditions, "procedure": _procedures, "drg": _drgs}
_ROWS = {
    "visit": _visits,
    "measurement": _measurements,
    "transfer": _transfers,
    "icu": _icu_stays,
}
