"""Saved state of estimators: plain values, the version of their format, and a checksum."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pandas as pd

from ._versions import library_version, warn_of_other_versions

# Raised whenever older versions could not read what is saved.
_FORMAT = 1
_KINDS = {}
_PLAIN = (bool, int, float, str)
_N_WORDS = 624


class SavedStateMixin:
    """An estimator whose saved state is arrays and plain values, without code.

    This is the state that pickle, joblib and skops write. Parameters that are objects of other
    libraries, such as callbacks, are left as they are.
    """

    def __getstate__(self):
        return _seal(self._to_save(), type(self).__name__)

    def __setstate__(self, state):
        name = type(self).__name__
        _refuse_other_formats(state, name)
        try:
            if checksum([name, state["content"]]) != state["checksum"]:
                raise ValueError("its checksum is wrong")
            attributes = self._from_saved(from_plain(state["content"]))
        except Exception as error:
            raise ValueError(
                f"The saved {name} is damaged ({type(error).__name__}: {error}). Use another copy "
                f"of the file, or fit again."
            ) from error
        vars(self).update(attributes)
        warn_of_other_versions(attributes.get("_versions", {}), name)

    def __copy__(self):
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    def _to_save(self):
        """Attributes to save, dict of name to value."""
        return dict(vars(self))

    def _from_saved(self, attributes):
        """The attributes again, from what `_to_save` returned."""
        return attributes


def saved_by(*fields):
    """Let objects of a class be saved by these attributes, which its constructor takes."""

    def register(cls):
        _KINDS[cls.__name__] = cls, fields
        return cls

    return register


def _seal(attributes, name):
    content = as_plain(attributes)
    return {
        "format": _FORMAT,
        "saved_by": library_version("sklearn_ehr"),
        "content": content,
        "checksum": checksum([name, content]),
    }


def _refuse_other_formats(state, name):
    """Raise for a state without a format, or of a newer one than is known."""
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise ValueError(
            f"The saved {name} has no format version: it is damaged, or was saved by a version of "
            f"sklearn_ehr that wrote none. Fit it again."
        )
    if state["format"] > _FORMAT:
        raise ValueError(
            f"This {name} was saved by sklearn_ehr {state.get('saved_by')} in format "
            f"{state['format']}, and sklearn_ehr {library_version('sklearn_ehr')} reads formats up "
            f"to {_FORMAT}. Install sklearn_ehr {state.get('saved_by')} or later."
        )


def as_plain(value):
    """Arrays, numbers, texts, lists and tuples of them, and dicts that say what they stand for."""
    if type(value) in (list, tuple):
        return type(value)(map(as_plain, value))
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, _PLAIN) and not isinstance(value, np.generic):
        # Members of an enumeration are read again as what they are.
        return value if type(value) in _PLAIN else _plain_base(value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return _plain_objects(value)
    if isinstance(value, pd.DataFrame):
        return _plain_frame(value)
    if isinstance(value, pd.Timedelta):
        return {"kind": "Timedelta", "value": np.asarray(value.to_numpy())}
    if isinstance(value, timedelta):
        return _dict_of(
            "timedelta", days=value.days, seconds=value.seconds, microseconds=value.microseconds
        )
    if isinstance(value, np.timedelta64):
        return {"kind": "timedelta64", "value": np.asarray(value)}
    if isinstance(value, np.random.RandomState):
        return _plain_random_state(value)
    cls, fields = _KINDS.get(type(value).__name__, (None, ()))
    if type(value) is cls:
        return _dict_of(cls.__name__, **{field: getattr(value, field) for field in fields})
    return value


def _plain_base(value):
    if isinstance(value, str):
        return str.__str__(value)
    return float(value) if isinstance(value, float) else int(value)


def _dict_of(kind, **parts):
    return {"kind": kind} | {name: as_plain(part) for name, part in parts.items()}


def _plain_mapping(mapping):
    """Keys and values; vectors of one length and type as one array, and then the keys as well."""
    keys, values = list(mapping), list(mapping.values())
    if values and all(isinstance(value, np.ndarray) for value in values):
        [*kinds] = {(value.dtype, value.shape) for value in values}
        if len(kinds) == 1 and kinds[0][0].kind in "iuf" and kinds[0][1]:
            keys, values = _make_objects(keys, len(keys)), np.stack(values)
    return _dict_of("dict", keys=keys, values=values)


def _plain_objects(array):
    """Texts as bytes, one after the other; other objects one by one."""
    values = array.ravel().tolist()
    if not all(type(value) is str for value in values):
        return {"kind": "objects", "values": list(map(as_plain, values)), "shape": array.shape}
    encoded = [value.encode("utf-8", "surrogatepass") for value in values]
    return {
        "kind": "texts",
        "utf8": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        "lengths": np.array(list(map(len, encoded)), dtype=np.int64),
        "shape": array.shape,
    }


def _plain_random_state(random_state):
    """The words of a Mersenne Twister; other generators are left as they are."""
    state = random_state.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        return random_state
    parts = {"has_gauss": state["has_gauss"], "gauss": state["gauss"]}
    return _dict_of("RandomState", **parts, **state["state"])


def _plain_frame(frame):
    """A frame of numbers of one type as an array, any other column by column."""
    dtypes = ["str" if dtype == "str" else "object" for dtype in frame.dtypes]
    if len(set(frame.dtypes)) == 1 and frame.dtypes.iloc[0].kind in "iuf":
        values = frame.to_numpy()
    else:
        values = [column.to_numpy() for _, column in frame.items()]
    is_numbered = frame.index.equals(pd.RangeIndex(len(frame))) and isinstance(
        frame.index, pd.RangeIndex
    )
    index = None if is_numbered else frame.index.to_numpy()
    columns, names = frame.columns.to_numpy(), [frame.index.name, frame.columns.name]
    return _dict_of(
        "DataFrame", values=values, dtypes=dtypes, index=index, columns=columns, names=names
    )


def from_plain(value):
    """The value that `as_plain` made plain."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(from_plain, value))
    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    parts = {name: from_plain(part) for name, part in value.items() if name != "kind"}
    if kind in _KINDS:
        cls, fields = _KINDS[kind]
        return cls(**{field: parts[field] for field in fields})
    return _MAKERS[kind](**parts)


