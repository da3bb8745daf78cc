"""Contributions of codes against slow removal and captum, and attention weights by hand."""

import warnings
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline

from sklearn_ehr import (
    Cohort,
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitSurvival,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
    Vocabulary,
)
from sklearn_ehr.estimators import _gradients
from sklearn_ehr.inspection import attention_weights, code_contributions
from sklearn_ehr.utils import _ragged

HISTORIES = [
    [[2, 3], [4], [2, 5, 6]],
    [[6]],
    [],
    [[3], [], [4, 5]],
    [[5, 2], [2, 3]],
    [[4], [5], [6], [2, 3]],
]
Y = [0, 1, 0, 1, 1, 0]
SIZE = {
    "embedding_dim": 6,
    "hidden_dim": 4,
    "lr": 0.05,
    "max_epochs": 3,
    "early_stopping": False,
    "random_state": 0,
}
NETWORKS = [
    {"aggregation": "sum"},
    {"aggregation": "mean", "mlp_dim": 3, "bidirectional": True},
    {"aggregation": "max", "num_layers": 2},
    {"aggregation": "attention"},
]
each_network = pytest.mark.parametrize("options", NETWORKS, ids=lambda o: o["aggregation"])
METHODS = ["occlusion", "integrated_gradients"]
each_method = pytest.mark.parametrize("method", METHODS)


def sequences_of(histories, **fields):
    """Sequences of lists of visits of token ids."""
    visits = [visit for history in histories for visit in history]
    return VisitSequences(
        np.array([token for visit in visits for token in visit], dtype=np.int32),
        np.cumsum([0, *map(len, visits)]),
        np.cumsum([0, *map(len, histories)]),
        **fields,
    )


def codes_of(histories):
    """Sample, visit and position of every code."""
    for i, history in enumerate(histories):
        for j, visit in enumerate(history):
            yield from ((i, j, k) for k in range(len(visit)))


def without(history, j, k):
    """A history without a code of a visit."""
    return [visit[:k] + visit[k + 1 :] if v == j else visit for v, visit in enumerate(history)]


def fit(**options):
    return LSTMVisitClassifier(**SIZE, **options).fit(sequences_of(HISTORIES), Y)


def outputs_of(model, histories, **fields):
    """Decision function, or predictions, with a column for each output."""
    predict = getattr(model, "decision_function", model.predict)
    return predict(sequences_of(histories, **fields)).reshape(len(histories), -1)


@each_network
def test_occlusion_is_slow_removal_of_each_code(options):
    model = fit(**options)
    frame = code_contributions(model, sequences_of(HISTORIES))
    whole = outputs_of(model, HISTORIES)[:, 0]
    wanted = []
    for i, j, k in codes_of(HISTORIES):
        reduced = outputs_of(model, [without(HISTORIES[i], j, k)])[0, 0]
        wanted.append((i, i, j, HISTORIES[i][j][k], whole[i] - reduced))
    wanted = pd.DataFrame(wanted, columns=["sample", "patient", "visit", "code", "contribution"])
    assert frame.columns.tolist() == wanted.columns.tolist()
    leading = wanted.columns[:-1]
    assert frame[leading].to_numpy().tolist() == wanted[leading].to_numpy().tolist()
    np.testing.assert_allclose(frame["contribution"], wanted["contribution"], atol=1e-6)
    assert frame["contribution"].abs().max() > 1e-3


def test_occlusion_block_by_block_is_the_same(monkeypatch):
    model = fit()
    at_once = code_contributions(model, sequences_of(HISTORIES))
    monkeypatch.setattr(_ragged, "_ELEMENTS_PER_BLOCK", 7)
    in_blocks = code_contributions(model, sequences_of(HISTORIES))
    pd.testing.assert_frame_equal(in_blocks, at_once, atol=1e-6, rtol=0)


