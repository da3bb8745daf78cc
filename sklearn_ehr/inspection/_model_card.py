"""Model card of a fitted model, filled in with what the model knows."""

import json
from collections.abc import Mapping

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ._description import describe
from ._steps import ESTIMATORS, TRANSFORMERS, fitted_steps

_DESCRIPTION = "Model description"
_LIMITATIONS = f"{_DESCRIPTION}/Intended uses & limitations"
_TRAINING = f"{_DESCRIPTION}/Training Procedure"
_START = "How to Get Started with the Model"
_UNKNOWN = (
    "This card was filled in from the fitted model, which holds no patients. What it cannot know "
    "must be filled in by hand: who the training patients were, how the outcome was defined, when "
    "it is predicted, whom the model is meant for, and for whom it must not be used."
)
_NEEDS = (
    "Each step checks this when it transforms or predicts (units only to a factor of a thousand), "
    "and the versions when it is loaded. Its "
    "attribute `needs` holds the same. Columns of events may have other names, which are given to "
    "`Cohort`."
)
_ROWS = (
    "columns",
    "features",
    "resolution",
    "times",
    "unit",
    "time_gaps",
    "vocabulary_size",
    "versions",
)
_SAVE = """\
Save the model with skops:

```python
import skops.io

skops.io.dump(model, "model.skops")
```

Load it, with the libraries in the versions above, and predict. `trusted` lists the types that are
not trusted by default; look at them before you load a file from someone else.

```python
import skops.io
{imports}
trusted = [
{trusted}
]
model = skops.io.load("model.skops", trusted=trusted)
{predict}
```"""


def make_model_card(model, *, metrics=None):
    """Make a model card of a fitted model.

    The card is one of skops [1]_, with its default template filled in as far as the model knows:
    what each step of this package reads, predicts and has learnt, what new data must bring, how the
    networks were trained, the parameters, and how the model is saved and loaded. All other sections
    are left to fill in. skops is in the extra `skops`.

    Parameters
    ----------
    model : estimator
        A fitted pipeline, a single transformer or estimator of this package, or a model that holds
        some of them, such as a stack, a vote or a calibration. Of a search, the card describes the
        best estimator.
    metrics : dict of str to float, default=None
        Names and values of metrics, for the table of results.

    Returns
    -------
    skops.card.Card
        Its methods add sections, tables and plots; ``card.save("README.md")`` writes it.

    Raises
    ------
    ImportError
        If skops is not installed.
    NotFittedError
        If the model is not fitted.
    TypeError
        If `model` is not an estimator, or `metrics` is not a dict.
    ValueError
        If the model has no fitted step of this package.

    Notes
    -----
    The card shows names of classes, features and labels, but no patient, code or vector. Thus it
    has no diagram of the model, which would print learnt attributes, such as the times of events in
    `LSTMVisitSurvival`; ``card.add_model_plot()`` adds one.

    References
    ----------
    .. [1] M. Mitchell et al., "Model cards for model reporting", FAT* 2019, p. 220-229;
       https://skops.readthedocs.io/en/stable/model_card.html.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import CodeCountVectorizer, make_model_card
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(200, random_state=0)
    >>> model = make_pipeline(CodeCountVectorizer(), LogisticRegression()).fit(X, y)
    >>> card = make_model_card(model, metrics={"ROC AUC": 0.67})
    >>> print(card.select("Model description/Evaluation Results").format())
    |  Metric | Value |
    | :-----: | :---: |
    | ROC AUC |  0.67 |
    """
    skops = _import_skops()
    if not hasattr(model, "get_params") or isinstance(model, type):
        raise TypeError(f"model must be a fitted estimator, got {type(model).__name__}.")
    if not isinstance(metrics, Mapping | None):
        raise TypeError(
            f'metrics must be a dict of names and values, such as {{"ROC AUC": 0.67}}, got '
            f"{type(metrics).__name__}."
        )
    check_is_fitted(model)
    model = getattr(model, "best_estimator_", model)
    steps = fitted_steps(model)
    if not steps:
        raise ValueError(
            f"model is a {type(model).__name__} without a fitted step of sklearn_ehr. Pass a "
            f"pipeline with one (a search keeps its best with refit=True), or use skops.card.Card."
        )
    card = skops.card.Card(model, model_diagram=False)
    card.delete(f"{_TRAINING}/Model Plot")
    card.add(**{_DESCRIPTION: describe(model, steps)})
    limitations = card.select(_LIMITATIONS)
    limitations.content = f"{_UNKNOWN}\n\n{limitations.content}"
    parameters = card.select(f"{_TRAINING}/Hyperparameters").table
    pairs = zip(parameters["Hyperparameter"], parameters["Value"], strict=True)
    parameters["Value"] = [_shown_parameter(name, value) for name, value in pairs]
    _add_histories(card, steps)
    if metrics:
        card.add_metrics(**metrics)
    _add_table(card, f"{_DESCRIPTION}/What new data must bring", _table_of_needs(steps), _NEEDS)
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    card.add(**{_START: _how_to_start(model, steps, trusted)})
    return card


