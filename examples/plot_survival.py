"""
When, not whether: times to an event
====================================

Some patients of a study have not had the event when it ends, and some have died before they could.
`LSTMVisitSurvival` learns from all of them. Here it is compared with Cox's model [1]_ and a random
survival forest [2]_ on counts of codes, on the same folds and with the same metric. The histories
are simulated.

scikit-survival is needed: ``pip install "sklearn_ehr[survival]"``.

.. [1] D. R. Cox, "Regression models and life-tables", Journal of the Royal Statistical Society B
   34(2), 1972, p. 187-220.
.. [2] H. Ishwaran, U. B. Kogalur, E. H. Blackstone and M. S. Lauer, "Random survival forests",
   Annals of Applied Statistics 2(3), 2008, p. 841-860.
"""

# %%
# Who is readmitted, and when
# ---------------------------
#
# The higher a patient's risk, the sooner the readmission. Some patients die first, and follow-up
# ends after one to two years.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import as_integrated_brier_score_scorer
from sksurv.nonparametric import cumulative_incidence_competing_risks
from sksurv.util import Surv

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitSurvival,
    PatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

X, _ = make_visits(2000, signal="recency", n_codes=60, random_state=0)
rng = np.random.default_rng(0)
samples = X.samples.copy()
risk = samples["risk"].to_numpy()
readmitted = rng.exponential(120 / (risk / (1 - risk)) ** 0.8)
dead = rng.exponential(900, len(X))
end_of_follow_up = rng.uniform(365, 730, len(X))
samples["duration"] = np.minimum(np.minimum(readmitted, dead), end_of_follow_up)
samples["event"] = np.select(
    [samples["duration"] == readmitted, samples["duration"] == dead], [1, 2], default=0
)
for i, name in enumerate(["censored", "readmitted", "dead"]):
    print(f"{name:11}{(samples['event'] == i).mean():.0%}")

# %%
# Readmission alone
# -----------------
#
# `samples` now has the columns `event` and `duration`, as those of `make_samples` do. A scorer of
# scikit-survival needs a boolean event. Death then counts as censoring: it ends what is known of a
# readmission.

y = Surv.from_arrays(samples["event"] == 1, samples["duration"])


def counts():
    return CodeCountVectorizer(encoding="log1p", last_visits=(1,), sparse_output=False)


def lstm():
    return make_pipeline(
        VisitSequenceTransformer(),
        LSTMVisitSurvival(embedding_dim=64, hidden_dim=64, random_state=0),
    )


models = {
    "LSTM": lstm(),
    "Cox": make_pipeline(counts(), CoxPHSurvivalAnalysis(alpha=10.0)),
    "forest": make_pipeline(counts(), RandomSurvivalForest(min_samples_leaf=15, random_state=0)),
}
times = np.arange(30, 361, 30)
print(f"\n{'':8}integrated Brier score (lower is better)")
for name, model in models.items():
    scorer = as_integrated_brier_score_scorer(model, times=times)
    brier = -cross_val_score(scorer, X, y, cv=PatientKFold(3))
    print(f"{name:8}{brier.mean():.3f} +- {brier.std():.3f}")

# %%
# Death and readmission
# ---------------------
#
# A patient who dies is not readmitted. To predict how many patients will be, death must be an event
# of its own: the model that takes it for censoring predicts how many would be if nobody died.

both = samples[["event", "duration"]].to_records(index=False)
train, test = next(PatientKFold(3).split(X))
alone = lstm().fit(X[train], y[train])
competing = lstm().fit(X[train], both[train])
sequences = competing[0].transform(X[test])
incidence = competing[-1].predict_cumulative_incidence(sequences)[:, 0].mean(axis=0)
without_death = 1 - alone[-1].predict_survival_function(sequences, return_array=True).mean(axis=0)
observed_times, observed = cumulative_incidence_competing_risks(
    both[test].event, both[test].duration
)

# %%
# Risk after some time without an event
# -------------------------------------
#
# A patient without an event for 90 days is likely one of low risk. `conditional_after` gives the
# probabilities that hold from then on. It takes one time, or one for each patient.

survival = competing[-1].predict_survival_function(sequences)
still_well = competing[-1].predict_survival_function(sequences, conditional_after=90)
print(f"\nno event in the first 90 days: {np.mean([curve(90) for curve in survival]):.0%}")
print(f"in the next 90, given the first: {np.mean([curve(180) for curve in still_well]):.0%}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
left.step(observed_times, observed[1], "k", where="post", lw=1, label="observed (Aalen-Johansen)")
left.plot(competing[-1].unique_times_, incidence, "o-", ms=4, label="death as an event")
left.plot(alone[-1].unique_times_, without_death, "s--", ms=4, label="death as censoring")
left.set(title="Readmitted, patients of the test fold", xlabel="days", ylabel="share of patients")
left.legend(loc="lower right")
days = np.arange(361)
for curves, name in [(survival, "at the prediction"), (still_well, "after 90 days without event")]:
    right.plot(days, np.mean([curve(days) for curve in curves], axis=0), label=name)
right.set(title="Neither readmitted nor dead, predicted", xlabel="days")
right.legend()
fig.tight_layout()
fig.savefig("survival.png", dpi=100)

# %%
# What to make of it
# ------------------
#
# On 2,000 patients, the three models differ by little more than the folds do. What the left picture
# shows holds for any of them: with death as censoring, too many readmissions are predicted. On the
# right, the step functions of one fitted model answer both questions: what to expect on the day of
# the prediction, and what to expect of those who have had no event by day 90.
