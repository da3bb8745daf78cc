"""How a benchmark tells what it measured: a table, JSON, and README.md beside this file."""

import json
import operator
import os
import platform
import sys
import threading
import time
from pathlib import Path

import numpy as np

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results"
_TABLES = "# The last tables"
_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


class Report:
    """Rows of measurements, each a ratio held against a bar.

    Parameters
    ----------
    name : str
        Of the benchmark; the JSON file is called after it.
    """

    def __init__(self, name):
        self.name = name
        self.rows = []
        self.tables = []

    def add(self, what, ours, theirs, ratio, bar=None):
        """Add a row; `ours` and `theirs` are texts with their units, `bar` is like ``">= 5"``."""
        holds = None
        if bar is not None:
            comparison, limit = bar.split()
            holds = bool(_COMPARE[comparison](ratio, float(limit)))
        row = {"what": what, "ours": ours, "theirs": theirs, "ratio": float(ratio), "bar": bar}
        self.rows.append(row | {"holds": holds})
        print(f"  {what}: {ours} against {theirs}, ratio {ratio:.3g}", file=sys.stderr, flush=True)

    def add_table(self, title, frame):
        """Add a frame of texts to stand before the rows, which the index is the first column of."""
        columns = [frame.index.name, *frame]
        cells = [[str(name), *row] for name, row in zip(frame.index, frame.to_numpy(), strict=True)]
        self.tables.append({"title": title, "cells": [columns, *cells]})

    def publish(self, *, save=True):
        """Print the tables, and write them as JSON with the machine they were measured on."""
        result = {
            "benchmark": self.name,
            "machine": machine(),
            "tables": self.tables,
            "rows": self.rows,
        }
        print(_as_text(result))
        if save:
            _RESULTS.mkdir(exist_ok=True)
            path = _RESULTS / f"{self.name}.json"
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            _write_readme()


def _as_text(result):
    """Tables of a result, one after the other."""
    tables = (f"{t['title']}:\n\n{_as_table(t['cells'])}" for t in result.get("tables", []))
    return "\n\n".join([*tables, _as_table(_cells_of_rows(result["rows"]))])


def _cells_of_rows(rows):
    lines = [["what", "ours", "theirs", "ratio", "bar", "holds"]]
    for row in rows:
        holds = {True: "yes", False: "NO", None: ""}[row["holds"]]
        cells = [row["what"], row["ours"], row["theirs"], f"{row['ratio']:.3g}"]
        lines.append([*cells, row["bar"] or "", holds])
    return lines


def _as_table(lines):
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = lines
    lines = [head, ["-" * width for width in widths], *body]
    padded = ([cell.ljust(n) for cell, n in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def _write_readme():
    """Put the last table of each benchmark under what README.md says before them."""
    path = _HERE / "README.md"
    introduction = path.read_text(encoding="utf-8").split(_TABLES)[0]
    files = sorted(_RESULTS.glob("*.json"))
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    sections = [introduction + _TABLES, _summary(results)]
    for result in results:
        on = ", ".join(f"{name} {version}" for name, version in result["machine"].items())
        sections.append(f"## {result['benchmark']}\n\n{_as_text(result)}\n\nOn: {on}.")
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _summary(results):
    held = [row["holds"] for result in results for row in result["rows"] if row["bar"]]
    missed = [
        f"{result['benchmark']}: {row['what']}: {row['ratio']:.3g} (bar {row['bar']})"
        for result in results
        for row in result["rows"]
        if row["holds"] is False
    ]
    text = f"{sum(held)} of {len(held)} bars hold."
    return "\n".join([text + " Not held:\n", *(f"* {line}" for line in missed)]) if missed else text


def machine():
    """What the figures depend on."""
    import sklearn
    import torch

    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "torch": torch.__version__,
    }


def seconds_in_turn(functions, *, n_rounds, n_warm_up=1, settle=False):
    """Seconds of each function's calls, the functions called in turn so that noise falls on all.

    Parameters
    ----------
    functions : dict of str to callable
    settle : bool, default=False
        Call each once more before it is timed, so that none starts with the memory and caches that
        another has left.

    Returns
    -------
    dict of str to ndarray of shape (n_rounds,)
    """
    seconds = {name: [] for name in functions}
    for i in range(n_warm_up + n_rounds):
        for name, function in functions.items():
            if settle:
                function()
            start = time.perf_counter()
            function()
            if i >= n_warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def medians_in_turn(functions, **options):
    """Median seconds of each function; options are those of `seconds_in_turn`."""
    seconds = seconds_in_turn(functions, **options)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def peak_extra_bytes(function):
    """How far a call raises the memory in use of this process above what it was before.

    Looks every millisecond, so it may miss what lasts less; Linux only.
    """
    before = peak = _resident_bytes()
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, _resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        function()
    finally:
        done.set()
        watcher.join()
    return max(peak, _resident_bytes()) - before


def peak_bytes():
    """Highest memory in use of this process so far, Linux only.

    What `resource.getrusage` tells starts at the memory of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def _resident_bytes():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processor():
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()
