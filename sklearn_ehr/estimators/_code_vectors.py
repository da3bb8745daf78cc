"""Initial vectors for the embedding of codes."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from ..utils import Interval, validate_params
from ..visits import N_SPECIAL, VisitSequences


@validate_params(
    {
        "X": [VisitSequences],
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_code_vectors(X, *, embedding_dim=256, random_state=None):
    """Make vectors of codes that share visits, for the `embedding_init` of an estimator.

    They need no labels: where few patients have one, they can be made of many others. Those
    must not be patients that a model is tested on.

    Parameters
    ----------
    X : VisitSequences
        As a `VisitSequenceTransformer` makes them, which also says which codes are too rare.
    embedding_dim : int, default=256
        Length of a vector, as the estimator's. Columns beyond the number of codes less 1 are 0.
    random_state : int, RandomState instance or None, default=None
        Seed of the decomposition; pass an int for the same vectors on every call.

    Returns
    -------
    DataFrame of shape (n_codes, embedding_dim), float32
        The codes are its index, without those that share no visit with another.

    Raises
    ------
    ValueError
        If `X` has no vocabulary, or no two codes share visits more often than by chance.

    Notes
    -----
    The positive pointwise mutual information of two codes, from how many visits have both, is
    factorised with the square root of the singular values on either side [1]_ (p. 216), and scaled
    to the standard deviation of 1/4 that random vectors have under ``aggregation="sum"``. Multiply
    them by 4 for another aggregation.

    References
    ----------
    .. [1] O. Levy, Y. Goldberg and I. Dagan, "Improving distributional similarity with lessons
       learned from word embeddings", Transactions of the ACL 3, 2015, p. 211-225.

    Examples
    --------
    >>> from sklearn_ehr import VisitSequenceTransformer, make_code_vectors
    >>> from sklearn_ehr.datasets import make_visits
    >>> X, _ = make_visits(200, random_state=0)
    >>> sequences = VisitSequenceTransformer(min_frequency=100).fit_transform(X)
    >>> make_code_vectors(sequences, embedding_dim=16, random_state=0).shape
    (22, 16)
    """
    if X.vocabulary is None:
        raise ValueError(
            "X has no vocabulary that says which codes its tokens are. Pass the VisitSequences of "
            "a VisitSequenceTransformer."
        )
    tokens, vectors = _vectors_from_visits(X, embedding_dim, random_state)
    return pd.DataFrame(vectors, index=X.vocabulary.codes[tokens - N_SPECIAL])


def vectors_given(embedding_init, vocabulary, embedding_dim):
    """Tokens and vectors of the codes in a frame or mapping that the vocabulary has.

    A missing vocabulary is refused, as are vectors of another length or of numbers that are not
    finite, and vectors of none of its codes.
    """
    if vocabulary is None:
        raise ValueError(
            "embedding_init needs to know which code a token is, and X has no vocabulary. Pass the "
            "VisitSequences of a VisitSequenceTransformer."
        )
    frame = embedding_init
    try:
        if isinstance(embedding_init, Mapping):
            frame = pd.DataFrame(
                np.stack([*embedding_init.values()]), index=pd.Index([*embedding_init])
            )
        vectors = frame.to_numpy(dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(
            f"embedding_init must hold vectors of numbers, all of one length: a mapping from code "
            f"to vector, or a frame with codes as its index (frame.set_index of their column); got "
            f"a {type(embedding_init).__name__} of something else."
        ) from None
    if vectors.shape[1:] != (embedding_dim,):
        raise ValueError(
            f"embedding_init must hold vectors of embedding_dim={embedding_dim} numbers; got a "
            f"{type(embedding_init).__name__} that makes an array of shape {vectors.shape}. Set "
            f"embedding_dim to the vectors' length."
        )
    if n_null := np.count_nonzero(~np.isfinite(vectors).all(axis=1)):
        raise ValueError(
            f"embedding_init has {n_null} vector(s) with NaN or infinite numbers. Leave those "
            f"codes out: they start at random."
        )
    if frame.index.has_duplicates:
        raise ValueError("embedding_init holds several vectors for a code; keep one.")
    row = frame.index.get_indexer(vocabulary.codes)
    covered = np.flatnonzero(row >= 0)
    if not covered.size:
        raise ValueError(
            f"embedding_init holds {len(vectors)} vectors, none for a code of the vocabulary (of "
            f"{len(vocabulary.codes)}). Check that both write codes alike."
        )
    return covered + N_SPECIAL, vectors[row[covered]]


def _vectors_from_visits(sequences, embedding_dim, seed):
    """Tokens of codes that share visits, and their vectors."""
    n_visits = len(sequences.visit_offsets) - 1
    ones = np.ones(len(sequences.tokens), dtype=np.float32)
    shape = n_visits, int(sequences.tokens.max(initial=1)) + 1
    # A copy, as duplicates are summed up in place.
    has_code = sparse.csr_matrix(
        (ones, sequences.tokens, sequences.visit_offsets), shape=shape, copy=True
    )
    has_code.sum_duplicates()
    has_code.data[:] = 1
    tokens = np.arange(N_SPECIAL, has_code.shape[1])
    has_code = has_code[:, tokens]
    together = (has_code.T @ has_code).tocoo()
    alone = np.asarray(has_code.sum(axis=0)).ravel()
    information = np.log(together.data * n_visits / (alone[together.row] * alone[together.col]))
    kept = (together.row != together.col) & (information > 0)
    ppmi = sparse.csr_matrix(
        (information[kept], (together.row[kept], together.col[kept])), shape=together.shape
    )
    if not ppmi.nnz:
        raise ValueError(
            "No two codes of X share visits more often than by chance, so there are no vectors to "
            "make of them. Let codes start at random (embedding_init=None), or take more patients."
        )
    vectors = np.zeros((len(tokens), embedding_dim), dtype=np.float32)
    n_components = min(embedding_dim, len(tokens) - 1)
    svd = TruncatedSVD(n_components, random_state=seed)
    vectors[:, :n_components] = svd.fit_transform(ppmi) / np.sqrt(
        np.maximum(svd.singular_values_, 1e-12)
    )
    # A code that shares no visit with another would start blind: it stays random.
    shares = np.flatnonzero(ppmi.getnnz(axis=1))
    vectors = vectors[shares]
    return tokens[shares], vectors / (4 * np.sqrt(np.mean(vectors**2)))
