"""Figure 12: the scheme, drawn from a fit: positions, features, scores, masks, what is seen.

python -m experiments extremal_scheme
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from experiments.experiment import Experiment, Outcome
from experiments.common.photographs import AreaOptions, explained, one_photograph
from fitb_jax import extremal, plotting
from fitb_jax.extremal import coordinates
from fitb_jax.types import Array, Image, LogitsFn

ARROWS = (("area", "scores", "MLP"), ("scores", "masks", "tau"), ("masks", "blended", "blend"))


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 12.

    Attributes:
        count: the last of so many photographs is drawn.
        image: a photograph of yours, instead of one of `photographs`.
        features: how many are shown.
        steps: of the fit.
    """

    count: int = 2
    image: Path | None = None
    areas: tuple[float, ...] = (0.05, 0.15, 0.4)
    features: int = 4
    steps: int = extremal.InrConfig().steps


def compute(config: Config) -> Outcome:
    """Fit one network, and keep what it computes on the way to each mask."""
    net = explained(config) if config.image is None else one_photograph(config, config.image)
    settings = extremal.InrConfig(steps=config.steps)
    areas = jnp.asarray(config.areas, jnp.float32)

    @jax.jit
    def run(logits_fn: LogitsFn, image: Image, target: Array, key: Array) -> dict[str, Array]:
        shape = image.shape[0], image.shape[1]
        inr = extremal.fit_inr(logits_fn, image, target, settings, key=key)
        network = nnx.merge(inr.graph, inr.state)
        coarse = min(settings.grid, shape[0]), min(settings.grid, shape[1])
        positions = coordinates.grid(coarse)
        features = coordinates.fourier_features(positions, network.frequencies[...])
        masks = extremal.inr_masks(inr, areas, shape)
        binary = jax.vmap(extremal.binarise)(masks, areas)
        blend = extremal.make_blend(image, "blur", blur=settings.blur)
        ends = jnp.stack([jnp.ones(shape), jnp.zeros(shape)])
        p = extremal.probabilities_through(
            logits_fn, image, target, jnp.concatenate([masks, binary, ends])
        )
        soft, hard, (whole, blank) = jnp.split(p, [len(areas), 2 * len(areas)])
        return {
            "positions": positions.T.reshape(2, *coarse),
            "features": features.T[: config.features].reshape(-1, *coarse),
            "area_features": jax.vmap(coordinates.area_features)(areas),
            "scores": jax.vmap(
                lambda area: settings.score_scale * network(positions, area).reshape(coarse)
            )(areas),
            "masks": masks,
            "blended": jax.vmap(blend)(masks),
            "p_soft": soft,
            "p_binary": hard,
            "p_whole": whole,
            "p_blank": blank,
        }

    key = jax.random.key(config.seed)
    place = len(net.images) - 1
    found = run(
        net.pretrained.logits_fn,
        jnp.asarray(net.images[place]),
        jnp.asarray(net.targets[place]),
        key,
    )
    arrays = {name: np.asarray(value) for name, value in found.items()}
    arrays |= {
        "image": net.images[place],
        "areas": np.asarray(config.areas),
        "class_name": np.array(net.class_name(net.targets[place])),
    }
    return Outcome(arrays, {}, {}, [f"{net.names[place]}: {net.source}"])


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """From positions on the left to probabilities on the right; a row for each area."""
    arrays = outcome.arrays
    rows = len(arrays["areas"])
    figure = Figure(figsize=(12, 2.0 * rows + 0.7))
    columns = figure.add_gridspec(
        1,
        6,
        left=0.02,
        right=0.98,
        top=0.86,
        bottom=0.06,
        wspace=0.32,
        width_ratios=[1, 1, 1, 1, 1, 1],
    )
    places = columns[0].subgridspec(3, 1, hspace=0.3)
    features = columns[1].subgridspec(len(arrays["features"]), 1, hspace=0.15)
    axes: dict[str, list[Axes]] = {name: [] for name in ("area", "scores", "masks", "blended")}
    photograph = figure.add_subplot(places[0])
    _show(photograph, arrays["image"], f"p({arrays['class_name']}) {arrays['p_whole']:.2f}")
    for i, name in enumerate(("row of the pixel", "column of the pixel")):
        axis = figure.add_subplot(places[1 + i])
        _map(axis, arrays["positions"][i], name, "coolwarm")
    last = []
    for i, values in enumerate(arrays["features"]):
        axis = figure.add_subplot(features[i])
        _map(axis, values, "", "coolwarm")
        last.append(axis)
    steps = {name: columns[2 + i].subgridspec(rows, 1, hspace=0.35) for i, name in enumerate(axes)}
    for name, grid in steps.items():
        axes[name] = [figure.add_subplot(grid[i]) for i in range(rows)]
    limit = float(np.abs(arrays["scores"]).max())
    for i, area in enumerate(arrays["areas"]):
        _bars(axes["area"][i], arrays["area_features"][i], f"a = {area:g}")
        _map(axes["scores"][i], arrays["scores"][i], "", "coolwarm", limit)
        _show(
            axes["masks"][i],
            arrays["masks"][i][:, :, None],
            f"mean {arrays['masks'][i].mean():.4f}",
        )
        text = f"p {arrays['p_soft'][i]:.2f}, binary {arrays['p_binary'][i]:.2f}"
        _show(axes["blended"][i], arrays["blended"][i], text)
        for start, end, label in ARROWS:
            _arrow(figure, axes[start][i], axes[end][i], label)
    for gap, sign in ((0, "→"), (1, "+")):
        sides = [columns[gap + side].get_position(figure) for side in (0, 1)]
        figure.text(0.75 * sides[0].x1 + 0.25 * sides[1].x0, 0.46, sign, ha="center", fontsize=14)
    titles = (
        "photograph x\nand positions u",
        f"{len(arrays['features'])} of its features\nsin(2 pi B u)",
        "features\nof the area a",
        f"scores s(u, a),\n{' x '.join(map(str, arrays['scores'].shape[1:]))}",
        "mask: sigmoid(s - tau)\nwith mean a",
        "what is seen:\nm x + (1 - m) blur",
    )
    for i, title in enumerate(titles):
        box = columns[i].get_position(figure)
        figure.text((box.x0 + box.x1) / 2, 0.97, title, ha="center", va="top", fontsize=9)
    return {"extremal_scheme": figure}


