"""How long does it take to explain the predictions of 1,000 patients?

The classifier with its defaults, fitted for a few epochs, on the bundled data (few visits a
patient) and on simulated histories (11 visits in the mean, up to 200). Each explanation is held
against 5 seconds, and occlusion also against a loop that drops one code at a time. Occlusion uses
all cores, all else one thread. Run with ``make bench-inspection``.
"""

import numpy as np
from _report import Report, medians_in_turn

from sklearn_ehr import LSTMVisitClassifier, VisitSequences, VisitSequenceTransformer
from sklearn_ehr.datasets import load_diabetes_readmission, make_visits
from sklearn_ehr.inspection import code_contributions, visit_contributions

_LIMIT = 5.0


def fitted(X, y, n_explained, **params):
    """A fitted model, and the sequences of the patients to explain."""
    sequences = VisitSequenceTransformer().fit_transform(X)
    model = LSTMVisitClassifier(random_state=0, early_stopping=False, **params).fit(sequences, y)
    return model, sequences[:n_explained]


def contributions_in_a_loop(model, sequences):
    """Occlusion of one code after the other, as it is written by hand."""
    whole = model.decision_function(sequences)
    contributions = []
    for i in range(len(sequences)):
        one = sequences[i]
        for j in range(len(one.tokens)):
            reduced = VisitSequences(
                np.delete(one.tokens, j),
                one.visit_offsets - (one.visit_offsets > j),
                one.sample_offsets,
                vocabulary=one.vocabulary,
            )
            contributions.append(whole[i] - model.decision_function(reduced)[0])
    return np.array(contributions)


def explanations(model, sequences):
    """A function for each way to explain the predictions."""
    return {
        "visit_contributions": lambda: visit_contributions(model, sequences),
        "occlusion": lambda: code_contributions(model, sequences),
        "integrated gradients": lambda: code_contributions(
            model, sequences, "integrated_gradients"
        ),
    }


def add_rows(report, name, model, sequences, *, n_in_loop, n_rounds, bar):
    """Rows of the seconds of each explanation, and of a loop over codes."""
    seconds = medians_in_turn(explanations(model, sequences), n_rounds=n_rounds)
    n_codes = len(sequences.tokens)
    for what, median in seconds.items():
        report.add(
            f"{what}, {name}: {len(sequences):,} patients, {n_codes:,} codes (median)",
            f"{median:.2f} s",
            f"{_LIMIT:g} s",
            median / _LIMIT,
            bar,
        )
    few = sequences[:n_in_loop]
    ways = {
        "at once": lambda: code_contributions(model, few),
        "loop": lambda: contributions_in_a_loop(model, few),
    }
    seconds = medians_in_turn(ways, n_rounds=n_rounds)
    report.add(
        f"occlusion, {name}: {len(few)} patients, and a loop over their codes (median)",
        f"{seconds['at once']:.3f} s",
        f"{seconds['loop']:.3f} s",
        seconds["loop"] / seconds["at once"],
        ">= 5",
    )


def main(n_patients=5000, n_explained=1000, n_in_loop=20, n_rounds=5, max_epochs=5, save=True):
    report = Report("inspection")
    options = {"n_in_loop": n_in_loop, "n_rounds": n_rounds}
    X, y = load_diabetes_readmission(return_X_y=True)
    fit = fitted(X[:n_patients], y[:n_patients], n_explained, max_epochs=max_epochs)
    add_rows(report, "bundled data", *fit, bar="<= 1", **options)
    fit = fitted(*make_visits(n_patients, random_state=0), n_explained, max_epochs=max_epochs)
    add_rows(report, "simulated histories", *fit, bar=None, **options)
    report.publish(save=save)
    return report


if __name__ == "__main__":
    main()
