"""A fitted model can be handed on: it holds no patient, and no message shows one."""

import copy
import io
import pickle
import types
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skorch.callbacks import EpochScoring, GradientNormClipping, LRScheduler

from sklearn_ehr import (
    CodeCountVectorizer,
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
    make_visit_labels,
)
from sklearn_ehr.nn import VisitBatch

N_PATIENTS, N_SAMPLES, N_EVENTS = 227, 263, 2311
FREQUENT = [f"FREQUENT{i:02d}" for i in range(9)]
RARE = [f"RARESECRET{i}" for i in range(4)]
TEXT_IDS = np.array([f"PATIENTSECRET{i:06d}" for i in range(N_PATIENTS)])
# Seven bytes each, whatever the width they are stored in.
NUMBER_IDS = 7_312_345_678_901_234 + 7_919 * np.arange(N_PATIENTS)
HOLDERS = (Cohort, VisitSequences, VisitBatch, torch.utils.data.Dataset)
FIRST_TIME = np.datetime64("2017-03-04T05:06:07.123457", "us")


def planted(ids):
    """A cohort of planted values, its outcomes, and all that must not be found again."""
    rng = np.random.default_rng(0)
    patient = np.concatenate([np.arange(N_PATIENTS), rng.integers(0, N_PATIENTS, N_EVENTS)])
    n = len(patient)
    code = rng.choice(FREQUENT, n).astype(object)
    code[rng.choice(n, len(RARE) * 2, replace=False)] = RARE * 2
    minute = np.timedelta64(61_000_003, "us")
    events = pd.DataFrame(
        {
            "patient_id": ids[patient],
            "time": FIRST_TIME + minute * rng.choice(10**6, n, replace=False),
            "visit_id": 5_112_345_678_901_234 + 104_729 * rng.integers(0, 2 * n, n),
            "code": code,
            "value": 1234.56789 + rng.random(n),
        }
    )
    samples = pd.DataFrame(
        {
            "patient_id": ids[
                np.r_[np.arange(N_PATIENTS), rng.integers(0, N_PATIENTS, N_SAMPLES - N_PATIENTS)]
            ],
            "prediction_time": FIRST_TIME + minute * (10**6 + rng.choice(10**6, N_SAMPLES)),
            "outcome": rng.integers(0, 2, N_SAMPLES),
        }
    )
    samples["age"] = 54.321 + rng.random(N_SAMPLES)
    samples.loc[::3, "age"] = np.nan
    return events, Cohort(events, samples, features=["age"]), samples["outcome"].to_numpy()


def sequence_model(Estimator=LSTMVisitClassifier, scorings=("roc_auc", "accuracy")):
    callbacks = [LRScheduler("StepLR", step_size=1), GradientNormClipping(1.0)]
    if scorings:
        valid, train = scorings
        callbacks.append(EpochScoring(valid, lower_is_better=False))
        seen = EpochScoring(train, lower_is_better=False, on_train=True, name="on_train")
        callbacks.append(("seen", seen))
    return make_pipeline(
        VisitSequenceTransformer(min_frequency=20),
        Estimator(
            embedding_dim=8,
            mlp_dim=8,
            hidden_dim=8,
            max_epochs=3,
            batch_size=64,
            device="cpu",
            random_state=0,
            callbacks=callbacks,
        ),
    )


def count_model():
    return make_pipeline(
        CodeCountVectorizer(min_frequency=20, last_visits=(1,)), LogisticRegression(max_iter=500)
    )


def n_visits_of(X):
    return VisitSequenceTransformer(min_frequency=20).fit_transform(X).lengths


