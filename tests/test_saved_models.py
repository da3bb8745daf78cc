"""A fitted model is saved without code: it answers the same elsewhere, or says why it cannot."""

import copy
import enum
import io
import json
import pickle
import subprocess
import sys
import warnings
import zipfile
from datetime import timedelta
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import saved_models
import skops.io
import torch
from skorch.callbacks import Checkpoint, Freezer, LRScheduler

from sklearn_ehr import (
    CodeCountVectorizer,
    LSTMVisitClassifier,
    VisitSequenceTransformer,
)
from sklearn_ehr.utils import checksum

HERE = Path(__file__).parent
PLAIN = (bool, int, float, str, type(None), np.ndarray)
each_kind = pytest.mark.parametrize("kind", saved_models.KINDS)

# Loads what was saved in a process that has not fitted it.
ELSEWHERE = """
import sys, warnings
import joblib, numpy as np, skops.io
warnings.simplefilter("ignore", UserWarning)
sys.path.insert(0, sys.argv[1])
import saved_models
folder = sys.argv[2]
for kind in saved_models.KINDS:
    file = f"{folder}/{kind}.skops"
    trusted = skops.io.get_untrusted_types(file=file)
    models = skops.io.load(file, trusted=trusted), joblib.load(f"{folder}/{kind}.joblib")
    for model in models:
        expected = np.load(f"{folder}/{kind}.npy")
        np.testing.assert_array_equal(saved_models.answers(model, kind), expected, err_msg=kind)
"""


@pytest.fixture(scope="module")
def models():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {kind: fit() for kind, (fit, _, _) in saved_models.KINDS.items()}


def test_every_kind_answers_the_same_in_another_process(models, tmp_path):
    for kind, model in models.items():
        skops.io.dump(model, tmp_path / f"{kind}.skops")
        joblib.dump(model, tmp_path / f"{kind}.joblib")
        np.save(tmp_path / f"{kind}.npy", saved_models.answers(model, kind))
    subprocess.run([sys.executable, "-c", ELSEWHERE, HERE, tmp_path], check=True)


@each_kind
def test_only_classes_of_this_package_are_to_be_trusted(models, kind):
    untrusted = skops.io.get_untrusted_types(data=skops.io.dumps(models[kind]))
    ours = [name for name in untrusted if name.startswith("sklearn_ehr.")]
    of_sklearn = {"_CalibratedClassifier", "_SigmoidCalibration", "Bunch"}
    assert {name.rpartition(".")[2] for name in untrusted if name not in ours} <= of_sklearn
    names = {name.rpartition(".")[2] for name in ours}
    assert names <= {
        "CodeCountVectorizer",
        "LSTMVisitClassifier",
        "LSTMVisitRegressor",
        "LSTMVisitSurvival",
        "LSTMVisitTagger",
        "StratifiedPatientKFold",
        "VisitSequenceTransformer",
    }


def parts_of(state):
    if isinstance(state, dict):
        assert all(type(name) is str for name in state)
        state = [*state.values()]
    if isinstance(state, (list, tuple)):
        for part in state:
            yield from parts_of(part)
    else:
        yield state


@each_kind
def test_state_is_arrays_and_plain_values(models, kind):
    steps = getattr(models[kind], "steps", [])
    for _, step in steps:
        if type(step).__module__.startswith("sklearn_ehr"):
            parts = list(parts_of(step.__getstate__()))
            assert all(type(part) in PLAIN or isinstance(part, np.generic) for part in parts)
            assert all(part.dtype != object for part in parts if isinstance(part, np.ndarray))
            assert len(parts) > 20


@pytest.fixture(scope="module")
def model(models):
    return models["classifier"]


def tiny(**params):
    params = {"embedding_dim": 4, "hidden_dim": 4, "max_epochs": 2, "random_state": 0} | params
    return LSTMVisitClassifier(device="cpu", **params)


@pytest.fixture(scope="module")
def sequences():
    transformer = VisitSequenceTransformer(min_frequency=3)
    return transformer.fit_transform(saved_models.X)


def through_skops(model):
    data = skops.io.dumps(model)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


both_ways = pytest.mark.parametrize("trip", [through_skops, through_pickle, copy.deepcopy])


