"""Cross-validation of an LSTM and simpler models, side by side."""

from numbers import Integral
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from ..cohort import Cohort
from ..utils import Interval, validate_params, warn_user
from ._bootstrap import score_draws
from ._inputs import check_inner_folds, check_outcome, draw_splits, read_scoring, warn_of_copies
from ._models import choose_models
from ._predictions import PredictedClasses, PredictedNumbers

# Share of draws, beyond which those that are left are no longer a bootstrap.
_MOST_UNDEFINED = 0.05


class _Fit(NamedTuple):
    """A fitted model's seconds, its score by each metric, and its predictions for the test set."""

    seconds: float
    scores: list
    predicted: Any


@validate_params(
    {
        "n_jobs": [Integral, None],
        "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both"), None],
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
    * "regression": logistic or ridge regression on
      ``CodeCountVectorizer(encoding="log1p", last_visits=(1,))``, the counts of each code in all
      visits and in the last one, with a penalty that is tuned on the training patients, for the
      highest ROC AUC or R²;
    * "trees": histogram-based gradient boosting on the same counts, with default parameters.

    They read codes, but no values. For those, give models with `value_bins`.

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

        With several metrics, the table may be too wide to print. Print ``table.T`` or
        ``table["roc_auc"]`` instead.
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
        If `y` and `X` differ in length, or `y` has nulls, a single value or an unsupported kind; if
        a split has a patient on both sides, an empty side, or a side that lacks a class; or if a
        metric does not apply to `y`. An error raised by a model has a note that names the model.

    Warns
    -----
    UserWarning
        If samples are copies of others, or a metric is undefined in some draws of the bootstrap.

    See Also
    --------
    sklearn.model_selection.cross_validate : Scores of a single model, for any kind of outcome.

    Notes
    -----
    The intervals are percentile intervals [1]_ from 1,000 draws of the test patients with
    replacement, each patient with all their samples [2]_. Every model is scored on the same draws,
    so the differences are paired. Models are not refitted: the intervals reflect the choice of test
    patients, but not that of training patients or of the seed. Draws in which a metric is
    undefined, such as a ROC AUC where a class is missing, are left out; if they are more than 5 %,
    the interval is NaN.

    The intervals of "roc_auc", "roc_auc_ovr" and "average_precision" take seconds for 70,000
    samples. Those of other metrics take longer, as a scorer is called for each draw.

    With more than 10,000 training samples, the trees stop early, on a validation set that
    scikit-learn draws by sample; a patient with several samples may be on both sides of it.

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
            f"X must be a Cohort, got {type(X).__name__}. Pass the cohort itself: each model has a "
            f"transformer, which learns its vocabulary from the training samples."
        )
    y, kind = check_outcome(X, y)
    warn_of_copies(X, "X")
    is_tuned = kind != "continuous" and "regression" not in (models or {})
    models = choose_models(models, kind, random_state)
    classes = None if kind == "continuous" else np.unique(y)
    splits = draw_splits(cv, X, y, kind, random_state)
    if is_tuned:
        check_inner_folds(splits, y, X.group_positions)
    metrics = read_scoring(scoring, kind, y)
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
    draws = score_draws(fits, y, tests, X.group_positions, metrics, random_state)
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
        predicted = model.predict(X[test])
        if classes is None:
            predicted = PredictedNumbers(predicted)
        else:
            predicted = PredictedClasses(classes, predicted, model.predict_proba(X[test]))
        position = np.arange(len(test))
        scores = [metric.scorer(predicted, position, y[test]) for metric in metrics.values()]
    except Exception as error:
        error.add_note(f"Raised in compare by {label}.")
        raise
    if verbose:
        text = ", ".join(f"{name} {score:.3f}" for name, score in zip(metrics, scores, strict=True))
        print(f"{label}: {text}, {seconds:.0f} s", flush=True)
    return _Fit(seconds, scores, predicted)


def _tabulate(fits, draws, models, metrics):
    """One row per model, with its scores and their differences from those of the first."""
    shape = (-1, len(models))
    seconds = np.reshape([fit.seconds for fit in fits.values()], shape)
    scores = np.reshape([fit.scores for fit in fits.values()], (*shape, len(metrics)))
    columns = {("fit_time", "mean"): seconds.mean(axis=0)}
    # The first model has nothing to differ from.
    is_other = np.arange(len(models)) > 0
    for i, metric in enumerate(metrics):
        by_split = pd.DataFrame(scores[:, :, i])
        mean = by_split.mean(skipna=False)
        low, high = _interval_of(draws[i] - draws[i, :1], metric)
        columns |= {
            (metric, "mean"): mean,
            (metric, "std"): by_split.std(skipna=False),
            (metric, "difference"): (mean - mean[0]).where(is_other),
            (metric, "low"): pd.Series(low).where(is_other),
            (metric, "high"): pd.Series(high).where(is_other),
        }
    return pd.DataFrame(columns).set_axis(pd.Index(models, name="model"))


def _interval_of(differences, metric):
    """Percentile interval of each model's difference, NaN if too many draws are undefined."""
    is_defined = ~np.isnan(differences).any(axis=0)
    n_undefined = np.count_nonzero(~is_defined)
    if not n_undefined:
        return np.quantile(differences, [0.025, 0.975], axis=1)
    is_given = n_undefined <= _MOST_UNDEFINED * len(is_defined)
    warn_user(
        f"{metric} is undefined in {n_undefined} of {len(is_defined)} draws of the bootstrap, as a "
        f"split has few patients of a class. "
        + ("They are left out." if is_given else "Its interval is not given. Use fewer folds.")
    )
    if not is_given:
        return np.full((2, len(differences)), np.nan)
    return np.quantile(differences[:, is_defined], [0.025, 0.975], axis=1)


def _join_predictions(fits, models, tests, classes):
    """Predictions for all test samples, one column per model, or per model and class."""
    split = np.repeat(np.arange(len(tests)), [len(test) for test in tests])
    index = pd.MultiIndex.from_arrays([split, np.concatenate(tests)], names=["split", "sample"])
    columns = {}
    for name in models:
        predictions = [fit.predicted for (_, of), fit in fits.items() if of == name]
        if classes is None:
            columns[name] = np.concatenate([each.predicted for each in predictions])
            continue
        proba = np.concatenate([each.proba for each in predictions])
        if len(classes) == 2:
            columns[name] = proba[:, 1]
        else:
            columns |= {(name, label): proba[:, k] for k, label in enumerate(classes)}
    return pd.DataFrame(columns, index=index)
