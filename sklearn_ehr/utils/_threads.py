"""How pieces of work run beside each other."""

from concurrent.futures import ThreadPoolExecutor

from sklearn.utils._openmp_helpers import _openmp_effective_n_threads


def map_in_threads(function, *arguments):
    """List of what a function returns, as of `map`; for work that lets other threads run.

    As many threads as scikit-learn's own loops take: one in a worker of joblib, which shares the
    processors with others.
    """
    n_threads = _openmp_effective_n_threads()
    if n_threads == 1:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, *arguments))
