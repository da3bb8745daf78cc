"""Events and visits of MIMIC-IV and MIMIC-III."""

import narwhals.stable.v2 as nw

from ..utils import shown
from ._mimic_events import BILLED, TABLE_OF, events_of, events_of_persons, visits_of
from ._tables import as_in, check_domains, choose_domains, open_tables, require_tables

_DRUG_CODES = ("name", "ndc")


def read_mimic(source, *, domains=None, person=False, drug_codes="name"):
    """Read the events of MIMIC-IV or MIMIC-III.

    The version is recognised from the columns. What is coded or decided at discharge is known only
    then: diagnoses, procedures, diagnosis-related groups (DRG) and the place of discharge.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        A folder of files named like the tables (CSV, gzipped or not, or parquet), which may lie in
        subfolders such as ``hosp`` and ``icu``; a DuckDB database; or a dict of such tables, all of
        one library. Names of tables and columns are matched regardless of case. In a dict, codes
        must be strings: as numbers, ICD codes and NDC lose their leading zeros.
    domains : list of str, default=None
        The domains to read. By default, all that the source has; a warning names the others.

        * "visit": ``ADMISSION//type`` and ``ADMITTED_FROM//location`` at admission, and
          ``DISCHARGE//location``, or ``DISCHARGE``, at discharge (admissions)
        * "condition": ``ICD9CM//4280`` or ``ICD10CM//I509`` (diagnoses_icd)
        * "procedure": ``ICD9Proc//9671`` or ``ICD10PCS//5A1935Z`` (procedures_icd)
        * "drug": ``DRUG//name`` or ``NDC//code``, at the start of each order (prescriptions)
        * "measurement": ``LAB//itemid//unit``, or ``LAB//itemid`` for a test without a unit, when
          its sample was drawn (labevents)
        * "drg": ``DRG//type//code`` (drgcodes)
        * "transfer": ``TRANSFER//care unit`` (transfers)
        * "icu": ``ICU_ADMISSION//first care unit`` and ``ICU_DISCHARGE//last care unit`` (icustays)
        * "death": ``death`` (patients and admissions)
    person : bool, default=False
        Whether to add the sex of each patient as a static event, without a time, "birth" at its
        date, and the race (in MIMIC-III, the ethnicity) recorded at each admission. Build the table
        with ``EventTable(events, null_time="static")`` then.
    drug_codes : {"name", "ndc"}, default="name"
        Codes of drugs: their names, or the National Drug Codes of packages, which `map_codes` can
        map to other vocabularies. A drug without an NDC keeps its name.

    Returns
    -------
    events : frame of shape (n_events, 6)
        Columns `patient_id` (subject_id), `time`, `code`, `visit_id` (hadm_id; null outside of
        stays), `value` (of laboratory tests) and `known_time`. For a dict, a frame of the
        same library as its tables; for a database or folder, a lazy DuckDB relation.

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
        If `domains` is None and the source lacks some of the tables.

    See Also
    --------
    read_mimic_visits : Stays, from which samples are drawn.
    map_codes : Map codes to other ones.

    Notes
    -----
    **Known times.** ICD codes and DRG are assigned for billing. Those of a stay that has no
    discharge are left out. A procedure has its own date, but is known at discharge; MIMIC-III has
    no dates of procedures, so they come at discharge. A laboratory test is known when its result
    was stored, if that is recorded (in MIMIC-IV), and otherwise when its sample was drawn. A result
    that is a text is not read: its event has no value.

    **Deaths.** A death comes at the time recorded for the stay (deathtime), if there is one, and
    otherwise at the date of death (dod). MIMIC-IV follows patients for a year after their last
    discharge.

    **Dates** are shifted by a different length for each patient, so that they cannot be compared
    between patients. Do not split by them, and give `make_samples` an `observation_end` for each
    patient: by default, it takes the latest event of all patients for the end of observation.

    **Patients over 89** have an age of 91 in MIMIC-IV. In MIMIC-III, their date of birth is 300
    years before their first admission; it is set so that they are 91 years old then. Only the year
    of birth is known in MIMIC-IV: "birth" is at its start.

    References
    ----------
    A. Johnson et al., "MIMIC-IV", PhysioNet, https://doi.org/10.13026/kpb9-mt58, with its tables at
    https://mimic.mit.edu/docs/iv/.

    A. Johnson, T. Pollard, R. Mark, "MIMIC-III Clinical Database", PhysioNet,
    https://doi.org/10.13026/C2XW26, with its tables at https://mimic.mit.edu/docs/iii/.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_mimic
    >>> admissions = pd.DataFrame({
    ...     "subject_id": [7],
    ...     "hadm_id": [20],
    ...     "admittime": ["2150-03-01 10:15:00"],
    ...     "dischtime": ["2150-03-04 15:30:00"],
    ... })
    >>> diagnoses = pd.DataFrame({
    ...     "subject_id": [7, 7],
    ...     "hadm_id": [20, 20],
    ...     "icd_code": ["I509", "4280"],
    ...     "icd_version": [10, 9],
    ... })
    >>> tables = {"admissions": admissions, "diagnoses_icd": diagnoses}
    >>> events = read_mimic(tables, domains=["condition"])
    >>> events[["patient_id", "time", "code"]]
       patient_id                time           code
    0           7 2150-03-04 15:30:00  ICD10CM//I509
    1           7 2150-03-04 15:30:00   ICD9CM//4280
    """
    check_domains(domains, TABLE_OF)
    if drug_codes not in _DRUG_CODES:
        raise ValueError(f"drug_codes={shown(drug_codes)} is not accepted; give 'name' or 'ndc'.")
    tables = open_tables(source, list(TABLE_OF.values()))
    chosen = choose_domains(tables, domains, TABLE_OF, "subject_id")
    if billed := [domain for domain in chosen if domain in BILLED]:
        require_tables(tables, ["admissions"], f"the time of discharge in {', '.join(billed)}")
    if person:
        require_tables(tables, ["patients", "admissions"], "person=True")

    parts = [part for domain in chosen for part in events_of(tables, domain, drug_codes)]
    if person:
        parts += events_of_persons(tables["patients"], tables["admissions"])
    return as_in(source, nw.concat(parts))


