"""A fit that was killed goes on from its last checkpoint, and ends in the same bits."""

import copy
import dataclasses
import multiprocessing
import os
import pickle
import signal
import threading
import time
import uuid
import warnings
from contextlib import contextmanager, suppress
from datetime import datetime
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.metrics import average_precision_score, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    Initializer,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
)
from torch.nn.init import constant_
from torch.optim.lr_scheduler import OneCycleLR

from sklearn_ehr import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    StratifiedPatientKFold,
    VisitSequenceTransformer,
)
from sklearn_ehr.datasets import make_visits
from sklearn_ehr.estimators._checkpoints import pack, unpack
from sklearn_ehr.estimators._dataset import VisitDataset
from sklearn_ehr.estimators._fingerprint import fingerprint_of
from sklearn_ehr.estimators._net import VisitNet
from sklearn_ehr.estimators._net_state import state_of_net
from sklearn_ehr.estimators._samples import Samples
from sklearn_ehr.utils import as_plain, checksum

pytestmark = pytest.mark.filterwarnings("ignore:LSTMVisit.* has .* samples to learn from")

N = 150
COHORT, Y = make_visits(N, n_codes=40, random_state=0)
X = VisitSequenceTransformer(min_frequency=5).fit_transform(COHORT)
NUMBERS = COHORT.samples["risk"].to_numpy()
SURVIVAL = np.rec.fromarrays([np.arange(N) % 3, 5.0 + np.arange(N) % 31], names="event,time")
VISITS = [np.arange(n) % 2 for n in X.lengths]
SMALL = {"embedding_dim": 8, "hidden_dim": 8, "batch_size": 32, "device": "cpu", "lr": 0.01}


TARGET = np.asarray(Y, dtype=np.float32)
DATA = VisitDataset(X, TARGET, np.ones(N))
SAMPLES = Samples(X, Y, DATA, np.ones(N), np.asarray(Y))


def classifier(**params):
    return LSTMVisitClassifier(**SMALL | {"max_epochs": 6, "random_state": 0} | params)


def bits_of(model):
    """All that a fit learnt, except for how long its epochs took."""
    state = state_of_net(model.net_)
    del state["history"]
    return checksum(as_plain(state)), model.history_.drop(columns="dur").to_csv()


def schedule():
    return [LRScheduler("StepLR", step_size=2, gamma=0.5)]


CASES = {
    "early stopping and refit": (lambda: classifier(n_iter_no_change=2), Y),
    "average": (lambda: classifier(average=True, early_stopping=False), Y),
    "score": (lambda: classifier(scoring="roc_auc", average=True), Y),
    "schedule": (lambda: classifier(callbacks=schedule()), Y),
    "milestones": (
        lambda: classifier(callbacks=[LRScheduler("MultiStepLR", milestones=[2, 4])]),
        Y,
    ),
    "plateau": (
        lambda: classifier(
            callbacks=[LRScheduler("ReduceLROnPlateau", monitor="train_loss", patience=0)]
        ),
        Y,
    ),
    "warm-up": (
        lambda: classifier(callbacks=[LRScheduler(OneCycleLR, max_lr=0.1, total_steps=12)]),
        Y,
    ),
    "own early stopping": (
        lambda: classifier(
            early_stopping=False,
            callbacks=[EarlyStopping("train_loss", patience=2, threshold=0.5, load_best=True)],
        ),
        Y,
    ),
    "frozen embeddings": (lambda: classifier(callbacks=[Freezer("embedding.weight")]), Y),
    "epoch scoring": (
        lambda: classifier(callbacks=[EpochScoring("roc_auc", on_train=True, name="auc")]),
        Y,
    ),
    "regressor": (
        lambda: LSTMVisitRegressor(**SMALL, max_epochs=6, random_state=1, num_layers=2),
        NUMBERS,
    ),
    "survival": (lambda: LSTMVisitSurvival(**SMALL, max_epochs=6, random_state=2), SURVIVAL),
    "tagger": (lambda: LSTMVisitTagger(**SMALL, max_epochs=6, random_state=3), VISITS),
}


# With 20 every kind of fit is killed, some twice; it takes a minute more.
N_KILLED = int(os.environ.get("N_KILLED", "4"))


class Killed(Exception):
    """A training that ends without a word, as far as the estimator can tell."""


