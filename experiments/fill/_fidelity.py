"""How well updates fill in images under masks: the sweep that several experiments share."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.networks import Network, head
from experiments.core.experiment import Sweep
from fitb_jax import ablation, fill, masks, models
from fitb_jax.types import LogitsFn, UpdateFn

Settings = Sequence[tuple[float, int]]
"""Share of the patches that are blank, and the side of a patch in pixels, of each mask."""

MEASURES = {
    "probability_filled": "p(target)",
    "correct_filled": "accuracy",
    "correlation": "correlation",
}
"""Those that tables show of a filled image, and what they are called there."""

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


def fidelity_sweep(
    net: Network,
    updates: Mapping[str, UpdateFn],
    settings: Settings,
    *,
    count: int,
    seed: int,
    chunk: int,
    name: str = "",
) -> Sweep:
    """Fidelity of the updates of a trained network and of its untrained control, over test images.

    The trained network judges both, on the same images under the same masks.

    Args:
        net: the network, its control and its data.
        updates: by name; one compile each.
        settings: of the masks.
        count: test images; 0 means all.
        seed: of the masks.
        chunk: points evaluated at once.
        name: of the sweep, where an experiment has several.

    Returns:
        The sweep, of axes update, network, setting, image.
    """
    images, labels = head(net.test, count)
    ratios, patches = zip(*settings, strict=True)
    return Sweep(
        name=name,
        point=fidelity_point,
        axes={
            "update": ablation.static([*updates.values()], labels=[*updates]),
            "network": ablation.looped(
                models.stack([net.trained, net.untrained]), labels=["trained", "untrained"]
            ),
            "setting": ablation.vmapped(
                {"ratio": np.array(ratios, np.float32), "patch": np.array(patches, np.int32)},
                labels=[f"ratio {ratio:g}, patch {patch}" for ratio, patch in settings],
            ),
            "image": ablation.vmapped({"pixels": images, "label": labels}),
        },
        fields=FIELDS,
        key=jax.random.key(seed),
        key_axes=("setting", "image"),
        shared={"judge": net.trained},
        about={"ratio": ("setting", [*ratios]), "patch": ("setting", [*patches])},
        chunk=chunk,
    )


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
