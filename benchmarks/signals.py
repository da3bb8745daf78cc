"""How much of a known risk does each model find in simulated histories?

For each signal of `make_visits`, ROC AUC on patients outside training of regression and boosted
trees on counts, of an LSTM with default parameters, of the vote of LSTM and regression, and of the
true risk, which no model can beat; where the signal is in values or in times, with the parameters
that show these to a model. For signals in counts and in order, with more and more patients; where
counts tell all, and where order does, their stack too. Run with ``make bench-signals``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _report import Report
from _scores import measure
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

# Recency is about time, which is shown to no model, and then to all.
WITH_TIMES = "recency and times"
SIGNALS = ("bag", "recency", WITH_TIMES, "order", "gaps", "values", "groups")
# Signals that are about order; those with a learning curve; those that a stack is fitted to.
ORDERED = ("recency", "order")
GROWING = ("bag", *ORDERED)
STACKED = ("bag", "order")
COUNTS = {"history": (), "history and last visit": (1,)}
# What a signal is about is shown to each model, as far as it can be shown it.
WINDOWS = {"windows": ("30D", "90D", "365D")}
OF_COUNTS = {"values": {"value_bins": 4}, "gaps": WINDOWS, WITH_TIMES: WINDOWS}
OF_VISITS = {"values": {"value_bins": 4}}
OF_NETWORK = {"gaps": {"time_gaps": True}, WITH_TIMES: {"time_gaps": True}}
OURS, TRUTH = "LSTM, defaults", "true risk"
# The regression that goes with the LSTM in votes and stacks sees the last visit apart where it is
# not codes alone that tell.
REGRESSION = dict.fromkeys(SIGNALS, "regression, history and last visit") | dict.fromkeys(
    ("bag", "values", "groups"), "regression, history"
)
STACK, VOTE = "stack of LSTM and regression", "vote of LSTM and regression"
# Of the size that each signal is compared at, and of those of the learning curve: how many draws.
# A stack takes six fits of each model, so it is fitted on fewer large ones.
N_PATIENTS = 6_000
N_DRAWS = {800: 5, 2_000: 5, N_PATIENTS: 5, 20_000: 3}
N_DRAWS_OF_STACKS = {800: 5, 2_000: 5, N_PATIENTS: 3, 20_000: 1}
N_TEST = 10_000
# Parameters were chosen on draws 0 to 4.
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
    # On log-odds, as the penalty of the final regression would shrink probabilities too much.
    models[STACK] = StackingClassifier(
        [(name, models[name]) for name in (OURS, REGRESSION[signal])],
        stack_method="decision_function",
        cv=StratifiedPatientKFold(5),
    )
    return models


def score_models(signal, n_patients, seed, n_test, is_stacked):
    """Scores of each model, and of the true risk, on patients outside training."""
    simulated = "recency" if signal == WITH_TIMES else signal
    X, y = make_visits(n_patients + n_test, signal=simulated, random_state=seed)
    train, test = np.split(np.arange(len(X)), [n_patients])
    y = y.to_numpy()
    models, fitted = make_models(signal, seed), {}
    stack = models.pop(STACK)
    if is_stacked:
        fitted = {STACK: stack.fit(X[train], y[train])}
        # It has fitted its models on all patients, too.
        fitted |= stack.named_estimators_
    for name, model in models.items():
        if name not in fitted:
            fitted[name] = model.fit(X[train], y[train])
    risks = {name: model.predict_proba(X[test])[:, 1] for name, model in fitted.items()}
    # What `VotingClassifier` with voting="soft" predicts.
    risks[VOTE] = (risks[OURS] + risks[REGRESSION[signal]]) / 2
    risks[TRUTH] = X.samples["risk"].to_numpy()[test]
    return {name: measure(y[test], risk) for name, risk in risks.items()}


def score_signals(n_draws, n_test, n_jobs):
    """Frames of ROC AUC and of calibration slopes, a row a signal, number of patients and seed."""
    draws = [
        (signal, n_patients, seed)
        for n_patients in sorted(n_draws, reverse=True)
        for signal in (SIGNALS if n_patients == N_PATIENTS else GROWING)
        for seed in range(FIRST_SEED, FIRST_SEED + n_draws[n_patients])
    ]
    # One process a core: each with one thread they lose no time waiting for each other.
    with parallel_config("loky", inner_max_num_threads=1):
        scores = Parallel(n_jobs, verbose=10)(
            delayed(score_models)(*draw, n_test, is_stacked(*draw)) for draw in draws
        )
    index = pd.MultiIndex.from_tuples(draws, names=["signal", "patients", "seed"])
    order = [*make_models("bag", 0), VOTE, TRUTH]
    return [
        pd.DataFrame(
            [{name: told[name][score] for name in order if name in told} for told in scores],
            index=index,
            columns=order,
        ).sort_index()
        for score in ("ROC AUC", "calibration slope")
    ]


def is_stacked(signal, n_patients, seed):
    """Whether the stack is fitted to a draw."""
    n_draws = N_DRAWS_OF_STACKS.get(n_patients, 1)
    return signal in STACKED and seed < FIRST_SEED + n_draws


def add_tables(report, scores, slopes):
    """Mean scores of all models, and calibration slopes of those with an LSTM inside."""
    for title, table in {
        "Mean ROC AUC over draws": scores,
        "Mean calibration slope over draws": slopes[[OURS, VOTE, STACK]],
    }.items():
        means = table.groupby(["signal", "patients"]).mean()
        means.index = pd.Index([where(*place) for place in means.index], name="signal")
        report.add_table(title, means.map("{:.4f}".format).replace("nan", ""))


def where(signal, n_patients):
    return f"{signal}, {n_patients:,} patients"


def add_rows(report, scores, slopes):
    """Hold the LSTM and its stack against regression, and the LSTM's way to the true risk."""
    most = max(scores.index.unique("patients"))
    for (signal, n_patients), draws in scores.groupby(["signal", "patients"]):
        place = where(signal, n_patients)
        if n_patients == N_PATIENTS:
            # Where counts tell all, an LSTM has to learn what a regression is made for.
            bar = None if signal == "bag" else ">= -0.005"
            add_difference(report, place, OURS, draws, bar)
        if draws[STACK].notna().any():
            add_difference(report, place, STACK, draws, ">= -0.005")
        if signal == "bag":
            slope = slopes.loc[(signal, n_patients), STACK].mean()
            report.add(
                f"{place}: calibration slope of the {STACK}, or its inverse if larger",
                f"{slope:.3f}",
                "1",
                max(slope, 1 / slope),
                "<= 1.25",
            )
        if signal in ORDERED:
            add_way(report, place, draws, ">= 0.5" if n_patients == most else None)


