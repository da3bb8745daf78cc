"""Interfaces of scikit-learn that are private, or that not every supported version has."""

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads as effective_n_threads
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    RealNotInt,
    StrOptions,
    validate_params,
)
from sklearn.utils._set_output import _get_output_config as output_config
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "InvalidParameterError",
    "RealNotInt",
    "StrOptions",
    "align_sparse",
    "check_sample_weight",
    "effective_n_threads",
    "fit_context",
    "has_callbacks",
    "output_config",
    "safe_indexing",
    "start_callbacks",
    "validate_params",
]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:
        """Nothing: there are no callbacks to set."""

        def _init_callback_context(self, **kwargs):
            return _NoContext()


try:
    from sklearn.utils._sparse import _align_api_if_sparse as align_sparse
except ImportError:  # scikit-learn < 1.9

    def align_sparse(X):
        """Return a sparse matrix as it is: there is no setting of its interface."""
        return X


class _NoContext:
    """What a callback context does where there are no callbacks."""

    def subcontext(self, **kwargs):
        return self

    def call_on_fit_task_begin(self, **kwargs):
        return self

    def call_on_fit_task_end(self, **kwargs):
        return False


def has_callbacks(estimator):
    """Whether callbacks of scikit-learn watch an estimator."""
    return bool(vars(estimator).get("_skl_callbacks"))


def start_callbacks(estimator, max_subtasks=0):
    """Context of the callbacks of an estimator; `fit_context`, around its fit, tears it down."""
    return estimator._init_callback_context(max_subtasks=max_subtasks)
