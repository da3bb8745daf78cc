"""Lookup of distinct codes in a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..utils import column_names, column_of, is_frame, key_kind, read_frame, warn_user
from ._named_maps import MAP_NAMES, load_map


def read_mapping(mapping):
    """A mapping as a callable, or as a frame of pairs without nulls."""
    if isinstance(mapping, str):
        if mapping not in MAP_NAMES:
            raise ValueError(
                f"mapping={mapping!r} is not known; choose one of {', '.join(MAP_NAMES)}, or give "
                f"a dict, a frame or a callable."
            )
        return load_map(mapping)
    if isinstance(mapping, Mapping):
        mapped = pd.Series(list(mapping.values()), dtype=object).explode()
        codes = pd.Series(list(mapping), dtype=object)[mapped.index]
    elif is_frame(mapping):
        names = ["code", "mapped_code"]
        if not set(names) <= set(column_names(mapping)):
            raise ValueError("mapping must have the columns 'code' and 'mapped_code'; rename them.")
        frame = read_frame(mapping, "mapping", names)
        codes, mapped = (column_of(frame, name, "mapping", fixed=name) for name in names)
    elif callable(mapping):
        return mapping
    else:
        raise TypeError(
            f"mapping must be a dict, a frame, a callable or a name, got "
            f"{type(mapping).__name__}. Convert a Series with .to_dict()."
        )
    pairs = pd.DataFrame(
        {"code": codes.to_numpy(object), "mapped": mapped.to_numpy(object)}
    ).dropna()
    if pairs.empty:
        raise ValueError("mapping is empty: it maps no code to another one.")
    return pairs.infer_objects()


@dataclass(frozen=True)
class CodeLookup:
    """How the distinct codes of events are mapped."""

    mapping: object
    needs_strings: bool
    prefix: str
    new_prefix: str
    unmapped: str

    @property
    def keeps_null(self):
        return self.unmapped == "keep" or bool(self.prefix)

    def find(self, codes, column):
        """Look up distinct codes, those of a column of this name."""
        kind = _kind_of(codes, f"Column {column!r} holds")
        if kind != "string" and self.needs_strings:
            raise TypeError(
                f"A prefix, and a mapping by name, need codes that are strings, and column "
                f"{column!r} holds numbers. Read them as strings: leading zeros count."
            )
        codes = pd.Series(codes)
        codes = codes.astype(str) if kind == "string" else codes
        is_asked = np.ones(len(codes), dtype=bool)
        bare = codes
        if self.prefix:
            is_asked = codes.str.startswith(self.prefix).to_numpy(dtype=bool)
            bare = codes[is_asked].str.slice(len(self.prefix))
        pairs = self._pairs(bare, kind, column)
        mapped_kind = _kind_of(pairs["mapped"], "mapping gives", default=kind)
        if mapped_kind != "string" and (self.prefix or self.new_prefix):
            raise TypeError(
                "mapping gives numbers, to which no prefix can be added. Let it give strings."
            )
        if mapped_kind != kind and self.unmapped == "keep":
            raise TypeError(
                f"mapping gives {mapped_kind}s, and column {column!r} holds {kind}s: "
                f"unmapped='keep' could mix them in one column. Give unmapped='drop' or 'error'."
            )
        pairs = pairs.drop_duplicates()
        mapped = pairs["mapped"].astype(object)
        if self.new_prefix:
            mapped = self.new_prefix + mapped
        return FoundCodes(codes, is_asked, pairs["position"].to_numpy(np.int64), mapped.to_numpy())

    def _pairs(self, bare, kind, column):
        """Frame of the position and the mapped code of each pair, by ascending position."""
        if callable(self.mapping):
            mapped = self.mapping(bare)
            if isinstance(mapped, Mapping | set | frozenset) or is_frame(mapped):
                raise TypeError(
                    f"mapping returned {type(mapped).__name__}. Let it return a Series or a list "
                    f"with one value for each of the codes that it is given."
                )
            if isinstance(mapped, pd.Series) and set(mapped.index) == set(bare.index):
                # In another order, such as after a sort.
                mapped = mapped.reindex(bare.index) if mapped.index.is_unique else mapped
            mapped = list(mapped) if pd.api.types.is_list_like(mapped) else [mapped]
            if len(mapped) != len(bare):
                raise ValueError(
                    f"mapping returned {len(mapped)} value(s) for {len(bare)} distinct codes. Let "
                    f"it return one for each, and None for a code that is unmapped."
                )
            mapped = pd.Series(mapped, index=bare.index, dtype=object).explode().dropna()
            return pd.DataFrame({"position": mapped.index, "mapped": mapped.to_numpy()})
        own_kind = _kind_of(self.mapping["code"], "mapping is from")
        if len(bare) and own_kind != kind:
            raise TypeError(
                f"mapping is from {own_kind}s, and column {column!r} holds {kind}s. Convert one "
                f"of them, for instance with .astype(str)."
            )
        codes = pd.DataFrame({"position": bare.index, "code": bare.to_numpy()})
        return codes.merge(self.mapping, on="code")[["position", "mapped"]]


def _kind_of(values, what, default="string"):
    kind = key_kind(values) if len(values) else default
    if kind not in ("string", "number"):
        raise TypeError(f"{what} codes of type {kind}; codes must be all strings or all numbers.")
    return kind


@dataclass(frozen=True)
class FoundCodes:
    """Distinct codes of events, whether each was looked up, and the pairs that were found."""

    codes: pd.Series
    is_asked: np.ndarray
    position: np.ndarray
    mapped: np.ndarray

    @cached_property
    def is_mapped(self):
        is_mapped = np.zeros(len(self.codes), dtype=bool)
        is_mapped[self.position] = True
        return is_mapped

    def shares(self, n_events, n_null, lookup, column):
        """Table of shares, from the number of events with each code and with a null code."""
        is_one = np.ones(len(self.codes), dtype=np.int64)
        total = [n[self.is_asked].sum() for n in (n_events, is_one)]
        mapped = [n[self.is_mapped].sum() for n in (n_events, is_one)]
        total[0] += 0 if lookup.prefix else n_null
        if lookup.unmapped == "error" and total != mapped:
            raise ValueError(
                f"mapping has no code for {total[0] - mapped[0]} event(s), with "
                f"{total[1] - mapped[1]} distinct code(s) in column {column!r}. Complete it, or "
                f"give unmapped='keep' or 'drop'."
            )
        if len(self.codes) and not total[1]:
            warn_user(f"No code in column {column!r} begins with prefix={lookup.prefix!r}.")
        elif len(self.codes) and not mapped[1]:
            warn_user(
                f"mapping has none of the {total[1]} distinct code(s) in column {column!r}. Check "
                f"its vocabulary, and prefix."
            )
        shares = pd.DataFrame({"total": total, "mapped": mapped}, index=["events", "codes"])
        return shares.assign(share=shares["mapped"] / shares["total"])
