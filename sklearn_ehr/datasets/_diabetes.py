"""Hospital encounters of patients with diabetes, with readmission as the outcome."""

from importlib.resources import files
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from ..cohort import Cohort
from ..utils import validate_params

_TEXTS = {
    "race": "RACE",
    "gender": "SEX",
    "age": "AGE",
    "admission_type_id": "ADMISSION_TYPE",
    "admission_source_id": "ADMISSION_SOURCE",
    "medical_specialty": "SPECIALTY",
    "max_glu_serum": "GLUCOSE",
    "A1Cresult": "A1C",
    "discharge_disposition_id": "DISCHARGE",
}
# Lowest number of each bin, and highest possible number (None: no limit). They are fixed, as
# quantiles of all patients would depend on the test fold.
_NUMBERS = {
    "number_outpatient": ("OUTPATIENT", (0, 1, 2, 3, 4, 5), None),
    "number_emergency": ("EMERGENCY", (0, 1, 2, 3, 4, 5), None),
    "number_inpatient": ("INPATIENT", (0, 1, 2, 3, 4, 5), None),
    "time_in_hospital": ("DAYS", (1, 2, 3, 4, 5, 6, 7, 8, 11), 14),
    "num_lab_procedures": ("LABS", (1, 10, 20, 30, 40, 50, 60, 70, 80), None),
    "num_procedures": ("PROCEDURES", (0, 1, 2, 3, 4, 5, 6), 6),
    "num_medications": ("MEDICATIONS", (1, 5, 10, 15, 20, 25, 30, 40), None),
    "number_diagnoses": ("DIAGNOSES", (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), None),
}
_DRUGS = (
    "acarbose",
    "acetohexamide",
    "chlorpropamide",
    "glimepiride",
    "glimepiride-pioglitazone",
    "glipizide",
    "glipizide-metformin",
    "glyburide",
    "glyburide-metformin",
    "insulin",
    "metformin",
    "metformin-pioglitazone",
    "metformin-rosiglitazone",
    "miglitol",
    "nateglinide",
    "pioglitazone",
    "repaglinide",
    "rosiglitazone",
    "tolazamide",
    "tolbutamide",
    "troglitazone",
)
# Dispositions 11, 13, 14, 19, 20 and 21 of the source, after which nobody is readmitted.
_DEATH_OR_HOSPICE = ("Expired", "Hospice")


@validate_params({"return_X_y": ["boolean"]}, prefer_skip_nested_validation=True)
def load_diabetes_readmission(*, return_X_y=False):
    """Load hospital encounters of patients with diabetes (readmission within 30 days).

    The data hold 70,843 inpatient encounters of 49,900 patients in 130 US hospitals, 1999-2008, a
    selection from "Diabetes 130-US Hospitals for Years 1999-2008" [1]_, [2]_. They are public and
    de-identified, and are distributed under CC BY 4.0. Please cite [1]_ when you use them.

    Each encounter is a sample, except those that ended in death or hospice care. It is predicted at
    discharge, from this encounter and all earlier ones of the patient. The encounters that are not
    samples are still part of the history.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a `Bunch`.

    Returns
    -------
    bunch : Bunch
        Dictionary-like object with these attributes:

        events : DataFrame of shape (1396715, 4)
            One row per event: `patient_id`, `visit_id` (the encounter), `time` (the position of the
            encounter among those of the patient: 0, 1, 2, ..., as the dates are not public) and
            `code`.
        samples : DataFrame of shape (69136, 4)
            One row per sample: `patient_id`, `prediction_time` (the time of the encounter, whose
            events are visible), `visit_id` and `readmitted` (1: within 30 days, 0: later or never).
        data : Cohort of shape (69136,)
            Cohort of these events and samples, the `X` of a pipeline.
        target : Series of shape (69136,)
            Outcome of each sample: ``data.samples["readmitted"]``.
        DESCR : str
            Source, licence, and changes made to the source.
    (X, y) : tuple of Cohort and Series
        `data` and `target`, if `return_X_y` is True.

    See Also
    --------
    make_visits : Simulated histories with a known risk.

    Notes
    -----
    Codes have a prefix, followed by parts that ``//`` separates:

    * ``ICD9``: up to three diagnoses, padded with zeros to three digits before the point
      (``ICD9//008``). The first one also has a code ``ICD9_PRIMARY``. The source shortens most
      diagnoses to three digits, so an encounter may have the same code twice.
    * ``DRUG``: a diabetes drug, and whether its dose was raised (``DRUG//insulin//Up``), lowered
      (``Down``) or kept (``Steady``).
    * ``GLUCOSE``, ``A1C``: the result of a test.
    * ``ADMISSION_TYPE``, ``ADMISSION_SOURCE``, ``SPECIALTY`` (of the admitting physician),
      ``DISCHARGE`` (destination), ``RACE``, ``SEX``, ``AGE`` (ten-year band at the encounter).
    * ``OUTPATIENT``, ``EMERGENCY``, ``INPATIENT``: number of visits in the preceding year.
      ``DAYS``: length of stay. ``LABS``, ``PROCEDURES``, ``MEDICATIONS``, ``DIAGNOSES``: their
      number. All of these are in fixed bins (``INPATIENT//5+``, ``DAYS//8-10``).

    A missing value, a drug that was not prescribed and a test that was not done have no event.
    Payer, weight and readmission are never events.

    Diagnoses are coded after discharge, so they are not available to a real-time model. Results
    that use them, like most published results on these data, are therefore better than such a model
    could achieve.

    References
    ----------
    .. [1] B. Strack et al., "Impact of HbA1c Measurement on Hospital Readmission Rates: Analysis of
       70,000 Clinical Database Patient Records", BioMed Research International 2014, 781670.
       https://doi.org/10.1155/2014/781670
    .. [2] UCI Machine Learning Repository, https://doi.org/10.24432/C5230J

    Examples
    --------
    >>> from sklearn_ehr.datasets import load_diabetes_readmission
    >>> X, y = load_diabetes_readmission(return_X_y=True)
    >>> X.shape
    (69136,)
    >>> float(y.mean().round(3))
    0.114
    """
    folder = files(__package__) / "data"
    with (
        (folder / "diabetes130.npz").open("rb") as stream,
        np.load(stream, allow_pickle=False) as archive,
    ):
        columns = {name: archive[name] for name in archive.files}
    encounters = _number_encounters(columns["first"])
    events = _make_events(columns, encounters)
    samples = _make_samples(columns, encounters)
    data = Cohort(events, samples)
    target = data.samples["readmitted"]
    if return_X_y:
        return data, target
    return Bunch(
        events=events,
        samples=samples,
        data=data,
        target=target,
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
    )