@each_network
def test_integrated_gradients_are_those_of_captum(options):
    attr = pytest.importorskip("captum.attr", reason="captum comes with the extra dev")
    model = fit(**options)
    sequences = sequences_of(HISTORIES)
    frame = code_contributions(model, sequences, "integrated_gradients")
    net = model.net_.module_
    codes, mask, visit_mask = map(torch.from_numpy, sequences.to_padded())
    # Through the padded reference. The unknown code, which was never trained, has a zero vector.
    assert (net.embedding.weight[1] == 0).all()
    attributed = attr.LayerIntegratedGradients(net.forward_padded, net.embedding).attribute(
        codes,
        baselines=mask.long(),
        additional_forward_args=(mask, visit_mask),
        target=0,
        n_steps=256,
        method="gausslegendre",
    )
    wanted = attributed.sum(dim=-1)[mask].detach().numpy()
    # The kinks of an MLP keep the error at what is tolerated of the sum.
    atol = 1e-3 if "mlp_dim" in options else 1e-4
    np.testing.assert_allclose(frame["contribution"], wanted, atol=atol)
    assert np.abs(wanted).max() > 1e-3


def without_vectors(model):
    """The same model with a zero vector for every code."""
    model = deepcopy(model)
    with torch.no_grad():
        model.net_.module_.embedding.weight.zero_()
    return model


def make_cohort(n_patients=20, n_events=400):
    rng = np.random.default_rng(0)
    patient = rng.integers(0, n_patients, n_events)
    events = pd.DataFrame(
        {
            "patient_id": patient,
            "visit_id": 10 * patient + rng.integers(0, 4, n_events),
            "time": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(1, 9999, n_events), "h"),
            "code": rng.choice(list("abcdef"), n_events),
        }
    )
    samples = pd.DataFrame({"patient_id": np.arange(n_patients)})
    samples["prediction_time"] = pd.Timestamp("2021-06-01")
    samples["age"] = rng.normal(60, 10, n_patients)
    return Cohort(events, samples, features=["age"])


@each_network
def test_integrated_gradients_sum_to_what_they_explain(options):
    X = make_cohort()
    lstm = LSTMVisitClassifier(**SIZE, time_gaps=True, **options)
    model = make_pipeline(VisitSequenceTransformer(min_frequency=1), lstm)
    model.fit(X, np.arange(20) % 2)
    frame = code_contributions(model, X, "integrated_gradients")
    sequences = model[:-1].transform(X)
    wanted = lstm.decision_function(sequences) - without_vectors(lstm).decision_function(sequences)
    np.testing.assert_allclose(frame.groupby("sample")["contribution"].sum(), wanted, atol=1e-3)
    assert np.abs(wanted).max() > 0.05


def steep(model):
    """The same model with vectors so large that outputs jump on the way to them."""
    model = deepcopy(model)
    with torch.no_grad():
        model.net_.module_.embedding.weight *= 1e3
        model.net_.module_.head.weight *= 10
    return model


