"""Labels encoded for training, and decoded from predictions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    column_or_1d,
)

from ...utils import saved_by
from .._net import VisitClassifierNet, VisitMultilabelNet
from ._weights import require_y


@saved_by("classes", "is_multilabel")
@dataclass(frozen=True, eq=False)
class LabelCoding:
    """Classes, or several labels that are each there or not, as a network speaks of them.

    `classes` are ascending; with several labels they are the positions of these.
    """

    classes: np.ndarray
    is_multilabel: bool = False

    # Logits are explained as they are.
    scale, is_log = 1.0, False

    @classmethod
    def of(cls, y):
        """Coding of checked labels."""
        if y.ndim == 2:
            return cls(np.arange(y.shape[1]), is_multilabel=True)
        return cls(np.unique(y))

    @property
    def is_binary(self):
        return not self.is_multilabel and len(self.classes) == 2

    @property
    def names_of_outputs(self):
        """The class or label of each of several outputs; None if there is one, for two classes."""
        return None if self.is_binary else self.classes

    def encode(self, y):
        """Position of each label among the classes (-1 for another); an indicator as it is."""
        return y if self.is_multilabel else pd.Index(self.classes).get_indexer(y)

    def as_target(self, encoded):
        """What the criterion takes."""
        is_float = self.is_multilabel or self.is_binary
        return encoded.astype(np.float32 if is_float else np.int64)

    def to_logits(self, outputs):
        """Log-odds of the second class, of each label, or a logit a class."""
        logits = outputs.astype(np.float64)
        return logits[:, 0] if self.is_binary else logits

    def to_proba(self, logits):
        """Probability of each class, or of each label."""
        if self.is_multilabel:
            return expit(logits)
        if self.is_binary:
            return np.stack([expit(-logits), expit(logits)], axis=1)
        return softmax(logits, axis=1)

    def to_outputs(self, outputs):
        """What explanations add up to: log-odds, or a logit a class, (n, n_outputs)."""
        return outputs.astype(np.float64)

    def to_risks(self, outputs):
        """Probability of what each output stands for, (n, n_outputs)."""
        proba = self.to_proba(self.to_logits(outputs))
        return proba[:, 1:] if self.is_binary else proba

    def to_labels(self, proba):
        """The most probable class, or 1 for each label that is more probable than not."""
        if self.is_multilabel:
            return (proba > 0.5).astype(np.int64)
        return self.classes[proba.argmax(axis=1)]

    def task(self):
        """What `build_net` needs to know."""
        is_softmax = not (self.is_multilabel or self.is_binary)
        return {
            "net": VisitMultilabelNet if self.is_multilabel else VisitClassifierNet,
            "criterion": torch.nn.CrossEntropyLoss if is_softmax else torch.nn.BCEWithLogitsLoss,
            "output_dim": 1 if self.is_binary else len(self.classes),
        }

    def learnt(self):
        """Attributes of an estimator that predicts labels."""
        return {"_coding": self, "classes_": self.classes}


def check_labels(X, y, estimator):
    """One label a sample, or an indicator of 0 and 1, one column a label.

    Raises for missing, null or continuous labels, an array of two dimensions that is no indicator,
    or a length that differs from `X`.
    """
    require_y(y, estimator)
    try:
        y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    except ValueError:
        raise ValueError(
            f"y must be one label a sample, or an indicator with as many columns for each; got a "
            f"{type(y).__name__} of rows of different lengths. scikit-learn's MultiLabelBinarizer "
            f"makes an indicator of lists of labels."
        ) from None
    if y.ndim == 2 and y.shape[1] > 1:
        y = _as_indicator(y)
        check_consistent_length(X, y)
        return y
    y = as_labels(y)
    check_consistent_length(X, y)
    check_classification_targets(y)
    return y


def as_labels(y):
    """Labels without nulls, of the plainest numpy type that holds them."""
    # numpy first: scikit-learn makes floats of pandas' nullable and categorical bools.
    y = column_or_1d(np.asarray(y), warn=True)
    _refuse_null(y)
    if y.dtype in (np.float16, np.longdouble):
        # pandas has no index of these.
        return y.astype(np.float64)
    if y.dtype != object:
        return y
    kind = pd.api.types.infer_dtype(y)
    if kind in ("mixed", "mixed-integer"):
        raise ValueError(
            f"y mixes labels of several types ({kind}). Give all as texts or all as numbers; sets "
            f"of labels become an indicator with sklearn.preprocessing.MultiLabelBinarizer."
        )
    return pd.Series(y).infer_objects().to_numpy()


def check_two_classes(classes, estimator):
    """Raise unless there are two classes to tell apart."""
    if len(classes) < 2:
        raise ValueError(
            f"{estimator} needs samples of at least 2 classes, but the data contains only one "
            f"class: {classes.tolist()[0]!r}."
        )


def refuse_other_labels(coding, y_val):
    """Raise if a validation set has labels that the training set does not have."""
    if (y_val.ndim == 2) != coding.is_multilabel or (
        coding.is_multilabel and y_val.shape[1] != len(coding.classes)
    ):
        raise ValueError(
            f"y_val has shape {y_val.shape}, which does not match y with "
            f"{len(coding.classes)} {'labels' if coding.is_multilabel else 'classes'}. Give "
            f"outcomes of the same kind in y_val."
        )
    if n_other := np.count_nonzero(coding.encode(y_val) < 0):
        raise ValueError(
            f"y_val has {n_other} label(s) that are not in y. Leave these samples out of the "
            f"validation set."
        )


def coding_given(classes, y, known, name):
    """Coding of the classes given to `partial_fit`, or known from calls before."""
    if classes is None:
        if known is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        classes = known.classes
    else:
        classes = np.unique(as_labels(classes))
        check_two_classes(classes, name)
    coding = LabelCoding(classes, is_multilabel=y.ndim == 2)
    if known is not None and not (
        np.array_equal(known.classes, classes) and known.is_multilabel == coding.is_multilabel
    ):
        raise ValueError("classes is not the same as on the first call to partial_fit.")
    if coding.is_multilabel and not np.array_equal(classes, np.arange(y.shape[1])):
        raise ValueError(
            f"y holds {y.shape[1]} labels a sample, and classes other ones: for several labels "
            f"classes are their positions, numpy.arange({y.shape[1]})."
        )
    return coding


def check_further_labels(encoded, coding, class_weight):
    """Raise for labels that are none of the classes, or weights that need to know all labels."""
    if n_other := np.count_nonzero(encoded < 0):
        raise ValueError(
            f"y has {n_other} label(s) that are not among the {len(coding.classes)} classes known "
            f"from the first call. Name all labels there will be in classes."
        )
    if class_weight == "balanced":
        raise ValueError(
            "class_weight='balanced' needs all labels at once, which partial_fit never sees. Give "
            "the weights as a dict."
        )


def resolve_class_weight(class_weight, weight, y, coding):
    """Class weights as given; "balanced" ones as a dict, so that validation has the same."""
    if class_weight != "balanced" or coding.is_multilabel:
        return class_weight
    per_class = _weight_per_class(class_weight, weight, coding.encode(y), coding.classes)
    return dict(zip(coding.classes.tolist(), per_class.tolist(), strict=True))


def weigh_classes(class_weight, weight, encoded, coding):
    """Weight of each sample's loss, from the one given and that of its class."""
    if class_weight is not None:
        if coding.is_multilabel:
            raise ValueError(
                f"class_weight={class_weight!r} is for one label a sample, and y holds "
                f"{len(coding.classes)}. Leave it None, or fit a model a label with "
                f"sklearn.multioutput.MultiOutputClassifier."
            )
        weight = weight * _weight_per_class(class_weight, weight, encoded, coding.classes)[encoded]
    if not ((weight >= 0) & (weight < np.inf)).all():
        raise ValueError(
            f"class_weight={class_weight!r} makes weights that are negative, NaN or infinite; they "
            f"must be finite numbers of at least 0."
        )
    if not weight.any():
        raise ValueError("sample_weight and class_weight leave every sample a weight of zero.")
    return weight