@both_ways
def test_parameters_and_what_was_learnt_are_read_again(trip, models):
    for kind, model in models.items():
        for step in dict(getattr(model, "steps", [])).values():
            if not type(step).__module__.startswith("sklearn_ehr"):
                continue
            again = trip(step)
            assert vars(again).keys() == vars(step).keys(), kind
            for name, value in step.get_params().items():
                if not isinstance(value, pd.DataFrame):
                    assert getattr(again, name) == value
            if hasattr(step, "history_"):
                pd.testing.assert_frame_equal(again.history_, step.history_)
                assert again.net_.history.to_list() == step.net_.history.to_list()
            if hasattr(step, "vocabulary_"):
                assert again.vocabulary_ == step.vocabulary_


@both_ways
@pytest.mark.parametrize("as_type", [dict, pd.DataFrame, "lists"])
def test_code_vectors_are_read_again_and_training_goes_on(trip, as_type, sequences):
    codes = sequences.vocabulary.codes
    vectors = np.arange(4.0 * len(codes)).reshape(len(codes), 4)
    init = {
        dict: dict(zip(codes, vectors, strict=True)),
        "lists": dict(zip(codes, vectors.tolist(), strict=True)),
        pd.DataFrame: pd.DataFrame(vectors, index=codes),
    }[as_type]
    model = tiny(embedding_init=init).partial_fit(sequences, saved_models.Y, classes=[0, 1])
    again = trip(model)
    assert [*(init.index if as_type is pd.DataFrame else init)] == codes.tolist()
    if as_type is pd.DataFrame:
        pd.testing.assert_frame_equal(again.embedding_init, init)
    else:
        assert again.embedding_init.keys() == init.keys()
    np.testing.assert_array_equal(
        again.partial_fit(sequences, saved_models.Y).predict_proba(sequences),
        model.partial_fit(sequences, saved_models.Y).predict_proba(sequences),
    )


@both_ways
@pytest.mark.parametrize(
    "params",
    [
        {"visits": timedelta(days=30, seconds=5)},
        {"visits": pd.Timedelta("30D")},
        {"visits": np.timedelta64(30, "D")},
        {"min_frequency": np.float64(0.1)},
        {"max_visits": np.int64(3)},
        {"value_bins": None, "handle_unknown": enum.StrEnum("Enum", {"A": "ignore"}).A},
        {"windows": [pd.Timedelta("90D"), "30D"], "last_visits": (1, 3)},
    ],
)
def test_parameters_of_any_type_are_read_again(trip, params):
    cls = CodeCountVectorizer if "windows" in params else VisitSequenceTransformer
    transformer = cls(**params).fit(saved_models.X)
    again = trip(transformer)
    assert again.get_params() == transformer.get_params()
    assert all(
        type(getattr(again, name)) is type(value)
        for name, value in params.items()
        if not isinstance(value, enum.Enum)
    )
    one, other = transformer.transform(saved_models.X), again.transform(saved_models.X)
    one, other = (getattr(out, "tokens", out) for out in (one, other))
    assert (one != other).sum() == 0


@both_ways
@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes"],
        [False, True],
        [1.0, 2.0],
        np.array(["ä\0", "ü\0\0"], dtype=object),
        np.array([0, 1], dtype=np.int8),
        pd.to_datetime(["2020-01-01", "2021-01-01"]).to_numpy(),
    ],
)
def test_classes_of_any_type_are_read_again(trip, labels, sequences):
    y = np.asarray(labels)[saved_models.Y]
    model = tiny(max_epochs=1).fit(sequences, y)
    again = trip(model)
    assert again.classes_.dtype == model.classes_.dtype
    assert again.classes_.tolist() == model.classes_.tolist()
    assert again.predict(sequences).tolist() == model.predict(sequences).tolist()


def test_class_weights_by_booleans_are_read_again(sequences):
    weights = {False: 1.0, True: 3.0}
    model = tiny(class_weight=weights).fit(sequences, saved_models.Y.astype(bool))
    assert through_skops(model).class_weight == weights


@both_ways
def test_unfitted_estimators_are_saved(trip):
    for estimator in (tiny(lr=0.5), VisitSequenceTransformer(max_visits=3)):
        again = trip(estimator)
        assert again.get_params() == estimator.get_params()
        assert vars(again).keys() == vars(estimator).keys()