@cache
def unbroken(case):
    """Bits of a fit that nothing breaks off, and that keeps no checkpoints."""
    make, y = CASES[case]
    return bits_of(make().fit(X, y))


@contextmanager
def breaking_off(n_epochs):
    """Let a fit break off in the middle of an epoch, after so many over all its trainings."""
    step, begun = VisitNet.train_step, []

    def train_step(net, batch, **kwargs):
        if len(net.history[-1, "batches"]) == 3:
            begun.append(net)
            if len(begun) > n_epochs:
                raise Killed
        return step(net, batch, **kwargs)

    VisitNet.train_step = train_step
    try:
        yield
    finally:
        VisitNet.train_step = step


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("after", [[7], [2, 1, 5]])
def test_a_fit_that_broke_off_ends_in_the_same_bits(case, after, tmp_path):
    make, y = CASES[case]
    for n_epochs in after:
        with breaking_off(n_epochs), suppress(Killed):
            make().set_params(checkpoint=tmp_path).fit(X, y)
    assert bits_of(make().set_params(checkpoint=tmp_path).fit(X, y)) == unbroken(case)


class Count(Callback):
    """Count epochs in a list that clones share."""

    seen = []

    def on_epoch_begin(self, net, **kwargs):
        Count.seen.append(len(net.history))


@pytest.mark.parametrize("case", CASES)
def test_a_finished_fit_is_not_trained_again(case, tmp_path):
    make, y = CASES[case]
    model = make().set_params(checkpoint=tmp_path)
    model.set_params(callbacks=[*(model.callbacks or []), Count()])
    whole = clone(model).fit(X, y)
    Count.seen.clear()
    again = clone(model).fit(X, y)
    assert Count.seen == []
    assert bits_of(again) == bits_of(whole)
    pd.testing.assert_frame_equal(again.history_, whole.history_)


def test_a_validation_set_that_is_given_is_part_of_the_fit(tmp_path):
    def fit(n_val):
        model = classifier(checkpoint=tmp_path)
        return model.fit(X[:100], Y[:100], X_val=X[100 : 100 + n_val], y_val=Y[100 : 100 + n_val])

    fit(50), fit(40), fit(50)
    assert len([*tmp_path.iterdir()]) == 2


def fit_in_process(case, folder, sender):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    make, y = CASES[case]
    sender.send("begun")
    sender.send(bits_of(make().set_params(checkpoint=folder).fit(X, y)))


