"""How fast are training and prediction, against padding and against the bare LSTM?

The workload is 3,000 simulated patients with 10,000 codes; embedding 128, hidden 256, two layers,
batches of 64. Run with ``make bench-train``.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import torch
from _report import Report, medians_in_turn, peak_bytes, seconds_in_turn
from torch import nn

from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.estimators._inputs import as_batch
from sklearn_ehr.nn import LengthBucketSampler, VisitLSTM

N_PATIENTS, N_CODES = 3_000, 10_000
EMBEDDING, HIDDEN, LAYERS, DROPOUT, BATCH = 128, 256, 2, 0.3, 64
PADDED_GIB = 20


def make_sequences(n_patients):
    """Sequences of the reference workload, and outcomes."""
    X, y = make_visits(n_patients, n_codes=N_CODES, random_state=0)
    sequences = VisitSequenceTransformer(deduplicate=False).fit_transform(X)
    return sequences, y.to_numpy()


class Steps:
    """Training steps of one way to feed a network, batch after batch, without end.

    Parameters
    ----------
    module : nn.Module
    batches : callable
        Returns an iterable of the arguments of `module` and the targets, for one pass.
    """

    def __init__(self, module, batches):
        self.module = module.train()
        self.optimizer = torch.optim.AdamW(module.parameters(), fused=True, weight_decay=0.0)
        self.batches = batches
        self._left = iter(())

    def __call__(self):
        """Train on the next batch, making it included."""
        batch = next(self._left, None)
        if batch is None:
            self._left = iter(self.batches())
            batch = next(self._left)
        *inputs, target = batch
        self.optimizer.zero_grad()
        logits = self.module(*inputs).squeeze(-1)
        nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        self.optimizer.step()


def make_network(sequences, aggregation):
    return VisitLSTM(
        sequences.vocabulary.size, EMBEDDING, HIDDEN, LAYERS, DROPOUT, aggregation=aggregation
    )


class Padded(nn.Module):
    """The padded reference as a module of its own."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, codes, mask, visit_mask):
        return self.network.forward_padded(codes, mask, visit_mask)


