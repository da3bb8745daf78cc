"""Cohorts with planted values, and a model of known risks, for tests of reports."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_ehr import Cohort

N_PATIENTS = 500


class Risk(ClassifierMixin, BaseEstimator):
    """The risk in the column `risk` of the samples, to a power of its odds; learns nothing."""

    def __init__(self, slope=1.0, shift=0.0, decimals=3):
        self.slope, self.shift, self.decimals = slope, shift, decimals

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        risk = X.samples["risk"].to_numpy()
        log_odds = self.slope * np.log(risk / (1 - risk)) + self.shift
        risk = np.round(1 / (1 + np.exp(-log_odds)), self.decimals)
        return np.column_stack([1 - risk, risk])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def make_samples_frame(rng):
    """One to three samples a patient, with columns of all kinds."""
    patient = np.repeat(np.arange(N_PATIENTS), rng.integers(1, 4, N_PATIENTS))
    n = len(patient)
    risk = 1 / (1 + np.exp(-rng.normal(-1, 1.2, N_PATIENTS)[patient] - rng.normal(0, 0.3, n)))
    start = np.datetime64("2015-03-04T05:06:07", "s")
    return pd.DataFrame(
        {
            "patient_id": np.char.mod("PATIENTSECRET%06d", patient),
            "prediction_time": start + rng.integers(1, 10**8, n).astype("timedelta64[s]"),
            "stay_id": 5_112_345_678 + np.arange(n),
            "risk": risk,
            "outcome": rng.binomial(1, risk),
            "sex": rng.choice(["female", "male"], N_PATIENTS)[patient],
            "age": np.where(rng.random(n) < 0.2, np.nan, 54.321 + 20 * rng.random(n)),
            "site": rng.choice(["north", "south", "tiny"], n, p=[0.5, 0.49, 0.01]),
            "smoker": rng.random(n) < 0.3,
            "odd <b>&'\" name": rng.choice(["<i>one</i>", "two & three"], n),
        }
    )


def make_cohort(seed=0):
    """A cohort whose ids, codes and times are to be found nowhere."""
    rng = np.random.default_rng(seed)
    samples = make_samples_frame(rng)
    n = 6 * N_PATIENTS
    events = pd.DataFrame(
        {
            "patient_id": np.char.mod("PATIENTSECRET%06d", rng.integers(0, N_PATIENTS, n)),
            "time": np.datetime64("2014-01-02T03:04:05", "s")
            + rng.integers(1, 10**8, n).astype("timedelta64[s]"),
            "code": np.char.mod("CODESECRET%02d", rng.integers(0, 40, n)),
        }
    )
    return Cohort(events, samples)


def split(X, share=0.5):
    """Positions of the samples of the first patients, and of the others."""
    number = pd.Series(X.groups).str[-6:].astype(int).to_numpy()
    is_first = number < share * N_PATIENTS
    return np.flatnonzero(is_first), np.flatnonzero(~is_first)


def drawn(X, n_draws, seed):
    """Positions of the samples of drawn patients, one array a draw, by a loop over patients."""
    patients = np.unique(X.groups)
    of_patient = {patient: np.flatnonzero(X.groups == patient) for patient in patients}
    rng = np.random.default_rng(seed)
    for _ in range(n_draws):
        chosen = patients[rng.integers(len(patients), size=len(patients))]
        yield np.concatenate([of_patient[patient] for patient in chosen])


def with_column(X, name, values):
    """The same cohort, with another column of samples."""
    return Cohort(X.event_table, X.samples.assign(**{name: values}))
