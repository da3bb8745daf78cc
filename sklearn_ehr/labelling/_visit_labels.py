"""Which labels the visits of a cohort have, for `LSTMVisitTagger`."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..cohort import Cohort
from ..utils import (
    column_of,
    key_kind,
    offsets_from_lengths,
    refuse_nulls,
    require_frame,
    split_by_sample,
)
from ..visits import group_events


def make_visit_labels(X, labels, *, label="label", visit_id="visit_id", visits="auto"):
    """Bring labels of visits into the order of a cohort's visits.

    Parameters
    ----------
    X : Cohort
        Its visits have ids.
    labels : DataFrame
        One row a visit: the patient, in a column of the name it has in ``X.samples``, the visit's
        id, and one or more labels. Rows of visits that a sample cannot see are left out.
    label : str or list of str, default="label"
        Column of the label, or columns of several labels, each 0 or 1.
    visit_id : str, default="visit_id"
        Column of the visit's id.
    visits : {"auto", "id"}, default="auto"
        As in the `VisitSequenceTransformer` that will make the sequences.

    Returns
    -------
    y : ndarray of shape (n_samples,), object
        Of each sample an array of shape (n_visits,) or, for a list of columns, (n_visits,
        n_labels), in the order of its visits, without a static one. NaN where there is no label.

    Raises
    ------
    ValueError
        If a column is missing or null, a visit has two rows, no row fits a visit, or the cohort has
        no visit ids.
    TypeError
        If `X` is no cohort, `labels` no frame, or ids are of another type than those of `X`.

    Notes
    -----
    A visit in progress has its label too, though its outcome may lie ahead: that is what a
    prediction is for.

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
    _check_is_cohort(X)
    require_frame(labels, "labels")
    if visits not in ("auto", "id"):
        raise ValueError(
            f"visits={visits!r} makes visits without ids, so no labels can be found by them; use "
            f"'auto' or 'id'."
        )
    patient = column_of(labels, X.patient_column, "labels", fixed="patient_id")
    visit = column_of(labels, visit_id, "labels", fixed="visit_id", owner="make_visit_labels")
    is_several = pd.api.types.is_list_like(label)
    names = list(label) if is_several else [label]
    if not names:
        raise ValueError("label=[] names no column of labels; give one or more.")
    columns = [
        column_of(labels, name, "labels", fixed="label", owner="make_visit_labels")
        for name in names
    ]
    for column in (patient, visit):
        refuse_nulls(column.isna(), column.name, "Drop those rows.")
    visits_of_X = group_events(X, visits)
    if visits_of_X.visit_ids is None:
        raise ValueError("X has no visit ids to find labels by: events had no such column.")
    keys = pd.MultiIndex.from_arrays([patient, visit])
    if n_double := int(keys.duplicated().sum()):
        raise ValueError(
            f"labels has {n_double} row(s) for a visit that has one already (columns "
            f"{patient.name!r} and {visit.name!r}). Keep one a visit."
        )
    sample = np.repeat(np.arange(len(X)), visits_of_X.lengths)
    has_id = ~pd.isna(visits_of_X.visit_ids)
    ids = pd.Series(visits_of_X.visit_ids[has_id]).infer_objects()
    patients = pd.Series(X.patients[sample[has_id]])
    if not len(ids):
        raise ValueError("X has no visit with an id to find labels by.")
    for ours, theirs in ((patients, patient), (ids, visit)):
        _check_same_kind(ours, theirs)
    row = np.full(len(sample), -1)
    row[has_id] = keys.get_indexer(pd.MultiIndex.from_arrays([patients, ids]))
    if (row < 0).all():
        raise ValueError(
            f"No row of labels fits a visit of X (columns {patient.name!r} and {visit.name!r}: "
            f"{len(labels)} rows, {len(sample)} visits). Check that both use the same ids."
        )
    # Position -1, which no row has, becomes null.
    found = [column.reset_index(drop=True).reindex(row).to_numpy() for column in columns]
    found = np.stack(found, axis=1) if is_several else found[0]
    return _split_dated(visits_of_X, found)


