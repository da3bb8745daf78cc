"""Files that were damaged or made to harm are errors: they run nothing and take little memory."""

import functools
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import saved_models
import skops.io
from sklearn.base import clone

from sklearn_ehr import LSTMVisitClassifier, VisitSequenceTransformer
from sklearn_ehr.estimators._checkpoints import pack, unpack
from sklearn_ehr.utils import checksum

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory as on Linux"),
]
HERE = Path(__file__).parent
TRUSTED = [
    "sklearn_ehr.estimators._classifier.LSTMVisitClassifier",
    "sklearn_ehr.visits._transformers.VisitSequenceTransformer",
]

# Loads files one after the other, under a limit of memory, and tells what came of each. Nothing may
# start a process, open a connection, write a file, or import a module that a whole file needs not.
LOADER = """
import json, resource, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import numpy as np, skops.io, saved_models, test_mutated_files
kind, folder, whole = sys.argv[2:5]
load = getattr(test_mutated_files, f"load_{kind}")
expected = load(whole)
seen = []

def watch(event, arguments):
    name = str(arguments[0]) if arguments else ""
    harmful = event in ("os.system", "subprocess.Popen", "os.exec", "pickle.find_class")
    harmful |= event.startswith("socket.")
    harmful |= event == "open" and str(arguments[1])[:1] in ("w", "a", "x")
    harmful |= event == "import" and name not in sys.modules and not name.startswith("encodings")
    if harmful:
        seen.append(f"{event} {name}")

sys.addaudithook(watch)
limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + 2**30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sorted(__import__("pathlib").Path(folder).iterdir()):
    seen.clear()
    try:
        result = "same" if load(path) == expected else "OTHER MODEL"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    print(json.dumps([path.name, result, list(seen)]), flush=True)
"""


def load_skops(path):
    model = skops.io.load(path, trusted=TRUSTED)
    return saved_models.answers(model, "classifier").tolist()


def load_checkpoint(path):
    state = unpack(Path(path), 2**24)
    return json.dumps(state, default=lambda part: np.asarray(part).tolist())


def results_of(kind, folder, whole):
    """What came of loading each file of a folder in a process of its own."""
    command = [sys.executable, "-c", LOADER, HERE, kind, folder, whole]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = map(json.loads, done.stdout.splitlines())
    return {name: (result, harm) for name, result, harm in results}


def flipped(content, position):
    damaged = bytearray(content)
    damaged[position] ^= 1 << position % 8
    return bytes(damaged)


@pytest.fixture(scope="module")
def whole():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit, _, _ = saved_models.KINDS["classifier"]
        return skops.io.dumps(fit())


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def nodes_in(node):
    """All nodes of a schema of skops."""
    if isinstance(node, dict):
        if "__loader__" in node:
            yield node
        for part in node.values():
            yield from nodes_in(part)
    elif isinstance(node, list):
        for part in node:
            yield from nodes_in(part)


