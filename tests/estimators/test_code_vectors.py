import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Freezer

from sklearn_ehr import (
    LSTMVisitClassifier,
    LSTMVisitRegressor,
    LSTMVisitTagger,
    VisitSequences,
    VisitSequenceTransformer,
    Vocabulary,
    make_code_vectors,
)
from sklearn_ehr.datasets import make_visits


def tiny(Estimator=LSTMVisitClassifier, **params):
    given = {"embedding_dim": 2, "hidden_dim": 4, "max_epochs": 2, "random_state": 0}
    return Estimator(**{**given, "device": "cpu", **params})


@pytest.fixture(scope="module")
def data():
    X, y = make_visits(60, random_state=0)
    return VisitSequenceTransformer(min_frequency=20).fit_transform(X), y


VECTORS = {"C001": [1.0, -2.0], "C002": [0.5, 3.0], "UNHEARD": [9.0, 9.0]}


def embedding_of(model):
    return model.net_.module_.embedding.weight.detach().numpy()


def token(model, code):
    return model.vocabulary_.encode([code])[0]


def vectors_of(codes, embedding_dim):
    """Vectors of padded tokens, named C2, C3 and so on, as an array beside their tokens."""
    sequences = VisitSequences.from_padded(codes)
    names = [f"C{token}" for token in range(2, codes.max() + 1)]
    named = VisitSequences(
        sequences.tokens,
        sequences.visit_offsets,
        sequences.sample_offsets,
        vocabulary=Vocabulary(names),
    )
    before = named.tokens.copy()
    vectors = make_code_vectors(named, embedding_dim=embedding_dim, random_state=0)
    np.testing.assert_array_equal(named.tokens, before)
    return vectors.index.str[1:].astype(int), vectors.to_numpy()


@pytest.mark.parametrize(
    "container", [dict, lambda vectors: pd.DataFrame(vectors).T], ids=["mapping", "frame"]
)
def test_codes_start_with_the_vectors_given(data, container):
    # So small a learning rate leaves the first weights as they are.
    model = tiny(embedding_init=container(VECTORS), lr=1e-20).fit(*data)
    plain = tiny(lr=1e-20).fit(*data)
    for code in ("C001", "C002"):
        np.testing.assert_array_equal(embedding_of(model)[token(model, code)], VECTORS[code])
    others = np.delete(np.arange(model.vocabulary_.size), token(model, "C001"))
    others = others[others != token(model, "C002")]
    np.testing.assert_allclose(embedding_of(model)[others], embedding_of(plain)[others], atol=1e-15)
    assert model.embedding_coverage_ == 2 / len(model.vocabulary_.codes)
    assert plain.embedding_coverage_ == 0


def test_vectors_are_trained_further(data):
    model = tiny(embedding_init=VECTORS, lr=0.1).fit(*data)
    start = embedding_of(tiny(embedding_init=VECTORS, lr=1e-20).fit(*data))
    assert np.abs(embedding_of(model) - start).max() > 0.01


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("refit", [False, True])
def test_freezer_keeps_the_vectors_given(data, average, refit):
    params = {"average": average, "refit": refit, "lr": 0.1, "weight_decay": 0.1}
    freeze = [Freezer("embedding.weight")]
    model = tiny(embedding_init=VECTORS, callbacks=freeze, **params).fit(*data)
    start = embedding_of(tiny(embedding_init=VECTORS, lr=1e-20).fit(*data))
    np.testing.assert_allclose(embedding_of(model), start, atol=1e-15)
    for code in ("C001", "C002"):
        np.testing.assert_array_equal(embedding_of(model)[token(model, code)], VECTORS[code])
    # The rest of the network is trained.
    trained, untrained = (
        fitted.net_.module_.lstm.weight_ih_l0.detach()
        for fitted in (model, tiny(embedding_init=VECTORS, lr=1e-20).fit(*data))
    )
    assert (trained - untrained).abs().max() > 0.01


