"""Figure 8: Fill in the blanks of a photograph.

    python -m experiments photo_fill_in    # 40 s
    python -m experiments photo_fill_in --photographs folder --photo-dir MY_PHOTOS --patches 16 56

Needs: nothing (five photographs of scikit-image).
Expected: fills along plain gradients are noise and no picture of the class (`photo_fidelity`: a
blur of two pixels removes 98 % of the update).

Updates and fills of three photographs for their two top classes, at three patch sizes.
"""

import dataclasses
import functools
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Tables
from experiments.core.labelled import pictures, with_notes
from experiments.fill import _photo_updates
from experiments.fill._photo_updates import FIRST_ORDER, NEWTON, SMOOTHED_MEAN
from fitb_jax import batching, fill, masks, plotting
from fitb_jax.extremal import mean_colour
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Image, Key, LogitsFn, Mask, Target

Found: TypeAlias = dict[str, Array]

RULES = (FIRST_ORDER, NEWTON, SMOOTHED_MEAN)
SHOWN = ("whole", "masked", "filled", "filled, then blurred")


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 8.

    Attributes:
        classes: top classes of each photograph that it is filled in for.
        ratio: share of the patches that are blank.
        patches: sides of a patch in pixels, a figure each.
        steps: of Lanczos.
        size: root mean square change of the blanks, in units of intensity.
        smoothing: standard deviation in pixels of the blur that tells noise from shape.
    """

    count: int = 3
    classes: int = 2
    ratio: float = 0.5
    patches: tuple[int, ...] = (16, 32, 56)
    steps: int = 8
    size: float = fill.DEFAULT_STEP
    smoothing: float = 2.0
    chunk: int = 1


def compute(config: Config, net: Explained) -> xr.Dataset:
    """Update and fill every photograph for its top classes, at every patch size."""
    images = jnp.asarray(net.images)
    logits = jax.jit(jax.vmap(net.pretrained.logits_fn))(images)
    targets = jax.lax.top_k(logits, config.classes)[1]
    keys = jax.random.split(jax.random.key(config.seed), len(images))
    rules = _photo_updates.rules(min(config.patches), config.steps)

    def of_class(logits_fn: LogitsFn, image: Image, mask: Mask, key: Key, target: Target) -> Found:
        background = mean_colour(image)
        updates = jnp.stack([rules[name](logits_fn, image, mask, target, key) for name in RULES])
        move = functools.partial(fill.step, image, mask, size=config.size, background=background)
        fills = jnp.stack([move(update) for update in updates])
        blurs = [gaussian_blur(filled, sigma=config.smoothing) for filled in fills]
        blurred = jnp.stack([masks.apply(image, mask, blur) for blur in blurs])
        masked = masks.apply(image, mask, background)
        seen = jnp.concatenate([image[None], masked[None], fills, blurred])
        p = jax.nn.softmax(jax.vmap(logits_fn)(seen))[:, target]
        return {"updates": updates, "fills": fills, "masked": masked, "p": p}

    @jax.jit
    def explain(logits_fn: LogitsFn, images: Array, targets: Array, seen: Array) -> Found:
        def one(image: Image, targets: Array, mask: Mask, key: Key) -> Found:
            return jax.lax.map(functools.partial(of_class, logits_fn, image, mask, key), targets)

        return batching.chunked_vmap(one, chunk=config.chunk)(images, targets, seen, keys)

    parts = []
    for patch in config.patches:
        draw_mask = functools.partial(masks.random_patches, images.shape[1:3], config.ratio, patch)
        seen = jax.vmap(lambda key, draw=draw_mask: draw(key=key))(keys)
        found = jax.device_get(explain(net.pretrained.logits_fn, images, targets, seen))
        # What no rule changes stands beside each.
        p = np.split(found["p"], [1, 2, 2 + len(RULES)], axis=-1)
        shown = np.stack(np.broadcast_arrays(*p), -1)
        parts.append(
            xr.Dataset(
                pictures("image", mask=seen)
                | pictures("image", "top", masked=found["masked"])
                | pictures("image", "top", "rule", updates=found["updates"], fills=found["fills"])
                | {"p": (("image", "top", "rule", "shown"), shown)}
            )
        )
    names = [[net.class_name(target) for target in row] for row in np.asarray(targets)]
    found = xr.concat(parts, pd.Index([*config.patches], name="patch")).assign(
        pictures("image", pixels=net.images)
        | pictures("image", "top", target=targets, class_name=names)
    )
    found = found.assign_coords(image=net.names, rule=[*RULES], shown=[*SHOWN])
    return with_notes(found, f"{len(net.images)} photographs: {net.source}")


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Mean probabilities of the classes by patch size and rule."""
    means = found["p"].mean(("image", "top")).stack(line=("patch", "rule"))
    table = means.transpose("line", "shown").to_pandas().rename_axis(index=["patch", "update"])
    return {"p of the class": table}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """A row for each photograph and class: masked, then update and fill for each rule."""
    titles = ["photograph", "masked", *(title for rule in RULES for title in (rule, "fill"))]
    figures = {}
    for patch in config.patches:
        rows = []
        for i, j in np.ndindex(found["class_name"].shape):
            of = found.sel(patch=patch).isel(image=i, top=j)
            p, mask, image = of["p"], of["mask"].values, of["pixels"].values
            row = [(image, f"p({_short(of['class_name'].item())}) {p[0, 0]:.2f}")]
            row.append((of["masked"].values, f"{p[0, 1]:.2f}"))
            for rule in RULES:
                update, filled = (of[each].sel(rule=rule).values for each in ("updates", "fills"))
                row.append((plotting.overlay(image, mask, update), ""))
                row.append((filled, f"{p.sel(rule=rule, shown='filled'):.2f}"))
            rows.append(row)
        grid = plotting.captioned_grid(rows, column_titles=titles, size=1.5)
        figures[f"photo_fill_in_{patch}"] = grid
    return figures


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}."


def caption(config: Config, found: xr.Dataset) -> str:
    """State what the best fill does to the prediction, and whether it is noise."""
    means = found["p"].mean(("image", "top")).stack(line=("patch", "rule"))
    best = means.isel(line=int(means.sel(shown="filled").argmax("line")))
    masked, filled, blurred = (f"{best.sel(shown=name):.2f}" for name in SHOWN[1:])
    return (
        f"Patches hide {config.ratio:.0%} of each photograph. Updates for its top {config.classes} "
        "classes, red to brighten and blue to darken, and fills along them. The best for p(class), "
        f"{best['rule'].values} at patches of {best['patch'].values}, takes it from {masked} "
        f"(masked) to {filled}, and {blurred} is left after a blur of the blanks by "
        f"{config.smoothing:g} pixels: what the blur takes away was noise and not a shape."
    )


load = explained

SMOKE = {"count": 1, "classes": 1, "patches": (56,), "steps": 2}

FULL = {"count": 0, "classes": 3}