def fitted(name, X, y, weight):
    if name == "counts":
        return count_model().fit(X, y, logisticregression__sample_weight=weight)
    if name == "numbers":
        model = sequence_model(LSTMVisitRegressor, scorings=("r2", "neg_mean_absolute_error"))
        return model.fit(X, y + weight, lstmvisitregressor__sample_weight=weight)
    if name == "visits":
        X = Cohort(X.event_table, X.samples)  # a tagger takes no features
        lengths = n_visits_of(X)
        labels = [(np.arange(n) + label) % 2 for n, label in zip(lengths, y, strict=True)]
        model = sequence_model(LSTMVisitTagger, scorings=None)
        return model.fit(X, labels, lstmvisittagger__sample_weight=weight)
    if name == "times":
        outcome = np.rec.fromarrays([y, 10 + np.arange(N_SAMPLES) % 17], names=["event", "time"])
        model = sequence_model(LSTMVisitSurvival, scorings=None)
        return model.fit(X, outcome, lstmvisitsurvival__sample_weight=weight)
    model = sequence_model().fit(X, y, lstmvisitclassifier__sample_weight=weight)
    if name == "further":
        model[-1].partial_fit(model[0].transform(X), y, sample_weight=weight)
    model.predict_proba(X)
    return model


@pytest.fixture(scope="module", params=["text", "numbers"])
def data(request):
    return planted(TEXT_IDS if request.param == "text" else NUMBER_IDS)


@pytest.fixture(
    scope="module", params=["sequences", "further", "counts", "numbers", "visits", "times"]
)
def case(request, data):
    """A fitted model, with the data that it was fitted on."""
    events, X, y = data
    weight = 1.23456789 + np.random.default_rng(1).random(N_SAMPLES)
    return fitted(request.param, X, y, weight), events, X, weight


def dumps(model):
    """The bytes of a model by the usual ways of saving it."""
    yield pickle.dumps(model)
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    yield buffer.getvalue()
    yield skops.io.dumps(model)


def encodings(values):
    """The bytes that any of the values would leave in a file that holds it."""
    values = np.unique(np.asarray(values))
    if values.dtype.kind == "M":
        values = values.astype("datetime64[us]").astype(np.int64)
        yield from (as_bytes(value * 1000) for value in values)
    if values.dtype.kind == "i":
        yield from (as_bytes(value) for value in values)
        yield from (str(value).encode() for value in values.tolist())
        values = values.astype(np.float64)
    if values.dtype.kind == "f":
        yield from (repr(value).encode() for value in values.tolist())
        yield from (value.tobytes() for value in values)
        yield from (value.tobytes()[::-1] for value in values)
        return
    for value in values:
        yield from (str(value).encode(name) for name in ("utf-8", "utf-16-le", "utf-32-le"))


def as_bytes(value):
    return int(value).to_bytes(8, "little").rstrip(b"\0")


def holds_any(content, values):
    """Whether the bytes of any value are in a content; values of one length are sought together."""
    by_length = {}
    for needle in encodings(values):
        by_length.setdefault(len(needle), set()).add(needle)
    return any(
        not needles.isdisjoint(content[i : i + length] for i in range(len(content) - length + 1))
        for length, needles in by_length.items()
    )


def everything_in(root):
    """All objects that a model is made of."""
    found, to_visit = {}, [root]
    while to_visit:
        thing = to_visit.pop()
        if id(thing) in found or isinstance(thing, (type, types.ModuleType)):
            continue
        found[id(thing)] = thing
        to_visit.extend(parts_of(thing))
    return found.values()


def parts_of(thing):
    if isinstance(thing, dict):
        return [*thing.keys(), *thing.values()]
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if isinstance(thing, np.ndarray):
        return thing.ravel().tolist() if thing.dtype == object else []
    if isinstance(thing, types.FunctionType):
        return [*(cell.cell_contents for cell in thing.__closure__ or ()), thing.__defaults__]
    if isinstance(thing, types.MethodType):
        return [thing.__self__]
    if hasattr(thing, "func") and hasattr(thing, "keywords"):
        return [thing.func, thing.args, thing.keywords]
    return list(vars(thing).values()) if hasattr(thing, "__dict__") else []


def extents_of(thing):
    if isinstance(thing, (np.ndarray, torch.Tensor, pd.DataFrame, pd.Series, pd.Index)):
        return set(thing.shape)
    if hasattr(thing, "shape") and hasattr(thing, "nnz"):
        return {*thing.shape, thing.nnz}
    if isinstance(thing, (list, tuple, dict, set, frozenset, str, bytes, VisitSequences, Cohort)):
        return {len(thing)}
    return set()


