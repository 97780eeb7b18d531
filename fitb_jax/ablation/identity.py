"""Digests of labels and arrays: random keys by coordinates, and the identity of a run."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def on_host(leaf: Any) -> Any:
    """An array of numpy; random keys, which have no counterpart there, stay as they are.

    Args:
        leaf: any array.

    Returns:
        It, on the host.
    """
    if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    return np.asarray(leaf)


def key_words(digests: Mapping[str, np.ndarray], places: Mapping[str, np.ndarray]) -> np.ndarray:
    """Two 32-bit words for each point, from the labels of its coordinates and nothing else.

    The digests of all coordinates are added, so that neither the order of the axes nor the other
    values on them matter.

    Args:
        digests: `label_digests` of each axis that the keys depend on.
        places: of each axis the places of the points, (n,).

    Returns:
        (n, 2), uint32.
    """
    total = np.zeros(len(next(iter(places.values()))), np.uint64)
    for name, of_labels in digests.items():
        total += of_labels[places[name]]
    return np.stack([total >> np.uint64(32), total & np.uint64(2**32 - 1)], 1).astype(np.uint32)


def label_digests(name: str, labels: np.ndarray) -> np.ndarray:
    """A digest of each label of an axis.

    Args:
        name: of the axis.
        labels: (n,).

    Returns:
        (n,), uint64.
    """
    words = (f"{name}={label!r}".encode() for label in labels.tolist())
    digests = [hashlib.blake2b(word, digest_size=8).digest() for word in words]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def digest(tree: Any) -> str:
    """A fingerprint of the names, shapes, types and values of a pytree of arrays.

    Args:
        tree: pytree of arrays; random keys are allowed.

    Returns:
        32 hexadecimal digits.
    """
    found = hashlib.blake2b(digest_size=16)
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        leaf = on_host(leaf)
        if not isinstance(leaf, np.ndarray):
            leaf = np.asarray(jax.random.key_data(leaf))
        found.update(f"{jax.tree_util.keystr(path)}{leaf.dtype.str}{leaf.shape}".encode())
        # As bytes, because the types of `ml_dtypes` have no buffer.
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()
