"""Patients named in the parameters of `make_samples`."""

import pandas as pd

from ..cohort import match_patients
from ..utils import check_keys, key_kind, readable


def read_patients(series, table, name):
    """Patient ids in the index of a Series; a MultiIndex and nulls are refused."""
    if isinstance(series.index, pd.MultiIndex):
        raise ValueError(
            f"The index of {name} must hold patient ids, but is a MultiIndex. Keep the level of "
            f"the patients, for instance with .droplevel."
        )
    if n_null := int(series.index.isna().sum()):
        raise ValueError(
            f"The index of {name} must hold patient ids, without nulls, but {n_null} are null. "
            f"Drop those rows."
        )
    return readable(pd.Series(series.index, name=table.columns["patient_id"]))


def match_with_events(patient, table, name):
    """Match the patients in a parameter with those of events, as `match_patients` does.

    At least one of them must have an event.
    """
    check_keys(patient)
    if key_kind(patient) == key_kind(table.patients):
        is_unknown = patient.notna() & ~patient.isin(table.patients)
        if is_unknown.all():
            raise ValueError(
                f"No patient of {name} has any event ({patient.nunique()} id(s) in {name}, "
                f"{len(table.patients)} patients with events). Check that both use the same ids."
            )
    return match_patients(patient, table.patients, name)
