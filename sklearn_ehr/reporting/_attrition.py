"""Flow of samples and patients through the rules that chose them."""

import pandas as pd

from ..utils import is_frame, read_frame
from ._small_cells import SMALL, SMALLEST

_COLUMNS = ["rule", "n_samples", "n_patients"]


def read_attrition(attrition):
    """Attrition as `make_samples` returns it, checked; None if there is none."""
    if attrition is None:
        return None
    if not is_frame(attrition):
        raise TypeError(
            f"attrition must be the frame that make_samples returns, got "
            f"{type(attrition).__name__}."
        )
    attrition = read_frame(attrition, "attrition")
    if missing := [name for name in _COLUMNS if name not in attrition]:
        raise ValueError(
            f"attrition has no column {missing[0]!r}. Pass the second frame that make_samples "
            f"returns, or one with the columns {', '.join(_COLUMNS)}."
        )
    return attrition[_COLUMNS].reset_index(drop=True)


def pool_rules(attrition):
    """Rules and what each leaves; a rule that left out few patients is joined to the next one.

    Returns
    -------
    DataFrame
        `rule`, `n_samples` and `n_patients` left after it, and `samples_left_out` and
        `patients_left_out` by it.
    """
    pending, rows = [], []
    for rule, *left in attrition.itertuples(index=False):
        pending.append(str(rule))
        if not rows or not _is_small(rows[-1], left):
            rows.append((pending, *left))
            pending = []
    while pending:
        # The last rules have no next one to be joined to.
        pending = rows.pop()[0] + pending
        if not rows or not _is_small(rows[-1], left):
            rows.append((pending, *left))
            pending = []
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    frame["rule"] = frame["rule"].map("; ".join)
    for name in ("samples", "patients"):
        frame[f"{name}_left_out"] = -frame[f"n_{name}"].diff().astype("Int64")
        is_small = frame[f"n_{name}"] < SMALLEST
        frame[f"n_{name}"] = frame[f"n_{name}"].astype(object).mask(is_small, SMALL)
    return frame


def _is_small(row, left):
    return any(0 < before - after < SMALLEST for before, after in zip(row[1:], left, strict=True))