def lengths_of_the_data(events, X):
    """How long anything is that has one entry a patient, sample, visit, token or event."""
    sequences = VisitSequenceTransformer(min_frequency=20).fit_transform(X)
    n_apart = 23  # a tenth of the patients, rounded up
    return {
        N_PATIENTS,
        N_PATIENTS - n_apart,
        N_SAMPLES,
        N_SAMPLES + 1,
        len(sequences.tokens),
        len(sequences.visit_offsets),
        len(sequences.visit_offsets) - 1,
        len(events),
        len(X.visible_events()),
    }


def test_model_holds_nothing_as_long_as_the_cohort(case):
    model, events, X, _ = case
    lengths = lengths_of_the_data(events, X)
    for one in (model, pickle.loads(pickle.dumps(model))):
        things = list(everything_in(one))
        assert len(things) > 30
        long = [type(thing) for thing in things if extents_of(thing) & lengths]
        assert not long
        assert not any(isinstance(thing, HOLDERS) for thing in things)
        largest = max(max(extents_of(thing), default=0) for thing in things)
        assert largest < min(lengths)


def test_walk_finds_what_a_model_would_keep(case):
    """The test above can fail: it sees data wherever a model might hide it."""
    model, _, X, _ = case
    hidden = copy.copy(model)
    hidden.steps = [*model.steps[:-1], (model.steps[-1][0], copy.copy(model[-1]))]
    kept = np.zeros(N_SAMPLES)
    step = hidden[-1]
    if hasattr(step, "net_"):
        step.net_ = copy.deepcopy(step.net_)
    places = [
        lambda: setattr(step, "kept_", kept),
        lambda: setattr(step, "kept_", {"deep": [(torch.zeros(N_SAMPLES, 2),)]}),
        lambda: setattr(step, "kept_", lambda: kept),
        lambda: setattr(step, "kept_", pd.DataFrame({"y": kept})),
        lambda: setattr(step, "kept_", [0.0] * N_SAMPLES),
        lambda: setattr(step, "kept_", X),
    ]
    if hasattr(step, "net_"):
        callback = dict(step.net_.callbacks_)["GradientNormClipping"]
        places.append(lambda: setattr(callback, "y_trues_", list(kept)))
        places.append(lambda: setattr(step.net_, "train_split", lambda: kept))
    for hide in places:
        hide()
        assert any(N_SAMPLES in extents_of(thing) for thing in everything_in(hidden))
        if hasattr(step, "kept_"):
            del step.kept_


def test_saved_model_holds_no_planted_value(case):
    model, events, X, weight = case
    secrets = [
        events["patient_id"].to_numpy(),
        events["time"].to_numpy(),
        X.samples["prediction_time"].to_numpy(),
        X.samples["age"].dropna().to_numpy(),
        events["visit_id"].to_numpy(),
        events["value"].to_numpy(),
        weight,
        weight.astype(np.float32).astype(np.float64),
        RARE,
        ["SECRET"],
    ]
    for content in dumps(model):
        assert [holds_any(content, values) for values in secrets] == [False] * len(secrets)


def test_scan_finds_what_a_model_does_hold(case):
    """The test above can fail: codes are found, and weights in skorch's nested pickle."""
    model, events, _, _ = case
    step = model[-1]
    if hasattr(step, "net_"):
        numbers = step.net_.module_.lstm.weight_hh_l0.detach().numpy()
    else:
        numbers = step.coef_
    for content in dumps(model):
        assert all(holds_any(content, [code]) for code in FREQUENT)
        assert numbers.tobytes()[:64] in content
    for column in ("patient_id", "time", "visit_id", "value"):
        values = events[column].to_numpy()
        for kept in (values[:1], events[[column]]):
            assert holds_any(pickle.dumps({"kept": kept}), values), column
    assert holds_any(pickle.dumps(events["patient_id"].tolist()[:1]), events["patient_id"])