def _number_encounters(first):
    visit = np.arange(len(first))
    starts = np.flatnonzero(first)
    patient = np.cumsum(first, dtype=np.int64) - 1
    return pd.DataFrame({"patient_id": patient, "visit_id": visit, "time": visit - starts[patient]})


def _make_events(columns, encounters):
    """One row per code, from a matrix with one column per kind of code."""
    names, blocks = [], []
    for codes, number in _code_columns(columns):
        # In every column, 0 stands for "nothing" and has no name.
        blocks.append(np.where(number > 0, number + np.int16(len(names) - 1), -1))
        names.extend(codes)
    wide = np.column_stack(blocks)
    row, slot = np.nonzero(wide >= 0)
    # The three columns of diagnoses have the same names, which must become one category each.
    number, names = pd.factorize(np.array(names, dtype=object), sort=True)
    code = pd.Categorical.from_codes(number[wide[row, slot]], categories=names)
    return encounters.iloc[row].reset_index(drop=True).assign(code=code.remove_unused_categories())


def _code_columns(columns):
    """Pairs of the names of one kind of code, and each encounter's position among them.

    Positions count from 1; 0 means that the encounter has none of them.
    """
    diagnoses = [_pad_icd9(code) for code in columns["diag.values"][1:]]
    yield [f"ICD9_PRIMARY//{code}" for code in diagnoses], columns["diag_1"].astype(np.int16)
    for column in ("diag_1", "diag_2", "diag_3"):
        yield [f"ICD9//{code}" for code in diagnoses], columns[column].astype(np.int16)
    for drug in _DRUGS:
        changes = columns["drug.values"][1:]
        yield [f"DRUG//{drug}//{change}" for change in changes], columns[drug].astype(np.int16)
    for column, prefix in _TEXTS.items():
        values = columns[f"{column}.values"][1:]
        yield [f"{prefix}//{value}" for value in values], columns[column].astype(np.int16)
    for column, (prefix, lows, highest) in _NUMBERS.items():
        number = np.searchsorted(lows, columns[column], side="right").astype(np.int16)
        yield [f"{prefix}//{label}" for label in _bin_labels(lows, highest)], number


def _pad_icd9(code):
    whole, point, rest = str(code).partition(".")
    return whole.zfill(3) + point + rest


def _bin_labels(lows, highest):
    last = f"{lows[-1]}+" if highest is None else _span(lows[-1], highest)
    return [_span(low, above - 1) for low, above in pairwise(lows)] + [last]


def _span(low, high):
    return str(low) if low == high else f"{low}-{high}"


def _make_samples(columns, encounters):
    ended = [
        str(value).startswith(_DEATH_OR_HOSPICE)
        for value in columns["discharge_disposition_id.values"]
    ]
    kept = ~np.array(ended)[columns["discharge_disposition_id"]]
    samples = encounters.rename(columns={"time": "prediction_time"})
    samples = samples[["patient_id", "prediction_time", "visit_id"]]
    samples = samples.assign(readmitted=columns["readmitted"].astype(np.int64))
    return samples[kept].reset_index(drop=True)
