"""
Several models of the same patients: votes and stacks
=====================================================

An LSTM reads visits in their order, a regression adds up codes, and trees find combinations of
codes. They make different errors, so that together they can predict better than each alone. Nothing
is needed for this but scikit-learn's `VotingClassifier` and `StackingClassifier`.
"""

# %%
# Three models, from histories to probabilities
# ---------------------------------------------
#
# Each one is a pipeline that starts from the same cohort, and has its own way to read it.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import CalibrationDisplay
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import load_diabetes_readmission

X, y = load_diabetes_readmission(return_X_y=True)
y = y.to_numpy()
train, test = next(PatientShuffleSplit(1, train_size=0.3, test_size=0.3, random_state=0).split(X))

models = [
    ("LSTM", make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0))),
    (
        "regression",
        make_pipeline(
            CodeCountVectorizer(encoding="log1p", last_visits=(1,)),
            LogisticRegression(C=0.01, max_iter=1000),
        ),
    ),
    (
        "trees",
        make_pipeline(
            CodeCountVectorizer(last_visits=(1,), sparse_output=False),
            HistGradientBoostingClassifier(max_bins=32, random_state=0),
        ),
    ),
]

# %%
# A stack needs folds of patients
# -------------------------------
#
# `StackingClassifier` trains a regression on the predictions of the three, each made for a fold
# that the model was not fitted on. If a patient had stays in the fold and outside it, the models
# would know the patient, and the stack would trust them too much. The stack passes no groups to
# its splitter, so scikit-learn's own ones cannot prevent this; those of sklearn_ehr read them from
# `X`. How many patients are on both sides otherwise depends on the order of the rows.

cv = StratifiedPatientKFold(5)
splitters = {
    "StratifiedKFold": StratifiedKFold(5),
    "StratifiedKFold, shuffled": StratifiedKFold(5, shuffle=True, random_state=0),
    "StratifiedPatientKFold": cv,
}
groups = X[train].groups
for name, splitter in splitters.items():
    inside, outside = next(splitter.split(X[train], y[train]))
    n_shared = len(np.intersect1d(groups[inside], groups[outside]))
    print(f"{name:28}{n_shared:5} patients on both sides of the first fold")

# %%
# One fit for all
# ---------------
#
# The vote is the mean of the three probabilities. It fits each model once, and keeps them in
# `named_estimators_`, so that they can be compared one by one as well. The stack fits each model
# six times: once per fold, and once on all training patients. Its regression reads log-odds, the
# scale on which models add up.

vote = VotingClassifier(models, voting="soft").fit(X[train], y[train])
stack = StackingClassifier(
    models, final_estimator=LogisticRegression(), stack_method="decision_function", cv=cv
).fit(X[train], y[train])

risks = {
    name: model.predict_proba(X[test])[:, 1]
    for name, model in (vote.named_estimators_ | {"vote": vote, "stack": stack}).items()
}
table = pd.DataFrame(
    {
        "ROC AUC": {name: roc_auc_score(y[test], p) for name, p in risks.items()},
        "average precision": {
            name: average_precision_score(y[test], p) for name, p in risks.items()
        },
        "Brier score": {name: brier_score_loss(y[test], p) for name, p in risks.items()},
        "mean risk": {name: p.mean() for name, p in risks.items()},
    }
)
print(f"{len(test)} stays of test patients, {y[test].mean():.3f} of them with a readmission:")
print(table.round(4).to_string())

# %%
# What the stack made of the three
# --------------------------------
#
# The weights say how much of each model's log-odds is added up.

weights = pd.Series(stack.final_estimator_.coef_[0], index=[name for name, _ in models])
print(weights.round(2).to_string())

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
for metric, color in (("ROC AUC", "C0"), ("average precision", "C1")):
    left.plot(
        table[metric] - table.loc["LSTM", metric], table.index, "o", color=color, label=metric
    )
left.axvline(0, color="k", lw=0.8, ls=":")
left.set(title="Compared to the LSTM alone", xlabel="difference")
left.locator_params(axis="x", nbins=4)
left.invert_yaxis()
left.legend()
for name in ("LSTM", "vote", "stack"):
    CalibrationDisplay.from_predictions(
        y[test], risks[name], n_bins=8, strategy="quantile", name=name, ax=right
    )
right.set(title="Reliability", xlabel="predicted risk", ylabel="share readmitted")
right.set(xlim=(0, 0.35), ylim=(0, 0.35))
fig.tight_layout()
fig.savefig("stacking.png", dpi=100)

# %%
# What to make of it
# ------------------
#
# The three are about level, and their vote and their stack are ahead of each by about a point of
# ROC AUC. Smaller differences may be chance on one test set of this size. The vote gains as much as
# the stack here, for a sixth of the time: it does well where its models are about equally good. A
# model that is much worse than the others, as an LSTM is with a few hundred patients, spoils the
# vote; a stack gives it little weight.
#
# Log-odds are needed: the regression of a stack is penalised, and probabilities, which lie between
# 0 and 1, would need far larger weights than log-odds do. With few patients, a stack on
# probabilities is shrunk towards the base rate.
