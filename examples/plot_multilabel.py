"""
Several labels: the diagnoses of the next stay
==============================================

A stay has several diagnoses, so a patient has several labels, not one of several classes. An
indicator `y` with a column a label trains one network for all, here beside one regression a label.
Real stays of patients with diabetes, predicted from all stays before.
"""

# %%
# Labels of the next stay
# -----------------------
#
# Chapters of ICD-9, as ranges of its three digits. A sample is a stay that another one follows, as
# of its discharge; nothing of the next stay is visible.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    PatientShuffleSplit,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import load_diabetes_readmission

chapters = {
    "endocrine, metabolic": (240, 280),
    "blood": (280, 290),
    "mental": (290, 320),
    "circulatory": (390, 460),
    "respiratory": (460, 520),
    "digestive": (520, 580),
    "genitourinary": (580, 630),
    "skin": (680, 710),
    "injury, poisoning": (800, 1000),
}
data = load_diabetes_readmission()
stay = ["patient_id", "time"]
number = data.events["code"].str.extract(r"^ICD9//(\d{3})", expand=False).astype(float)
has_chapter = pd.DataFrame(
    {name: number.ge(low) & number.lt(high) for name, (low, high) in chapters.items()}
)
of_stay = has_chapter.groupby([data.events[key] for key in stay]).any()

samples = data.samples
following = pd.MultiIndex.from_arrays([samples["patient_id"], samples["prediction_time"] + 1])
is_followed = following.isin(of_stay.index)
X = data.data[is_followed]
y = of_stay.reindex(following[is_followed]).to_numpy(dtype=int)
train, test = next(PatientShuffleSplit(1, test_size=0.25, random_state=0).split(X))
print(f"{len(train):,} stays to train on, {len(test):,} to test on")

# %%
# One network, or a regression for each
# -------------------------------------
#
# `predict_proba` of the network has a column a label, as that of scikit-learn's `MLPClassifier`.

lstm = make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0))
proba = {"LSTM": lstm.fit(X[train], y[train]).predict_proba(X[test])}
regressions = make_pipeline(
    CodeCountVectorizer(encoding="log1p", last_visits=(1,)),
    MultiOutputClassifier(LogisticRegression(C=0.01, max_iter=1000)),
)
each = regressions.fit(X[train], y[train]).predict_proba(X[test])
proba["regressions"] = np.column_stack([of_label[:, 1] for of_label in each])

scores = {name: roc_auc_score(y[test], p, average=None) for name, p in proba.items()}
print(f"{'ROC AUC':24}" + "".join(f"{name:>13}" for name in scores) + f"{'share':>8}")
for j, chapter in enumerate(chapters):
    row = "".join(f"{values[j]:13.3f}" for values in scores.values())
    print(f"{chapter:24}{row}{y[test][:, j].mean():8.0%}")
print(f"{'mean':24}" + "".join(f"{values.mean():13.3f}" for values in scores.values()))
for name, p in proba.items():
    print(f"average precision, {name}: {average_precision_score(y[test], p):.3f}")

fig, ax = plt.subplots(figsize=(6, 4))
place = np.arange(len(chapters))
for shift, (name, values) in zip((-0.2, 0.2), scores.items(), strict=True):
    ax.barh(place + shift, values, height=0.4, label=name)
ax.set(xlim=(0.5, 0.85), xlabel="ROC AUC", title="Chapters of the next stay's diagnoses")
ax.set_yticks(place, list(chapters))
ax.invert_yaxis()
ax.legend(loc="upper right")
fig.tight_layout()
fig.savefig("multilabel.png", dpi=100)

# %%
# What to make of it
# ------------------
#
# What a patient has stays: every chapter can be told from the stays before, rare ones too. One
# network for nine labels does as well as nine regressions that see the last stay beside all.
