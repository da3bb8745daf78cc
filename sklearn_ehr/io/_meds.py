"""Events, codes and subject splits of a MEDS dataset."""

import os
from os import PathLike, fspath

from ..utils import as_narwhals, column_names, open_files, read_frame, require_frame, shown
from ._meds_visits import add_stays, read_visit_codes

_EVENT = {"subject_id": "patient_id", "time": "time", "code": "code", "numeric_value": "value"}


def read_meds(data, *, visit_codes=None):
    """Read the events of a MEDS dataset.

    Files are not read yet: of the folder of a dataset, the events are a lazy DuckDB relation, and
    of a frame, one of the same library.

    Parameters
    ----------
    data : str, path or DataFrame
        Folder of a dataset, whose shards are in ``data/``; or a folder, file or pattern of shards;
        or their rows in a frame of any library that `EventTable` accepts. It needs the columns
        ``subject_id``, ``time`` and ``code``. All shards must have the same columns.
    visit_codes : tuple of two str, default=None
        Code that starts a hospital stay and code that ends it, such as
        ``("ENCOUNTER_START", "ENCOUNTER_END")``. Those below it, which go on with ``//``, are
        included: ``ENCOUNTER_START//EMERGENCY``. By default, there is no column of visits, and
        transformers make one of each day, or use a gap, such as
        ``VisitSequenceTransformer(visits=pandas.Timedelta("2D"))``.

    Returns
    -------
    frame
        One row per event, in no particular order where an engine holds them: `patient_id`, `time`,
        `code`, `value` if there is a ``numeric_value``, and all other columns as they are. With
        `visit_codes` also `visit_id`: the first stay of each patient is 1, the next 2. It is null
        for events outside of a stay, of which transformers make one visit per day by default. Rows
        in memory are then sorted by patient and time.

    Raises
    ------
    TypeError
        If `data` is neither a path nor a frame, `visit_codes` is not a pair of strings, or they are
        given for a frame of Dask.
    ValueError
        If a column is missing, or there is one with a name that this reader gives, or a code of
        `visit_codes` is empty or includes the other.
    FileNotFoundError
        If a path leads to no parquet file.
    ImportError
        If a path is given and duckdb is not installed.

    See Also
    --------
    read_meds_codes : Descriptions of the codes.
    read_meds_splits : Split of each subject.
    to_meds : Events as a table of MEDS.

    Notes
    -----
    Static events have no time in MEDS. Pass ``null_time="static"`` to `EventTable` or `Cohort`.

    Files of labels, from MEDS or from ACES (``es-aces``), are samples as they are:
    ``Cohort(events, "labels.parquet", null_time="static")``. As in MEDS, events up to and including
    the prediction time are visible; see `Cohort` for those at midnight.

    MEDS has no visits. A stay begins at its start code and ends at the first end code, both
    inclusive. The stay of an event depends on codes at its own time or before, so it shows nothing
    of the future: a stay that has not ended goes on until the next one starts. A start within a
    stay starts another one, and an end outside of a stay is ignored. Where a start and an end have
    the same time, a patient in a stay changes to the next one, and one outside of a stay is in one
    for this moment only. Codes without a time are ignored.

    References
    ----------
    Medical Event Data Standard 0.4, https://medical-event-data-standard.github.io

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_meds
    >>> shard = pd.DataFrame({
    ...     "subject_id": [7, 7, 7, 7],
    ...     "time": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-04", "2020-03-01"]),
    ...     "code": ["ADMISSION//URGENT", "LAB//GLUCOSE", "DISCHARGE//HOME", "I10"],
    ...     "numeric_value": [None, 5.6, None, None],
    ... })
    >>> read_meds(shard, visit_codes=("ADMISSION", "DISCHARGE"))[["time", "code", "visit_id"]]
            time               code  visit_id
    0 2020-01-01  ADMISSION//URGENT       1.0
    1 2020-01-02       LAB//GLUCOSE       1.0
    2 2020-01-04    DISCHARGE//HOME       1.0
    3 2020-03-01                I10       NaN
    """
    codes = None if visit_codes is None else read_visit_codes(visit_codes)
    data = open_files(_shards_of(data), "data")
    names = _require_columns(data, ["subject_id", "time", "code"])
    renamed = {name: ours for name, ours in _EVENT.items() if name in names}
    ours = [*renamed.values(), *([] if codes is None else ["visit_id"])]
    others = [name for name in names if name not in renamed]
    if taken := [name for name in ours if name in others]:
        raise ValueError(
            f"data has {', '.join(map(repr, taken))} among its columns, which is a name that "
            f"read_meds gives. Rename that column."
        )
    events = as_narwhals(data).rename(renamed)
    if codes is not None:
        events = add_stays(events, *codes)
    return events.select(*ours, *others).to_native()


