"""Which real patients were readmitted within 30 days, and what had been recorded of them."""

from importlib.resources import files
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.utils import Bunch
from sklearn.utils._param_validation import validate_params

from ..cohort import Cohort

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
# The lowest number of each bin, and the highest that there can be (None: no limit). Literals, not
# quantiles: a bin learnt from all patients would have seen the test fold.
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
# Dispositions 11, 13, 14, 19, 20 and 21 of the source: nobody is readmitted after these.
_DEATH_OR_HOSPICE = ("Expired", "Hospice")


@validate_params({"return_X_y": ["boolean"]}, prefer_skip_nested_validation=True)
def load_diabetes_readmission(*, return_X_y=False):
    """Load encounters of patients with diabetes, to predict readmission within 30 days.

    49,900 patients with 70,843 inpatient encounters in 130 US hospitals, 1999-2008, from
    "Diabetes 130-US Hospitals for Years 1999-2008" [1]_, [2]_. The data are public and
    de-identified, and shared under CC BY 4.0; cite [1]_ when you use them.

    Each encounter that did not end in death or hospice care is a sample, predicted at discharge
    from the encounter and all before it. Encounters that did end so stay in the history.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a `Bunch`.

    Returns
    -------
    bunch : Bunch
        With the attributes

        events : DataFrame of shape (1396715, 4)
            One row an event: `patient_id`, `visit_id` (the encounter), `time` (the encounter's
            position among those of its patient: 0, 1, 2, ...; the dates are not public) and `code`.
        samples : DataFrame of shape (69136, 4)
            One row an encounter: `patient_id`, `prediction_time` (the time of the encounter, which
            is itself visible), `visit_id` and `readmitted` (1: within 30 days, 0: later or never).
        data : Cohort of 69136 samples
            Both of them, the `X` of a pipeline.
        target : Series of shape (69136,)
            ``data.samples["readmitted"]``.
        DESCR : str
            Source, licence, and changes made to the source.
    (X, y) : tuple of Cohort and Series, if `return_X_y`
        `data` and `target`.

    Notes
    -----
    Codes have a prefix, and ``//`` between parts:

    * ``ICD9``: up to three diagnoses, with zeros to three digits before the point (``ICD9//008``);
      the first one is also an ``ICD9_PRIMARY``. The source shortens most diagnoses to three digits,
      so one encounter can have the same code twice.
    * ``DRUG//insulin//Up``: a drug for diabetes and whether its dose was raised (``Up``), lowered
      (``Down``) or kept (``Steady``).
    * ``GLUCOSE``, ``A1C``: a result, where the test was made.
    * ``ADMISSION_TYPE``, ``ADMISSION_SOURCE``, ``SPECIALTY`` (of the admitting physician),
      ``DISCHARGE`` (where to), ``RACE``, ``SEX``, ``AGE`` (ten years, at each encounter).
    * ``OUTPATIENT``, ``EMERGENCY``, ``INPATIENT``: visits in the year before; ``DAYS`` in hospital;
      ``LABS``, ``PROCEDURES``, ``MEDICATIONS``, ``DIAGNOSES``: how many; all in fixed bins
      (``INPATIENT//5+``, ``DAYS//8-10``).

    What is missing, and a drug not given or a test not made, is no event. Payer, weight, and the
    readmission of any encounter are never events.

    Diagnoses are coded after discharge. A real-time model would not have them yet, so results with
    them, like most published ones on these data, are better than it could reach.

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
    """One row a code; one column of integers a kind of code, laid side by side, then flattened."""
    names, blocks = [], []
    for codes, number in _code_columns(columns):
        # 0 is "nothing" in every column, so that it takes no name.
        blocks.append(np.where(number > 0, number + np.int16(len(names) - 1), -1))
        names.extend(codes)
    wide = np.column_stack(blocks)
    row, slot = np.nonzero(wide >= 0)
    # Diagnoses share their names across three columns, hence the factorisation.
    number, names = pd.factorize(np.array(names, dtype=object), sort=True)
    code = pd.Categorical.from_codes(number[wide[row, slot]], categories=names)
    return encounters.iloc[row].reset_index(drop=True).assign(code=code.remove_unused_categories())


def _code_columns(columns):
    """Names of codes, and for each encounter 0 or the 1-based position of its name."""
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
