"""Tables written as CSV, as the files and frames that a reader may be given, and its events."""

import gzip
from io import StringIO
from textwrap import dedent

import pandas as pd
import pytest
from any_frame import pa


def as_folder(tables, folder, compressed=False):
    """Write each table to a file of its name, which may lie in a subfolder."""
    for name, text in tables.items():
        path = folder / f"{name}.csv{'.gz' * compressed}"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = dedent(text).lstrip()
        path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    return folder


def as_frames(tables, kind):
    """Frames of a library, as its reader of CSV files makes them, by the names of the tables."""
    return {
        name.rpartition("/")[2]: kind(StringIO(dedent(text).lstrip()))
        for name, text in tables.items()
    }


def pandas(text):
    return pd.read_csv(text)


def strings_of_arrow(text):
    return pa.Table.from_pandas(pd.read_csv(text, dtype="string"), preserve_index=False)


def polars(text):
    return pytest.importorskip("polars").read_csv(text, infer_schema=False)


def polars_lazy(text):
    return polars(text).lazy()


def rows_of(events):
    """Rows of a frame of any library, sorted, with times as strings and nulls as None."""
    for method in ("collect", "df", "to_pandas"):
        if hasattr(events, method):
            events = getattr(events, method)()
    return sorted(
        (tuple(map(_plain, row)) for row in events.itertuples(index=False)),
        key=lambda row: tuple(map(str, row)),
    )


def by_hand(text):
    """Rows written as lines, with columns separated by ``|`` and nulls left empty."""
    lines = (map(str.strip, line.split("|")) for line in dedent(text).strip().splitlines())
    return sorted((tuple(map(_read, line)) for line in lines), key=lambda row: tuple(map(str, row)))


def _plain(value):
    if pd.isna(value):
        return None
    return str(value) if isinstance(value, pd.Timestamp) else value


def _read(cell):
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return str(pd.Timestamp(cell)) if cell[:3].isdigit() and cell[4] == "-" else cell
