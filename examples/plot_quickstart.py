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
from time import perf_counter

import matplotlib.pyplot as plt
import pandas as pd
from joblib import Parallel, delayed
from matplotlib.lines import Line2D
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import RocCurveDisplay, average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
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
# The folds
# ---------
#
# A patient with several stays gives several samples. If one of them were learnt from and another
# predicted, the score would be too good; the splitter keeps every patient in one fold. The folds
# are drawn once, the same for every model; a search inside a model draws its own with `cv`.

cv = StratifiedPatientKFold(3, shuffle=True, random_state=0)
folds = list(cv.split(X, y))

# %%
# The models
# ----------
#
# All three start from the same vocabulary, learnt from the training folds, and the two others from
# the same counts: their logarithms, with the last stay in columns of its own. The linear model's
# penalty is tuned by cross-validation inside each training fold.

counts = CodeCountVectorizer(encoding="log1p", last_visits=(1,))
models = {
    "LSTM": make_pipeline(
        VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0, verbose=1)
    ),
    "Gradient boosting": make_pipeline(
        clone(counts).set_params(sparse_output=False),
        # A count takes few values: the same trees as with 255 bins, grown faster.
        HistGradientBoostingClassifier(max_bins=32, random_state=0),
    ),
    "Logistic regression": GridSearchCV(
        make_pipeline(counts, LogisticRegression(max_iter=1000)),
        {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1]},
        cv=cv,
        scoring="roc_auc",
    ),
}

# %%
# The comparison
# --------------
#
# The nine fits run side by side, one on each core, and each says when it is done. Meanwhile the
# LSTMs, with `verbose=1`, print a line for each pass through the training patients: the loss on
# them and on the validation patients, the best pass so far, and the least and most time left.


def evaluate(name, fold):
    train, test = folds[fold]
    start = perf_counter()
    model = clone(models[name]).fit(X[train], y.iloc[train])
    risk = model.predict_proba(X[test])[:, 1]
    return {
        "model": name,
        "fold": fold,
        "risk": risk,
        "ROC AUC": roc_auc_score(y.iloc[test], risk),
        "average precision": average_precision_score(y.iloc[test], risk),
        "seconds": perf_counter() - start,
    }


fits = [delayed(evaluate)(name, fold) for fold in range(len(folds)) for name in models]
results = []
for result in Parallel(n_jobs=-1, return_as="generator_unordered")(fits):
    results.append(result)
    print(
        f"{result['model']}, fold {result['fold'] + 1} of {len(folds)}: "
        f"ROC AUC {result['ROC AUC']:.3f}, "
        f"average precision {result['average precision']:.3f}, {result['seconds']:.0f} s",
        flush=True,
    )

by_model = pd.DataFrame(results).groupby("model")
figures = {
    f"{metric}, {statistic}": (metric, statistic)
    for metric in ["ROC AUC", "average precision"]
    for statistic in ["mean", "std"]
}
table = by_model.agg(**figures, seconds=("seconds", "mean")).loc[list(models)]
print(table.round(dict.fromkeys(figures, 3) | {"seconds": 0}).to_string())

# %%
# The curves
# ----------

figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
colours = dict(zip(models, ["C0", "C1", "C2"], strict=True))
for result in results:
    _, test = folds[result["fold"]]
    drawn = RocCurveDisplay.from_predictions(y.iloc[test], result["risk"], ax=axes)
    drawn.line_.set(color=colours[result["model"]], alpha=0.7)
lines = [Line2D([], [], color=colour) for colour in colours.values()]
labels = [f"{name}: {row['ROC AUC, mean']:.3f}" for name, row in table.iterrows()]
axes.legend(lines, labels, title="ROC AUC, mean", loc="lower right")
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
