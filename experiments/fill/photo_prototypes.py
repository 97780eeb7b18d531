"""Figure 12: E[dx] of ImageNet classes.

    python -m experiments photo_prototypes    # 4 min

Needs: nothing (five photographs of scikit-image).
Expected: E[dx] over two halves of the photographs correlates by 0.01: it is noise.

E[dx] of six classes over photographs, over noise, and of an untrained network; of one gradient a
mask, and of fills in many steps.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Tables
from experiments.core.labelled import pictures, with_notes
from fitb_jax import fill, masks, models, objectives, plotting
from fitb_jax.extremal import mean_colour
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Array, Image, LogitsFn, Mask, Target

MEASURES = {
    "spread": "spread / error",
    "halves_correlation": "halves",
    "coarse_correlation": "halves, coarse",
    "p_whole": "p(class), whole",
    "p_blurred": "p(class), blurred",
    "p_other": "p(class) by another network",
    "is_first": "its first of the classes",
}
_MAP = ("row", "column", "channel")


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 12.

    Attributes:
        classes: of ImageNet, by name or index.
        parts: masks of one partition: each image is seen with every part blank once.
        patch: side of a patch in pixels.
        noise_images: images of noise; 0 means as many as photographs.
        fill_steps: of iterated fills.
        judge: network that took no part.
        size: root mean square change when a prototype is shown to the network on grey.
        coarse: standard deviation in pixels of the blur before maps are compared.
    """

    classes: tuple[str, ...] = (
        "tabby",
        "golden retriever",
        "sports car",
        "daisy",
        "pizza",
        "strawberry",
    )
    parts: int = 4
    patch: int = 32
    noise_images: int = 0
    fill_steps: int = 16
    judge: str = "efficientnet_lite2"
    size: float = fill.DEFAULT_STEP
    coarse: float = 8.0

    ZERO_ALLOWED = frozenset({"noise_images"})


def update(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target) -> Image:
    """The gradient of the class's logit, where the blanks show the mean colour."""
    return fill.first_order(
        logits_fn, image, mask, target, objective=objectives.logit, background=mean_colour(image)
    )


def added(steps: int, logits_fn: LogitsFn, image: Image, mask: Mask, target: Target) -> Image:
    """What a fill in many steps has more than the inpainting that it starts from."""
    # Shifts and noise of its own for each masked image: shared ones would be in every mean.
    visible = masks.apply(image, mask).sum().astype(jnp.float32)
    key = jax.random.fold_in(jax.random.key(0), jax.lax.bitcast_convert_type(visible, jnp.uint32))
    filled = fill.iterated(logits_fn, image, mask, target, key=key, steps=steps)
    return filled - fill.inpaint(image, mask)


def compute(config: Config, net: Explained) -> xr.Dataset:
    """E[dx] of every class, over every kind of images; and over both halves of them."""
    if len(net.images) < 4:  # an error needs two images in each half
        raise ValueError(f"count must leave at least 4 photographs, got {len(net.images)}")
    classes = [net.pretrained.class_index(name) for name in config.classes]
    shape = net.images.shape[1:3]
    key, noise_key = jax.random.split(jax.random.key(config.seed))
    noise = _noise(config.noise_images or len(net.images), shape, noise_key)
    many = functools.partial(added, config.fill_steps)
    gradients, fills = (
        jax.jit(functools.partial(fill.expected_update, order=order, chunk=config.chunk))
        for order in (update, many)
    )
    trained, others = net.pretrained.logits_fn, jnp.asarray(classes)
    judges = (trained, models.load(config.judge).logits_fn)
    measure = jax.jit(functools.partial(_measure, config, judges, others))
    sources = {
        "photographs": (gradients, trained, net.images),
        "noise": (gradients, trained, noise),
        "photographs, untrained network": (gradients, net.untrained, net.images),
        "photographs, many steps": (fills, trained, net.images),
        "noise, many steps": (fills, trained, noise),
        "photographs, many steps, untrained network": (fills, net.untrained, net.images),
    }
    draw_masks = functools.partial(masks.partition, shape, config.parts, config.patch)
    found = []
    count = len(sources) * len(classes)
    with tqdm(total=count, desc="E[dx]", disable=not config.progress) as bar:
        for expected, logits_fn, images in sources.values():
            seen = jax.vmap(lambda key: draw_masks(key=key))(jax.random.split(key, len(images)))
            of_classes = []
            for target in classes:
                halves = []
                for own, masks_of in ((jnp.asarray(images[i::2]), seen[i::2]) for i in (0, 1)):
                    targets = jnp.full(len(own), target, jnp.int32)
                    halves.append(expected(logits_fn, own, targets, masks_of))
                both = _both(halves)
                measures = measure(both["mean"].values, both["halves"].values, target)
                of_classes.append(both.assign(jax.tree.map(float, measures)))
                bar.update()
            found.append(xr.concat(of_classes, pd.Index(classes, name="label")))
    together = xr.concat(found, pd.Index([*sources], name="source"))
    names = [net.class_name(target) for target in classes]
    together = together.assign(class_name=("label", names))
    return with_notes(together, f"{len(net.images)} photographs: {net.source}")