@both_ways
def test_random_state_instances_go_on(trip):
    random_state = np.random.RandomState(5)
    again = trip(tiny(random_state=random_state))
    assert again.random_state.randint(10**6) == copy.deepcopy(random_state).randint(10**6)


def test_other_generators_go_on_in_pickles():
    random_state = np.random.RandomState(np.random.PCG64(5))
    again = through_pickle(tiny(random_state=random_state))
    assert again.random_state.randint(10**6) == copy.deepcopy(random_state).randint(10**6)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"pos": 2**30}, "no state of a Mersenne Twister"),
        ({"pos": -1}, "no state of a Mersenne Twister"),
        ({"key": np.zeros(3, dtype=np.uint32)}, "no state of a Mersenne Twister"),
    ],
)
def test_random_state_that_would_read_beyond_its_words_is_refused(damage, reason, model):
    with pytest.raises(ValueError, match=reason):
        read_with(model[-1], "_random_state", lambda plain: plain | damage)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"dtypes": ["S1000000000"] * 5}, "columns of unknown types"),
        ({"dtypes": ["datetime64[ns, dateutil//etc/passwd]"] * 5}, "columns of unknown types"),
        ({"dtypes": []}, "zip"),
    ],
)
def test_frame_of_other_types_is_refused(damage, reason, model):
    with pytest.raises(ValueError, match=reason):
        read_with(model[-1], "history_", lambda plain: plain | damage)


@pytest.mark.parametrize("lengths", [[10**6, -(10**6)] * 4, [1], [], [10**12]])
def test_texts_that_do_not_add_up_are_refused(lengths, model):
    texts = {"kind": "texts", "utf8": np.zeros(8, dtype=np.uint8), "shape": (len(lengths),)}
    with pytest.raises(ValueError, match="do not add up"):
        read_with(
            model[-1], "classes_", lambda _: texts | {"lengths": np.array(lengths, dtype=np.int64)}
        )


def test_other_settings_of_a_net_are_refused(model):
    def change(plain):
        inner = plain["values"][plain["keys"].index("settings")]
        inner["keys"].append("iterator_train__num_workers")
        inner["values"].append(50)
        return plain

    with pytest.raises(ValueError, match="not settings of a net"):
        read_with(model[-1], "net_", change)


@pytest.mark.parametrize("index", [range(30), range(100, 130), range(0, 60, 2)])
def test_numbered_codes_keep_their_numbers(index):
    init = pd.DataFrame(np.ones((30, 4)), index=pd.Index(index, name="code"))
    again = through_pickle(tiny(embedding_init=init)).embedding_init
    pd.testing.assert_frame_equal(again, init, check_index_type=False)


def test_what_was_frozen_stays_frozen(sequences):
    model = tiny(callbacks=[Freezer("embedding.weight")])
    model.partial_fit(sequences, saved_models.Y, classes=[0, 1])
    again = through_pickle(model).partial_fit(sequences, saved_models.Y)
    assert not again.net_.module_.embedding.weight.requires_grad
    weights = model.net_.module_.embedding.weight
    assert torch.equal(again.net_.module_.embedding.weight, weights)


def test_parameters_changed_since_the_fit_stay_so(sequences):
    model = tiny().fit(sequences, saved_models.Y).set_params(hidden_dim=9, callbacks=[])
    again = through_pickle(model)
    assert again.hidden_dim == 9
    np.testing.assert_array_equal(again.predict_proba(sequences), model.predict_proba(sequences))
    with pytest.raises(ValueError, match="so hidden_dim, callbacks cannot be changed"):
        again.partial_fit(sequences, saved_models.Y)


def test_a_schedule_goes_on_in_partial_fit(sequences):
    callbacks = [LRScheduler("StepLR", step_size=1, gamma=0.5)]
    model = tiny(callbacks=callbacks).partial_fit(sequences, saved_models.Y, classes=[0, 1])
    again = through_pickle(through_pickle(model))
    for one in (model, again):
        one.partial_fit(sequences, saved_models.Y).partial_fit(sequences, saved_models.Y)
    assert again.history_["lr"].tolist() == model.history_["lr"].tolist()


def test_loading_asks_no_callback_to_begin(sequences, tmp_path):
    folder = tmp_path / "of the other machine"
    callbacks = [Checkpoint(dirname=str(folder), monitor=None)]
    model = tiny(callbacks=callbacks).fit(sequences, saved_models.Y)
    saved = pickle.dumps(model)
    assert folder.exists()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    pickle.loads(saved).predict(sequences)
    assert not folder.exists()


