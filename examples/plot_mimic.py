"""
From the files of MIMIC-IV to a comparison
==========================================

Who dies within 30 days? We predict it a day after admission. The files of MIMIC-IV, as downloaded
from PhysioNet, are read from their folder: ``python plot_mimic.py mimic-iv-3.1``. Credentialed
researchers alone may have them, so the page of this example in the documentation shows no output.
"""

# %%
# The events and the stays
# ------------------------
#
# Diagnoses, procedures and DRG are coded at discharge. `read_mimic` says so in a column of known
# times, and no model sees them before. Stays that have ended by the prediction are left out.

import sys

import matplotlib.pyplot as plt
import pandas as pd

from sklearn_ehr import Cohort, EventTable, compare, make_samples
from sklearn_ehr.io import read_mimic, read_mimic_visits

folder = sys.argv[1]
table = EventTable(read_mimic(folder))
stays = read_mimic_visits(folder).df()
stays = stays[stays["end_time"] - stays["time"] > pd.Timedelta("24h")]

# %%
# The samples
# -----------
#
# Dates are shifted by a different length for each patient, so each patient has their own end of
# observation: deaths are followed up for a year after the last discharge.

end = stays.groupby("patient_id")["end_time"].max() + pd.Timedelta("365D")
samples, attrition = make_samples(
    table, index=stays, offset="24h", outcome_codes=["death"], horizon="30D", observation_end=end
)
print(attrition)

# %%
# The comparison
# --------------
#
# A patient may have several stays: the folds keep them together.

X = Cohort(table, samples)
scores = compare(X, samples["outcome"])
print(scores.to_string(float_format="{:.3f}".format))

# %%
# The picture shows the means over the folds.

auc = scores["roc_auc"]
ax = auc["mean"].plot.barh(xerr=auc["std"], color="tab:blue", figsize=(6, 2.5))
ax.axvline(0.5, color="black", linestyle=":")
ax.set(xlabel="ROC AUC, mean and standard deviation of five folds", ylabel="", xlim=(0, 1))
plt.tight_layout()
plt.savefig("mimic.png")
