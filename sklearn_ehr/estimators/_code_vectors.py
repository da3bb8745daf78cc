"""With which vectors codes start."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from ..vocabulary import N_SPECIAL


def vectors_given(embedding_init, vocabulary, embedding_dim):
    """Vectors of codes from a frame or mapping, for those of the vocabulary that are in it.

    Returns
    -------
    tokens : ndarray of shape (n_covered,)
    vectors : float32 ndarray of shape (n_covered, embedding_dim)

    Raises
    ------
    ValueError
        If there is no vocabulary to look codes up in, vectors have another length or are not
        finite numbers, or none is of a code of the vocabulary.
    """
    if vocabulary is None:
        raise ValueError(
            "embedding_init needs to know which code a token is, and X has no vocabulary. Pass the "
            "VisitSequences of a VisitSequenceTransformer, or embedding_init='svd'."
        )
    frame = embedding_init
    try:
        if isinstance(embedding_init, Mapping):
            frame = pd.DataFrame(
                np.stack([*embedding_init.values()]), index=pd.Index([*embedding_init])
            )
        vectors = frame.to_numpy(dtype=np.float32)
    except (TypeError, ValueError):
        vectors = np.empty((0, 0))
    if vectors.shape[1:] != (embedding_dim,) or not np.isfinite(vectors).all():
        raise ValueError(
            f"embedding_init must hold a vector of embedding_dim={embedding_dim} finite numbers "
            f"for each code (a mapping from code to vector, or a frame with codes as its index); "
            f"got a {type(embedding_init).__name__} that makes an array of shape {vectors.shape}. "
            f"Set embedding_dim to the vectors' length."
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


def vectors_from_visits(sequences, embedding_dim, seed):
    """Vectors of codes that share visits: a truncated SVD of their mutual information [1]_.

    The positive pointwise mutual information of two codes, from how many visits have both, is
    factorised with the square root of the singular values on either side (p. 216), and scaled to
    the unit variance that random vectors have.

    References
    ----------
    .. [1] O. Levy, Y. Goldberg and I. Dagan, "Improving distributional similarity with lessons
       learned from word embeddings", Transactions of the ACL 3, 2015, p. 211-225.

    Returns
    -------
    tokens : ndarray of shape (n_codes,)
    vectors : float32 ndarray of shape (n_codes, embedding_dim)
    """
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
    vectors = np.zeros((len(tokens), embedding_dim), dtype=np.float32)
    n_components = min(embedding_dim, len(tokens) - 1)
    if ppmi.nnz and n_components > 0:
        svd = TruncatedSVD(n_components, random_state=seed)
        vectors[:, :n_components] = svd.fit_transform(ppmi) / np.sqrt(
            np.maximum(svd.singular_values_, 1e-12)
        )
        vectors /= np.sqrt(np.mean(vectors**2))
    seen = np.flatnonzero(alone)
    return tokens[seen], vectors[seen]
