"""Do batches of samples of similar length cost accuracy?

Mean ROC AUC with them and with plain shuffling: on held-out simulated patients for each signal and
five seeds, and on five folds of the bundled data. Run with ``make bench-bucketing``.
"""

from functools import partial
from unittest import mock

import numpy as np
from _report import Report
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    LSTMVisitClassifier,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import load_diabetes_readmission, make_visits
from sklearn_ehr.estimators import _net
from sklearn_ehr.nn import LengthBucketSampler

SAMPLERS = {
    "bucketed": LengthBucketSampler,
    "shuffled": partial(LengthBucketSampler, pool_fraction=0),
}


def score_both(X, y, train, test, seed, max_epochs):
    """ROC AUC with each way to draw batches, everything else the same."""
    scores = []
    for sampler in SAMPLERS.values():
        model = make_pipeline(
            VisitSequenceTransformer(),
            LSTMVisitClassifier(max_epochs=max_epochs, random_state=seed),
        )
        with mock.patch.object(_net, "LengthBucketSampler", sampler):
            model.fit(X[train], y[train])
        scores.append(roc_auc_score(y[test], model.predict_proba(X[test])[:, 1]))
    return scores


def add_row(report, what, scores):
    bucketed, shuffled = np.transpose(scores)
    spread = np.std([bucketed, shuffled], axis=1, ddof=1).mean()
    standard_error = spread / np.sqrt(len(scores))
    report.add(
        f"{what}: difference of mean ROC AUC, over its standard error",
        f"{bucketed.mean():.4f}",
        f"{shuffled.mean():.4f} (s.e. {standard_error:.4f})",
        abs(bucketed.mean() - shuffled.mean()) / standard_error,
        "< 1",
    )


def main(n_patients=4_000, n_seeds=5, max_epochs=50, with_bundled=True):
    report = Report("bucketing")
    for signal in ("bag", "recency", "order"):
        scores = []
        for seed in range(n_seeds):
            X, y = make_visits(n_patients, signal=signal, random_state=seed)
            split = PatientShuffleSplit(1, test_size=0.5, random_state=seed)
            train, test = next(split.split(X))
            scores.append(score_both(X, y.to_numpy(), train, test, seed, max_epochs))
        add_row(report, f"make_visits, {signal}", scores)
    if with_bundled:
        X, y = load_diabetes_readmission(return_X_y=True)
        folds = StratifiedPatientKFold(5, shuffle=True, random_state=0).split(X, y)
        scores = [
            score_both(X, y.to_numpy(), train, test, seed, max_epochs)
            for seed, (train, test) in enumerate(folds)
        ]
        add_row(report, "bundled data", scores)
    report.publish(save=with_bundled)
    return report


if __name__ == "__main__":
    main()
