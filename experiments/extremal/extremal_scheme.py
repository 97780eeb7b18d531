"""Figure 14: From positions to masks, step by step.

    python -m experiments extremal_scheme    # 1 min

Needs: nothing (a photograph of scikit-image).
Expected: p(espresso) through the mask of area 0.15 is 0.82; of the whole photograph 0.95.

All that one coordinate network computes on the way to each mask, drawn from a fit.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import xarray as xr
from flax import nnx
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common.masks import with_steps
from experiments.common.photographs import AreaOptions, Explained, explained
from experiments.core.labelled import with_notes
from experiments.extremal import _explaining as photographs
from fitb_jax import extremal, plotting
from fitb_jax.extremal import coordinates
from fitb_jax.types import Array, Image, Key, LogitsFn, Target

COARSE = ("coarse_row", "coarse_column")
DIMS = {
    "positions": ("coordinate", *COARSE),
    "features": ("feature", *COARSE),
    "area_features": ("area", "area_feature"),
    "scores": ("area", *COARSE),
}


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 14.

    Attributes:
        count: the last of so many photographs is drawn.
        features: how many are shown.
        steps: of the fit.
    """

    count: int = 2
    areas: tuple[float, ...] = (0.05, 0.15, 0.4)
    features: int = 4
    steps: int = extremal.InrConfig().steps


def compute(config: Config, net: Explained) -> xr.Dataset:
    """Fit one network, and keep what it computes on the way to each mask."""
    settings = with_steps(extremal.InrConfig(), config.steps)
    areas = jnp.asarray(config.areas, jnp.float32)

    @jax.jit
    def find(logits_fn: LogitsFn, image: Image, target: Target, key: Key) -> dict[str, Array]:
        shape = image.shape[0], image.shape[1]
        inr = extremal.fit_inr(logits_fn, image, target, settings, key=key)
        network = nnx.merge(inr.graph, inr.state)
        coarse = min(settings.grid, shape[0]), min(settings.grid, shape[1])
        positions = coordinates.grid(coarse)
        features = coordinates.fourier_features(positions, network.frequencies[...])
        masks = extremal.inr_masks(inr, areas, shape)
        binary = jax.vmap(extremal.binarise)(masks, areas)
        blend = extremal.make_blend(image, "blur", blur=settings.blur)
        prior = jax.image.resize(inr.prior, coarse, "linear")
        return {
            "positions": positions.T.reshape(2, *coarse),
            "features": features.T[: config.features].reshape(-1, *coarse),
            "area_features": jax.vmap(coordinates.area_features)(areas),
            "scores": jax.vmap(
                lambda area: prior + settings.score_scale * network(positions, area).reshape(coarse)
            )(areas),
            "masks": masks,
            "seen": jax.vmap(blend)(masks),
            **photographs.probabilities(logits_fn, image, target, masks, binary),
        }

    last = net._replace(images=net.images[-1:], targets=net.targets[-1:], names=net.names[-1:])
    coords = {
        "area": [*config.areas],
        "coordinate": ["row of the pixel", "column of the pixel"],
        "area_feature": ["2a - 1", "sin", "cos"],
    }
    key = jax.random.key(config.seed)[None]
    found = photographs.explain(
        last, find, key, dims=DIMS, progress=config.progress, coords=coords
    ).assign(photographs.photographs_of(last))
    return with_notes(found.squeeze("image"), f"{last.names[0]}: {net.source}")


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """From positions on the left to probabilities on the right; a row for each area."""
    of_area = [found.sel(area=area) for area in config.areas]
    photograph = f"p({found['class_name'].item()}) {found['p_whole']:.2f}"
    positions = [(each, each["coordinate"].item()) for each in found["positions"]]
    scores = found["scores"] / abs(found["scores"]).max()
    columns = {
        "photograph x\nand positions u": [(found["pixels"], photograph), *positions],
        f"{config.features} of its features\nsin(2 pi B u)": [
            (each, "") for each in found["features"]
        ],
        "features\nof the area a": [
            (one["area_features"], f"a = {one['area']:g}") for one in of_area
        ],
        f"scores with the prior,\n{_size(found, COARSE)}": [(each, "") for each in scores],
        "mask: sigmoid(s - tau)\nwith mean a": [
            (one["masks"].expand_dims(channel=1, axis=2), f"mean {one['masks'].mean():.4f}")
            for one in of_area
        ],
        "what is seen:\nm x + (1 - m) blur": [
            (one["seen"], f"p {one['p_soft']:.2f}, binary {one['p_binary']:.2f}") for one in of_area
        ],
    }
    figure = Figure(figsize=(12, 2.0 * len(of_area) + 0.7))
    parts: Any = figure.subfigures(1, 6)
    axes = []
    for part, (title, cells) in zip(parts, columns.items(), strict=True):
        part.suptitle(title, fontsize=9)
        axes.append(part.subplots(len(cells), squeeze=False)[:, 0])
        part.subplots_adjust(left=0.14, right=0.86, top=0.86, bottom=0.06, hspace=0.25)
        for axis, (values, text) in zip(axes[-1], cells, strict=True):
            _cell(axis, values, text)
    for place, sign in enumerate(("→", "+"), 1):
        figure.text(place / 6 - 0.012 * (place > 1), 0.46, sign, ha="center", fontsize=14)
    for start, label in ((2, "MLP\n+ prior"), (3, "tau"), (4, "blend")):
        for left, right in zip(axes[start], axes[start + 1], strict=True):
            arrow = {"arrowstyle": "->", "color": "grey"}
            at = {"xycoords": right.transAxes, "textcoords": left.transAxes}
            left.annotate("", (-0.05, 0.5), (1.05, 0.5), **at, arrowprops=arrow)
            left.text(1.2, 0.55, label, ha="center", transform=left.transAxes, fontsize=8)
    return {"extremal_scheme": figure}


def _size(found: xr.Dataset, dims: tuple[str, ...]) -> str:
    return " x ".join(str(found.sizes[name]) for name in dims)


def _cell(axis: Axes, values: xr.DataArray, text: str) -> None:
    """A picture, a map of values in [-1, 1], or the numbers that tell the network of the area."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(text, fontsize=8, labelpad=2)
    if values.ndim == 3:
        axis.imshow(plotting.as_rgb(values.values), interpolation="nearest")
    elif values.ndim == 2:
        axis.imshow(values, cmap="coolwarm", vmin=-1, vmax=1, interpolation="nearest")
    else:
        axis.barh(range(values.size), values, color="grey")
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set_xlim(-1.1, 1.1)
        axis.set_box_aspect(1)
        axis.set_yticks(range(values.size), values["area_feature"].values, fontsize=7)
        axis.invert_yaxis()


def caption(config: Config, found: xr.Dataset) -> str:
    """State what the network computes, and what the first and the last mask are worth."""
    first, last = found["p_soft"].isel(area=[0, -1])
    return (
        "One network takes the position of a pixel and the area, and gives a score, to which that "
        "of the prior is added; the threshold "
        f"tau makes the mean of the mask the area. p({found['class_name'].item()}) of what is seen "
        f"is {first:.2f} at area {first['area']:g} and {last:.2f} at {last['area']:g}; of the "
        f"whole photograph {found['p_whole']:.2f}."
    )


load = explained

SMOKE = {"count": 1, "areas": (0.1, 0.3), "steps": 2}
