"""How well does each model predict readmission, on the same folds of the same patients?

A fifth of the bundled data's patients, by a fixed hash, is set aside. On the others, over
patient-safe folds and several seeds, it prints the mean and spread of ROC AUC, average precision,
Brier score, calibration and fit time of an LSTM, of regression and boosted trees on counts, and of
votes and stacks of these, and paired differences to each other model. Run with
``python benchmarks/quality.py``. With ``--held-out`` the models are fitted to the four fifths and
reported on once on the fifth, by age, sex and race too.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _report import Report
from _scores import measure
from joblib import Parallel, delayed, parallel_config
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
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

OURS, PLAIN, STACK = "LSTM, defaults", "LSTM, plain", "stack of LSTM and regression"
REGRESSION, TREES = "regression, history and last visit", "trees, history and last visit"
# The mean of these models' probabilities is what `VotingClassifier` with voting="soft" predicts.
# It would fit both once more.
VOTES = {
    "vote of LSTM and regression": (OURS, REGRESSION),
    "vote of LSTM and trees": (OURS, TREES),
}
METRICS = {"ROC AUC": roc_auc_score, "average precision": average_precision_score}
COUNTS = {"history": (), "history and last visit": (1,)}
# The network as the field describes it, trained once.
OF_PLAIN = {
    "embedding_dim": 128,
    "hidden_dim": 256,
    "num_layers": 2,
    "dropout": 0.3,
    "lr": 1e-3,
    "weight_decay": 0.0,
    "average": False,
    "refit": False,
    "aggregation": "mean",
}
SUBGROUPS = {
    "age under 50": ["AGE//[0-10)", "AGE//[10-20)", "AGE//[20-30)", "AGE//[30-40)", "AGE//[40-50)"],
    "age 50 to 59": ["AGE//[50-60)"],
    "age 60 to 69": ["AGE//[60-70)"],
    "age 70 to 79": ["AGE//[70-80)"],
    "age 80 and over": ["AGE//[80-90)", "AGE//[90-100)"],
    "female": ["SEX//Female"],
    "male": ["SEX//Male"],
    "African American": ["RACE//AfricanAmerican"],
    "Caucasian": ["RACE//Caucasian"],
    "other races": ["RACE//Asian", "RACE//Hispanic", "RACE//Other"],
    # None of the codes of a race.
    "race unknown": [],
}
N_BOOTSTRAPS = 1000
# What the means of ours over folds are held against.
LIMITS = {"ROC AUC": 0.680, "average precision": 0.229}


def is_development(groups):
    """Whether a sample's patient is one of the four fifths to develop on."""
    return pd.util.hash_array(np.asarray(groups)) % 5 != 0


def make_models(random_state=0):
    """Models by their name, each from a cohort to probabilities, the slowest last."""
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
    for name, params in {PLAIN: OF_PLAIN, OURS: {}}.items():
        network = LSTMVisitClassifier(random_state=random_state, **params)
        models[name] = make_pipeline(VisitSequenceTransformer(), network)
    # On log-odds, as the penalty of the final regression would shrink probabilities too much.
    models[STACK] = StackingClassifier(
        [("lstm", models[OURS]), ("counts", models[REGRESSION])],
        stack_method="decision_function",
        cv=StratifiedPatientKFold(5),
    )
    return models


def is_fitted_once(name):
    """Whether a model has no seed that matters, or takes so long that one seed has to do."""
    return name.startswith("regression") or name == STACK


