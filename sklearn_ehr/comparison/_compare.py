"""Cross-validation of an LSTM and simpler models, side by side."""

from numbers import Integral
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from ..cohort import Cohort
from ..utils import Interval, validate_params
from ._bootstrap import score_draws
from ._inputs import check_outcome, draw_splits, read_scoring
from ._models import choose_models
from ._predictions import PredictedClasses, PredictedNumbers


class _Fit(NamedTuple):
    """A fitted model's seconds, its score by each metric, and its predictions for the test set."""

    seconds: float
    scores: list
    predicted: Any


@validate_params(
    {
        "n_jobs": [Integral, None],
        "random_state": [Interval(Integral, 0, None, closed="left"), None],
        "verbose": ["verbose"],
        "return_predictions": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def compare(
    X,
    y,
    models=None,
    *,
    cv=5,
    scoring=None,
    n_jobs=None,
    random_state=0,
    verbose=0,
    return_predictions=False,
):
    """Compare an LSTM with simpler models by cross-validation.

    All models see the same codes, and are fitted and scored on the same splits, which keep each
    patient on one side. By default, the models are

    * "LSTM": `LSTMVisitClassifier` or `LSTMVisitRegressor`, with default parameters;
    * "regression": logistic or ridge regression on ``log1p`` of the counts of each code, in all
      visits and in the last one, with a penalty that is tuned on the training patients, for the
      highest ROC AUC or R²;
    * "trees": histogram-based gradient boosting on the same counts, with default parameters.

    Parameters
    ----------
    X : Cohort of shape (n_samples,)
        Samples.
    y : array-like of shape (n_samples,)
        Outcome of each sample. Numbers with decimals are predicted by regressors; anything else is
        one of two or more classes.
    models : dict of str to estimator, default=None
        Models that are added to the default ones. A model with the name of a default model replaces
        it, and None leaves it out. Each takes a cohort; classifiers need `predict_proba`. A search
        inside a model needs a `cv` that keeps patients together, such as `StratifiedPatientKFold`.
    cv : int, splitter or iterable, default=5
        Number of folds of a shuffled `StratifiedPatientKFold` (`PatientKFold` for numbers with
        decimals), or a splitter or an iterable of training and test positions, as in scikit-learn.
    scoring : str, list of str or dict of str to scorer, default=None
        Metrics, as in `cross_validate`. Scorers may use predictions and probabilities alone, like
        those of `make_scorer`. By default, "roc_auc" for two classes, "roc_auc_ovr" for more, and
        "r2" for numbers with decimals.
    n_jobs : int, default=None
        Number of fits that run in parallel, as in scikit-learn.
    random_state : int or None, default=0
        Seed of the folds, the default models and the bootstrap.
    verbose : int, default=0
        If 1, print a line with the time and the scores when a fit is done.
    return_predictions : bool, default=False
        Whether to return the predictions for the test samples as well.

    Returns
    -------
    table : DataFrame
        One row per model. Column ``("fit_time", "mean")`` is the mean time of a fit, in seconds.
        There are five columns per metric, such as ``("roc_auc", "mean")``:

        * "mean" and "std": mean and sample standard deviation of the score over the splits;
        * "difference": how much higher the mean is than that of the first model, by default
          "LSTM", whose own is NaN;
        * "low" and "high": 95 % bootstrap interval of the difference.

        If several metrics make it too wide to print, ``table.T`` and ``table["roc_auc"]`` are not.
    predictions : DataFrame
        Only if `return_predictions` is True. One row per split and test sample, indexed by "split",
        from 0 on, and "sample", the position in `X`. One column per model, with the probability of
        the second class, or the predicted number. With more classes, there is one column per model
        and class.

    Raises
    ------
    TypeError
        If `X` is not a `Cohort`, or `models` or `scoring` is not of an accepted type.
    ValueError
        If `y` is of another length than `X`, has nulls or a single value, or is of a kind that is
        not accepted; a split has a patient on both sides, or no sample or not every class on one;
        or a metric does not apply to `y`. What a model raises has a note that names the model.

    See Also
    --------
    sklearn.model_selection.cross_validate : Scores of a single model, for any kind of outcome.

    Notes
    -----
    The intervals are percentile intervals [1]_ from 1,000 draws of the test patients with
    replacement, each patient with all their samples [2]_. The differences are paired: a draw is the
    same for all models. No model is fitted again, so the intervals show what depends on the choice
    of test patients, but not what depends on that of training patients, or on the seed. A draw in
    which a metric is undefined, such as a ROC AUC where a class is missing, is left out.

    The intervals of "roc_auc", "roc_auc_ovr" and "average_precision" take seconds for 70,000
    samples. Those of other metrics take longer, as a scorer is called for each draw.

    With more than 10,000 training samples, the trees stop early by samples that scikit-learn splits
    off at random; patients with several samples can be on both sides of that inner split.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993,
       chapter 13.
    .. [2] C. A. Field and A. H. Welsh, "Bootstrapping clustered data", Journal of the Royal
       Statistical Society B 69(3), 2007, p. 369-390.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_ehr import compare
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(1000, random_state=0)
    >>> models = {"LSTM": None, "trees": None, "chance": DummyClassifier()}
    >>> table = compare(X, y, models, cv=3)
    >>> table.index.tolist()
    ['regression', 'chance']
    >>> table["roc_auc"].columns.tolist()
    ['mean', 'std', 'difference', 'low', 'high']
    >>> float(table.loc["chance", ("roc_auc", "mean")])
    0.5
    >>> bool(table.loc["chance", ("roc_auc", "high")] < 0)
    True
    """
    if not isinstance(X, Cohort):
        raise TypeError(
            f"X must be a Cohort, got {type(X).__name__}. Each model starts with a transformer, "
            f"which learns its vocabulary from the training samples alone."
        )
    y, kind = check_outcome(X, y)
    models = choose_models(models, kind, random_state)
    classes, truth = (None, y) if kind == "continuous" else np.unique(y, return_inverse=True)
    metrics = read_scoring(scoring, kind, truth)
    splits = draw_splits(cv, X, y, kind, random_state)
    keys = [(split, name) for split in range(len(splits)) for name in models]
    fits = Parallel(n_jobs)(
        delayed(_fit_and_score)(
            clone(models[name]),
            X,
            y,
            classes,
            splits[split],
            metrics,
            f"{name}, split {split + 1} of {len(splits)}",
            verbose,
        )
        for split, name in keys
    )
    fits = dict(zip(keys, fits, strict=True))
    tests = [test for _, test in splits]
    draws = score_draws(fits, truth, tests, X.group_positions, metrics, random_state)
    table = _tabulate(fits, draws, list(models), list(metrics))
    if return_predictions:
        return table, _join_predictions(fits, list(models), tests, classes)
    return table


def _fit_and_score(model, X, y, classes, split, metrics, label, verbose):
    train, test = split
    try:
        start = perf_counter()
        model.fit(X[train], y[train])
        seconds = perf_counter() - start
        predicted, truth = PredictedNumbers(model.predict(X[test])), y[test]
        if classes is not None:
            predicted = PredictedClasses(
                np.searchsorted(classes, predicted.predicted), model.predict_proba(X[test])
            )
            truth = np.searchsorted(classes, truth)
        position = np.arange(len(test))
        scores = [metric.scorer(predicted, position, truth) for metric in metrics.values()]
    except Exception as error:
        error.add_note(f"Raised in compare by {label}.")
        raise
    if verbose:
        told = ", ".join(f"{name} {score:.3f}" for name, score in zip(metrics, scores, strict=True))
        print(f"{label}: {told}, {seconds:.0f} s", flush=True)
    return _Fit(seconds, scores, predicted)


def _tabulate(fits, draws, models, metrics):
    """One row per model, with its scores and their differences to those of the first."""
    shape = (-1, len(models))
    seconds = np.reshape([fit.seconds for fit in fits.values()], shape)
    scores = np.reshape([fit.scores for fit in fits.values()], (*shape, len(metrics)))
    columns = {("fit_time", "mean"): seconds.mean(axis=0)}
    # The first model has nothing to differ from.
    is_other = np.arange(len(models)) > 0
    for i, metric in enumerate(metrics):
        by_split = pd.DataFrame(scores[:, :, i])
        mean = by_split.mean()
        paired = pd.DataFrame((draws[i] - draws[i, :1]).T)
        columns |= {
            (metric, "mean"): mean,
            (metric, "std"): by_split.std(),
            (metric, "difference"): (mean - mean[0]).where(is_other),
            (metric, "low"): paired.quantile(0.025).where(is_other),
            (metric, "high"): paired.quantile(0.975).where(is_other),
        }
    return pd.DataFrame(columns).set_axis(pd.Index(models, name="model"))


def _join_predictions(fits, models, tests, classes):
    """Predictions for all test samples, one column per model, or per model and class."""
    split = np.repeat(np.arange(len(tests)), [len(test) for test in tests])
    index = pd.MultiIndex.from_arrays([split, np.concatenate(tests)], names=["split", "sample"])
    columns = {}
    for name in models:
        told = [fits[key].predicted for key in fits if key[1] == name]
        if classes is None:
            columns[name] = np.concatenate([of.predicted for of in told])
        elif len(classes) == 2:
            columns[name] = np.concatenate([of.proba[:, 1] for of in told])
        else:
            proba = np.concatenate([of.proba for of in told])
            columns |= {(name, of): proba[:, i] for i, of in enumerate(classes)}
    return pd.DataFrame(columns, index=index)
