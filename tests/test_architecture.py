"""The house as DESIGN.md draws it: which room imports what, and how large a piece may be."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import sklearn_ehr

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sklearn_ehr"
FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
ROOM_FILES = [file for file in FILES if file != "__init__.py"]
each_file = pytest.mark.parametrize("file", FILES)
each_room_file = pytest.mark.parametrize("file", ROOM_FILES)

# Rooms from left to right, and the rooms that each may import.
ROOMS = {
    "utils": set(),
    "io": {"utils"},
    "cohort": {"utils"},
    "visits": {"utils", "cohort"},
    "labelling": {"utils", "cohort", "visits"},
    "model_selection": {"utils", "cohort"},
    "nn": set(),
    "estimators": {"utils", "cohort", "visits", "model_selection", "nn"},
    "inspection": {"utils", "cohort", "visits", "nn", "estimators"},
    "datasets": {"utils", "cohort"},
    "comparison": {"utils", "cohort", "visits", "model_selection", "estimators"},
    "reporting": {"utils", "cohort", "visits", "inspection", "comparison"},
}
NETWORK = {"torch", "skorch"}
FORBIDDEN_LIBRARIES = {
    "utils": NETWORK,
    "io": NETWORK,
    "cohort": NETWORK,
    "visits": NETWORK,
    "labelling": NETWORK,
    "model_selection": NETWORK,
    "nn": {"pandas", "polars", "pyarrow", "narwhals", "sklearn", "scipy", "skorch"},
    "estimators": {"skorch"},
    "inspection": NETWORK,
    "datasets": NETWORK,
    "comparison": NETWORK,
    "reporting": NETWORK,
}
TOUCHES_SKORCH = "estimators/_net.py"

USES_PRIVATE_SKLEARN = "utils/_sklearn_compat.py"

MAX_LINES_OF_FILE = 400
MAX_LINES_OF_FUNCTION = 60
CLAUSE = re.compile(
    r"((at|by|for|from|in|into|of|on|to|with)\s+)?"
    r"(what|which|how|who|whom|whose|when|where|whether|why)\b",
    re.IGNORECASE,
)


def room_of(file):
    return Path(file).parts[0].removesuffix(".py")


@cache
def tree_of(file):
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def imports_of(file, tree):
    """Absolute path of each imported module, with the names taken from it (None: the module)."""
    package = ["sklearn_ehr", *Path(file).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split("."), None) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            yield module, [alias.name for alias in node.names]


def imports_from_rooms(file, tree):
    """The part of each import of this package that comes after the package's name."""
    for module, names in imports_of(file, tree):
        if module[0] != "sklearn_ehr":
            continue
        if len(module) == 1:
            # `from .. import cohort` names a room where others name a member of it.
            yield from (([name], None) for name in names or [""])
        else:
            yield module[1:], names


def wrong_rooms(file, tree):
    used = {path[0] for path, _ in imports_from_rooms(file, tree)}
    return sorted(used - ROOMS[room_of(file)] - {room_of(file)})


def wrong_libraries(file, tree):
    forbidden = FORBIDDEN_LIBRARIES[room_of(file)]
    if file == TOUCHES_SKORCH:
        forbidden = forbidden - {"skorch"}
    used = {module[0] for module, _ in imports_of(file, tree)}
    return sorted(used & forbidden)


def private_sklearn(file, tree):
    """Private modules and names of scikit-learn that a file imports."""
    found = []
    for module, names in imports_of(file, tree):
        if module[0] == "sklearn":
            found += [name for name in [*module, *(names or [])] if is_private(name)]
    return found


@cache
def public_names(room):
    """What the room lists in `__all__`, or, in a room of one file, all without an underscore."""
    tree = tree_of(f"{room}/__init__.py" if (PACKAGE / room).is_dir() else f"{room}.py")
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return {name for name in defined_in(tree) if not name.startswith("_")}


def imports_past_the_door(file, tree):
    """Imports from another room that do not take a public name from the room itself."""
    found = []
    for path, names in imports_from_rooms(file, tree):
        if path[0] == room_of(file) or path[0] not in ROOMS:
            continue
        if len(path) > 1:
            found.append(".".join(path))
        else:
            found += [
                f"{path[0]}.{name}" for name in names or [] if name not in public_names(path[0])
            ]
    return found


