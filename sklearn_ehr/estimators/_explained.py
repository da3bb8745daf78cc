"""Outputs of classifiers and regressors, and what they read, as explanations need them."""

import numpy as np
import torch

from ..nn import VisitLSTM
from ..visits import without_visits
from ._classifier import LSTMVisitClassifier
from ._device import plain_torch
from ._inputs import as_batch, known_tokens
from ._regressor import LSTMVisitRegressor


def is_explainable(estimator):
    """Whether an estimator has one number per sample and output that explanations add up to."""
    return isinstance(estimator, LSTMVisitClassifier | LSTMVisitRegressor)


def names_of_outputs(estimator):
    """Classes, labels or positions of several outputs, ndarray (n_outputs,); None for one."""
    return estimator._outcome.names_of_outputs


def outputs_of(estimator, sequences, entry=VisitLSTM.forward):
    """`decision_function` of a classifier, or `predict` of a regressor, (n_samples, n_outputs)."""
    return estimator._outcome.to_outputs(estimator._outputs(sequences, entry))


def outputs_in_order(estimator, sequences):
    """Outputs before the first visit is read, and after each one, in the order of visits.

    The last visit of a sample has the outputs of `outputs_of`.

    Returns
    -------
    base : ndarray of shape (n_samples, n_outputs)
    after : ndarray of shape (n_visits, n_outputs)
    """
    after = outputs_of(estimator, sequences, VisitLSTM.forward_in_order)
    return outputs_of(estimator, without_visits(sequences)), after


def risks_of(estimator, outputs):
    """Probability of what each output of a classifier stands for, (n, n_outputs)."""
    return estimator._outcome.to_risks(outputs)


def weights_of_codes(estimator, sequences):
    """Weight of each token within its visit, under ``aggregation="attention"``, (n_tokens,)."""
    estimator._refuse_other_input(sequences)
    module, device = estimator.net_.module_, estimator.net_.device
    known = known_tokens(sequences, module.embedding.num_embeddings)
    with plain_torch(device), torch.inference_mode():
        batch = as_batch(known).to(device)
        table = module.embedding.weight
        weights = module.encoder.attention_weights(table, batch.tokens, batch.visit_offsets)
    return weights.cpu().numpy().astype(np.float64)
