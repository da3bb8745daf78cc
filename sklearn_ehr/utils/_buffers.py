"""Arrays that grow."""

import numpy as np

_GROWTH = 1.25


class GrowingArray:
    """Array to which parts are appended, without a second copy of all of them at the end."""

    def __init__(self):
        self._array, self._n = None, 0

    def append(self, part):
        """Append along the first axis; dtypes are promoted as by `numpy.concatenate`."""
        if self._array is None:
            self._array = np.empty((0, *part.shape[1:]), dtype=part.dtype)
        if part.dtype != self._array.dtype:
            dtype = np.result_type(part.dtype, self._array.dtype)
            self._array = self._array[: self._n].astype(dtype)
        n = self._n + len(part)
        if n > len(self._array):
            self._resize(max(n, int(_GROWTH * self._n)))
        self._array[self._n : n] = part
        self._n = n

    def finish(self):
        """Return the array of all parts."""
        self._resize(self._n)
        return self._array

    def _resize(self, n):
        # Nobody else has a reference yet. Large arrays grow without being copied.
        self._array.resize((n, *self._array.shape[1:]), refcheck=False)
