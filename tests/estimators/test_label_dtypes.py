"""Outcomes of every dtype that numpy and pandas have for them."""

import numpy as np
import pandas as pd
import pytest

from sklearn_ehr import LSTMVisitClassifier, LSTMVisitRegressor, LSTMVisitTagger

TINY = {
    "embedding_dim": 4,
    "hidden_dim": 4,
    "max_epochs": 1,
    "random_state": 0,
    "device": "cpu",
}
N = 40
X = np.random.default_rng(0).integers(2, 9, (N, 2, 2))
Y = np.arange(N) % 2
TEXTS = np.array(["no", "yes"])[Y]
NULLABLE = ["Int64", "UInt8", "boolean", "Float32", "category", "int64[pyarrow]", "bool[pyarrow]"]
TEXT_DTYPES = [object, "str", "string", "string[pyarrow]", "category"]


@pytest.fixture(autouse=True)
def pyarrow_where_needed(request):
    params = getattr(request.node, "callspec", None)
    if params is not None and "pyarrow" in str(params.params.get("dtype")):
        pytest.importorskip("pyarrow", reason="pyarrow comes with the extra benchmarks")


def fitted_like(model, other):
    """Whether two models have the same bits."""
    pairs = zip(model.net_.module_.parameters(), other.net_.module_.parameters(), strict=True)
    return all(bool((one == two).all()) for one, two in pairs)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, np.longdouble])
def test_classes_are_of_any_dtype_of_numpy(dtype):
    model = LSTMVisitClassifier(**TINY).fit(X, Y.astype(dtype))
    assert fitted_like(model, LSTMVisitClassifier(**TINY).fit(X, Y))
    np.testing.assert_array_equal(model.classes_, [0, 1])
    assert model.score(X, Y.astype(dtype)) == model.score(X, Y)


@pytest.mark.parametrize("dtype", NULLABLE)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_classes_are_of_any_dtype_of_pandas(dtype, method):
    y = pd.Series(Y.astype(bool) if "bool" in dtype else Y, dtype=dtype)
    options = {"classes": y[:2]} if method == "partial_fit" else {}
    one, other = (
        getattr(LSTMVisitClassifier(**TINY), method)(X, labels, **options)
        for labels in (y, Y.astype(np.asarray(y).dtype))
    )
    assert fitted_like(one, other)
    np.testing.assert_array_equal(one.classes_, [0, 1])
    assert one.classes_.dtype != object


@pytest.mark.parametrize("dtype", TEXT_DTYPES)
def test_classes_are_texts_of_any_dtype(dtype):
    model = LSTMVisitClassifier(**TINY).fit(X, pd.Series(TEXTS, dtype=dtype))
    assert fitted_like(model, LSTMVisitClassifier(**TINY).fit(X, Y))
    assert model.classes_.tolist() == ["no", "yes"]
    assert set(model.predict(X)) <= {"no", "yes"}


@pytest.mark.parametrize("dtype", [*NULLABLE, *TEXT_DTYPES])
def test_null_classes_of_any_dtype_raise(dtype):
    values = TEXTS if dtype in TEXT_DTYPES[:4] else Y.astype(bool) if "bool" in dtype else Y
    y = pd.Series([None, *values[1:]], dtype=dtype)
    with pytest.raises(ValueError, match=r"y has 1 null label\(s\)"):
        LSTMVisitClassifier(**TINY).fit(X, y)


@pytest.mark.parametrize("dtype", [bool, np.float16, *NULLABLE[:4], *NULLABLE[5:]])
def test_an_indicator_is_of_any_dtype(dtype):
    indicator = np.stack([Y, 1 - Y], axis=1)
    y = pd.DataFrame(indicator.astype(bool) if "bool" in str(dtype) else indicator).astype(dtype)
    model = LSTMVisitClassifier(**TINY).fit(X, y)
    assert fitted_like(model, LSTMVisitClassifier(**TINY).fit(X, indicator))


@pytest.mark.parametrize("dtype", [bool, np.float16, np.longdouble, *NULLABLE])
def test_numbers_are_of_any_dtype(dtype):
    y = pd.Series(Y.astype(bool) if "bool" in str(dtype) else Y).astype(dtype)
    model = LSTMVisitRegressor(**TINY).fit(X, y)
    assert fitted_like(model, LSTMVisitRegressor(**TINY).fit(X, Y))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "double[pyarrow]", float, object])
def test_null_numbers_of_any_dtype_raise(dtype):
    y = pd.Series([None, *Y[1:]], dtype=dtype)
    for outcomes in (y, pd.DataFrame({"a": y, "b": Y})):
        with pytest.raises(ValueError, match=r"y has 1 value\(s\) that are NaN"):
            LSTMVisitRegressor(**TINY).fit(X, outcomes)


def test_complex_numbers_raise():
    with pytest.raises(ValueError, match="y must hold a number"):
        LSTMVisitRegressor(**TINY).fit(X, Y + 1j)


@pytest.mark.parametrize("dtype", [bool, np.float16, "Int64", "boolean", "category", "Float32"])
def test_labels_of_visits_are_of_any_dtype(dtype):
    labels = [np.array([y, 1 - y]) for y in Y]
    y = [pd.Series(of_sample).astype(bool if "bool" in str(dtype) else int) for of_sample in labels]
    model = LSTMVisitTagger(**TINY).fit(X, [of_sample.astype(dtype) for of_sample in y])
    assert fitted_like(model, LSTMVisitTagger(**TINY).fit(X, labels))


@pytest.mark.parametrize(
    "dtype", [np.float16, "Int64", "boolean", "string", "category", "int64[pyarrow]"]
)
def test_labels_of_visits_that_are_null_in_any_dtype_are_missing(dtype):
    as_type = {"boolean": bool, "string": str}.get(dtype, int)
    y = [pd.Series([as_type(label), None], dtype=dtype) for label in Y]
    model = LSTMVisitTagger(**TINY).fit(X, y)
    missing = [np.array([label, np.nan]) for label in Y]
    assert fitted_like(model, LSTMVisitTagger(**TINY).fit(X, missing))
