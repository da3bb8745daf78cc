"""Flow of samples and patients through the rules that chose them."""

import pandas as pd

from ..utils import MIN_PATIENTS
from ._small_cells import SMALL


def pool_rules(attrition):
    """Rules and what each leaves; a rule that left out few patients is joined to the next one.

    Returns
    -------
    DataFrame
        `rule`, `n_samples` and `n_patients` left after it, and `samples_left_out` and
        `patients_left_out` by it. Where fewer than 10 are left, both are hidden: what was left out
        and what there was before would tell how many. So are the numbers of patients where they
        tell that fewer than 10 samples are further ones of a patient.
    """
    pending, rows = [], []
    for rule, *left in attrition.itertuples(index=False):
        pending.append(rule)
        if not rows or not _is_small(rows[-1], left):
            rows.append((pending, *left))
            pending = []
    while pending:
        # The last rules have no next one to be joined to.
        pending = rows.pop()[0] + pending
        if not rows or not _is_small(rows[-1], left):
            rows.append((pending, *left))
            pending = []
    frame = pd.DataFrame(rows, columns=attrition.columns)
    frame["rule"] = frame["rule"].map("; ".join)
    for name in ("samples", "patients"):
        left = frame[f"n_{name}"]
        left_out = -left.diff().astype("Int64")
        frame[f"{name}_left_out"] = left_out.astype(object).mask(left < MIN_PATIENTS, SMALL)
        frame[f"n_{name}"] = left.astype(object).mask(left < MIN_PATIENTS, SMALL)
    repeated = attrition["n_samples"] - attrition["n_patients"]
    if repeated.between(1, MIN_PATIENTS - 1).any():
        # Beside the samples, the patients would tell that few have several.
        frame[["n_patients", "patients_left_out"]] = SMALL
    return frame


def _is_small(row, left):
    return any(
        0 < before - after < MIN_PATIENTS for before, after in zip(row[1:], left, strict=True)
    )
