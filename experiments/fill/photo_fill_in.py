"""Figure 7: masked photographs, updates of first and second order, and fills of a pretrained net.

    python -m experiments photo_fill_in --photo-dir MY_PHOTOS --photographs folder --patches 16 56

About 40 s on 2 cores for three photographs, two classes and three patch sizes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import photo_rules
from experiments.experiment import Experiment, Outcome, Table
from experiments.common.photographs import Explained, PhotographOptions, explained
from fitb_jax import batching, fill, masks, plotting
from fitb_jax.extremal import mean_colour
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import Image, LogitsFn, Mask

RULES = ("first order", "newton", "mean over noise, smoothed")


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 7.

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


def compute(config: Config) -> Outcome:
    """Update and fill every photograph for its top classes, at every patch size."""
    net = explained(config)
    images = jnp.asarray(net.images)
    logits = jax.jit(jax.vmap(net.pretrained.logits_fn))(images)
    targets = jax.lax.top_k(logits, config.classes)[1]
    keys = jax.random.split(jax.random.key(config.seed), len(images))

    def one_class(
        logits_fn: LogitsFn, image: Image, mask: Mask, target: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        background = mean_colour(image)
        rules = photo_rules.named(min(config.patches), config.steps)
        updates = jnp.stack([rules[name](logits_fn, image, mask, target, key) for name in RULES])
        fills = jnp.stack(
            [
                fill.step(image, mask, update, size=config.size, background=background)
                for update in updates
            ]
        )
        blurred = jnp.stack(
            [
                masks.apply(image, mask, gaussian_blur(filled, sigma=config.smoothing))
                for filled in fills
            ]
        )
        masked = masks.apply(image, mask, background)
        seen = jnp.concatenate([image[None], masked[None], fills, blurred])
        p = jax.nn.softmax(jax.vmap(logits_fn)(seen))[:, target]
        return {"updates": updates, "fills": fills, "masked": masked, "p": p}

    @jax.jit
    def explain(logits_fn: LogitsFn, images: jax.Array, targets: jax.Array, seen: jax.Array) -> Any:
        def one(image: Image, targets: jax.Array, mask: Mask, key: jax.Array) -> Any:
            return jax.lax.map(
                lambda target: one_class(logits_fn, image, mask, target, key), targets
            )

        return batching.chunked_vmap(one, chunk=config.chunk)(images, targets, seen, keys)

    arrays: dict[str, np.ndarray] = {"images": net.images, "targets": np.asarray(targets)}
    for patch in config.patches:
        seen = jax.vmap(
            lambda key, patch=patch: masks.random_patches(
                images.shape[1:3], config.ratio, patch, key=key
            )
        )(keys)
        found = explain(net.pretrained.logits_fn, images, targets, seen)
        arrays[f"{patch}/masks"] = np.asarray(seen)
        arrays |= {f"{patch}/{name}": np.asarray(array) for name, array in found.items()}
    names = [[net.class_name(target) for target in row] for row in arrays["targets"]]
    arrays["class_names"] = np.array(names)
    table = _table(config, arrays)
    return Outcome(arrays, {}, {"p of the class": table}, [_about(net)])


def _about(net: Explained) -> str:
    return f"{len(net.images)} photographs: {net.source}"


def _table(config: Config, arrays: dict[str, np.ndarray]) -> Table:
    """Mean probabilities of the classes by patch size; the order of `p` is that of `compute`."""
    count = len(RULES)
    columns = ["patch", "update", "whole", "masked", "filled", "filled, then blurred"]
    rows: list[list[object]] = []
    for patch in config.patches:
        p = arrays[f"{patch}/p"].mean((0, 1))
        rows += [
            [patch, name, *(float(p[at]) for at in (0, 1, 2 + i, 2 + count + i))]
            for i, name in enumerate(RULES)
        ]
    return Table(columns, rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """A row for each photograph and class: masked, then update and fill for each rule."""
    arrays = outcome.arrays
    figures = {}
    for patch in config.patches:
        pictures, captions = [], []
        for i, image in enumerate(arrays["images"]):
            mask = arrays[f"{patch}/masks"][i]
            for j, name in enumerate(arrays["class_names"][i]):
                p = arrays[f"{patch}/p"][i, j]
                row = [image, arrays[f"{patch}/masked"][i, j]]
                text = [f"p({_short(name)}) {p[0]:.2f}", f"{p[1]:.2f}"]
                for k in range(len(RULES)):
                    update = arrays[f"{patch}/updates"][i, j, k]
                    row += [
                        plotting.overlay(image, mask, update),
                        arrays[f"{patch}/fills"][i, j, k],
                    ]
                    text += ["", f"{p[2 + k]:.2f}"]
                pictures.append(row)
                captions.append(text)
        titles = ["photograph", "masked", *(t for rule in RULES for t in (rule, "fill"))]
        figures[f"photo_fill_in_{patch}"] = plotting.image_grid(
            pictures, column_titles=titles, captions=captions, size=1.5
        )
    return figures


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}."


def caption(config: Config, outcome: Outcome) -> str:
    """State what the fills do to the prediction, and that they are noise where they are."""
    rows = outcome.tables["p of the class"].rows
    text = "; ".join(
        f"patches of {patch}, {name}: masked {masked:.2f}, filled {filled:.2f}, then blurred "
        f"{blurred:.2f}"
        for patch, name, _, masked, filled, blurred in rows
    )
    return (
        f"Patches hide {config.ratio:.0%} of each photograph (mean colour). Updates for its top "
        f"{config.classes} classes, summed over colours, red to brighten and blue to darken; fills "
        f"move the blanks along them by {config.size:g} root mean square. Mean p(class): {text}. "
        "Where a blur of the filled blanks by "
        f"{config.smoothing:g} pixels takes the gain away, the fill was adversarial noise and not "
        "a shape; photo_fidelity measures it over many photographs."
    )


EXPERIMENT = Experiment(
    name="photo_fill_in",
    title="Fill in the blanks of a photograph",
    regenerates="Figure 7",
    needs="nothing (five photographs of scikit-image)",
    duration="40 s",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"count": 1, "classes": 1, "patches": (56,), "steps": 2},
    full={"count": 0, "classes": 3},
)
