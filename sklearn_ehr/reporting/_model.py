"""Description of a model and of its parameters."""

import inspect
from collections.abc import Mapping
from numbers import Number

import pandas as pd
from sklearn.pipeline import Pipeline

from ..inspection import describe_model
from ..utils import library_versions

_LIBRARIES = ("sklearn_ehr", "scikit-learn", "numpy", "torch")
_MOST_CHARACTERS = 80
_MISSING = inspect.Parameter.empty


def describe(estimator):
    """Sentences about a model, in Markdown."""
    best = getattr(estimator, "best_estimator_", estimator)
    text = describe_model(best) or f"This is a `{type(best).__name__}`."
    if isinstance(best, Pipeline):
        text += _describe_pipeline(best)
    return f"{_describe_search(estimator)}{text}" if best is not estimator else text


def _describe_pipeline(pipeline):
    """Its last step, and whether it reads values."""
    text = f"\n\nIts last step is a `{type(pipeline[-1]).__name__}`."
    reads = [step.value_bins for _, step in pipeline.steps if hasattr(step, "value_bins")]
    if reads and not any(reads):
        text += " The pipeline reads codes, not their values."
    return text


def _describe_search(search):
    best = getattr(search, "best_params_", {})
    names = ", ".join(f"`{name}={_shown(value)}`" for name, value in best.items())
    n_candidates = len(getattr(search, "cv_results_", {}).get("params", []))
    scoring = getattr(search, "scoring", None)
    by = f", for the best `{scoring}`" if isinstance(scoring, str) else ""
    return (
        f"Tuned by `{type(search).__name__}` among {n_candidates} candidates{by}: {names}. The "
        f"best one is described here.\n\n"
    )


def versions():
    """Versions of the libraries that made the report, as text."""
    return ", ".join(f"{name} {number}" for name, number in library_versions(*_LIBRARIES).items())


def tabulate_parameters(estimator):
    """Steps of a model, with the parameters that are not the default or were tuned."""
    tuned = set(getattr(estimator, "best_params_", ()))
    best = getattr(estimator, "best_estimator_", estimator)
    rows = [("", type(best).__name__, ""), *_walk(best, "", tuned)]
    return pd.DataFrame(rows, columns=["parameter", "value", "default"]).set_index("parameter")


def _walk(estimator, prefix, tuned):
    """Yield name, value and default of each parameter worth showing."""
    defaults = inspect.signature(type(estimator).__init__).parameters
    for name, value in estimator.get_params(deep=False).items():
        path = f"{prefix}{name}"
        default = defaults[name].default if name in defaults else _MISSING
        if _is_estimator(value):
            yield path, type(value).__name__, ""
            yield from _walk(value, f"{path}__", tuned)
        elif steps := _named_estimators(value):
            for step, inner in steps:
                yield f"{prefix}{step}", type(inner).__name__, ""
                yield from _walk(inner, f"{prefix}{step}__", tuned)
        elif path in tuned or repr(value) != repr(default):
            yield path, _shown(value), "" if default is _MISSING else _shown(default)


def _is_estimator(value):
    return hasattr(value, "get_params") and not isinstance(value, type)


def _named_estimators(value):
    """Steps of a pipeline, or members of a vote or a stack, without those that are switched off."""
    if not isinstance(value, list):
        return []
    pairs = [pair[:2] for pair in value if isinstance(pair, tuple) and len(pair) >= 2]
    return [(name, step) for name, step in pairs if _is_estimator(step)]


def _shown(value):
    """A parameter without data: a single value, a short list of some, or else the type."""
    if isinstance(value, Mapping | pd.DataFrame | pd.Series):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, list | tuple):
        are_single = all(isinstance(item, str | Number | None) for item in value)
        text = repr(value)
        short = are_single and len(text) <= _MOST_CHARACTERS
        return text if short else f"{type(value).__name__} of {len(value)}"
    if isinstance(value, str | Number | pd.Timedelta | None):
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)
