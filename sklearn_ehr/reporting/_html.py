"""Page of a report, in HTML without anything from elsewhere."""

import re
from html import escape

import numpy as np
import pandas as pd

from ..utils import MIN_PATIENTS
from ._characteristics import COLUMNS
from ._figures import MINUS, draw_calibration, draw_net_benefit, draw_subgroups
from ._small_cells import SMALL

UNDEFINED = "\N{EN DASH}"
NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "calibration_slope": "calibration slope",
    "calibration_in_the_large": "calibration in the large",
    "brier_score": "Brier score",
    "scaled_brier_score": "scaled Brier score",
}
_SMALL_NOTE = (
    f"“{SMALL}” stands for a number of fewer than {MIN_PATIENTS} patients, and for one from which "
    f"such a number could be worked out."
)
_STYLE = """\
.ehr-report{max-width:1280px;margin:0 auto;padding:8px 16px;background:#fff;color:#222;
font:15px/1.5 system-ui,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;overflow-wrap:anywhere}
.ehr-report h1{font-size:26px;line-height:1.25;margin:12px 0 4px;color:#111;border:0}
.ehr-report h2{font-size:19px;margin:32px 0 8px;padding-bottom:4px;border-bottom:1px solid #d8d8d8;
color:#111}
.ehr-report p,.ehr-report li{max-width:78ch;margin:6px 0;color:#222}
.ehr-report .lead{font-size:16px;color:#444}
.ehr-report .note{font-size:13px;color:#5a5a5a}
.ehr-report .scroll{overflow-x:auto;margin:12px 0}
.ehr-report table{border-collapse:collapse;font-size:13.5px;margin:0;background:#fff;color:#222;
width:auto;display:table;overflow-wrap:normal}
.ehr-report caption{text-align:left;font-weight:600;padding:4px 0;caption-side:top;color:#222}
.ehr-report th,.ehr-report td{padding:4px 8px;text-align:right;border:0;
border-bottom:1px solid #e6e6e6;vertical-align:top;white-space:nowrap;
font-variant-numeric:tabular-nums;background:#fff;color:#222}
.ehr-report thead th,.ehr-report thead th.t{border-bottom:1.5px solid #888;font-weight:600;
vertical-align:bottom}
.ehr-report th.t,.ehr-report td.t{text-align:left;font-weight:400}
.ehr-report th.t{white-space:normal}
.ehr-report tbody th.t{min-width:90px}
.ehr-report thead th[colspan]{text-align:left;border-bottom-width:1px}
.ehr-report th.n,.ehr-report td.n{text-align:left}
.ehr-report td.w{white-space:normal;min-width:110px;max-width:560px;text-align:left}
.ehr-report tr.g th{font-weight:600;text-align:left;padding-top:9px}
.ehr-report th.i{padding-left:22px}
.ehr-report .figures{display:flex;flex-wrap:wrap;gap:20px;margin:12px 0}
.ehr-report .figures>div{min-width:0;max-width:100%}
.ehr-report figure{margin:0;flex:1 1 340px;max-width:540px;min-width:0}
.ehr-report figure>svg{width:100%;height:auto;display:block}
.ehr-report figcaption{font-size:13px;color:#5a5a5a;margin-top:2px}
.ehr-report code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.92em;color:#222;
background:#f3f3f3;padding:0 3px;border:0}
.ehr-report .filled{color:#00609a;font-weight:600}
.ehr-report .open{color:#a34700}
@media print{.ehr-report{max-width:none;padding:0}.ehr-report .scroll{overflow:visible}
.ehr-report table{font-size:9px}.ehr-report th,.ehr-report td{padding:2px 3px;white-space:normal}
.ehr-report tbody th.t{min-width:60px}.ehr-report td.w{min-width:0}
.ehr-report figure,.ehr-report tr{break-inside:avoid}}
"""
_METHODS = [
    "Intervals are 95 % percentile intervals over {n:,} bootstrap samples of the test patients, "
    "each drawn with all of its samples [5, 6]. The intervals cover the uncertainty of the "
    "evaluation, not of the training, as the model is not refitted.",
    "The calibration slope is that of a logistic regression of the outcome on the log-odds of the "
    "predicted risk: below 1, risks are too extreme. Calibration in the large is the intercept of "
    "that regression with the slope fixed to 1: below 0, risks are too high on average [3]. The "
    "curve is over tenths of the predicted risk, merged until each has {smallest} patients with "
    "the outcome and as many without.",
    "The scaled Brier score is 1 for perfect predictions, and 0 for the prevalence as everybody's "
    "risk [7]. The net benefit at a threshold t is the share of true positives less that of false "
    "positives times t / (1 - t) [4].",
    "Standardised differences are differences of means or shares in units of their pooled standard "
    "deviation, without the sign [2]; for more than two values, they are Mahalanobis distances "
    "[8].",
]
_REFERENCES = [
    "G. S. Collins et al., “TRIPOD+AI statement: updated guidance for reporting clinical "
    "prediction models that use regression or machine learning methods”, BMJ 385, 2024, e078378.",
    "P. C. Austin, “Balance diagnostics for comparing the distribution of baseline covariates "
    "between treatment groups in propensity-score matched samples”, Statistics in Medicine 28, "
    "2009, p. 3083-3107.",
    "B. Van Calster et al., “A calibration hierarchy for risk models was defined: from utopia to "
    "empirical data”, Journal of Clinical Epidemiology 74, 2016, p. 167-176.",
    "A. J. Vickers and E. B. Elkin, “Decision curve analysis: a novel method for evaluating "
    "prediction models”, Medical Decision Making 26(6), 2006, p. 565-574.",
    "B. Efron and R. J. Tibshirani, “An Introduction to the Bootstrap”, Chapman & Hall, 1993.",
    "C. A. Field and A. H. Welsh, “Bootstrapping clustered data”, Journal of the Royal Statistical "
    "Society B 69(3), 2007, p. 369-390.",
    "E. W. Steyerberg et al., “Assessing the performance of prediction models: a framework for "
    "traditional and novel measures”, Epidemiology 21(1), 2010, p. 128-138.",
    "D. Yang and J. E. Dalton, “A unified approach to measuring the effect size between two groups "
    "using SAS”, SAS Global Forum 2012, paper 335.",
]


