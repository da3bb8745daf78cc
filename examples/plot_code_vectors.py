"""
Vectors of codes: what unlabelled patients can teach
====================================================

Labels are dear, histories are not. Which codes share visits can be learnt without labels, and a
network that starts with such vectors need not learn it from the few labelled patients it has.
"""

# %%
# Four ways to begin
# ------------------
#
# Codes start at random, or with vectors from `make_code_vectors`: of the training patients, or of
# many other patients, who have no labels. None of them is a test patient. Training changes these
# vectors like any other weights, unless skorch's `Freezer` keeps them as they are.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Freezer

from sklearn_ehr import (
    LSTMVisitClassifier,
    PatientShuffleSplit,
    VisitSequenceTransformer,
    make_code_vectors,
)
from sklearn_ehr.datasets import load_diabetes_readmission, make_visits


def vectors_of(X):
    """Vectors of the codes that share visits."""
    sequences = VisitSequenceTransformer().fit_transform(X)
    return make_code_vectors(sequences, embedding_dim=64, random_state=0)


def scores_of(X, y, *, n_labelled, n_draws):
    """ROC AUC of each start, with a row per draw of labelled patients."""
    first, test = next(PatientShuffleSplit(1, test_size=0.2, random_state=0).split(X))
    unlabelled, pool = first[len(first) // 3 :], first[: len(first) // 3]
    unlabelled = unlabelled[~np.isin(X.groups[unlabelled], X.groups[pool])]
    of_unlabelled = vectors_of(X[unlabelled])
    n_labelled = min(n_labelled, len(np.unique(X.groups[pool])) // 2)
    draws = PatientShuffleSplit(n_draws, train_size=n_labelled, random_state=0)
    rows = []
    for seed, (draw, _) in enumerate(draws.split(X[pool])):
        train = pool[draw]
        starts = {
            "at random": {},
            "training patients": {"embedding_init": vectors_of(X[train])},
            "unlabelled patients": {"embedding_init": of_unlabelled},
            "the same, frozen": {
                "embedding_init": of_unlabelled,
                "callbacks": [Freezer("embedding.weight")],
            },
        }
        row = {}
        for name, start in starts.items():
            network = LSTMVisitClassifier(
                embedding_dim=64, hidden_dim=64, batch_size=64, random_state=seed, **start
            )
            model = make_pipeline(VisitSequenceTransformer(), network).fit(X[train], y[train])
            row[name] = roc_auc_score(y[test], model.predict_proba(X[test])[:, 1])
        rows.append(row)
    return pd.DataFrame(rows)


# %%
# Three kinds of histories
# ------------------------
#
# In one simulated cohort, each visit has a reason, and fifty rare codes belong to each reason: it
# helps to know which codes go together. In another one, codes share visits by chance, so there is
# nothing to find. The third is real: a thousand patients with diabetes, and whether they came back.

cohorts = {
    "simulated, codes in groups": make_visits(
        12_000, signal="groups", n_codes=1000, random_state=0
    ),
    "simulated, codes by chance": make_visits(12_000, signal="bag", random_state=0),
    "hospital stays": load_diabetes_readmission(return_X_y=True),
}
fig, axes = plt.subplots(1, 3, figsize=(12, 3.2), sharex=True, sharey=True)
for ax, (title, (X, y)) in zip(axes, cohorts.items(), strict=True):
    scores = scores_of(X, y.to_numpy(), n_labelled=1000, n_draws=4)
    print(f"{title}: ROC AUC, and the difference to a random start with its standard error")
    for place, (name, values) in enumerate(scores.items()):
        gain = values - scores["at random"]
        print(f"  {name:22}{values.mean():.3f}  {gain.mean():+.3f} ({gain.sem():.3f})", flush=True)
        ax.plot(values, np.full(len(values), place), "o", color="C0", alpha=0.5)
        ax.plot(values.mean(), place, "|", color="k", ms=16)
    ax.set(title=title, xlabel="ROC AUC")
    ax.axvline(0.5, color="k", lw=0.8, ls=":")
axes[0].set_yticks(range(scores.shape[1]), scores.columns)
axes[0].invert_yaxis()
fig.tight_layout()
fig.savefig("code_vectors.png", dpi=100)

# %%
# What to make of it
# ------------------
#
# Where codes share visits for a reason, a network with a thousand patients hardly predicts at all
# from a random start, and vectors help it more than any tuning could, even those of the training
# patients alone. On real stays, vectors of unlabelled patients gain about a point of ROC AUC; those
# of the training patients gain no more than chance might. Where codes share visits by chance,
# vectors hold noise: they gain nothing, and to freeze them may do harm. Elsewhere, frozen vectors
# are as good as trained ones: few patients can hardly improve on what many have taught. Each dot is
# a draw of a thousand labelled patients.
