"""Checklist of TRIPOD+AI, in short, with what a report fills in."""

import pandas as pd

FILLED, IN_PART, OPEN = "filled", "in part", "open"

# Item, topic, what is asked in our own words. The wording that counts is that of Collins et al.,
# BMJ 2024;385:e078378.
_ITEMS = """\
1|Title|Development or evaluation of a model, of which outcome, in whom
2|Abstract|Structured summary (it has a checklist of its own)
3a|Background|Clinical context, why a model is needed, earlier models
3b|Background|Whom the model is for, where in care, and who uses it
3c|Background|Health inequalities that are known
4|Objectives|Aims: development, evaluation or both
5a|Data|Sources of both datasets, why these, and whom they represent
5b|Data|Dates of recruitment and end of follow-up
6a|Participants|Setting, and the number and location of centres
6b|Participants|Who was eligible
6c|Participants|Treatments, and how they were handled
7|Data preparation|Preprocessing and quality checks
8a|Outcome|Definition, time horizon, how and when it was assessed, and why it was chosen
8b|Outcome|Who judged it, if judgement was needed
8c|Outcome|Blinding of that judgement
9a|Predictors|How the initial predictors were chosen
9b|Predictors|Definition of each one, how and when it was measured
9c|Predictors|Who judged them, if judgement was needed
10|Sample size|How it came about, and whether it was enough
11|Missing data|How missing values were handled
12a|Analysis|How the data were used and split
12b|Analysis|How predictors entered the model
12c|Analysis|Type of model, steps of its development, tuning, internal validation
12d|Analysis|Differences between clusters, such as hospitals
12e|Analysis|Measures of performance, and plots
12f|Analysis|Updating of the model, such as recalibration
12g|Analysis|How predictions were calculated
13|Class imbalance|Methods against it, and recalibration afterwards
14|Fairness|What was done for it, and why
15|Model output|Form of the output, and how thresholds were chosen
16|Training and evaluation|Differences between the datasets
17|Ethics|Approval and consent
18a|Open science|Funding
18b|Open science|Conflicts of interest
18c|Open science|Protocol
18d|Open science|Registration
18e|Open science|Availability of the data
18f|Open science|Availability of the code
19|Involvement|Patients and public in the study
20a|Participants|Flow, numbers with and without the outcome, follow-up
20b|Participants|Characteristics, predictors, missing data
20c|Participants|Evaluation data beside development data
21|Model development|Numbers of participants and events in each analysis
22|Model specification|The full model, for use by others
23a|Performance|Estimates with confidence intervals, also in subgroups
23b|Performance|Results by cluster
24|Model updating|Results of it
25|Interpretation|Meaning of the results, also for fairness
26|Limitations|Limits of the study and what they do to its results
27a|Usability|Poor or missing input at the time of use
27b|Usability|What users must do and know
27c|Usability|Next steps for research
"""


def make_checklist(
    *, has_attrition, has_years, has_missing, has_subgroups, has_comparison, has_search
):
    """One row per item: its topic, what is asked, whether the report fills it, and where."""
    filled = _fill(has_attrition, has_years, has_subgroups, has_comparison, has_search)
    if not has_missing:
        filled["11"] = (IN_PART, "Section 2: no value of its rows is missing")
    rows = [line.split("|") for line in _ITEMS.splitlines()]
    table = pd.DataFrame(rows, columns=["item", "topic", "asked"]).set_index("item")
    told = [filled.get(item, (OPEN, "")) for item in table.index]
    return table.assign(status=[status for status, _ in told], where=[where for _, where in told])


def _fill(has_attrition, has_years, has_subgroups, has_comparison, has_search):
    """Status of each item that the report fills, and where it does."""
    sections = ["4", "5", *["6"] * has_subgroups, *["7"] * has_comparison]
    filled = {
        "7": (IN_PART, "Section 3: steps of the model"),
        "9a": (IN_PART, "Section 3: the vocabulary of codes"),
        "11": (IN_PART, "Section 2: how often values are missing"),
        "12a": (IN_PART, "Section 1: no patient is in both cohorts"),
        "12b": (IN_PART, "Section 3: parameters of the transformer"),
        "12c": (IN_PART, f"Section 3: type and parameters{', tuning' if has_search else ''}"),
        "12e": (FILLED, f"Sections {', '.join(sections)} and 9"),
        "12g": (FILLED, "Section 3: predict_proba of the fitted model, in these versions"),
        "15": (IN_PART, "Sections 3 and 5: a probability; no threshold is chosen"),
        "16": (IN_PART, "Section 2: outcome and predictors"),
        "20a": (IN_PART, "Section 2: numbers with and without the outcome"),
        "20b": (IN_PART, "Section 2"),
        "20c": (FILLED, "Section 2: standardised differences"),
        "21": (IN_PART, "Section 2; without subgroups"),
        "23a": (IN_PART, "Section 4; without subgroups"),
    }
    if has_attrition:
        filled["6b"] = (IN_PART, "Section 1: the rules, with their numbers")
        filled["20a"] = (IN_PART, "Sections 1 and 2; follow-up is open")
    if has_years:
        filled["5b"] = (IN_PART, "Section 2: years of the predictions")
    if has_subgroups:
        filled["21"] = (FILLED, "Sections 2 and 6")
        filled["23a"] = (FILLED, "Sections 4 and 6")
        filled["14"] = (IN_PART, "Section 6: performance in subgroups")
    return filled
