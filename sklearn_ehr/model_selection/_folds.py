"""Splitters into folds or at random that keep a patient on one side."""

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    StratifiedGroupKFold,
    train_test_split,
)
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target

from ._patients import patients_of

_N_UNITS = 2_000


class _PatientSplitter:
    """Mixin for splitters of scikit-learn that reads the groups of `X` if none are passed."""

    def split(self, X, y=None, groups=None):
        """Generate the positions of training and test samples, split by split.

        Parameters
        ----------
        X : Cohort or VisitSequences of shape (n_samples,)
            Anything with a length and, unless `groups` is given, the attribute `groups`.
        y : array-like of shape (n_samples,), default=None
            Class of each sample. Required by `StratifiedPatientKFold`, ignored by the others.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, usually its patient. By default, ``X.groups``.

        Yields
        ------
        train, test : ndarrays of int
            Positions of the training samples and of the test samples.

        Raises
        ------
        ValueError
            If neither `groups` nor ``X.groups`` is given, there are fewer groups than the splits
            need, or `y` is required and does not hold one class per sample.
        """
        yield from super().split(X, y, patients_of(X, groups, type(self).__name__))


class PatientKFold(_PatientSplitter, GroupKFold):
    """K-fold splitter that keeps all samples of a patient in one fold.

    This is `sklearn.model_selection.GroupKFold`, except that it reads the groups from ``X.groups``.
    It therefore also keeps patients together where no groups can be passed: in the inner splits of
    calibration, stacking, threshold tuning and nested searches.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to assign patients to folds at random.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle. Pass an int for the same folds in every call.

    See Also
    --------
    StratifiedPatientKFold : Folds with about the same share of each class.

    Examples
    --------
    >>> from sklearn_ehr import PatientKFold
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(20, random_state=0)
    >>> train, test = next(PatientKFold(4).split(X))
    >>> set(X.groups[train]) & set(X.groups[test])
    set()
    """


class StratifiedPatientKFold(_PatientSplitter, StratifiedGroupKFold):
    """Stratified K-fold splitter that keeps all samples of a patient in one fold.

    Folds have about the same share of each class. This is
    `sklearn.model_selection.StratifiedGroupKFold`, except that it reads the groups from
    ``X.groups``, also where no groups can be passed, and is fast for many patients.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the patients before they are assigned to folds.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle. Pass an int for the same folds in every call.

    See Also
    --------
    PatientKFold : Folds without stratification, for any kind of outcome.

    Notes
    -----
    `StratifiedGroupKFold` assigns groups one by one, which is slow for many. If there are more than
    2,000 patients, all but 1,000 of them are therefore put into 1,000 bundles, and each bundle is
    assigned as a whole.

    Examples
    --------
    >>> from sklearn_ehr import StratifiedPatientKFold
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(20, random_state=0)
    >>> cv = StratifiedPatientKFold(4, shuffle=True, random_state=0)
    >>> train, test = next(cv.split(X, y))
    >>> len(test)
    5
    """

    def _iter_test_indices(self, X, y, groups):
        if y is None:
            raise ValueError(
                "StratifiedPatientKFold needs y, the class of each sample, to spread the classes "
                "over the folds. Pass y, or use PatientKFold."
            )
        if not _is_one_class_each(y):
            raise ValueError(
                "StratifiedPatientKFold needs one class per sample in y, but got numbers, several "
                "labels per sample, times to events or labels of visits. Use PatientKFold, or "
                "stratify by a class: cv=list(StratifiedPatientKFold().split(X, y_class))."
            )
        patients, patient = np.unique(groups, return_inverse=True)
        if self.n_splits > len(patients):
            raise ValueError(
                f"Cannot have number of splits n_splits={self.n_splits} greater than the number of "
                f"groups: {len(patients)}."
            )
        if len(patients) > _N_UNITS:
            # Large bundles are assigned first; single patients then even out the differences.
            unit = np.arange(len(patients))
            unit[_N_UNITS:] %= _N_UNITS // 2
            if self.shuffle:
                unit = check_random_state(self.random_state).permutation(unit)
            patient = unit[patient]
        if self.shuffle:
            patient = _shuffled(patient, check_random_state(self.random_state))
        folds = StratifiedGroupKFold(self.n_splits).split(patient, y, patient)
        yield from (test for _, test in folds)


class PatientShuffleSplit(_PatientSplitter, GroupShuffleSplit):
    """Random splitter that keeps all samples of a patient on one side.

    This is `sklearn.model_selection.GroupShuffleSplit`, except that it reads the groups from
    ``X.groups``, also where no groups can be passed.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    test_size : float or int, default=None
        Share (float) or number (int) of the patients in the test set. By default, the patients that
        `train_size` leaves, or 0.2 if that is None too.
    train_size : float or int, default=None
        Share (float) or number (int) of the patients in the training set. By default, the patients
        that are not in the test set.
    random_state : int, RandomState instance or None, default=None
        Seed of the splits. Pass an int for the same splits in every call.

    See Also
    --------
    TemporalPatientSplit : Single split by date.

    Examples
    --------
    >>> from sklearn_ehr import PatientShuffleSplit
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(20, random_state=0)
    >>> train, test = next(PatientShuffleSplit(1, test_size=0.25, random_state=0).split(X))
    >>> len(train), len(test)
    (15, 5)
    """


def split_off_patients(y, groups, fraction, random_state):
    """Positions of the samples that are kept, and of those of a share of the patients.

    Stratified by outcome, which is encoded as integers from 0 on, if possible; a patient with
    several outcomes is counted under the rarest. Raises a ValueError for too few patients.
    """
    patients, patient = np.unique(groups, return_inverse=True)
    # Ranks run from the most common outcome to the rarest, so the highest of a patient is kept.
    rank = np.argsort(np.argsort(-np.bincount(y), kind="stable"))[y]
    stratum = np.zeros(len(patients), dtype=np.int64)
    np.maximum.at(stratum, patient, rank)
    # A stratum of a single patient cannot be on both sides, so that patient is kept.
    shared = np.flatnonzero(np.bincount(stratum)[stratum] > 1)
    arguments = {"test_size": fraction, "random_state": random_state}
    try:
        _, apart = train_test_split(shared, stratify=stratum[shared], **arguments)
    except ValueError:
        _, apart = train_test_split(shared, **arguments)
    is_apart = np.isin(patient, apart)
    return np.flatnonzero(~is_apart), np.flatnonzero(is_apart)


def _shuffled(groups, random_state):
    """Number groups in random order; scikit-learn < 1.8 does not stratify when it shuffles."""
    number = np.unique(groups, return_inverse=True)[1]
    order = np.arange(number.max() + 1)
    random_state.shuffle(order)
    return np.argsort(order)[number]


def _is_one_class_each(y):
    if getattr(getattr(y, "dtype", None), "names", None):
        return False
    try:
        return type_of_target(y) in ("binary", "multiclass")
    except TypeError:
        # A structured array, such as times to events.
        return False
