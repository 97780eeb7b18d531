"""The networks, classes and images that the sanity checks compare on small images."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.common.networks import Network, NetworkOptions, network, random_labels
from fitb_jax import evaluation, models
from fitb_jax.evaluation.intervals import Interval
from fitb_jax.types import Image, Key, LogitsFn, SaliencyFn

RANDOM_LABELS = "random labels"
RANDOM_LOGIT = "random logit"
INPUT_SHIFT = "input shift"


@dataclasses.dataclass(frozen=True)
class SanityOptions(NetworkOptions):
    """Options of an experiment with sanity checks.

    Attributes:
        activation: "relu" is what deconvnet and guided backpropagation are made for.
        label_epochs: of the training on permuted labels.
        shift: what is added to every image, in units of intensity.
        methods: names in the tables; none means all.
    """

    activation: models.Activation = "relu"
    label_epochs: int = 30
    shift: float = -1.0
    methods: tuple[str, ...] = ()


class Checked(NamedTuple):
    """A network and what it is compared with.

    Attributes:
        net: the network and its data.
        fitted: share of the permuted labels that the network of random labels gives.
        layers: names of the layers, from the logits to the input.
        names: of the cases, in the order of `similarities`.
        shared: arguments of `compare` that no image varies.
    """

    net: Network
    fitted: Interval
    layers: list[str]
    names: list[str]
    shared: dict[str, Any]


def checked(options: SanityOptions) -> Checked:
    """Train the networks, or find them again, and take their layers apart.

    Args:
        options: which.

    Returns:
        Everything that the checks need.

    Raises:
        FileNotFoundError, ValueError: as `networks.network`.
    """
    net = network(options)
    noise = random_labels(options, net.train, epochs=options.label_epochs)
    found = models.parameter_layers(net.trained, jnp.asarray(net.test.images[0]))
    order = (net.trained, net.untrained, found.names, found.of_leaves)
    cascade = evaluation.cascading_randomisation(*order)
    single = evaluation.independent_randomisation(*order)
    labels = jax.tree.map(lambda leaf: leaf[None], noise.logits_fn)
    # The first of `single` has random logits, as the first of `cascade` has.
    others = jax.tree.map(
        lambda *leaves: jnp.concatenate([leaves[0], leaves[1][1:], leaves[2]]),
        cascade,
        single,
        labels,
    )
    layers = list(found.names[::-1])
    names = [f"down to {name}" for name in layers] + [f"only {name}" for name in layers[1:]]
    shared = {
        "reference": net.trained,
        "others": others,
        "shift": jnp.float32(options.shift),
    }
    cases = [*names, RANDOM_LABELS, RANDOM_LOGIT, INPUT_SHIFT]
    return Checked(net, noise.fitted, layers, cases, shared)


def compare(
    method: SaliencyFn,
    image: Image,
    label: jax.Array,
    *,
    reference: LogitsFn,
    others: LogitsFn,
    shift: jax.Array,
    key: Key,
) -> evaluation.sanity.MapComparison:
    """Every sanity check of one method on one image.

    Args:
        method: the method.
        image: (h, w, c).
        label: class that is explained.
        reference: the trained network.
        others: randomised ones and that of random labels, stacked.
        shift: added to the image, for a network that takes it off again.
        key: of the method and of the other class.

    Returns:
        The maps, and their similarities in the order of `Checked.names`.
    """
    method_key, class_key = jax.random.split(key)
    # All in one structure, so that the method is compiled once for all checks.
    still = models.shift_input(reference, 0.0)
    still_others = jax.vmap(lambda logits_fn: models.shift_input(logits_fn, 0.0))(others)
    cases = evaluation.join_cases(
        evaluation.network_cases(still_others, image, label),
        evaluation.random_logit_case(still, image, label, key=class_key),
        evaluation.input_shift_case(
            models.shift_input(reference, shift), image, label, shift=shift
        ),
    )
    return evaluation.compare(method, evaluation.Case(still, image, label), cases, key=method_key)
