"""What sanity checks on small images share: the networks, the sweep, and who passes."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import xarray as xr

from experiments.common.networks import (
    Network,
    NetworkOptions,
    accuracies,
    head,
    network,
    random_labels,
    with_network,
)
from experiments.core.experiment import Sweep
from experiments.core.labelled import interval_variable
from fitb_jax import ablation, evaluation, models
from fitb_jax.evaluation.intervals import Interval
from fitb_jax.types import SaliencyFn

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
    """A network and what it is compared with."""

    net: Network
    fitted: Interval
    layers: list[str]
    names: list[str]
    shared: dict[str, Any]


def checked(options: SanityOptions) -> Checked:
    """Train the networks, or find them again, and take their layers apart."""
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
    shared = {"reference": net.trained, "others": others, "shift": jnp.float32(options.shift)}
    cases = [*names, RANDOM_LABELS, RANDOM_LOGIT, INPUT_SHIFT]
    return Checked(net, noise.fitted, layers, cases, shared)


def sanity_sweep(
    options: SanityOptions,
    found: Checked,
    point: Callable[..., Any],
    methods: Mapping[str, SaliencyFn],
    *,
    fields: Mapping[str, ablation.Field],
    shared: Mapping[str, Any],
    at_once: int | None = None,
) -> Sweep:
    """Every method on every test image, `at_once` of them or all."""
    images, labels = head(found.net.test, options.test_images)
    at_once = min(len(images), at_once or len(images))
    return Sweep(
        point=point,
        axes={
            "method": ablation.static([*methods.values()], labels=[*methods]),
            "image": ablation.vmapped({"pixels": images, "target": labels}),
        },
        fields=fields,
        key=jax.random.key(options.seed),
        key_axes=("image",),
        shared=shared,
        chunk=at_once,
        # As many as there are: a device fills its lanes up, and the images are few.
        lanes=at_once,
    )


def with_networks(found: xr.Dataset, checked: Checked) -> xr.Dataset:
    """Results with how good the networks are that they are of."""
    return with_network(found.assign(fitted=interval_variable(checked.fitted)), checked.net)


def network_numbers(config: Any, found: xr.Dataset) -> dict[str, Interval]:
    """What `with_networks` added."""
    return {
        **accuracies(config, found),
        "share of random labels fitted": Interval(*found["fitted"].values.tolist()),
    }
