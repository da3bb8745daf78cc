"""Events and visits of an OMOP database."""

from numbers import Integral

import narwhals.stable.v2 as nw

from ..utils import shown
from ._omop_concepts import roll_up, with_codes
from ._omop_events import (
    DOMAINS,
    TABLE_OF,
    VISITS,
    events_of,
    events_of_persons,
    known_at_discharge,
    visits_of,
)
from ._tables import as_in, check_domains, choose_domains, open_tables, require_tables

# Concepts of the vocabulary "Visit": 262 is an emergency room visit that ends in an admission.
_VISIT_CONCEPTS = {"inpatient": [9201, 262], "emergency": [9203, 262], "outpatient": [9202]}


def read_omop(
    source,
    *,
    domains=None,
    person=False,
    conditions_known="discharge",
    drug_ends=False,
    ancestors=None,
):
    """Read the events of an OMOP database, version 5.3 or 5.4.

    Every row of a clinical table with a person and a concept is an event, at its datetime, or at
    its date if it has none. Codes are written ``vocabulary//code``, such as ``LOINC//718-7``, if
    the table of concepts has the concept; otherwise, they are concept ids, as strings. "0" stands
    for no matching concept.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        A DuckDB database, a folder of files named like the tables (parquet or CSV), or a dict of
        such tables, all of one library. Names of tables and columns are matched regardless of
        case.
    domains : list of str, default=None
        The domains to read, of "condition", "procedure", "drug", "measurement", "observation",
        "device", "visit" and "death". By default, all that the source has; a warning names the
        others. "visit" is the type of each visit and the place of admission, at its start, and the
        place of discharge, at its end. The code of a death is "death".
    person : bool, default=False
        Whether to add the sex, race and ethnicity of each person as static events, without a time,
        and "birth" at the date of birth. Build the table with ``EventTable(events,
        null_time="static")`` then. Other events without a date are left out then; otherwise,
        `EventTable` decides on them by its `null_time`.
    conditions_known : {"discharge", "start"}, default="discharge"
        When a condition is known. Diagnoses of a stay are usually coded after it: with "discharge",
        a condition with a visit is known at the end of that visit, or later if it starts later;
        never, if the visit has no end, or no row in visit_occurrence. With "start", it is known
        from its start.
    drug_ends : bool, default=False
        Whether the end of each drug exposure is an event too, whose code ends in ``//end``. An end
        may be planned: do not use it if orders are recorded with their intended end.
    ancestors : list of str, default=None
        Concept classes to roll codes up to, such as ``["Ingredient"]`` or ``["ATC 4th"]``. A code
        with ancestors of these classes in the table `concept_ancestor` is replaced with each of
        them; others are kept.

    Returns
    -------
    events : frame of shape (n_events, 6)
        Columns `patient_id`, `time`, `code`, `visit_id`, `value` (of measurements and
        observations) and `known_time`. For a dict, a frame of the same library as its tables; for a
        database or folder, a lazy DuckDB relation. The answer of an observation or
        measurement (`value_as_concept_id`) is appended to its code, as in
        ``LOINC//code//SNOMED//answer``.

    Raises
    ------
    ImportError
        If duckdb, or pyarrow for pandas, is not installed.
    FileNotFoundError
        If the source is a path that does not exist.
    TypeError
        If the source is of another type, or has tables of several libraries or of Dask; or dates
        are written as numbers or have a time zone.
    ValueError
        If a parameter has a value that is not accepted, a table or a column that is needed is
        missing, or a column holds values of another type.

    Warns
    -----
    UserWarning
        If `domains` is None and the source lacks some of the tables; or, except on Spark, Dask and
        ibis, if conditions are never known because their visit has no row.

    See Also
    --------
    read_omop_visits : Visits, such as admissions, from which samples are drawn.
    map_codes : Map codes to other ones.

    Notes
    -----
    The type of an emergency room visit that ends in an admission (262) is known at its end. Other
    events are known at their time: if a database records a measurement when its sample is drawn,
    and not when its result is there, results are seen too early.

    Values are not converted between units: a concept that is measured in several should be
    harmonised first.

    Concepts are the standard ones. For the codes of the source, such as ICD-10-CM, rename the
    column ``condition_source_concept_id`` to ``condition_concept_id``.

    References
    ----------
    OHDSI, "OMOP Common Data Model v5.4", https://ohdsi.github.io/CommonDataModel/cdm54.html.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_omop
    >>> conditions = pd.DataFrame({
    ...     "person_id": [7, 7],
    ...     "condition_concept_id": [201826, 320128],
    ...     "condition_start_date": pd.to_datetime(["2020-05-01", "2021-02-03"]),
    ... })
    >>> concepts = pd.DataFrame({
    ...     "concept_id": [201826, 320128],
    ...     "vocabulary_id": ["SNOMED", "SNOMED"],
    ...     "concept_code": ["44054006", "59621000"],
    ... })
    >>> tables = {"condition_occurrence": conditions, "concept": concepts}
    >>> events = read_omop(tables, domains=["condition"], conditions_known="start")
    >>> events[["patient_id", "code"]]
       patient_id              code
    0           7  SNOMED//44054006
    1           7  SNOMED//59621000
    """
    _check_parameters(domains, conditions_known, ancestors)
    tables = open_tables(source, [*TABLE_OF.values(), "concept", "concept_ancestor"])
    clinical = {domain: TABLE_OF[domain] for domain in DOMAINS}
    chosen = choose_domains(tables, domains, clinical, "person_id")
    if person:
        require_tables(tables, ["person"], "person=True")
    if ancestors:
        require_tables(tables, ["concept", "concept_ancestor"], "ancestors")

    parts = {domain: events_of(tables, domain, drug_ends) for domain in chosen}
    if "condition" in parts and conditions_known == "discharge":
        parts["condition"] = [known_at_discharge(*parts["condition"], tables)]
    events = nw.concat([part for frames in parts.values() for part in frames])
    if person:
        dated = events.filter(~nw.col("time").is_null())
        events = nw.concat([dated, *events_of_persons(tables["person"])])
    if ancestors:
        events = roll_up(events, tables, ancestors)
    events = with_codes(events, tables.get("concept"))
    return as_in(source, events)


