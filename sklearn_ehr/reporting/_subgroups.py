"""Performance in subgroups of test samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import numpy as np
import pandas as pd

from ..utils import MIN_PATIENTS, is_frame, read_frame, readable, shown
from ._draws import interval
from ._levels import (
    as_levels,
    as_number,
    cut,
    holds_patients,
    is_identifier,
    is_number,
    name_pooled,
)
from ._performance import METRICS, estimate, is_told
from ._small_cells import pool_levels

_MOST_LEVELS = 20
# Numbers with more different values than this are cut at their quartiles.
_MOST_DISCRETE = 5


@dataclass(frozen=True)
class Subgroup:
    """A level of a grouping: which test samples are in it, and their outcomes and risks."""

    group: str
    level: str
    is_member: np.ndarray
    predicted: object


def read_groups(groups, bins, X):
    """Levels of each grouping: dict of name to the level of each sample, and the levels' names."""
    columns = _columns_of(groups, X)
    bins = {} if bins is None else bins
    if not isinstance(bins, Mapping):
        raise TypeError(f"bins must be a dict of names and edges, got {type(bins).__name__}.")
    if unknown := [name for name in bins if name not in columns]:
        raise ValueError(f"bins has {', '.join(map(repr, unknown))}, which groups does not name.")
    for name, column in columns.items():
        if holds_patients(column, X):
            raise ValueError(f"groups[{name!r}] has the patients, each of whom is no subgroup.")
    return {name: _levels_of(name, column, bins.get(name), X) for name, column in columns.items()}


def _columns_of(groups, X):
    if groups is None:
        return {}
    if is_frame(groups):
        groups = dict(read_frame(groups, "groups").items())
    if isinstance(groups, str):
        groups = [groups]
    if isinstance(groups, Mapping):
        columns = {name: _as_column(name, values, len(X)) for name, values in groups.items()}
    elif isinstance(groups, list | tuple):
        columns = {name: _column_of_samples(name, X) for name in groups}
    else:
        raise TypeError(
            f"groups must be a list of columns of X_test.samples, or a dict or a frame of values "
            f"by name, got {shown(groups)}."
        )
    if not all(isinstance(name, str) for name in columns):
        raise TypeError("The names in groups must be strings.")
    return columns


def _as_column(name, values, n_samples):
    column = readable(pd.Series(values).reset_index(drop=True))
    if len(column) != n_samples:
        raise ValueError(
            f"groups[{name!r}] has {len(column)} values, but X_test has {n_samples} samples. Give "
            f"one value per test sample, in their order."
        )
    return column


def _column_of_samples(name, X):
    samples = X.samples
    if not isinstance(name, str) or name not in samples:
        raise ValueError(
            f"groups names {shown(name)}, which is no column of X_test.samples. Add the column to "
            f"samples before the Cohort is made, or pass a dict of names and values."
        )
    return readable(samples[name].reset_index(drop=True))


def _levels_of(name, column, edges, X):
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise TypeError(f"groups[{name!r}] has times. Group by a part, such as their .dt.year.")
    if edges is not None:
        if not is_number(column):
            raise TypeError(f"bins has edges for {name!r}, which does not hold numbers.")
        return cut(as_number(column), _read_edges(name, edges))
    if is_number(column) and column.nunique() > _MOST_DISCRETE:
        if is_identifier(column, X.group_positions):
            raise ValueError(
                f"groups[{name!r}] tells patients apart, as ids do. If it is a measurement, give "
                f"edges in bins."
            )
        return cut(as_number(column))
    level, names = as_levels(column)
    if len(names) > _MOST_LEVELS:
        raise ValueError(
            f"groups[{name!r}] has {len(names)} different values, over {_MOST_LEVELS}. Merge rare "
            f"ones; a subgroup is told apart only with {MIN_PATIENTS} patients of each outcome."
        )
    return level, names


def _read_edges(name, edges):
    edges = list(edges) if isinstance(edges, list | tuple | np.ndarray) else []
    is_valid = all(isinstance(edge, Real) and np.isfinite(edge) for edge in edges)
    if not edges or not is_valid or any(high <= low for low, high in pairwise(edges)):
        raise ValueError(f"bins[{name!r}] must be a list of increasing numbers, such as [40, 65].")
    return np.array(edges, dtype=np.float64)


def find_subgroups(levels, predicted):
    """List of subgroups, and names of groupings that have fewer than two large enough levels."""
    subgroups, left_out = [], []
    for name, (level, names) in levels.items():
        found = _subgroups_of(name, level, names, predicted)
        subgroups += found
        if not found:
            left_out.append(name)
    return subgroups, left_out


def _subgroups_of(name, level, names, predicted):
    """Levels of a grouping, merged until each has 10 patients with the outcome and without it."""
    outcome = predicted.is_event.astype(np.int64)
    pooled = pool_levels(level, len(names), outcome, 2, predicted.patient)
    if pooled is None:
        return []
    is_pooled, _ = pooled
    members = {names[i]: level == i for i in np.flatnonzero(~is_pooled)}
    if is_pooled.any():
        members[name_pooled(names, *pooled)] = is_pooled[level]
    return [Subgroup(name, label, has, predicted[has]) for label, has in members.items()]


def tabulate_subgroups(subgroups, draws, thresholds):
    """Frames of the metrics, and of the net benefit, in each subgroup."""
    n_metrics = len(METRICS)
    is_hidden = _hide_benefits(subgroups, thresholds)
    rows, benefits = [], []
    for subgroup, of_draws, hidden in zip(subgroups, draws, is_hidden, strict=True):
        predicted = subgroup.predicted
        figures = np.array([estimate(predicted, thresholds), *interval(of_draws)])
        figures[:, n_metrics:][:, hidden] = np.nan
        n_events = int(predicted.is_event.sum())
        rows.append([len(predicted.risk), n_events, *figures[:, :n_metrics].T.ravel()])
        benefits.append(figures[:, n_metrics:].T)
    parts = ("estimate", "low", "high")
    columns = [("n", "samples"), ("n", "events")]
    columns += [(metric, part) for metric in METRICS for part in parts]
    names = [[subgroup.group for subgroup in subgroups], [subgroup.level for subgroup in subgroups]]
    table = pd.DataFrame(
        rows,
        index=pd.MultiIndex.from_arrays(names, names=["group", "level"]),
        columns=pd.MultiIndex.from_tuples(columns),
    )
    repeated = [np.repeat(np.array(of, dtype=object), len(thresholds)) for of in names]
    repeated.append(np.tile(thresholds, len(subgroups)))
    index = pd.MultiIndex.from_arrays(repeated, names=["group", "level", "threshold"])
    return table, pd.DataFrame(np.reshape(benefits, (-1, 3)), index=index, columns=parts)


def _hide_benefits(subgroups, thresholds):
    """Whether the net benefit of each subgroup is hidden at each threshold.

    It is if that of another level of its group is: together with that of all samples, the others
    would tell it.
    """
    is_hidden = np.array([~is_told(one.predicted, thresholds) for one in subgroups], dtype=bool)
    groups = np.array([subgroup.group for subgroup in subgroups], dtype=object)
    for group in set(groups):
        is_hidden[groups == group] = is_hidden[groups == group].any(axis=0)
    return is_hidden