def run(case, folder, kill_after=None, delay=0.0):
    """Bits of a fit in a process of its own, or None if it is killed.

    It is killed some time after it has checkpoints of so many epochs.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sklearn_ehr.estimators"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=fit_in_process, args=(case, folder, sender))
    process.start()
    sender.close()
    assert receiver.recv() == "begun"
    while kill_after is not None and not receiver.poll(0.001):
        last = dict(path.stem.split("-") for path in files_in(folder))
        if sum(map(int, last.values())) >= kill_after:
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
            break
    try:
        return receiver.recv()
    except EOFError:
        return None
    finally:
        process.join()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("number", range(N_KILLED))
def test_killed_processes_end_in_the_same_bits(number, tmp_path):
    """Each at random moments of its fit; every other one twice."""
    case = [*CASES][number % len(CASES)]
    make, y = CASES[case]
    whole = make().fit(X, y)
    rng = np.random.default_rng(number)
    for n_epochs in sorted(rng.integers(1, len(whole.history_) - 1, 1 + number % 2)):
        delay = rng.uniform(0, 0.04)
        assert run(case, tmp_path, kill_after=n_epochs, delay=delay) is None
        assert files_in(tmp_path)
    assert run(case, tmp_path) == bits_of(whole)


def files_in(folder):
    return sorted(path for path in Path(folder).rglob("*.safetensors"))


def broken_off(folder, n_epochs=4, **params):
    """An estimator without a refit whose fit broke off after some epochs."""
    model = classifier(checkpoint=folder, early_stopping=False, **params)
    with breaking_off(n_epochs), pytest.raises(Killed):
        model.fit(X, Y)
    return model


def test_the_last_two_checkpoints_are_kept(tmp_path):
    broken_off(tmp_path)
    assert [path.name for path in files_in(tmp_path)] == [
        "fit-00003.safetensors",
        "fit-00004.safetensors",
    ]


def tear(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-2000] ^= 8
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


def change(**facts):
    def write(path):
        path.write_bytes(pack(unpack(path, 2**24) | facts))

    write.__name__ = "change " + next(iter(facts))
    return write


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (tear, "MetadataIncompleteBuffer|incomplete"),
        (flip, "checksum is wrong"),
        (empty, "header|too small"),
        (change(fingerprint="of another fit"), "fingerprint 'of another fit' is not that"),
        (change(format=7), "format 7 is not that of this fit, 1"),
        (change(versions={"torch": "1.0"}), r"versions \{'torch': '1.0'\} is not that"),
        (change(stage="refit"), "stage 'refit' is not that of this fit, 'fit'"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_named_and_the_one_before_is_used(
    damage, reason, tmp_path
):
    whole = classifier(early_stopping=False).fit(X, Y)
    model = broken_off(tmp_path, random_state=0)
    damage(files_in(tmp_path)[-1])
    with pytest.warns(UserWarning, match=rf"fit-00004\.safetensors is not used, .*({reason})"):
        again = clone(model).fit(X, Y)
    assert bits_of(again) == bits_of(whole)


def test_without_any_checkpoint_training_begins_anew(tmp_path):
    whole = classifier(early_stopping=False).fit(X, Y)
    model = broken_off(tmp_path)
    for path in files_in(tmp_path):
        tear(path)
    with (
        breaking_off(2),
        pytest.raises(Killed),
        pytest.warns(UserWarning, match="is not used") as told,
    ):
        clone(model).fit(X, Y)
    assert {warning.filename for warning in told} == {__file__}
    assert [path.name for path in files_in(tmp_path)] == [
        "fit-00001.safetensors",
        "fit-00002.safetensors",
    ]
    assert bits_of(clone(model).fit(X, Y)) == bits_of(whole)


def test_a_checkpoint_made_to_look_whole_is_named(tmp_path):
    model = broken_off(tmp_path)
    path = files_in(tmp_path)[-1]
    state = unpack(path, 2**24)
    state["training"]["net"]["weights"]["head.bias"] = np.zeros(9, dtype=np.float32)
    path.write_bytes(pack(state))
    with pytest.raises(
        ValueError, match=r"(?s)fit-00004\.safetensors does not fit .*size mismatch"
    ):
        clone(model).fit(X, Y)


class Holder(Callback):
    """Keep what a callback might: parts of the net, and values of any kind."""

    def on_train_begin(self, net, **kwargs):
        self.module_, self.optimizer_ = net.module_, net.optimizer_
        self.weights_ = net.module_.state_dict()
        self.fraction_ = Fraction(1, 3)
        self.data_ = [1.0] * 1000

    def on_epoch_begin(self, net, **kwargs):
        net.history.record("when", datetime(2020, 1, 1))
        net.history.record("norm", np.float32(0.5))
        net.history.record("pairs", {(1, 2): 3})


def test_callbacks_may_hold_and_record_anything(tmp_path):
    whole = classifier(callbacks=[Holder()], early_stopping=False).fit(X, Y)
    model = broken_off(tmp_path, callbacks=[Holder()])
    assert bits_of(model.fit(X, Y)) == bits_of(whole)
    assert bits_of(pickle.loads(pickle.dumps(model))) == bits_of(whole)


@pytest.mark.parametrize("refused", [None, 1])
def test_checkpoints_with_several_copies_of_weights_are_used(refused, tmp_path, monkeypatch):
    from sklearn_ehr.estimators import _checkpoints

    monkeypatch.setattr(_checkpoints, "_MOST_REST", 20_000)
    if refused is not None:
        monkeypatch.setattr(_checkpoints, "_MOST_WEIGHTS", refused)
    callbacks = [EarlyStopping("train_loss", patience=9, load_best=True)]
    params = {"average": True, "callbacks": callbacks, "embedding_dim": 64, "hidden_dim": 64}
    broken_off(tmp_path, **params)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        classifier(checkpoint=tmp_path, early_stopping=False, **params).fit(X, Y)
    assert any("too large" in str(warning.message) for warning in told) == (refused is not None)


def test_leftovers_of_writing_are_removed(tmp_path):
    model = broken_off(tmp_path)
    [folder] = tmp_path.iterdir()
    (folder / "abc.part").write_bytes(b"half")
    model.fit(X, Y)
    assert not [*folder.glob("*.part")]


def test_without_a_random_state_a_fit_goes_on_with_the_seeds_it_began_with(tmp_path):
    broken_off(tmp_path, random_state=None)
    model = classifier(checkpoint=tmp_path, early_stopping=False, random_state=None)
    one = clone(model).fit(X, Y)
    with pytest.warns(UserWarning, match="holds a finished fit .* used and not repeated") as told:
        other = clone(model).fit(X, Y)
    assert told[-1].filename == __file__
    assert bits_of(one) == bits_of(other)
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.02},
        {"max_epochs": 7},
        {"random_state": 1},
        {"callbacks": [LRScheduler("StepLR", step_size=3)]},
        {"class_weight": {0: 1, 1: 2}},
    ],
)
def test_other_parameters_have_a_place_of_their_own(change, tmp_path):
    params = {"checkpoint": tmp_path, "callbacks": schedule(), "max_epochs": 2}
    classifier(**params).fit(X, Y)
    classifier(**params | change).fit(X, Y)
    classifier(**params | {"verbose": 0}).fit(X, Y)
    assert len([*tmp_path.iterdir()]) == 2


def power_of(base):
    return lambda epoch: base**epoch


def weigh(model, X, y, beta):
    return beta


VECTORS = {code: np.full(8, float(i)) for i, code in enumerate(X.vocabulary.codes)}
# Two fits each that differ in one parameter.
PAIRS = {
    "scorers": [
        {"scoring": make_scorer(metric)} for metric in (roc_auc_score, average_precision_score)
    ],
    "partials": [{"scoring": partial(weigh, beta=beta)} for beta in (0.1, 9)],
    "closures": [
        {"callbacks": [LRScheduler("LambdaLR", lr_lambda=power_of(base))]} for base in (0.1, 0.9)
    ],
    "functions": [{"scoring": lambda *_: 1.0}, {"scoring": lambda *_: 2.0}],
    "vectors": [
        {"embedding_init": {code: scale * vector for code, vector in VECTORS.items()}}
        for scale in (1, 2)
    ],
    "tensors": [
        {"embedding_init": {code: torch.tensor(v) + shift for code, v in VECTORS.items()}}
        for shift in (0, 1)
    ],
    "series": [
        {"embedding_init": {code: pd.Series(v) + shift for code, v in VECTORS.items()}}
        for shift in (0, 1)
    ],
    "frames": [{"embedding_init": pd.DataFrame(VECTORS).T + shift} for shift in (0, 1)],
    "callbacks": [{"callbacks": [GradientNormClipping(norm)]} for norm in (1, 2)],
    "rates": [{"lr": rate} for rate in (0.01, 0.02)],
    "indices": [
        {"embedding_init": pd.DataFrame(np.ones((9, 8)), index=range(start, start + 9))}
        for start in (0, 1)
    ],
    "functions of numpy": [
        {"callbacks": [Initializer("head.*", fn=function)]} for function in (np.sin, np.cos)
    ],
    "nested": [
        {"callbacks": [Initializer("head.*", fn=partial(constant_, val=value))]} for value in (0, 1)
    ],
    "class weights": [{"class_weight": {0: 1, 1: weight}} for weight in (2, 3)],
}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_parameter_counts_by_its_content(pair, tmp_path):
    for params in PAIRS[pair]:
        fingerprints = {
            fingerprint_of(classifier(**params), SAMPLES, None, [1, 2]) for _ in range(2)
        }
        # Equal parameters that are made anew, as when a program is run again.
        again = copy.deepcopy(params)
        fingerprints.add(fingerprint_of(classifier(**again), SAMPLES, None, [1, 2]))
        assert len(fingerprints) == 1
    one, other = (fingerprint_of(classifier(**p), SAMPLES, None, [1, 2]) for p in PAIRS[pair])
    assert one != other


@pytest.mark.parametrize(
    "groups",
    [
        np.arange(N),
        np.arange(N).astype(str).astype(object),
        np.array([uuid.UUID(int=i) for i in range(N)], dtype=object),
    ],
)
def test_the_order_of_patients_counts(groups):
    samples = [
        dataclasses.replace(SAMPLES, histories=X._replace(groups=order))
        for order in (groups, groups[::-1])
    ]
    one, other = (fingerprint_of(classifier(), part, None, [1, 2]) for part in samples)
    assert one != other


def test_numbers_of_numpy_are_numbers():
    plain, drawn = ({"lr": kind(0.01), "hidden_dim": 8} for kind in (float, np.float64))
    drawn["hidden_dim"] = np.int64(8)
    one, other = (fingerprint_of(classifier(**p), SAMPLES, None, [1, 2]) for p in (plain, drawn))
    assert one == other


class Policy:
    """A factor of the learning rate that holds what no checkpoint can."""

    def __init__(self):
        self.milestones = {1, 2}

    def __call__(self, epoch):
        return 0.5 if epoch in self.milestones else 1.0


def test_a_state_that_cannot_be_kept_is_told_before_training(tmp_path):
    Count.seen.clear()
    callbacks = [LRScheduler("LambdaLR", lr_lambda=Policy()), Count()]
    with pytest.raises(ValueError, match=r"cannot keep the state of .*set is not JSON"):
        classifier(checkpoint=tmp_path, callbacks=callbacks).fit(X, Y)
    assert Count.seen == []


class Later(Callback):
    """Have no state at first, and one that no checkpoint can hold after two epochs."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) > 2:
            self.policy_ = SimpleNamespace(state_dict=lambda: {"held": {1}}, load_state_dict=id)


