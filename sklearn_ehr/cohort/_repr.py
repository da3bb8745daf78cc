"""Summaries of event tables and cohorts for notebooks, in which no patient can be recognised.

They are cheap: of a large table, only some patients are looked at, and of their events at most the
first and the last.
"""

import numpy as np

from ..utils import (
    MIN_PATIENTS,
    TOO_FEW,
    count_text,
    lengths_html,
    names_text,
    safe_share,
    shortened,
    spread,
    summary_html,
    two_values,
    years_text,
)

# Number of patients that are looked at, in memory and on disk.
_MOST, _MOST_MAPPED = 1_000_000, 10_000
_MOST_SHARES = 20


def table_html(table):
    """HTML of an event table."""
    n_patients = len(table.patients)
    if n_patients < MIN_PATIENTS:
        return summary_html("EventTable", [("Patients", TOO_FEW)])
    patient = spread(n_patients, _most(table))
    lengths = table.patient_offsets[patient + 1] - table.patient_offsets[patient]
    quantiles, histogram = lengths_html("Events per patient", lengths, patient, "patients")
    read = {role: name for role, name in table.columns.items() if name is not None}
    rows = {
        "Patients": count_text(n_patients),
        "Events": count_text(len(table)),
        "Visit ids": None if table.visit_ids is None else count_text(len(table.visit_ids)),
        "Codes": count_text(len(table.codes)),
        "Events per patient": quantiles,
        "Years": _years_of_events(table, patient),
        "Looked at": None if len(patient) == n_patients else f"{len(patient):,} patients",
        "Columns": names_text(r if r == name else f"{r}: {name}" for r, name in read.items()),
        "Stored": "in memory" if table.directory is None else "on disk",
    }
    return summary_html("EventTable", rows.items(), histogram)


def cohort_html(cohort):
    """HTML of a cohort."""
    seen = cohort._visible
    is_grouped = cohort._group_column != cohort._patient_column
    # Where groups are given, they are the persons who must not be recognised.
    person = np.unique(cohort.group_positions, return_inverse=True)[1]
    n_persons = int(person.max(initial=-1)) + 1
    if n_persons < MIN_PATIENTS:
        return summary_html("Cohort", [("Groups" if is_grouped else "Patients", TOO_FEW)])
    patients, first, patient = np.unique(seen.patient, return_index=True, return_inverse=True)
    counts, is_exact = seen.counts_by(patient)
    quantiles, histogram = lengths_html("Events per patient", counts, person[first], "patients")
    rows = {
        "Samples": count_text(len(cohort)),
        "Patients": count_text(len(patients)),
        "Groups": count_text(n_persons) if is_grouped else None,
        "Events": f"{'' if is_exact else 'at most '}{count_text(counts.sum())}, each counted once",
        "Codes": f"{count_text(len(seen.table.codes))} in the event table",
        "Events per patient": quantiles,
        "Years": _years(cohort, person, first),
        "Histories": _histories(seen),
        "Features": names_text(cohort._features) if cohort._features else None,
    }
    return summary_html("Cohort", [*rows.items(), *_shares(cohort, person)], histogram)


def _most(table):
    return _MOST if table.directory is None else _MOST_MAPPED


def _histories(seen):
    if seen.moments is None:
        text = "whole"
    else:
        compared = {"day": " (by day)", "instant": " (by instant)"}
        text = f"until the prediction time{compared.get(seen.resolution, '')}"
    return text if seen.lookback is None else f"{text}, within the lookback"


def _years(cohort, person, first):
    """Years of predictions or, in whole histories, of events."""
    seen = cohort._visible
    if seen.moments is not None:
        return years_text(seen.moments.values, person, "predictions")
    some = first[spread(len(first), _most(seen.table))]
    some = some[seen.patient[some] < len(seen.table.patients)]
    return _years_of_events(seen.table, seen.patient[some], person[some])


def _years_of_events(table, patient, person=None):
    """Years of the first and the last events of patients, who may belong to few persons."""
    if table.time is None:
        return None
    person = patient if person is None else person
    starts, ends = table.dated_starts[patient], table.patient_offsets[patient + 1]
    is_dated = starts < ends
    times = np.concatenate([table.time[starts[is_dated]], table.time[ends[is_dated] - 1]])
    table._release()
    return years_text(times, np.tile(person[is_dated], 2), "events")


def _shares(cohort, person):
    """Names and shares of the columns of the samples that have two values."""
    keys = {cohort._patient_column, cohort._group_column}
    if cohort._visible.moments is not None:
        keys.add(cohort._visible.moments.name)
    rows = []
    for position, name in enumerate(cohort._samples.columns):
        found = None if name in keys else two_values(cohort._samples.iloc[:, position])
        if found is None:
            continue
        if len(rows) == _MOST_SHARES:
            return [*rows, ("", "further columns of two values are not shown")]
        rows.append((name, _text_of_share(*found, person)))
    return rows


def _text_of_share(position, values, person):
    share = safe_share(position, person)
    if share is None:
        return f"<{MIN_PATIENTS} patients with one of its two values"
    is_whether = all(value == number for value, number in zip(values, (0, 1), strict=True))
    return f"{share:.1%}" if is_whether else f"{shortened(values[1])}: {share:.1%}"
