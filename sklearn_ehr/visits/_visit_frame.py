"""Frames with a row for each visit of sequences, or for each code of a visit."""

import numpy as np
import pandas as pd

from ._vocabulary import UNKNOWN


def leading_columns(sequences):
    """Columns that say which visit a row is about, one row per visit of the sequences.

    Parameters
    ----------
    sequences : VisitSequences

    Returns
    -------
    DataFrame
        `sample`, its position; `patient`, its group, or its position if there are no groups;
        `visit`, the position within the sample; `visit_id`, if there are any; `time` of the last
        event of the visit, null for a static visit, if there are times. The index counts the rows.
    """
    sample = np.repeat(np.arange(len(sequences)), sequences.lengths)
    groups = sequences.groups
    columns = {
        "sample": sample,
        "patient": sample if groups is None else groups[sample],
        "visit": np.arange(len(sample)) - sequences.sample_offsets[sample],
    }
    if sequences.visit_ids is not None:
        columns["visit_id"] = sequences.visit_ids
    if sequences.visit_times is not None:
        columns["time"] = sequences.visit_times[:, 1]
    return pd.DataFrame(columns)


def code_columns(sequences):
    """Columns that say which code of which visit a row is about, one row per token.

    Parameters
    ----------
    sequences : VisitSequences

    Returns
    -------
    DataFrame
        The `leading_columns` of the visit, and `code`: null for the unknown code, and a token id if
        the sequences have no vocabulary.
    """
    visit = np.repeat(np.arange(len(sequences.is_static)), np.diff(sequences.visit_offsets))
    frame = leading_columns(sequences).iloc[visit].reset_index(drop=True)
    tokens, vocabulary = sequences.tokens, sequences.vocabulary
    if vocabulary is None:
        return frame.assign(code=tokens)
    codes = np.full(len(tokens), None, dtype=object)
    is_known = tokens != UNKNOWN
    codes[is_known] = vocabulary.decode(tokens[is_known])
    return frame.assign(code=pd.Series(codes).infer_objects())


def with_outputs(leading, outputs, **columns):
    """Add columns of values to a frame, with a row for each of several outputs.

    Parameters
    ----------
    leading : DataFrame of n_rows rows
    outputs : ndarray of shape (n_outputs,) or None
        Names of the outputs, for a column `output`. None if there is a single one.
    **columns : ndarray of shape (n_rows, n_outputs), or (n_rows,) if there is a single output
        Values by name of their column.

    Returns
    -------
    DataFrame of n_rows * n_outputs rows
        All outputs of a row follow one another.
    """
    frame = leading
    if outputs is not None:
        frame = leading.loc[leading.index.repeat(len(outputs))].reset_index(drop=True)
        columns = {"output": np.tile(outputs, len(leading)), **columns}
    return frame.assign(**{name: values.ravel() for name, values in columns.items()})
