"""Event tables on disk: written part by part, and mapped."""

from os import PathLike

import numpy as np
import pandas as pd

from ..utils import is_lazy, new_folder, open_folder, shown
from ._days import text_of_zone, zone_of_text
from ._layout import read_columns, refuse_none_left
from ._parts import deal_events

_KIND = "sklearn_ehr.EventTable"
_ARRAYS = ("patient_offsets", "dated_starts", "code", "time", "known_time", "visit", "value")
_IDS = ("patients", "codes", "visit_ids")


def write_store(directory, events, names, null_time, lay_out):
    """Write the events of a frame, or of parquet files, to a new store.

    `lay_out` makes an event table of columns. Events in memory are laid out at once, others part by
    part.
    """
    if not isinstance(directory, str | PathLike):
        raise TypeError(f"directory must be a path, got {shown(directory)}.")
    with new_folder(directory) as writer:
        if isinstance(events, str | PathLike) or is_lazy(events):
            dealt = deal_events(
                events, names, null_time, writer.scratch, lambda head: _check(lay_out(head, "drop"))
            )
            parts = (lay_out(columns, null_time) for columns in dealt.parts())
            if _write(writer, parts, dealt.codes) != dealt.n_events:
                _refuse_changed_events()
        else:
            table = lay_out(read_columns(events, names), null_time)
            refuse_none_left(len(table), table.columns["time"])
            _check(table)
            _write(writer, [table], table.codes)


def _check(table):
    """Raise for what a store cannot hold."""
    for zone in (table.zone, table.known_zone):
        text_of_zone(zone)


def _refuse_changed_events():
    raise RuntimeError("events changed while the store was built. Build it again.")


def _write(writer, parts, codes):
    """Write parts of a table, in the order of their patients, as one; return its number of events.

    `codes` are those of all parts.
    """
    rank, n_events, n_visit_ids, facts = pd.Index(codes), 0, 0, {}
    writer.append("patient_offsets", np.zeros(1, dtype=np.int64))
    for part in parts:
        position = rank.get_indexer(part.codes).astype(np.int32)
        if (position < 0).any():
            _refuse_changed_events()
        arrays = {
            "patient_offsets": part.patient_offsets[1:] + n_events,
            "dated_starts": part.dated_starts + n_events,
            "code": position[part.code],
            "time": part.time,
            "known_time": part.known_time,
            "value": part.value,
        }
        if part.visit is not None:
            arrays["visit"] = np.where(part.visit < 0, part.visit, part.visit + n_visit_ids)
            n_visit_ids += len(part.visit_ids)
            writer.append_ids("visit_ids", part.visit_ids)
        if part.known_time is not None:
            arrays["known_ascending"] = part.known_ascending
        for name, array in arrays.items():
            if array is not None:
                writer.append(name, array)
        writer.append_ids("patients", part.patients)
        n_events += len(part)
        facts = _joined(facts, part)
    writer.append_ids("codes", codes)
    attributes = {
        "columns": part.columns,
        "zone": text_of_zone(part.zone),
        "known_zone": text_of_zone(part.known_zone),
        "facts": facts,
    }
    writer.finish(_KIND, attributes)
    return n_events


def _joined(facts, part):
    """Facts about all times, which a table would otherwise find by reading them."""
    own = {}
    if part.known_time is not None:
        own["may_be_known_early"] = part.may_be_known_early
    if part.time is not None and part.time.dtype.kind == "M":
        own["has_midnights"] = part.has_midnights
        own["has_midnights_only"] = part.has_midnights_only
    joins = {"has_midnights_only": bool.__and__}
    return {
        name: joins.get(name, bool.__or__)(facts[name], fact) if facts else fact
        for name, fact in own.items()
    }


def open_store(directory, store_id=None, verify=False):
    """Attributes of the event table in a store, arrays of numbers mapped.

    With `store_id`, a store of another one is refused.
    """
    folder = open_folder(directory, _KIND, store_id)
    if verify:
        folder.verify()
    about = folder.attributes
    attributes = {name: folder.array(name) for name in _ARRAYS}
    attributes |= {name: folder.ids(name) for name in _IDS}
    if "known_ascending" in folder:
        attributes["known_ascending"] = folder.array("known_ascending")
    zones = {name: zone_of_text(about[name]) for name in ("zone", "known_zone")}
    return {
        "directory": folder.directory,
        "_store_id": folder.id,
        "_folder": folder,
        "columns": about["columns"],
        **zones,
        **about["facts"],
        **attributes,
    }
