"""Photographs, and several pretrained networks that fill them in and judge each other's fills."""

import dataclasses
from typing import NamedTuple

import jax

from experiments.common.photographs import Explained, PhotographOptions, explained
from fitb_jax import models
from fitb_jax.types import LogitsFn


@dataclasses.dataclass(frozen=True)
class SeveralNetworks(PhotographOptions):
    """Options of an experiment in which networks judge each other.

    Attributes:
        networks: that fill and judge; one whose weights are not installed is left out with a note.
        steps: of a fill.
    """

    networks: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
    steps: int = 64


class Loaded(NamedTuple):
    """The photographs, and the networks that fill and judge, with their controls."""

    photographs: Explained
    trained: dict[str, LogitsFn]
    untrained: dict[str, LogitsFn]
    notes: list[str]


def load(config: SeveralNetworks) -> Loaded:
    """Read the photographs, and the networks that are installed."""
    trained, untrained, notes = {}, {}, []
    for name in config.networks:
        try:
            trained[name] = models.load(name).logits_fn
        except ImportError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        key = jax.random.key(config.seed)
        untrained[name] = models.untrained(name, key=key).logits_fn
    if not trained:
        raise ValueError(f"networks must hold one that is installed: {notes}")
    photographs = explained(config)
    notes.append(f"{len(photographs.names)} photographs: {photographs.source}")
    if (photographs.labels < 0).any():
        notes.append("photographs without a label are taken to be of the class predicted")
    return Loaded(photographs, trained, untrained, notes)
