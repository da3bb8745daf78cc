"""Predictions for sequences of which few samples have changed."""

from functools import partial, update_wrapper

_METHODS = (
    "predict",
    "predict_proba",
    "decision_function",
    "predict_survival_function",
    "predict_cumulative_hazard_function",
)


class KnownPredictions:
    """Predictions of an estimator for sequences, each kind computed when it is first needed."""

    def __init__(self, estimator, sequences):
        self._estimator = estimator
        self._sequences = sequences
        self._known = {}

    def estimator_for(self, other, changed):
        """Copy of the estimator that predicts `other`, of which it reads the changed samples alone.

        `other` are the sequences with some samples changed, at the ascending positions `changed`. A
        scorer that asks for other predictions gets those of the estimator itself.
        """
        kind = type(self._estimator)
        copied = object.__new__(kind)
        vars(copied).update(vars(self._estimator))
        for method in filter(partial(hasattr, kind), _METHODS):
            predict = partial(self._predict, method, other, changed)
            # Scorers ask a method for its name.
            vars(copied)[method] = update_wrapper(predict, getattr(kind, method))
        return copied

    def _predict(self, method, other, changed, X, *args, **options):
        predict = getattr(self._estimator, method)
        if X is not other or args or options:
            return predict(X, *args, **options)
        if method not in self._known:
            self._known[method] = predict(self._sequences)
        predicted = self._known[method].copy()
        if len(changed):
            predicted[changed] = predict(other[changed])
        return predicted
