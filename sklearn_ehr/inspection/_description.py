"""Description of a model and of its steps, in sentences."""

import numpy as np

from ..estimators import LSTMVisitTagger, summarise
from ..visits import VisitSequenceTransformer
from ._steps import ESTIMATORS, fitted_steps

_MOST_NAMES = 20


def describe_model(model):
    """Sentences about a fitted model, in Markdown; none if it has no step of this package."""
    steps = fitted_steps(model)
    return describe(model, steps) if steps else ""


def describe(model, steps):
    """What a model is, and a few sentences about each of its steps of this package."""
    this = f"This `{type(model).__name__}`"
    first = next(iter(steps.values()))
    if first == [model]:
        return f"{this} {_describe_step(first)}"
    this += f" was fitted with sklearn_ehr {first[0].needs['versions']['sklearn_ehr']}"
    has_net = any(isinstance(copies[0], ESTIMATORS) for copies in steps.values())
    classes = getattr(model, "classes_", None)
    if not has_net and isinstance(classes, np.ndarray):
        this += f" and predicts one of {len(classes)} classes ({_listed(classes.tolist())})"
    points = [_describe_point(name, copies) for name, copies in steps.items()]
    return f"{this}. Its steps from this package:\n\n" + "\n".join(points)


def _describe_point(name, copies):
    n_copies = f", {len(copies)} fitted copies" if len(copies) > 1 else ""
    return f"* `{name}` (`{type(copies[0]).__name__}`{n_copies}) {_describe_step(copies)}"


def _describe_step(copies):
    is_net = isinstance(copies[0], ESTIMATORS)
    return _describe_net(copies) if is_net else _describe_transformer(copies)


def _describe_transformer(copies):
    needs = [copy.needs for copy in copies]
    n_codes = _counted([need["vocabulary_size"] for need in needs], "code")
    text = "reads the events that are known at the prediction time. It "
    if isinstance(copies[0], VisitSequenceTransformer):
        text += f"groups them into visits of token ids, with a vocabulary of {n_codes}"
    else:
        text += f"counts the visits with each of {n_codes}"
    if features := needs[0]["features"]:
        text += f", and standardises these features: {_listed(features)}"
    return f"{text}."


def _describe_net(copies):
    summaries = [summarise(copy) for copy in copies]
    n_weights = _counted([summary["n_weights"] for summary in summaries], "weight")
    outcome = _describe_outcome(summaries)
    if isinstance(copies[0], LSTMVisitTagger):
        outcome += ", for each visit"
    text = f"is an LSTM over visits, with {n_weights}. It predicts {outcome}."
    training = _describe_training(copies, summaries)
    return f"{text} {training}"


def _describe_outcome(summaries):
    first = summaries[0]
    n_outcomes, kind = first["n_outcomes"], first["outcome"]
    if kind == "numbers":
        return "a number" if n_outcomes == 1 else f"{n_outcomes} numbers"
    if kind == "labels":
        return (
            f"the probability of {'a label' if n_outcomes == 1 else f'each of {n_outcomes} labels'}"
        )
    names = _listed(first["names"])
    if kind == "classes":
        return f"the probability of each of {n_outcomes} classes ({names})"
    what = "an event"
    if n_outcomes > 1:
        what = f"the first of {n_outcomes} competing events ({names})"
    n_intervals = _counted([summary["n_intervals"] for summary in summaries], "interval")
    return f"the time to {what}, by its hazards in {n_intervals}"


def _describe_training(copies, summaries):
    def span(name, form=","):
        return _span([summary[name] for summary in summaries if name in summary], form)

    def epochs_of(stage):
        return _counted([summary["n_epochs"].get(stage, 0) for summary in summaries], "epoch")

    stages = set().union(*(summary["n_epochs"] for summary in summaries))
    parts = []
    if "fit" in stages:
        n_most = copies[0].max_epochs
        parts.append(f"It was trained for {epochs_of('fit')}, of at most {n_most}.")
    if any("best_epoch" in summary for summary in summaries):
        best = f"The best was epoch {span('best_epoch')}, with a validation loss of "
        best += span("valid_loss", ".4g")
        if any("valid_score" in summary for summary in summaries):
            best += f" and a validation score of {span('valid_score', '.4g')}"
        parts.append(f"{best}.")
    if "refit" in stages:
        parts.append(f"It was then trained anew on all samples, for {epochs_of('refit')}.")
    if "partial_fit" in stages:
        parts.append(f"`partial_fit` trained it for {epochs_of('partial_fit')}.")
    return " ".join(parts)


def _listed(names):
    """Names, of which the first are shown."""
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    n_more = len(names) - _MOST_NAMES
    return f"{shown} and {n_more} more" if n_more > 0 else shown


def _counted(numbers, noun):
    """A noun with its number, or the least and the largest number."""
    shown = _span(numbers)
    return f"{shown} {noun}{'' if shown == '1' else 's'}"


def _span(values, form=","):
    """A number, or the least and the largest of some."""
    least, largest = format(min(values), form), format(max(values), form)
    return least if least == largest else f"{least} to {largest}"
