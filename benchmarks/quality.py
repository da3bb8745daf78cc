"""How well does each model predict readmission, on the same folds of the same patients?

A fifth of the bundled data's patients, by a fixed hash, is set aside. On the others, over
patient-safe folds and several seeds, it prints the mean and spread of ROC AUC, average precision,
Brier score, calibration and fit time, and paired differences to each other model. Run with
``python benchmarks/quality.py``; about twenty minutes on two cores. With ``--held-out`` the models
are fitted to the four fifths and reported on once on the fifth, by age, sex and race too.
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _report import Report
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
# What averaging probabilities buys, as a VotingClassifier with voting="soft" does: upper marks.
WITH_TREES, OF_SEEDS = "mean of LSTM and trees", "mean of LSTMs of all seeds"
METRICS = {"ROC AUC": roc_auc_score, "average precision": average_precision_score}
COUNTS = {"history": (), "history and last visit": (1,)}
TREES = "trees, history and last visit"
# The network as the field describes it: embedding, mean, LSTM, linear head, trained once. Its
# weights are averaged too.
PLAIN = {
    "embedding_dim": 128,
    "hidden_dim": 128,
    "mlp_dim": 0,
    "linear_skip": False,
    "refit": False,
    "dropout": 0.3,
    "weight_decay": 0.0,
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
    for name, params in {"LSTM, plain": PLAIN, OURS: {}}.items():
        network = LSTMVisitClassifier(random_state=random_state, **params)
        models[name] = make_pipeline(VisitSequenceTransformer(), network)
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


def fit_and_predict(model, X, y, train, test):
    """Probabilities of the test samples, and how long the fit took."""
    start = time.perf_counter()
    model.fit(X[train], y[train])
    return model.predict_proba(X[test])[:, 1], time.perf_counter() - start


def measure_over_folds(X, y, cv, seeds):
    """A row a model, seed and fold; regressions have no seed that matters."""
    rows = []
    for fold, (train, test) in enumerate(cv.split(X, y)):
        told = {}
        for seed in seeds:
            for name, model in make_models(seed).items():
                if seed == seeds[0] or not name.startswith("regression"):
                    told[name, seed] = fit_and_predict(model, X, y, train, test)
            told[WITH_TREES, seed] = mean_of(told[OURS, seed], told[TREES, seed])
        told[OF_SEEDS, seeds[0]] = mean_of(*(told[OURS, seed] for seed in seeds))
        for (name, seed), (probability, seconds) in told.items():
            row = {"model": name, "seed": seed, "fold": fold, **measure(y[test], probability)}
            rows.append({**row, "fit time (s)": seconds})
            print(f"fold {fold} seed {seed}  {name:36} {row['ROC AUC']:.4f}", flush=True)
    return pd.DataFrame(rows)


def mean_of(*told):
    """Mean probability of models, and how long all their fits took."""
    probabilities, seconds = zip(*told, strict=True)
    return np.mean(probabilities, axis=0), sum(seconds)


def over_folds(results):
    """Scores of each model and fold, means over seeds."""
    return results.groupby(["model", "fold"], sort=False).mean().drop(columns="seed")


def differences(results, score):
    """Mean difference of ours to each other model over folds, and its standard error."""
    by_fold = over_folds(results)[score].unstack("model")
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


def score_held_out(X, y):
    """Scores of all models on the patients set aside, differences to ours, ours by subgroup."""
    kept = is_development(X.groups)
    train, test = np.flatnonzero(kept), np.flatnonzero(~kept)
    told = {
        name: fit_and_predict(model, X, y, train, test) for name, model in make_models().items()
    }
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
                None if name in (WITH_TREES, OF_SEEDS) else ">= 0",
            )
    add_limits(report, ours)
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
            "> -0.005",
        )
    add_limits(report, scores.loc[OURS])
    return report


def as_texts(table):
    """Four digits after the point, less where they would tell nothing."""
    digits = {"fit time (s)": 0, "samples": 0}
    return table.apply(lambda column: column.map(f"{{:.{digits.get(column.name, 4)}f}}".format))


def add_limits(report, ours):
    """Hold our fit time and calibration against what is asked of them."""
    seconds, slope, intercept = (
        ours[name] for name in ("fit time (s)", "calibration slope", "calibration intercept")
    )
    report.add("fit, against 90 s", f"{seconds:.0f} s", "90 s", seconds / 90, "< 1")
    report.add("calibration slope, distance from 1", f"{slope:.3f}", "1", abs(slope - 1), "<= 0.1")
    report.add(
        "calibration intercept, distance from 0",
        f"{intercept:.3f}",
        "0",
        abs(intercept),
        "<= 0.1",
    )


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


def main(*, n_patients=None, n_folds=5, seeds=(0, 1), picture=None, held_out=False):
    X, y = load_diabetes_readmission(return_X_y=True)
    y = y.to_numpy()
    if n_patients is not None:
        X, y = X[X.groups < n_patients], y[X.groups < n_patients]
    whole = n_patients is None
    if held_out:
        tables = score_held_out(X, y)
        report_held_out(*tables).publish(save=whole)
        return tables
    kept = is_development(X.groups)
    cv = StratifiedPatientKFold(n_folds, shuffle=True, random_state=0)
    results = measure_over_folds(X[kept], y[kept], cv, seeds)
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
