"""How samples are split so that no patient stands on two sides."""

import numpy as np
from sklearn.model_selection import (
    BaseCrossValidator,
    GroupKFold,
    GroupShuffleSplit,
    StratifiedGroupKFold,
    train_test_split,
)
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length

from .cohort import Cohort, Times, add_duration, as_duration, check_comparable, is_before, read_time

_N_UNITS = 2_000


class _PatientSplitter:
    """Read the patients from `X` where no groups are passed."""

    def split(self, X, y=None, groups=None):
        """Generate positions of training and test samples.

        Parameters
        ----------
        X : Cohort or VisitSequences of shape (n_samples,)
            Anything with `groups`, the patient of each sample.
        y : array-like of shape (n_samples,), default=None
            Outcomes; needed to stratify.
        groups : array-like of shape (n_samples,), default=None
            The patient of each sample; by default ``X.groups``.

        Yields
        ------
        train, test : ndarrays of int

        Raises
        ------
        ValueError
            If neither `groups` nor `X` tells the patients, or `y` is needed and missing, or more
            than one label a sample.
        """
        yield from super().split(X, y, _patients_of(X, groups, type(self).__name__))


class PatientKFold(_PatientSplitter, GroupKFold):
    """K folds that keep a patient in one fold, also in splits where groups cannot be passed.

    `sklearn.model_selection.GroupKFold` that reads ``X.groups``, so that the inner splits of
    calibration, stacking, threshold tuning and nested searches keep patients apart as well.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the patients first.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.

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
    """K folds with about equal shares of each class that keep a patient in one fold.

    `sklearn.model_selection.StratifiedGroupKFold` that reads ``X.groups``. It takes groups one by
    one, which is slow for many: of more than 2,000 patients, all but 1,000 are dealt to 1,000
    bundles first, which go to folds whole.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the patients first.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.

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
                "StratifiedPatientKFold needs y, the class of each sample, to spread classes over "
                "the folds; pass it, or use PatientKFold."
            )
        if not _is_one_class_each(y):
            raise ValueError(
                "StratifiedPatientKFold needs one class a sample in y; got numbers, several "
                "labels, times to events or labels of visits. Use PatientKFold, or split by a "
                "class: cv=list(StratifiedPatientKFold().split(X, y_class))."
            )
        patients, patient = np.unique(groups, return_inverse=True)
        if len(patients) > _N_UNITS:
            # Bundles are large and go first; the patients left alone even out what they leave.
            unit = np.arange(len(patients))
            unit[_N_UNITS:] %= _N_UNITS // 2
            if self.shuffle:
                unit = check_random_state(self.random_state).permutation(unit)
            groups = unit[patient]
        yield from super()._iter_test_indices(X, y, groups)


class PatientShuffleSplit(_PatientSplitter, GroupShuffleSplit):
    """Random splits that keep a patient on one side.

    `sklearn.model_selection.GroupShuffleSplit` that reads ``X.groups``.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    test_size : float or int, default=None
        Share or number of the patients in the test set; by default 0.2.
    train_size : float or int, default=None
        Share or number of the patients in the training set; by default the rest.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Examples
    --------
    >>> from sklearn_ehr import PatientShuffleSplit
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(20, random_state=0)
    >>> train, test = next(PatientShuffleSplit(1, test_size=0.25, random_state=0).split(X))
    >>> len(train), len(test)
    (15, 5)
    """