@each_network
def test_integrated_gradients_of_outputs_that_jump_sum_to_what_they_explain(options):
    model = steep(fit(**options))
    sequences = sequences_of(HISTORIES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = code_contributions(model, sequences, "integrated_gradients")
    change = model.decision_function(sequences) - without_vectors(model).decision_function(
        sequences
    )
    sums = frame.groupby("sample")["contribution"].sum().reindex(range(6), fill_value=0)
    np.testing.assert_allclose(sums, change, atol=1e-3)


def test_sum_that_does_not_hold_is_told(monkeypatch):
    model = steep(fit())
    monkeypatch.setattr(_gradients, "_MOST_PIECES", 1)
    with pytest.warns(UserWarning, match=r"of [1-5] of 6 sample\(s\) do not sum .*occlusion"):
        code_contributions(model, sequences_of(HISTORIES), "integrated_gradients")


@each_method
@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_several_classes_or_labels_have_a_row_each(method, kind):
    y = np.arange(6) % 3
    y = np.array(list("xyz"))[y] if kind == "classes" else np.eye(3, dtype=int)[y]
    names = list("xyz") if kind == "classes" else [0, 1, 2]
    sequences = sequences_of(HISTORIES)
    model = LSTMVisitClassifier(**SIZE).fit(sequences, y)
    frame = code_contributions(model, sequences, method)
    places = list(codes_of(HISTORIES))
    assert frame["output"].tolist() == names * len(places)
    got = frame["contribution"].to_numpy().reshape(-1, 3)
    if method == "occlusion":
        whole = outputs_of(model, HISTORIES)
        wanted = [
            whole[i] - outputs_of(model, [without(HISTORIES[i], j, k)])[0] for i, j, k in places
        ]
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    else:
        wanted = outputs_of(model, HISTORIES) - outputs_of(without_vectors(model), HISTORIES)
        np.testing.assert_allclose(sums_by_sample(got), wanted, atol=1e-3)


def sums_by_sample(contributions):
    sums = np.zeros((len(HISTORIES), contributions.shape[1]))
    for (i, _, _), of_code in zip(codes_of(HISTORIES), contributions, strict=True):
        sums[i] += of_code
    return sums


@each_method
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outcomes", [1, 2])
def test_contributions_to_numbers_are_in_their_unit(method, loss, n_outcomes):
    y = np.arange(6 * n_outcomes).reshape(6, -1)[:, ::-1] * 100.0
    y = y[:, 0] if n_outcomes == 1 else y
    sequences = sequences_of(HISTORIES)
    model = LSTMVisitRegressor(loss=loss, **SIZE).fit(sequences, y)
    got = code_contributions(model, sequences, method)["contribution"]
    got = got.to_numpy().reshape(-1, n_outcomes)
    if method == "occlusion":
        whole = outputs_of(model, HISTORIES)
        wanted = [
            whole[i] - outputs_of(model, [without(HISTORIES[i], j, k)])[0]
            for i, j, k in codes_of(HISTORIES)
        ]
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-3)
    else:
        wanted = outputs_of(model, HISTORIES) - outputs_of(without_vectors(model), HISTORIES)
        scale = np.std(y, axis=0) if loss == "squared_error" else np.mean(y, axis=0)
        np.testing.assert_allclose(sums_by_sample(got) / scale, wanted / scale, atol=1e-3)
    assert np.abs(got).max() > 1


@each_method
def test_rows_name_codes_and_visits(method):
    days = ["2020-01-01", "2020-01-02", "2020-02-01", None, "2020-03-01", "2020-03-01"]
    events = pd.DataFrame(
        {
            "patient_id": [1, 1, 1, 1, 2, 2],
            "visit_id": pd.array([11, 11, 12, None, 21, 21], dtype="Int64"),
            "time": pd.to_datetime(days),
            "code": ["fever", "cough", "fever", "female", "cough", "seen once"],
        }
    )
    X = Cohort(events, null_time="static")
    transformer = VisitSequenceTransformer(min_frequency=1).fit(X)
    transformer.vocabulary_ = Vocabulary(["cough", "female", "fever"])
    model = make_pipeline(transformer, LSTMVisitClassifier(**SIZE))
    model[-1].fit(transformer.transform(X), [0, 1])
    frame = code_contributions(model, X[[1, 0]], method)
    assert frame["patient"].tolist() == [2, 2, 1, 1, 1, 1]
    assert frame["visit"].tolist() == [0, 0, 0, 1, 1, 2]
    codes = ["cough", "unknown", "female", "fever", "cough", "fever"]
    assert frame["code"].fillna("unknown").tolist() == codes
    assert frame["visit_id"].isna().tolist() == [False, False, True, False, False, False]
    assert frame["time"].isna().tolist() == [False, False, True, False, False, False]
    assert frame["time"][3] == pd.Timestamp("2020-01-02")


@each_method
def test_samples_without_codes_have_no_rows(method):
    frame = code_contributions(fit(), sequences_of([[], [[]]]), method)
    assert frame.columns.tolist() == ["sample", "patient", "visit", "code", "contribution"]
    assert frame.empty


@each_method
def test_token_ids_that_the_network_does_not_know_are_the_unknown_code(method):
    model = fit()
    known, beyond = [[[1, 3], [4]]], [[[99, 3], [4]]]
    frames = [code_contributions(model, sequences_of(h), method) for h in (known, beyond)]
    assert frames[1]["code"].tolist() == [99, 3, 4]
    np.testing.assert_allclose(frames[1]["contribution"], frames[0]["contribution"], atol=1e-6)


