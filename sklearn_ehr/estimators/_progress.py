"""Progress of a fit: a printed line per epoch, and the tasks of scikit-learn's callbacks."""

from contextlib import contextmanager
from time import perf_counter

from ..utils import start_callbacks
from ._history import best_epoch, epochs, is_complete
from ._net import frozen_copy

# Columns of the history that have a place of their own in a line, or none.
_NOT_LISTED = ["stage", "epoch", "lr", "dur"]


class Progress:
    """Progress of one fit.

    Parameters
    ----------
    estimator : BaseVisitLSTM
    samples : Samples
        The samples that it is fitted on.
    learnt : dict
        Attributes that it needs to predict, beside those of its net.
    will_refit : bool
        Whether a second training follows the first. Each of the two is then a task of its own.
    """

    def __init__(self, estimator, samples, learnt, will_refit):
        self._start = perf_counter()
        self._verbose, self._will_refit = estimator.verbose, will_refit
        n_subtasks = 2 if will_refit else int(estimator.max_epochs)
        self._task = Task(start_callbacks(estimator, n_subtasks), estimator, samples, learnt)
        self._task.begin()

    @contextmanager
    def stage(self, name, samples, n_epochs, patience=None):
        """Watch one training on some samples, of at most `n_epochs`."""
        task = self._task.on(samples)
        if self._will_refit:
            task = task.subtask(name, n_subtasks=int(n_epochs))
            task.begin()
        yield Stage(name, n_epochs, self._verbose, patience, task)
        if self._will_refit:
            task.end()

    def finish(self, history):
        """Say which weights are kept, and tell callbacks that the fit ends."""
        if self._verbose:
            _print(closing_line(history, perf_counter() - self._start))
        self._task.end({})


class Stage:
    """Progress of one training: the watcher of a net.

    Parameters
    ----------
    name : {"fit", "refit", "partial_fit"}
    n_epochs : int
        Maximum number of epochs.
    verbose : int
    patience : int, default=None
        Number of epochs without improvement after which training stops, if it does.
    task : Task, default=None
        The task whose subtasks are the epochs.
    """

    def __init__(self, name, n_epochs, verbose, patience=None, task=None):
        self.name, self.n_epochs = name, int(n_epochs)
        self._verbose, self._patience = verbose, patience
        self._task, self._epoch = task, None
        self._start = None

    def begin_epoch(self, net):
        """Tell callbacks that an epoch begins."""
        if self._start is None:
            self._start = perf_counter()
        if self._task is not None:
            self._epoch = self._task.subtask("epoch")
            self._epoch.begin(self._view(net))

    def end_epoch(self, net):
        """Print a line, and tell callbacks that an epoch ends.

        Returns
        -------
        bool
            Whether a callback wants to stop training.
        """
        is_whole = is_complete(net.history[-1])
        if self._verbose and is_whole:
            history, seconds = epochs(net.history, self.name), perf_counter() - self._start
            _print(epoch_line(history, seconds, self.n_epochs, self._patience))
        epoch, self._epoch = self._epoch, None
        # Half an epoch makes no model to show.
        return epoch is not None and epoch.end(self._view(net) if is_whole else None)

    def _view(self, net):
        """Function that makes the attributes of a fitted estimator; only some callbacks want it."""
        return lambda: {"net_": frozen_copy(net), "history_": epochs(net.history, self.name)}


class Task:
    """Task of a fit, for scikit-learn's callbacks.

    Parameters
    ----------
    context : CallbackContext
    estimator : BaseVisitLSTM
    samples : Samples
    learnt : dict
    """

    def __init__(self, context, estimator, samples, learnt):
        self._context = context
        self._of = estimator, samples, learnt

    def subtask(self, name, n_subtasks=0):
        """A task inside this one."""
        context = self._context.subcontext(task_name=name, max_subtasks=n_subtasks)
        return Task(context, *self._of)

    def on(self, samples):
        """The same task, for what is trained on other samples."""
        estimator, _, learnt = self._of
        return Task(self._context, estimator, samples, learnt)

    def begin(self, view=None):
        """Tell callbacks that it begins."""
        self._context.call_on_fit_task_begin(**self._facts(view))

    def end(self, view=None):
        """Tell callbacks that it ends; return whether one of them wants to stop training."""
        return self._context.call_on_fit_task_end(**self._facts(view))

    def _facts(self, view):
        estimator, samples, learnt = self._of
        weight = samples.weight
        return {
            "estimator": estimator,
            "X": samples.sequences,
            "y": samples.y,
            # Not every scorer takes weights.
            "metadata": None if (weight == weight[0]).all() else {"sample_weight": weight},
            "reconstruction_attributes": view and (lambda: {**learnt, **view()}),
        }


def epoch_line(history, seconds, n_epochs, patience=None):
    """What is told of the last epoch of a training.

    Parameters
    ----------
    history : DataFrame
        The epochs of the training so far.
    seconds : float
        The time that they took.
    n_epochs : int
        Maximum number of epochs.
    patience : int, default=None
        Number of epochs without improvement after which training stops, if it does.
    """
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
    if n_least > 0:
        pace = seconds / len(history)
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
