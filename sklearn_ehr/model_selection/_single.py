"""Single splits, by date or as predefined, that keep a patient on one side."""

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from ..cohort import (
    Cohort,
    Times,
    add_duration,
    as_duration,
    check_comparable,
    day_of,
    is_before,
    read_time,
)
from ..utils import column_of, read_frame, refuse_nulls, shown
from ._patients import patients_of


class TemporalPatientSplit(BaseCrossValidator):
    """Single split by date, with training samples before it and test samples from it on.

    The date is that of the training of a model, and no label that was unknown then is used to
    train. A sample is in the test set if its prediction time is at the date or later. It is in the
    training set if its label was known before the date, that is, if its prediction time plus
    `horizon` is before the date. Samples in between are in neither set.

    A patient with samples in the test set has none in the training set. The test set keeps all its
    samples, because a model in use meets returning patients as well.

    Parameters
    ----------
    date : datetime, str or number
        Date of the split, of the same type as the prediction times. A string is read as a datetime
        in the time zone of the events. Under ``X.resolution == "day"`` its calendar day counts.
    horizon : Timedelta, str or number, default=None
        Time from the prediction until the label is known. For samples from `make_samples`, this is
        its `gap` plus its `horizon`. A duration for datetimes; for numeric times, a number in their
        unit. None if labels are known at once.

    See Also
    --------
    PatientShuffleSplit : Random splits that keep patients together.

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

    __metadata_request__split = {"groups": True}

    def __init__(self, date, *, horizon=None):
        self.date = date
        self.horizon = horizon

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits, which is 1.

        Parameters
        ----------
        X, y, groups : None
            Ignored.

        Returns
        -------
        int
        """
        return 1

    def split(self, X, y=None, groups=None):
        """Generate the positions of training and test samples, for one split.

        Parameters
        ----------
        X : Cohort or VisitSequences of shape (n_samples,)
            Samples with prediction times.
        y : None
            Ignored.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, usually its patient. By default, ``X.groups``.

        Yields
        ------
        train, test : ndarrays of int
            Positions of the training samples and of the test samples.

        Raises
        ------
        ValueError
            If `X` has no prediction times, there are no groups, `date` or `horizon` cannot be used,
            or no sample is left on one side.
        TypeError
            If `date` or `horizon` does not match the type of the prediction times, or `date` has a
            time zone and `X` does not keep one.
        """
        groups = np.asarray(patients_of(X, groups, type(self).__name__))
        time = getattr(X, "prediction_times", None)
        if time is None:
            raise ValueError(
                "TemporalPatientSplit needs the prediction time of each sample, but X has none. "
                "Split a Cohort with samples that have prediction times."
            )
        date = self._read_date(X, time)
        if getattr(X, "resolution", None) == "day":
            # Samples see, and labels follow, whole days: the calendar decides.
            time, date = (
                day_of(values, X.event_table.zone).astype("datetime64[s]")
                for values in (time, date)
            )
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
                    f"No sample is left {name} date={self.date!r}: of {len(time)} samples, "
                    f"{np.count_nonzero(is_test)} are predicted at the date or later. Choose "
                    f"another date{shorter}."
                )
        yield np.flatnonzero(is_train), np.flatnonzero(is_test)

    def _read_date(self, X, time):
        zone = X.event_table.zone if isinstance(X, Cohort) else None
        date = read_time(self.date, "date", zone)
        if date.zone is not None and not isinstance(X, Cohort):
            raise TypeError(
                f"date={self.date!r} is aware of its time zone, but {type(X).__name__} keep times "
                f"without a zone, in UTC if they were aware. Give the date in UTC without a zone, "
                f"or split the Cohort."
            )
        check_comparable(Times(time, "prediction_time", zone), date)
        return date.values