def render_page(report):
    """Whole document, which opens without a network."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n"
        f"<style>@page{{size:A4 landscape;margin:12mm}}</style>\n</head>\n"
        f"<body>\n{render(report)}\n</body>\n</html>\n"
    )


def render(report):
    """Report as one element, with its style."""
    sections = [
        ("Participants", _participants(report)),
        ("Characteristics", _characteristics(report)),
        ("Model", _model(report)),
        ("Performance", _performance(report)),
        ("Net benefit", _net_benefit(report)),
        ("Subgroups", _subgroups(report)),
        ("Comparison", _comparison(report)),
        ("What was not reported", _checklist(report)),
        ("Methods and references", _methods(report)),
    ]
    body = "\n".join(
        f"<section>\n<h2>{number}. {title}</h2>\n{content}\n</section>"
        for number, (title, content) in enumerate(sections, start=1)
    )
    lead = (
        f"Evaluation of a prediction model for <b>{escape(report.outcome)}</b>, by TRIPOD+AI [1]."
    )
    return (
        f'<div class="ehr-report">\n<style>\n{_STYLE}</style>\n<h1>{escape(report.title)}</h1>\n'
        f'<p class="lead">{lead}</p>\n{body}\n</div>'
    )


def _participants(report):
    text = "<p>No patient id is in both the development and the test cohort.</p>"
    if report.attrition is None:
        return f"{text}<p>How samples were chosen was not given (<code>attrition</code>).</p>"
    head = ["rule", "samples", "patients", "samples left out", "patients left out"]
    frame = report.attrition.astype(object)
    rows = [[str(row[0]), *map(_count, row[1:])] for row in frame.itertuples(index=False)]
    note = f"A rule that left out fewer than {MIN_PATIENTS} is joined to another one."
    table = _table([head], [_row(row) for row in rows], "Samples left after each rule")
    return f'{text}{table}<p class="note">{note}</p>'


def _characteristics(report):
    frame = report.characteristics
    tops = [("", 1)] + [
        (cohort, sum(column[0] == cohort for column in COLUMNS))
        for cohort in dict.fromkeys(column[0] for column in COLUMNS)
    ]
    names = {"difference": "std. difference"}
    head = [tops, ["", *(names.get(column[1], column[1]) for column in COLUMNS)]]
    rows = []
    for name, group in frame.groupby(level=0, sort=False):
        cells = [[_cell(value) for value in row] for row in group.to_numpy(dtype=object)]
        if len(group) == 1:
            value = group.index[0][1]
            rows.append(_row([f"{name}, {value}", *cells[0]]))
            continue
        rows.append(_group_row(name, len(COLUMNS) + 1))
        rows += [_row([v, *row], "i") for (_, v), row in zip(group.index, cells, strict=True)]
    notes = (
        f"<p class='note'>Numbers are of samples unless a row says patients, who are not counted "
        f"by outcome, as some may be on both sides. Standardised differences (std. difference) "
        f"have no sign. {_SMALL_NOTE}</p>"
    )
    if report.left_out:
        names = ", ".join(f"<code>{escape(name)}</code>" for name in report.left_out)
        notes += f"<p class='note'>Not shown, as too few patients share a value: {names}.</p>"
    return _table(head, rows, "Table 1: development and test cohort, by outcome") + notes


def _model(report):
    frame = report.parameters
    rows = [
        _row([name or "model", row.value, row.default], rest="t")
        for name, row in zip(frame.index, frame.itertuples(), strict=True)
    ]
    caption = "Steps, and the parameters that were tuned or are not the default"
    table = _table([["parameter", "value", "default"]], rows, caption, text=True)
    return f"{_markdown(report.description)}{table}<p class='note'>Versions: {report.versions}.</p>"


def _performance(report):
    rows = [
        _row([NAMES[name], *_estimate_and_interval(row, UNDEFINED)])
        for name, row in report.performance.iterrows()
    ]
    table = _table([["", "estimate", "95 % interval"]], rows, "Performance in the test cohort")
    calibration = report.calibration.rename(columns={"observed": "estimate"})
    rows = []
    for number, row in calibration.iterrows():
        cells = [f"{row['n_samples']:,.0f}", _number(row["mean_risk"])]
        rows.append(_row([number, *cells, *_estimate_and_interval(row, UNDEFINED)]))
    head = ["bin", "samples", "mean predicted risk", "observed share", "95 % interval"]
    bins = _table([head], rows, "Calibration curve")
    return (
        f"{table}<div class='figures'>{draw_calibration(report.calibration)}<div>{bins}</div></div>"
    )


def _net_benefit(report):
    frame = report.net_benefit
    has_other = "comparison" in frame
    head = ["threshold", "model", "95 % interval", "treat all", *["comparison"] * has_other]
    rows = []
    for threshold, row in frame.iterrows():
        others = ("treat_all", "comparison") if has_other else ("treat_all",)
        cells = [_number_or(SMALL, row[name], 4) for name in others]
        rows.append(_row([f"{threshold:g}", *_estimate_and_interval(row, SMALL, 4), *cells]))
    table = _table([head], rows, "Net benefit per sample; that of treating none is 0")
    note = (
        f"“{SMALL}”: at least one, but fewer than {MIN_PATIENTS} patients with or without the "
        f"outcome are at or above the threshold, or below it. Thresholds must be chosen by what a "
        f"false positive costs, not by this table."
    )
    figure = draw_net_benefit(frame)
    return f"<div class='figures'>{figure}<div>{table}</div></div><p class='note'>{note}</p>"


def _subgroups(report):
    frame = report.subgroups
    left_out = ""
    if report.left_out_groups:
        names = ", ".join(f"<code>{escape(name)}</code>" for name in report.left_out_groups)
        left_out = f"<p class='note'>Not shown, as too few patients share a level: {names}.</p>"
    if frame.empty:
        return left_out or "<p>No subgroups were given (<code>groups</code>).</p>"
    head = ["", "samples", "with outcome", *NAMES.values()]
    rows = []
    for name, group in frame.groupby(level=0, sort=False):
        rows.append(_group_row(name, len(head)))
        for (_, level), row in group.iterrows():
            cells = [_with_interval(row[metric], UNDEFINED) for metric in NAMES]
            rows.append(_row([level, *map(_count, row["n"]), *cells], "i"))
    table = _table([head], rows, "Performance in subgroups, with 95 % intervals")
    figures = "".join(
        draw_subgroups(frame, report.performance, metric, NAMES[metric])
        for metric in ("roc_auc", "calibration_in_the_large")
        if frame[metric].notna().to_numpy().any()
    )
    note = (
        f"Levels are merged until each has {MIN_PATIENTS} patients with the outcome and as many "
        f"without it. “{SMALL}”: see section 5; it hides all levels of a group at a threshold."
    )
    benefit = _net_benefit_of_subgroups(report.subgroup_net_benefit)
    note = f"<p class='note'>{note}</p>{left_out}"
    return f"{table}<div class='figures'>{figures}</div>{benefit}{note}"


def _net_benefit_of_subgroups(frame):
    thresholds = frame.index.get_level_values("threshold").unique()
    rows = []
    for name, group in frame.groupby(level=0, sort=False):
        rows.append(_group_row(name, len(thresholds) + 1))
        for level, part in group.groupby(level=1, sort=False):
            rows.append(
                _row([level, *(_with_interval(row, SMALL, 4) for _, row in part.iterrows())], "i")
            )
    head = ["threshold", *(f"{threshold:g}" for threshold in thresholds)]
    return _table([head], rows, "Net benefit in subgroups, with 95 % intervals")


def _comparison(report):
    frame = report.comparison
    if frame is None:
        return "<p>No other model was compared (<code>comparison=None</code>).</p>"
    head = ["", "model", "comparison", "difference", "95 % interval"]
    rows = []
    for name, row in frame.iterrows():
        label, missing, digits = NAMES.get(name), UNDEFINED, 3
        if label is None:
            label, missing, digits = name.replace("_", " "), SMALL, 4
        cells = [_number_or(missing, row[key], digits) for key in head[1:4]]
        rows.append(_row([label, *cells, _range(row["low"], row["high"], digits)]))
    text = _markdown(report.comparison_description)
    table = _table([head], rows, "Paired differences: model less comparison, on the same draws")
    return f"{text}{table}"


def _checklist(report):
    rows = []
    for item, row in report.checklist.iterrows():
        status = row["status"]
        rows.append(
            f'<tr><th class="n" scope="row">{item}</th>'
            f'<td class="n {status.split()[-1]}">{status}</td>'
            f'<td class="w"><b>{escape(row["topic"])}.</b> {escape(row["asked"])}</td>'
            f'<td class="w">{escape(row["where"])}</td></tr>'
        )
    n_open = (report.checklist["status"] == "open").sum()
    text = (
        f"<p>Of the {len(rows)} items and sub-items of TRIPOD+AI [1], {n_open} are open: to be "
        f"written by the authors, as software cannot know them. Those marked “in part” need some "
        f"words of the authors too. Items are shortened here; the wording that counts is that of "
        f"the statement.</p>"
    )
    head = ["item", "status", "asked", "where in this report"]
    return text + _table([head], rows, "", text=True)


def _methods(report):
    text = "".join(f"<p>{line}</p>" for line in _METHODS)
    text = text.format(n=report.n_bootstrap, smallest=MIN_PATIENTS)
    return f"{text}<ol>{''.join(f'<li>{escape(entry)}</li>' for entry in _REFERENCES)}</ol>"


def _table(head, rows, caption, *, text=False):
    """Table of rows that are rendered already; cells of the head are texts, or texts and spans."""
    lines = []
    for line in head:
        cells = [cell if isinstance(cell, tuple) else (cell, 1) for cell in line]
        lines.append(
            "".join(
                f'<th{" class=t" if text or not i else ""} scope="col"'
                f"{f' colspan={span}' if span > 1 else ''}>{escape(str(cell))}</th>"
                for i, (cell, span) in enumerate(cells)
            )
        )
    thead = "".join(f"<tr>{line}</tr>" for line in lines)
    caption = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{caption}<thead>{thead}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(cells, first="", rest=""):
    """Row of texts, of which the first one is its head."""
    name, *others = (escape(str(cell)) for cell in cells)
    data = "".join(
        f'<td class="{rest}">{cell}</td>' if rest else f"<td>{cell}</td>" for cell in others
    )
    return f'<tr><th class="t {first}" scope="row">{name}</th>{data}</tr>'


def _group_row(name, n_columns):
    return f'<tr class="g"><th colspan="{n_columns}" scope="rowgroup">{escape(str(name))}</th></tr>'


def _number(value, digits=3):
    """A figure with a typographic minus, and none before a zero."""
    if np.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:.{digits}f}"
    return f"{abs(value):.{digits}f}" if float(text) == 0 else text.replace("-", MINUS)


def _number_or(missing, value, digits=3):
    return missing if pd.isna(value) else _number(value, digits)


def _estimate_and_interval(row, missing, digits=3):
    return [_number_or(missing, row["estimate"], digits), _range(row["low"], row["high"], digits)]


def _range(low, high, digits=3):
    if pd.isna(low) or pd.isna(high):
        return ""
    return f"{_number(low, digits)} to {_number(high, digits)}"


def _with_interval(row, missing, digits=3):
    estimate, interval = _estimate_and_interval(row, missing, digits)
    return f"{estimate} ({interval})" if interval else estimate


def _count(value):
    if pd.isna(value):
        return ""
    return value if isinstance(value, str) else f"{value:,.0f}"


def _cell(value):
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.2f}"
    return value


def _markdown(text):
    """Paragraphs, lists and code of a description."""
    parts = []
    for block in text.split("\n\n"):
        html = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(block))
        if html.startswith("* "):
            items = html.removeprefix("* ").split("\n* ")
            parts.append(f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>")
        else:
            parts.append(f"<p>{html}</p>")
    return "".join(parts)