class TemporalPatientSplit(BaseCrossValidator):
    """Train on what was known before a date, test on what came after it.

    A sample trains if its prediction and its label's window, `horizon` long, lie before the date;
    it tests if it is predicted at the date or later. One whose window is open at the date does
    neither, as its label was not known then. A patient with samples on both sides stays in the test
    set alone, so that it is as patients come.

    Parameters
    ----------
    date : datetime, str or number
        When the model is trained; of the kind of the prediction times.
    horizon : Timedelta, str or number, default=None
        How long after its prediction time a label is settled; gap and horizon together of
        `make_samples`. None: at once.

    Examples
    --------
    >>> from sklearn_ehr import TemporalPatientSplit
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, y = make_visits(200, random_state=0)
    >>> splitter = TemporalPatientSplit("2003-01-01", horizon="30D")
    >>> train, test = next(splitter.split(X))
    >>> bool(X[train].prediction_times.max() < X[test].prediction_times.min())
    True
    """

    def __init__(self, date, *, horizon=None):
        self.date = date
        self.horizon = horizon

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits, 1."""
        return 1

    def split(self, X, y=None, groups=None):
        """Generate positions of training and test samples, once.

        Parameters
        ----------
        X : Cohort or VisitSequences of shape (n_samples,)
            With prediction times, and the patient of each sample.
        y : None
            Ignored.
        groups : array-like of shape (n_samples,), default=None
            The patient of each sample; by default ``X.groups``.

        Yields
        ------
        train, test : ndarrays of int

        Raises
        ------
        ValueError
            If `X` has no prediction times, or a side is left without samples.
        TypeError
            If `date` or `horizon` is of another kind than the prediction times.
        """
        groups = np.asarray(_patients_of(X, groups, type(self).__name__))
        time = getattr(X, "prediction_times", None)
        if time is None:
            raise ValueError(
                "TemporalPatientSplit needs the prediction time of each sample, and X has none. "
                "Split a Cohort made with samples."
            )
        date = self._read_date(X, time)
        is_datetime = time.dtype.kind == "M"
        settled = time
        if self.horizon is not None:
            horizon = as_duration(self.horizon, "horizon", is_datetime)
            settled = add_duration(time, horizon, "horizon")
        is_test = ~is_before(time, date)
        is_train = is_before(settled, date) & ~np.isin(groups, groups[is_test])
        for side, name in ((is_train, "before"), (is_test, "after")):
            if not side.any():
                shorter = "" if self.horizon is None else f", or a shorter horizon={self.horizon!r}"
                raise ValueError(
                    f"No sample is left {name} date={self.date!r}: {len(time)} samples, "
                    f"{np.count_nonzero(is_test)} predicted at the date or later. Choose another "
                    f"date{shorter}."
                )
        yield np.flatnonzero(is_train), np.flatnonzero(is_test)

    def _read_date(self, X, time):
        date = read_time(self.date, "date")
        if isinstance(X, Cohort):
            zone = X.event_table.zone
        elif date.zone is None:
            zone = None
        else:
            raise TypeError(
                f"date={self.date!r} is aware of its time zone, and {type(X).__name__} keep times "
                f"without one: those of aware events in UTC. Give the date in UTC without a zone, "
                f"or split the Cohort."
            )
        check_comparable(Times(time, "prediction_time", zone), date)
        return date.values


def split_off_patients(y, groups, fraction, random_state):
    """Set apart the samples of a share of the patients, stratified by outcome where it can be.

    A patient with several outcomes counts under the rarest of them.

    Parameters
    ----------
    y : ndarray of int of shape (n_samples,)
        Outcomes, encoded from 0 on.
    groups : ndarray of shape (n_samples,)
    fraction : float
        Share of the patients to set apart.
    random_state : int

    Returns
    -------
    kept, apart : ndarrays of int
        Positions of the samples.

    Raises
    ------
    ValueError
        If there are too few patients to split.
    """
    patients, patient = np.unique(groups, return_inverse=True)
    # Ranked from the commonest outcome to the rarest, a patient's highest rank is the rarest one.
    rank = np.argsort(np.argsort(-np.bincount(y), kind="stable"))[y]
    stratum = np.zeros(len(patients), dtype=np.int64)
    np.maximum.at(stratum, patient, rank)
    # A stratum of one patient cannot be on both sides: it stays in training.
    shared = np.flatnonzero(np.bincount(stratum)[stratum] > 1)
    arguments = {"test_size": fraction, "random_state": random_state}
    try:
        _, apart = train_test_split(shared, stratify=stratum[shared], **arguments)
    except ValueError:
        _, apart = train_test_split(shared, **arguments)
    is_apart = np.isin(patient, apart)
    return np.flatnonzero(~is_apart), np.flatnonzero(is_apart)


def _is_one_class_each(y):
    try:
        return type_of_target(y) in ("binary", "multiclass")
    except TypeError:
        # A structured array, such as times to events.
        return False


def _patients_of(X, groups, splitter):
    if groups is not None:
        check_consistent_length(X, groups)
    else:
        groups = getattr(X, "groups", None)
    if groups is None:
        raise ValueError(
            f"{splitter} needs the patient of each sample, and X of type {type(X).__name__} does "
            f"not tell: split a Cohort, or pass groups=."
        )
    return groups
