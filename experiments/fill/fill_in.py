"""Figure 1: Fill in the blanks of a digit.

    python -m experiments fill_in --digits 3 8 --classes 3 8 5    # 13 s

Expected: test accuracy of the network 0.977 [0.966, 0.985].

Each digit with half of it hidden, and what the network would paint there for each class.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.labelled import pictures
from fitb_jax import data, fill, masks, plotting
from fitb_jax.types import Image, LogitsFn

OWN = "own class"


@dataclasses.dataclass(frozen=True)
class Config(networks.NetworkOptions):
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


def compute(config: Config, net: networks.Network) -> xr.Dataset:
    """Fill in each digit for its own class and for the classes asked."""
    images = jnp.asarray(data.first_of_classes(net.test, config.digits))
    targets = jnp.asarray([[digit, *config.classes] for digit in config.digits])
    keys = jax.random.split(jax.random.key(config.seed), len(images))

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0, 0, 0))
    def explain(
        logits_fn: LogitsFn, image: Image, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        mask = masks.random_patches(image.shape[:2], config.ratio, config.patch, key=key)

        def one_class(target: jax.Array) -> dict[str, jax.Array]:
            update = fill.first_order(logits_fn, image, mask, target)
            filled = fill.fill(image, mask, update, quantile=config.quantile)
            seen = jnp.stack([masks.apply(image, mask), filled])
            p = jax.nn.softmax(jax.vmap(logits_fn)(seen))[:, target]
            return {"update": update, "fill": filled, "p_masked": p[0], "p_filled": p[1]}

        return mask, jax.vmap(one_class)(targets)

    mask, by_class = explain(net.trained, images, targets, keys)
    asked = [OWN, *(f"class {label}" for label in config.classes)]
    found = xr.Dataset(
        pictures("digit", image=images, mask=mask)
        | pictures("digit", "asked", target=targets, **by_class),
        {"digit": [*config.digits], "asked": asked},
    )
    return networks.with_network(found, net)


def numbers(config: Config, found: xr.Dataset) -> dict[str, object]:
    """How sure the network is of each digit, before and after."""
    return {
        **networks.accuracies(config, found),
        "p(own class), masked": found["p_masked"].sel(asked=OWN),
        "p(own class), filled": found["p_filled"].sel(asked=OWN),
    }


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """One row per digit; image, mask, then update and fill for each class."""
    rows = []
    for i, digit in enumerate(config.digits):
        of_digit = found.isel(digit=i)
        image, mask = of_digit["image"].values, of_digit["mask"].values
        row = [(image, f"a {digit}"), (plotting.masked(image, mask), "masked")]
        for j in range(found.sizes["asked"]):
            of = of_digit.isel(asked=j)
            p = f"p({of['target']:d}) {of['p_masked']:.2f} to {of['p_filled']:.2f}"
            row.append(
                (plotting.overlay(image, mask, of["update"].values), f"toward {of['target']:d}")
            )
            row.append((of["fill"].values, p))
        rows.append(row)
    titles = ["image", "mask"] + ["update", "fill"] * found.sizes["asked"]
    return {"fill_in": plotting.captioned_grid(rows, column_titles=titles)}


def caption(config: Config, found: xr.Dataset) -> str:
    """State what is shown, with the network's own numbers."""
    before, after = (found[name].sel(asked=OWN).mean() for name in ("p_masked", "p_filled"))
    said = (
        f"Patches of {config.patch} pixels hide {config.ratio:.0%} of each test digit (grey); the "
        "update adds ink (red) or takes it away (blue). The fill takes the mean p(class) of a "
        f"digit's own class from {before:.2f} to {after:.2f}"
    )
    if not config.classes:
        return f"{said}."
    other = found["p_filled"].drop_sel(asked=OWN).mean()
    return f"{said}, of another class to {other:.2f}: it shows what is asked, not what is true."


load = networks.network

SMOKE = {"epochs": 1, "digits": (3,), "classes": (8,)}

FULL = {"dataset": "mnist"}
