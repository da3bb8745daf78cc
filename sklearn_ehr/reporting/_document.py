"""Report of a model, as frames and as a page."""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd

from ._html import render, render_page


@dataclass(frozen=True, repr=False, eq=False)
class Report:
    """Report of a fitted model on test patients, made by `report`.

    It holds no patient: its tables are of cohorts and subgroups, and have no count of fewer than 10
    patients, nor one that its own table gives away. In a notebook, it is shown as a page.

    Attributes
    ----------
    title, outcome : str
    attrition : DataFrame or None
        `rule`, `n_samples` and `n_patients` left after it, and `samples_left_out` and
        `patients_left_out`. A rule that left out fewer than 10 is joined to another one.
    characteristics : DataFrame
        Table 1: one row per characteristic and value, one column per cohort and outcome, as texts,
        and standardised differences.
    left_out : list of str
        Columns of samples that Table 1 leaves out, as too few patients share a value, or as
        subgroups merge their values otherwise.
    left_out_groups : list of str
        Groups that are left out, as fewer than two of their levels have enough patients.
    description, comparison_description : str
        The model, and the one that it is compared with, in Markdown.
    versions : str
        Versions of libraries.
    parameters : DataFrame
        `value` and `default` of each parameter that was tuned or is not the default.
    performance : DataFrame
        `estimate`, `low` and `high` of each metric: "roc_auc", "average_precision",
        "calibration_slope", "calibration_in_the_large", "brier_score" and "scaled_brier_score".
    calibration : DataFrame
        One row per bin of predicted risk: `n_samples`, `mean_risk`, and the `observed` share of the
        outcome with its interval, `low` and `high`.
    net_benefit : DataFrame
        By threshold: `estimate`, `low` and `high`, that of treating all patients, `treat_all`, and,
        if there is one, that of the `comparison`. NaN where it would tell
        of fewer than 10 patients.
    subgroups : DataFrame
        By group and level: ``("n", "samples")``, ``("n", "events")``, and `estimate`, `low` and
        `high` of each metric, such as ``subgroups["roc_auc"]``. Empty without groups.
    subgroup_net_benefit : DataFrame
        By group, level and threshold: `estimate`, `low` and `high`.
    comparison : DataFrame or None
        By metric, and by threshold of the net benefit: the figures of `model` and `comparison`,
        their `difference`, and its interval, `low` and `high`.
    checklist : DataFrame
        By item of TRIPOD+AI: `topic`, what is `asked`, its `status` ("filled", "in part" or
        "open") and `where` the report fills it.
    n_bootstrap : int
        Number of draws that the intervals are over.

    See Also
    --------
    sklearn_ehr.report : Makes a report.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_ehr import CodeCountVectorizer, report
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(400, random_state=0)
    >>> model = make_pipeline(CodeCountVectorizer(), LogisticRegression(max_iter=1000))
    >>> model.fit(X[:200], y[:200])
    Pipeline(...)
    >>> result = report(
    ...     model, X[:200], y[:200], X[200:], y[200:], comparison=None, n_bootstrap=10
    ... )
    >>> result.characteristics.loc[("samples", "n"), ("test", "outcome")]
    '49'
    >>> result.checklist.loc["20c", ["status", "where"]].tolist()
    ['filled', 'Section 2: standardised differences']
    """

    title: str
    outcome: str
    attrition: pd.DataFrame | None
    characteristics: pd.DataFrame
    left_out: list
    left_out_groups: list
    description: str
    versions: str
    parameters: pd.DataFrame
    performance: pd.DataFrame
    calibration: pd.DataFrame
    net_benefit: pd.DataFrame
    subgroups: pd.DataFrame
    subgroup_net_benefit: pd.DataFrame
    comparison: pd.DataFrame | None
    comparison_description: str
    checklist: pd.DataFrame
    n_bootstrap: int

    def save(self, path):
        """Write the report as one HTML file, which needs nothing else and no network.

        Parameters
        ----------
        path : str or path
            File to write, such as "report.html". One that exists is replaced.
        """
        path = Path(path)
        # What is there stays whole if the disk is full.
        part = path.with_name(f"{path.name}.{uuid4().hex}.part")
        try:
            part.write_text(render_page(self), encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def __repr__(self):
        return f"Report: {self.title}\n{self.performance.round(3)}"

    def _repr_html_(self):
        return render(self)
