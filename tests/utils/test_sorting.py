import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from sklearn_ehr.utils import _sorting
from sklearn_ehr.utils._sorting import (
    counting_sort,
    deal,
    factorise,
    is_ascending,
    is_last_of_equals,
    order_by,
)

INTEGERS = st.integers(-(2**63), 2**63 - 1)
KINDS = {
    "few integers": (st.integers(0, 2), np.int32),
    "any integers": (INTEGERS, np.int64),
    "booleans": (st.booleans(), bool),
    "floats": (st.floats(allow_nan=True), np.float64),
    "times": (st.integers(-5, 5), "datetime64[s]"),
}


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    """Parts are sorted beside each other, whatever the environment asks for."""
    with threadpool_limits(2):
        yield


@st.composite
def tables(draw):
    n_rows = draw(st.integers(0, 40))
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4))
    return [
        np.array(draw(st.lists(KINDS[k][0], min_size=n_rows, max_size=n_rows)), dtype=KINDS[k][1])
        for k in kinds
    ]


@given(tables())
def test_order_is_that_of_lexsort(keys):
    np.testing.assert_array_equal(order_by(*keys), np.lexsort(keys[::-1]))


@given(tables())
def test_keys_ascend_in_their_order(keys):
    order = order_by(*keys)
    assert is_ascending(*(key[order] for key in keys))
    assert is_ascending(*keys) == (order == np.arange(len(order))).all()


@given(tables())
def test_last_of_equals_is_that_of_pandas(keys):
    keys = [key + 0 if key.dtype.kind == "f" else key for key in keys]
    repeated = pd.DataFrame(dict(enumerate(keys))).duplicated(keep="last")
    np.testing.assert_array_equal(is_last_of_equals(*keys), ~repeated)


def test_dealt_rows_keep_their_order_in_a_bucket():
    rng = np.random.default_rng(0)
    bucket = rng.integers(0, 5, 100).astype(np.int32)
    columns = {
        "a": rng.integers(0, 9, 100).astype(np.int32),
        "b": rng.integers(0, 9, 100).astype(np.int32),
        "time": rng.integers(-9, 9, 100).astype("datetime64[s]"),
        "value": np.where(rng.random(100) < 0.3, np.nan, rng.random(100)),
        "visit": rng.integers(-1, 3, 100).astype(np.int32),
    }
    order = np.argsort(bucket, kind="stable")
    for chosen in (list(columns), ["a", "b", "time"]):
        dealt, starts = deal(bucket, {name: columns[name] for name in chosen}, ids=("a", "b"))
        assert dealt.keys() == set(chosen)
        for name, column in dealt.items():
            np.testing.assert_array_equal(column, columns[name][order])
        assert starts.tolist() == [0, *np.bincount(bucket).cumsum()]


def test_null_times_come_first():
    times = np.array(["2020", "NaT", "1960"], dtype="datetime64[s]")
    assert order_by(times).tolist() == [1, 2, 0]


def test_keys_of_more_bits_than_a_word_are_split():
    rng = np.random.default_rng(0)
    keys = [rng.integers(-(2**63), 2**63 - 1, 5000) for _ in range(3)]
    keys[0] = rng.permutation(np.repeat(keys[0][:50], 100))
    keys[1] = rng.permutation(np.repeat(keys[1][:5], 1000))
    np.testing.assert_array_equal(order_by(*keys), np.lexsort(keys[::-1]))


@pytest.mark.parametrize(
    ("values", "position", "table"),
    [
        (["b", "a", None, "b"], [1, 0, -1, 1], ["a", "b"]),
        ([7, 5, 7, 6], [2, 0, 2, 1], [5, 6, 7]),
        ([10**15, -3, 10**15], [1, 0, 1], [-3, 10**15]),
        ([2.5, np.nan, 1.0], [1, -1, 0], [1.0, 2.5]),
        ([], [], []),
    ],
    ids=["texts", "close integers", "far integers", "floats", "none"],
)
def test_factorise_ranks_distinct_values(values, position, table):
    found, distinct = factorise(pd.Series(values))
    assert found.tolist() == position
    assert distinct.tolist() == table


@pytest.mark.parametrize("storage", ["python", "pyarrow"])
def test_factorise_takes_texts_of_any_storage(storage, monkeypatch):
    if storage == "pyarrow":
        pytest.importorskip("pyarrow", reason="pyarrow comes with the extra benchmarks")
    monkeypatch.setattr(_sorting, "_ROWS_PER_PART", 2)
    texts = pd.Series(["b", None, "a", "c", "a"], dtype=pd.StringDtype(storage, na_value=np.nan))
    position, table = factorise(texts)
    assert position.tolist() == [1, -1, 0, 2, 0]
    assert table.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("n_rows_per_part", [2, 2**20])
def test_factorise_keeps_objects_as_they_are(n_rows_per_part, monkeypatch):
    monkeypatch.setattr(_sorting, "_ROWS_PER_PART", n_rows_per_part)
    position, table = factorise(pd.Series([2**53 + 1, 2**53, 1.5, 2**53], dtype=object))
    assert position.tolist() == [2, 1, 0, 1]
    assert table.tolist() == [1.5, 2**53, 2**53 + 1]
    position, table = factorise(pd.Series([1, 2, 1.0, 2.0], dtype=object))
    assert (position.tolist(), table.dtype) == ([0, 1, 0, 1], object)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_factorise_takes_the_whole_range_of_any_integers(dtype, monkeypatch):
    monkeypatch.setattr(_sorting, "_NUMBERS_PER_PART", 40)
    limits = np.iinfo(dtype)
    for start in (limits.min, limits.max - 99):
        distinct = np.array(range(start, start + 100, 3), dtype=dtype)
        values = np.random.default_rng(0).permutation(np.repeat(distinct, 3))
        position, table = factorise(pd.Series(values))
        np.testing.assert_array_equal(table, distinct)
        assert table.dtype == dtype
        np.testing.assert_array_equal(distinct[position], values)
    ends = np.repeat(np.array([limits.max, limits.min], dtype=dtype), 100)
    assert factorise(pd.Series(ends))[0].tolist() == [1] * 100 + [0] * 100


def test_counting_sort_keeps_the_order_within_a_key():
    key, value = np.array([2, 0, 2, 3, 0, 2]), np.array([5, 1, 4, 0, 1, 5])
    sorted_value, offsets = counting_sort(key, value, (5, 6))
    assert sorted_value.tolist() == [1, 1, 5, 4, 5, 0]
    assert offsets.tolist() == [0, 2, 2, 5, 6, 6]
