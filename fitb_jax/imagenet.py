"""The 1,000 classes of ImageNet, by name and WordNet id; both `models` and `data` import it."""

import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Classes(NamedTuple):
    """The classes in the order of the logits, which is that of the sorted WordNet ids.

    Attributes:
        names: 1,000, by WordNet.
        wordnet_ids: 1,000, such as "n02123045".
        index_of: WordNet id -> index.
    """

    names: tuple[str, ...]
    wordnet_ids: tuple[str, ...]
    index_of: Mapping[str, int]


@functools.cache
def classes() -> Classes:
    """Read the table of classes once.

    Returns:
        The names, WordNet ids and indices (ILSVRC 2012; names by WordNet 3.0).
    """
    table = importlib.resources.files("fitb_jax").joinpath("imagenet_classes.tsv")
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()]
    wordnet_ids = tuple(wordnet_id for wordnet_id, _ in rows)
    index_of = {wordnet_id: index for index, wordnet_id in enumerate(wordnet_ids)}
    return Classes(tuple(names for _, names in rows), wordnet_ids, MappingProxyType(index_of))


KINDS = ("animals", "artefacts", "other")
"""Kinds of the classes; `kinds` says which of them a class is."""

_FIRST_ARTEFACT, _LAST_ARTEFACT = 2_660_000, 4_620_000
"""WordNet 3.0 numbers nouns file by file: animals come before, artefacts between these numbers, and
food, plants, places and people after them."""


def kinds(wordnet_ids: Sequence[str]) -> Int[np.ndarray, "n"]:
    """Whether classes are animals, artefacts or other things.

    Args:
        wordnet_ids: of the n classes, such as "n02123045".

    Returns:
        (n,), the index into `KINDS` of each class.
    """
    numbers = np.array([int(wordnet_id[1:]) for wordnet_id in wordnet_ids])
    return np.digitize(numbers, (_FIRST_ARTEFACT, _LAST_ARTEFACT))
