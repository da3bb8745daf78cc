"""
Few have the outcome: probabilities, weights and thresholds
===========================================================

One discharge in nine is followed by a readmission. Weights for the rarer class seem to help, and
make every probability wrong. This example shows what they do, what calibration mends, and how a
threshold is chosen without them, on patients that no step has seen.
"""

# %%
# Three models of the same histories
# ----------------------------------
#
# Calibration and threshold tuning split the training set once more. `StratifiedPatientKFold` reads
# the patients from `X`, so that also in these inner splits nobody is on both sides.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.metrics import brier_score_loss, f1_score, recall_score, roc_auc_score
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    LSTMVisitClassifier,
    PatientShuffleSplit,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import load_diabetes_readmission

X, y = load_diabetes_readmission(return_X_y=True)
y = y.to_numpy()
train, test = next(PatientShuffleSplit(1, train_size=0.3, test_size=0.2, random_state=0).split(X))
cv = StratifiedPatientKFold(3, shuffle=True, random_state=0)


def lstm(**params):
    """A network that stops by average precision, which the rarer class decides."""
    network = LSTMVisitClassifier(scoring="average_precision", random_state=0, **params)
    return make_pipeline(VisitSequenceTransformer(), network)


models = {
    "as it is": lstm(),
    "class_weight='balanced'": lstm(class_weight="balanced"),
    "balanced, then calibrated": CalibratedClassifierCV(
        lstm(class_weight="balanced"), method="sigmoid", cv=cv, ensemble=False
    ),
}

# %%
# What weights do to probabilities
# --------------------------------
#
# Weights leave the order of patients about as it was, which is all that the ROC AUC sees, and push
# every probability up. A reliability diagram shows it: the share of readmissions among patients
# with about the same predicted risk.

fig, ax = plt.subplots(figsize=(5, 4.5))
print(f"{'':28}{'ROC AUC':>9}{'Brier':>9}{'mean risk':>11}   (readmitted: {y[test].mean():.3f})")
for name, model in models.items():
    risk = model.fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    auc, brier = roc_auc_score(y[test], risk), brier_score_loss(y[test], risk)
    print(f"{name:28}{auc:9.3f}{brier:9.3f}{risk.mean():11.3f}")
    CalibrationDisplay.from_predictions(
        y[test], risk, n_bins=8, strategy="quantile", name=name, ax=ax
    )
ax.set(title="Reliability", xlabel="predicted risk", ylabel="share readmitted")
ax.set(xlim=(0, 0.75), ylim=(0, 0.5))
ax.legend(loc="upper left")
fig.tight_layout()
fig.savefig("calibration.png", dpi=100)

# %%
# A threshold instead of weights
# ------------------------------
#
# At 0.5 hardly anybody is flagged. `TunedThresholdClassifierCV` finds the threshold of the highest
# F1 score in patient-safe inner folds; the probabilities stay as they are.

tuned = TunedThresholdClassifierCV(lstm(), scoring="f1", cv=cv, random_state=0)
tuned.fit(X[train], y[train])
choices = {"threshold 0.5": tuned.estimator_, f"tuned, {tuned.best_threshold_:.2f}": tuned}
bars = {}
for name, model in choices.items():
    flagged = model.predict(X[test])
    bars[name] = [f1_score(y[test], flagged), recall_score(y[test], flagged), flagged.mean()]
    print(
        f"{name:28}F1 {bars[name][0]:.3f}, recall {bars[name][1]:.3f}, flagged {bars[name][2]:.1%}"
    )

fig, ax = plt.subplots(figsize=(5, 4))
place = np.arange(3)
for shift, (name, values) in zip((-0.2, 0.2), bars.items(), strict=True):
    ax.bar(place + shift, values, width=0.4, label=name)
ax.set_xticks(place, ["F1", "recall", "share flagged"])
ax.set(title="Thresholds of the unweighted model")
ax.legend()
fig.tight_layout()
fig.savefig("thresholds.png", dpi=100)
