"""Table of the characteristics of both cohorts, by outcome."""

import re

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from ..utils import MIN_PATIENTS, readable, safe_years, shown
from ..visits import VisitSequenceTransformer, count_static
from ._levels import (
    MISSING,
    as_levels,
    as_number,
    holds_patients,
    is_identifier,
    is_number,
    name_pooled,
    round_number,
)
from ._small_cells import SMALL, count_distinct, count_patients, pool_levels

_MOST_DISCRETE = 10
COHORTS = ("development", "test")
WHO = ("all", "outcome", "no outcome")
GROUPS = [(cohort, who) for cohort in COHORTS for who in WHO]
DIFFERENCES = [(of, "difference") for of in (*COHORTS, "development and test")]
COLUMNS = [*GROUPS[:3], DIFFERENCES[0], *GROUPS[3:], DIFFERENCES[1], DIFFERENCES[2]]
_PAIRS = [
    (("development", "outcome"), ("development", "no outcome")),
    (("test", "outcome"), ("test", "no outcome")),
    (("development", "all"), ("test", "all")),
]
_YES_NO = (["0", "1"], ["False", "True"], ["0", "1", MISSING], ["False", "True", MISSING])


class Samples:
    """Samples of the development cohort, then of the test cohort, and who belongs to which column.

    Parameters
    ----------
    X, X_test : Cohort
    is_event, is_event_test : ndarray of bool
    """

    def __init__(self, X, X_test, is_event, is_event_test):
        self.cohorts = (X, X_test)
        self.frames = tuple(
            pd.DataFrame({name: readable(column) for name, column in cohort.samples.items()})
            for cohort in self.cohorts
        )
        self.is_test = np.repeat([False, True], [len(X), len(X_test)])
        self.is_event = np.concatenate([is_event, is_event_test])
        development = np.unique(X.group_positions, return_inverse=True)[1]
        test = np.unique(X_test.group_positions, return_inverse=True)[1]
        self.patient = np.concatenate([development, test + development.max() + 1])
        self.masks = {}
        for cohort, in_cohort in zip(COHORTS, (~self.is_test, self.is_test), strict=True):
            self.masks[cohort, "all"] = in_cohort
            self.masks[cohort, "outcome"] = in_cohort & self.is_event
            self.masks[cohort, "no outcome"] = in_cohort & ~self.is_event

    def column(self, name):
        """Column of the samples of both cohorts."""
        parts = [frame[name] for frame in self.frames]
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            dtype = union_categoricals(parts, ignore_order=True).dtype
            if parts[0].dtype.ordered and parts[0].dtype == parts[1].dtype:
                dtype = parts[0].dtype
            parts = [part.astype(dtype) for part in parts]
        return pd.concat(parts, ignore_index=True)

    def n_patients(self, mask):
        """Number of distinct patients among some samples."""
        return count_distinct(self.patient[mask])


def describe_samples(samples, names=None):
    """Characteristics of both cohorts.

    Returns
    -------
    DataFrame
        One row per characteristic and value, with the columns of `COLUMNS`: texts, and
        standardised differences as floats.
    list of str
        Names of columns that were not described.
    """
    rows = [*_count_rows(samples), *_history_rows(samples)]
    left_out = []
    for name in _choose_columns(samples) if names is None else _read_names(samples, names):
        column = samples.column(name)
        found = _rows_of(str(name), column, samples)
        rows += found
        if not found:
            left_out.append(str(name))
    empty = dict.fromkeys(COLUMNS, "") | dict.fromkeys(DIFFERENCES, np.nan)
    frame = pd.DataFrame(
        [list((empty | cells).values()) for _, _, cells in rows],
        index=pd.MultiIndex.from_tuples(
            [(name, value) for name, value, _ in rows], names=["characteristic", "value"]
        ),
        columns=pd.MultiIndex.from_tuples(COLUMNS),
    )
    return frame, left_out


def leave_out_merged(table, subgroups, samples):
    """Table 1 without columns of which it and the subgroups together tell of few patients.

    Both may merge a rare level with different others, whose numbers then tell its own.

    Returns
    -------
    DataFrame
    list of str
        Names of the columns that are left out.
    """
    left_out = []
    for name in dict.fromkeys(subgroup.group for subgroup in subgroups):
        is_column = all(name in frame for frame in samples.frames)
        is_described = is_column and name in table.index.get_level_values(0)
        labels = table.loc[name].index if is_described else []
        if not any("other values" in label or " or " in label for label in labels):
            continue
        level, names = as_levels(samples.column(name))
        # Levels that are merged have no row of their own.
        row = np.array([names.index(of) if of in labels else len(names) for of in names])
        row = row[level][samples.is_test]
        members = [subgroup.is_member for subgroup in subgroups if subgroup.group == name]
        cell = 2 * np.argmax(members, axis=0) + samples.is_event[samples.is_test]
        shape = (len(names) + 1, 2 * len(members))
        n_patients = count_patients(samples.patient[samples.is_test], row, cell, shape)
        if ((n_patients > 0) & (n_patients < MIN_PATIENTS)).any():
            left_out.append(name)
    return table.drop(index=left_out, level=0), left_out


