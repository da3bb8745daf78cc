"""Report of a model on test patients, by TRIPOD+AI."""

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ..comparison import make_regression, warn_of_copies
from ..utils import Interval, read_attrition, shown, validate_params
from ._attrition import pool_rules
from ._characteristics import Samples, describe_samples, leave_out_merged
from ._checklist import make_checklist
from ._document import Report
from ._inputs import check_cohorts, check_estimator, predict, read_outcome, read_thresholds
from ._levels import MISSING
from ._model import describe, tabulate_parameters, versions
from ._scores import tabulate_scores
from ._subgroups import find_subgroups, read_groups


@validate_params(
    {
        "title": [str, None],
        "n_bootstrap": [Interval(Integral, 1, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def report(
    estimator,
    X,
    y,
    X_test,
    y_test,
    *,
    groups=None,
    bins=None,
    attrition=None,
    comparison="regression",
    thresholds=None,
    characteristics=None,
    title=None,
    n_bootstrap=1000,
    random_state=0,
):
    """Report the performance of a fitted classifier on test patients, following TRIPOD+AI.

    The report has what TRIPOD+AI [1]_ asks for and software can fill in: the flow of participants,
    their characteristics by outcome, the model, its discrimination, calibration, Brier score and
    net benefit, in all test samples and in subgroups, a comparison with a regression, and the
    checklist, with the items that remain for the authors. All figures have bootstrap intervals over
    patients. No count of fewer than 10 patients is shown, nor one that its own table gives away;
    several overlapping groupings may still give one away together.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier of two classes with `predict_proba`, which takes a cohort: a pipeline
        that ends with `LSTMVisitClassifier`, one of counts and any scikit-learn classifier, a
        search over either, a stack or a calibration. The second class is the outcome.
    X : Cohort of shape (n_samples,)
        Development cohort, on which `estimator` was fitted.
    y : array-like of shape (n_samples,)
        Its outcomes.
    X_test : Cohort of shape (n_test_samples,)
        Test cohort, of other patients.
    y_test : array-like of shape (n_test_samples,)
        Its outcomes.
    groups : list of str, dict or DataFrame, default=None
        Subgroups: columns of ``X_test.samples``, or names and values, one per test sample. Numbers
        with more than five different values are cut at their quartiles. Values are merged until
        each has 10 patients with the outcome, and 10 without it.
    bins : dict of str to list of float, default=None
        Edges at which to cut a number in `groups` instead, such as ``{"age": [40, 65]}``. A value
        at an edge belongs to the level above it.
    attrition : DataFrame, default=None
        Attrition, as `make_samples` returns it.
    comparison : "regression", estimator or None, default="regression"
        Model to compare with: a logistic regression on counts of codes with a tuned penalty, as in
        `compare`, or a model of your own. It is fitted on `X` and `y` unless it is fitted already.
        None leaves the comparison out.
    thresholds : list of float, default=None
        Thresholds of the risk for the net benefit. By default, 0.05, 0.1, ..., 0.5.
    characteristics : list of str, default=None
        Columns of the samples for Table 1. By default, all that both cohorts have, except ids,
        times and the outcome.
    title : str, default=None
        Title of the report.
    n_bootstrap : int, default=1000
        Number of draws of test patients that the intervals are over.
    random_state : int or None, default=0
        Seed of the draws and of the folds that tune the regression.

    Returns
    -------
    Report
        Its tables as frames, such as ``report.performance``; ``report.save("report.html")`` writes
        a page that needs no network, and a notebook shows it.

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    TypeError
        If `estimator` is no classifier with probabilities, `X` or `X_test` is no cohort, or another
        parameter is not of an accepted type.
    ValueError
        If `estimator` has other than two classes, the cohorts share patients, outcomes do not match
        the samples or the classes, a class has fewer than 10 patients, a column is missing, or a
        parameter has a value that is not accepted.

    Warns
    -----
    UserWarning
        If samples of `X_test` are copies of others.

    See Also
    --------
    compare : Cross-validation of several models.
    make_model_card : Card of a fitted model, without data.

    Notes
    -----
    Standardised differences are those of [2]_; for more than two values, they are the Mahalanobis
    distances of [3]_. Intervals are over draws of patients, each with all of its samples [4]_. The
    intervals cover the uncertainty of the evaluation, not of the training, as the model is not
    refitted.

    The share of an outcome in a subgroup, and thus its net benefit and average
    precision, differ from those of other subgroups whether or not the model does.

    References
    ----------
    .. [1] G. S. Collins et al., "TRIPOD+AI statement: updated guidance for reporting clinical
       prediction models that use regression or machine learning methods", BMJ 385, 2024, e078378.
    .. [2] P. C. Austin, "Balance diagnostics for comparing the distribution of baseline covariates
       between treatment groups in propensity-score matched samples", Statistics in Medicine 28,
       2009, p. 3083-3107.
    .. [3] D. Yang and J. E. Dalton, "A unified approach to measuring the effect size between two
       groups using SAS", SAS Global Forum 2012, paper 335.
    .. [4] C. A. Field and A. H. Welsh, "Bootstrapping clustered data", Journal of the Royal
       Statistical Society B 69(3), 2007, p. 369-390.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import CodeCountVectorizer, PatientShuffleSplit, report
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(1000, random_state=0)
    >>> train, test = next(PatientShuffleSplit(1, test_size=0.4, random_state=0).split(X))
    >>> model = make_pipeline(CodeCountVectorizer(encoding="log1p"), LogisticRegression(C=0.01))
    >>> model.fit(X[train], y[train])
    Pipeline(...)
    >>> result = report(
    ...     model, X[train], y[train], X[test], y[test], comparison=None, n_bootstrap=200
    ... )
    >>> result.performance.loc["roc_auc"].round(2).tolist()
    [0.71, 0.65, 0.76]
    >>> result.save("report.html")  # doctest: +SKIP
    """
    check_estimator(estimator)
    check_cohorts(X, X_test)
    warn_of_copies(X_test, "X_test")
    outcome = _name_of(y)
    is_event = read_outcome(y, X, estimator.classes_, "y", "X")
    is_event_test = read_outcome(y_test, X_test, estimator.classes_, "y_test", "X_test")
    thresholds = read_thresholds(thresholds)
    levels = read_groups(groups, bins, X_test)
    attrition = None if attrition is None else pool_rules(read_attrition(attrition))
    _check_comparison(comparison)
    samples = Samples(X, X_test, is_event, is_event_test)
    table, left_out = describe_samples(samples, characteristics)

    predicted = predict(estimator, X_test, is_event_test)
    other = _fit_comparison(comparison, X, is_event, estimator.classes_, random_state)
    compared = None if other is None else predict(other, X_test, is_event_test, "comparison")
    subgroups, left_out_groups = find_subgroups(levels, predicted)
    table, merged_otherwise = leave_out_merged(table, subgroups, samples)
    figures = tabulate_scores(predicted, compared, subgroups, thresholds, n_bootstrap, random_state)
    return Report(
        title=title or "Report of a prediction model",
        outcome=outcome,
        attrition=attrition,
        characteristics=table,
        left_out=[*left_out, *merged_otherwise],
        left_out_groups=left_out_groups,
        description=describe(estimator),
        versions=versions(),
        parameters=tabulate_parameters(estimator),
        comparison_description="" if other is None else describe(other),
        checklist=make_checklist(
            has_attrition=attrition is not None,
            has_years=("predictions", "years") in table.index,
            has_missing=table.index.get_level_values("value").str.contains(MISSING).any(),
            has_subgroups=bool(subgroups),
            has_comparison=compared is not None,
            has_search=hasattr(estimator, "best_params_"),
        ),
        n_bootstrap=n_bootstrap,
        **figures,
    )


def _name_of(y):
    name = getattr(y, "name", None)
    return name if isinstance(name, str) else "the outcome"


def _check_comparison(comparison):
    if comparison is None or (isinstance(comparison, str) and comparison == "regression"):
        return
    if not hasattr(comparison, "fit") or isinstance(comparison, type):
        raise TypeError(
            f"comparison must be 'regression', a classifier, fitted or not, or None for no "
            f"comparison, got {shown(comparison)}."
        )
    if _is_fitted(comparison):
        check_estimator(comparison, "comparison")


def _is_fitted(model):
    try:
        check_is_fitted(model)
    except NotFittedError:
        return False
    return True


def _fit_comparison(comparison, X, is_event, classes, random_state):
    """The model to compare with, fitted; None if there is none."""
    if comparison is None:
        return None
    if isinstance(comparison, str):
        comparison = make_regression("binary", random_state)
    if not _is_fitted(comparison):
        comparison = clone(comparison).fit(X, classes[is_event.astype(np.int64)])
    check_estimator(comparison, "comparison")
    if not np.array_equal(comparison.classes_, classes):
        raise ValueError(
            "comparison was fitted with other classes than estimator. Fit both with the same "
            "outcomes."
        )
    return comparison
