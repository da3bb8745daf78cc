"""
A report as journals ask for it
===============================

Whoever publishes a prediction model is asked by TRIPOD+AI for its cohorts, its calibration and its
performance in subgroups, all with confidence intervals, and for much that no software knows.
`report` computes the first part on patients whom the model has not seen, and lists what remains to
be written. No count in it is of fewer than ten patients, nor does its own table give one away;
several overlapping groupings may still give one away together.
"""

# %%
# Samples with columns to describe them
# -------------------------------------
#
# A report describes the columns of `samples`: age, sex, whatever is known of a sample and need not
# be an input of the model. In these data, they are codes of each hospital stay, so we look them up.
# Ages are in bands of ten years; `age` is where a band begins.

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    PatientShuffleSplit,
    VisitSequenceTransformer,
    report,
)
from sklearn_ehr.datasets import load_diabetes_readmission

data = load_diabetes_readmission()


def value_of(kind):
    """Value of the code of this kind, such as ``SEX//Female``, of each stay in the samples."""
    of_kind = data.events[data.events["code"].str.startswith(f"{kind}//")]
    values = of_kind["code"].astype(str).str.removeprefix(f"{kind}//")
    return data.samples["visit_id"].map(values.set_axis(of_kind["visit_id"]))


samples = data.samples.assign(
    sex=value_of("SEX"),
    age=value_of("AGE").str.extract(r"(\d+)")[0].astype(float),
    race=value_of("RACE"),
    emergency=value_of("ADMISSION_TYPE") == "Emergency",
)
X = Cohort(data.events, samples)
y = X.samples["readmitted"]

# %%
# A model, and patients whom it has not seen
# ------------------------------------------
#
# A part of the patients is enough here. `PatientShuffleSplit` keeps each one on one side; `report`
# raises an error if the two cohorts share a patient.

train, test = next(PatientShuffleSplit(1, train_size=0.3, test_size=0.2, random_state=0).split(X))
model = make_pipeline(VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0))
model.fit(X[train], y.iloc[train])

# %%
# The report
# ----------
#
# `make_samples` returns the attrition of a study. These samples came otherwise, so we count
# ourselves how many stays and patients each step left.


def count(rule, rows):
    return {"rule": rule, "n_samples": len(rows), "n_patients": rows["patient_id"].nunique()}


stays = data.events[["patient_id", "visit_id"]].drop_duplicates()
attrition = pd.DataFrame(
    [
        count("hospital stays", stays),
        count("did not end in death or hospice care", samples),
        count("drawn for this example", samples.iloc[[*train, *test]]),
    ]
)
result = report(
    model,
    X[train],
    y.iloc[train],
    X[test],
    y.iloc[test],
    groups=["sex", "age", "race", "emergency"],
    bins={"age": [40, 60, 80]},
    attrition=attrition,
    thresholds=[0.05, 0.1, 0.15, 0.2, 0.25, 0.3],
    title="Readmission within 30 days of a discharge",
)
print(result)

# %%
# One file holds all of it, figures included. It opens without a network, and can be printed or
# attached to a manuscript.

page = Path("report.html").resolve()
result.save(page)
print(f"The report is in {page}.")

# %%
# Its tables are frames
# ---------------------
#
# `result.performance`, `result.calibration`, `result.net_benefit`, `result.subgroups` and
# `result.comparison` are frames, for figures and tables of your own. By default, the model is
# compared with a logistic regression on counts of the same codes, whose penalty is tuned on the
# development cohort. The intervals are over draws of the same test patients.

print(result.comparison.iloc[:6].round(3))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
curve = result.calibration
highest = curve["high"].max() * 1.05
left.plot([0, highest], [0, highest], color="grey", linestyle="--")
reach = [curve["observed"] - curve["low"], curve["high"] - curve["observed"]]
left.errorbar(curve["mean_risk"], curve["observed"], yerr=reach, fmt="o-")
left.set(title="Calibration", xlabel="mean predicted risk", ylabel="share readmitted")

areas = result.subgroups["roc_auc"].dropna().iloc[::-1]
names = [f"{group}: {level}" for group, level in areas.index]
reach = [areas["estimate"] - areas["low"], areas["high"] - areas["estimate"]]
right.errorbar(areas["estimate"], names, xerr=reach, fmt="o")
right.axvline(result.performance.loc["roc_auc", "estimate"], color="grey", linestyle="--")
right.set(title="Subgroups, and all (dashed)", xlabel="ROC AUC, 95 % interval")
figure.savefig("report.png", dpi=100)

# %%
# What remains
# ------------
#
# Of the 52 items and sub-items of TRIPOD+AI, the report fills a third, most of them in part. The
# rest is for the authors: whom the model is for, how the outcome was defined, what its limits are.

print(result.checklist["status"].value_counts().to_string())

# %%
# The whole report, as a notebook shows it:

result