def make_next_visit_labels(X, *, groups=None, visits="auto"):
    """Label each visit with the codes of the next one.

    Parameters
    ----------
    X : Cohort
    groups : mapping or Series from code to group, default=None
        Coarser codes to predict, such as chapters; a code that is not in it is not predicted. The
        labels are the same for every cohort then, in training and later. None: each code that `X`
        has is a group, and labels take as many numbers as visits times codes.
    visits : {"auto", "id", "day", "time"}, timedelta or float, default="auto"
        As in the `VisitSequenceTransformer` that will make the sequences.

    Returns
    -------
    y : ndarray of shape (n_samples,), object
        Of each sample an array of shape (n_visits, n_groups), float32: 1 for each group that the
        next visit has; NaN for the last visit, whose next one is not known.
    names : ndarray of shape (n_groups,)
        The groups, ascending: all of `groups`, or the codes of `X`.

    Raises
    ------
    ValueError
        If no code of `X` has a group.
    TypeError
        If `X` is no cohort, or `groups` no mapping or Series.

    Notes
    -----
    The next visit is the one that ends next, as visits are ordered. Of visits that overlap it may
    hold codes of before the end of this one.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr import Cohort, make_next_visit_labels
    >>> events = pd.DataFrame({
    ...     "patient_id": [1, 1, 1], "time": [0, 5, 9], "code": ["a", "b", "c"],
    ... })
    >>> y, names = make_next_visit_labels(Cohort(events))
    >>> names.tolist(), y[0].tolist()
    (['a', 'b', 'c'], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [nan, nan, nan]])
    """
    _check_is_cohort(X)
    sequences = group_events(X, visits)
    codes = pd.Index(X.event_table.codes)
    seen = np.unique(sequences.tokens)
    if groups is None:
        groups = pd.Series(codes[seen], index=codes[seen])
    elif not isinstance(groups, Mapping | pd.Series):
        raise TypeError(
            f"groups must be a mapping or a Series from code to group, got {type(groups).__name__}."
        )
    groups = pd.Series(groups).dropna()
    if groups.index.has_duplicates:
        raise ValueError("groups has several groups for a code; keep one.")
    of_group, names = pd.factorize(groups, sort=True)
    # Position -1, of a code without a group, stays -1.
    position = np.append(of_group, -1)[groups.index.get_indexer(codes)]
    if (position[seen] < 0).all():
        raise ValueError(
            "No code of X has a group: check that groups maps codes as events has them."
        )
    n_visits = len(sequences.visit_offsets) - 1
    visit = np.repeat(np.arange(n_visits), np.diff(sequences.visit_offsets))
    group = position[sequences.tokens]
    is_first = np.zeros(n_visits, dtype=bool)
    is_first[sequences.sample_offsets[:-1][sequences.lengths > 0]] = True
    is_next = (group >= 0) & ~(is_first | sequences.is_static)[visit]
    found = np.zeros((n_visits, len(names)), dtype=np.float32)
    found[visit[is_next] - 1, group[is_next]] = 1
    found[sequences.sample_offsets[1:][sequences.lengths > 0] - 1] = np.nan
    return _split_dated(sequences, found), np.asarray(names)


def _split_dated(sequences, values):
    """Values of the visits that are not static, an array a sample."""
    is_dated = ~sequences.is_static
    return split_by_sample(
        values[is_dated], offsets_from_lengths(is_dated)[sequences.sample_offsets]
    )


def _check_is_cohort(X):
    if not isinstance(X, Cohort):
        raise TypeError(
            f"X must be a Cohort, got {type(X).__name__}. Build one from your events with "
            f"Cohort(events, samples)."
        )


def _check_same_kind(ours, theirs):
    kinds = key_kind(ours), key_kind(theirs)
    if kinds[0] != kinds[1]:
        raise TypeError(
            f"Column {theirs.name!r} of labels holds a {kinds[1]}, and X has a {kinds[0]} there "
            f"(dtypes {theirs.dtype} and {ours.dtype}). Convert it with .astype."
        )