def add_difference(report, place, name, draws, bar):
    """Hold a model against the best tuned regression, on the draws that it was fitted to."""
    draws = draws[draws[name].notna()]
    best = draws.filter(like="regression, ").mean().idxmax()
    difference = draws[name] - draws[best]
    n_draws = len(draws)
    error = f"s.e. of the difference {difference.sem():.4f}" if n_draws > 1 else "one draw"
    report.add(
        f"{place}: ROC AUC of {name}, less that of tuned regression",
        f"{draws[name].mean():.4f}",
        f"{draws[best].mean():.4f} ({best}; {error})",
        difference.mean(),
        bar,
    )


def add_way(report, place, draws, bar):
    """Say how far the LSTM is from the best model of counts to the true risk."""
    mean = draws.mean()
    best = mean[[name for name in mean.index if name.startswith(("regression", "trees"))]].idxmax()
    report.add(
        f"{place}: share of the way from the best other to the true risk",
        f"{mean[OURS]:.4f} (s.e. {draws[OURS].sem():.4f})",
        f"{mean[best]:.4f} ({best}), {mean[TRUTH]:.4f}",
        (mean[OURS] - mean[best]) / (mean[TRUTH] - mean[best]),
        bar,
    )


def draw(scores, path):
    """Learning curves of all models, mean over seeds."""
    means = scores.groupby(["signal", "patients"]).mean()
    fig, axes = plt.subplots(1, len(GROWING), figsize=(13, 3.5), sharey=True)
    for ax, signal in zip(axes, GROWING, strict=True):
        for name, curve in means.loc[signal].items():
            style = {TRUTH: "k:", OURS: "C0o-"}.get(name, "o-")
            color = {} if name in (TRUTH, OURS) else {"alpha": 0.6}
            ax.plot(curve.index, curve, style, label=name, **color)
        ax.set(title=signal, xlabel="patients to train on", xscale="log")
        ax.set_xticks(curve.index, [f"{n:,}" for n in curve.index])
        ax.minorticks_off()
    axes[0].set_ylabel("ROC AUC")
    axes[-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    fig.tight_layout()
    fig.savefig(path, dpi=100)


def main(n_draws=N_DRAWS, n_test=N_TEST, n_jobs=-1, picture=None):
    scores, slopes = score_signals(n_draws, n_test, n_jobs)
    report = Report("signals")
    add_tables(report, scores, slopes)
    add_rows(report, scores, slopes)
    report.publish(save=n_draws == N_DRAWS)
    if picture is not None:
        draw(scores, picture)
    return report


if __name__ == "__main__":
    main(picture=Path(__file__).parent / "signals.png")
