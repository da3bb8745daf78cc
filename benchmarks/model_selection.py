"""Do two processes halve a grid search?

Eight candidates of the whole pipeline over five folds: of 6,000 patients of the bundled data, and
of 3,000 simulated ones with longer histories, where torch's two threads help one process the most.
Run with ``make bench-model-selection``.
"""

import time

import numpy as np
from _report import Report
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import LSTMVisitClassifier, StratifiedPatientKFold, VisitSequenceTransformer
from sklearn_ehr.datasets import load_diabetes_readmission, make_visits

GRID = {
    "lstmvisitclassifier__hidden_dim": [64, 128],
    "lstmvisitclassifier__lr": [1e-3, 2e-3],
    "visitsequencetransformer__min_frequency": [10, 50],
}


def search(X, y, n_jobs, max_epochs):
    """Seconds that the search takes, and the scores it finds."""
    model = make_pipeline(
        VisitSequenceTransformer(), LSTMVisitClassifier(max_epochs=max_epochs, random_state=0)
    )
    cv = StratifiedPatientKFold(5, shuffle=True, random_state=0)
    grid = GridSearchCV(model, GRID, cv=cv, scoring="roc_auc", n_jobs=n_jobs, refit=False)
    start = time.perf_counter()
    grid.fit(X, y)
    return time.perf_counter() - start, grid.cv_results_["mean_test_score"]


def compare(report, what, X, y, max_epochs, n_rounds):
    seconds, scores = {1: [], 2: []}, {}
    # The first two processes are started here, not on the clock.
    search(X[:200], y[:200], 2, 1)
    for _ in range(n_rounds):
        for n_jobs, times in seconds.items():
            passed, scores[n_jobs] = search(X, y, n_jobs, max_epochs)
            times.append(passed)
    one, two = np.median(seconds[1]), np.median(seconds[2])
    report.add(
        f"GridSearchCV, {what}, n_jobs=2 over n_jobs=1",
        f"{two:.1f} s",
        f"{one:.1f} s",
        two / one,
        "<= 0.65",
    )
    difference = np.abs(scores[1] - scores[2]).max()
    report.add(
        f"largest difference of the scores, {what}, against 1e-3",
        f"{difference:.1e}",
        "1e-3",
        difference / 1e-3,
        "<= 1",
    )


def first_patients(X, y, n_patients):
    chosen = np.isin(X.groups, np.unique(X.groups)[:n_patients])
    return X[chosen], y[chosen]


def main(n_patients=6_000, n_simulated=3_000, max_epochs=3, n_rounds=3):
    report = Report("model_selection")
    bundled = load_diabetes_readmission(return_X_y=True)
    X, y = first_patients(*bundled, n_patients)
    compare(report, "bundled data", X, y, max_epochs, n_rounds)
    X, y = make_visits(n_simulated, n_codes=2_000, random_state=0)
    compare(report, "simulated", X, y, max_epochs, n_rounds)
    report.publish(save=n_patients == 6_000)
    return report


if __name__ == "__main__":
    main()
