"""Predicted risks on the scale of log-odds."""

import numpy as np
from scipy.special import logit

# Risks of exactly 0 or 1 have no finite log-odds.
_SMALLEST_RISK = 1e-6


def log_odds_of(risk):
    """Log-odds of risks, of which those below 1e-6 or above 1 - 1e-6 are read as these."""
    return logit(np.clip(risk, _SMALLEST_RISK, 1 - _SMALLEST_RISK))