def _import_skops():
    """skops, or an error that names the extra that installs it."""
    try:
        import skops.card
        import skops.io
    except ImportError as error:
        raise ImportError(
            "make_model_card needs skops, which is not installed: pip install sklearn_ehr[skops]."
        ) from error
    return skops


def _add_table(card, key, table, text="", **options):
    card.add_table(description=text, **options, **{key: table})
    # skops takes the whole key for the title of a table.
    card.select(key).title = key.rpartition("/")[2]


def _shown_parameter(name, value):
    """A parameter without vectors, and without the parameters of estimators in it."""
    if name.endswith("embedding_init") and isinstance(value, Mapping | pd.DataFrame):
        return f"vectors of {len(value)} codes"
    return _without_parameters(value) if _has_estimator(value) else value


def _has_estimator(value):
    if isinstance(value, list | tuple):
        return any(map(_has_estimator, value))
    return hasattr(value, "get_params") and not isinstance(value, type)


def _without_parameters(value):
    """Names of the estimators in a parameter, or else their classes."""
    if isinstance(value, tuple) and isinstance(value[0], str):
        return value[0]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_without_parameters, value))}]"
    return type(value).__name__ if _has_estimator(value) else str(value)


def _add_histories(card, steps):
    """Add the epochs of each network, one table a step."""
    nets = {name: copies for name, copies in steps.items() if isinstance(copies[0], ESTIMATORS)}
    for name, copies in nets.items():
        frames = [copy.history_ for copy in copies]
        history = pd.concat(frames, ignore_index=True)
        if len(frames) > 1:
            number = [i for i, frame in enumerate(frames, start=1) for _ in range(len(frame))]
            history.insert(0, "copy", number)
        table = {column: list(map(_shown_number, history[column])) for column in history}
        of = "" if len(nets) == 1 else f" of {name.replace('/', ' ')}"
        _add_table(card, f"{_TRAINING}/Training history{of}", table, folded=True)


def _shown_number(value):
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return value


def _table_of_needs(steps):
    """One row for each need, one column for each step."""
    needs = {name: [copy.needs for copy in copies] for name, copies in steps.items()}
    rows = [row for row in _ROWS if any(row in copies[0] for copies in needs.values())]
    table = {"": [row.replace("_", " ") for row in rows]}
    for name, copies in needs.items():
        table[f"`{name}`"] = [_shown_needs(row, copies) for row in rows]
    return table


def _shown_needs(row, copies):
    """A need of the copies of a step, nothing if the step has none of the kind."""
    shown = [_shown_need(row, needs[row]) for needs in copies if row in needs]
    return "; ".join(dict.fromkeys(shown))


def _shown_need(row, need):
    if isinstance(need, Mapping):
        need = [f"{name} {version}" for name, version in need.items()]
    if isinstance(need, list):
        return ", ".join(need).replace("|", "\\|") or "none"
    if isinstance(need, bool):
        return "yes" if need else "no"
    if need is None:
        return "none" if row == "times" else "not checked"
    return str(need)


def _how_to_start(model, steps, trusted):
    """Code that saves the model, loads it, and predicts."""
    needs = [copies[0].needs for copies in steps.values() if isinstance(copies[0], TRANSFORMERS)]
    imports = ""
    if needs:
        imports = "from sklearn_ehr import Cohort\n"
        options = {name: needs[0][name] for name in ("features", "resolution")}
        options = [f"{name}={json.dumps(value)}" for name, value in options.items() if value]
        input_ = f"X = Cohort({', '.join(['events', 'samples', *options])})"
    else:
        input_ = "# X: VisitSequences of the transformer that made the training sequences."
    methods = ("predict_proba", "predict", "transform")
    method = next(name for name in methods if hasattr(model, name))
    return _SAVE.format(
        imports=imports,
        trusted="\n".join(f'    "{name}",' for name in trusted),
        predict=f"{input_}\nmodel.{method}(X)",
    )