def _read_names(samples, names):
    if isinstance(names, str) or not isinstance(names, list | tuple):
        raise TypeError(
            f"characteristics must be a list of columns of X.samples, got {shown(names)}."
        )
    for name in names:
        for cohort, frame, of in zip(samples.cohorts, samples.frames, ("X", "X_test"), strict=True):
            if name not in frame:
                raise ValueError(
                    f"characteristics names {shown(name)}, which is no column of {of}.samples."
                )
            if holds_patients(frame[name], cohort):
                raise ValueError(f"characteristics names {shown(name)}, which holds patients.")
    return names


def _choose_columns(samples):
    """Columns of both cohorts that are neither ids, times nor the outcome."""
    first, second = samples.frames
    return [
        name
        for name in first
        if name in second
        and not _holds_ids_or_times(name, first[name], samples.cohorts[0])
        and not _is_outcome(samples.column(name), samples.is_event)
    ]


def _holds_ids_or_times(name, column, cohort):
    """Whether a column seems to hold ids or times."""
    if column.dtype.kind in "mM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return True
    if re.search(r"(^|_)id$", str(name).lower()) or holds_patients(column, cohort):
        return True
    times, values = cohort.prediction_times, column.to_numpy()
    if times is not None and not column.isna().any() and np.array_equal(values, times):
        return True
    return is_identifier(column, cohort.group_positions)


def _is_outcome(column, is_event):
    if column.isna().any() or column.nunique() != 2:
        return False
    level, _ = as_levels(column)
    return np.array_equal(level == 1, is_event) or np.array_equal(level == 0, is_event)


def _count_rows(samples):
    masks = samples.masks
    yield "samples", "n", {key: f"{masks[key].sum():,}" for key in GROUPS}
    overall = [(cohort, "all") for cohort in COHORTS]
    # Patients with the outcome and patients without it overlap: their numbers would tell how many
    # have both.
    yield "patients", "n", {key: _count_patients(masks[key], samples) for key in overall}
    outcome = {key: _share(samples.is_event[masks[key]]) for key in overall}
    yield "outcome", "n (%)", outcome
    years = [_years(cohort) for cohort in samples.cohorts]
    if all(years):
        yield "predictions", "years", dict(zip(overall, years, strict=True))


def _count_patients(mask, samples):
    """Number of patients, unless it tells that few of them have several samples."""
    n_patients = samples.n_patients(mask)
    return SMALL if 0 < mask.sum() - n_patients < MIN_PATIENTS else f"{n_patients:,}"


def _years(cohort):
    """First and last calendar year with predictions for at least 10 patients."""
    times = cohort.prediction_times
    years = None if times is None else safe_years(times, cohort.group_positions)
    if years is None:
        return ""
    first, last = years
    return f"{first}" if first == last else f"{first} to {last}"


def _history_rows(samples):
    """Rows on the length of the histories that are known at the prediction."""
    lengths = pd.concat(map(_lengths_of, samples.cohorts), ignore_index=True)
    for name in lengths:
        yield from _rows_of(name, lengths[name], samples)


def _lengths_of(X):
    """Numbers of visible events, of visits and of different codes of each sample."""
    transformer = VisitSequenceTransformer(min_frequency=1).fit(X)
    return pd.concat([_count_history(block, transformer) for block in X.blocks()])


def _count_history(X, transformer):
    n_samples, (_, sample_of_event) = len(X), X.visible_positions()
    sequences = transformer.transform(X)
    n_tokens = np.diff(sequences.visit_offsets[sequences.sample_offsets])
    sample = np.repeat(np.arange(n_samples), n_tokens)
    n_codes = int(sequences.tokens.max(initial=0)) + 1
    different = np.unique(sample * n_codes + sequences.tokens) // n_codes
    return pd.DataFrame(
        {
            "events known": np.bincount(sample_of_event, minlength=n_samples),
            "visits known": sequences.lengths - count_static(sequences),
            "different codes known": np.bincount(different, minlength=n_samples),
        }
    )


