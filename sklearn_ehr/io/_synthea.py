"""Events and visits of synthetic patients of Synthea."""

import narwhals.stable.v2 as nw

from ..utils import shown
from ._synthea_events import KEY_OF, TABLE_OF, events_of, events_of_persons, visits_of
from ._tables import as_in, check_domains, choose_domains, open_tables, require_tables


def read_synthea(source, *, domains=None, person=False):
    """Read the events of synthetic patients, from the CSV files of Synthea.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        A folder of files named like the tables (CSV, gzipped or not, or parquet); a DuckDB
        database; or a dict of such tables, all of one library. Names of tables and columns are
        matched regardless of case.
    domains : list of str, default=None
        The domains to read. By default, all that the source has; a warning names the others.

        * "visit": ``VISIT//class``, such as ``VISIT//inpatient``, and the type of the encounter,
          ``SNOMED//code`` (encounters)
        * "condition", "procedure", "device", "careplan": ``SNOMED//code`` (conditions, procedures,
          devices, careplans)
        * "drug": ``RxNorm//code`` (medications)
        * "observation": ``LOINC//code``, with the answer appended if the result is a text
          (observations)
        * "immunization": ``CVX//code`` (immunizations)
        * "allergy": ``ALLERGY//SNOMED//code`` or ``ALLERGY//RxNorm//code`` (allergies)
        * "death": ``death`` (patients)
    person : bool, default=False
        Whether to add the sex, race and ethnicity of each patient as static events, without a time,
        and "birth" at the date of birth. Build the table with ``EventTable(events,
        null_time="static")`` then.

    Returns
    -------
    events : frame of shape (n_events, 5)
        Columns `patient_id`, `time` (the start, in UTC), `code`, `visit_id` (of the encounter) and
        `value` (of numeric observations). For a dict, a frame of the same library as its tables;
        for a database or folder, a lazy DuckDB relation. There is no known time: Synthea records
        everything when it happens.

    Raises
    ------
    ImportError
        If duckdb, or pyarrow for pandas, is not installed.
    FileNotFoundError
        If the source is a path that does not exist.
    TypeError
        If the source is of another type, or has tables of several libraries or of Dask; or dates
        are written as numbers.
    ValueError
        If a parameter has a value that is not accepted, a table or a column that is needed is
        missing, or a column holds values of another type.

    Warns
    -----
    UserWarning
        If `domains` is None and the source lacks some of the tables.

    See Also
    --------
    read_synthea_visits : Encounters, from which samples are drawn.
    read_omop : Events of an OMOP database, such as one made from the output of Synthea.

    References
    ----------
    J. Walonoski et al., "Synthea: An approach, method, and software mechanism for generating
    synthetic patients and the synthetic electronic health care record", JAMIA 25 (2018),
    https://doi.org/10.1093/jamia/ocx079, with its files at
    https://github.com/synthetichealth/synthea/wiki/CSV-File-Data-Dictionary.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_synthea
    >>> observations = pd.DataFrame({
    ...     "DATE": ["2020-05-01T08:30:00Z", "2020-05-01T08:30:00Z"],
    ...     "PATIENT": ["a", "a"],
    ...     "ENCOUNTER": ["e", "e"],
    ...     "CODE": ["4548-4", "72166-2"],
    ...     "VALUE": ["6.3", "Never smoker"],
    ...     "TYPE": ["numeric", "text"],
    ... })
    >>> events = read_synthea({"observations": observations}, domains=["observation"])
    >>> events[["time", "code", "value"]]
                     time                         code  value
    0 2020-05-01 08:30:00                LOINC//4548-4    6.3
    1 2020-05-01 08:30:00  LOINC//72166-2//Never smoker    NaN
    """
    check_domains(domains, TABLE_OF)
    tables = open_tables(source, list(TABLE_OF.values()))
    chosen = choose_domains(tables, domains, TABLE_OF, KEY_OF)
    if person:
        require_tables(tables, ["patients"], "person=True")

    parts = [part for domain in chosen for part in events_of(tables, domain)]
    if person:
        parts += events_of_persons(tables["patients"])
    return as_in(source, nw.concat(parts))


def read_synthea_visits(source, *, encounter_class=None):
    """Read the encounters of Synthea, from which samples are drawn.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        As in `read_synthea`.
    encounter_class : str or list of str, default=None
        The class of encounters, such as "inpatient", "emergency" or "ambulatory", or several of
        them. By default, all encounters.

    Returns
    -------
    visits : frame of shape (n_visits, 4)
        Columns `patient_id`, `time` (the start, in UTC), `end_time` and `visit_id`. For a dict, a
        frame of the same library as its tables; for a database or folder, a lazy DuckDB relation.
        It is an `index` for `make_samples`.

    Raises
    ------
    ImportError
        If duckdb, or pyarrow for pandas, is not installed.
    FileNotFoundError
        If the source is a path that does not exist.
    TypeError
        If the source is of another type or has tables of Dask, or dates are written as numbers or
        have a time zone.
    ValueError
        If `encounter_class` is empty or no string, or the table encounters, or a column of it, is
        missing.

    See Also
    --------
    read_synthea : The events.
    sklearn_ehr.make_samples : Draws samples from events, with an index such as these encounters.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_synthea_visits
    >>> encounters = pd.DataFrame({
    ...     "Id": ["e", "f"],
    ...     "START": ["2020-05-01T08:30:00Z", "2021-02-03T09:00:00Z"],
    ...     "STOP": ["2020-05-04T10:00:00Z", "2021-02-03T09:15:00Z"],
    ...     "PATIENT": ["a", "a"],
    ...     "ENCOUNTERCLASS": ["inpatient", "wellness"],
    ... })
    >>> read_synthea_visits({"encounters": encounters}, encounter_class="inpatient")
      patient_id                time            end_time visit_id
    0          a 2020-05-01 08:30:00 2020-05-04 10:00:00        e
    """
    classes = [encounter_class] if isinstance(encounter_class, str) else encounter_class
    is_list = isinstance(classes, list | tuple) and len(classes) > 0
    if classes is not None and not (is_list and all(isinstance(c, str) for c in classes)):
        raise ValueError(
            f"encounter_class={shown(encounter_class)} is not accepted; give a string such as "
            f"'inpatient', or a list of them."
        )
    tables = open_tables(source, ["encounters"])
    visits = visits_of(tables["encounters"])
    if classes is not None:
        visits = visits.filter(nw.col("encounterclass").is_in(list(classes)))
    return as_in(source, visits.drop("encounterclass"))
