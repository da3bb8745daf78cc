"""
Numbers and counts: the stay to come
====================================

How many days will a patient's next stay in hospital take, and how many procedures will it see?
Real stays of patients with diabetes, predicted from all stays before.
"""

# %%
# Outcomes of the next stay
# -------------------------
#
# A sample is a stay that another one follows; it is predicted as of its discharge, so nothing of
# the next stay is visible. Both numbers are codes of each stay. Days above 7 are in bins: as a
# number we take the lowest, so that 11 to 14 days are 11.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import PoissonRegressor, Ridge, SGDRegressor
from sklearn.metrics import d2_absolute_error_score, d2_tweedie_score, r2_score
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitRegressor,
    PatientShuffleSplit,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import load_diabetes_readmission

data = load_diabetes_readmission()
stay = ["patient_id", "time"]


def numbers_of_stays(kind):
    """The number that a kind of code tells of each stay."""
    codes = data.events[data.events["code"].str.startswith(f"{kind}//")].set_index(stay)["code"]
    return codes.str.extract(r"(\d+)", expand=False).astype(float)


samples = data.samples
following = pd.MultiIndex.from_arrays([samples["patient_id"], samples["prediction_time"] + 1])
days = numbers_of_stays("DAYS").reindex(following).to_numpy()
procedures = numbers_of_stays("PROCEDURES").reindex(following).to_numpy()
is_followed = ~np.isnan(days)

X = data.data[is_followed]
outcomes = np.column_stack([days, procedures])[is_followed]
train, test = next(PatientShuffleSplit(1, test_size=0.25, random_state=0).split(X))
print(f"{len(train):,} stays to train on, {len(test):,} to test on")

# %%
# Three losses
# ------------
#
# Squared errors aim at the mean, and take several outcomes at once; absolute errors aim at the
# median, which a few long stays do not move; the Poisson loss is for counts, and never predicts
# one below 0. Each has a linear model beside it, and a score that is 0 for a constant and 1 for
# the truth.


def fit_both(linear, loss, y):
    """Predictions for the test patients, of a network and of a linear model."""
    network = LSTMVisitRegressor(loss=loss, random_state=0)
    lstm = make_pipeline(VisitSequenceTransformer(), network)
    counts = make_pipeline(CodeCountVectorizer(encoding="log1p", last_visits=(1,)), linear)
    return {
        "LSTM": lstm.fit(X[train], y[train]).predict(X[test]),
        "linear": counts.fit(X[train], y[train]).predict(X[test]),
    }


days, procedures = outcomes.T
absolute = SGDRegressor(loss="epsilon_insensitive", epsilon=0, alpha=0.01, random_state=0)
both = fit_both(Ridge(alpha=100), "squared_error", outcomes)
median = fit_both(absolute, "absolute_error", days)
count = fit_both(PoissonRegressor(alpha=0.01, max_iter=1000), "poisson", procedures)

scores = {
    "days: R²": [r2_score(days[test], both[name][:, 0]) for name in both],
    "procedures: R²": [r2_score(procedures[test], both[name][:, 1]) for name in both],
    "days: D² of absolute errors": [
        d2_absolute_error_score(days[test], median[name]) for name in median
    ],
    "procedures: D² of Poisson deviance": [
        d2_tweedie_score(procedures[test], count[name], power=1) for name in count
    ],
}
print(f"{'':36}" + "".join(f"{name:>8}" for name in both))
for score, values in scores.items():
    print(f"{score:36}" + "".join(f"{value:8.3f}" for value in values))

# %%
# Are the counts right where they are said to be high?
# ----------------------------------------------------
#
# The test stays in ten groups of rising prediction, and the mean in each.

fig, ax = plt.subplots(figsize=(5, 4))
for name, predicted in count.items():
    groups = np.array_split(np.argsort(predicted), 10)
    ax.plot(
        [predicted[group].mean() for group in groups],
        [procedures[test][group].mean() for group in groups],
        "o-",
        label=name,
    )
ax.axline((1, 1), slope=1, color="k", lw=0.8, ls=":")
ax.set(xlabel="procedures predicted", ylabel="procedures of the next stay")
ax.legend()
fig.tight_layout()
fig.savefig("regression.png", dpi=100)

# %%
# What to make of it
# ------------------
#
# How a next stay will go is mostly unknown on the day of the last one: a tenth of the variance of
# procedures can be told, and less of days. The network and linear models that see the last stay
# beside all of them are level. Both are calibrated, which is what counts for planning: a group of
# stays that is predicted two procedures has about two.