def _show(axis: Axes, picture: np.ndarray, text: str) -> None:
    _map(axis, plotting.as_rgb(picture), text)


def _map(
    axis: Axes, values: np.ndarray, text: str, colours: str | None = None, limit: float = 1.0
) -> None:
    axis.imshow(values, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(text, fontsize=8, labelpad=2)


def _bars(axis: Axes, values: np.ndarray, text: str) -> None:
    """The three numbers that tell the network of the area."""
    axis.barh(range(len(values)), values, color="grey")
    axis.axvline(0, color="black", linewidth=0.6)
    axis.set_xlim(-1.1, 1.1)
    axis.set_box_aspect(1)
    axis.set_xticks([])
    axis.set_yticks(range(len(values)), ["2a - 1", "sin", "cos"], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel(text, fontsize=8, labelpad=2)


def _arrow(figure: Figure, start: Axes, end: Axes, label: str) -> None:
    left, right = start.get_position(), end.get_position()
    middle = (left.x1 + right.x0) / 2, (left.y0 + left.y1) / 2 + 0.015
    figure.text(*middle, label, ha="center", va="bottom", fontsize=8)
    figure.add_artist(
        ConnectionPatch(
            xyA=(1.05, 0.5),
            coordsA=start.transAxes,
            xyB=(-0.05, 0.5),
            coordsB=end.transAxes,
            arrowstyle="->",
            color="grey",
        )
    )


def caption(config: Config, outcome: Outcome) -> str:
    """State what the network computes, and what each mask is worth."""
    arrays = outcome.arrays
    shown = "; ".join(
        f"area {area:g}: p {soft:.2f} (binary {hard:.2f})"
        for area, soft, hard in zip(
            arrays["areas"], arrays["p_soft"], arrays["p_binary"], strict=True
        )
    )
    error = np.abs(arrays["masks"].mean((1, 2)) - arrays["areas"]).max()
    rows, width = arrays["scores"].shape[1:]
    return (
        "One network takes the position of a pixel and the area, and gives a score; the threshold "
        f"tau makes the mean of the mask the area, here to {error:.0e}. It is fitted on {rows} x "
        f"{width} positions and shown on {' x '.join(map(str, arrays['masks'].shape[1:]))}. "
        f"p({arrays['class_name']}) of what is seen, {shown}; of the whole photograph "
        f"{arrays['p_whole']:.2f}, of its blur {arrays['p_blank']:.2f}."
    )


EXPERIMENT = Experiment(
    name="extremal_scheme",
    title="From positions to masks, step by step",
    regenerates="Figure 12",
    needs="nothing (a photograph of scikit-image)",
    duration="1 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"count": 1, "areas": (0.1, 0.3), "steps": 2},
    full={},
)
