"""Steps of this package inside a fitted model."""

from collections.abc import Mapping

from ..estimators import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
)
from ..visits import CodeCountVectorizer, VisitSequenceTransformer

TRANSFORMERS = (CodeCountVectorizer, VisitSequenceTransformer)
ESTIMATORS = (LSTMVisitClassifier, LSTMVisitRegressor, LSTMVisitSurvival, LSTMVisitTagger)


def fitted_steps(model):
    """Fitted steps of this package, dict of name to the copies of the step in the model.

    A step is named as in `get_params`. It has several copies if the model was fitted to several
    parts of the training data, as `CalibratedClassifierCV` is.
    """
    steps = {}
    for path, step in _walk(model, (), set()):
        name = "__".join(path) or type(step).__name__.lower()
        steps.setdefault(name, []).append(step)
    return steps


def _walk(part, path, seen):
    """Yield the path and the step, for each fitted step in a part of a model."""
    if isinstance(part, Mapping):
        for name, item in part.items():
            yield from _walk(item, (*path, str(name)), seen)
    elif isinstance(part, tuple) and part and isinstance(part[0], str):
        yield from _walk(part[1:], (*path, part[0]), seen)
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _walk(item, path, seen)
    elif id(part) not in seen:
        seen.add(id(part))
        if not isinstance(part, TRANSFORMERS + ESTIMATORS):
            yield from _walk_inside(part, path, seen)
        elif hasattr(part, "needs"):
            yield path, part


def _walk_inside(part, path, seen):
    """Yield the steps inside an estimator: of what it learnt, or else of its parameters."""
    if not hasattr(part, "get_params") or isinstance(part, type):
        # CalibratedClassifierCV keeps each of its models in an object without parameters.
        yield from _walk(getattr(part, "estimator", ()), path, seen)
        return
    if hasattr(part, "best_estimator_"):
        learnt = [part.best_estimator_]
    else:
        learnt = [value for name, value in vars(part).items() if _is_learnt(name)]
    # Mappings first, as they name what else is in a list.
    learnt.sort(key=lambda value: not isinstance(value, Mapping))
    found = list(_walk(learnt, path, seen))
    yield from found or _walk([*part.get_params(deep=False).values()], path, seen)


def _is_learnt(name):
    return name.endswith("_") and not name.startswith("_")
