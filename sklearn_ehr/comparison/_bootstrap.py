"""Scores of predictions in draws of patients."""

import warnings
from contextlib import suppress
from functools import partial

import numpy as np
from sklearn.utils import gen_batches

N_DRAWS = 1000
# Draws at once: what is computed on them should fit into the processor's cache.
N_DRAWS_OF_BLOCK = 20


def score_draws(fits, y, tests, groups, metrics, random_state):
    """Scores of each model in draws of patients with replacement, means over splits.

    The array has the shape (n_metrics, n_models, N_DRAWS).
    """
    tested, patient = np.unique(groups[np.concatenate(tests)], return_inverse=True)
    patients = np.split(patient, np.cumsum([len(test) for test in tests])[:-1])
    redraws = [_redraw_of(metric, y) for metric in metrics.values()]
    rng = np.random.default_rng(random_state)
    blocks = []
    for block in gen_batches(N_DRAWS, N_DRAWS_OF_BLOCK):
        counts = draw_patients(rng, len(tested), block.stop - block.start)
        scores = [
            redraw(fit.predicted, y[tests[split]], patients[split], counts)
            for (split, _), fit in fits.items()
            for redraw in redraws
        ]
        shape = (len(tests), -1, len(metrics), len(counts))
        blocks.append(np.reshape(scores, shape).mean(axis=0))
    return np.concatenate(blocks, axis=-1).swapaxes(0, 1)


def draw_patients(rng, n_patients, n_draws):
    """How often each patient is drawn, of shape (n_draws, n_patients)."""
    drawn = rng.integers(n_patients, size=(n_draws, n_patients))
    drawn += n_patients * np.arange(n_draws)[:, np.newaxis]
    counts = np.bincount(drawn.ravel(), minlength=drawn.size)
    return counts.astype(np.int32).reshape(drawn.shape)


def _redraw_of(metric, y):
    """Function that scores draws by a metric, fast if the metric is an area under a curve."""
    name = metric.scoring if isinstance(metric.scoring, str) else None
    # scikit-learn's average precision is that of class 1, here that of the second class.
    is_of_other = name == "average_precision" and len(np.unique(y)) == 2 and y.max() != 1
    if name not in _AREAS or is_of_other:
        return partial(_score_repeated, metric.scorer)
    return partial(_score_ranks, name)


def _score_repeated(scorer, predicted, truth, patient, counts):
    """Score of each draw by any scorer, NaN where it is undefined."""
    scores = np.full(len(counts), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for draw, count in enumerate(counts):
            drawn = np.repeat(np.arange(len(truth)), count[patient])
            # Scorers raise, or warn, if a draw has no sample, or none of a class.
            with suppress(ValueError):
                scores[draw] = scorer(predicted, drawn, truth[drawn])
    return scores


def _score_ranks(name, predicted, truth, patient, counts):
    """Area under a curve for each draw, NaN where undefined; mean over classes if over two."""
    proba = predicted.proba
    classes = [1] if proba.shape[1] == 2 else range(proba.shape[1])
    areas = [
        score_areas([name], truth == predicted.classes_[k], proba[:, k], patient, counts)
        for k in classes
    ]
    return np.mean(areas, axis=0)[0]


def score_areas(names, is_positive, score, patient, counts):
    """Areas under curves, "roc_auc" or "average_precision", for each draw, NaN where undefined.

    The array has the shape (n_names, n_draws).
    """
    rank = -score
    places = np.unique(rank[is_positive])
    positives = _count_drawn(rank[is_positive], places, patient[is_positive], counts)
    samples = _count_drawn(rank, places, patient, counts)
    return np.array([_AREAS[name](positives, samples) for name in names])


def _count_drawn(rank, places, patient, counts):
    """Drawn samples before each place, those up to and at it, both (n_draws, n_places), and all."""
    order = np.argsort(rank)
    before = np.zeros((len(counts), len(rank) + 1), dtype=counts.dtype)
    np.cumsum(counts[:, patient[order]], axis=1, out=before[:, 1:])
    first, last = (np.searchsorted(rank[order], places, side) for side in ("left", "right"))
    return before[:, first], before[:, last], before[:, -1:].astype(np.float64)


def _roc_auc(positives, samples):
    """Share of the pairs of a positive and a negative that are in the right order."""
    before, up_to, n_positives = positives
    # A tie counts half.
    n_wrong = (samples[0] - before + samples[1] - up_to) / 2
    n_negatives = samples[2] - n_positives
    n_right = ((up_to - before) * (n_negatives - n_wrong)).sum(axis=1, keepdims=True)
    return _divide(n_right, n_positives * n_negatives)


def _average_precision(positives, samples):
    """Mean over positives of the precision at their score."""
    before, up_to, n_positives = positives
    precision = up_to / np.maximum(samples[1], 1)
    total = ((up_to - before) * precision).sum(axis=1, keepdims=True)
    return _divide(total, n_positives)


def _divide(total, number):
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)[:, 0]


_AREAS = {"roc_auc": _roc_auc, "roc_auc_ovr": _roc_auc, "average_precision": _average_precision}
