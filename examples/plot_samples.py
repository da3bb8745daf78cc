"""
Samples of events: who is predicted when, and what followed
===========================================================

Mostly there is no table of labels, only events. `make_samples` draws samples from them: a
prediction time for each, whether the outcome followed within the horizon, and a table of how many
samples each rule left. `TemporalPatientSplit` then trains on the past and tests on what came after.
"""

# %%
# Events up to the day of an extract
# ----------------------------------
#
# Five thousand simulated patients. Those with the outcome get an event of it, as in a hospital's
# tables, and the extract ends on a day in the middle of it all. `EventTable` checks and sorts the
# events once, for all samples and cohorts that are made from them.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    EventTable,
    LSTMVisitClassifier,
    PatientShuffleSplit,
    TemporalPatientSplit,
    VisitSequenceTransformer,
    make_samples,
)
from sklearn_ehr.datasets import make_visits

simulated, _ = make_visits(5000, random_state=0)
events = simulated.visible_events().drop(columns="sample")
events["code"] = events["code"].astype(str)
ill = simulated.samples.query("outcome == 1")
events = pd.concat(
    [
        events,
        pd.DataFrame(
            {
                "patient_id": ill["patient_id"],
                "time": ill["prediction_time"] + pd.Timedelta("10D"),
                "code": "ADMISSION",
            }
        ),
    ],
    ignore_index=True,
)
last_day = "2004-12-31"
events = events[events["time"] < "2005-01-01"]
print(events.tail(3).to_string(index=False))
table = EventTable(events)
print(table)

# %%
# Rules, and how many samples they leave
# --------------------------------------
#
# At every discharge: is the patient admitted within 60 days, from the next day on? Patients with
# C099 are cared for elsewhere, and left out from then on (`exclude="outcome"` would leave out those
# who had the outcome before). Samples that were not observed for 61 days are left out too, whatever
# happened: nobody knows yet. The last day of the extract counts in full, as it is given by date.

rules = {
    "index": "discharge",
    "outcome_codes": ["ADMISSION"],
    "gap": "1D",
    "horizon": "60D",
    "observation_end": last_day,
    "exclude": ["C099"],
}
samples, attrition = make_samples(table, **rules)
print(attrition.to_string(index=False))
print(f"outcome: {samples['outcome'].mean():.1%} of {len(samples):,} samples")

# %%
# Other rules draw other samples from the same table: one a patient, 24 hours after the first of
# some codes; all patients on fixed days; or each patient at times of their own, here a year after
# the first event. With `competing_codes`, patients who die (here: get C098) without the outcome
# have a known outcome of 0, and `event` and `duration` say which came first, and when.

first = events.groupby("patient_id")["time"].min()
for name, other in {
    "24 h after C015 or C016": {"index": ["C015", "C016"], "offset": "24h"},
    "new year's days": {"index": [pd.Timestamp(f"{year}-01-01") for year in (2002, 2003, 2004)]},
    "a year after the first event": {"index": first, "offset": "365D"},
}.items():
    others, _ = make_samples(
        table,
        **other,
        outcome_codes=["ADMISSION"],
        competing_codes=["C098"],
        horizon="180D",
        exclude="outcome",
    )
    shares = others["event"].value_counts(normalize=True)
    print(f"{name:29}{len(others):6,} samples, outcome {shares[1]:.1%}, competing {shares[2]:.1%}")

# %%
# What it costs to count the unknown as well
# ------------------------------------------
#
# `incomplete="mark"` keeps samples that were not observed for long enough, with an outcome of NaN
# unless it was seen. Counted as 0, they would teach that patients have got better lately.

marked, _ = make_samples(table, **rules, incomplete="mark")
marked["month"] = marked["prediction_time"].dt.to_period("M").dt.to_timestamp()
late = marked[marked["month"] >= "2004-01-01"]
naive = late.fillna({"outcome": 0}).groupby("month")["outcome"].mean()
honest = late[late["complete"]].groupby("month")["outcome"].mean()
fig, ax = plt.subplots(figsize=(6, 3.5))
ax.plot(naive.index, naive, "o--", color="C3", label="the unknown counted as 0")
ax.plot(honest.index, honest, "o-", color="C0", label="observed for the horizon")
ax.set(ylim=(0, None), xlabel="month of discharge", ylabel="share with the outcome")
ax.legend(loc="lower left")
fig.autofmt_xdate()
fig.tight_layout()
fig.savefig("samples.png", dpi=100)

# %%
# Train on the past, test on what came after
# ------------------------------------------
#
# Labels of samples within 61 days before the date were not known on it, so they are not trained on,
# and no patient is on both sides. A random split of patients has neither limit.

X = Cohort(table, samples)
y = samples["outcome"].to_numpy()
splits = {
    "before and after": TemporalPatientSplit("2004-01-01", horizon="61D"),
    "random patients": PatientShuffleSplit(1, test_size=0.25, random_state=0),
}
models = {
    "LSTM": make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0)),
    "regression": make_pipeline(
        CodeCountVectorizer(encoding="log1p"), LogisticRegression(C=0.1, max_iter=1000)
    ),
}
for split, splitter in splits.items():
    train, test = next(splitter.split(X))
    for name, model in models.items():
        proba = model.fit(X[train], y[train]).predict_proba(X[test])[:, 1]
        auc = roc_auc_score(y[test], proba)
        print(f"{split:18}{len(train):7,} to train {len(test):7,} to test   {name:12}{auc:.3f}")

# %%
# What to make of it
# ------------------
#
# The picture is the lesson: the last two months of an extract look like a success only because
# nobody knows yet. The later test set is what a model in use meets, which predicts the future with
# what was known before it. The network, with fewer samples to train on, loses two points there, the
# regression none.
