"""Display of the importance of codes."""

from .._code_importance import code_importance
from ._axes import BLUE, GREY, SMALL, keep_axes, open_axes, tidy
from ._labels import label_codes

_INCHES_PER_BAR = 0.2
# Few bars are not as thick as the picture is high.
_LEAST_ROWS = 5


class CodeImportanceDisplay:
    """Importance of codes or groups of codes, as bars with standard errors.

    Create it with `from_estimator` or `from_importance`.

    Parameters
    ----------
    importance : DataFrame
        What `code_importance` returns.
    descriptions : dict, Series or DataFrame, default=None
        Descriptions of codes, or of groups: by code, or in a frame with the columns `code` and
        `description`, as `read_meds_codes` returns it. Codes without one are shown as they are.
    max_codes : int, default=20
        Number of codes that are drawn, the most important ones.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer

    See Also
    --------
    code_importance : Computes the importance.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.inspection import CodeImportanceDisplay
    >>> importance = pd.DataFrame(
    ...     {"importance": [0.04, 0.01], "standard_error": [0.002, 0.001]}, index=["I50", "E11"]
    ... )
    >>> display = CodeImportanceDisplay.from_importance(
    ...     importance, descriptions={"I50": "Heart failure"}
    ... )
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['Heart failure', 'E11']
    """

    def __init__(self, importance, *, descriptions=None, max_codes=20):
        self.importance = importance
        self.descriptions = descriptions
        self.max_codes = max_codes

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        scoring=None,
        groups=None,
        n_repeats=5,
        random_state=None,
        n_jobs=None,
        descriptions=None,
        max_codes=20,
        ax=None,
    ):
        """Compute the importance of codes by `code_importance`, and draw it.

        Parameters
        ----------
        estimator, X, y, scoring, groups, n_repeats, random_state, n_jobs
            As in `code_importance`.
        descriptions : dict, Series or DataFrame, default=None
            Descriptions of codes, as in `CodeImportanceDisplay`.
        max_codes : int, default=20
            Number of codes that are drawn, the most important ones.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        CodeImportanceDisplay
        """
        importance = code_importance(
            estimator,
            X,
            y,
            scoring=scoring,
            groups=groups,
            n_repeats=n_repeats,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        return cls.from_importance(
            importance, descriptions=descriptions, max_codes=max_codes, ax=ax
        )

    @classmethod
    def from_importance(cls, importance, *, descriptions=None, max_codes=20, ax=None):
        """Draw the importance of codes that was computed before.

        Parameters
        ----------
        importance : DataFrame
            What `code_importance` returns.
        descriptions : dict, Series or DataFrame, default=None
            Descriptions of codes, as in `CodeImportanceDisplay`.
        max_codes : int, default=20
            Number of codes that are drawn, the most important ones.
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure.

        Returns
        -------
        CodeImportanceDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `descriptions` is not of an accepted type.
        """
        return cls(importance, descriptions=descriptions, max_codes=max_codes).plot(ax)

    def plot(self, ax=None):
        """Draw a bar for each code.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. By default, those of a new figure, which is taller for more than about
            20 codes.

        Returns
        -------
        CodeImportanceDisplay
        """
        ranked = self.importance.sort_values("importance", ascending=False, kind="stable")
        shown = ranked.head(self.max_codes)
        labels = label_codes(shown.index, self.descriptions)
        ax = open_axes(ax, self, height=0.8 + _INCHES_PER_BAR * len(shown))
        self.bars_ = ax.barh(
            range(len(shown)),
            shown["importance"],
            xerr=shown["standard_error"],
            color=BLUE,
            ecolor="black",
            error_kw={"elinewidth": 1, "capsize": 2},
        )
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.set_yticks(range(len(shown)), labels, fontsize=SMALL)
        ax.set_ylim(max(len(shown), _LEAST_ROWS) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("Decrease of the score (± standard error)")
        tidy(ax)
        return keep_axes(self, ax)
