"""
One patient, visit by visit: why the risk is what it is
=======================================================

A risk alone convinces nobody. `PatientTimelineDisplay` shows how it came about: the risk after each
visit, and the codes that raised or lowered it. The histories are simulated, so that what the model
should have found is known; the names of their codes are made up.
"""

# %%
# A model of what is recent
# -------------------------
#
# Eight of the forty codes decide the outcome, four of them by raising the risk. A visit counts half
# as much for every 45 days that have passed since.

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import LSTMVisitClassifier, PatientShuffleSplit, VisitSequenceTransformer
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.inspection import PatientTimelineDisplay, code_contributions

X, y = make_visits(5000, signal="recency", n_codes=40, random_state=0)
train, test = next(PatientShuffleSplit(1, test_size=0.2, random_state=0).split(X))
network = LSTMVisitClassifier(embedding_dim=64, hidden_dim=64, random_state=0)
model = make_pipeline(VisitSequenceTransformer(), network).fit(X[train], y.iloc[train])
risk = model.predict_proba(X[test])[:, 1]
print(f"ROC AUC {roc_auc_score(y.iloc[test], risk):.3f}")
print(f"ROC AUC of the true risk {roc_auc_score(y.iloc[test], X[test].samples['risk']):.3f}")

# %%
# One patient
# -----------
#
# Of the test patients with five to ten visits, the one at the highest risk. The codes at the top
# matter most; large marks matter more than small ones. Nothing from after the prediction is seen.

descriptions = {
    "C01": "Outpatient visit",
    "C02": "Blood count",
    "C03": "Hypertension",
    "C08": "Type 2 diabetes",
    "C15": "Heart failure",
    "C16": "Vaccination, influenza",
    "C17": "Creatinine, high",
    "C18": "ACE inhibitor",
    "C19": "Emergency admission",
    "C20": "Cardiac rehabilitation",
    "C21": "Pneumonia",
    "C22": "Cholesterol, normal",
}
lengths = model[0].transform(X[test]).lengths
sample = np.argmax(np.where((lengths >= 5) & (lengths <= 10), risk, 0))
display = PatientTimelineDisplay.from_estimator(
    model, X[test], sample=sample, descriptions=descriptions, max_codes=8
)
display.figure_.savefig("timeline.png", dpi=100, bbox_inches="tight")

# %%
# Is it the truth?
# ----------------
#
# The simulation raises the risk with C15, C17, C19 and C21, and lowers it with C16, C18, C20 and
# C22. The contributions of the codes, averaged over 500 test patients, find both:

codes = code_contributions(model, X[test][:500])
mean = codes.groupby("code", observed=True)["contribution"].mean().sort_values()
print("lower the risk most:", ", ".join(mean.index[:4]))
print("raise the risk most:", ", ".join(mean.index[:-5:-1]))

# %%
# What to make of it
# ------------------
#
# A contribution says what the model does with a code, given the rest of the history: how far its
# log-odds move when the code is left out. It says nothing of causes, and a model that is wrong is
# explained just as clearly. The picture shows the dates and codes of one patient: treat it as you
# treat the record itself.