def test_loading_leaves_torch_as_it_was(model):
    saved = pickle.dumps(model)
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            again = pickle.loads(saved)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    new = saved_models.X[saved_models.NEW]
    np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))
    assert again[-1].net_.module_.head.weight.dtype == torch.float32


def test_mapped_weights_are_read(model, tmp_path):
    joblib.dump(model, tmp_path / "model")
    again = joblib.load(tmp_path / "model", mmap_mode="r")
    new = saved_models.X[saved_models.NEW]
    np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))


def test_copy_shares_what_was_learnt(model):
    assert copy.copy(model[-1]).net_ is model[-1].net_


def read_with(step, name, change):
    """A step read from a state in which an attribute was changed by someone who can sign it."""
    state = copy.deepcopy(step.__getstate__())
    content = state["content"]
    position = content["keys"].index(name)
    content["values"][position] = change(content["values"][position])
    state["checksum"] = checksum([type(step).__name__, content])
    again = object.__new__(type(step))
    again.__setstate__(state)
    return again


def as_of_gpu(plain):
    """The state of a net as a machine with a GPU would have saved it."""
    settings = plain["values"][plain["keys"].index("settings")]
    settings["values"][settings["keys"].index("device")] = "cuda"
    return plain


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_trained_on_a_gpu_loads_on_a_cpu(model):
    again = read_with(model[-1], "net_", as_of_gpu)
    assert again.net_.device == "cpu"
    new = model[0].transform(saved_models.X[saved_models.NEW])
    np.testing.assert_array_equal(again.predict_proba(new), model[-1].predict_proba(new))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_of_a_gpu_stays_there_and_is_saved_as_arrays(sequences):
    model = tiny().set_params(device="cuda").fit(sequences, saved_models.Y)
    again = through_skops(model)
    assert again.net_.device == "cuda"
    np.testing.assert_array_equal(again.predict_proba(sequences), model.predict_proba(sequences))


def test_newer_format_says_which_version_it_needs(model):
    state = model[0].__getstate__() | {"format": 99, "saved_by": "7.5"}
    with pytest.raises(ValueError, match=r"Install sklearn_ehr 7\.5 or later"):
        VisitSequenceTransformer().__setstate__(state)


@pytest.mark.parametrize("state", [{}, {"net_": 1}, None, [1], {"format": "1"}])
def test_state_without_a_format_is_refused(state):
    with pytest.raises(ValueError, match="no format version"):
        LSTMVisitClassifier().__setstate__(state)


def test_state_of_another_class_is_refused(model):
    with pytest.raises(ValueError, match=r"saved CodeCountVectorizer is damaged .*checksum"):
        CodeCountVectorizer().__setstate__(model[0].__getstate__())


def test_other_versions_are_told(model):
    state = model[-1].__getstate__()
    again = copy.copy(model[-1])
    again._versions = again._versions | {"torch": "1.0.0"}
    with pytest.warns(UserWarning, match=r"other versions .* torch 1\.0\.0 \("):
        pickle.loads(pickle.dumps(again))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        object.__new__(LSTMVisitClassifier).__setstate__(state)


def test_flipped_bits_in_pickles_are_errors(model):
    """Where the state of the network is hit; nothing is promised of other parts of a pickle."""
    content = pickle.dumps(model[-1])
    weights = model[-1].net_.module_.lstm.weight_hh_l0.detach().numpy().tobytes()
    start = content.index(weights)
    for position in range(start, start + len(weights), 37):
        damaged = bytearray(content)
        damaged[position] ^= 16
        with pytest.raises(ValueError, match=r"is damaged .*checksum is wrong"):
            pickle.loads(bytes(damaged))


def test_file_of_format_1_is_read():
    file = HERE / "data" / "model_format_1.skops"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # other versions
        model = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    expected = np.load(HERE / "data" / "model_format_1.npy")
    np.testing.assert_allclose(saved_models.answers(model, "features"), expected, atol=1e-6)


def test_saved_file_names_its_format(model):
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model[0]))) as archive:
        schema = json.loads(archive.read("schema.json"))
    assert json.loads(schema["content"]["content"]["format"]["content"]) == 1
