"""How do time and memory grow with the number of events, where these stay on disk?

Histories of `make_visits` are streamed to parquet files, whose rows are shuffled and in which every
file has patients of the whole range. From these, a store is built, its codes are counted, its
histories are made into sequences, and a network is trained on them for an epoch, each size in a
process of its own. At one size the same is done in memory. Run with ``make bench-scaling``;
``python benchmarks/scaling.py 1e6 1e7 1e8 1e9`` builds larger stores.
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from _report import Report, peak_bytes
from pyarrow import parquet

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    EventTable,
    LSTMVisitClassifier,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits

EVENTS_PER_PATIENT = 113
PATIENTS_PER_FILE = 10_000
SIZES = (10**6, 10**7, 10**8)
IN_MEMORY = 10**7
STAGES = ("build", "count", "transform", "train")


def write_events(folder, n_events):
    """Write about as many events to parquet files, and their samples to one more."""
    n_patients = max(n_events // EVENTS_PER_PATIENT, 100)
    n_files = -(-n_patients // PATIENTS_PER_FILE)
    samples = []
    for number in range(n_files):
        n = n_patients // n_files
        X, _ = make_visits(n, n_codes=5000, random_state=number)
        rng = np.random.default_rng(number)
        parquet.write_table(
            as_rows(X.event_table, number, n_files, rng), folder / f"{number}.parquet"
        )
        rows = X.samples[["patient_id", "prediction_time", "outcome"]]
        samples.append(rows.assign(patient_id=rows["patient_id"] * n_files + number))
    pd.concat(samples).sort_values("patient_id").to_parquet(folder.with_suffix(".samples"))


def as_rows(table, number, n_files, rng):
    """Events of a table in any order; no other file has their patients or visits."""
    patient = np.repeat(table.patients, np.diff(table.patient_offsets))
    columns = {
        "patient_id": patient * n_files + number,
        "time": table.time,
        "visit_id": table.visit_ids[table.visit] * n_files + number,
    }
    order = rng.permutation(len(table))
    columns = {name: pa.array(column[order]) for name, column in columns.items()}
    code = pa.DictionaryArray.from_arrays(pa.array(table.code[order]), pa.array(table.codes))
    return pa.table(columns | {"code": code.cast(pa.string())})


@contextmanager
def timed(seconds, stage):
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def run(folder, store=None, train=True):
    """Seconds of each stage, the peak of memory, and the number of events, from a store or not."""
    folder, seconds = Path(folder), {}
    samples = pd.read_parquet(folder.with_suffix(".samples"))
    with timed(seconds, "build"):
        table = EventTable(folder, directory=store)
    X, y = Cohort(table, samples), samples["outcome"].to_numpy()
    with timed(seconds, "count"):
        CodeCountVectorizer().fit_transform(X)
    with timed(seconds, "transform"):
        sequences = VisitSequenceTransformer().fit_transform(X)
    if train:
        with timed(seconds, "train"):
            model = LSTMVisitClassifier(max_epochs=1, early_stopping=False, random_state=0)
            model.fit(sequences, y)
    size = 0
    if store is not None:
        size = sum(path.stat().st_size for path in Path(store).iterdir())
    return {"seconds": seconds, "peak": peak_bytes(), "n": len(table), "store": size}


def run_alone(*arguments):
    """What `run` returns in a process of its own."""
    command = [sys.executable, __file__, "run", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def describe(results):
    """Texts for a table: one row per size."""
    rows = {}
    for name, result in results.items():
        seconds = result["seconds"]
        rows[name] = {stage: f"{seconds[stage]:.1f} s" for stage in seconds}
        rows[name]["all"] = f"{sum(seconds.values()):.0f} s"
        rows[name]["events a second"] = f"{result['n'] / sum(seconds.values()):,.0f}"
        rows[name]["peak of memory"] = f"{result['peak'] / 2**30:.2f} GiB"
        rows[name]["store"] = f"{result['store'] / 2**30:.2f} GiB"
    return pd.DataFrame(rows).T.rename_axis("events")


def main(sizes=SIZES, in_memory=IN_MEMORY, save=True):
    report = Report("scaling")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for n_events in sizes:
            events, store = folder / f"{n_events}", folder / f"{n_events}.store"
            events.mkdir()
            write_events(events, n_events)
            if n_events == in_memory:
                results["in memory"] = run_alone(events)
            results[n_events] = run_alone(events, store)
    report.add_table(
        "Each size in a process of its own",
        describe({k if k == "in memory" else f"{k:.0e}": r for k, r in results.items()}),
    )
    memory = results.pop("in memory")
    first, *_, last = results.values()
    for stage in (*STAGES, "all"):
        add_growth(report, stage, first, last)
    add_rates(report, last, memory)
    report.add(
        "peak of memory at the largest size (GiB, bar: 3)",
        f"{last['peak'] / 2**30:.2f} GiB",
        "3 GiB",
        last["peak"] / 2**30 / 3,
        "< 1",
    )
    report.publish(save=save)
    return report


def seconds_of(result, stage):
    seconds = result["seconds"]
    return sum(seconds.values()) if stage == "all" else seconds[stage]


def add_growth(report, stage, first, last):
    """Row of the exponent with which the time of a stage grows."""
    times = seconds_of(first, stage), seconds_of(last, stage)
    report.add(
        f"{stage}: exponent of time from {first['n']:.0e} to {last['n']:.0e} events",
        f"{times[1]:.1f} s",
        f"{times[0]:.2f} s",
        np.log(times[1] / times[0]) / np.log(last["n"] / first["n"]),
        "<= 1.1" if stage == "all" else None,
    )


def add_rates(report, last, memory):
    """Rows of events a second at the largest size, against those in memory."""
    for stage in (*STAGES, "all"):
        rates = [result["n"] / seconds_of(result, stage) for result in (last, memory)]
        report.add(
            f"{stage}: events a second at {last['n']:.0e}, and in memory at {memory['n']:.0e}",
            f"{rates[0]:,.0f}",
            f"{rates[1]:,.0f}",
            rates[0] / rates[1],
            ">= 0.5" if stage == "all" else None,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        print(json.dumps(run(*sys.argv[2:])))
    else:
        main(*([tuple(int(float(size)) for size in sys.argv[1:])] if sys.argv[1:] else []))
