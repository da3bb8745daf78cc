"""Explanations find the codes that the outcome of simulated patients depends on."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logit

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    VisitSequences,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.inspection import code_contributions


@cache
def simulated(n_patients, seed, **params):
    """A model fitted to all but 150 patients, the others' sequences, and the codes that matter."""
    X, y = make_visits(n_patients, n_codes=100, random_state=seed)
    transformer = VisitSequenceTransformer(min_frequency=1)
    sequences = transformer.fit_transform(X)
    model = LSTMVisitClassifier(
        embedding_dim=32, hidden_dim=32, early_stopping=False, random_state=seed, **params
    )
    model.fit(sequences[:-150], y[:-150])
    return model, sequences[-150:], codes_that_matter(X)


def codes_that_matter(X):
    """Codes whose numbers of visits the true log-odds are a sum of, on the scale of log1p."""
    vectorizer = CodeCountVectorizer(min_frequency=1)
    counts = np.log1p(vectorizer.fit_transform(X).toarray())
    counts = np.column_stack([counts, np.ones(len(counts))])
    weights, *_ = np.linalg.lstsq(counts, logit(X.samples["risk"]), rcond=None)
    return vectorizer.get_feature_names_out()[np.abs(weights[:-1]) > 1e-6]


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients"])
def test_largest_contributions_are_those_of_the_codes_that_matter(method):
    model, sequences, truth = simulated(3000, 0, lr=0.005, max_epochs=8)
    assert len(truth) == 8
    frame = code_contributions(model, sequences, method)
    size = frame["contribution"].abs()
    largest = size.groupby(frame["code"]).mean().nlargest(8).index
    assert np.isin(largest, truth).mean() >= 7 / 8

    # Of each patient, as many codes as there are that matter.
    of_patient = size.groupby([frame["sample"], frame["code"]]).sum().reset_index()
    of_patient["is_true"] = of_patient["code"].isin(truth)
    found = [
        codes.nlargest(codes["is_true"].sum(), "contribution")["is_true"].mean()
        for _, codes in of_patient.groupby("sample")
        if codes["is_true"].any()
    ]
    assert len(found) > 120
    at_random = of_patient.groupby("sample")["is_true"].mean().mean()
    assert np.mean(found) > 0.5 > 0.2 > at_random


def without_tokens(sequences, positions):
    """Sequences without the tokens at these positions, by a slow look at each visit."""
    ends, removed = sequences.visit_offsets, set(positions)
    visits = [
        [sequences.tokens[i] for i in range(start, stop) if i not in removed]
        for start, stop in pairwise(ends)
    ]
    return VisitSequences(
        np.array([token for visit in visits for token in visit], dtype=np.int32),
        np.cumsum([0, *map(len, visits)]),
        sequences.sample_offsets,
        vocabulary=sequences.vocabulary,
    )


def mean_move(model, sequences, frame, chosen):
    """How far predictions move in the mean if the chosen codes of each patient are removed."""
    pairs = [frame.set_index(["sample", "code"]).index for frame in (frame, chosen)]
    reduced = without_tokens(sequences, np.flatnonzero(pairs[0].isin(pairs[1])))
    return np.abs(model.decision_function(sequences) - model.decision_function(reduced)).mean()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_removing_the_top_codes_moves_predictions_more_than_removing_others(seed):
    model, sequences, _ = simulated(1500, seed, lr=0.005, max_epochs=6)
    for method in ("occlusion", "integrated_gradients"):
        frame = code_contributions(model, sequences, method)
        of_codes = frame.groupby(["sample", "code"], as_index=False)["contribution"].sum()
        top = of_codes.sort_values("contribution", ascending=False).groupby("sample").head(3)
        others = of_codes.sample(frac=1, random_state=seed).groupby("sample").head(3)
        moves = [mean_move(model, sequences, frame, chosen) for chosen in (top, others)]
        assert moves[0] > moves[1]