def _noise(count: int, shape: tuple[int, ...], key: jax.Array) -> np.ndarray:
    """White noise about grey, as bright as a photograph varies."""
    drawn = 0.5 + 0.2 * jax.random.normal(key, (count, *shape, 3))
    return np.asarray(jnp.clip(drawn, 0, 1))


def _both(halves: list[fill.Prototype]) -> xr.Dataset:
    """E[dx] over both halves of the images, and over each."""
    found = fill.pool(halves)
    spread = np.nanstd(found.mean) / np.nanmean(found.standard_error)
    each = pictures("half", halves=np.stack([half.mean for half in halves]))
    both = pictures(mean=found.mean, error=found.standard_error)
    return xr.Dataset(each | both).assign(spread=spread)


def _measure(
    config: Config,
    judges: tuple[LogitsFn, LogitsFn],
    others: Array,
    mean: Array,
    halves: Array,
    target: Target,
) -> dict[str, Array]:
    """How far E[dx] can be told from chance, and what networks see in it on grey."""
    everywhere = jnp.zeros(mean.shape[:2])
    scaled = halves / jnp.abs(halves).max()
    coarse = [gaussian_blur(half, sigma=config.coarse) for half in scaled]
    smooth = gaussian_blur(mean / jnp.abs(mean).max(), sigma=config.coarse)
    grey = functools.partial(fill.step, jnp.full(mean.shape, 0.5), everywhere, background=0.5)
    shown = jnp.stack([grey(one, size=config.size) for one in (mean, smooth)])
    p = jax.nn.softmax(jax.lax.map(judges[0], shown))[:, target]
    logits = judges[1](shown[0])
    return {
        "halves_correlation": fill.hidden_correlation(scaled[0], scaled[1], everywhere),
        "coarse_correlation": fill.hidden_correlation(coarse[0], coarse[1], everywhere),
        "p_whole": p[0],
        "p_blurred": p[1],
        "p_other": jax.nn.softmax(logits)[target],
        "is_first": others[jnp.argmax(logits[others])] == target,
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """How far E[dx] can be told from chance, mean over the classes."""
    means = found[[*MEASURES]].astype(float).mean("label").to_dataframe()
    return {"prototypes": means.rename(columns=MEASURES).rename_axis("E[dx] over")}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """For each class E[dx] over each kind of images, blurred as little as makes shapes visible."""
    scaled = found["mean"] / abs(found["mean"]).max(_MAP)
    blur = jax.jit(jax.vmap(functools.partial(gaussian_blur, sigma=2.0)))
    rows = [np.asarray(blur(jnp.asarray(each.values))) for each in scaled]
    figure = plotting.signed_maps(
        rows,
        column_titles=found["class_name"].values.tolist(),
        row_titles=[str(name).replace(", ", ",\n") for name in found["source"].values],
        units=["of the largest"] * len(rows),
        size=1.4,
    )
    return {"photo_prototypes": figure}


def caption(config: Config, found: xr.Dataset) -> str:
    """State whether E[dx] is more than chance."""
    of = found[[*MEASURES]].mean("label").sel(source="photographs")
    return (
        f"E[dx] of the class's logit over images x {config.parts} masks, each map by its largest "
        "value and blurred by 2 pixels for the eye. Over photographs the maps of two halves of the "
        f"images correlate by {of['halves_correlation']:.2f}, by {of['coarse_correlation']:.2f} "
        f"after a blur of {config.coarse:g} pixels; where they do not, E[dx] over so few is noise. "
        f"Shown on grey, {_recognised(found, 'photographs')} of {found.sizes['label']} are told "
        f"from the others by {config.judge}, of fills in {config.fill_steps} steps "
        f"{_recognised(found, 'photographs, many steps')}."
    )


def _recognised(found: xr.Dataset, source: str) -> int:
    return int(found["is_first"].sel(source=source).sum())


load = explained

SMOKE = {"count": 4, "classes": ("tabby",), "parts": 2, "patch": 56, "fill_steps": 2}
