"""Summary of a fitted estimator: its needs, its outcome, its size, its training and its texts."""

import torch

from ._history import best_epoch


def needs_of(estimator, versions):
    """What sequences to predict from must bring, as `BaseVisitLSTM.needs` returns it."""
    vocabulary = estimator.vocabulary_
    return {
        "features": list(map(str, estimator.feature_names_ or [])),
        "time_gaps": estimator.net_.module_.time_gaps,
        "vocabulary_size": None if vocabulary is None else len(vocabulary.codes),
        "versions": dict(versions),
    }


def summarise(estimator):
    """Outcome, size and training of a fitted estimator, dict of plain values.

    - "outcome": "classes", "labels", "numbers" or "events".
    - "n_outcomes" and, unless the outcome is numbers, "names" of the outcomes.
    - "n_intervals" of time, if the outcome is events.
    - "n_weights" of the network.
    - "n_epochs": number of epochs by stage of training.
    - "best_epoch", "valid_loss" and "valid_score" of it, if there was a validation set and, for the
      score, `scoring`.
    """
    n_weights = _count_weights(estimator.net_)
    return _outcome_of(estimator) | {"n_weights": n_weights} | _training_of(estimator)


def texts_of(estimator):
    """Short texts of fitted attributes whose own are long; None for one that tells nothing."""
    n_epochs = estimator.history_["stage"].value_counts(sort=False)
    texts = {
        "history_": "epochs: " + ", ".join(f"{n} {stage}" for stage, n in n_epochs.items()),
        "net_": f"{_count_weights(estimator.net_):,} weights",
    }
    if estimator.embedding_init is None:
        texts["embedding_coverage_"] = None
    if hasattr(estimator, "unique_times_"):
        # The last one is the time of one patient's event.
        texts["unique_times_"] = f"{len(estimator.unique_times_)} intervals"
    return texts


def _count_weights(net):
    return sum(weight.numel() for weight in net.module_.parameters())


def _outcome_of(estimator):
    net = estimator.net_
    n_outputs = net.module_.head.out_features
    if hasattr(estimator, "event_types_"):
        names = estimator.event_types_.tolist()
        n_intervals = len(estimator.unique_times_)
        outcome = {"outcome": "events", "names": names, "n_intervals": n_intervals}
    elif hasattr(estimator, "classes_"):
        # Two classes have one output.
        is_each = len(estimator.classes_) == n_outputs
        is_multilabel = is_each and net.criterion is torch.nn.BCEWithLogitsLoss
        kind = "labels" if is_multilabel else "classes"
        outcome = {"outcome": kind, "names": estimator.classes_.tolist()}
    else:
        return {"outcome": "numbers", "n_outcomes": n_outputs}
    return outcome | {"n_outcomes": len(outcome["names"])}


def _training_of(estimator):
    history = estimator.history_
    training = {"n_epochs": history["stage"].value_counts(sort=False).to_dict()}
    first = history[history["stage"] == "fit"].dropna(axis="columns", how="all")
    if "valid_loss" not in first:
        return training
    number = best_epoch(first)
    best = first.iloc[number - 1]
    training |= {"best_epoch": number, "valid_loss": float(best["valid_loss"])}
    if "valid_score" in first:
        training["valid_score"] = float(best["valid_score"])
    return training