def test_a_state_that_can_no_longer_be_kept_does_not_end_a_training(tmp_path):
    whole = classifier(early_stopping=False).fit(X, Y)
    with pytest.warns(UserWarning, match=r"fit-00003\.safetensors could not be written .*set"):
        model = classifier(checkpoint=tmp_path, early_stopping=False, callbacks=[Later()]).fit(X, Y)
    assert bits_of(model) == bits_of(whole)


def test_a_parameter_that_cannot_be_told_is_refused_before_training(tmp_path):
    Count.seen.clear()
    with (
        open(__file__, encoding="utf-8") as file,
        pytest.raises(ValueError, match="cannot tell whether callbacks is the same"),
    ):
        callbacks = [Count(), LRScheduler("LambdaLR", lr_lambda=lambda epoch: file and 1.0)]
        classifier(checkpoint=tmp_path, callbacks=callbacks).fit(X, Y)
    assert Count.seen == []
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "change", ["samples", "codes", "visits", "labels", "names of labels", "weights"]
)
def test_other_data_have_a_place_of_their_own(change, tmp_path):
    classifier(checkpoint=tmp_path, max_epochs=2).fit(X, Y)
    sequences = VisitSequenceTransformer(min_frequency=125).fit_transform(COHORT)
    labels = np.asarray(Y).copy()
    labels[0] = 1 - labels[0]
    data = {
        "samples": (X[:-1], Y[:-1]),
        "codes": (sequences, Y),
        "visits": (X[np.r_[1, 0, 2:N]], Y),
        "labels": (X, labels),
        "names of labels": (X, np.asarray(Y) + 1),
        "weights": (X, Y, np.r_[np.ones(N - 1), 2]),
    }[change]
    classifier(checkpoint=tmp_path, max_epochs=2).fit(*data)
    assert len([*tmp_path.iterdir()]) == 2


