"""How pieces of work run beside each other."""

from concurrent.futures import ThreadPoolExecutor

from joblib import cpu_count


def map_in_threads(function, *arguments):
    """List of what a function returns, as of `map`; for work that lets other threads run."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(function, *arguments))