def _rows_of(name, column, samples):
    # Mean and deviation of few different values tell how many have each.
    if is_number(column) and column.nunique() > _MOST_DISCRETE:
        return [*_number_rows(name, as_number(column), samples)]
    return [*_level_rows(name, *as_levels(column), samples)]


def _number_rows(name, values, samples):
    """Mean and quartiles of a number, and how often it is missing."""
    known = ~np.isnan(values)
    kept = {key: values[mask & known] for key, mask in samples.masks.items()}
    n_patients = {key: samples.n_patients(mask & known) for key, mask in samples.masks.items()}
    is_large = {key: number >= MIN_PATIENTS for key, number in n_patients.items()}
    for first, second in _PAIRS[:2]:
        # One of the two could be worked out from the other and all samples.
        is_large[first] = is_large[second] = is_large[first] and is_large[second]
    means = {key: _mean(kept[key]) if is_large[key] else SMALL for key in GROUPS}
    quartiles = {key: _quartiles(kept[key]) if is_large[key] else SMALL for key in GROUPS}
    differences = {
        column: _difference_of_numbers(kept[first], kept[second])
        for column, (first, second) in zip(DIFFERENCES, _PAIRS, strict=True)
        if is_large[first] and is_large[second]
    }
    yield name, "mean (SD)", means | differences
    yield name, "median (quartiles)", quartiles
    if not known.all():
        yield name, MISSING, _missing(~known, samples)


def _missing(is_missing, samples):
    """How often a number is missing, where neither that nor its opposite is a small cell."""

    def are_large(keys):
        for key in keys:
            mask = samples.masks[key]
            parts = mask & is_missing, mask & ~is_missing
            if min(map(samples.n_patients, parts)) < MIN_PATIENTS:
                return False
        return True

    cells = {}
    for pair, cohort in zip(_PAIRS[:2], COHORTS, strict=True):
        for keys in (pair, [(cohort, "all")]):
            is_told = are_large(keys)
            for key in keys:
                cells[key] = _share(is_missing[samples.masks[key]]) if is_told else SMALL
    return cells


def _level_rows(name, level, names, samples):
    """Rows of a variable with levels; none if too few patients have any of them."""
    cell = 2 * samples.is_test + samples.is_event
    pooled = pool_levels(level, len(names), cell, 4, samples.patient)
    groups = GROUPS
    if pooled is None:
        pooled = pool_levels(level, len(names), samples.is_test.astype(int), 2, samples.patient)
        groups = [key for key in GROUPS if key[1] == "all"]
    if pooled is None:
        return
    is_pooled, _ = pooled
    rows = [(names[i], level == i) for i in np.flatnonzero(~is_pooled)]
    if is_pooled.any():
        rows.append((name_pooled(names, *pooled), is_pooled[level]))
    shares = {key: [has[samples.masks[key]].mean() for _, has in rows] for key in groups}
    differences = {
        column: _difference_of_shares(shares[first], shares[second])
        for column, (first, second) in zip(DIFFERENCES, _PAIRS, strict=True)
        if first in shares
    }
    for label, has in _without_no(rows, names):
        cells = dict.fromkeys(GROUPS, SMALL)
        cells |= {key: _share(has[samples.masks[key]]) for key in groups}
        yield name, label, cells | differences
        differences = {}


def _without_no(rows, names):
    """Rows of a variable, or only those of yes and missing if it is one of yes and no."""
    if names in _YES_NO and len(rows) == len(names):
        return [("yes", rows[1][1]), *rows[2:]]
    return rows


def _difference_of_numbers(one, other):
    """Standardised difference of means, without its sign."""
    variance = (one.var(ddof=1) + other.var(ddof=1)) / 2
    distance = abs(one.mean() - other.mean())
    if variance == 0:
        return np.nan if distance else 0.0
    return float(distance / np.sqrt(variance))


def _difference_of_shares(one, other):
    """Standardised difference of shares: their Mahalanobis distance, for two levels as usual."""
    one, other = np.array(one)[1:], np.array(other)[1:]
    covariance = sum(np.diag(share) - np.outer(share, share) for share in (one, other)) / 2
    distance = one - other
    return float(np.sqrt(max(distance @ np.linalg.pinv(covariance) @ distance, 0)))


def _share(has):
    return f"{has.sum():,} ({has.mean():.1%})".replace("%)", " %)")


def _mean(values):
    return f"{_shown_number(values.mean())} ({_shown_number(values.std(ddof=1))})"


def _quartiles(values):
    low, middle, high = (_shown_number(value) for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return f"{middle} ({low} to {high})"


def _shown_number(value):
    value = round_number(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
