"""Summary of visit sequences for notebooks, in which no patient can be recognised."""

import numpy as np
import pandas as pd

from ..cohort import null_times
from ..utils import (
    MIN_PATIENTS,
    TOO_FEW,
    count_text,
    lengths_html,
    names_text,
    spread,
    summary_html,
    years_text,
)

# Number of samples that are looked at, in memory and on disk.
_MOST, _MOST_MAPPED = 1_000_000, 10_000


def sequences_html(sequences):
    """HTML of visit sequences."""
    sample = spread(len(sequences), _MOST if sequences._folder is None else _MOST_MAPPED)
    patient = sample
    if sequences.groups is not None:
        groups = np.asarray(sequences.groups)[sample]
        patient = pd.factorize(groups, use_na_sentinel=False)[0]
    n_patients = len(pd.unique(patient))
    if n_patients < MIN_PATIENTS:
        return summary_html("VisitSequences", [("Patients", TOO_FEW)])
    is_all = len(sample) == len(sequences)
    lengths = sequences.sample_offsets[sample + 1] - sequences.sample_offsets[sample]
    quantiles, histogram = lengths_html("Visits per sample", lengths, patient, "samples")
    n_visits, n_tokens = len(sequences.visit_offsets) - 1, len(sequences.tokens)
    vocabulary, features = sequences.vocabulary, sequences.feature_names
    rows = {
        "Samples": count_text(len(sequences)),
        "Patients": count_text(n_patients) if is_all else None,
        "Visits": count_text(n_visits),
        "Codes": count_text(n_tokens),
        "Codes per visit": f"{n_tokens / n_visits:.1f} on average" if n_visits else None,
        "Visits per sample": quantiles,
        "Years": _years(sequences, sample, patient),
        "Looked at": None if is_all else f"{len(sample):,} samples",
        "Vocabulary": None if vocabulary is None else f"{len(vocabulary.codes):,} codes",
        "Features": names_text(features) if features else None,
    }
    return summary_html("VisitSequences", rows.items(), histogram)


def _years(sequences, sample, patient):
    """Years of predictions or, in whole histories, of the first and the last dated visits."""
    if sequences.prediction_times is not None:
        return years_text(sequences.prediction_times[sample], patient, "predictions")
    if sequences.visit_times is None:
        return None
    first, end = sequences.sample_offsets[sample], sequences.sample_offsets[sample + 1]
    # Only the first visit of a sample can be static.
    has_visits = np.flatnonzero(first < end)
    first[has_visits] += null_times(sequences.visit_times[first[has_visits], 0])
    is_dated = first < end
    times = [
        sequences.visit_times[first[is_dated], 0],
        sequences.visit_times[end[is_dated] - 1, 1],
    ]
    return years_text(np.concatenate(times), np.tile(patient[is_dated], 2), "events")
