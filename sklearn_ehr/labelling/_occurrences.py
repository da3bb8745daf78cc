"""Events with given codes, by patient."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..cohort import as_keys, last_key_by
from ..utils import key_kind, order_by, search_ranges, shown, warn_user
from ._clock import is_by


def find_events(table, codes, name):
    """Positions of the dated events, at least one, that have one of these codes."""
    also = " or 'outcome'" if name == "exclude" else ""
    is_list = pd.api.types.is_list_like(codes) and hasattr(codes, "__len__")
    if not is_list or not len(codes):
        raise ValueError(
            f"{name} must be a non-empty list of codes{also}, got {type(codes).__name__}."
        )
    try:
        # Not every version of pandas refuses lists and complex numbers.
        codes = list(dict.fromkeys(codes))
        if any(isinstance(code, complex) for code in codes):
            raise TypeError
        known = pd.Index(table.codes)
        is_one = known.isin(codes)
        absent = [code for code in codes if code not in known]
    except MemoryError:
        raise
    except Exception:
        # pandas and Arrow raise various errors for other types.
        raise TypeError(
            f"{name} must be a list of codes, each a single string or number as in events."
        ) from None
    position = np.flatnonzero(is_one[table.code])
    position = position[~table.is_static(position)]
    if absent and len(position):
        warn_user(
            f"No event has {len(absent)} of the {len(codes)} codes of {name}: "
            f"{', '.join(map(shown, absent[:5]))}{', ...' if len(absent) > 5 else ''}. Check how "
            f"they are written."
        )
    if not len(position):
        raise ValueError(
            f"No event with a time has a code of {name}. Give whole codes exactly as in events, of "
            f"the same type ({key_kind(table.codes)}). Strings are codes; convert times with "
            f"pandas.to_datetime."
        )
    return position


def patients_of(table, position):
    """Position of the patient of each event."""
    return np.searchsorted(table.patient_offsets, position, side="right") - 1


@dataclass(frozen=True)
class Occurrences:
    """Times of some events, in ascending order within each patient.

    `when` has times of the clock, and `offsets`, of length n_patients + 1, where those of each
    patient start.
    """

    patient: np.ndarray
    when: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, table, position, when):
        """Occurrences of the events at these positions, at least one, at their times."""
        patient = patients_of(table, position)
        # A midnight that counts at the end of its day follows the other events of that day.
        order = order_by(patient, when)
        patient, when = patient[order], when[order]
        offsets = np.searchsorted(patient, np.arange(len(table.patients) + 1))
        return cls(patient, when, offsets)

    def any_by(self, patient, at):
        """Whether patients have one of the events at or before these times."""
        has_one, first = self._at(self.offsets[patient], self.offsets[patient + 1])
        return has_one & is_by(first, at)

    def first_after(self, patient, after):
        """Whether patients have one of the events after these times, and the first such time."""
        starts, stops = self.offsets[patient], self.offsets[patient + 1]
        keys = last_key_by(after, self.when.dtype, "right")
        return self._at(search_ranges(as_keys(self.when), starts, stops, keys, "right"), stops)

    def _at(self, starts, stops):
        """Whether ranges hold an event, and the time of the first (arbitrary if there is none)."""
        return starts < stops, self.when[np.minimum(starts, len(self.when) - 1)]
