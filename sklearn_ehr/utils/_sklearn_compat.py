"""Interfaces of scikit-learn that are private, or that not every supported version has."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

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
    "EstimatorReprMixin",
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


class EstimatorReprMixin:
    """What the HTML of an estimator, which scikit-learn makes, links to and lists of its fit.

    Before scikit-learn 1.9, it lists nothing of the fit.
    """

    _doc_link_module = "sklearn_ehr"

    @property
    def _doc_link_template(self):
        return reference_page()

    def _fitted_texts(self):
        """Texts shown in place of fitted attributes, None for one that is left out."""
        return {}

    def _get_fitted_attr_html(self, doc_link=""):
        shown = super()._get_fitted_attr_html(doc_link)
        for name, text in self._fitted_texts().items():
            shown[name]["value"] = None if text is None else _Text(text)
        for name in [name for name, facts in shown.items() if facts["value"] is None]:
            del shown[name]
        return shown


@cache
def reference_page():
    """Template of the address of a class in the documentation, as scikit-learn fills it in.

    It is empty, so that there are no links, unless the metadata of this package say where its
    documentation is.
    """
    try:
        urls = metadata("sklearn_ehr").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    for url in urls:
        label, _, address = url.partition(", ")
        if label == "Documentation":
            return f"{address.rstrip('/')}/reference/generated/sklearn_ehr.{{estimator_name}}.html"
    return ""


class _Text:
    """A text whose `repr` has no quotes."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


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
