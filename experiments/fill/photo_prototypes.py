"""Figure 9: E[dx] of ImageNet classes, over real photographs and over images of noise.

    python -m experiments photo_prototypes --photographs manifest --photo-dir DIR --classes 281 963

About 2 minutes for the five default photographs, six classes and four masks each on 2 cores.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.experiment import Experiment, Outcome, Table
from experiments.common.photographs import PhotographOptions, explained
from fitb_jax import fill, masks, objectives, plotting
from fitb_jax.extremal import mean_colour
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Image, LogitsFn, Mask, Target

SOURCES = ("photographs", "noise", "photographs, untrained network")


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 9.

    Attributes:
        classes: indices of ImageNet classes.
        parts: masks of one partition: each image is seen with every part blank once.
        patch: side of a patch in pixels.
        noise_images: images of noise; 0 means as many as photographs.
        size: root mean square change when a prototype is shown to the network on grey.
        coarse: standard deviation in pixels of the blur before maps are compared.
    """

    classes: tuple[int, ...] = (281, 207, 817, 985, 963, 949)
    parts: int = 4
    patch: int = 32
    noise_images: int = 0
    size: float = fill.DEFAULT_STEP
    coarse: float = 8.0

    ZERO_ALLOWED = frozenset({"classes", "noise_images"})


def update(logits_fn: LogitsFn, image: Image, mask: Mask, target: Target) -> Image:
    """The gradient of the class's logit, where the blanks show the mean colour.

    Args:
        logits_fn: the network.
        image: (h, w, 3).
        mask: (h, w).
        target: the class.

    Returns:
        The update.
    """
    return fill.first_order(
        logits_fn, image, mask, target, objective=objectives.logit, background=mean_colour(image)
    )


def compute(config: Config) -> Outcome:
    """E[dx] of every class, over every kind of images; and over both halves of them."""
    net = explained(config)
    if len(net.images) < 4:  # an error needs two images in each half
        raise ValueError(f"count must leave at least 4 photographs, got {len(net.images)}")
    shape = net.images.shape[1:3]
    key, noise_key = jax.random.split(jax.random.key(config.seed))
    noise = _noise(config.noise_images or len(net.images), shape, noise_key)
    expected = jax.jit(functools.partial(fill.expected_update, order=update, chunk=config.chunk))
    inputs: dict[str, tuple[LogitsFn, np.ndarray]] = {
        SOURCES[0]: (net.pretrained.logits_fn, net.images),
        SOURCES[1]: (net.pretrained.logits_fn, noise),
        SOURCES[2]: (net.untrained, net.images),
    }
    arrays: dict[str, np.ndarray] = {}
    with tqdm(
        total=len(inputs) * len(config.classes), desc="E[dx]", disable=not config.progress
    ) as bar:
        for source, (logits_fn, images) in inputs.items():
            keys = jax.random.split(key, len(images))
            seen = jax.vmap(
                lambda key: masks.partition(shape, config.parts, config.patch, key=key)
            )(keys)
            found = []
            for target in config.classes:
                halves = []
                for half in (0, 1):
                    own = jnp.asarray(images[half::2])
                    targets = jnp.full(len(own), target, jnp.int32)
                    halves.append(expected(logits_fn, own, targets, seen[half::2]))
                found.append(jax.tree.map(lambda *values: np.stack(values), *halves))
                bar.update()
            together = jax.tree.map(lambda *values: np.stack(values), *found)
            arrays[f"{source}/halves"] = together.mean
            arrays[f"{source}/mean"] = _pooled(together.mean, together.count)
            arrays[f"{source}/error"] = _pooled_error(together.standard_error, together.count)
    names = [net.class_name(target) for target in config.classes]
    arrays["class_names"] = np.array(names)
    rows = _rows(config, arrays, net.pretrained.logits_fn)
    columns = [
        "E[dx] over",
        "spread / error",
        "halves",
        "halves, coarse",
        "p(class), whole",
        "p(class), blurred",
    ]
    notes = [f"{len(net.images)} photographs: {net.source}"]
    return Outcome(arrays, {}, {"prototypes": Table(columns, rows)}, notes)