def read_mimic_visits(source, *, icu=False):
    """Read the stays of MIMIC-IV or MIMIC-III, from which samples are drawn.

    Parameters
    ----------
    source : path, DuckDB connection or dict of dataframes
        As in `read_mimic`.
    icu : bool, default=False
        Whether to read stays in intensive care, rather than in the hospital.

    Returns
    -------
    visits : frame of shape (n_visits, 4)
        Columns `patient_id`, `time` (the start), `end_time` and `visit_id` (hadm_id, the stay in
        the hospital). For a dict, a frame of the same library as its tables; for a database or
        folder, a lazy DuckDB relation. It is an `index` for `make_samples`.

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
        If the table admissions or icustays, or a column of it, is missing.

    See Also
    --------
    read_mimic : The events.
    sklearn_ehr.make_samples : Draws samples from events, with an index such as these stays.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_mimic_visits
    >>> admissions = pd.DataFrame({
    ...     "subject_id": [7],
    ...     "hadm_id": [20],
    ...     "admittime": ["2150-03-01 10:15:00"],
    ...     "dischtime": ["2150-03-04 15:30:00"],
    ... })
    >>> read_mimic_visits({"admissions": admissions})
       patient_id                time            end_time  visit_id
    0           7 2150-03-01 10:15:00 2150-03-04 15:30:00        20
    """
    name, start, end = (
        ("icustays", "intime", "outtime") if icu else ("admissions", "admittime", "dischtime")
    )
    tables = open_tables(source, [name])
    return as_in(source, visits_of(tables[name], name, start, end))
