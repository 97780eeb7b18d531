"""Fidelity of several updates over masks and images: what Figures 4 and 5 and the table share."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.networks import Network, head
from experiments.statistics import Interval, mean_interval, proportion_interval
from fitb_jax import batching, fill, masks
from fitb_jax.types import Image, LogitsFn, UpdateFn

MaskSetting = tuple[float, int]
"""Share of the patches that are blank, and the side of a patch in pixels."""

Program = Callable[[LogitsFn, LogitsFn, jax.Array, jax.Array, jax.Array], dict[str, fill.Fidelity]]
"""(judge, network of the updates, images, targets, keys) -> fidelities, (n, settings) each."""


def draw_masks(
    shape: tuple[int, ...], settings: Sequence[MaskSetting], *, key: jax.Array
) -> jax.Array:
    """One random mask per setting.

    Args:
        shape: (height, width).
        settings: ratio and patch of each.
        key: random key.

    Returns:
        The masks, (settings, h, w).
    """
    return jnp.stack(
        [
            masks.random_patches(shape, ratio, patch, key=jax.random.fold_in(key, index))
            for index, (ratio, patch) in enumerate(settings)
        ]
    )


def fidelity_program(updates: Mapping[str, UpdateFn], settings: Sequence[MaskSetting]) -> Program:
    """One compiled program for a whole grid of masks, several updates, and any network.

    Args:
        updates: by name.
        settings: of the masks.

    Returns:
        The jitted program; the networks are arguments, so that a control is no second compile.
    """

    def one_image(
        judge: LogitsFn, updating: LogitsFn, image: Image, target: jax.Array, key: jax.Array
    ) -> dict[str, fill.Fidelity]:
        def one_mask(mask: jax.Array) -> dict[str, fill.Fidelity]:
            return {
                name: fill.fidelity(
                    judge, image, mask, target, update(updating, image, mask, target)
                )
                for name, update in updates.items()
            }

        return jax.vmap(one_mask)(draw_masks(image.shape[:2], settings, key=key))

    return jax.jit(jax.vmap(one_image, in_axes=(None, None, 0, 0, 0)))


def measure_with_control(
    program: Program,
    net: Network,
    *,
    count: int,
    seed: int,
    chunk: int,
    progress: bool,
) -> dict[str, dict[str, fill.Fidelity]]:
    """Fidelity of the updates of a trained network and of its untrained control, over test images.

    The trained network judges both, on the same images under the same masks.

    Args:
        program: from `fidelity_program`.
        net: the network, its control and its data.
        count: test images; 0 means all.
        seed: of the masks.
        chunk: images evaluated at once.
        progress: whether to show a progress bar.

    Returns:
        "trained" and "untrained" to the fidelities of every update, numpy arrays (n, settings).
    """
    images, labels = head(net.test, count)
    keys = jax.random.split(jax.random.key(seed), len(images))
    return {
        source: batching.stream(
            lambda *items, updating=updating: program(net.trained, updating, *items),
            images,
            labels,
            keys,
            chunk=chunk,
            label=f"{net.label}, {source}",
            progress=progress,
        )
        for source, updating in (("trained", net.trained), ("untrained", net.untrained))
    }


def intervals(found: fill.Fidelity, setting: int) -> dict[str, Interval]:
    """p(target), accuracy and correlation after filling, with intervals over images.

    Args:
        found: fidelities (n, settings).
        setting: which one.

    Returns:
        By the names used in tables.
    """
    return {
        "p(target)": mean_interval(found.probability_filled[:, setting]),
        "accuracy": proportion_interval(found.correct_filled[:, setting]),
        "correlation": mean_interval(found.correlation[:, setting]),
    }


def as_arrays(prefix: str, found: Mapping[str, fill.Fidelity]) -> dict[str, np.ndarray]:
    """Fidelities under names that can be saved.

    Args:
        prefix: such as the network.
        found: per update.

    Returns:
        `prefix/update/field` to array (n, settings).
    """
    return {
        f"{prefix}/{name}/{field}": np.asarray(value)
        for name, fidelity in found.items()
        for field, value in fidelity._asdict().items()
    }


def from_arrays(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, fill.Fidelity]:
    """The inverse of `as_arrays`.

    Args:
        prefix: as given there.
        arrays: what was saved.

    Returns:
        Fidelities per update.
    """
    names = {
        name.removeprefix(f"{prefix}/").split("/")[0]
        for name in arrays
        if name.startswith(f"{prefix}/")
    }
    return {
        name: fill.Fidelity(
            *(jnp.asarray(arrays[f"{prefix}/{name}/{field}"]) for field in fill.Fidelity._fields)
        )
        for name in sorted(names)
    }
