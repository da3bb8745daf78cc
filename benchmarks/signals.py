"""How much of a known risk does each model find in simulated histories?

For each signal of `make_visits`, ROC AUC on patients outside training of regression and boosted
trees on counts, of an LSTM with default parameters, and of the true risk, which no model can beat;
where the signal is in values or in times, with the parameters that show these to a model. For the
two signals that are about order, with more and more patients. Run with
``make bench-signals``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _report import Report
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import CodeCountVectorizer, LSTMVisitClassifier, VisitSequenceTransformer
from sklearn_ehr.datasets import make_visits

# Recency is about time, which is shown to no model, and then to all.
WITH_TIMES = "recency and times"
SIGNALS = ("bag", "recency", WITH_TIMES, "order", "gaps", "values", "groups")
GROWING = ("recency", "order")
COUNTS = {"history": (), "history and last visit": (1,)}
# What a signal is about is shown to each model, as far as it can be shown it.
WINDOWS = {"windows": ("30D", "90D", "365D")}
OF_COUNTS = {"values": {"value_bins": 4}, "gaps": WINDOWS, WITH_TIMES: WINDOWS}
OF_VISITS = {"values": {"value_bins": 4}}
OF_NETWORK = {"gaps": {"time_gaps": True}, WITH_TIMES: {"time_gaps": True}}
OURS, TRUTH = "LSTM, defaults", "true risk"
# Of the size that each signal is compared at, and of those of the learning curve: how many seeds.
N_PATIENTS = 6_000
N_SEEDS = {2_000: 5, N_PATIENTS: 5, 20_000: 3}
N_TEST = 10_000
# How `linear_skip` adds up was chosen on draws 0 to 4.
FIRST_SEED = 10


def make_models(signal, random_state):
    """Pipelines by their name; but for what shows them the signal, and C, with their defaults."""
    of_counts = OF_COUNTS.get(signal, {})
    models = {}
    for name, last_visits in COUNTS.items():
        counts = CodeCountVectorizer(encoding="log1p", last_visits=last_visits, **of_counts)
        models[f"regression, {name}"] = GridSearchCV(
            make_pipeline(counts, LogisticRegression(max_iter=1000)),
            {"logisticregression__C": [1e-3, 1e-2, 1e-1, 1]},
            scoring="roc_auc",
        )
        models[f"trees, {name}"] = make_pipeline(
            clone(counts).set_params(encoding="count", sparse_output=False),
            HistGradientBoostingClassifier(random_state=random_state),
        )
    models[OURS] = make_pipeline(
        VisitSequenceTransformer(**OF_VISITS.get(signal, {})),
        LSTMVisitClassifier(random_state=random_state, **OF_NETWORK.get(signal, {})),
    )
    return models


def score_models(signal, n_patients, seed, n_test):
    """ROC AUC of each model, and of the true risk, on patients outside training."""
    simulated = "recency" if signal == WITH_TIMES else signal
    X, y = make_visits(n_patients + n_test, signal=simulated, random_state=seed)
    train, test = np.split(np.arange(len(X)), [n_patients])
    y = y.to_numpy()
    scores = {TRUTH: roc_auc_score(y[test], X.samples["risk"].to_numpy()[test])}
    for name, model in make_models(signal, seed).items():
        model.fit(X[train], y[train])
        scores[name] = roc_auc_score(y[test], model.predict_proba(X[test])[:, 1])
    return scores


def score_signals(n_seeds, n_test, n_jobs):
    """A row a signal, number of patients and seed, a column a model."""
    draws = [
        (signal, n_patients, seed)
        for n_patients in sorted(n_seeds, reverse=True)
        for signal in (SIGNALS if n_patients == N_PATIENTS else GROWING)
        for seed in range(FIRST_SEED, FIRST_SEED + n_seeds[n_patients])
    ]
    # One process a core: each with one thread they lose no time waiting for each other.
    score = delayed(score_models)
    scores = Parallel(n_jobs, verbose=10)(score(*draw, n_test) for draw in draws)
    index = pd.MultiIndex.from_tuples(draws, names=["signal", "patients", "seed"])
    return pd.DataFrame(scores, index=index).sort_index()


def add_rows(report, scores):
    """Hold the mean scores against those of regression, and the way to the true risk."""
    by_size = scores.groupby(["signal", "patients"])
    means, spread = by_size.mean(), by_size.sem()
    regressions = [name for name in means if name.startswith("regression")]
    others, most = means.drop(columns=[OURS, TRUTH]), max(means.index.unique("patients"))
    for (signal, n_patients), mean in means.iterrows():
        ours = f"{mean[OURS]:.4f} (s.e. {spread.loc[(signal, n_patients), OURS]:.4f})"
        where = f"{signal}, {n_patients:,} patients"
        if n_patients == N_PATIENTS:
            best = mean[regressions].idxmax()
            report.add(
                f"{where}: ROC AUC less that of tuned regression",
                ours,
                f"{mean[best]:.4f} ({best})",
                mean[OURS] - mean[best],
                ">= -0.005",
            )
        if signal in GROWING:
            best = others.loc[(signal, n_patients)].idxmax()
            report.add(
                f"{where}: share of the way from the best other to the true risk",
                ours,
                f"{mean[best]:.4f} ({best}), {mean[TRUTH]:.4f}",
                (mean[OURS] - mean[best]) / (mean[TRUTH] - mean[best]),
                ">= 0.5" if n_patients == most else None,
            )


def draw(scores, path):
    """Learning curves of all models, mean over seeds."""
    means = scores.groupby(["signal", "patients"]).mean()
    fig, axes = plt.subplots(1, len(GROWING), figsize=(10, 3.5), sharey=True)
    for ax, signal in zip(axes, GROWING, strict=True):
        for name, curve in means.loc[signal].items():
            style = {TRUTH: "k:", OURS: "C0o-"}.get(name, "o-")
            color = {} if name in (TRUTH, OURS) else {"alpha": 0.6}
            ax.plot(curve.index, curve, style, label=name, **color)
        ax.set(title=signal, xlabel="patients to train on", xscale="log")
        ax.set_xticks(curve.index, [f"{n:,}" for n in curve.index])
        ax.minorticks_off()
    axes[0].set_ylabel("ROC AUC")
    axes[1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    fig.tight_layout()
    fig.savefig(path, dpi=100)


def main(n_seeds=N_SEEDS, n_test=N_TEST, n_jobs=-1, picture=None):
    scores = score_signals(n_seeds, n_test, n_jobs)
    print(scores.groupby(["signal", "patients"]).mean().round(4).T.to_string())
    report = Report("signals")
    add_rows(report, scores)
    report.publish(save=picture is not None)
    if picture is not None:
        draw(scores, picture)
    return report


if __name__ == "__main__":
    main(picture=Path(__file__).parent / "signals.png")