def defined_in(tree):
    """Names that a module gives to functions, classes, variables and attributes of self."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and is_own(node.value)
        ):
            names.add(node.attr)
    return names


@cache
def defined_in_room(room):
    files = [file for file in ROOM_FILES if room_of(file) == room]
    return set().union(*(defined_in(tree_of(file)) for file in files))


def is_own(thing):
    return isinstance(thing, ast.Name) and thing.id in ("self", "cls")


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def foreign_private_attributes(file, tree):
    """Underscore attributes of other objects whose names this room does not define."""
    known = defined_in_room(room_of(file)) | defined_in(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner, name = node.value, node.attr
        elif is_attribute_by_name(node):
            owner, name = node.args[0], node.args[1].value
        else:
            continue
        if is_private(name) and name not in known and not is_own(owner):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def is_attribute_by_name(node):
    """Whether a node is `getattr(x, "name")` or one of its siblings."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr", "setattr", "delattr")
        and isinstance(node.args[1], ast.Constant)
    )


def long_functions(tree):
    """Functions over the limit; docstrings do not count."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n_lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                n_lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if n_lines > MAX_LINES_OF_FUNCTION:
                found[node.name] = n_lines
    return found


def test_table_of_rooms_goes_from_left_to_right():
    rooms = list(ROOMS)
    for i, room in enumerate(rooms):
        assert ROOMS[room] <= set(rooms[:i])


def test_table_of_rooms_has_every_room():
    assert {room_of(file) for file in ROOM_FILES} == set(ROOMS) == set(FORBIDDEN_LIBRARIES)


@each_room_file
def test_imports_only_rooms_to_its_left(file):
    assert wrong_rooms(file, tree_of(file)) == []


@each_room_file
def test_imports_only_libraries_of_its_floor(file):
    assert wrong_libraries(file, tree_of(file)) == []


@each_room_file
def test_imports_nothing_private_of_scikit_learn_but_in_one_file(file):
    assert (private_sklearn(file, tree_of(file)) == []) == (file != USES_PRIVATE_SKLEARN)


@each_room_file
def test_imports_public_names_through_the_door_of_a_room(file):
    assert imports_past_the_door(file, tree_of(file)) == []


@each_room_file
def test_reaches_into_no_private_name_of_another_room(file):
    assert foreign_private_attributes(file, tree_of(file)) == []


@each_file
def test_file_is_short(file):
    assert len((PACKAGE / file).read_text(encoding="utf-8").splitlines()) <= MAX_LINES_OF_FILE


@each_file
def test_functions_are_short(file):
    assert long_functions(tree_of(file)) == {}


@each_file
def test_first_line_is_a_noun_phrase(file):
    first = (ast.get_docstring(tree_of(file)) or "").partition("\n")[0]
    assert first.endswith(".")
    assert not CLAUSE.match(first), first


def test_package_itself_imports_nothing_but_the_means_to_import():
    assert list(imports_of("__init__.py", tree_of("__init__.py"))) == [
        (["importlib"], ["import_module"])
    ]


@pytest.mark.parametrize(
    ("rule", "file", "source", "n_found"),
    [
        (wrong_rooms, "cohort/_a.py", "from ..visits import X", 1),
        (wrong_rooms, "cohort/_a.py", "from .. import visits", 1),
        (wrong_rooms, "cohort/_a.py", "from sklearn_ehr import Cohort", 1),
        (wrong_rooms, "cohort/_a.py", "def f():\n    import sklearn_ehr.nn", 1),
        (wrong_rooms, "model_selection/_a.py", "from ..visits import X", 1),
        (wrong_rooms, "model_selection/_a.py", "from ..cohort import X", 0),
        (wrong_rooms, "estimators/targets/_a.py", "from ...labelling import X", 1),
        (wrong_rooms, "estimators/targets/_a.py", "from .._net import X\nfrom ._b import Y", 0),
        (wrong_libraries, "visits/_a.py", "import torch.nn", 1),
        (wrong_libraries, "nn/_a.py", "from sklearn.utils import check_array", 1),
        (wrong_libraries, "nn/_a.py", "import torch\nimport numpy", 0),
        (wrong_libraries, "estimators/_base.py", "from skorch.callbacks import Callback", 1),
        (wrong_libraries, "estimators/_net.py", "from skorch.callbacks import Callback", 0),
        (private_sklearn, "visits/_a.py", "from sklearn.base import _fit_context", 1),
        (private_sklearn, "visits/_a.py", "from sklearn.utils._tags import Tags", 1),
        (private_sklearn, "visits/_a.py", "import sklearn.utils._tags", 1),
        (private_sklearn, "visits/_a.py", "from sklearn.utils import Tags, Bunch", 0),
        (imports_past_the_door, "visits/_a.py", "from ..cohort._times import read_times", 1),
        (imports_past_the_door, "visits/_a.py", "from ..cohort import _times, Cohort", 1),
        (imports_past_the_door, "visits/_a.py", "import sklearn_ehr.cohort._times", 1),
        (imports_past_the_door, "labelling/_a.py", "from ..cohort import no_such_name", 1),
        (
            imports_past_the_door,
            "visits/_a.py",
            "from ..cohort import Cohort",
            0,
        ),
        (foreign_private_attributes, "visits/_a.py", "cohort._nothing_here", 1),
        (foreign_private_attributes, "visits/_a.py", "getattr(cohort, '_nothing_here')", 1),
        (foreign_private_attributes, "visits/_a.py", "self._x + x._replace(a=1).__dict__", 0),
        (foreign_private_attributes, "visits/_a.py", "getattr(self, '_nothing_here', None)", 0),
        (foreign_private_attributes, "visits/_a.py", "def _f(self, x): self._y = x._f, x._y", 0),
    ],
)
def test_rules_find_what_breaks_them(rule, file, source, n_found):
    assert len(rule(file, ast.parse(source))) == n_found


def test_length_of_a_function_is_that_of_its_code():
    body = "    x = 1\n" * (MAX_LINES_OF_FUNCTION - 1)
    docstring = '    """One.\n\n    Two.\n    """\n'
    assert long_functions(ast.parse(f"def f():\n{docstring}{body}")) == {}
    assert long_functions(ast.parse(f"def f():\n{docstring}{body}    y = 2")) == {
        "f": MAX_LINES_OF_FUNCTION + 1
    }


@pytest.mark.parametrize("line", ["How it is.", "In which order.", "what it is", "Who is there."])
def test_clauses_are_no_noun_phrases(line):
    assert CLAUSE.match(line)
    assert not CLAUSE.match("Order in which visits come.")


def run_fresh(code):
    """Run lines in an interpreter that has imported nothing yet."""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_importing_the_package_imports_no_room():
    run_fresh(
        "import sys, sklearn_ehr\n"
        "assert not [name for name in sys.modules if name.startswith('sklearn_ehr.')]\n"
        "assert set(sklearn_ehr.__all__) <= set(dir(sklearn_ehr))\n"
    )


def test_the_half_for_data_loads_no_torch_and_no_skorch():
    run_fresh(
        "import sys, sklearn_ehr, sklearn_ehr.datasets\n"
        "from sklearn_ehr import (\n"
        "    Cohort, make_samples, VisitSequenceTransformer, CodeCountVectorizer, PatientKFold\n"
        ")\n"
        "assert 'sklearn_ehr.cohort' in sys.modules\n"
        "assert not {'torch', 'skorch'} & set(sys.modules)\n"
        "sklearn_ehr.LSTMVisitClassifier\n"
        "assert {'torch', 'skorch'} <= set(sys.modules)\n"
    )


@pytest.mark.parametrize("name", sklearn_ehr.__all__)
def test_public_name_can_be_imported(name):
    assert getattr(sklearn_ehr, name).__name__ == name
    assert name in dir(sklearn_ehr)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'LSTMVisitClasifier'"):
        sklearn_ehr.LSTMVisitClasifier  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name"):
        from sklearn_ehr import LSTMVisitClasifier  # noqa: F401
