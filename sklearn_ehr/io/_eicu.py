"""Events and stays of the eICU Collaborative Research Database."""

import narwhals.stable.v2 as nw

from ._eicu_events import STAY, TABLE_OF, events_of, events_of_persons, visits_of
from ._tables import as_in, check_domains, choose_domains, open_tables, require_tables


def read_eicu(source, *, domains=None, person=False):
    """Read the events of the eICU Collaborative Research Database, version 2.0.

    Each stay in a unit (patientunitstayid) is a patient of its own, because eICU has no dates:
    times are minutes since admission to the unit, and negative before it. `read_eicu_visits` says
    which stays belong to one person.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        A folder of files named like the tables (CSV, gzipped or not, or parquet), which may lie in
        subfolders; a DuckDB database; or a dict of such tables, all of one library. Names of tables
        and columns are matched regardless of case.
    domains : list of str, default=None
        The domains to read. By default, all that the source has; a warning names the others.

        * "visit": ``ADMITTED_FROM//source`` and ``DISCHARGE//location`` of the hospital,
          ``ICU_ADMISSION//type``, ``ICU_ADMITTED_FROM//source`` and ``ICU_DISCHARGE//location`` of
          the unit (patient)
        * "condition": ``ICD9CM//428.0`` and ``ICD10CM//I50.9``, one event for each code of a list,
          or ``DIAGNOSIS//text`` without a code, when it was entered (diagnosis)
        * "admission_condition": ``ADMISSION_DX//path``, when it was entered (admissiondx)
        * "drug": ``DRUG//name``, at the start of each order (medication)
        * "measurement": ``LAB//name//unit``, or ``LAB//name`` for a test without a unit, when its
          sample was drawn (lab)
        * "treatment": ``TREATMENT//text``, when it was entered (treatment)
        * "death": ``death``, in the unit or the hospital (patient)
    person : bool, default=False
        Whether to add the sex and ethnicity of each patient, and ``AGE`` with the age as value, as
        static events, without a time. Build the table with ``EventTable(events,
        null_time="static")`` then.

    Returns
    -------
    events : frame of shape (n_events, 5)
        Columns `patient_id` (patientunitstayid), `time` (int, in minutes), `code`, `value` (of
        laboratory tests and age) and `known_time`. For a dict, a frame of the same library as its
        tables; for a database or folder, a lazy DuckDB relation. There is no visit id: group events
        into visits by time, as with ``VisitSequenceTransformer(visits=60)`` for gaps of an hour.

    Raises
    ------
    ImportError
        If duckdb, or pyarrow for pandas, is not installed.
    FileNotFoundError
        If the source is a path that does not exist.
    TypeError
        If the source is of another type, or has tables of several libraries or of Dask.
    ValueError
        If a parameter has a value that is not accepted, a table or a column that is needed is
        missing, or a column holds values of another type.

    Warns
    -----
    UserWarning
        If `domains` is None and the source lacks some of the tables.

    See Also
    --------
    read_eicu_visits : Stays, from which samples are drawn, and their persons.
    map_codes : Map codes to other ones.

    Notes
    -----
    **Known times.** The result of a laboratory test is known when it was last revised, if that was
    after its sample was drawn. An order of a drug is known when it was entered, if that was after
    its start. Orders that were cancelled later are kept, as this is not known at their start. The
    place of discharge and a death come at the end of the stay. The text of the admission diagnosis
    in the table of patients (apacheadmissiondx) has no time and is not read; admissiondx has it.

    **ICD codes.** The column icd9code holds codes of both versions. One that starts with a digit,
    with "E" and three digits, or with "V" is of ICD-9-CM; any other of ICD-10-CM. (Codes of
    ICD-10-CM that start with "V" are of transport accidents.)

    **Ages** over 89 are written "> 89"; their value is 90.

    References
    ----------
    T. Pollard et al., "The eICU Collaborative Research Database, a freely available multi-center
    database for critical care research", Scientific Data 5 (2018),
    https://doi.org/10.1038/sdata.2018.178, with its tables at https://eicu-crd.mit.edu.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_eicu
    >>> diagnosis = pd.DataFrame({
    ...     "patientunitstayid": [7],
    ...     "diagnosisoffset": [95],
    ...     "diagnosisstring": ["cardiovascular|ventricular disorders|congestive heart failure"],
    ...     "icd9code": ["428.0, I50.9"],
    ... })
    >>> read_eicu({"diagnosis": diagnosis}, domains=["condition"])
       patient_id  time           code  value  known_time
    0           7    95  ICD9CM//428.0    NaN          95
    1           7    95  ICD10CM//I50.9   NaN          95
    """
    check_domains(domains, TABLE_OF)
    tables = open_tables(source, list(dict.fromkeys(TABLE_OF.values())))
    chosen = choose_domains(tables, domains, TABLE_OF, STAY)
    if person:
        require_tables(tables, ["patient"], "person=True")

    parts = [part for domain in chosen for part in events_of(tables, domain)]
    if person:
        parts += events_of_persons(tables["patient"])
    return as_in(source, nw.concat(parts))


def read_eicu_visits(source):
    """Read the stays in a unit of eICU, from which samples are drawn, and their persons.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        As in `read_eicu`.

    Returns
    -------
    visits : frame of shape (n_visits, 4)
        Columns `patient_id` (patientunitstayid), `time` (0, the admission to the unit), `end_time`
        (minutes until discharge from it) and `person_id` (uniquepid). For a dict, a frame of the
        same library as its tables; for a database or folder, a lazy DuckDB relation. It is an
        `index` for `make_samples`.

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
        If the table patient, or a column of it, is missing.

    See Also
    --------
    read_eicu : The events.
    sklearn_ehr.make_samples : Draws samples from events, with an index such as these stays.

    Notes
    -----
    `make_samples` passes `person_id` on to the samples. To keep a person on one side of every
    split, give ``group="person_id"`` to `Cohort`.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_eicu_visits
    >>> patient = pd.DataFrame({
    ...     "patientunitstayid": [7, 8],
    ...     "unitdischargeoffset": [2880, 1210],
    ...     "uniquepid": ["002-1", "002-1"],
    ... })
    >>> read_eicu_visits({"patient": patient})
       patient_id  time  end_time person_id
    0           7     0      2880     002-1
    1           8     0      1210     002-1
    """
    tables = open_tables(source, ["patient"])
    return as_in(source, visits_of(tables["patient"]))
