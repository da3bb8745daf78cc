"""Events and predictions as tables of MEDS."""

from ..utils import (
    column_names,
    find_column,
    import_arrow,
    is_lazy,
    read_arrow,
    refuse_null_count,
    require_frame,
)
from ._meds_columns import (
    as_booleans,
    as_codes,
    as_floats,
    as_ids,
    as_predictions,
    as_probabilities,
    as_texts,
    as_times,
    without_view,
)


def to_meds(events, *, patient_id="patient_id", time="time", code="code", value="value"):
    """Make a table of MEDS from events.

    Parameters
    ----------
    events : DataFrame
        Events in a frame of any library that `EventTable` accepts.
    patient_id, time, code, value : str
        Columns of `events`, by default the one with the name of the parameter. The MEDS names
        ``subject_id`` and ``numeric_value`` are recognised. `value` may be absent, or None to leave
        it out.

        - `patient_id` holds integers.
        - `time` holds datetimes or dates; null for a static event. Aware times are converted to
          UTC, because those of MEDS have no zone. Parts of microseconds are cut off.
        - `code` holds strings.
        - `value` holds numbers, which are rounded to 32-bit floats: to about 7 digits.

    Returns
    -------
    pyarrow.Table
        ``subject_id``, ``time``, ``code``, ``numeric_value`` if there are values, ``text_value`` if
        there are texts, then all other columns of `events` as they are. Rows are sorted by subject
        and time, static events first.

    Raises
    ------
    TypeError
        If `events` is not a frame, or a column holds values of a type that is not accepted.
    ValueError
        If a column is missing, a patient or a code is null, or a number is beyond the range of its
        type in MEDS.
    ImportError
        If pyarrow is not installed.

    See Also
    --------
    read_meds : The way back.

    Notes
    -----
    This is one shard: ``pyarrow.parquet.write_table(table, "data/0.parquet")``. For several, give
    each all events of its patients.

    References
    ----------
    Medical Event Data Standard 0.4, https://medical-event-data-standard.github.io

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import to_meds
    >>> events = pd.DataFrame({
    ...     "patient_id": [2, 1],
    ...     "time": pd.to_datetime(["2020-02-01", "2020-01-01"]),
    ...     "code": ["HR", "I10"],
    ...     "value": [71.5, None],
    ... })
    >>> to_meds(events).to_pydict()["subject_id"]
    [1, 2]
    """
    require_frame(events, "events")
    columns = column_names(events)

    def find(name, fixed, **options):
        return find_column(columns, name, "events", fixed=fixed, **options)

    table = {
        "subject_id": (find(patient_id, "patient_id"), as_ids),
        "time": (find(time, "time"), as_times),
        "code": (find(code, "code"), as_codes),
        "numeric_value": (find(value, "value", optional=True), as_floats),
        "text_value": ("text_value" if "text_value" in columns else None, as_texts),
    }
    table = {meds: source for meds, source in table.items() if source[0] is not None}
    read = [name for name, _ in table.values()]
    others = [name for name in columns if name not in read]
    if taken := [name for name in others if name in table]:
        raise ValueError(
            f"events has {', '.join(map(repr, taken))} beside the column that gets this name "
            f"in MEDS. Rename or drop one of them."
        )
    pa = import_arrow("A table of MEDS")
    columns = read_arrow(events, "events")
    table = {meds: convert(columns[name], name) for meds, (name, convert) in table.items()}
    order = _order_of(table["subject_id"], table["time"])
    others = {name: without_view(columns[name]) for name in others}
    return pa.table(table | others).take(order)


def to_meds_predictions(
    samples,
    y_proba,
    y_pred=None,
    *,
    patient_id="patient_id",
    prediction_time="prediction_time",
    outcome="boolean_value",
):
    """Make a table of predictions that ``meds-evaluation`` accepts.

    Parameters
    ----------
    samples : DataFrame
        Rows of the samples, in the order of the predictions: ``cohort.samples``.
    y_proba : array-like of shape (n_samples,) or (n_samples, 2)
        Probability of the outcome, or what `predict_proba` returns: those of False and of True.
    y_pred : array-like of shape (n_samples,), default=None
        Predicted outcome, boolean or 0 and 1. Without it, this column is null, and
        ``meds-evaluation`` leaves out the accuracy and the F1 score.
    patient_id, prediction_time : str
        Columns of `samples`, by default the one with the name of the parameter. The MEDS name
        ``subject_id`` is recognised. Both are converted as `to_meds` does.
    outcome : str, default="boolean_value"
        Column of `samples` with the true outcome, boolean or 0 and 1.

    Returns
    -------
    pyarrow.Table of shape (n_samples, 5)
        ``subject_id``, ``prediction_time``, ``boolean_value``, ``predicted_boolean_value`` and
        ``predicted_boolean_probability``, which are 32-bit floats.

    Raises
    ------
    TypeError
        If `samples` is not a frame in memory, or a column holds values of a type that is not
        accepted.
    ValueError
        If a column is missing or has nulls, or `y_proba` or `y_pred` have other shapes or values
        than those above.
    ImportError
        If pyarrow is not installed.

    References
    ----------
    https://github.com/kamilest/meds-evaluation

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.io import to_meds_predictions
    >>> samples = pd.DataFrame({
    ...     "subject_id": [7, 8],
    ...     "prediction_time": pd.to_datetime(["2020-01-01", "2020-02-01"]),
    ...     "boolean_value": [True, False],
    ... })
    >>> to_meds_predictions(samples, [0.75, 0.5])["predicted_boolean_probability"].to_pylist()
    [0.75, 0.5]
    """
    require_frame(samples, "samples")
    if is_lazy(samples):
        raise TypeError(
            "samples is a frame of an engine, whose rows have no order to match the predictions. "
            "Pass cohort.samples."
        )
    columns = column_names(samples)

    def find(name, fixed):
        return find_column(columns, name, "samples", fixed=fixed)

    patient_id, outcome = find(patient_id, "patient_id"), find(outcome, "outcome")
    prediction_time = find(prediction_time, "prediction_time")
    pa = import_arrow("A table of MEDS")
    columns = read_arrow(samples, "samples", [patient_id, prediction_time, outcome])
    times, way_out = columns[prediction_time], "Every sample needs a prediction time."
    refuse_null_count(times.null_count, prediction_time, way_out)
    return pa.table(
        {
            "subject_id": as_ids(columns[patient_id], patient_id),
            "prediction_time": as_times(times, prediction_time),
            "boolean_value": as_booleans(columns[outcome], outcome),
            "predicted_boolean_value": as_predictions(y_pred, len(columns)),
            "predicted_boolean_probability": as_probabilities(y_proba, len(columns)),
        }
    )


def _order_of(subject, time):
    """Order of rows by subject, then time, nulls first; that of equal rows is kept."""
    import pyarrow as pa
    from pyarrow import compute

    keys = {"subject": subject, "is_dated": time.is_valid().cast(pa.int8()), "time": time}
    by = [(name, "ascending") for name in keys]
    return compute.sort_indices(pa.table(keys), sort_keys=by)