class BareLSTM(nn.Module):
    """A dense LSTM and its head, given visit vectors all of one length."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN, LAYERS, dropout=DROPOUT)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, visits):
        return self.head(self.lstm(visits)[0][-1])


def ragged_batches(sequences, target):
    """Batches as `LSTMVisitClassifier` makes them."""
    for positions in LengthBucketSampler(torch.from_numpy(sequences.lengths), BATCH):
        yield as_batch(sequences[positions.numpy()]), target[positions]


def padded_batches(sequences, target):
    """Shuffled batches, each padded to its own longest history and largest visit."""
    for positions in torch.randperm(len(sequences)).split(BATCH):
        padded = sequences[positions.numpy()].to_padded()
        yield *(torch.from_numpy(array) for array in padded), target[positions]


def dense_batches(sequences, target):
    """Vectors of as many visits as a history has on average."""
    n_visits = round(sequences.lengths.mean())
    for positions in torch.arange(len(sequences)).split(BATCH):
        yield torch.randn(n_visits, len(positions), EMBEDDING), target[positions]


def compare_steps(report, sequences, target, n_steps):
    for aggregation in ("mean", "attention"):
        ours = Steps(
            make_network(sequences, aggregation), lambda: ragged_batches(sequences, target)
        )
        padded = Steps(
            Padded(make_network(sequences, aggregation)),
            lambda: padded_batches(sequences, target),
        )
        bare = Steps(BareLSTM(), lambda: dense_batches(sequences, target))
        measured = seconds_in_turn(
            {"ours": ours, "padded": padded, "bare": bare}, n_rounds=n_steps, n_warm_up=3
        )
        bars = (
            {"padded": ">= 5", "bare": "<= 1.35"} if aggregation == "mean" else {"padded": ">= 10"}
        )
        add_steps(report, f"training step ({aggregation}), median", measured, np.median, bars)
        add_steps(report, f"training step ({aggregation}), mean", measured, np.mean, {})


def add_steps(report, what, measured, statistic, bars):
    seconds = {name: statistic(values) for name, values in measured.items()}
    ms = {name: f"{1000 * value:.1f} ms" for name, value in seconds.items()}
    ratio = seconds["padded"] / seconds["ours"]
    report.add(f"{what}, against padded", ms["ours"], ms["padded"], ratio, bars.get("padded"))
    ratio = seconds["ours"] / seconds["bare"]
    what = f"{what}, over a bare dense LSTM"
    report.add(what, ms["ours"], ms["bare"], ratio, bars.get("bare"))


def make_classifier(**parameters):
    return LSTMVisitClassifier(
        embedding_dim=EMBEDDING,
        hidden_dim=HIDDEN,
        num_layers=LAYERS,
        mlp_dim=0,
        dropout=DROPOUT,
        batch_size=BATCH,
        early_stopping=False,
        random_state=0,
        **parameters,
    )


def compare_epochs(report, sequences, y, target, n_epochs):
    """An epoch of `fit` against a bare loop over the same batches."""
    loop = Steps(make_network(sequences, "mean"), lambda: ragged_batches(sequences, target))
    n_batches = -(-len(sequences) // BATCH)
    classifier = make_classifier()

    def fit():
        classifier.partial_fit(sequences, y, classes=[0, 1])

    def run_loop():
        for _ in range(n_batches):
            loop()

    seconds = medians_in_turn({"ours": fit, "loop": run_loop}, n_rounds=n_epochs)
    report.add(
        "epoch of fit, over the same steps in a bare loop",
        f"{seconds['ours']:.2f} s",
        f"{seconds['loop']:.2f} s",
        seconds["ours"] / seconds["loop"],
        "<= 1.15",
    )


def compare_prediction(report, sequences, y, n_rounds):
    classifier = make_classifier(max_epochs=1).fit(sequences, y)
    network = classifier.net_.module_

    def predict_padded():
        with torch.inference_mode():
            for start in range(0, len(sequences), BATCH):
                padded = sequences[start : start + BATCH].to_padded()
                network.forward_padded(*(torch.from_numpy(array) for array in padded))

    seconds = medians_in_turn(
        {"ours": lambda: classifier.predict_proba(sequences), "padded": predict_padded},
        n_rounds=n_rounds,
    )
    rate = {name: f"{len(sequences) / value:.0f}/s" for name, value in seconds.items()}
    report.add(
        "samples predicted a second, against padded",
        rate["ours"],
        rate["padded"],
        seconds["padded"] / seconds["ours"],
        ">= 8",
    )


def measure_memory(report, padded_gib):
    """Peak memory of a process that does nothing but load sequences and fit."""
    # Each sample adds its share of padded int64 codes; a small cohort tells the widest sample.
    sequences, y = make_sequences(N_PATIENTS)
    padded_bytes = 8 * sequences.lengths.max() * np.diff(sequences.visit_offsets).max()
    copies = int(np.ceil(padded_gib * 2**30 / padded_bytes / len(sequences)))
    many = np.tile(np.arange(len(sequences)), copies)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sequences.joblib"
        joblib.dump((sequences[many], y[many]), path)
        command = [sys.executable, __file__, "--fit", str(path)]
        peak = int(subprocess.run(command, check=True, capture_output=True).stdout)
    padded_gib = len(many) * padded_bytes / 2**30
    report.add(
        f"peak memory of fit, {len(many):,} samples, against 1.5 GiB",
        f"{peak / 2**30:.2f} GiB",
        f"{padded_gib:.1f} GiB padded",
        peak / 2**30 / 1.5,
        "<= 1",
    )


def fit_and_tell_peak(path):
    sequences, y = joblib.load(path)
    LSTMVisitClassifier(max_epochs=1, random_state=0).fit(sequences, y)
    print(peak_bytes())


def main(n_patients=N_PATIENTS, n_steps=94, n_rounds=5, padded_gib=PADDED_GIB):
    report = Report("train")
    start = time.perf_counter()
    sequences, y = make_sequences(n_patients)
    target = torch.from_numpy(y.astype(np.float32))
    compare_steps(report, sequences, target, n_steps)
    compare_epochs(report, sequences, y, target, n_rounds)
    compare_prediction(report, sequences, y, n_rounds)
    measure_memory(report, padded_gib)
    report.publish(save=n_patients == N_PATIENTS)
    print(f"measured in {time.perf_counter() - start:.0f} s")
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", metavar="PATH", help="fit these sequences, print the peak memory")
    path = parser.parse_args().fit
    main() if path is None else fit_and_tell_peak(path)