def npy(shape, dtype="<f4", data=b""):
    """An array whose header says what it is not."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


class Harm:
    def __reduce__(self):
        return os.system, ("touch /tmp/harm",)


def pickled_npy():
    buffer = io.BytesIO()
    np.save(buffer, np.array([Harm()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def in_schema(change):
    """A mutation that changes the schema of a file, and is packed again without a trace."""

    def mutate(content):
        members = members_of(content)
        schema = json.loads(members["schema.json"])
        schema = change(schema) or schema
        return zipped(members | {"schema.json": json.dumps(schema).encode()})

    return mutate


def every_array(data):
    def mutate(content):
        members = members_of(content)
        return zipped({n: data if n.endswith(".npy") else c for n, c in members.items()})

    return mutate


def set_json(old, new):
    def change(schema):
        for node in nodes_in(schema):
            if node["__loader__"] == "JsonNode" and node["content"] == json.dumps(old):
                node["content"] = json.dumps(new)

    return in_schema(change)


def replace_nodes(loader, new):
    def change(schema):
        for node in [*nodes_in(schema)]:
            if node["__loader__"] == loader and "__reduce__" not in node:
                node.update(new)

    return in_schema(change)


def signed(**settings):
    """A mutation by someone who knows how the checksum is made."""

    def mutate(content):
        model = skops.io.loads(content, trusted=TRUSTED)
        state = model[-1].__getstate__()
        net = state["content"]["values"][state["content"]["keys"].index("net_")]
        inner = net["values"][net["keys"].index("settings")]
        for name, value in settings.items():
            inner["values"][inner["keys"].index(f"module__{name}")] = value
        state["checksum"] = checksum(["LSTMVisitClassifier", state["content"]])
        original = type(model[-1]).__getstate__
        try:
            type(model[-1]).__getstate__ = lambda self: state
            return skops.io.dumps(model)
        finally:
            type(model[-1]).__getstate__ = original

    return mutate


FUNCTION = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
OTHER = {"__class__": "Popen", "__module__": "subprocess"}
PATHS = ["../../etc/passwd", "/etc/passwd", "", "schema.json", "no/such/member"]

CRAFTED = {
    "shapes of a petabyte": every_array(npy("(10**15,)".replace("10**15", "1" + "0" * 15))),
    "shape of a gigabyte": every_array(npy("(1073741824,)")),
    "negative shape": every_array(npy("(-1,)")),
    "other shape": every_array(npy("(2, 2)", data=b"\0" * 16)),
    "other type": every_array(npy("(4,)", "<M8[s]", b"\0" * 32)),
    "objects": every_array(npy("(1,)", "|O", b"cos\nsystem\n(S'touch /tmp/harm'\ntR.")),
    "a pickle inside": every_array(pickled_npy()),
    "no array": every_array(b"import os"),
    "without arrays": lambda content: zipped({"schema.json": members_of(content)["schema.json"]}),
    "without a schema": lambda content: zipped({"other.json": b"{}"}),
    "empty schema": in_schema(lambda schema: {"protocol": 2}),
    "list as schema": lambda content: zipped({"schema.json": b"[]"}),
    "deep schema": lambda content: zipped({"schema.json": b"[" * 10**5 + b"]" * 10**5}),
    "no JSON": lambda content: zipped({"schema.json": b"{'a': 1"}),
    "a pickle": lambda content: b"\x80\x04cos\nsystem\n(S'touch /tmp/harm'\ntR.",
    "nothing": lambda content: b"",
    "zeros": lambda content: b"\0" * 10**6,
    "newer format": set_json(1, 99),
    "format of a text": set_json(1, "1"),
    "other version": set_json("texts", "objects"),
    "unknown kind": set_json("DataFrame", "Harm"),
    "function": replace_nodes("JsonNode", FUNCTION),
    "class": replace_nodes("ObjectNode", OTHER),
    "method": replace_nodes("TupleNode", FUNCTION | {"__loader__": "MethodNode"}),
    "constructor": replace_nodes("ListNode", OTHER | {"__loader__": "ConstructorFromReduceNode"}),
    "cached": replace_nodes("ListNode", {"__loader__": "CachedNode", "__id__": 1}),
    "partial": replace_nodes("DictNode", FUNCTION | {"__loader__": "PartialNode"}),
    "class of ours": replace_nodes(
        "DictNode",
        {
            "__class__": "LSTMVisitClassifier",
            "__module__": "sklearn_ehr.estimators._classifier",
            "__loader__": "ObjectNode",
        },
    ),
    "classes swapped": in_schema(
        lambda schema: json.loads(
            json.dumps(schema)
            .replace("_classifier", "_swapped")
            .replace("_transformers", "_classifier")
            .replace("VisitSequenceTransformer", "LSTMVisitClassifier")
        )
    ),
    "large embedding": signed(embedding_dim=10**9),
    "many codes": signed(vocab_size=2**62),
    "many layers": signed(num_layers=10**9),
    "no layers": signed(num_layers=0),
    "no size": signed(hidden_dim="8"),
    "size of a list": signed(hidden_dim=[8] * 100),
    "negative size": signed(hidden_dim=-8),
    "other aggregation": signed(aggregation="os.system"),
    **{
        f"path {path}": replace_nodes("NdArrayNode", {"file": path, "type": "numpy"})
        for path in PATHS
    },
}


def test_mutated_models_are_errors(whole, tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "mutated"
    folder.mkdir()
    (tmp_path / "whole").write_bytes(whole)
    flips = rng.choice(len(whole), 60, replace=False)
    files = {f"flip at {position}": flipped(whole, position) for position in flips}
    files |= {f"cut at {n}": whole[:n] for n in rng.choice(len(whole), 20, replace=False)}
    files |= {f"crafted, {name}": mutate(whole) for name, mutate in CRAFTED.items()}
    for name, content in files.items():
        (folder / name.replace("/", "|")).write_bytes(content)
    results = results_of("skops", folder, tmp_path / "whole")
    assert len(results) == len(files) > 120
    assert not {name: harm for name, (_, harm) in results.items() if harm}
    assert not Path("/tmp/harm").exists()
    results = {name: result for name, (result, _) in results.items()}
    # Archives hold a few bytes that nobody reads, such as dates.
    read = {name: result for name, result in results.items() if result == "same"}
    assert all(name.startswith("flip") for name in read)
    assert len(read) < 6
    assert not [name for name, result in results.items() if result == "OTHER MODEL"]
    told = {name: result.partition(": ") for name, result in results.items() if name not in read}
    assert all(message for _, _, message in told.values())


def checkpoint_mutations(content, state):
    """Bytes of a checkpoint that somebody has changed."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])

    def with_header(change, length=None):
        new = json.loads(json.dumps(header))
        change(new)
        text = json.dumps(new).encode()
        return (
            struct.pack("<Q", len(text) if length is None else length) + text + content[8 + size :]
        )

    def set_all(name, value):
        def change(new):
            for key, part in new.items():
                if key != "__metadata__":
                    part[name] = value

        return change

    yield "nothing", b""
    yield "a pickle", b"\x80\x04cos\nsystem\n(S'touch /tmp/harm'\ntR."
    yield "zip", zipped({"schema.json": b"{}"})
    yield "text", b"import os\n" * 1000
    for length in (2**63, 2**40, 2**31, 2**24 + 1, 2, 0):
        yield f"length {length}", with_header(lambda new: None, length)
    for shape in ([2**40], [2**62, 2**62], [-1], [0], "x", [[1]], None, [2**28]):
        yield f"shape {str(shape)[:9]}", with_header(set_all("shape", shape))
    for offsets in ([0, 2**62], [2**62, 0], [-8, 8], [0, 0], [0], "x"):
        yield f"offsets {str(offsets)[:9]}", with_header(set_all("data_offsets", offsets))
    for dtype in ("F64", "BOOL", "O", "", 3):
        yield f"type {dtype}", with_header(set_all("dtype", dtype))
    yield "no metadata", with_header(lambda new: new.pop("__metadata__"))
    for text in ("", "{}", "[" * 10**5, "null", '{"dict": 3}', '{"os.system": "touch"}', "x"):
        change = functools.partial(_set_state, text)
        yield f"state {text[:8]}", with_header(change)
    facts = ["x" * 2**25, None, [], {"dict": 1}]
    for i, fact in enumerate(facts):
        yield f"format {i}", pack(state | {"format": fact})[: 2**26]


