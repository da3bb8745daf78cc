"""Simulated patient histories whose true risk is known."""

import numbers

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from ..cohort import Cohort
from ..utils import Interval, StrOptions, validate_params

_ZIPF_EXPONENT = 1.05
# Ranks 15 to 22: not so common that nearly everybody has them, but common enough to learn from.
_SIGNAL = np.arange(14, 22)
_N_PAIRS = len(_SIGNAL) // 2
_N_REASONS = 20
# Neighbours in rank have opposite signs, so that the length of a history says little.
_WEIGHTS = np.tile([1.0, -1.0], _N_PAIRS)

_DAY = 86_400
_MEAN_GAP = 45 * _DAY
_HALF_LIFE = 45 * _DAY
_FIRST_DAY = np.datetime64("2000-01-01T00:00:00", "s")

# Chosen for a prevalence of about 25 % and a ROC AUC of the true risk of about 0.8.
_INTERCEPT = -1.4
_SCALE = 1.35


@validate_params(
    {
        "n_patients": [Interval(numbers.Integral, 1, None, closed="left")],
        "signal": [StrOptions({"bag", "recency", "order", "gaps", "values", "groups"})],
        "n_codes": [Interval(numbers.Integral, 30, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_visits(n_patients=1000, *, signal="bag", n_codes=200, random_state=None):
    """Simulate histories of coded visits, with an outcome whose true risk is known.

    There is one sample per patient, predicted 1 to 30 days after the patient's last visit. The
    number of visits per patient is log-normal (median 8, sigma 0.8, at most 200), and so is the
    number of codes per visit (median 8, sigma 0.7, at most 100). The frequency of codes follows a
    Zipf law with exponent 1.05. A code may be repeated within a visit.

    Parameters
    ----------
    n_patients : int, default=1000
        Number of patients, and so of samples.
    signal : {"bag", "recency", "order", "gaps", "values", "groups"}, default="bag"
        What the log-odds of the outcome depend on:

        * "bag": the number of visits with each of 8 codes, on the scale of ``log1p``. Logistic
          regression on counts is the right model.
        * "recency": the number of visits with each of these 8 codes, where a visit counts half as
          much for every 45 days between it and the prediction.
        * "order": which of two codes came first, in each of 4 pairs of codes. Every patient has
          both codes of a pair once, so only a model of sequences can learn from them.
        * "gaps": the mean of ``log1p`` of the days from one visit to the next, which differ from
          patient to patient. Codes and their order carry no signal.
        * "values": the values of the 8 codes, which stand for laboratory tests on different scales.
          For 4 of the tests, high values raise the log-odds; for the others, they lower them. The
          codes alone carry no signal.
        * "groups": the number of visits for each of 8 reasons, on the scale of ``log1p``. A visit
          has one of 20 reasons, and about half of its codes are drawn evenly from the twentieth of
          all codes that belongs to this reason. With a large `n_codes`, each of these is rare, so
          it helps to know which codes belong together.
    n_codes : int, default=200
        Number of codes to draw from, at least 30. The code ``OUTCOME`` is not among them.
    random_state : int, RandomState instance or None, default=None
        Seed of the simulation. Pass an int for the same histories in every call.

    Returns
    -------
    X : Cohort of shape (n_patients,)
        ``X.samples`` has the columns `outcome` and `risk`, the true probability of the outcome. On
        average, no model predicts better than this risk, whose ROC AUC is about 0.8.
    y : Series of shape (n_patients,)
        Outcome of each sample: ``X.samples["outcome"]``, 1 for about 25 % of the samples, else 0.

    See Also
    --------
    load_diabetes_readmission : Real hospital encounters.

    Notes
    -----
    Each patient with the outcome has one visit with the code ``OUTCOME``, 1 to 30 days after the
    prediction time. The cohort hides it. A model that predicts perfectly has seen it, so it reveals
    leaks.

    Examples
    --------
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(500, random_state=0)
    >>> X.shape
    (500,)
    >>> X.samples.columns.tolist()
    ['patient_id', 'prediction_time', 'risk', 'outcome']
    """
    rng = check_random_state(random_state)
    n_visits = _heavy_tailed(rng, n_patients, median=8, sigma=0.8, highest=200)
    first_visit = np.cumsum(n_visits) - n_visits
    visit_patient = np.repeat(np.arange(n_patients), n_visits)
    pace = np.exp(rng.standard_normal(n_patients)) if signal == "gaps" else np.ones(n_patients)
    visit_time, prediction_time = _draw_times(rng, visit_patient, first_visit, pace)

    visit, code = _draw_codes(rng, len(visit_patient), n_codes, signal)
    value = None
    if signal == "order":
        pair_visits, score = _place_pairs(rng, first_visit, n_visits)
        visit = np.concatenate([visit, pair_visits.ravel()])
        code = np.concatenate([code, np.tile(_SIGNAL, n_patients)])
    elif signal == "gaps":
        score = _score_gaps(visit_time, visit_patient, n_patients)
    elif signal == "values":
        value, score = _draw_values(rng, code, visit_patient[visit], n_patients)
    elif signal == "groups":
        code, score = _draw_groups(rng, visit, code, visit_patient, n_patients, n_codes)
    else:
        half_life = _HALF_LIFE if signal == "recency" else None
        visit_age = prediction_time[visit_patient] - visit_time
        score = _score(visit, code, visit_patient, visit_age, n_patients, half_life)
    # Standardised, so that prevalence and AUC do not depend on the number of codes.
    spread = score.std()
    z = (score - score.mean()) / (spread if spread > 0 else 1.0)
    risk = 1 / (1 + np.exp(-(_INTERCEPT + _SCALE * z)))
    outcome = (rng.random_sample(n_patients) < risk).astype(np.int64)

    ill = np.flatnonzero(outcome)
    after = prediction_time[ill] + rng.randint(_DAY, 30 * _DAY, len(ill))
    events = _make_events(
        np.concatenate([visit, len(visit_patient) + np.arange(len(ill))]),
        np.concatenate([code, np.full(len(ill), n_codes)]),
        np.concatenate([visit_patient, ill]),
        np.concatenate([visit_time, after]),
        value if value is None else np.append(value, np.full(len(ill), np.nan)),
        names=[*(f"C{rank:0{len(str(n_codes))}d}" for rank in range(1, n_codes + 1)), "OUTCOME"],
    )
    samples = pd.DataFrame(
        {
            "patient_id": np.arange(n_patients),
            "prediction_time": _FIRST_DAY + prediction_time,
            "risk": risk,
            "outcome": outcome,
        }
    )
    X = Cohort(events, samples)
    return X, X.samples["outcome"]


def _heavy_tailed(rng, size, *, median, sigma, highest):
    draws = np.round(rng.lognormal(np.log(median), sigma, size))
    return np.clip(draws, 1, highest).astype(np.int64)


def _draw_times(rng, visit_patient, first_visit, pace):
    """Times of visits and of predictions, in seconds since the first day."""
    # Gaps are not in whole days: events at midnight would only be known when their day has ended.
    gap = rng.exponential(_MEAN_GAP - _DAY, len(visit_patient)) * pace[visit_patient]
    gap = _DAY + gap.astype(np.int64)
    gap[first_visit] = 0
    passed = np.cumsum(gap)
    start = rng.randint(0, 5 * 365 * _DAY, len(first_visit))
    visit_time = (start - passed[first_visit])[visit_patient] + passed
    last_visit = np.append(first_visit[1:], len(visit_patient)) - 1
    return visit_time, visit_time[last_visit] + rng.randint(_DAY, 30 * _DAY, len(first_visit))


def _draw_codes(rng, n_visits, n_codes, signal):
    """Visit of each event, and its code as a rank from 0 on."""
    frequency = 1.0 / np.arange(1, n_codes + 1) ** _ZIPF_EXPONENT
    if signal == "order":
        # Pairs are placed separately, as chance repeats of a code would blur which came first.
        frequency[_SIGNAL] = 0.0
    visit = np.repeat(
        np.arange(n_visits), _heavy_tailed(rng, n_visits, median=8, sigma=0.7, highest=100)
    )
    return visit, rng.choice(n_codes, len(visit), p=frequency / frequency.sum())


def _place_pairs(rng, first_visit, n_visits):
    """Visits of the two codes of each pair, and the score of their order.

    The score is the number of pairs whose first code comes first, minus the number of the others.
    """
    shape = (len(n_visits), _N_PAIRS)
    one = rng.randint(0, n_visits[:, None], shape)
    step = rng.randint(1, np.maximum(n_visits, 2)[:, None], shape)
    # If a patient has a single visit, it has both codes, and neither comes first.
    other = (one + step) % n_visits[:, None]
    visits = first_visit[:, None, None] + np.stack([one, other], axis=-1)
    return visits, np.sign(other - one).sum(axis=1).astype(float)


def _score(visit, code, visit_patient, visit_age, n_patients, half_life):
    place = code - _SIGNAL[0]
    hit = (place >= 0) & (place < len(_SIGNAL))
    # Repeats within a visit do not count, because models of visits may drop them.
    visit_place = np.unique(visit[hit] * len(_SIGNAL) + place[hit])
    visit, place = np.divmod(visit_place, len(_SIGNAL))
    weight = None if half_life is None else 0.5 ** (visit_age[visit] / half_life)
    cell = visit_patient[visit] * len(_SIGNAL) + place
    amount = np.bincount(cell, weights=weight, minlength=n_patients * len(_SIGNAL))
    amount = amount.reshape(n_patients, len(_SIGNAL))
    return (np.log1p(amount) if half_life is None else amount) @ _WEIGHTS


def _score_gaps(visit_time, visit_patient, n_patients):
    """Mean log1p of the days between a patient's visits; the overall mean for a single visit."""
    is_gap = visit_patient[1:] == visit_patient[:-1]
    length = np.log1p(np.diff(visit_time)[is_gap] / _DAY)
    n_gaps = np.bincount(visit_patient[1:][is_gap], minlength=n_patients)
    total = np.bincount(visit_patient[1:][is_gap], weights=length, minlength=n_patients)
    typical = length.mean() if length.size else 0.0
    return np.where(n_gaps > 0, total / np.maximum(n_gaps, 1), typical)


def _draw_values(rng, code, patient, n_patients):
    """Values of the signal codes, and the weighted sum of each patient's standardised means."""
    place = code - _SIGNAL[0]
    hit = np.flatnonzero((place >= 0) & (place < len(_SIGNAL)))
    place = place[hit]
    cell = patient[hit] * len(_SIGNAL) + place
    # Most of the variation of a test lies between patients, some of it between days.
    own = rng.standard_normal(n_patients * len(_SIGNAL))
    standard = 0.9 * own[cell] + np.sqrt(1 - 0.9**2) * rng.standard_normal(len(hit))
    value = np.full(len(code), np.nan)
    value[hit] = 10.0 ** (place % 4) * (10 + standard)
    shape = n_patients * len(_SIGNAL)
    n_tests = np.bincount(cell, minlength=shape)
    mean = np.bincount(cell, weights=standard, minlength=shape) / np.maximum(n_tests, 1)
    return value, mean.reshape(n_patients, len(_SIGNAL)) @ _WEIGHTS


def _draw_groups(rng, visit, code, visit_patient, n_patients, n_codes):
    """Codes, half of them drawn by the reason of the visit, and the score of the reasons."""
    reason = rng.randint(0, _N_REASONS, len(visit_patient))
    of_reason = reason[visit] + _N_REASONS * rng.randint(0, n_codes // _N_REASONS, len(visit))
    code = np.where(rng.random_sample(len(visit)) < 0.5, of_reason, code)
    cell = visit_patient * _N_REASONS + reason
    n_visits = np.bincount(cell, minlength=n_patients * _N_REASONS)
    # The last reasons are used, as the codes of the first ones include the most common codes.
    told = n_visits.reshape(n_patients, _N_REASONS)[:, -len(_WEIGHTS) :]
    return code, np.log1p(told) @ _WEIGHTS


def _make_events(visit, code, visit_patient, visit_time, value, names):
    events = {
        "patient_id": visit_patient[visit],
        "visit_id": visit,
        "time": (_FIRST_DAY + visit_time)[visit],
        "code": pd.Categorical.from_codes(code, categories=names),
    }
    return pd.DataFrame(events if value is None else events | {"value": value}, copy=False)
