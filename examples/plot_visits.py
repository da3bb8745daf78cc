"""
At every visit: a risk that unfolds, and the codes to come
==========================================================

A history is not only predicted from at its end. `predict_proba_by_visit` tells the risk as it was
known after each visit, and `LSTMVisitTagger` learns a label for each: here which drugs for diabetes
the next stay will see.
"""

# %%
# The risk after each stay
# ------------------------
#
# Each number is what `predict_proba` would have said of a cohort cut at the end of that stay: no
# later stay is in it. To save time the example takes patients with at least three stays.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitTagger,
    PatientShuffleSplit,
    VisitSequenceTransformer,
    make_next_visit_labels,
)
from sklearn_ehr.datasets import load_diabetes_readmission

data = load_diabetes_readmission()
n_stays = data.samples.groupby("patient_id")["visit_id"].transform("size")
X, y = data.data[n_stays >= 3], data.target[n_stays >= 3].to_numpy()
train, test = next(PatientShuffleSplit(1, test_size=0.25, random_state=0).split(X))

model = make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0))
model.fit(X[train], y[train])
last = ~X[test].samples.duplicated("patient_id", keep="last").to_numpy()
sequences = model[0].transform(X[test][last])
risks = [proba[:, 1] for proba in model[-1].predict_proba_by_visit(sequences)]

fig, ax = plt.subplots(figsize=(5, 4))
longest = np.argsort(sequences.lengths)[-6:]
for i in longest:
    ax.plot(np.arange(1, len(risks[i]) + 1), risks[i], "o-", ms=3)
ax.set(title="Six patients with many stays", xlabel="stay", ylabel="risk of readmission in 30 days")
fig.tight_layout()
fig.savefig("visits.png", dpi=100)

# %%
# The drugs of the next stay
# --------------------------
#
# The labels are made of the same events: for each stay which drugs the next one has. The last stay
# has no next one, so its label is missing, and neither trained on nor scored. A stay tells much by
# what it has itself: that is the rule to beat.

codes = data.events["code"].cat.categories
drugs = {code: code.split("//")[1] for code in codes if code.startswith("DRUG//")}
patients = data.samples.loc[n_stays >= 3, "patient_id"].unique()
histories = Cohort(data.events[data.events["patient_id"].isin(patients)])
labels, names = make_next_visit_labels(histories, groups=drugs)
train, test = next(PatientShuffleSplit(1, test_size=0.25, random_state=0).split(histories))

tagger = make_pipeline(VisitSequenceTransformer(), LSTMVisitTagger(random_state=0))
tagger.fit(histories[train], labels[train])
proba = np.concatenate(list(tagger.predict_proba(histories[test])))
truth = np.concatenate(list(labels[test]))

# A stay's own drugs are the label of the stay before it.
own = np.concatenate([np.vstack([np.zeros(len(names)), rows[:-1]]) for rows in labels[test]])
has_before = np.concatenate([np.arange(len(rows)) > 0 for rows in labels[test]])
known = ~np.isnan(truth).any(axis=1) & has_before

frequent = np.argsort(-np.nansum(truth, axis=0))[:8]
scores = {
    "LSTM": [average_precision_score(truth[known, j], proba[known, j]) for j in frequent],
    "the same as now": [average_precision_score(truth[known, j], own[known, j]) for j in frequent],
}
print(f"{'average precision':20}" + "".join(f"{name:>18}" for name in scores))
for row, j in enumerate(frequent):
    print(f"{names[j]:20}" + "".join(f"{values[row]:18.3f}" for values in scores.values()))

fig, ax = plt.subplots(figsize=(6, 4))
place = np.arange(len(frequent))
for shift, (name, values) in zip((-0.2, 0.2), scores.items(), strict=True):
    ax.barh(place + shift, values, height=0.4, label=name)
ax.set(title="Drugs of the next stay", xlabel="average precision")
ax.set_yticks(place, names[frequent])
ax.invert_yaxis()
ax.legend()
fig.tight_layout()
fig.savefig("drugs.png", dpi=100)

# %%
# What to make of it
# ------------------
#
# A drug given now is mostly given again. The network learns that and more: it is ahead of "the same
# as now" for each of these drugs. Such a rule belongs beside every model of the next visit, as much
# of what looks like foresight is what it says, too.
