"""How well does each model predict readmission, on the same folds of the same patients?

A fifth of the bundled data's patients, by a fixed hash, is set aside and not looked at. On the
others, over patient-safe folds, it prints the mean and spread of ROC AUC, average precision, Brier
score, calibration and fit time, and paired differences to each other model. Run with
``python benchmarks/quality.py``; about five minutes on two cores.
"""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import load_diabetes_readmission

OURS = "LSTM, defaults"
SCORES = ["ROC AUC", "average precision"]
COUNTS = {"history": (), "history and last visit": (1,)}


def is_development(groups):
    """Whether a sample's patient is one of the four fifths to develop on."""
    return pd.util.hash_array(np.asarray(groups)) % 5 != 0


def make_models(random_state=0):
    """Pipelines by their name, each from a cohort to probabilities."""
    models = {}
    for name, last_visits in COUNTS.items():
        log_counts = CodeCountVectorizer(encoding="log1p", last_visits=last_visits)
        models[f"regression, {name}"] = GridSearchCV(
            make_pipeline(log_counts, LogisticRegression(max_iter=1000)),
            {"logisticregression__C": [1e-3, 1e-2, 1e-1, 1]},
            cv=StratifiedPatientKFold(3, shuffle=True, random_state=random_state),
            scoring="roc_auc",
        )
    for name, last_visits in COUNTS.items():
        counts = CodeCountVectorizer(last_visits=last_visits, sparse_output=False)
        models[f"trees, {name}"] = make_pipeline(
            counts, HistGradientBoostingClassifier(random_state=random_state)
        )
    models[OURS] = make_pipeline(
        VisitSequenceTransformer(), LSTMVisitClassifier(random_state=random_state)
    )
    return models


def measure(y, probability):
    """Scores of probabilities, and how their log-odds would have to be changed to be calibrated.

    The slope is that of a logistic regression on them, the intercept what has to be added to them.
    """
    log_odds = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    line = LogisticRegression(C=np.inf, max_iter=1000).fit(log_odds[:, None], y)
    return {
        "ROC AUC": roc_auc_score(y, probability),
        "average precision": average_precision_score(y, probability),
        "Brier score": brier_score_loss(y, probability),
        "calibration slope": line.coef_[0, 0],
        "calibration intercept": brentq(lambda a: expit(log_odds + a).mean() - y.mean(), -9, 9),
    }


def measure_over_folds(X, y, models, cv):
    """A row a model and fold."""
    rows = []
    for fold, (train, test) in enumerate(cv.split(X, y)):
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(X[train], y[train])
            seconds = time.perf_counter() - start
            scores = measure(y[test], model.predict_proba(X[test])[:, 1])
            rows.append({"model": name, "fold": fold, **scores, "fit time (s)": seconds})
            print(f"fold {fold}  {name:36} {scores['ROC AUC']:.4f}  {seconds:4.0f} s", flush=True)
    return pd.DataFrame(rows)


def differences(results, score):
    """Mean difference of ours to each other model over folds, and its standard error."""
    by_fold = results.pivot(index="fold", columns="model", values=score)
    difference = by_fold[[OURS]].to_numpy() - by_fold.drop(columns=OURS)
    return pd.DataFrame({"difference": difference.mean(), "standard error": difference.sem()})


def draw(results, path):
    """Each fold's scores, and their mean."""
    fig, axes = plt.subplots(1, len(SCORES), figsize=(10, 3), sharey=True)
    names = list(dict.fromkeys(results["model"]))
    for ax, score in zip(axes, SCORES, strict=True):
        for place, name in enumerate(names):
            values = results.loc[results["model"] == name, score]
            ax.plot(values, np.full(len(values), place), "o", color="C0", alpha=0.5)
            ax.plot(values.mean(), place, "|", color="k", ms=16)
        ax.set(xlabel=score)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    fig.tight_layout()
    fig.savefig(path, dpi=100)


def main(*, n_patients=None, n_folds=5, picture=None):
    X, y = load_diabetes_readmission(return_X_y=True)
    kept = is_development(X.groups)
    if n_patients is not None:
        kept &= X.groups < n_patients
    X, y = X[kept], y.to_numpy()[kept]
    cv = StratifiedPatientKFold(n_folds, shuffle=True, random_state=0)
    results = measure_over_folds(X, y, make_models(), cv)
    summary = results.drop(columns="fold").groupby("model", sort=False).agg(["mean", "std"])
    with pd.option_context("display.width", 200, "display.max_columns", None):
        for column in summary.columns.levels[0]:
            print(f"\n{column}\n{summary[column].round(4)}")
        for score in SCORES:
            print(f"\n{OURS} less the others, {score}\n{differences(results, score).round(4)}")
    if picture is not None:
        draw(results, picture)
    return results


if __name__ == "__main__":
    main(picture=Path(__file__).parent / "quality.png")