def test_freezer_keeps_the_vectors_in_partial_fit(data):
    X, y = data
    model = tiny(embedding_init=VECTORS, callbacks=[Freezer("embedding.weight")], lr=0.1)
    start = embedding_of(model.partial_fit(X, y, classes=[0, 1])).copy()
    np.testing.assert_array_equal(start[token(model, "C001")], VECTORS["C001"])
    np.testing.assert_array_equal(embedding_of(model.partial_fit(X, y)), start)


def test_partial_fit_starts_with_them_and_goes_on(data):
    X, y = data
    model = tiny(embedding_init=VECTORS, lr=1e-20).partial_fit(X, y, classes=[0, 1])
    np.testing.assert_array_equal(embedding_of(model)[token(model, "C001")], VECTORS["C001"])
    again = tiny(embedding_init=VECTORS, lr=0.1).partial_fit(X, y, classes=[0, 1])
    once = embedding_of(again).copy()
    again.partial_fit(X, y)
    assert np.abs(embedding_of(again) - once).max() < 0.1 * np.abs(once).max() + 1
    assert again.embedding_coverage_ == model.embedding_coverage_ > 0


def test_same_seed_gives_same_bits_in_every_estimator(data):
    X, y = data
    by_visit = [np.arange(n) % 2 for n in X.lengths]
    for Estimator, target in [
        (LSTMVisitClassifier, y),
        (LSTMVisitRegressor, y),
        (LSTMVisitTagger, by_visit),
    ]:
        model = tiny(Estimator, embedding_init=VECTORS).fit(X, target)
        again = clone(model).fit(X, target)
        np.testing.assert_array_equal(embedding_of(again), embedding_of(model))
        assert model.embedding_coverage_ > 0


def by_hand(visits, n_codes):
    """Positive pointwise mutual information, visit by visit."""
    together = np.zeros((n_codes, n_codes))
    for visit in visits:
        for one in set(visit):
            for other in set(visit):
                together[one, other] += 1
    alone = together.diagonal().copy()
    np.fill_diagonal(together, 0)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(together * len(visits) / np.outer(alone, alone)), 0)


def test_vectors_give_back_the_mutual_information_of_codes():
    rng = np.random.default_rng(0)
    visits = [
        [*rng.choice(4, 2), *rng.choice([4, 5, 6], 1)] if i % 2 else [*rng.choice([4, 5, 6], 2)]
        for i in range(200)
    ]
    codes = np.zeros((200, 1, 3), dtype=int)
    for i, visit in enumerate(visits):
        codes[i, 0, : len(visit)] = np.array(visit) + 2
    tokens, vectors = vectors_of(codes, 9)
    information = by_hand(visits, 7)
    shares = np.flatnonzero(information.any(axis=0))
    assert tokens.tolist() == (shares + 2).tolist()
    assert vectors.shape == (len(shares), 9)
    np.testing.assert_allclose(np.mean(vectors**2), 1 / 16, rtol=1e-5)
    # The singular vectors of a symmetric matrix: their products are its absolute value, but for
    # the smallest one, which a truncated decomposition leaves out; it is a randomised one.
    u, s, _ = np.linalg.svd(information)
    wanted = ((u[:, :6] * s[:6]) @ u[:, :6].T)[np.ix_(shares, shares)]
    got = vectors @ vectors.T
    np.testing.assert_allclose(got / np.trace(got), wanted / np.trace(wanted), atol=1e-3)


def test_vectors_are_a_frame_by_code_the_same_for_the_same_seed(data):
    X, _ = data
    vectors = make_code_vectors(X, embedding_dim=2, random_state=0)
    assert vectors.index.tolist() == X.vocabulary.codes.tolist()
    assert vectors.dtypes.eq(np.float32).all()
    pd.testing.assert_frame_equal(
        vectors, make_code_vectors(X, embedding_dim=2, random_state=np.random.RandomState(0))
    )


