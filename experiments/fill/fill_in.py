"""Figure 1: a digit, a mask, the signed update and the fill, for any digit and any class asked.

    python -m experiments fill_in --digits 3 8 --classes 3 8 5

About 13 s on 2 cores (7 s of them train the network, which later experiments find again).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome
from experiments.common.networks import NetworkOptions, first_of_class, network
from fitb_jax import fill, masks, plotting
from fitb_jax.types import Image, LogitsFn, Mask


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 1.

    Attributes:
        digits: labels of the test images shown (the first of each).
        classes: classes that each is filled in for, besides its own.
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        quantile: of the hidden values, above which a value is filled.
    """

    digits: tuple[int, ...] = (3, 7, 9)
    classes: tuple[int, ...] = (8, 5)
    ratio: float = 0.5
    patch: int = 4
    quantile: float = fill.DEFAULT_QUANTILE

    ZERO_ALLOWED = frozenset({"digits", "classes"})


def compute(config: Config) -> Outcome:
    """Fill in each digit for its own class and for the classes asked."""
    net = network(config)
    labels = np.array(config.digits)
    images = jnp.asarray(np.stack([first_of_class(net.test, digit) for digit in config.digits]))
    targets = jnp.asarray([[digit, *config.classes] for digit in config.digits])
    keys = jax.random.split(jax.random.key(config.seed), len(labels))

    @jax.jit
    def explain(
        logits_fn: LogitsFn, images: jax.Array, targets: jax.Array, keys: jax.Array
    ) -> dict[str, jax.Array]:
        def one_class(image: Image, mask: Mask, target: jax.Array) -> dict[str, jax.Array]:
            update = fill.first_order(logits_fn, image, mask, target)
            filled = fill.fill(image, mask, update, quantile=config.quantile)
            seen = jnp.stack([masks.apply(image, mask), filled])
            p = jax.nn.softmax(jax.vmap(logits_fn)(seen))[:, target]
            return {"updates": update, "fills": filled, "p_masked": p[0], "p_filled": p[1]}

        def one_digit(image: Image, targets: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
            mask = masks.random_patches(image.shape[:2], config.ratio, config.patch, key=key)
            by_class = jax.vmap(one_class, in_axes=(None, None, 0))(image, mask, targets)
            return {"masks": mask, **by_class}

        return jax.vmap(one_digit)(images, targets, keys)

    arrays = {
        name: np.asarray(array)
        for name, array in explain(net.trained, images, targets, keys).items()
    }
    arrays |= {"images": np.asarray(images), "targets": np.asarray(targets)}
    numbers = {
        "test accuracy": net.accuracy,
        "p(own class), masked": arrays["p_masked"][:, 0],
        "p(own class), filled": arrays["p_filled"][:, 0],
    }
    return Outcome(arrays, numbers, {}, [f"{net.label}; {net.test.source}"])


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """One row per digit; image, mask, then update and fill for each class."""
    arrays = outcome.arrays
    pictures, captions = [], []
    for i, (image, mask) in enumerate(zip(arrays["images"], arrays["masks"], strict=True)):
        row = [plotting.as_rgb(image), plotting.masked(image, mask)]
        text = [f"a {config.digits[i]}", "masked"]
        for j, target in enumerate(arrays["targets"][i]):
            row += [
                plotting.overlay(image, mask, arrays["updates"][i, j]),
                plotting.as_rgb(arrays["fills"][i, j]),
            ]
            before, after = arrays["p_masked"][i, j], arrays["p_filled"][i, j]
            text += [f"toward {target}", f"p({target}) {before:.2f} to {after:.2f}"]
        pictures.append(row)
        captions.append(text)
    titles = ["image", "mask"] + ["update", "fill"] * arrays["targets"].shape[1]
    return {"fill_in": plotting.image_grid(pictures, column_titles=titles, captions=captions)}


def caption(config: Config, outcome: Outcome) -> str:
    """State what is shown, with the network's own numbers."""
    own = outcome.arrays["p_filled"][:, 0].mean(), outcome.arrays["p_masked"][:, 0].mean()
    other = outcome.arrays["p_filled"][:, 1:].mean() if config.classes else float("nan")
    return (
        f"Patches of {config.patch} pixels hide {config.ratio:.0%} of each test digit (grey). The "
        "first-order update says where the classifier wants ink (red) and where it wants none "
        f"(blue); its strongest {1 - config.quantile:.0%} hidden values, if positive, are painted "
        f"white. Filling in for a digit's own class takes the mean p(class) from {own[1]:.2f} to "
        f"{own[0]:.2f}. For another class the same blanks are filled otherwise, and its mean p "
        f"reaches {other:.2f}: a fill shows what the class asked for would look like, not which is "
        "true."
    )


EXPERIMENT = Experiment(
    name="fill_in",
    title="Fill in the blanks of a digit",
    regenerates="Figure 1",
    needs="nothing",
    duration="13 s",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"epochs": 1, "digits": (3,), "classes": (8,)},
    full={"dataset": "mnist"},
)
