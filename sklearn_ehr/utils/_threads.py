"""Work in parallel threads."""

from concurrent.futures import ThreadPoolExecutor

from ._sklearn_compat import effective_n_threads


def map_in_threads(function, *arguments):
    """List of what a function returns for each set of arguments, like `map` but in threads.

    This pays for functions that release the global interpreter lock. The number of threads is that
    of scikit-learn's own parallel loops: one inside a joblib worker, which shares the processors
    with other workers.
    """
    n_threads = effective_n_threads()
    if n_threads == 1:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, *arguments))
