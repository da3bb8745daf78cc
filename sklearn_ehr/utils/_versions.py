"""Versions of the libraries that a model is fitted with."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ._warnings import warn_user


@cache
def library_version(name):
    """Version of an installed library, or "not installed"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def library_versions(*names):
    """Versions of these libraries, dict of name to version."""
    return {name: library_version(name) for name in names}


def warn_of_other_versions(fitted, estimator):
    """Warn if the installed versions are not those that an estimator was fitted with."""
    here = library_versions(*fitted)
    pairs = {name: (fitted[name], here[name]) for name in fitted}
    if changed := [f"{name} {was} ({now})" for name, (was, now) in pairs.items() if was != now]:
        warn_user(
            f"The saved {estimator} was fitted with other versions than those installed here (in "
            f"brackets): {', '.join(changed)}. Predictions may differ slightly."
        )
