"""Labels of visits, in the format that `LSTMVisitTagger` expects."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..cohort import as_cohort
from ..utils import (
    check_one_kind,
    column_of,
    key_kind,
    offsets_from_lengths,
    open_files,
    read_frame,
    refuse_nulls,
    split_by_sample,
)
from ..visits import group_events


def make_visit_labels(X, labels, *, label="label", visit_id="visit_id", visits="auto"):
    """Arrange labels of visits in the order of the visits of a cohort.

    Parameters
    ----------
    X : Cohort, EventTable or DataFrame
        Samples whose visits have ids. An event table or a long frame of events means whole
        histories: one sample per patient, sorted by id.
    labels : DataFrame
        One row per visit, in a frame of any library that `EventTable` accepts: the patient, in a
        column named as in ``X.samples``, the id of the visit, and one or more labels. Rows of
        visits that no sample sees are ignored.
    label : str or list of str, default="label"
        Column of the label, or list of columns of binary labels, each 0 or 1.
    visit_id : str, default="visit_id"
        Column of `labels` with the ids of the visits.
    visits : {"auto", "id"}, default="auto"
        As in the `VisitSequenceTransformer` that makes the sequences.

    Returns
    -------
    y : ndarray of shape (n_samples,), object
        For each sample, an array of shape (n_visits,), or (n_visits, n_labels) for a list of
        columns, in the order of its visits. The visit of static events is left out. Visits without
        a label have NaN.

    Raises
    ------
    ValueError
        If a column is missing or has nulls, a visit has two rows, no row matches a visit, or `X`
        has no visit ids.
    TypeError
        If `X` is not a cohort, event table or frame, `labels` is not a frame, or its ids are not of
        the same type as those of `X`.

    See Also
    --------
    make_next_visit_labels : Labels made from the events themselves.
    LSTMVisitTagger : Predicts the labels of visits.

    Notes
    -----
    A visit in progress also gets its label. The outcome may lie ahead: it is what the model
    predicts.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import Cohort, make_visit_labels
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 2], "visit_id": [10, 11, 20], "time": [0, 5, 0], "code": ["a"] * 3,
    ... })
    >>> labels = pd.DataFrame({
    ...     "patient_id": [1, 2, 1], "visit_id": [11, 20, 10], "label": ["ill", "well", "well"],
    ... })
    >>> [array.tolist() for array in make_visit_labels(Cohort(events), labels)]
    [['well', 'ill'], ['well']]
    """
    X = as_cohort(X)
    labels = read_frame(open_files(labels, "labels"), "labels")
    if not isinstance(visits, str) or visits not in ("auto", "id"):
        raise ValueError(
            f"visits={visits!r} makes visits without ids, which labels cannot be matched to; use "
            f"'auto' or 'id'."
        )
    keys = _read_keys(labels, X.patient_column, visit_id)
    is_several = pd.api.types.is_list_like(label)
    columns = _read_labels(labels, list(label) if is_several else [label])
    sequences = group_events(X, visits)
    row = _match_visits(X, sequences, keys)
    # Position -1, which no row has, becomes null.
    found = [_as_array(column.reset_index(drop=True).reindex(row)) for column in columns]
    return _split_dated(sequences, np.stack(found, axis=1) if is_several else found[0])


def make_next_visit_labels(X, *, groups=None, visits="auto"):
    """Label each visit with the codes of the next one.

    Parameters
    ----------
    X : Cohort, EventTable or DataFrame
        An event table or a long frame of events means whole histories: one sample per patient,
        sorted by id.
    groups : mapping or Series from code to group, default=None
        Coarser codes to predict, such as chapters. Codes without a group are not predicted. With
        `groups`, the labels have the same columns for every cohort. By default, each code that the
        samples of `X` see is a group of its own, and the labels hold one number per visit and code.
    visits : {"auto", "id", "day", "time"}, timedelta or float, default="auto"
        As in the `VisitSequenceTransformer` that makes the sequences.

    Returns
    -------
    y : ndarray of shape (n_samples,), object
        For each sample, an array of shape (n_visits, n_groups), float32: 1 for each group that the
        next visit has, otherwise 0. The last visit has NaN, because its next visit is unknown.
    names : ndarray of shape (n_groups,)
        The groups, in ascending order.

    Raises
    ------
    ValueError
        If no code of `X` has a group, or a code has several.
    TypeError
        If `X` is not a cohort, event table or frame, or `groups` is not a mapping or Series.

    See Also
    --------
    make_visit_labels : Labels from a table of visits.
    LSTMVisitTagger : Predicts the labels of visits.

    Notes
    -----
    Visits are ordered by their ends. If visits overlap, the next visit may hold codes from before
    the end of the current one.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import EventTable, make_next_visit_labels
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 1], "time": [0, 5, 9], "code": ["a", "b", "c"],
    ... })
    >>> y, names = make_next_visit_labels(EventTable(events))
    >>> names.tolist(), y[0].tolist()
    (['a', 'b', 'c'], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [nan, nan, nan]])
    """
    X = as_cohort(X)
    sequences = group_events(X, visits)
    position, names = _groups_of_codes(X.event_table.codes, np.unique(sequences.tokens), groups)
    n_visits = len(sequences.visit_offsets) - 1
    visit = np.repeat(np.arange(n_visits), np.diff(sequences.visit_offsets))
    group = position[sequences.tokens]
    is_first = np.zeros(n_visits, dtype=bool)
    is_first[sequences.sample_offsets[:-1][sequences.lengths > 0]] = True
    is_next = (group >= 0) & ~(is_first | sequences.is_static)[visit]
    found = np.zeros((n_visits, len(names)), dtype=np.float32)
    found[visit[is_next] - 1, group[is_next]] = 1
    found[sequences.sample_offsets[1:][sequences.lengths > 0] - 1] = np.nan
    return _split_dated(sequences, found), names


def _read_keys(labels, patient_id, visit_id):
    """Patient and visit id of each row of labels; no two rows are equal."""
    patient = column_of(
        labels, patient_id, "labels", fixed="patient_id", way_out=f"rename it to {patient_id!r}"
    )
    visit = column_of(labels, visit_id, "labels", fixed="visit_id")
    for column in (patient, visit):
        check_one_kind(column, column.name)
        refuse_nulls(column.isna(), column.name, "Drop those rows.")
    keys = pd.MultiIndex.from_arrays([patient, visit])
    if n_double := int(keys.duplicated().sum()):
        raise ValueError(
            f"labels has {n_double} row(s) for a visit that already has one (columns "
            f"{patient.name!r} and {visit.name!r}). Keep one row per visit."
        )
    return keys


def _read_labels(labels, names):
    if not names:
        raise ValueError("label=[] names no column of labels; give at least one.")
    return [column_of(labels, name, "labels", fixed="label") for name in names]


def _match_visits(X, sequences, keys):
    """Row of labels for each visit, or -1 if there is none."""
    if sequences.visit_ids is None:
        raise ValueError(
            "X has no visit ids to match labels to, because events has no column of them. Name it "
            "with visit_id=, where the Cohort or EventTable is made."
        )
    sample = np.repeat(np.arange(len(X)), sequences.lengths)
    has_id = ~pd.isna(sequences.visit_ids)
    if not has_id.any():
        raise ValueError(
            "X has no visit with an id to match labels to: all ids of its visits are null. Check "
            "the column of visit ids in events."
        )
    own = (
        pd.Series(X.patients[sample[has_id]]),
        pd.Series(sequences.visit_ids[has_id]).infer_objects(),
    )
    for name, ours, theirs in zip(keys.names, own, keys.levels, strict=True):
        _check_same_kind(name, ours, theirs)
    row = np.full(len(sample), -1)
    row[has_id] = keys.get_indexer(pd.MultiIndex.from_arrays(own))
    if (row < 0).all():
        patient, visit = keys.names
        raise ValueError(
            f"No row of labels matches a visit of X (columns {patient!r} and {visit!r}: "
            f"{len(keys)} rows, {len(sample)} visits). Check that both use the same ids."
        )
    return row


def _as_array(column):
    """Values of a Series; NaN where null, whatever its library has there."""
    if isinstance(column.dtype, pd.ArrowDtype) and key_kind(column) == "string":
        return column.to_numpy(object, na_value=np.nan)
    return column.to_numpy()


def _groups_of_codes(codes, seen, groups):
    """Position of the group of each code, -1 if it has none, and the names of the groups."""
    codes = pd.Index(codes)
    if groups is None:
        groups = pd.Series(codes[seen], index=codes[seen])
    elif not isinstance(groups, Mapping | pd.Series):
        raise TypeError(
            f"groups must be a mapping or a Series from code to group, got {type(groups).__name__}."
        )
    groups = pd.Series(groups).dropna()
    if groups.index.has_duplicates:
        raise ValueError("groups has several groups for a code. Keep one per code.")
    of_group, names = pd.factorize(groups, sort=True)
    # Position -1, of a code without a group, stays -1.
    position = np.append(of_group, -1)[groups.index.get_indexer(codes)]
    if (position[seen] < 0).all():
        raise ValueError(
            "No code of X has a group. Check that groups has the codes exactly as in events."
        )
    return position, np.asarray(names)


def _split_dated(sequences, values):
    """Values of the visits that are not static, as one array per sample."""
    is_dated = ~sequences.is_static
    return split_by_sample(
        values[is_dated], offsets_from_lengths(is_dated)[sequences.sample_offsets]
    )


def _check_same_kind(name, ours, theirs):
    kinds = key_kind(ours), key_kind(theirs)
    if kinds[0] != kinds[1]:
        raise TypeError(
            f"Column {name!r} is of type {kinds[1]} in labels and of type {kinds[0]} in X (dtypes "
            f"{theirs.dtype} and {ours.dtype}). Convert one of them with .astype."
        )
