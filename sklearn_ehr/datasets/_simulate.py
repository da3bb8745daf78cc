"""What would histories look like if we knew what the outcome depends on."""

import numbers

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ..cohort import Cohort

_ZIPF_EXPONENT = 1.05
# Ranks 15 to 22: rarer than what nearly everybody has, frequent enough to learn from.
_SIGNAL = np.arange(14, 22)
_N_PAIRS = len(_SIGNAL) // 2
_N_REASONS = 20
# Neighbours in rank pull in opposite directions, so that the length of a history tells little.
_WEIGHTS = np.tile([1.0, -1.0], _N_PAIRS)

_DAY = 86_400
_MEAN_GAP = 45 * _DAY
_HALF_LIFE = 45 * _DAY
_FIRST_DAY = np.datetime64("2000-01-01T00:00:00", "s")

# Chosen once for a prevalence near 25 % and a ROC AUC of the true risk near 0.8.
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
    """Simulate heavy-tailed histories of coded visits with a known risk.

    Visits a patient are log-normal (median 8, sigma 0.8, at most 200), codes a visit too (median 8,
    sigma 0.7, at most 100), codes follow a Zipf law of exponent 1.05 and may come twice in a visit.
    There is one sample a patient, predicted some weeks after the last visit.

    Parameters
    ----------
    n_patients : int, default=1000
        Number of patients, which is the number of samples.
    signal : {"bag", "recency", "order", "gaps", "values", "groups"}, default="bag"
        What the log-odds of the outcome depend on:

        * "bag": how often each of 8 codes was recorded, as ``log1p`` of the count. Logistic
          regression on counts is the right model.
        * "recency": the same 8 codes, an event counting half as much for every 45 days that have
          passed until the prediction.
        * "order": in each of 4 pairs of codes, whose two codes everybody has once, which came
          first. Counts tell nothing; a model of sequences can learn it.
        * "gaps": how long it is from visit to visit, as the mean ``log1p`` of the gaps in days, of
          which each patient has longer or shorter ones. Codes and their order tell nothing.
        * "values": the values of the 8 codes, each the result of a test in a unit of its own; high
          ones of a code raise or lower the log-odds. Which codes were recorded tells nothing.
        * "groups": what visits were for, of 20 reasons, as ``log1p`` of how many were for each of
          8. Half of a visit's codes come from the twentieth of all codes that belong to its reason,
          each as likely: with many codes each is rare, and which go together tells a lot.
    n_codes : int, default=200
        Size of the coding system, at least 30.
    random_state : int, RandomState instance or None, default=None
        Seed; pass an int for the same histories on every call.

    Returns
    -------
    X : Cohort of n_patients samples
        `X.samples` has, next to the `outcome`, its true probability `risk`, which no model
        can beat. About 25 % of the outcomes are 1, and the risk has a ROC AUC of about 0.8.
    y : Series of shape (n_patients,)
        ``X.samples["outcome"]``, 0 or 1.

    Notes
    -----
    Patients with the outcome have one visit after the prediction time, with the code ``OUTCOME``.
    A cohort hides it; a preparation that sees it predicts perfectly, which is how a leak shows.

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
    # Standardised, so that prevalence and AUC stay where they are for any number of codes.
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
    """Seconds from the first day, of visits and of predictions."""
    # Whole days would bring in the rule for events that are known when their day has ended.
    gap = rng.exponential(_MEAN_GAP - _DAY, len(visit_patient)) * pace[visit_patient]
    gap = _DAY + gap.astype(np.int64)
    gap[first_visit] = 0
    passed = np.cumsum(gap)
    start = rng.randint(0, 5 * 365 * _DAY, len(first_visit))
    visit_time = (start - passed[first_visit])[visit_patient] + passed
    last_visit = np.append(first_visit[1:], len(visit_patient)) - 1
    return visit_time, visit_time[last_visit] + rng.randint(_DAY, 30 * _DAY, len(first_visit))


def _draw_codes(rng, n_visits, n_codes, signal):
    """Visit and code (its rank, from 0) of each event."""
    frequency = 1.0 / np.arange(1, n_codes + 1) ** _ZIPF_EXPONENT
    if signal == "order":
        # Pairs are placed one by one: a chance repeat of a code would blur which came first.
        frequency[_SIGNAL] = 0.0
    visit = np.repeat(
        np.arange(n_visits), _heavy_tailed(rng, n_visits, median=8, sigma=0.7, highest=100)
    )
    return visit, rng.choice(n_codes, len(visit), p=frequency / frequency.sum())


def _place_pairs(rng, first_visit, n_visits):
    """Visits of the two codes of each pair, and how often the first code leads."""
    shape = (len(n_visits), _N_PAIRS)
    one = rng.randint(0, n_visits[:, None], shape)
    step = rng.randint(1, np.maximum(n_visits, 2)[:, None], shape)
    # With a single visit both codes fall into it, and neither leads.
    other = (one + step) % n_visits[:, None]
    visits = first_visit[:, None, None] + np.stack([one, other], axis=-1)
    return visits, np.sign(other - one).sum(axis=1).astype(float)


def _score(visit, code, visit_patient, visit_age, n_patients, half_life):
    place = code - _SIGNAL[0]
    hit = (place >= 0) & (place < len(_SIGNAL))
    # A repeat within a visit tells a model of visits nothing, so it adds nothing to the risk.
    visit_place = np.unique(visit[hit] * len(_SIGNAL) + place[hit])
    visit, place = np.divmod(visit_place, len(_SIGNAL))
    weight = None if half_life is None else 0.5 ** (visit_age[visit] / half_life)
    cell = visit_patient[visit] * len(_SIGNAL) + place
    amount = np.bincount(cell, weights=weight, minlength=n_patients * len(_SIGNAL))
    amount = amount.reshape(n_patients, len(_SIGNAL))
    return (np.log1p(amount) if half_life is None else amount) @ _WEIGHTS


def _score_gaps(visit_time, visit_patient, n_patients):
    """Mean log1p of the days between a patient's visits; without any that of all patients."""
    is_gap = visit_patient[1:] == visit_patient[:-1]
    length = np.log1p(np.diff(visit_time)[is_gap] / _DAY)
    n_gaps = np.bincount(visit_patient[1:][is_gap], minlength=n_patients)
    total = np.bincount(visit_patient[1:][is_gap], weights=length, minlength=n_patients)
    typical = length.mean() if length.size else 0.0
    return np.where(n_gaps > 0, total / np.maximum(n_gaps, 1), typical)


