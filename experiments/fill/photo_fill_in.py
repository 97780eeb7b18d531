"""Figure 9: Fill in the blanks of a photograph, by several networks.

    python -m experiments photo_fill_in    # 3 min

Expected: p(class) of fills by networks that took no part is 0.41.

Photographs filled in for their own class and for others by each network; all judge all fills.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.core.experiment import Tables
from experiments.core.labelled import pictures, with_notes
from experiments.fill import _photo_networks
from experiments.fill._photo_networks import Loaded
from fitb_jax import batching, fill, masks, plotting
from fitb_jax.fill.inpainting import visible_mean
from fitb_jax.types import Array, Image, Key, LogitsFn, Mask, Target

OWN = "own class"
UNFILLED = ("whole", "masked", "inpainted")


@dataclasses.dataclass(frozen=True)
class Config(_photo_networks.SeveralNetworks):
    """Options of Figure 9.

    Attributes:
        others: classes that each photograph is filled in for besides its own.
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
    """

    count: int = 3
    others: tuple[str, ...] = ("strawberry", "golden retriever")
    ratio: float = 0.5
    patch: int = 32


def compute(config: Config, net: Loaded) -> xr.Dataset:
    """Every fill of every photograph, and what all networks say of it."""
    shown = net.photographs
    images = jnp.asarray(shown.images)
    others = [shown.pretrained.class_index(name) for name in config.others]
    targets = jnp.asarray([[target, *others] for target in shown.targets.tolist()])
    mask_key, fill_key = jax.random.split(jax.random.key(config.seed))
    mask_keys = jax.random.split(mask_key, len(images))
    draw_mask = functools.partial(
        masks.random_patches, images.shape[1:3], config.ratio, config.patch
    )
    seen = jax.vmap(lambda key: draw_mask(key=key))(mask_keys)

    @jax.jit
    def fill_all(logits_fn: LogitsFn) -> Array:
        def one(image: Image, mask: Mask, targets: Array, key: Key) -> Array:
            def of_class(target: Target) -> Image:
                return fill.iterated(logits_fn, image, mask, target, key=key, steps=config.steps)

            return jax.lax.map(of_class, targets)

        keys = jax.random.split(fill_key, len(images))
        return batching.chunked_vmap(one, chunk=config.chunk)(images, seen, targets, keys)

    @jax.jit
    def judge_all(logits_fn: LogitsFn, stages: Array) -> Array:
        logits = jax.lax.map(logits_fn, stages.reshape(-1, *stages.shape[3:]))
        p = jax.nn.softmax(logits).reshape(*stages.shape[:3], -1)
        return jnp.take_along_axis(p, targets[:, :, None, None], axis=3)[..., 0]

    masked = jax.vmap(lambda i, m: masks.apply(i, m, visible_mean(i, m)))(images, seen)
    begun = jnp.stack([images, masked, jax.vmap(fill.inpaint)(images, seen)], axis=1)
    same = jnp.broadcast_to(begun[:, None], (*targets.shape, *begun.shape[1:]))
    fills = jnp.stack([fill_all(each) for each in net.trained.values()], axis=2)
    stages = jnp.concatenate([same, fills], axis=2)
    p = jnp.stack([judge_all(judge, stages) for judge in net.trained.values()], axis=3)
    names = [[shown.class_name(target) for target in row] for row in np.asarray(targets)]
    found = xr.Dataset(
        pictures("image", "stage", begun=begun)
        | pictures("image", "asked", "network", fills=fills)
        | {"p": (("image", "asked", "shown", "judge"), np.asarray(p))},
        {
            "image": shown.names,
            "stage": [*UNFILLED],
            "asked": [OWN, *config.others],
            "network": [*net.trained],
            "shown": [*UNFILLED, *net.trained],
            "judge": [*net.trained],
            "class_name": (("image", "asked"), names),
        },
    )
    return with_notes(found, *net.notes)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Mean p of the class asked for, by every network."""
    means = found["p"].mean("image").stack(line=("asked", "shown"))
    table = means.transpose("line", "judge").to_pandas()
    return {"p of the class asked for": table.rename_axis(index=["asked", "shown"])}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """A row for each photograph and class, with p of the class by every network."""
    rows, titles = [], []
    for i, j in np.ndindex(found["class_name"].shape):
        of = found.isel(image=i, asked=j)
        stages = [*of["begun"].values, *of["fills"].values]
        p = of["p"].transpose("shown", "judge").values
        said = [" ".join(f"{value:.2f}" for value in values) for values in p]
        rows.append([*zip(stages, said, strict=True)])
        titles.append(f"{of['class_name'].item()[:18]}")
    columns = [*UNFILLED, *(f"by {_short(name)}" for name in found["network"].values)]
    grid = plotting.captioned_grid(rows, column_titles=columns, row_titles=titles, size=1.6)
    return {"photo_fill_in": grid}


def _short(name: str) -> str:
    return name.removeprefix("efficientnet_").capitalize()


def caption(config: Config, found: xr.Dataset) -> str:
    """State what is shown, and what networks say of each other's fills."""
    p = found["p"].mean("image")
    filled = p.sel(shown=found["network"].values).rename(shown="network")
    is_other = filled["network"] != filled["judge"]
    by_others = filled.where(is_other | (found.sizes["judge"] == 1)).mean(("network", "judge"))
    before = p.sel(shown="masked").mean("judge")
    own, other = by_others.sel(asked=OWN), by_others.drop_sel(asked=OWN).mean()
    judges = ", ".join(_short(str(name)) for name in found["judge"].values)
    return (
        f"Patches of {config.patch} pixels hide {config.ratio:.0%} of each photograph, which is "
        f"filled in {config.steps} steps for the class beside the row. Under each picture p of "
        f"that class by {judges}. For its own class networks that took no part say {own:.2f} "
        f"(masked {before.sel(asked=OWN):.2f}), for other classes {other:.2f} (masked "
        f"{before.drop_sel(asked=OWN).mean():.2f})."
    )


load = _photo_networks.load

SMOKE = {
    "count": 1,
    "networks": ("efficientnet_lite0",),
    "others": ("strawberry",),
    "patch": 16,
    "steps": 2,
}

FULL = {"count": 0, "steps": 256}
