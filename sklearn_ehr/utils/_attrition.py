"""Table of the samples and patients that rules of a study leave."""

from ._any_frame import is_frame, read_frame

_COLUMNS = ["rule", "n_samples", "n_patients"]


def read_attrition(attrition):
    """Rules, and the samples and patients that each leaves, as `make_samples` returns them.

    Other columns are left out.
    """
    if not is_frame(attrition):
        raise TypeError(
            f"attrition must be the second table that make_samples returns, got "
            f"{type(attrition).__name__}."
        )
    attrition = read_frame(attrition, "attrition")
    missing = [name for name in _COLUMNS if name not in attrition]
    if missing or not len(attrition):
        raise ValueError(
            f"attrition must have a row per rule, with the columns {', '.join(_COLUMNS)}; "
            f"{', '.join(missing) or 'every row'} is missing."
        )
    attrition = attrition[_COLUMNS].reset_index(drop=True)
    attrition["rule"] = [str(rule) for rule in attrition["rule"]]
    try:
        attrition = attrition.astype(dict.fromkeys(_COLUMNS[1:], "int64"))
    except (TypeError, ValueError):
        # The message quotes a cell.
        raise ValueError(
            "n_samples and n_patients of attrition must hold whole numbers, without nulls."
        ) from None
    if (attrition[_COLUMNS[1:]].diff() > 0).any(axis=None):
        raise ValueError(
            "The counts of attrition increase from one rule to a later one. Give the rules in the "
            "order in which they were applied."
        )
    return attrition
