"""Statistics of patients that tell nothing about fewer than ten of them."""

import numpy as np
import pandas as pd

# The usual small-cell threshold, as in `min_frequency`.
MIN_PATIENTS = 10
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MAX_BINS = 16
_PER_BLOCK = 100
_KINDS = {"boolean", "integer", "floating", "string"}


def spread(n, n_most):
    """Positions of all of `n` patients, or of about `n_most`, in blocks spread over all of them.

    A block is read at once where patients are mapped from disk.
    """
    if n <= n_most:
        return np.arange(n)
    starts = np.linspace(0, n - _PER_BLOCK, n_most // _PER_BLOCK).astype(np.int64)
    return (starts[:, None] + np.arange(_PER_BLOCK)).ravel()


def safe_quantiles(values, patient):
    """Quantiles of whole numbers, by percentage, with enough patients on both sides.

    `patient` has the patient of each value, as a position.
    """
    quantiles = {}
    for share in _SHARES if len(values) else ():
        quantile = np.quantile(values, share, method="inverted_cdf")
        sides = values <= quantile, values >= quantile
        if min(len(pd.unique(patient[side])) for side in sides) >= MIN_PATIENTS:
            quantiles[round(100 * share)] = int(quantile)
    return quantiles


def safe_bins(values, patient):
    """Bins of a histogram of whole numbers, each with enough patients.

    Returns the edges between the bins, of which the first and the last are open, and the share of
    the values in each bin. The bins between are of one width, the smallest round one that makes few
    enough bins and leaves none with too few patients. Where that leaves a single bin, both are
    empty.
    """
    if len(pd.unique(patient)) < MIN_PATIENTS:
        return [], []
    low, high = np.quantile(values, (_SHARES[0], _SHARES[-1]), method="inverted_cdf")
    for width in (digit * 10**power for power in range(18) for digit in (1, 2, 5)):
        ends = low // width, high // width
        if ends[0] == ends[1]:
            break
        if ends[1] - ends[0] < _MAX_BINS:
            bins = _with_open_ends(np.clip(values // width, *ends), patient)
            n_bins = bins.max() - bins.min() + 1
            if n_bins > 1 and _fewest_patients(bins - bins.min(), patient) >= MIN_PATIENTS:
                edges = (bins.min() + np.arange(1, n_bins)) * width
                return edges.tolist(), (np.bincount(bins - bins.min()) / len(bins)).tolist()
    return [], []


def _with_open_ends(bins, patient):
    """Join the first bins, and the last ones, until these ends have enough patients."""
    by_patient = pd.Series(bins).groupby(patient)
    lowest, highest = np.sort(by_patient.min()), np.sort(by_patient.max())
    return np.clip(bins, lowest[MIN_PATIENTS - 1], highest[-MIN_PATIENTS])


def _fewest_patients(bins, patient):
    """Smallest number of distinct patients in a bin."""
    pairs = np.unique(bins.astype(np.int64) * (patient.max() + 1) + patient)
    return np.bincount(pairs // (patient.max() + 1), minlength=bins.max() + 1).min()


def safe_years(times, patient):
    """First and last year in which enough patients have one of these times; None without any.

    Years are those of UTC. Numbers, which may be of any unit, have no years.
    """
    if times.dtype.kind != "M":
        return None
    is_known = ~np.isnat(times)
    years = times[is_known].astype("datetime64[Y]").astype(np.int64) + 1970
    pairs = pd.DataFrame({"year": years, "patient": patient[is_known]}).drop_duplicates()
    n_patients = pairs["year"].value_counts()
    shown = n_patients.index[n_patients >= MIN_PATIENTS]
    return (int(shown.min()), int(shown.max())) if len(shown) else None


def two_values(column):
    """Position of each value of a column, 0 or 1 or -1 where null, and its two distinct values.

    None if it has not two of them, or they are neither booleans, numbers nor strings.
    """
    kind = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    if pd.api.types.infer_dtype(kind, skipna=True) not in _KINDS:
        return None
    # Most other columns are told by their first rows.
    if column.iloc[:1000].nunique() > 2:
        return None
    position, values = pd.factorize(column, sort=True)
    return (position, list(values)) if len(values) == 2 else None


def safe_share(position, patient):
    """Share of 1 among positions that are 0 or 1; None if too few patients have either."""
    fewest = min(len(pd.unique(patient[position == value])) for value in (0, 1))
    return None if fewest < MIN_PATIENTS else np.mean(position[position >= 0])