def _weight_per_class(class_weight, weight, encoded, classes):
    """Weight of each class; that of a class without any weight among the samples is 1."""
    if class_weight != "balanced":
        return compute_class_weight(class_weight, classes=classes, y=classes[encoded])
    per_class = np.ones(len(classes))
    # By hand, as scikit-learn counts samples by their weight only from 1.7 on.
    total = np.bincount(encoded, weights=weight, minlength=len(classes))
    seen = total > 0
    per_class[seen] = total[seen].sum() / (np.count_nonzero(seen) * total[seen])
    return per_class


def strata_of_labels(encoded):
    """What a validation split holds the shares of: the class, or a sample's rarest label."""
    if encoded.ndim == 1:
        return encoded
    frequency = np.where(encoded > 0, encoded.sum(axis=0), np.inf)
    return np.where(encoded.any(axis=1), 1 + frequency.argmin(axis=1), 0)


def _as_indicator(y):
    _refuse_null(y)
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"y of shape {y.shape} must be an indicator of 0 and 1, one column a label, and holds "
            f"other values. Give one label a sample, or an indicator such as that of "
            f"sklearn.preprocessing.MultiLabelBinarizer."
        )
    return y.astype(np.int64)


def _refuse_null(y):
    if n_null := int(np.count_nonzero(pd.isna(y))):
        raise ValueError(
            f"y has {n_null} null label(s). Drop those samples, or find their outcome."
        )