@each_method
def test_explaining_leaves_the_model_and_torch_as_they_were(method):
    model = fit(aggregation="attention")
    before = [(w.clone(), w.grad.clone()) for w in model.net_.module_.parameters()]
    X = sequences_of(HISTORIES)
    n_threads = torch.get_num_threads()
    with torch.inference_mode():
        # Its own mode inside, and the user's mode after.
        code_contributions(model, X, method)
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == n_threads
    assert not model.net_.module_.training
    for now, (weight, gradient) in zip(model.net_.module_.parameters(), before, strict=True):
        assert now.requires_grad
        assert torch.equal(now, weight)
        assert torch.equal(now.grad, gradient)


def test_sequences_of_another_vocabulary_are_refused():
    vocabularies = [Vocabulary(list(codes)) for codes in ("abcde", "vwxyz")]
    fitted_on, other = (sequences_of(HISTORIES, vocabulary=v) for v in vocabularies)
    model = LSTMVisitClassifier(**SIZE, aggregation="attention").fit(fitted_on, Y)
    for explain in (
        lambda: code_contributions(model, other),
        lambda: code_contributions(model, other, "integrated_gradients"),
        lambda: attention_weights(model, other),
    ):
        with pytest.raises(ValueError, match="X has another vocabulary"):
            explain()


@each_method
def test_weights_that_are_not_finite_are_told(method):
    model = fit()
    with torch.no_grad():
        model.net_.module_.head.weight *= torch.inf
    with pytest.raises(ValueError, match="outputs are not finite"):
        code_contributions(model, sequences_of(HISTORIES), method)


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method"):
        code_contributions(fit(), sequences_of(HISTORIES), "gradient")


def test_estimators_that_predict_for_each_time_are_refused():
    X = sequences_of(HISTORIES)
    tagger = LSTMVisitTagger(**SIZE).fit(X, [np.arange(n) % 2 for n in X.lengths])
    with pytest.raises(TypeError, match=r"code_contributions explains .* LSTMVisitTagger"):
        code_contributions(tagger, X)


def test_attention_weights_are_a_softmax_over_the_codes_of_a_visit():
    model = fit(aggregation="attention")
    frame = attention_weights(model, sequences_of(HISTORIES))
    assert frame.columns.tolist() == ["sample", "patient", "visit", "code", "weight"]
    first, _, second = model.net_.module_.encoder.attention
    table = model.net_.module_.embedding.weight.detach().numpy()
    arrays = [p.detach().numpy() for p in (first.weight, first.bias, second.weight, second.bias)]
    for _, visit in frame.groupby(["sample", "visit"]):
        hidden = np.tanh(table[visit["code"]] @ arrays[0].T + arrays[1])
        odds = np.exp((hidden @ arrays[2].T + arrays[3])[:, 0])
        np.testing.assert_allclose(visit["weight"], odds / odds.sum(), atol=1e-6)
    assert frame["weight"].nunique() > 3


def test_attention_weights_of_any_lstm_estimator():
    X = sequences_of(HISTORIES)
    outcome = np.array([(True, 1.0), (False, 2.0)] * 3, dtype=[("event", bool), ("time", float)])
    for model, y in [
        (LSTMVisitTagger, [np.arange(n) % 2 for n in X.lengths]),
        (LSTMVisitSurvival, outcome),
        (LSTMVisitRegressor, np.arange(6.0)),
    ]:
        frame = attention_weights(model(**SIZE, aggregation="attention").fit(X, y), X)
        np.testing.assert_allclose(frame.groupby(["sample", "visit"])["weight"].sum(), 1, atol=1e-6)


def test_attention_weights_of_another_aggregation_are_refused():
    with pytest.raises(ValueError, match=r"aggregation='attention', but .* aggregation='sum'"):
        attention_weights(fit(), sequences_of(HISTORIES))
