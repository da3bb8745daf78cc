"""Probabilities as of the end of each visit."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..nn import VisitLSTM
from ..utils import split_by_sample, warn_user
from ..visits import TruncatedHistories, has_overlaps, leading_columns, with_earlier, with_outputs
from ._forward import forward_in_batches
from ._inputs import as_sequences, batches_by_length, refuse_features


class RiskByVisitMixin:
    """Mixin of an estimator with a `LabelCoding`, for predictions as of each visit."""

    def predict_proba_by_visit(self, X, as_frame=False):
        """Return the probability of each class, or of each label, as of the end of each visit.

        Equals `predict_proba` for a cohort cut at the end of each visit, when all events of the
        visit were known, even if `max_visits` of a transformer truncates histories. Under a
        lookback, each history begins where it does in `X`. With `time_gaps`, the last row is as of
        the end of its visit too, when no time has passed.

        Visits overlap if some events of a visit were known by the end of the previous one. What was
        known at that time is then not a whole number of visits, so all probabilities of the sample
        are NaN.

        Parameters
        ----------
        X : VisitSequences or array-like of shape (n_samples, n_visits, n_codes)
        as_frame : bool, default=False
            Whether to return a DataFrame.

        Returns
        -------
        ndarray of shape (n_samples,), object
            For each sample an array of shape (n_visits, n_classes) or (n_visits, n_labels), with a
            row for each visit in `X`, the static one included.
        DataFrame
            With `as_frame`, one row for each visit of each sample. Columns: `sample`, its position;
            `patient`, its group, or its position if there are no groups; `visit`, the position
            within the sample; `visit_id`, if there are any; `time` of the last event of the visit,
            if there are times; `output`, the class or label, unless there are two classes; `risk`,
            its probability, or that of the second of two classes.

        Warns
        -----
        UserWarning
            If visits of some samples overlap.

        Raises
        ------
        ValueError
            If the network is bidirectional, or `X` has features.

        Examples
        --------
        >>> from sklearn_ehr import LSTMVisitClassifier
        >>> codes = [[[2, 3], [4, 0]], [[2, 0], [0, 0]]]
        >>> model = LSTMVisitClassifier(max_epochs=1, early_stopping=False).fit(codes, [0, 1])
        >>> model.predict_proba_by_visit(codes, as_frame=True).drop(columns="risk")
           sample  patient  visit
        0       0        0      0
        1       0        0      1
        2       1        1      0
        """
        check_is_fitted(self)
        X = as_sequences(X)
        outputs = self._outputs_by_visit(X)
        if as_frame:
            risks = self._coding.to_risks(outputs)
            return with_outputs(leading_columns(X), self._coding.names_of_outputs, risk=risks)
        return split_by_sample(
            self._coding.to_proba(self._coding.to_logits(outputs)), X.sample_offsets
        )

    def _outputs_by_visit(self, sequences):
        """Logits as of the end of each visit, (n_visits, n_outputs); NaN where visits overlap."""
        refuse_features(sequences, "Predictions as of each visit")
        whole = with_earlier(sequences)
        overlaps = has_overlaps(whole)
        if overlaps.any():
            _warn_of_overlaps(np.count_nonzero(overlaps), len(overlaps))
        n_outputs = self.net_.module_.head.out_features
        outputs = np.full((len(sequences.is_static), n_outputs), np.nan, dtype=np.float32)
        apart = np.flatnonzero(~overlaps)
        if len(apart):
            of_apart = self._outputs_apart(sequences[apart], whole[apart])
            outputs[sequences.visits_of(apart)] = of_apart
        return outputs

    def _outputs_apart(self, sequences, whole):
        outputs = self._outputs(sequences, VisitLSTM.forward_by_visit)
        # At the end of these visits max_visits would have kept others.
        histories = TruncatedHistories(sequences, whole)
        for part in batches_by_length(histories.lengths, self.batch_size):
            cut = forward_in_batches(self.net_, histories[part], self.batch_size)
            outputs[histories.visits[part]] = cut
        return outputs


def _warn_of_overlaps(n_overlapping, n_samples):
    warn_user(
        f"{n_overlapping} of {n_samples} sample(s) of X have visits that overlap: some events of a "
        f"visit were known by the time that the previous one ended, so nothing can be predicted as "
        f"of its end. Their probabilities are NaN. Group events with VisitSequenceTransformer("
        f"visits='time'), 'day' or a gap. If facts are recorded late (known_time), choose a gap "
        f"that is long enough for them."
    )