def read_meds_codes(data):
    """Read the codes of a MEDS dataset, with their descriptions.

    Parameters
    ----------
    data : str, path or DataFrame
        Folder of a dataset, with ``metadata/codes.parquet``; or that file; or its rows in a frame.

    Returns
    -------
    DataFrame
        One row per code: `code`, `description` and `parent_codes`, and further columns if any.

    Raises
    ------
    TypeError
        If `data` is neither a path nor a frame.
    ValueError
        If there is no column of codes.
    FileNotFoundError
        If there is no such file.
    ImportError
        If a path is given and duckdb is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_meds_codes
    >>> codes = pd.DataFrame({"code": ["HR"], "description": ["Heart rate"]})
    >>> read_meds_codes(codes).set_index("code")["description"]["HR"]
    'Heart rate'
    """
    return _read_metadata(data, "codes.parquet", ["code"])


def read_meds_splits(data):
    """Read which split each subject of a MEDS dataset belongs to.

    Parameters
    ----------
    data : str, path or DataFrame
        Folder of a dataset, with ``metadata/subject_splits.parquet``; or that file; or its rows in
        a frame.

    Returns
    -------
    DataFrame
        One row per subject: `patient_id`, and `split`, usually "train", "tuning" or "held_out".

    Raises
    ------
    TypeError
        If `data` is neither a path nor a frame.
    ValueError
        If a column is missing.
    FileNotFoundError
        If there is no such file.
    ImportError
        If a path is given and duckdb is not installed.

    See Also
    --------
    sklearn_ehr.PredefinedPatientSplit : Splitter that follows them.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import read_meds_splits
    >>> read_meds_splits(pd.DataFrame({"subject_id": [7, 8], "split": ["train", "held_out"]}))
       patient_id     split
    0           7     train
    1           8  held_out
    """
    splits = _read_metadata(data, "subject_splits.parquet", ["subject_id", "split"])
    return splits.rename(columns={"subject_id": "patient_id"})


def _read_metadata(data, file, required):
    if isinstance(data, str | PathLike) and os.path.isdir(data):
        folder, data = data, os.path.join(fspath(data), "metadata", file)
        if not os.path.exists(data):
            raise FileNotFoundError(f"data={shown(fspath(folder))} has no file metadata/{file}.")
    data = open_files(data, "data")
    _require_columns(data, required)
    return read_frame(data, "data")


def _shards_of(data):
    """Folder of the shards of a dataset, if this is the folder of one; anything else unchanged."""
    if not isinstance(data, str | PathLike):
        return data
    shards = os.path.join(fspath(data), "data")
    return shards if os.path.isdir(shards) else data


def _require_columns(data, required):
    """Names of the columns of a frame, which must include these."""
    require_frame(data, "data")
    names = list(column_names(data))
    if missing := [column for column in required if column not in names]:
        raise ValueError(
            f"data has no column {', '.join(map(repr, missing))} among its {len(names)}. "
            f"MEDS 0.4 requires {', '.join(map(repr, required))}."
        )
    return names