def predict_folds(X, y, folds, seeds, n_jobs):
    """Risks of each fold's test samples and seconds of the fit, by model or vote, seed and fold.

    Fits run side by side, each with one thread. The slowest start first, so that no core waits for
    long at the end.
    """
    tasks = [
        (name, seed, fold)
        for name in reversed(make_models())
        for seed in (seeds[:1] if is_fitted_once(name) else seeds)
        for fold in range(len(folds))
    ]
    told = {}
    with parallel_config("loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs, return_as="generator_unordered")
        fits = (delayed(fit_and_predict)(*task, X, y, folds) for task in tasks)
        for name, seed, fold, risk, seconds in parallel(fits):
            told[name, seed, fold] = risk, seconds
            auc = roc_auc_score(y[folds[fold][1]], risk)
            row = f"fold {fold} seed {seed}  {name:36} ROC AUC {auc:.4f}, {seconds:.0f} s"
            print(row, flush=True)
    for vote, (ours, other) in VOTES.items():
        for seed, fold in product(seeds, range(len(folds))):
            only = seeds[0] if is_fitted_once(other) else seed
            told[vote, seed, fold] = mean_of(told[ours, seed, fold], told[other, only, fold])
    return told


def fit_and_predict(name, seed, fold, X, y, folds):
    """What was fitted, risks of the fold's test samples, and how long the fit took."""
    train, test = folds[fold]
    start = time.perf_counter()
    model = make_models(seed)[name].fit(X[train], y[train])
    seconds = time.perf_counter() - start
    return name, seed, fold, model.predict_proba(X[test])[:, 1], seconds


def mean_of(*fits):
    """Mean of the models' risks, and the sum of their seconds."""
    risks, seconds = zip(*fits, strict=True)
    return np.mean(risks, axis=0), sum(seconds)


def measure_over_folds(X, y, cv, seeds, n_jobs):
    """A row a model, seed and fold."""
    folds = list(cv.split(X, y))
    told = predict_folds(X, y, folds, seeds, n_jobs)
    rows = [
        {"model": name, "seed": seed, "fold": fold}
        | measure(y[folds[fold][1]], risk)
        | {"fit time (s)": seconds}
        for (name, seed, fold), (risk, seconds) in told.items()
    ]
    order = [*make_models(), *VOTES]
    return pd.DataFrame(rows).sort_values("model", key=lambda names: names.map(order.index))


def over_folds(results):
    """Scores of each model and fold, means over seeds."""
    return results.groupby(["model", "fold"], sort=False).mean().drop(columns="seed")


def differences(results, score):
    """Mean difference of ours to each other model over folds, and its standard error."""
    by_fold = over_folds(results)[score].unstack("model", sort=False)
    difference = by_fold[[OURS]].to_numpy() - by_fold.drop(columns=OURS)
    return pd.DataFrame({"difference": difference.mean(), "standard error": difference.sem()})


def bootstrap_differences(metric, y, ours, theirs, patients, random_state=0):
    """Paired differences of a metric over resamples of patients, drawn with replacement."""
    rng = np.random.default_rng(random_state)
    distinct, patient = np.unique(patients, return_inverse=True)
    n = len(distinct)
    weights = (rng.multinomial(n, np.full(n, 1 / n))[patient] for _ in range(N_BOOTSTRAPS))
    return np.array(
        [
            metric(y, ours, sample_weight=weight) - metric(y, theirs, sample_weight=weight)
            for weight in weights
        ]
    )


def score_held_out(X, y, n_jobs):
    """Scores of all models on the patients set aside, differences to ours, ours by subgroup."""
    kept = is_development(X.groups)
    train, test = np.flatnonzero(kept), np.flatnonzero(~kept)
    by_fit = predict_folds(X, y, [(train, test)], [0], n_jobs)
    told = {name: by_fit[name, 0, 0] for name in [*make_models(), *VOTES]}
    rows = {name: measure(y[test], p) | {"fit time (s)": s} for name, (p, s) in told.items()}
    ours, _ = told.pop(OURS)
    intervals = {}
    for name, (theirs, _) in told.items():
        for score, metric in METRICS.items():
            drawn = bootstrap_differences(metric, y[test], ours, theirs, X.groups[test])
            difference = metric(y[test], ours) - metric(y[test], theirs)
            low, high = np.quantile(drawn, [0.025, 0.975])
            intervals[name, score] = {"difference": difference, "low": low, "high": high}
    subgroups = {}
    for name, is_in in in_subgroups(X[test]).items():
        subgroups[name] = {"samples": is_in.sum(), **measure(y[test][is_in], ours[is_in])}
    return [pd.DataFrame(table).T for table in (rows, intervals, subgroups)]


def in_subgroups(X):
    """Whether the last visit of each sample has one of the codes of each subgroup."""
    vectorizer = CodeCountVectorizer(min_frequency=1, last_visits=(1,)).fit(X)
    counts = vectorizer.transform(X).tocsc()
    names = vectorizer.get_feature_names_out()
    column = {
        name.removesuffix("@last1"): i for i, name in enumerate(names) if name.endswith("@last1")
    }

    def has_any(codes):
        return counts[:, [column[c] for c in codes if c in column]].sum(axis=1).A1 > 0

    races = [code for code in column if code.startswith("RACE//")]
    return {name: has_any(codes) if codes else ~has_any(races) for name, codes in SUBGROUPS.items()}


def report_folds(results):
    """Hold the mean of ours over folds against that of each model, and against what is asked."""
    report = Report("quality")
    by_model = over_folds(results).groupby("model", sort=False)
    ours = by_model.mean().loc[OURS]
    spread = by_model.std().map(lambda value: f" ({value:.4f})")
    report.add_table("Mean (standard deviation) over folds", as_texts(by_model.mean()) + spread)
    for score in METRICS:
        for name, row in differences(results, score).iterrows():
            report.add(
                f"{score}, less that of {name}",
                f"{ours[score]:.4f}",
                f"{ours[score] - row['difference']:.4f} (s.e. {row['standard error']:.4f})",
                row["difference"],
                ">= 0" if is_alone(name) else None,
            )
    for score, limit in LIMITS.items():
        report.add(f"{score}, ours", f"{ours[score]:.4f}", f"{limit}", ours[score], f">= {limit}")
    add_calibration(report, ours)
    return report


def report_held_out(scores, intervals, subgroups):
    """Hold the lower ends of intervals against what counts as level, and ours against limits."""
    report = Report("quality_held_out")
    report.add_table("Patients set aside", as_texts(scores.rename_axis("model")))
    report.add_table("Of them, ours by group", as_texts(subgroups.rename_axis("group")))
    for (name, score), (difference, low, high) in intervals.iterrows():
        report.add(
            f"{score}, less that of {name}: lower end of the 95 % interval",
            f"{scores.loc[OURS, score]:.4f}",
            f"{scores.loc[name, score]:.4f} ({difference:+.4f}, {low:+.4f} to {high:+.4f})",
            low,
            "> -0.005" if is_alone(name) else None,
        )
    add_calibration(report, scores.loc[OURS])
    return report


def as_texts(table):
    """Four digits after the point, less where they would tell nothing."""
    digits = {"fit time (s)": 0, "samples": 0}
    return table.apply(lambda column: column.map(f"{{:.{digits.get(column.name, 4)}f}}".format))


def is_alone(name):
    """Whether a model is one, not a stack or a vote of ours and another, which is to be better."""
    return name != STACK and name not in VOTES


def add_calibration(report, ours):
    """Hold our calibration against what is asked of it."""
    for what, limit in {"calibration slope": 0.1, "mean risk / base rate": 0.03}.items():
        value = ours[what]
        report.add(f"{what}, distance from 1", f"{value:.3f}", "1", abs(value - 1), f"<= {limit}")


def draw(results, path):
    """Each fold's scores, means over seeds, and the mean of these."""
    fig, axes = plt.subplots(1, len(METRICS), figsize=(10, 3), sharey=True)
    by_fold = over_folds(results)
    names = by_fold.index.unique("model")
    for ax, score in zip(axes, METRICS, strict=True):
        for place, name in enumerate(names):
            values = by_fold.loc[name, score]
            ax.plot(values, np.full(len(values), place), "o", color="C0", alpha=0.5)
            ax.plot(values.mean(), place, "|", color="k", ms=16)
        ax.set(xlabel=score)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    fig.tight_layout()
    fig.savefig(path, dpi=100)


def main(*, n_patients=None, n_folds=5, seeds=(0, 1), n_jobs=-1, picture=None, held_out=False):
    X, y = load_diabetes_readmission(return_X_y=True)
    y = y.to_numpy()
    if n_patients is not None:
        X, y = X[X.groups < n_patients], y[X.groups < n_patients]
    whole = n_patients is None
    if held_out:
        tables = score_held_out(X, y, n_jobs)
        report_held_out(*tables).publish(save=whole)
        return tables
    kept = is_development(X.groups)
    cv = StratifiedPatientKFold(n_folds, shuffle=True, random_state=0)
    results = measure_over_folds(X[kept], y[kept], cv, seeds, n_jobs)
    report_folds(results).publish(save=whole)
    if picture is not None:
        draw(results, picture)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held-out", action="store_true", help="report on the patients set aside")
    if parser.parse_args().held_out:
        main(held_out=True)
    else:
        main(picture=Path(__file__).parent / "quality.png")