def _set_state(text, header):
    header["__metadata__"]["state"] = text


def test_mutated_checkpoints_are_errors(tmp_path):
    X = VisitSequenceTransformer(min_frequency=3).fit_transform(saved_models.X)
    model = LSTMVisitClassifier(
        embedding_dim=8,
        hidden_dim=8,
        max_epochs=1,
        early_stopping=False,
        random_state=0,
        checkpoint=tmp_path / "fit",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, saved_models.Y)
    [path] = (tmp_path / "fit").rglob("*.safetensors")
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    folder = tmp_path / "mutated"
    folder.mkdir()
    files = {f"flip at {n}": flipped(content, n) for n in rng.choice(len(content), 60, False)}
    files |= {f"cut at {n}": content[:n] for n in rng.choice(len(content), 20, False)}
    files |= dict(checkpoint_mutations(content, unpack(path, 2**24)))
    for name, damaged in files.items():
        (folder / name.replace("/", "|")).write_bytes(damaged)
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "endless").symlink_to("/dev/zero")
    with (folder / "sparse").open("wb") as file:
        file.truncate(2**40)
    results = results_of("checkpoint", folder, path)
    assert len(results) == len(files) + 4 > 120
    assert not {name: harm for name, (_, harm) in results.items() if harm}
    results = {name: result for name, (result, _) in results.items()}
    # Whole ones of another format are read, and refused where they are used.
    other = [name for name, result in results.items() if result in ("same", "OTHER MODEL")]
    assert all(name.startswith("format") for name in other)
    for name in other:
        (path.parent / "fit-00001.safetensors").write_bytes(files[name])
        with pytest.warns(UserWarning, match=r"is not used.*format .* is not that of this fit, 1"):
            clone(model).fit(X, saved_models.Y)
    results = {name: result for name, result in results.items() if name not in other}
    assert all(result.partition(": ")[2] for result in results.values())