def _make_objects(values, shape):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _make_texts(utf8, lengths, shape):
    content, ends = utf8.tobytes(), np.cumsum(lengths)
    if (lengths < 0).any() or lengths.sum() != len(content):
        raise ValueError("lengths of texts do not add up")
    starts = ends - lengths
    texts = [
        content[start:end].decode("utf-8", "surrogatepass")
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return _make_objects(texts, shape)


def _make_frame(values, dtypes, index, columns, names):
    if isinstance(values, np.ndarray):
        frame = pd.DataFrame(values)
    else:
        if not {*dtypes} <= {"str", "object"}:
            raise ValueError("a frame has columns of unknown types")
        # Numbers have the type of their array.
        series = [
            pd.Series(column, dtype=dtype if column.dtype == object else None)
            for column, dtype in zip(values, dtypes, strict=True)
        ]
        frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=index)
    frame = frame.set_axis(columns, axis=1)
    frame = frame if index is None else frame.set_axis(index)
    return frame.rename_axis(index=names[0], columns=names[1])


def _make_random_state(key, pos, has_gauss, gauss):
    # numpy checks none of this, and reads beyond the words.
    if key.dtype != np.uint32 or key.shape != (_N_WORDS,) or not 0 <= pos <= _N_WORDS:
        raise ValueError("it is no state of a Mersenne Twister")
    random_state = np.random.RandomState()
    random_state.set_state(("MT19937", key, pos, has_gauss, gauss))
    return random_state


_MAKERS = {
    "dict": lambda keys, values: dict(zip(keys, values, strict=True)),
    "objects": _make_objects,
    "texts": _make_texts,
    "DataFrame": _make_frame,
    "Timedelta": lambda value: pd.Timedelta(value[()]),
    "timedelta": timedelta,
    "timedelta64": lambda value: value[()],
    "RandomState": _make_random_state,
}


def checksum(value):
    """SHA-256 of arrays and plain values, as text; of other objects, only their type counts."""
    digest = hashlib.sha256()
    _add_to(digest, value)
    return digest.hexdigest()


def _add_to(digest, value):
    # Mapped arrays are arrays.
    kind = np.ndarray if isinstance(value, np.ndarray) else type(value)
    digest.update(f"{kind.__module__}.{kind.__qualname__};".encode())
    if isinstance(value, (list, tuple)):
        digest.update(f"{len(value)};".encode())
        for item in value:
            _add_to(digest, item)
    elif isinstance(value, Mapping):
        _add_to(digest, list(value.items()))
    elif isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        digest.update(f"{value.dtype.str}{value.shape};".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif isinstance(value, (*_PLAIN, bytes, type(None))):
        content = repr(value).encode()
        digest.update(f"{len(content)};".encode() + content)
