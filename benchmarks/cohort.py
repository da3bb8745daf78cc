"""What does a cohort cost, and does it depend on what its events look like?

20,000 samples over 100,000 events, with and without an event of which only the date is known, and
with known times; then a second cohort over 5.6 million events that are laid out already. Run with
``make bench-cohort``.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from _report import Report, medians_in_turn, peak_extra_bytes

from sklearn_ehr import Cohort, EventTable
from sklearn_ehr.datasets import make_visits

N_PATIENTS, N_EVENTS, N_SAMPLES = 100, 1000, 200


def make_frames():
    """Events at odd seconds, never at a midnight, and many predictions of each patient."""
    rng = np.random.default_rng(0)
    shape = N_PATIENTS, N_EVENTS
    seconds = 2 * np.sort(rng.integers(0, 365 * 43_200, shape), axis=1).ravel() + 1
    events = pd.DataFrame(
        {
            "patient_id": np.repeat(np.arange(N_PATIENTS), N_EVENTS),
            "time": pd.to_datetime(seconds, unit="s"),
            "code": rng.integers(0, 200, len(seconds)).astype(str),
        }
    )
    minutes = pd.to_timedelta(np.tile(np.arange(N_SAMPLES), N_PATIENTS), unit="min")
    samples = pd.DataFrame(
        {
            "patient_id": np.repeat(np.arange(N_PATIENTS), N_SAMPLES),
            "prediction_time": pd.Timestamp("1970-12-01 08:00") + minutes,
        }
    )
    dated = events.copy()
    dated.loc[0, "time"] = dated.loc[0, "time"].normalize()
    return {
        "no midnight": (events, samples),
        "one midnight": (dated, samples),
        "known times": (events.assign(known_time=events["time"]), samples),
    }


def build(events, samples):
    return repr(Cohort(events, samples))


def measure_alone(name):
    """What `peak_of` runs: extra bytes at the peak of one kind of events."""
    frames = make_frames()[name]
    build(frames[0].head(1000), frames[1].head(1))
    return peak_extra_bytes(lambda: build(*frames))


def peak_of(name):
    """Extra bytes at the peak, in a process of its own."""
    command = [sys.executable, __file__, "--alone", name]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def compare_kinds(report, n_rounds, n_processes):
    frames = make_frames()
    ways = {name: lambda pair=pair: build(*pair) for name, pair in frames.items()}
    seconds = medians_in_turn(ways, n_rounds=n_rounds)
    peaks = {name: np.median([peak_of(name) for _ in range(n_processes)]) for name in frames}
    plain = "no midnight"
    for name, bars in {"one midnight": ("<= 1.5", "<= 1.2"), "known times": ("<= 4", None)}.items():
        report.add(
            f"time of 20,000 samples, {name} against none",
            f"{1000 * seconds[name]:.0f} ms",
            f"{1000 * seconds[plain]:.0f} ms",
            seconds[name] / seconds[plain],
            bars[0],
        )
        report.add(
            f"peak extra memory, {name} against none",
            f"{peaks[name] / 2**20:.0f} MiB",
            f"{peaks[plain] / 2**20:.0f} MiB",
            peaks[name] / peaks[plain],
            bars[1],
        )


def compare_cohorts(report, n_patients, n_rounds):
    X, _ = make_visits(n_patients, n_codes=10_000, random_state=0)
    events = X.visible_events().drop(columns="sample")
    events = events.assign(code=events["code"].astype("str"))
    events = events.sample(frac=1, random_state=0, ignore_index=True)
    samples = X.samples
    table = EventTable(events)
    seconds = medians_in_turn(
        {
            "first": lambda: Cohort(EventTable(events), samples),
            "second": lambda: Cohort(table, samples, lookback="365D"),
        },
        n_rounds=n_rounds,
    )
    report.add(
        f"second cohort over {len(events) / 1e6:.1f} million events, against the first",
        f"{1000 * seconds['second']:.0f} ms",
        f"{1000 * seconds['first']:.0f} ms",
        seconds["second"] / seconds["first"],
        "<= 0.05",
    )


def main(n_patients=50_000, n_rounds=9, n_processes=5):
    report = Report("cohort")
    start = time.perf_counter()
    compare_kinds(report, n_rounds, n_processes)
    compare_cohorts(report, n_patients, n_rounds)
    report.publish(save=n_patients == 50_000)
    print(f"measured in {time.perf_counter() - start:.0f} s")
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alone", metavar="NAME")
    if alone := parser.parse_args().alone:
        print(measure_alone(alone))
    else:
        main()