def all_messages(call):
    """What a call that fails says, in warnings, in its error, and in the errors behind it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Exception) as info:
            call()
    error, texts = info.value, [str(warning.message) for warning in caught]
    while error is not None:
        texts.append(str(error))
        hides_context = error.__suppress_context__ and error.__cause__ is None
        error = error.__cause__ or (None if hides_context else error.__context__)
    return texts


SECRET_NUMBER = 987_654_321
CODES = np.array([[[2, 3]], [[2, 4]], [[3, 4]], [[4, 2]]])
LABELS = [0, 1, 0, 1]
SECRETS = ("SECRET", "987654321", "987_654_321", "9.87654321", "9.8765", "2017-03-04", "1234.56")


def tiny(**params):
    return LSTMVisitClassifier(
        embedding_dim=4,
        hidden_dim=4,
        mlp_dim=4,
        max_epochs=1,
        device="cpu",
        random_state=0,
        **params,
    )


def regressor(**params):
    return LSTMVisitRegressor(max_epochs=1, **params)


def tagger():
    return LSTMVisitTagger(max_epochs=1)


def frame(**columns):
    return pd.DataFrame(
        {
            "patient_id": ["PATIENTSECRET1", "PATIENTSECRET2"] * 2,
            "time": [FIRST_TIME] * 4,
            "code": ["CODESECRET1", "CODESECRET2", "CODESECRET3", "CODESECRET3"],
            "value": [1234.56789] * 4,
        }
        | columns
    )


def sequences_of(codes):
    return VisitSequenceTransformer(min_frequency=1).fit_transform(
        frame(code=[f"CODESECRET{i}" for i in codes])
    )


CLASSIFIER_FAILURES = {
    "continuous labels": lambda: tiny().fit(CODES, [0.5, 987654321.5, 1.5, 2.5]),
    "labels of two types": lambda: tiny().fit(CODES, np.array([1, "SECRET", 1, 2], dtype=object)),
    "labels of other objects": lambda: tiny().fit(CODES, np.array([{"SECRET"}] * 4)),
    "null labels": lambda: tiny().fit(CODES, ["SECRET", None, "SECRET", "b"]),
    "nested labels": lambda: tiny().fit(CODES, [["SECRET", "a"]] * 4),
    "ragged labels": lambda: tiny().fit(CODES, [["SECRET"], ["SECRET", "a"], [], []]),
    "too few labels": lambda: tiny().fit(CODES, ["SECRET", "b"]),
    "label that is no class": lambda: tiny().partial_fit(
        CODES, [0, 1, 0, SECRET_NUMBER], classes=[0, 1]
    ),
    "text that is no class": lambda: tiny().partial_fit(
        CODES, ["a", "b", "a", "SECRET"], classes=["a", "b"]
    ),
    "negative weight": lambda: tiny().fit(CODES, LABELS, sample_weight=[1, -SECRET_NUMBER, 1, 1]),
    "null weight": lambda: tiny().fit(CODES, LABELS, sample_weight=[np.nan, SECRET_NUMBER, 1, 1]),
    "text as weight": lambda: tiny().fit(CODES, LABELS, sample_weight=["SECRET", 1, 1, 1]),
    "too few weights": lambda: tiny().fit(CODES, LABELS, sample_weight=[SECRET_NUMBER, 1]),
    "negative code": lambda: tiny().fit(np.where(CODES == 4, -SECRET_NUMBER, CODES), LABELS),
    "too large code": lambda: tiny().fit(np.where(CODES == 4, SECRET_NUMBER**2, CODES), LABELS),
    "floating codes": lambda: tiny().fit(CODES + 987654321.5, LABELS),
    "text codes": lambda: tiny().fit(np.full((4, 1, 2), "SECRET"), LABELS),
    "nested text": lambda: tiny().fit([[["SECRET"]], [["SECRET", "a"]]], LABELS),
    "flat codes": lambda: tiny().fit(CODES[:, 0] * SECRET_NUMBER, LABELS),
    "frame": lambda: tiny().fit(frame(), LABELS),
    "series": lambda: tiny().fit(frame()["code"], LABELS),
    "cohort": lambda: tiny().fit(Cohort(frame()), [0, 1]),
    "another vocabulary": lambda: (
        tiny().fit(sequences_of([1, 2, 3, 3]), [0, 1]).predict(sequences_of([4, 5, 6, 6]))
    ),
    "indicator of other values": lambda: tiny().fit(CODES, [[0, SECRET_NUMBER]] * 4),
    "text as number": lambda: regressor().fit(CODES, ["SECRET", 1, 2, 3]),
    "infinite number": lambda: regressor().fit(CODES, [np.inf, SECRET_NUMBER, 1, 2]),
    "negative count": lambda: regressor(loss="poisson").fit(CODES, [-SECRET_NUMBER, 1, 1, 1]),
    "negative time": lambda: LSTMVisitSurvival().fit(
        CODES, np.rec.fromarrays([LABELS, [-SECRET_NUMBER, 1, 1, 1]])
    ),
    "text as event": lambda: LSTMVisitSurvival().fit(
        CODES, np.rec.fromarrays([["SECRET"] * 4, [SECRET_NUMBER] * 4])
    ),
    "labels of visits that misfit": lambda: tagger().fit(CODES, [["SECRET", "a"]] * 4),
    "labels of visits of two types": lambda: tagger().fit(CODES, [["SECRET"], [1], [None], [2.5]]),
    "labels of visits that are one": lambda: tagger().fit(CODES, ["SECRET"] * 4),
    "labels of visits as a frame": lambda: make_visit_labels(
        Cohort(frame(visit_id=[987654321] * 4)),
        pd.DataFrame({"patient_id": ["SECRET"], "visit_id": [1], "label": ["SECRET"]}),
    ),
    "one patient": lambda: warn_then_fail(tiny().fit(sequences_of([1, 2, 3, 3]), [0, 1])),
}


def warn_then_fail(_):
    raise RuntimeError


@pytest.mark.parametrize("failure", CLASSIFIER_FAILURES)
def test_no_message_of_the_classifier_shows_a_cell(failure):
    for text in all_messages(CLASSIFIER_FAILURES[failure]):
        assert not [secret for secret in SECRETS if secret in text], text


UNPARSED = ["SECRET", "2017-03-04", "2017-03-05", "2017-03-06"]
TRANSFORMER_FAILURES = {
    "no frequent code": lambda Transformer: Transformer(min_frequency=10).fit(frame()),
    "time that is text": lambda Transformer: Transformer().fit(frame(time=UNPARSED)),
    "time of two types": lambda Transformer: Transformer().fit(
        frame(time=np.array([FIRST_TIME, 987654321, "SECRET", 1], dtype=object))
    ),
    "null time": lambda Transformer: Transformer().fit(frame(time=[FIRST_TIME] * 3 + [None])),
    "null code": lambda Transformer: Transformer().fit(
        frame(code=["CODESECRET1", None, "CODESECRET1", "CODESECRET1"])
    ),
    "codes of two types": lambda Transformer: Transformer().fit(
        frame(code=np.array(["CODESECRET1", 987654321, "CODESECRET1", 1], dtype=object))
    ),
    "patients of two types": lambda Transformer: Transformer().fit(
        frame(patient_id=np.array(["PATIENTSECRET1", 987654321] * 2, dtype=object))
    ),
    "null patient": lambda Transformer: Transformer().fit(
        frame(patient_id=["PATIENTSECRET1", None] * 2)
    ),
    "no visit ids": lambda Transformer: Transformer(min_frequency=1, visits="id").fit_transform(
        frame()
    ),
    "list of cells": lambda Transformer: Transformer().fit(frame().to_numpy().tolist()),
    "array of cells": lambda Transformer: Transformer().fit(frame().to_numpy()),
    "series of cells": lambda Transformer: Transformer().fit(frame()["code"]),
    "codes of another type": lambda Transformer: (
        Transformer(min_frequency=1).fit(frame()).transform(frame(code=[987654321] * 4))
    ),
}


@pytest.mark.parametrize("failure", TRANSFORMER_FAILURES)
@pytest.mark.parametrize("Transformer", [VisitSequenceTransformer, CodeCountVectorizer])
def test_no_message_of_a_transformer_shows_a_cell(Transformer, failure):
    for text in all_messages(lambda: TRANSFORMER_FAILURES[failure](Transformer)):
        assert not [secret for secret in SECRETS if secret in text], text


def test_nothing_of_the_data_is_printed(data, capfd):
    _, X, y = data
    model = sequence_model().set_params(lstmvisitclassifier__verbose=1).fit(X, y)
    print(model, model[-1].net_, X, model[0].transform(X), model[0].vocabulary_)
    printed = capfd.readouterr().out
    assert "valid_loss" in printed
    assert not [secret for secret in SECRETS if secret in printed]
    assert not any(str(patient) in printed for patient in X.groups)
