"""Work in parallel threads."""

from concurrent.futures import ThreadPoolExecutor

from ._sklearn_compat import effective_n_threads


def map_in_threads(function, *arguments):
    """List of what a function returns for each set of arguments, like `map` but in threads."""
    return list(iterate_in_threads(function, *arguments))


def iterate_in_threads(function, *arguments):
    """What a function returns for each set of arguments, one after the other, like `map`.

    This pays for functions that release the global interpreter lock. The number of threads is that
    of scikit-learn's own parallel loops: one inside a joblib worker, which shares the processors
    with other workers.
    """
    n_threads = effective_n_threads()
    if n_threads == 1:
        yield from map(function, *arguments)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        yield from pool.map(function, *arguments)
