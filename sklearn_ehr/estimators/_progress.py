"""Progress of a fit: a printed line per epoch, and the tasks of scikit-learn's callbacks."""

from contextlib import contextmanager
from time import perf_counter

from ..utils import has_callbacks, start_callbacks
from ._history import best_epoch, epochs, is_complete
from ._net import frozen_copy

# Columns of the history that have a place of their own in a line, or none.
_NOT_LISTED = ["stage", "epoch", "lr", "dur"]


class Progress:
    """Progress of one fit, in which each of two trainings is a task of its own."""

    def __init__(self, estimator, samples, learnt, will_refit):
        self._start = perf_counter()
        self._estimator, self._learnt, self._will_refit = estimator, learnt, will_refit
        self._facts = self._facts_of(samples)
        self._context = start_callbacks(estimator, 2 if will_refit else int(estimator.max_epochs))
        self._context.call_on_fit_task_begin(**self._facts())

    @contextmanager
    def stage(self, name, samples, n_epochs, patience=None):
        """Watch one training on some samples, of at most `n_epochs`."""
        context, facts = self._context, self._facts_of(samples)
        if self._will_refit:
            context = context.subcontext(task_name=name, max_subtasks=int(n_epochs))
            context.call_on_fit_task_begin(**facts())
        refit_follows = self._will_refit and name == "fit"
        verbose = self._estimator.verbose
        yield Stage(name, n_epochs, verbose, patience, context, facts, refit_follows)
        if self._will_refit:
            context.call_on_fit_task_end(**facts())

    def finish(self, history):
        """Say which weights are kept, and tell callbacks that the fit ends."""
        if self._estimator.verbose:
            _print(closing_line(history, perf_counter() - self._start))
        self._context.call_on_fit_task_end(**self._facts(dict))

    def _facts_of(self, samples):
        """Function that makes what callbacks are told, given one that makes fitted attributes."""
        estimator, learnt, weight = self._estimator, self._learnt, samples.weight
        # Not every scorer takes weights.
        metadata = None if (weight == weight[0]).all() else {"sample_weight": weight}
        # Those of a split may take as much memory again.
        X = samples.sequences if has_callbacks(estimator) else None
        told = {"estimator": estimator, "X": X, "y": samples.y}

        def facts(view=None):
            attributes = view and (lambda: {**learnt, **view()})
            return {**told, "metadata": metadata, "reconstruction_attributes": attributes}

        return facts


class Stage:
    """Progress of one training: the watcher of a net."""

    def __init__(
        self, name, n_epochs, verbose, patience=None, context=None, facts=None, refit_follows=False
    ):
        self.name, self.n_epochs = name, int(n_epochs)
        self._verbose, self._patience, self._refit_follows = verbose, patience, refit_follows
        self._context, self._facts, self._epoch = context, facts, None

    def begin(self, net):
        """Take the time, and tell of epochs that were trained in an earlier run."""
        self._start, self._n_before = perf_counter(), sum(map(is_complete, net.history))
        if self._verbose and self._n_before and self.name != "partial_fit":
            done = "Resumed" if net.max_epochs else "Nothing is left to train of"
            _print(f"{done} the {self.name} after epoch {self._n_before}/{self.n_epochs}.")

    def begin_epoch(self, net):
        """Tell callbacks that an epoch begins."""
        if self._context is not None:
            self._epoch = self._context.subcontext(task_name="epoch", max_subtasks=0)
            self._epoch.call_on_fit_task_begin(**self._facts(self._view(net)))

    def end_epoch(self, net, is_stopped=False):
        """Print a line, tell callbacks, and return whether one of them wants to stop training."""
        is_whole = is_complete(net.history[-1])
        if self._verbose and is_whole:
            history = epochs(net.history, self.name)
            pace = (perf_counter() - self._start) / (len(history) - self._n_before)
            options = self._patience, self._refit_follows
            _print(epoch_line(history, pace, self.n_epochs, *options))
        epoch, self._epoch = self._epoch, None
        # Half an epoch makes no model to show.
        view = self._view(net) if is_whole else None
        return epoch is not None and epoch.call_on_fit_task_end(**self._facts(view))

    def _view(self, net):
        """Function that makes the attributes of a fitted estimator; only some callbacks want it."""
        return lambda: {"net_": frozen_copy(net), "history_": epochs(net.history, self.name)}


def epoch_line(history, pace, n_epochs, patience=None, refit_follows=False):
    """What is told of the last epoch of a training, given all so far and the time of an epoch."""
    last = history.iloc[-1]
    figures = last.drop([name for name in _NOT_LISTED if name in last])
    told = [f"{name} {value:#.4g}" for name, value in figures.items()]
    if last["stage"] == "partial_fit":
        return f"partial_fit, epoch {last['epoch']}: {', '.join(told)}"
    n_left = n_least = n_epochs - len(history)
    if patience is not None:
        best = best_epoch(history)
        told.append(f"best epoch {best}")
        n_least = min(n_left, patience - (len(history) - best))
        if refit_follows:
            n_least, n_left = n_least + best, n_left + n_epochs
    if n_least > 0:
        told.append(f"{_durations(pace * n_least, pace * n_left)} left")
    stage = "Refit epoch" if last["stage"] == "refit" else "Epoch"
    return f"{stage} {len(history):{len(str(n_epochs))}}/{n_epochs}: {', '.join(told)}"


def closing_line(history, seconds):
    """What is told at the end of a fit: which epoch's weights are kept, and how long it took."""
    stage = history["stage"].iloc[-1]
    history = history[history["stage"] == stage]
    has_best = "valid_loss" in history and stage == "fit"
    kept = best_epoch(history) if has_best else len(history)
    of = " of the refit" if stage == "refit" else ""
    return f"Trained in {_duration(seconds)}; kept the weights of epoch {kept}/{len(history)}{of}."


def _duration(seconds):
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h" if hours else f"{minutes}:{seconds:02} min"


def _durations(least, most):
    """A range of durations, with their unit once where it is the same."""
    least, most = _duration(least), _duration(most)
    unit = most[most.index(" ") :]
    return most if least == most else f"{least.removesuffix(unit)} to {most}"


def _print(line):
    # One write a line, so that lines of parallel fits do not run into each other.
    print(f"{line}\n", end="", flush=True)
