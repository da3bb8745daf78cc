"""Display of a training: losses and scores by epoch."""

import numpy as np

from ...estimators import summarise
from .._pipelines import lstm_and_transformers
from ._axes import BLUE, GREEN, GREY, LINES, VERMILLION, keep_axes, open_axes, stack_panels, tidy

_STAGES = {
    "fit": "training",
    "refit": "training, refit on all samples",
    "partial_fit": "training, partial_fit",
}


class TrainingHistoryDisplay:
    """Losses and validation scores of an LSTM estimator by epoch.

    Create it with `from_estimator`.

    Parameters
    ----------
    history : DataFrame
        The attribute `history_` of an LSTM estimator.
    best_epoch : int, default=None
        Epoch whose weights were kept.
    score_name : str, default=None
        Name of the validation score.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the losses. With scores, axes that hold both panels.
    axes_ : list of matplotlib Axes
        The panel of losses and, if there are scores, that of scores.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn_ehr import LSTMVisitClassifier
    >>> from sklearn_ehr.inspection import TrainingHistoryDisplay
    >>> codes = [[[2, 3]], [[3, 4]], [[2, 4]], [[4, 5]]]
    >>> model = LSTMVisitClassifier(max_epochs=2, early_stopping=False, random_state=0)
    >>> display = TrainingHistoryDisplay.from_estimator(model.fit(codes, [0, 1, 0, 1]))
    >>> display.ax_.get_xlabel()
    'Epoch'
    """

    def __init__(self, history, *, best_epoch=None, score_name=None):
        self.history = history
        self.best_epoch = best_epoch
        self.score_name = score_name

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the training of a fitted model.

        Parameters
        ----------
        estimator : estimator
            A fitted LSTM estimator, a pipeline that ends with one, or a search over either.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        TrainingHistoryDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is not one of these models.
        """
        lstm, _ = lstm_and_transformers(estimator)
        name = lstm.scoring if isinstance(lstm.scoring, str) else None
        best = summarise(lstm).get("best_epoch")
        return cls(lstm.history_, best_epoch=best, score_name=name).plot(ax)

    def plot(self, ax=None):
        """Draw the losses and scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        TrainingHistoryDisplay
        """
        ax = open_axes(ax, self)
        scores = self.history.get("valid_score")
        has_scores = scores is not None and scores.notna().any()
        self.axes_ = stack_panels(ax, [3, 2]) if has_scores else [ax]
        self._plot_losses(self.axes_[0])
        if has_scores:
            self._plot_curve(self.axes_[1], "fit", "valid_score", GREEN, "validation score")
            name = f"\n({self.score_name})" if self.score_name else ""
            self.axes_[1].set_ylabel(f"Validation score{name}")
        for panel in self.axes_:
            tidy(panel)
            if self.best_epoch is not None:
                panel.axvline(self.best_epoch, color=GREY, linestyle=":", linewidth=1, zorder=0)
        self.axes_[-1].set_xlabel("Epoch")
        self.axes_[-1].set_xlim(0.5, self.history["epoch"].max() + 0.5)
        self.axes_[-1].xaxis.get_major_locator().set_params(integer=True)
        return keep_axes(self, ax)

    def _plot_losses(self, panel):
        stages = self.history["stage"].unique()
        for line, (stage, label) in zip(LINES, _STAGES.items(), strict=False):
            if stage in stages:
                self._plot_curve(panel, stage, "train_loss", BLUE, label, linestyle=line)
        if "valid_loss" in self.history and self.history["valid_loss"].notna().any():
            self._plot_curve(panel, "fit", "valid_loss", VERMILLION, "validation")
            if self.best_epoch is not None:
                first = self.history[self.history["stage"] == "fit"]
                at_best = first.loc[first["epoch"] == self.best_epoch, "valid_loss"]
                panel.plot(
                    np.full(len(at_best), self.best_epoch),
                    at_best,
                    "*",
                    color=VERMILLION,
                    markersize=12,
                    label=f"best epoch: {self.best_epoch}",
                )
        panel.set_ylabel("Loss")
        panel.legend(frameon=False)

    def _plot_curve(self, panel, stage, column, colour, label, linestyle="-"):
        epochs = self.history[self.history["stage"] == stage]
        panel.plot(
            epochs["epoch"],
            epochs[column],
            color=colour,
            linestyle=linestyle,
            marker="o",
            markersize=3,
            label=label,
        )