class PredefinedPatientSplit(BaseCrossValidator):
    """Single split that assigns each patient to a side by a table.

    Patients of other splits of the table, such as those set aside for the end, are on neither side.

    Parameters
    ----------
    splits : DataFrame
        Table of any library with one row per patient: ``patient_id`` (or ``subject_id``) and
        ``split``, as `sklearn_ehr.io.read_meds_splits` reads it. If `X` has groups other than its
        patients, the ids are those of groups.
    train : str or tuple of str, default="train"
        Splits whose patients are in the training set.
    test : str or tuple of str, default="tuning"
        Splits whose patients are in the test set. For the final evaluation of MEDS, give
        ``train=("train", "tuning"), test="held_out"``.

    See Also
    --------
    PatientShuffleSplit : Random splits that keep patients together.

    Notes
    -----
    The splitter holds `splits`, and so does a search that has it as `cv`. When you hand on a model,
    hand on the ``best_estimator_`` of the search, which holds no patient.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_ehr.datasets import make_visits
    >>> from sklearn_ehr.model_selection import PredefinedPatientSplit
    >>> X, y = make_visits(20, random_state=0)
    >>> names = ["train"] * 12 + ["tuning"] * 3 + ["held_out"] * 5
    >>> splits = pd.DataFrame({"patient_id": X.groups, "split": names})
    >>> train, test = next(PredefinedPatientSplit(splits).split(X))
    >>> len(train), len(test)
    (12, 3)
    """

    __metadata_request__split = {"groups": True}

    def __init__(self, splits, *, train="train", test="tuning"):
        self.splits = splits
        self.train = train
        self.test = test

    def __repr__(self):
        # That of scikit-learn would show the ids of patients.
        return f"{type(self).__name__}(train={self.train!r}, test={self.test!r})"

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits, which is 1.

        Parameters
        ----------
        X, y, groups : None
            Ignored.

        Returns
        -------
        int
        """
        return 1

    def split(self, X, y=None, groups=None):
        """Generate the positions of training and test samples, for one split.

        Parameters
        ----------
        X : Cohort or VisitSequences of shape (n_samples,)
            Anything with a length and, unless `groups` is given, the attribute `groups`.
        y : None
            Ignored.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, usually its patient. By default, ``X.groups``.

        Yields
        ------
        train, test : ndarrays of int
            Positions of the training samples and of the test samples.

        Raises
        ------
        TypeError
            If `splits` is not a frame, or `train` or `test` not a string or a tuple of strings.
        ValueError
            If `splits` lacks a column, a split, or a patient of `X`, or has a patient twice, if a
            split is in both `train` and `test`, or if no sample is left on one side.
        """
        sides = {side: _names_of(getattr(self, side), side) for side in ("train", "test")}
        if n_both := len(set(sides["train"]) & set(sides["test"])):
            raise ValueError(
                f"train={self.train!r} and test={self.test!r} share {n_both} split(s). Give each "
                f"split to one side."
            )
        groups = np.asarray(patients_of(X, groups, type(self).__name__))
        split = self._split_of(groups)
        positions = {side: np.flatnonzero(np.isin(split, names)) for side, names in sides.items()}
        for side, position in positions.items():
            if not len(position):
                raise ValueError(
                    f"None of the {len(groups)} samples is in the split {side}="
                    f"{getattr(self, side)!r}. Name one of those in the column 'split' of splits."
                )
        yield positions["train"], positions["test"]

    def _split_of(self, groups):
        """Split of each sample, ndarray of str."""
        table = read_frame(self.splits, "splits")
        patient, split = (
            column_of(table, name, "splits", fixed=name, way_out="rename the one that holds it")
            for name in ("patient_id", "split")
        )
        for column in (patient, split):
            refuse_nulls(column.isna(), column.name, "Every patient of splits needs a split.")
        if n_repeated := int(patient.duplicated().sum()):
            raise ValueError(
                f"Column {patient.name!r} of splits repeats patients in {n_repeated} row(s). Keep "
                f"one row per patient."
            )
        row = pd.Index(np.asarray(patient)).get_indexer(groups)
        if n_missing := np.count_nonzero(row < 0):
            raise ValueError(
                f"{n_missing} of {len(groups)} samples have a patient that splits does not have "
                f"(column {patient.name!r}, dtype {patient.dtype}; groups, dtype {groups.dtype}). "
                f"Add them, under any other split name if they are to be left out."
            )
        return np.asarray(split, dtype=str)[row]


def _names_of(splits, side):
    names = [splits] if isinstance(splits, str) else splits
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"{side}={shown(splits)} is not accepted; give a name, or a tuple of names."
        )
    return list(names)
