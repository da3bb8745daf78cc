"""Tools for ragged arrays, sorting, threads, columns of frames, states, versions and warnings."""

from ._frames import (
    check_keys,
    check_one_kind,
    column_of,
    encode,
    is_real,
    key_kind,
    prune,
    readable,
    refuse_nulls,
    require_frame,
    shown,
)
from ._ragged import (
    SampleIndexing,
    concatenate_ranges,
    cover_ranges,
    index_ranges,
    offsets_from_lengths,
    run_starts,
    search_ranges,
    slices_of_about,
    split_by_sample,
)
from ._sklearn_compat import CallbackSupportMixin, start_callbacks
from ._sorting import as_integers, counting_sort, deal, is_ascending, is_last_of_equals, order_by
from ._state import SavedStateMixin, as_plain, checksum, saved_by
from ._threads import map_in_threads
from ._versions import library_versions
from ._warnings import warn_user

__all__ = [
    "CallbackSupportMixin",
    "SampleIndexing",
    "SavedStateMixin",
    "as_integers",
    "as_plain",
    "check_keys",
    "check_one_kind",
    "checksum",
    "column_of",
    "concatenate_ranges",
    "counting_sort",
    "cover_ranges",
    "deal",
    "encode",
    "index_ranges",
    "is_ascending",
    "is_last_of_equals",
    "is_real",
    "key_kind",
    "library_versions",
    "map_in_threads",
    "offsets_from_lengths",
    "order_by",
    "prune",
    "readable",
    "refuse_nulls",
    "require_frame",
    "run_starts",
    "saved_by",
    "search_ranges",
    "shown",
    "slices_of_about",
    "split_by_sample",
    "start_callbacks",
    "warn_user",
]
