"""Interfaces of scikit-learn that are private, or that not every supported version has."""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:
        """Nothing: there are no callbacks to set."""

        def _init_callback_context(self, **kwargs):
            return _NoContext()


class _NoContext:
    """What a callback context does where there are no callbacks."""

    def subcontext(self, **kwargs):
        return self

    def call_on_fit_task_begin(self, **kwargs):
        return self

    def call_on_fit_task_end(self, **kwargs):
        return False


def start_callbacks(estimator, max_subtasks=0):
    """Context of the callbacks of an estimator; `_fit_context`, around its fit, tears it down."""
    return estimator._init_callback_context(max_subtasks=max_subtasks)