def test_each_candidate_and_fold_of_a_search_has_a_place_of_its_own(tmp_path):
    search = GridSearchCV(
        classifier(checkpoint=tmp_path, max_epochs=2),
        {"hidden_dim": [4, 8]},
        cv=StratifiedPatientKFold(2),
        n_jobs=2,
    )
    one = search.fit(X, Y)
    assert len([*tmp_path.iterdir()]) == 2 * 2 + 1
    before = {path: path.stat().st_mtime_ns for path in files_in(tmp_path)}
    other = clone(search).fit(X, Y)
    assert {path: path.stat().st_mtime_ns for path in files_in(tmp_path)} == before
    assert bits_of(one.best_estimator_) == bits_of(other.best_estimator_)
    scores = [found.cv_results_["mean_test_score"].tolist() for found in (one, other)]
    assert scores[0] == scores[1]


class Wait(Callback):
    """Wait in training until told to go on."""

    is_training, may_end = threading.Event(), threading.Event()

    def on_epoch_begin(self, net, **kwargs):
        Wait.is_training.set()
        assert Wait.may_end.wait(60)


def test_a_folder_in_use_is_told_before_training(tmp_path):
    model = classifier(checkpoint=tmp_path, callbacks=[Wait()], max_epochs=1)
    thread = threading.Thread(target=lambda: clone(model).fit(X, Y))
    thread.start()
    assert Wait.is_training.wait(60)
    try:
        with pytest.raises(ValueError, match="another fit of the same data and parameters is"):
            clone(model).fit(X, Y)
    finally:
        Wait.may_end.set()
        thread.join()
    clone(model).fit(X, Y)


