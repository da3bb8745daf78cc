"""Arrays that grow."""

import numpy as np

_ELEMENTS_TO_WAIT_FOR = 2**22


class GrowingArray:
    """Array to which parts are appended, without a second copy of all of them at the end.

    Parts wait until they are many elements, and a quarter of what there is.
    """

    def __init__(self):
        self._array, self._waiting, self._n_waiting = None, [], 0

    def append(self, part):
        """Append along the first axis; dtypes are promoted as by `numpy.concatenate`."""
        self._waiting.append(part)
        self._n_waiting += len(part)
        n_before = 0 if self._array is None else len(self._array)
        if self._n_waiting > max(_ELEMENTS_TO_WAIT_FOR, n_before // 4):
            self._join()

    def finish(self):
        """Return the array of all parts; there is one at least."""
        if self._waiting:
            self._join()
        return self._array

    def _join(self):
        parts, self._waiting, self._n_waiting = self._waiting, [], 0
        if self._array is None:
            self._array = np.concatenate(parts)
            return
        dtype = np.result_type(self._array.dtype, *(part.dtype for part in parts))
        if dtype != self._array.dtype:
            self._array = self._array.astype(dtype)
        start = len(self._array)
        n = start + sum(map(len, parts))
        # Nobody else has a reference yet. A large array grows without being copied.
        self._array.resize((n, *self._array.shape[1:]), refcheck=False)
        np.concatenate(parts, out=self._array[start:], casting="unsafe")
