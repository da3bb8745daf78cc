"""What do checkpoints cost a fit, and how large is a saved model?

The classifier with its defaults, fitted to the bundled data with and without checkpoints, in turn;
and the fitted pipeline saved by skops and by joblib, against the bytes of the network's weights and
of what its optimizer keeps of them. Run with ``make bench-saving``.
"""

import io
import tempfile
from itertools import count
from pathlib import Path

import joblib
import skops.io
from _report import Report, seconds_in_turn
from sklearn.pipeline import make_pipeline

from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
from sklearn_ehr.datasets import load_diabetes_readmission


def fits(X, y, folder, **params):
    """Two functions that fit the same model, the first with checkpoints in a new directory."""
    sequences = VisitSequenceTransformer().fit_transform(X)
    numbers = count()

    def fit(checkpoint=None):
        model = LSTMVisitClassifier(random_state=0, checkpoint=checkpoint, **params)
        return model.fit(sequences, y)

    return {"with": lambda: fit(folder / str(next(numbers))), "without": fit}


def add_sizes(report, X, y, **params):
    """Rows of the sizes of a fitted pipeline on the disk."""
    model = make_pipeline(
        VisitSequenceTransformer(), LSTMVisitClassifier(random_state=0, **params)
    ).fit(X, y)
    net = model[-1].net_
    # Two moments of each weight beside it, with which `partial_fit` goes on.
    n_bytes = 3 * sum(weight.nbytes for weight in net.module_.state_dict().values())
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    sizes = {"joblib": buffer.getbuffer().nbytes, "skops": len(skops.io.dumps(model))}
    for name, size in sizes.items():
        report.add(
            f"pipeline saved by {name}, and weights with their moments",
            f"{size / 2**20:.2f} MiB",
            f"{n_bytes / 2**20:.2f} MiB",
            size / n_bytes,
        )


def main(n_samples=None, n_rounds=5, **params):
    report = Report("saving")
    X, y = load_diabetes_readmission(return_X_y=True)
    X, y = X[:n_samples], y.to_numpy()[:n_samples]
    with tempfile.TemporaryDirectory() as folder:
        seconds = seconds_in_turn(fits(X, y, Path(folder), **params), n_rounds=n_rounds)
        ratios = sorted(seconds["with"] / seconds["without"])
        report.add(
            "fit with checkpoints, and without (median of ratios)",
            f"{sorted(seconds['with'])[n_rounds // 2]:.1f} s",
            f"{sorted(seconds['without'])[n_rounds // 2]:.1f} s",
            ratios[n_rounds // 2],
            "<= 1.05",
        )
    add_sizes(report, X, y, **params)
    report.publish(save=n_samples is None)
    return report


if __name__ == "__main__":
    main()
