"""Labels of visits, aligned with the visits of sequences."""

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from ...utils import concatenate_ranges, offsets_from_lengths
from ...visits import count_static
from ._labels import as_labels
from ._weights import require_y


def flatten_labels(X, y, estimator):
    """Labels of the dated visits of `X`, one after the other, of dimension 1 or 2.

    Another number of samples, or of labels than `X` has visits, is refused.
    """
    require_y(y, estimator)
    check_consistent_length(X, y)
    try:
        n_labels = np.fromiter(map(len, y), dtype=np.int64, count=len(y))
        flat = np.concatenate([*y])
    except (TypeError, ValueError):
        raise ValueError(
            f"y must hold an array of labels for each sample, a label (or a row of labels) a "
            f"visit; got a {type(y).__name__} of something else. See sklearn_ehr.make_visit_labels."
        ) from None
    if flat.ndim > 2:
        raise ValueError(f"A visit has one label, or one row of labels; y has {flat.ndim} levels.")
    if flat.dtype.kind in "US" and (flat == "nan").any():
        raise ValueError("y mixes texts with NaN, which becomes a text; None says missing there.")
    n_dated = X.lengths - count_static(X)
    n_cut = 0 if X.earlier is None else X.earlier.lengths
    # Whoever makes labels need not know what max_visits will leave out.
    fits = (n_labels == n_dated) | (n_labels == n_dated + n_cut)
    if n_misfit := np.count_nonzero(~fits):
        raise ValueError(
            f"y holds another number of labels than X has visits for {n_misfit} of {len(X)} "
            f"sample(s). Give a label for each visit but a static one, in the order of X, missing "
            f"ones as None or NaN; sklearn_ehr.make_visit_labels does."
        )
    stops = offsets_from_lengths(n_labels)[1:]
    return flat[concatenate_ranges(stops - n_dated, stops)]


def read_labels(labels):
    """Labels of visits as they are, and whether each visit has any.

    With one label per visit, missing labels are dropped; with several, they are NaN.
    """
    is_there = ~pd.isna(labels)
    if not is_there.any():
        raise ValueError("y has no label at all: every one is missing.")
    if labels.ndim == 1:
        labels = as_labels(labels[is_there])
        check_classification_targets(labels)
        return labels, is_there
    if not np.isin(labels[is_there], (0, 1)).all():
        raise ValueError(
            "y with a row of labels a visit must be an indicator of 0 and 1, NaN where missing, "
            "and holds other values."
        )
    return np.where(is_there, labels, np.nan).astype(np.float64), is_there.any(axis=1)
