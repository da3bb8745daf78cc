"""How fast do events become sequences, against polars and pandas?

The events are those of 50,000 simulated patients, about 5.6 million, their rows shuffled. Run with
``make bench-transform``.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from _report import Report, medians_in_turn, peak_extra_bytes
from sklearn.feature_extraction.text import CountVectorizer

from sklearn_ehr import CodeCountVectorizer, Cohort, VisitSequenceTransformer
from sklearn_ehr.datasets import make_visits

N_CODES = 10_000


def make_events(n_patients):
    """Long frame of shuffled events as read from a file: codes are text, times microseconds."""
    X, _ = make_visits(n_patients, n_codes=N_CODES, random_state=0)
    events = X.visible_events().drop(columns="sample")
    events = events.assign(time=events["time"].dt.as_unit("us"), code=events["code"].astype("str"))
    return events.sample(frac=1, random_state=0, ignore_index=True)


def as_polars(events):
    """The same frame in polars."""
    return pl.from_pandas(events)


def with_sklearn_ehr(events):
    return VisitSequenceTransformer().fit_transform(Cohort(events))


def with_polars(frame):
    """Codes as integers, in the order of time, in one list a visit."""
    return (
        frame.with_columns(pl.col("code").cast(pl.Categorical).to_physical())
        .sort("patient_id", "time")
        .group_by("patient_id", "visit_id", maintain_order=True)
        .agg("code")
    )


def with_polars_texts(frame):
    """The same, the codes left as they are."""
    return (
        frame.sort("patient_id", "time")
        .group_by("patient_id", "visit_id", maintain_order=True)
        .agg("code")
    )


def with_pandas(events):
    ordered = events.sort_values(["patient_id", "time"], kind="stable")
    return ordered.groupby(["patient_id", "visit_id"], sort=False)["code"].apply(list)


WAYS = {
    "ours": (lambda events: events, with_sklearn_ehr),
    "ours, of polars": (as_polars, with_sklearn_ehr),
    "polars": (as_polars, with_polars),
    "polars, texts": (as_polars, with_polars_texts),
}


def run_alone(what, path, n_rounds):
    """A number measured in a process of its own, as libraries in one process disturb each other."""
    command = [sys.executable, __file__, "--alone", what, str(path), str(n_rounds)]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def measure_alone(what, path, n_rounds):
    """What `run_alone` runs: extra bytes at the peak for "memory", else seconds of a way."""
    events = pd.read_parquet(path)
    if what == "memory":
        # What the libraries take for themselves is taken now, what reading left is given back.
        with_sklearn_ehr(events.head(100_000))
        pa.default_memory_pool().release_unused()
        return peak_extra_bytes(lambda: with_sklearn_ehr(events))
    prepare, way = WAYS[what]
    table = prepare(events)
    return medians_in_turn({what: lambda: way(table)}, n_rounds=n_rounds)[what]


def compare_frames(report, events, path, n_rounds, n_processes):
    turns = [{what: run_alone(what, path, n_rounds) for what in WAYS} for _ in range(n_processes)]
    seconds = {what: np.median([turn[what] for turn in turns]) for what in WAYS}
    seconds |= medians_in_turn({"pandas": lambda: with_pandas(events)}, n_rounds=1, n_warm_up=0)
    ours = seconds["ours"]
    for name, bar in {"polars": ">= 2", "polars, texts": ">= 2", "pandas": ">= 20"}.items():
        theirs = seconds[name]
        report.add(
            f"Cohort and sequences, against {name}",
            f"{ours:.2f} s",
            f"{theirs:.2f} s",
            theirs / ours,
            bar,
        )
    report.add(
        "events in polars, against events in pandas",
        f"{seconds['ours, of polars']:.2f} s",
        f"{ours:.2f} s",
        seconds["ours, of polars"] / ours,
        "<= 1",
    )
    in_order = events.sort_values(["patient_id", "time", "code"], ignore_index=True)
    seconds = medians_in_turn(
        {
            "sorted": lambda: with_sklearn_ehr(in_order),
            "shuffled": lambda: with_sklearn_ehr(events),
        },
        n_rounds=n_rounds,
        settle=True,
    )
    report.add(
        "events already in order, against shuffled ones",
        f"{seconds['sorted']:.2f} s",
        f"{seconds['shuffled']:.2f} s",
        seconds["sorted"] / seconds["shuffled"],
        "< 1",
    )


def measure_memory(report, events, path):
    size = sum(events[name].to_numpy().nbytes for name in ("patient_id", "visit_id", "time"))
    # As an integer column the codes take as much as any other.
    size += 8 * len(events)
    extra = run_alone("memory", path, 1)
    report.add(
        "peak extra memory, against the integer columns",
        f"{extra / 2**20:.0f} MiB",
        f"{size / 2**20:.0f} MiB",
        extra / size,
        "<= 6",
    )


def measure_subset(report, events, n_rounds):
    cohort = Cohort(events)
    kept = np.sort(np.random.default_rng(0).permutation(len(cohort))[: int(0.8 * len(cohort))])
    seconds = medians_in_turn({"subset": lambda: cohort[kept]}, n_rounds=n_rounds)["subset"]
    report.add(
        "subset of 80 % of the samples, ms against 10 ms",
        f"{1000 * seconds:.1f} ms",
        "10 ms",
        seconds / 0.01,
        "<= 1",
    )


def compare_counts(report, events, n_rounds):
    cohort = Cohort(events)
    documents = cohort.visible_events().groupby("sample")["code"].apply(list).tolist()
    seconds = medians_in_turn(
        {
            "ours": lambda: CodeCountVectorizer(deduplicate=False).fit_transform(cohort),
            "CountVectorizer": lambda: CountVectorizer(analyzer=list, min_df=10).fit_transform(
                documents
            ),
        },
        n_rounds=n_rounds,
        settle=True,
    )
    report.add(
        "CodeCountVectorizer, against CountVectorizer",
        f"{seconds['ours']:.2f} s",
        f"{seconds['CountVectorizer']:.2f} s",
        seconds["CountVectorizer"] / seconds["ours"],
        ">= 5",
    )


def measure_growth(report, n_patients, n_rounds):
    """Exponent of time against the number of events, from the slope on logarithmic scales."""
    events = make_events(max(n_patients))
    sizes, seconds = [], []
    for n in n_patients:
        part = events[events["patient_id"] < n].reset_index(drop=True)
        times = medians_in_turn(
            {"ours": lambda part=part: with_sklearn_ehr(part)}, n_rounds=n_rounds
        )
        sizes.append(len(part))
        seconds.append(times["ours"])
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    report.add(
        f"time from {sizes[0] / 1e6:.1f} to {sizes[-1] / 1e6:.1f} million events, its exponent",
        f"{seconds[-1]:.2f} s",
        f"{seconds[0]:.2f} s",
        exponent,
        "<= 1.1",
    )


def main(
    n_patients=50_000,
    growth=(4_500, 9_000, 18_000, 45_000, 90_000, 180_000),
    n_rounds=9,
    n_processes=3,
):
    report = Report("transform")
    start = time.perf_counter()
    events = make_events(n_patients)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        events.to_parquet(path)
        compare_frames(report, events, path, n_rounds, n_processes)
        measure_memory(report, events, path)
    measure_subset(report, events, n_rounds)
    compare_counts(report, events, n_rounds)
    del events
    measure_growth(report, growth, n_rounds)
    report.publish(save=n_patients == 50_000)
    print(f"measured in {time.perf_counter() - start:.0f} s")
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alone", nargs=3, metavar=("WHAT", "PATH", "N_ROUNDS"))
    if alone := parser.parse_args().alone:
        what, path, n_rounds = alone
        print(measure_alone(what, path, int(n_rounds)))
    else:
        main()
