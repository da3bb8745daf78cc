"""Public names of the package, and the methods that each class has for its users."""

import importlib
import inspect

import sklearn_ehr

# Names that rooms share with each other, and that are not for users.
_BETWEEN_ROOMS = {"split_off_patients"}


def public_names():
    """Full path of each public name, by the name alone."""
    names = {name: f"sklearn_ehr.{name}" for name in sklearn_ehr.__all__}
    for room in sklearn_ehr._SUBMODULES:
        for name in importlib.import_module(f"sklearn_ehr.{room}").__all__:
            if name not in _BETWEEN_ROOMS:
                names.setdefault(name, f"sklearn_ehr.{room}.{name}")
    return names


def find(path):
    """The object at a path such as ``sklearn_ehr.io.read_omop``."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def methods_of(path):
    """Methods and properties for users: those of this package with a whole numpydoc docstring.

    What rooms share with each other is documented in a line or two, without sections.
    """
    cls = find(path)
    found = {"methods": [], "properties": []}
    for name in _members(cls, "sklearn_ehr"):
        member = inspect.getattr_static(cls, name)
        if "\n---" in (inspect.getdoc(member) or ""):
            found["properties" if isinstance(member, property) else "methods"].append(name)
    return found


def methods_of_sklearn(path):
    """Methods that a class inherits from scikit-learn, those for metadata routing included."""
    cls = find(path)
    names = {name for name in _members(cls, "sklearn") if callable(getattr(cls, name))}
    return sorted(names | {name for name in dir(cls) if _is_request(name)})


def _members(cls, package):
    for name in dir(cls):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        from_package = owner.__module__.partition(".")[0] == package
        if from_package and not name.startswith("_") and not _is_request(name):
            yield name


def _is_request(name):
    return name.startswith("set_") and name.endswith("_request")
