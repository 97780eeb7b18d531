"""Fidelity of several updates over masks and images: what Figures 4 and 5 and the table share."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.experiment import Options
from experiments.grids import GridRun, run_grid
from experiments.networks import Network, head
from fitb_jax import ablation, fill, masks, models
from fitb_jax.evaluation.intervals import Interval, mean_interval, proportion_interval
from fitb_jax.types import LogitsFn, UpdateFn

Settings = Sequence[tuple[float, int]]
"""Share of the patches that are blank, and the side of a patch in pixels, of each mask."""

_NUMBERS = fill.Fidelity._fields
FIELDS = {
    "correlation": ablation.Field(
        meaning="correlation of the update with the hidden pixels", nan_is_answer=True
    ),
    "probability_filled": ablation.Field(meaning="p(target) of the filled image"),
    "correct_filled": ablation.Field(meaning="whether the filled image is classified right"),
}


def fidelity_point(
    *,
    judge: LogitsFn,
    update: UpdateFn,
    network: LogitsFn,
    setting: dict[str, jax.Array],
    image: dict[str, jax.Array],
    key: jax.Array,
) -> fill.Fidelity:
    """How well one update of one network fills in one image under one random mask.

    Args:
        judge: network whose prediction is looked at.
        update: rule of the update.
        network: whose update it is.
        setting: `ratio` and `patch` of the mask.
        image: `pixels` and `label`.
        key: of the mask.

    Returns:
        The measures.
    """
    pixels, label = image["pixels"], image["label"]
    mask = masks.random_patches(pixels.shape[:2], setting["ratio"], setting["patch"], key=key)
    return fill.fidelity(judge, pixels, mask, label, update(network, pixels, mask, label))


def fidelity_grid(
    name: str,
    net: Network,
    updates: Mapping[str, UpdateFn],
    settings: Settings,
    *,
    count: int,
    seed: int,
    chunk: int,
) -> GridRun:
    """Fidelity of the updates of a trained network and of its untrained control, over test images.

    The trained network judges both, on the same images under the same masks.

    Args:
        name: of the grid.
        net: the network, its control and its data.
        updates: by name; one compile each.
        settings: of the masks.
        count: test images; 0 means all.
        seed: of the masks.
        chunk: points evaluated at once.

    Returns:
        The grid, of axes update, network, setting, image.
    """
    images, labels = head(net.test, count)
    ratios, patches = zip(*settings, strict=True)
    grid = {
        "update": ablation.structural([*updates.values()], labels=[*updates]),
        "network": ablation.looped(
            models.stack([net.trained, net.untrained]), labels=["trained", "untrained"]
        ),
        "setting": ablation.batched(
            {"ratio": np.array(ratios, np.float32), "patch": np.array(patches, np.int32)},
            labels=[f"ratio {ratio:g}, patch {patch}" for ratio, patch in settings],
        ),
        "image": ablation.batched({"pixels": images, "label": labels}),
    }
    arguments = {
        "key": jax.random.key(seed),
        "key_axes": ("setting", "image"),
        "shared": {"judge": net.trained},
        "fields": FIELDS,
        "chunk": chunk,
    }
    return GridRun(name, fidelity_point, grid, arguments)


def fidelity_arrays(options: Options, run: GridRun, prefix: str = "") -> dict[str, np.ndarray]:
    """Run a fidelity grid, and name its results as they are saved.

    Args:
        options: of the experiment.
        run: from `fidelity_grid`.
        prefix: of the names, such as a network's label and a colon.

    Returns:
        `{prefix}{network}/{update}/{field}` to array (n, settings), network "trained" or
        "untrained".
    """
    found = run_grid(options, run).transpose("update", "network", "image", "setting").load()
    return {
        f"{prefix}{network}/{update}/{field}": found[field]
        .sel(update=update, network=network)
        .values
        for update in found["update"].values.tolist()
        for network in found["network"].values.tolist()
        for field in _NUMBERS
    }


def draw_masks(shape: tuple[int, ...], settings: Settings, *, key: jax.Array) -> jax.Array:
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


def from_arrays(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, fill.Fidelity]:
    """The inverse of `fidelity_arrays`, for one network.

    Args:
        prefix: with the network.
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
