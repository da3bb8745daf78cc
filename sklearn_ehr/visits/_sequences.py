"""Sequences of visits, ragged or padded."""

import numpy as np

from ..cohort import elapsed, null_times
from ..utils import (
    SampleIndexing,
    concatenate_ranges,
    offsets_from_lengths,
    slices_of_about,
)
from ._joined_sequences import PER_SAMPLE, PER_VISIT, JoinedSequences
from ._padded import PaddedVisits, as_mask, as_three_dimensional
from ._repr import sequences_html
from ._saved_sequences import open_sequences, save_sequences
from ._vocabulary import PADDING


class VisitSequences(SampleIndexing):
    """Ragged sequences of visits, one per sample, each visit made of token ids.

    Sample `i` has the visits ``sample_offsets[i]:sample_offsets[i + 1]``, and visit `v` has the
    tokens ``visit_offsets[v]:visit_offsets[v + 1]``. Sequences are indexed by sample, like a
    `Cohort`.

    Parameters
    ----------
    tokens : ndarray of shape (n_tokens,)
        Token ids, int32, without padding.
    visit_offsets : ndarray of shape (n_visits + 1,)
    sample_offsets : ndarray of shape (n_samples + 1,)
    visit_times : ndarray of shape (n_visits, 2), default=None
        Times of the first and last visible event of each visit: datetime64 in UTC, or numbers.
        Null for a static visit. None if the events have no times.
    known_times : ndarray of shape (n_visits, 2), default=None
        Times at which the first and the last event of each visit became known. None if events are
        known as soon as they happen.
    visit_ids : ndarray of shape (n_visits,), default=None
        Id of each visit, None for a visit without one. None if the events have no visit ids.
    prediction_times : ndarray of shape (n_samples,), default=None
        Prediction time of each sample, datetime64 or numbers like `visit_times`. None if samples
        are whole histories.
    groups : ndarray of shape (n_samples,), default=None
        Group of each sample, usually its patient. None if each sample is a different patient.
    features : ndarray of shape (n_samples, n_features), default=None
        Numbers that models read beside the visits, float32 and finite, as of the prediction time.
        None if there are none.
    feature_names : list of str, default=None
        Names of the columns of `features`.
    vocabulary : Vocabulary, default=None
        The codes that the tokens stand for.
    earlier : VisitSequences, default=None
        Visits of the same samples that a transformer's `max_visits` left out. Models do not read
        them, except for predictions as of an earlier visit.

    Attributes
    ----------
    shape : tuple
        ``(n_samples,)``.
    lengths : ndarray of shape (n_samples,)
        Number of visits of each sample.
    is_static : ndarray of shape (n_visits,)
        Whether a visit holds static events.
    time_gaps : ndarray of shape (n_visits,)
        Time since the previous visit, in days, or in the unit of numeric times.
    times_to_prediction : ndarray of shape (n_visits,)
        Time from each visit to the prediction made after it, in the same unit.

    Examples
    --------
    >>> from sklearn_ehr import VisitSequences
    >>> sequences = VisitSequences.from_padded([[[2, 3], [4, 0]], [[5, 0], [0, 0]]])
    >>> sequences.tokens
    array([2, 3, 4, 5], dtype=int32)
    >>> sequences.sample_offsets
    array([0, 2, 3])
    >>> codes, mask, visit_mask = sequences[[1]].to_padded()
    >>> codes
    array([[[5]]])
    """

    _way_out = (
        "LSTM estimators read it; before any other model, put CodeCountVectorizer in the place of "
        "VisitSequenceTransformer. to_padded() gives padded arrays."
    )
    _folder = None

    def __init__(
        self,
        tokens,
        visit_offsets,
        sample_offsets,
        *,
        visit_times=None,
        known_times=None,
        visit_ids=None,
        prediction_times=None,
        groups=None,
        features=None,
        feature_names=None,
        vocabulary=None,
        earlier=None,
    ):
        self.tokens = tokens
        self.visit_offsets = visit_offsets
        self.sample_offsets = sample_offsets
        self.visit_times = visit_times
        self.known_times = known_times
        self.visit_ids = visit_ids
        self.prediction_times = prediction_times
        self.groups = groups
        self.features = features
        self.feature_names = feature_names
        self.vocabulary = vocabulary
        self.earlier = earlier

    def __len__(self):
        return len(self.sample_offsets) - 1

    def __repr__(self):
        return (
            f"VisitSequences(n_samples={len(self)}, n_visits={len(self.visit_offsets) - 1}, "
            f"n_tokens={len(self.tokens)})"
        )

    def _repr_html_(self):
        return sequences_html(self)

    @property
    def lengths(self):
        """Number of visits of each sample, ndarray of shape (n_samples,)."""
        return np.diff(self.sample_offsets)

    @property
    def is_static(self):
        """Whether each visit holds static events, ndarray of shape (n_visits,)."""
        if self.visit_times is None:
            return np.zeros(len(self.visit_offsets) - 1, dtype=bool)
        return null_times(self.visit_times[:, 0])

    @property
    def time_gaps(self):
        """Time from the last event of the previous visit to the first event of a visit.

        In days, or in the unit of numeric times, and never negative. It is 0 for the first visit of
        a sample, for a static visit, and for the visit after that. Raises ValueError if the events
        have no times.
        """
        if self.visit_times is None:
            raise ValueError(
                "These sequences have no times, and so no gaps: padded codes come without times, "
                "and so do events without a time column."
            )
        first, last = self.visit_times.T
        gaps = np.zeros(len(first))
        gaps[1:] = elapsed(last[:-1], first[1:])
        starts = self.sample_offsets[:-1]
        gaps[starts[starts < len(gaps)]] = 0
        return gaps

    @property
    def times_to_prediction(self):
        """Time from the last event of a visit to the prediction made after it.

        In days, or in the unit of numeric times, and never negative. After the last visit of a
        sample, the prediction is made at the sample's prediction time. After an earlier visit, or
        in a whole history, it is made as soon as all events of the visit are known. It is 0 for a
        static visit.
        """
        waits = self.waits_by_visit()
        if self.prediction_times is not None:
            seen = self.lengths > 0
            last = self.sample_offsets[1:][seen] - 1
            waits[last] = elapsed(self.visit_times[last, 1], self.prediction_times[seen])
        return waits

    def waits_by_visit(self):
        """Time from the last event of each visit until all its events are known."""
        if self.known_times is None:
            return np.zeros(len(self.is_static))
        return elapsed(self.visit_times[:, 1], self.known_times[:, 1])

    def to_padded(self):
        """Pad to the longest sample and the largest visit.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_visits, n_codes), int64
            Token ids, 0 for padding.
        mask : ndarray of shape (n_samples, n_visits, n_codes), bool
            True for a token.
        visit_mask : ndarray of shape (n_samples, n_visits), bool
            True for a visit, even an empty one.
        """
        n_visits, n_tokens = self.lengths, np.diff(self.visit_offsets)
        shape = (len(self), n_visits.max(initial=0), n_tokens.max(initial=0))
        visit_mask = np.arange(shape[1]) < n_visits[:, None]
        mask = np.zeros(shape, dtype=bool)
        mask[visit_mask] = np.arange(shape[2]) < n_tokens[:, None]
        codes = np.full(shape, PADDING, dtype=np.int64)
        codes[mask] = self.tokens
        return PaddedVisits(codes, mask, visit_mask)

    @classmethod
    def from_padded(cls, codes, mask=None, visit_mask=None):
        """Build sequences from padded arrays.

        Parameters
        ----------
        codes : array-like of shape (n_samples, n_visits, n_codes), integer
            Token ids, 0 for padding.
        mask : array-like of the same shape, default=None
            True for a token. By default, every code other than 0 is a token.
        visit_mask : array-like of shape (n_samples, n_visits), default=None
            True for a visit. By default, visits without tokens are padding at the end of a sample,
            and empty visits elsewhere.

        Returns
        -------
        VisitSequences
            Without times and vocabulary, each sample a different patient.

        Raises
        ------
        TypeError
            If the codes are not integers.
        ValueError
            If shapes do not match, a token id is negative, or the masks contradict each other or
            the codes.
        """
        codes = as_three_dimensional(codes)
        if codes.dtype.kind not in "iu":
            raise TypeError(f"Padded codes must be integers, got dtype {codes.dtype}.")
        mask = codes != PADDING if mask is None else as_mask(mask, codes.shape, "mask")
        has_tokens = mask.any(axis=2)
        if visit_mask is None:
            visit_mask = np.logical_or.accumulate(has_tokens[:, ::-1], axis=1)[:, ::-1]
        visit_mask = as_mask(visit_mask, codes.shape[:2], "visit_mask")
        if (has_tokens & ~visit_mask).any():
            raise ValueError("visit_mask marks visits as padding that have codes in mask.")
        tokens = codes[mask]
        if tokens.min(initial=1) <= PADDING or tokens.max(initial=1) > np.iinfo(np.int32).max:
            raise ValueError("Token ids under mask must be positive int32; 0 stands for padding.")
        return cls(
            tokens.astype(np.int32),
            offsets_from_lengths(mask.sum(axis=2)[visit_mask]),
            offsets_from_lengths(visit_mask.sum(axis=1)),
        )

    @classmethod
    def _concatenate(cls, parts):
        """Join the samples of several sequences that share a vocabulary, as they come."""
        joined = None
        for part in parts:
            joined = joined or JoinedSequences(part)
            joined.append(part)
        return joined.finish()

    def blocks(self):
        """Split into sequences of consecutive samples, of about the same size."""
        n_before = self.visit_offsets[self.sample_offsets[:-1]]
        return [self[part] for part in slices_of_about(n_before)]

    def _without_samples(self):
        """Copy with nothing but visits, so that these may be assigned to other samples."""
        return self._replace(earlier=None, **dict.fromkeys(PER_SAMPLE))

    def _keep_recent(self, max_visits):
        """Keep static visits and the most recent ones, and move the others to `earlier`."""
        is_kept = (self._visits_to_come() < max_visits) | self.is_static
        kept, earlier = map(self._select_visits, (is_kept, ~is_kept))
        return kept._replace(earlier=earlier)

    def _select_visits(self, is_kept):
        """Keep the marked visits, and all samples."""
        visits = np.flatnonzero(is_kept)
        return self._rebuild(visits, np.searchsorted(visits, self.sample_offsets))

    def _visits_to_come(self):
        """Number of visits that follow each visit in its sample, ndarray of shape (n_visits,)."""
        ends = np.repeat(self.sample_offsets[1:], self.lengths)
        return ends - 1 - np.arange(len(ends))

    def visits_of(self, positions):
        """Positions of all visits of the samples at these positions, sample by sample."""
        return concatenate_ranges(
            self.sample_offsets[positions], self.sample_offsets[positions + 1]
        )

    def _take(self, positions):
        # self.lengths would cost time for all samples, however few are taken.
        lengths = self.sample_offsets[positions + 1] - self.sample_offsets[positions]
        visits, offsets = self.visits_of(positions), offsets_from_lengths(lengths)
        return self._rebuild(visits, offsets)._replace(
            earlier=None if self.earlier is None else self.earlier._take(positions),
            **{name: column[positions] for name, column in self._columns(PER_SAMPLE).items()},
        )

    def _rebuild(self, visits, sample_offsets):
        """Select visits by position, and assign them to samples by new offsets."""
        starts, stops = self.visit_offsets[visits], self.visit_offsets[visits + 1]
        return self._replace(
            tokens=self.tokens[concatenate_ranges(starts, stops)],
            visit_offsets=offsets_from_lengths(stops - starts),
            sample_offsets=sample_offsets,
            **{name: column[visits] for name, column in self._columns(PER_VISIT).items()},
        )

    def _columns(self, names):
        """The attributes with these names that are not None."""
        return {name: vars(self)[name] for name in names if vars(self)[name] is not None}

    def _replace(self, **attributes):
        """Copy of the sequences with some attributes changed."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), _folder=None, **attributes)
        return other

    def save(self, directory):
        """Write the sequences to a new directory, from which `open` maps them.

        Parameters
        ----------
        directory : str or path
            A directory that does not exist yet. It is there whole after this, or not at all.

        Raises
        ------
        ValueError
            If `directory` exists already, or another process is writing it.
        TypeError
            If groups or visit ids are neither strings, numbers nor datetimes.
        OSError
            If `directory` cannot be written.
        """
        save_sequences(self, directory)

    @classmethod
    def open(cls, directory, *, verify=False):
        """Open saved sequences without reading their tokens.

        Training and predictions read them batch by batch, so they may be larger than memory. A
        pickle of opened sequences has the path of their directory, and one of a subset its tokens.

        Parameters
        ----------
        directory : str or path
            Directory that `save` has written.
        verify : bool, default=False
            Whether all of it is read and compared with its checksums. Otherwise, only the sizes of
            its files are checked.

        Returns
        -------
        VisitSequences

        Raises
        ------
        FileNotFoundError
            If there is no such directory.
        ValueError
            If the directory does not hold sequences, is not intact, or has the format of another
            version.
        """
        return open_sequences(cls, directory, verify=verify)

    def __setattr__(self, name, value):
        # What is changed is no longer what is on disk.
        vars(self).update({"_folder": None, name: value})

    def __copy__(self):
        return self._replace()

    def __getstate__(self):
        if self._folder is not None:
            return {"directory": self._folder.directory, "store_id": self._folder.id}
        return vars(self)

    def __setstate__(self, state):
        if "directory" in state:
            state = vars(open_sequences(type(self), **state))
        vars(self).update(state)
