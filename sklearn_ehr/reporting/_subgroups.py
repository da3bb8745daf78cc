"""Performance in subgroups of test samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import numpy as np
import pandas as pd

from ..utils import MIN_PATIENTS, is_frame, read_frame, readable, shown
from ._draws import interval
from ._levels import as_levels, as_number, cut, holds_patients, is_number, name_pooled
from ._performance import METRICS, estimate, is_told
from ._small_cells import SMALL, count_patients, hide_complements

_MOST_LEVELS = 20
# Numbers with more different values than this are cut at their quartiles.
_MOST_DISCRETE = 5


@dataclass(frozen=True)
class Subgroup:
    """A level of a grouping: which test samples are in it, and whether its figures are shown."""

    group: str
    level: str
    predicted: object
    n_samples: object
    n_events: object
    is_shown: bool


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
    return {name: _levels_of(name, column, bins.get(name)) for name, column in columns.items()}


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


def _levels_of(name, column, edges):
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise TypeError(f"groups[{name!r}] has times. Group by a part, such as their .dt.year.")
    if edges is not None:
        if not is_number(column):
            raise TypeError(f"bins has edges for {name!r}, which does not hold numbers.")
        return cut(as_number(column), _read_edges(name, edges))
    if is_number(column) and column.nunique() > _MOST_DISCRETE:
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
    """List of subgroups, all levels of all groupings, without the names of rare ones."""
    return [
        subgroup
        for name, (level, names) in levels.items()
        for subgroup in _subgroups_of(
            name, *_merge_rare(level, names, predicted.patient), predicted
        )
    ]


def _merge_rare(level, names, patient):
    """Levels, of which those that few patients have are one, last and without their names."""
    n_levels = len(names)
    n_patients = count_patients(patient, level, np.zeros_like(level), (n_levels, 1))[:, 0]
    is_rare = n_patients < MIN_PATIENTS
    if not is_rare.any():
        return level, names
    number = np.where(is_rare, n_levels - is_rare.sum(), np.cumsum(~is_rare) - 1)
    kept = [name for name, is_one in zip(names, is_rare, strict=True) if not is_one]
    return number[level], [*kept, name_pooled(names, is_rare, is_rare)]


def _subgroups_of(name, level, names, predicted):
    parts = [predicted[level == number] for number in range(len(names))]
    with_event, without = (
        np.array([part.n_patients_with(is_event) for part in parts]) for is_event in (True, False)
    )
    n_patients = np.array([len(np.unique(part.patient)) for part in parts])
    is_small = np.minimum(with_event, without) < MIN_PATIENTS
    hides_events = hide_complements(is_small, with_event, without)
    hides_samples = hide_complements(n_patients < MIN_PATIENTS, n_patients)
    return [
        Subgroup(
            name,
            names[i],
            parts[i],
            SMALL if hides_samples[i] else len(parts[i].risk),
            SMALL if hides_events[i] else int(parts[i].is_event.sum()),
            not is_small[i],
        )
        for i in range(len(names))
    ]


def tabulate_subgroups(subgroups, draws, thresholds):
    """Frames of the metrics, and of the net benefit, in each subgroup.

    `draws` are those of the subgroups that are shown.
    """
    draws = iter(draws)
    rows, benefits = [], []
    for subgroup in subgroups:
        figures = np.full((3, len(METRICS) + len(thresholds)), np.nan)
        if subgroup.is_shown:
            figures[0] = estimate(subgroup.predicted, thresholds)
            figures[1:] = interval(next(draws))
            figures[:, _is_hidden(subgroup, thresholds)] = np.nan
        rows.append([subgroup.n_samples, subgroup.n_events, *figures[:, : len(METRICS)].T.ravel()])
        benefits.append(figures[:, len(METRICS) :].T)
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


def _is_hidden(subgroup, thresholds):
    """Whether each figure of a subgroup is hidden, as it would tell a number of patients."""
    is_hidden = np.zeros(len(METRICS) + len(thresholds), dtype=bool)
    is_hidden[len(METRICS) :] = ~is_told(subgroup.predicted, thresholds)
    if isinstance(subgroup.n_events, str):
        # Together with the Brier score, these give the share of the outcome.
        is_hidden[METRICS.index("scaled_brier_score")] = True
        is_hidden[len(METRICS) :] = True
    return is_hidden