def _noise(count: int, shape: tuple[int, ...], key: jax.Array) -> np.ndarray:
    """White noise about grey, as bright as a photograph varies."""
    drawn = 0.5 + 0.2 * jax.random.normal(key, (count, *shape, 3))
    return np.asarray(jnp.clip(drawn, 0, 1))


def _pooled(means: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of both halves (classes, 2, h, w, 3), by how often each pixel was hidden."""
    weights = counts[..., None]
    return (weights * means).sum(1) / weights.sum(1)


def _pooled_error(errors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    weights = counts[..., None]
    return np.sqrt(((weights * errors) ** 2).sum(1)) / weights.sum(1)


def _rows(config: Config, arrays: dict[str, np.ndarray], judge: LogitsFn) -> list[list[object]]:
    """How far E[dx] can be told from chance, and what the network sees in it."""
    everywhere = jnp.zeros(arrays[f"{SOURCES[0]}/mean"].shape[1:3])
    grey = jnp.full((*everywhere.shape, 3), 0.5)

    @jax.jit
    def measure(mean: jax.Array, halves: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
        scaled = halves / jnp.abs(halves).max()
        blurred = [gaussian_blur(half, sigma=config.coarse) for half in scaled]
        smooth = gaussian_blur(mean / jnp.abs(mean).max(), sigma=config.coarse)
        shown = jnp.stack(
            [
                fill.step(grey, everywhere, one, size=config.size, background=0.5)
                for one in (mean, smooth)
            ]
        )
        p = jax.nn.softmax(jax.lax.map(judge, shown))[:, target]
        return {
            "halves": fill.hidden_correlation(scaled[0], scaled[1], everywhere),
            "coarse": fill.hidden_correlation(blurred[0], blurred[1], everywhere),
            "whole": p[0],
            "blurred": p[1],
        }

    rows: list[list[object]] = []
    for source in SOURCES:
        mean, error, halves = (arrays[f"{source}/{name}"] for name in ("mean", "error", "halves"))
        found = [
            measure(*(jnp.asarray(array[i]) for array in (mean, halves)), jnp.asarray(target))
            for i, target in enumerate(config.classes)
        ]
        average = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        signal = float(np.mean(np.nanstd(mean, axis=(1, 2, 3)) / np.nanmean(error, axis=(1, 2, 3))))
        rows.append([source, signal, *average.values()])
    return rows


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """For each class E[dx] over each kind of images, blurred as little as makes shapes visible."""
    rows = []
    for source in SOURCES:
        means = outcome.arrays[f"{source}/mean"]
        scaled = means / np.abs(means).max(axis=(1, 2, 3), keepdims=True)
        rows.append(
            np.stack([np.asarray(gaussian_blur(jnp.asarray(one), sigma=2.0)) for one in scaled])
        )
    figure = plotting.signed_maps(
        rows,
        column_titles=outcome.arrays["class_names"].tolist(),
        row_titles=["photographs", "noise", "photographs,\nuntrained"],
        units=["of the largest"] * len(rows),
        size=1.4,
    )
    return {"photo_prototypes": figure}


def caption(config: Config, outcome: Outcome) -> str:
    """State whether E[dx] is more than chance."""
    text = "; ".join(
        f"{source}: halves correlate by {halves:.2f} (coarse {coarse:.2f}), spread "
        f"{signal:.1f} standard errors, p(class) of it on grey {whole:.2f}, blurred {blurred:.2f}"
        for source, signal, halves, coarse, whole, blurred in outcome.tables["prototypes"].rows
    )
    return (
        f"E[dx] of the class's logit over images x {config.parts} masks (patches of {config.patch} "
        "pixels), mean over colours, each map by its largest value and blurred by 2 pixels for the "
        f"eye. Whether it is more than chance is said by the two halves of the images: {text}. "
        "Where they do not correlate, E[dx] over so few images is noise and shows no class. "
        f"Coarse is after a blur of {config.coarse:g} pixels; where only the unblurred map raises "
        "p(class), what the network sees in it is too fine to be a picture of the class."
    )


EXPERIMENT = Experiment(
    name="photo_prototypes",
    title="E[dx] of ImageNet classes",
    regenerates="Figure 9",
    needs="nothing (five photographs of scikit-image)",
    duration="1 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"count": 4, "classes": (281,), "parts": 2, "patch": 56},
    full={},
)