@pytest.mark.parametrize("place", ["file", "system"])
def test_a_folder_that_cannot_be_written_is_told_before_training(place, tmp_path):
    (tmp_path / "file").write_text("")
    folder = {"file": tmp_path / "file", "system": "/proc/checkpoints"}[place]
    if place == "system" and not Path("/proc/self").exists():
        pytest.skip("needs the file system of Linux that nobody can write")
    model = classifier(checkpoint=folder, callbacks=[Count()])
    Count.seen.clear()
    with pytest.raises(OSError, match="checkpoint must be a directory that can be written"):
        model.fit(X, Y)
    assert Count.seen == []


def test_a_full_disk_is_told_before_training(tmp_path, monkeypatch):
    from sklearn_ehr.estimators import _checkpoints

    usage = _checkpoints.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(_checkpoints.shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    Count.seen.clear()
    with pytest.raises(OSError, match=r"checkpoint needs up to \d+ MiB, and 1 MiB are free"):
        classifier(checkpoint=tmp_path, callbacks=[Count()]).fit(X, Y)
    assert Count.seen == []


def test_a_disk_that_fills_up_does_not_end_a_training(tmp_path, monkeypatch):
    from sklearn_ehr.estimators import _checkpoints

    whole = classifier().fit(X, Y)
    write, n_written = os.fsync, []

    def fsync(descriptor):
        n_written.append(descriptor)
        if len(n_written) > 5:
            raise OSError(28, "No space left on device")
        write(descriptor)

    monkeypatch.setattr(_checkpoints.os, "fsync", fsync)
    with pytest.warns(UserWarning, match=r"could not be written \(No space left on device\)"):
        model = classifier(checkpoint=tmp_path).fit(X, Y)
    assert bits_of(model) == bits_of(whole)
    assert not [*tmp_path.rglob("*.part")]


class Interrupt(Callback):
    """Press Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) == self.epoch and len(net.history[-1, "batches"]) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)


def test_after_ctrl_c_the_estimator_is_usable_and_the_fit_can_go_on(tmp_path):
    model = classifier(checkpoint=tmp_path, callbacks=[Interrupt(3)])
    with pytest.warns(UserWarning, match=r"interrupted by user\. Fit again to go on"):
        model.fit(X, Y)
    assert len(model.history_) == 2
    assert model.predict_proba(X).shape == (N, 2)
    assert [path.name for path in files_in(tmp_path)] == [
        "fit-00001.safetensors",
        "fit-00002.safetensors",
    ]


def test_training_goes_on_after_an_interrupted_call_of_partial_fit(capsys):
    model = classifier(callbacks=[Interrupt(2)], verbose=1).partial_fit(X, Y, classes=[0, 1])
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.partial_fit(X, Y)
    model.partial_fit(X, Y)
    assert len(model.history_) == 2
    assert len(capsys.readouterr().out.splitlines()) == 2


class InterruptAtEnd(Callback):
    """Press Ctrl-C in a callback at the end of the second epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2 and not (InterruptAtEnd.is_done):
            InterruptAtEnd.is_done = True
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    is_done = False


@pytest.mark.parametrize("params", [{}, {"refit": False}, {"early_stopping": False}])
def test_ctrl_c_in_a_callback_is_no_early_stop(params, tmp_path):
    params |= {"callbacks": [InterruptAtEnd()]}
    InterruptAtEnd.is_done = True
    whole = classifier(**params).fit(X, Y)
    InterruptAtEnd.is_done = False
    handler = signal.getsignal(signal.SIGINT)
    with pytest.warns(UserWarning, match="interrupted by user"):
        classifier(checkpoint=tmp_path, **params).fit(X, Y)
    assert signal.getsignal(signal.SIGINT) is handler
    assert bits_of(classifier(checkpoint=tmp_path, **params).fit(X, Y)) == bits_of(whole)


@pytest.mark.parametrize("place", ["writing", "scoring"])
def test_ctrl_c_at_the_end_of_an_epoch_is_no_early_stop(place, tmp_path, monkeypatch):
    from sklearn_ehr.estimators import _checkpoints

    def interrupt(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        return 0.5

    model = classifier(checkpoint=tmp_path, scoring=interrupt if place == "scoring" else None)
    if place == "writing":
        monkeypatch.setattr(_checkpoints.os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
    else:
        monkeypatch.setattr(
            "sklearn_ehr.estimators._base.score_of", lambda *_: ScoreAfter(3, interrupt)
        )
        with pytest.warns(UserWarning, match="interrupted by user"):
            model.fit(X, Y)
        assert set(model.history_["stage"]) == {"fit"}
    assert not [*tmp_path.rglob("*.part")]


class ScoreAfter:
    """A score that is interrupted when it is asked for the second epoch's."""

    def __init__(self, n_asked, interrupt):
        self.n_left, self.interrupt = n_asked, interrupt

    def __call__(self, net):
        self.n_left -= 1
        return 0.5 + self.n_left if self.n_left else self.interrupt()


def test_resuming_is_told(tmp_path, capsys):
    model = broken_off(tmp_path)
    clone(model).set_params(verbose=1).fit(X, Y)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "Resumed the fit after epoch 4/6."
    assert second.startswith("Epoch 5/6: train_loss")


def test_checkpoints_hold_no_data(tmp_path):
    """No tensor has a length of the samples, visits or tokens, and no text a code or patient."""
    callbacks = [EpochScoring("roc_auc", on_train=True, name="auc"), *schedule()]
    classifier(checkpoint=tmp_path, callbacks=callbacks, average=True).fit(X, Y)
    n_apart = 15
    lengths = {N, N - n_apart, n_apart, len(X.tokens), len(X.visit_offsets) - 1}
    seen = 0
    for path in files_in(tmp_path):
        content = path.read_bytes()
        text = content[: 8 + int.from_bytes(content[:8], "little")]
        assert not any(code.encode() in text for code in X.vocabulary.codes)
        to_visit = [unpack(path, 2**24)]
        while to_visit:
            part = to_visit.pop()
            if isinstance(part, dict):
                to_visit += [*part.values()]
            elif isinstance(part, (list, tuple)):
                assert len(part) not in lengths
                to_visit += part
            elif hasattr(part, "shape"):
                seen += 1
                assert not lengths & set(part.shape)
    assert seen > 50


def test_a_packed_state_is_the_same_again(tmp_path):
    state = {
        "a": [1, 2.5, None, True, "ü", (1, [2])],
        3: {"b": torch.arange(4), "c": np.float32(0.5), "nothing": {}},
        "inf": float("-inf"),
        "array": np.array([[1, 2]], dtype=np.int32),
    }
    (tmp_path / "file").write_bytes(pack(state))
    again = unpack(tmp_path / "file", 2**24)
    assert torch.equal(again[3].pop("b"), state[3].pop("b"))
    np.testing.assert_array_equal(again.pop("array"), state.pop("array"), strict=True)
    assert again == state


def keep_one(folder, X, Y):
    callbacks = [
        Checkpoint(dirname=folder, monitor="train_loss_best"),
        TrainEndCheckpoint(dirname=folder),
    ]
    return classifier(callbacks=callbacks, refit=False, max_epochs=2).fit(X, Y)


def test_checkpoints_of_skorch_work_in_processes_too(tmp_path):
    folders = [str(tmp_path / name) for name in ("a", "b")]
    here = keep_one(str(tmp_path / "here"), X, Y)
    there = Parallel(n_jobs=2)(delayed(keep_one)(folder, X, Y) for folder in folders)
    for folder, model in zip(folders, there, strict=True):
        np.testing.assert_array_equal(model.predict_proba(X), here.predict_proba(X))
        best = classifier(refit=False).fit(X, Y).net_
        best.load_params(f_params=f"{folder}/train_end_params.pt")
        callbacks = [LoadInitState(Checkpoint(dirname=folder, monitor=None))]
        further = classifier(callbacks=callbacks, early_stopping=False, max_epochs=1).fit(X, Y)
        assert len(further.history_) == 3


def test_partial_fit_keeps_no_checkpoints(tmp_path):
    classifier(checkpoint=tmp_path).partial_fit(X, Y, classes=[0, 1])
    assert [*tmp_path.iterdir()] == []