def test_vectors_of_many_unlabelled_patients_lift_a_model_of_few_labelled_ones():
    X, y = make_visits(6000, signal="groups", n_codes=1000, random_state=0)
    y = y.to_numpy()
    few, others, test = X[:600], X[600:4000], X[4000:]
    starts = {"random": None}
    for name, patients in [("few", few), ("unlabelled", others)]:
        sequences = VisitSequenceTransformer().fit_transform(patients)
        starts[name] = make_code_vectors(sequences, embedding_dim=32, random_state=0)
    auc = {}
    for name, init in starts.items():
        model = make_pipeline(
            VisitSequenceTransformer(),
            LSTMVisitClassifier(
                embedding_dim=32,
                embedding_init=init,
                hidden_dim=32,
                batch_size=64,
                lr=3e-3,
                max_epochs=15,
                early_stopping=False,
                device="cpu",
                random_state=0,
            ),
        )
        model.fit(few, y[:600])
        auc[name] = roc_auc_score(y[4000:], model.predict_proba(test)[:, 1])
    assert auc["unlabelled"] > auc["few"] > auc["random"] + 0.02, auc
    assert auc["unlabelled"] > auc["random"] + 0.05, auc


def test_vectors_of_tokens_without_meaning_raise():
    with pytest.raises(ValueError, match="no vocabulary"):
        make_code_vectors(VisitSequences.from_padded(np.array([[[2, 3]]])))


def test_codes_of_the_same_visits_are_alike():
    """Two worlds of codes never share a visit."""
    rng = np.random.default_rng(1)
    codes = rng.integers(2, 6, (300, 1, 3)) + 4 * (np.arange(300) % 2)[:, None, None]
    _, vectors = vectors_of(codes, 2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit.T
    assert alike[:4, :4].min() > 0.9
    assert np.abs(alike[:4, 4:]).max() < 0.5


@pytest.mark.parametrize(
    "codes", [[[[2]], [[3]]], [[[2, 2]], [[2, 0]]], [[[1]], [[1]]], [[[0]], [[0]]]]
)
def test_vectors_of_codes_that_share_no_visit_raise(codes):
    with pytest.raises(ValueError, match=r"No two codes of X share visits.*embedding_init=None"):
        vectors_of(np.array(codes), 2)


def test_code_that_shares_no_visit_has_no_vector():
    codes = np.array([[[2, 3]], [[2, 3]], [[4, 5]], [[6, 0]], [[7, 0]]])
    tokens, vectors = vectors_of(codes, 4)
    assert tokens.tolist() == [2, 3, 4, 5]
    assert np.abs(vectors).max(axis=1).min() > 0


@pytest.mark.parametrize(
    ("embedding_init", "message"),
    [
        ({"C001": [1.0, 2.0, 3.0]}, r"embedding_dim=2 .*shape \(1, 3\).*Set embedding_dim"),
        ({"C001": [1.0, 2.0], "C002": [1.0]}, "all of one length"),
        ({"C001": [1.0, np.nan]}, r"1 vector\(s\) with NaN"),
        ({"C001": ["a", "b"]}, "vectors of numbers"),
        (pd.DataFrame({"code": ["C001"], "x": [1.0]}), "set_index"),
        ({}, "vectors of numbers"),
        ({"elsewhere": [1.0, 2.0]}, "none for a code of the vocabulary"),
        ({7: [1.0, 2.0]}, "none for a code of the vocabulary"),
        (pd.DataFrame([[1.0, 2.0]] * 2, index=["C001"] * 2), "several vectors for a code"),
        ("word2vec", "embedding_init"),
        ([[1.0, 2.0]], "embedding_init"),
    ],
)
def test_bad_vectors_raise(data, embedding_init, message):
    model = tiny(embedding_init=embedding_init)
    with pytest.raises(ValueError, match=message):
        model.fit(*data)
    assert not hasattr(model, "net_")


def test_tokens_without_meaning_take_no_vectors_by_code():
    with pytest.raises(ValueError, match="no vocabulary"):
        tiny(embedding_init=VECTORS, early_stopping=False).fit(np.array([[[2]], [[3]]]), [0, 1])
