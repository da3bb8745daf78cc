"""
More than codes: gaps between visits, and results of tests
==========================================================

Which codes were recorded is not all that a history tells. Here the outcome depends on the gaps
between visits alone, and then on the values of tests alone; the codes by themselves say nothing.
The histories are simulated, so that the best score that any model can have is known.
"""

# %%
# Two cohorts, each with one signal
# ---------------------------------

import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    PatientShuffleSplit,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

network = {"embedding_dim": 32, "hidden_dim": 64, "lr": 3e-3, "random_state": 0}


def lstm(value_bins=None, **params):
    """A network that may read values, or gaps."""
    transformer = VisitSequenceTransformer(value_bins=value_bins)
    return make_pipeline(transformer, LSTMVisitClassifier(**network, **params))


def regression(**params):
    """The same counts for a linear model."""
    counts = CodeCountVectorizer(encoding="log1p", **params)
    return make_pipeline(counts, LogisticRegression(C=0.1, max_iter=1000))


# %%
# Codes alone, and with what they leave out
# -----------------------------------------
#
# `time_gaps` shows the network how long it was from visit to visit; of counts, `windows` can only
# tell what came lately. `value_bins` makes of a code with values one code a quantile, for both.

models = {
    "gaps": {
        "LSTM, codes alone": lstm(),
        "LSTM, time_gaps": lstm(time_gaps=True),
        "regression, codes alone": regression(),
        "regression, windows": regression(windows=("30D", "90D", "365D")),
    },
    "values": {
        "LSTM, codes alone": lstm(),
        "LSTM, value_bins": lstm(value_bins=4),
        "regression, codes alone": regression(),
        "regression, value_bins": regression(value_bins=4),
    },
}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.5), sharex=True)
for ax, (signal, ways) in zip(axes, models.items(), strict=True):
    X, y = make_visits(5000, signal=signal, n_codes=40, random_state=0)
    y = y.to_numpy()
    train, test = next(PatientShuffleSplit(1, test_size=0.2, random_state=0).split(X))
    scores = {}
    for name, model in ways.items():
        model.fit(X[train], y[train])
        scores[name] = roc_auc_score(y[test], model.predict_proba(X[test])[:, 1])
    scores["the true risk"] = roc_auc_score(y[test], X.samples["risk"].to_numpy()[test])
    print(f"{signal} tell:")
    for name, score in scores.items():
        print(f"  {name:26}{score:.3f}")
    ax.barh(list(scores), list(scores.values()), color=["C0", "C0", "C1", "C1", "k"])
    ax.set(title=f"Only {signal} tell", xlabel="ROC AUC", xlim=(0.4, 0.9))
    ax.axvline(0.5, color="k", lw=0.8, ls=":")
    ax.invert_yaxis()
fig.tight_layout()
fig.savefig("times_and_values.png", dpi=100)

# %%
# What to make of it
# ------------------
#
# Codes alone say nothing of either, whatever the model. With gaps the network comes close to the
# true risk; windows of counts catch much of it, as who comes often has more in the last month.
# Values in bins are a sum over codes, which is what a regression is made for: it leads there.
