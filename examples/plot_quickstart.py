"""
An LSTM beside a logistic regression, on the same folds
=======================================================

Who will be back in hospital within 30 days? We predict it for 69,136 discharges of patients with
diabetes, from all that was coded in this and the earlier stays of each patient: once with an LSTM
that reads one visit after the other, and twice from counts of the same codes.
"""

# %%
# The data
# --------
#
# `X` is a cohort: one sample per discharge, each with the events that are known by then. `y` says
# whether the patient was readmitted within 30 days.

from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from sklearn.metrics import RocCurveDisplay

from sklearn_ehr import compare
from sklearn_ehr.datasets import load_diabetes_readmission

X, y = load_diabetes_readmission(return_X_y=True)
print(X)
print(f"Readmitted within 30 days: {y.mean():.1%}")

# %%
# This is all that a model may see of one sample, a patient's third stay: the codes of stays 0, 1
# and 2.

third_stays = (X.samples["prediction_time"] == 2).to_numpy()
seen = X[third_stays][0].visible_events()
print("All that is seen of one patient at the discharge from stay 2:")
for stay, codes in seen.groupby("time")["code"]:
    print(fill(f"stay {stay}: {', '.join(codes)}", width=100, subsequent_indent=" " * 8))

# %%
# The comparison
# --------------
#
# A patient with several stays gives several samples. If one of them were learnt from and another
# predicted, the score would be too good; `compare` keeps every patient in one fold. The folds are
# the same for all models.
#
# All three start from the same vocabulary, learnt from the training folds, and the two others from
# the same counts: their logarithms, with the last stay in columns of its own. The regression's
# penalty is tuned by cross-validation inside each training fold. Further models are added with
# `models={"mine": model}`.
#
# The nine fits run side by side, one on each core, and each says when it is done.

table, risks = compare(
    X,
    y,
    cv=3,
    scoring=["roc_auc", "average_precision"],
    n_jobs=-1,
    verbose=1,
    return_predictions=True,
)
print(table.round(3).T)

# %%
# `difference` is how far a model is ahead of the LSTM, and `low` to `high` its 95 % interval over
# draws of the test patients.
#
# The curves
# ----------

figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
lines = []
for name, colour in zip(table.index, ["C0", "C1", "C2"], strict=True):
    for _, risk in risks[name].groupby("split"):
        outcome = y.iloc[risk.index.get_level_values("sample")]
        drawn = RocCurveDisplay.from_predictions(outcome, risk, ax=axes)
        drawn.line_.set(color=colour, alpha=0.7)
    mean = table.loc[name, ("roc_auc", "mean")]
    lines.append(Line2D([], [], color=colour, label=f"{name}: {mean:.3f}"))
axes.legend(handles=lines, title="ROC AUC, mean", loc="lower right")
axes.set_title("Readmission within 30 days, 3 folds of patients")
picture = Path("readmission_roc.png").resolve()
figure.savefig(picture, dpi=120)
print(f"The ROC curves are in {picture}.")

# %%
# What to make of it
# ------------------
#
# The LSTM is ahead of the regression, and boosted trees are a little ahead of it or level: most of
# what these records tell about readmission is in which codes were seen, and a patient has 1.4 stays
# on average, so that there is little order to learn. Where histories are short, or counts tell all,
# an LSTM is not worth its time by itself; the mean of it and of trees, scikit-learn's
# `VotingClassifier`, is better than either. Where the order of codes tells, it finds what counts do
# not.
# Diagnoses are coded after discharge; a model in use at the bedside would have to do without them.
