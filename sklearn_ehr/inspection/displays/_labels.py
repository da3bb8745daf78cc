"""Labels of codes, short enough to be drawn."""

import re
from collections import Counter
from collections.abc import Mapping

import pandas as pd

_MOST_CHARACTERS = 36
_BIN = re.compile(r"Q\d+")


def label_codes(codes, descriptions, most=_MOST_CHARACTERS):
    """A short label for each code: its description, where there is one.

    `descriptions` is a mapping or Series from code to description, a frame with the columns `code`
    and `description`, or None; a bin of the values of a code, ``code//Q1``, is described by that
    code. Codes whose labels would be the same are told apart.
    """
    known = _read_descriptions(descriptions)
    texts = [_describe(code, known) for code in codes]
    is_described = [isinstance(text, str) and text.strip() != "" for text in texts]
    labels = [
        _shorten(" ".join(text.split()), most) if is_one else shorten_middle(str(code), most)
        for text, is_one, code in zip(texts, is_described, codes, strict=True)
    ]
    counts = Counter(labels)
    labels = [
        f"{_shorten(label, most // 2)} ({shorten_middle(str(code), most // 2 - 3)})"
        if is_one and counts[label] > 1
        else label
        for label, is_one, code in zip(labels, is_described, codes, strict=True)
    ]
    # A dollar sign would begin a formula.
    return [label.replace("$", r"\$") for label in _number_repeats(labels)]


def _number_repeats(labels):
    """Labels, the second and later ones of equal labels with their number."""
    seen = Counter()
    numbered = []
    for label in labels:
        seen[label] += 1
        numbered.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return numbered


def _describe(code, known):
    """Description of a code; that of a bin of values is that of its code, with the bin."""
    if code in known or not isinstance(code, str):
        return known.get(code)
    whole, _, bin_ = code.rpartition("//")
    text = known.get(whole) if _BIN.fullmatch(bin_) else None
    return f"{text}, {bin_}" if isinstance(text, str) and text.strip() else None


def _read_descriptions(descriptions):
    if descriptions is None:
        return {}
    if isinstance(descriptions, pd.DataFrame):
        missing = {"code", "description"} - set(descriptions.columns)
        if missing:
            raise ValueError(
                f"descriptions must have the columns 'code' and 'description', as "
                f"io.read_meds_codes returns them; {', '.join(sorted(missing))} is missing."
            )
        descriptions = descriptions.set_index("code")["description"]
    if isinstance(descriptions, pd.Series):
        return descriptions[~descriptions.index.duplicated()].to_dict()
    if isinstance(descriptions, Mapping):
        return descriptions
    raise TypeError(
        f"descriptions must be a dict or Series from code to description, or a frame with the "
        f"columns 'code' and 'description', got {type(descriptions).__name__}."
    )


def _shorten(text, most):
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def shorten_middle(text, most):
    """A text without its middle, as both the start and the end of a code tell it from others."""
    if len(text) <= most:
        return text
    n_end = (most - 1) // 2
    return text[: most - 1 - n_end] + "…" + text[len(text) - n_end :]