def read_omop_visits(source, *, concept=None):
    """Read the visits of an OMOP database, from which samples are drawn.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        As in `read_omop`.
    concept : {"inpatient", "emergency", "outpatient"}, int, list of int, default=None
        The type of visits: a concept id, or several of them. "inpatient" stands for 9201 and 262
        (emergency room and inpatient visit), "emergency" for 9203 and 262, and "outpatient" for
        9202. By default, all visits. A visit of type 262 starts before it is known that an
        admission follows. Among the events, 9201 is ``Visit//IP`` and 262 ``Visit//ERIP``.

    Returns
    -------
    visits : frame of shape (n_visits, 4)
        Columns `patient_id`, `time` (the start), `end_time` and `visit_id`. For a dict, a frame of
        the same library as its tables; for a database or folder, a lazy DuckDB relation. It is an
        `index` for `make_samples`.

    Raises
    ------
    ImportError
        If duckdb, or pyarrow for pandas, is not installed.
    FileNotFoundError
        If the source is a path that does not exist.
    TypeError
        If the source is of another type, has tables of Dask, or dates are written as numbers or
        have a time zone.
    ValueError
        If `concept` has a value that is not accepted, or the table visit_occurrence, or a column
        of it, is missing.

    See Also
    --------
    read_omop : The events.
    sklearn_ehr.make_samples : Draws samples from events, with an index such as these visits.

    Notes
    -----
    To predict at the end of visits, pass `make_samples` their end as the time. Visits without an
    end have not ended.

    Persons may leave a database before its last event. Pass ``observation_period_end_date`` of the
    table ``observation_period`` to `make_samples`, as `observation_end`, a Series by person; else a
    person who left counts as one without an outcome.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_omop_visits
    >>> visits = pd.DataFrame({
    ...     "person_id": [7, 7],
    ...     "visit_occurrence_id": [1, 2],
    ...     "visit_concept_id": [9201, 9202],
    ...     "visit_start_date": pd.to_datetime(["2020-05-01", "2021-02-03"]),
    ...     "visit_end_date": pd.to_datetime(["2020-05-06", "2021-02-03"]),
    ... })
    >>> read_omop_visits({"visit_occurrence": visits}, concept="inpatient")
       patient_id       time   end_time  visit_id
    0           7 2020-05-01 2020-05-06         1
    """
    concepts = _read_concept(concept)
    tables = open_tables(source, [VISITS])
    visits = visits_of(tables[VISITS])
    if concepts is not None:
        visits = visits.filter(nw.col("concept_id").is_in(concepts))
    return as_in(source, visits.select("patient_id", "time", "end_time", "visit_id"))


def _read_concept(concept):
    if concept is None:
        return None
    if isinstance(concept, str):
        if concept not in _VISIT_CONCEPTS:
            raise ValueError(
                f"concept={shown(concept)} is not accepted; give one of "
                f"{', '.join(map(repr, _VISIT_CONCEPTS))}, or concept ids."
            )
        return _VISIT_CONCEPTS[concept]
    concepts = list(concept) if isinstance(concept, list | tuple) else [concept]
    if not concepts or not all(isinstance(c, Integral) and c is not True for c in concepts):
        raise ValueError(
            f"concept={shown(concept)} is not accepted; give concept ids, as integers."
        )
    return concepts


def _check_parameters(domains, conditions_known, ancestors):
    if conditions_known not in ("discharge", "start"):
        raise ValueError(
            f"conditions_known={shown(conditions_known)} is not accepted; give 'discharge' or "
            f"'start'."
        )
    check_domains(domains, DOMAINS)
    if ancestors is not None and (not isinstance(ancestors, list | tuple) or not ancestors):
        raise ValueError(f"ancestors={shown(ancestors)} is not accepted; give a list of strings.")