def _draw_values(rng, code, patient, n_patients):
    """Values of the signal's codes, and the weighted sum of each patient's mean standard values."""
    place = code - _SIGNAL[0]
    hit = np.flatnonzero((place >= 0) & (place < len(_SIGNAL)))
    place = place[hit]
    cell = patient[hit] * len(_SIGNAL) + place
    # Most of what a test shows is the patient, some of it the day.
    own = rng.standard_normal(n_patients * len(_SIGNAL))
    standard = 0.9 * own[cell] + np.sqrt(1 - 0.9**2) * rng.standard_normal(len(hit))
    value = np.full(len(code), np.nan)
    value[hit] = 10.0 ** (place % 4) * (10 + standard)
    shape = n_patients * len(_SIGNAL)
    n_tests = np.bincount(cell, minlength=shape)
    mean = np.bincount(cell, weights=standard, minlength=shape) / np.maximum(n_tests, 1)
    return value, mean.reshape(n_patients, len(_SIGNAL)) @ _WEIGHTS


def _draw_groups(rng, visit, code, visit_patient, n_patients, n_codes):
    """Codes of which half go with their visit's reason, and the weighted visits a reason."""
    reason = rng.randint(0, _N_REASONS, len(visit_patient))
    of_reason = reason[visit] + _N_REASONS * rng.randint(0, n_codes // _N_REASONS, len(visit))
    code = np.where(rng.random_sample(len(visit)) < 0.5, of_reason, code)
    cell = visit_patient * _N_REASONS + reason
    n_visits = np.bincount(cell, minlength=n_patients * _N_REASONS)
    # The last reasons: the codes of the first are also those that everybody has.
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
