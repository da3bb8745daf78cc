"""Models to compare."""

from collections.abc import Mapping

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from ..estimators import LSTMVisitClassifier, LSTMVisitRegressor
from ..model_selection import PatientKFold, StratifiedPatientKFold
from ..visits import CodeCountVectorizer, VisitSequenceTransformer

N_INNER_FOLDS = 3


def choose_models(models, kind, random_state):
    """The default models by name, changed by those that are given."""
    if not isinstance(models, Mapping | None):
        raise TypeError(
            f"models must be a dict of names and estimators, got {type(models).__name__}."
        )
    chosen = _make_default_models(kind, random_state)
    for name, model in (models or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"The names in models must be strings, got {type(name).__name__}.")
        if model is None and name not in chosen:
            raise ValueError(
                f"models[{name!r}] is None, which leaves out a default model, but these are "
                f"{', '.join(map(repr, chosen))}."
            )
        if model is not None and (isinstance(model, type) or not hasattr(model, "fit")):
            raise TypeError(
                f"models[{name!r}] must be an estimator, such as a pipeline, or None, got "
                f"{model.__name__ if isinstance(model, type) else type(model).__name__}."
            )
        if model is not None and kind != "continuous" and not hasattr(model, "predict_proba"):
            raise TypeError(
                f"models[{name!r}] has no predict_proba, which compare needs of a classifier. Give "
                f"one that has it, such as within CalibratedClassifierCV."
            )
        chosen[name] = model
    chosen = {name: model for name, model in chosen.items() if model is not None}
    if not chosen:
        raise ValueError("models leaves out every model. Keep at least one.")
    return chosen


def make_regression(kind, random_state):
    """Logistic or ridge regression on counts, whose penalty a search over patients chooses."""
    if kind == "continuous":
        linear, grid = Ridge(), {"ridge__alpha": [1, 10, 100, 1000, 10000]}
        cv = PatientKFold(N_INNER_FOLDS, shuffle=True, random_state=random_state)
        scoring = "r2"
    else:
        linear = LogisticRegression(max_iter=1000)
        grid = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1]}
        cv = StratifiedPatientKFold(N_INNER_FOLDS, shuffle=True, random_state=random_state)
        scoring = "roc_auc" if kind == "binary" else "roc_auc_ovr"
    return GridSearchCV(make_pipeline(_make_counts(), linear), grid, cv=cv, scoring=scoring)


def _make_counts():
    return CodeCountVectorizer(encoding="log1p", last_visits=(1,))


def _make_default_models(kind, random_state):
    if kind == "continuous":
        lstm = LSTMVisitRegressor(random_state=random_state)
        trees = HistGradientBoostingRegressor(random_state=random_state)
    else:
        lstm = LSTMVisitClassifier(random_state=random_state)
        trees = HistGradientBoostingClassifier(random_state=random_state)
    return {
        "LSTM": make_pipeline(VisitSequenceTransformer(), lstm),
        "regression": make_regression(kind, random_state),
        "trees": make_pipeline(_make_counts().set_params(sparse_output=False), trees),
    }
