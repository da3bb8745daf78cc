"""Arrow tables and their columns, converted to pandas."""

import narwhals.stable.v2 as nw
import pandas as pd


def import_arrow(what):
    """Return pyarrow, which something is read with, or an error that names its extra."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            f"{what} is read with pyarrow, which is not installed: pip install sklearn_ehr[arrow]."
        ) from error
    return pyarrow


def as_arrow(frame):
    """Convert a frame in memory to an Arrow table, without a copy where it has Arrow's layout."""
    import pyarrow as pa

    source = nw.from_native(frame)
    if source.implementation.is_polars():
        # Converted as a whole, it would first join the chunks of its columns.
        return pa.table({column.name: pa.chunked_array(column) for column in frame})
    return source.to_arrow()


def from_arrow_column(column):
    """Convert a Series of an Arrow type to numpy's, where that can hold it."""
    import pyarrow as pa

    return _from_arrow(pa.array(column.array))


def from_arrow(table):
    """Convert an Arrow table to pandas; columns stay in Arrow where numpy cannot hold them."""
    columns = [_from_arrow(column) for column in table.unify_dictionaries().columns]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    return frame.set_axis(pd.Index(table.column_names, dtype=object), axis=1)


def _from_arrow(column):
    import pyarrow as pa

    kind = column.type
    if pa.types.is_date32(kind):
        column = column.cast(pa.timestamp("s"))
    elif pa.types.is_date64(kind):
        column = column.cast(pa.timestamp("ms"))
    is_exact = not pa.types.is_integer(kind) or not column.null_count
    of_numpy = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if (of_numpy and is_exact) or pa.types.is_timestamp(column.type):
        return column.to_pandas()
    if pa.types.is_dictionary(kind):
        try:
            return column.to_pandas()
        except ValueError:
            # A value is null, or there more than once.
            column = column.cast(kind.value_type)
    return pd.Series(column, dtype=pd.ArrowDtype(column.type))
