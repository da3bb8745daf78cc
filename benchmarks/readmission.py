"""Is the LSTM level with a tuned logistic regression on the bundled data?

Prints ROC AUC and average precision of both over five patient-safe folds, and the
patient-clustered bootstrap's 95 % interval for their paired difference. Run with
``python benchmarks/readmission.py``; about six minutes on two cores.
"""

import json
import sys
import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import load_diabetes_readmission

N_BOOTSTRAPS = 1000
METRICS = {"ROC AUC": roc_auc_score, "average precision": average_precision_score}


def mean_over_folds(metric, y, probability, fold, weight):
    """Mean over the folds of a metric of the weighted samples."""
    scores = []
    for k in np.unique(fold):
        kept = (fold == k) & (weight > 0)
        scores.append(metric(y[kept], probability[kept], sample_weight=weight[kept]))
    return np.mean(scores)


def bootstrap_difference(metric, y, first, second, fold, patient, random_state=0):
    """Paired differences of a metric over resamples of patients, drawn with replacement."""
    rng = np.random.default_rng(random_state)
    patients, patient = np.unique(patient, return_inverse=True)
    differences = []
    for _ in range(N_BOOTSTRAPS):
        drawn = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)))
        weight = drawn[patient]
        differences.append(
            mean_over_folds(metric, y, first, fold, weight)
            - mean_over_folds(metric, y, second, fold, weight)
        )
    return np.array(differences)


def main():
    X, y = load_diabetes_readmission(return_X_y=True)
    y = y.to_numpy()
    cv = StratifiedPatientKFold(5, shuffle=True, random_state=0)
    models = {
        "LSTM": make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0)),
        "logistic regression": GridSearchCV(
            make_pipeline(
                CodeCountVectorizer(encoding="log1p", last_visits=(1,)),
                LogisticRegression(max_iter=1000),
            ),
            {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1]},
            cv=cv,
            scoring="roc_auc",
        ),
    }
    folds = list(cv.split(X, y))
    fold = np.empty(len(y), dtype=int)
    probability = {name: np.empty(len(y)) for name in models}
    for k, (train, test) in enumerate(folds):
        fold[test] = k
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(X[train], y[train])
            probability[name][test] = model.predict_proba(X[test])[:, 1]
            score = roc_auc_score(y[test], probability[name][test])
            print(
                f"fold {k}  {name:20s} ROC AUC {score:.4f}  {time.perf_counter() - start:5.0f} s",
                flush=True,
            )
    report = {}
    for metric_name, metric in METRICS.items():
        ones = np.ones(len(y))
        means = [mean_over_folds(metric, y, p, fold, ones) for p in probability.values()]
        differences = bootstrap_difference(metric, y, *probability.values(), fold, X.groups)
        low, high = np.quantile(differences, [0.025, 0.975])
        print(
            f"{metric_name:18s} LSTM {means[0]:.4f}  logistic regression {means[1]:.4f}  "
            f"difference {means[0] - means[1]:+.4f}  95 % interval [{low:+.4f}, {high:+.4f}]"
        )
        report[metric_name] = {
            **dict(zip(models, means, strict=True)),
            "interval": [low, high],
        }
    json.dump(report, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
