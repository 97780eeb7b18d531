"""Figure 4: Mask ratio x patch size.

    python -m experiments fill_ablation    # 20 s

Expected: mean p(target) after filling between 0.97 and 1.00 with the first order, between 0.98 and
1.00 with the second; with the updates of an untrained network between 0.25 and 0.96.

Pictures of one digit, and heat maps of the fidelity over the test images. Each order is one
compiled program, which serves every mask, the trained network and its control.
"""

import dataclasses

import jax
import jax.numpy as jnp
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Experiment, Sweep
from experiments.core.labelled import pictures
from experiments.fill._fidelity import ORDERS, TITLES, FidelityOptions, draw_masks, fidelity_sweep
from fitb_jax import fill, plotting
from fitb_jax.types import LogitsFn

SHOWN = (("trained", "first"), ("trained", "second"), ("untrained", "first"))


@dataclasses.dataclass(frozen=True)
class Config(FidelityOptions):
    """Options of Figure 4.

    Attributes:
        ratios: shares of the patches that are blank.
        patches: sides of a patch in pixels.
        digit: label of the test image shown.
    """

    ratios: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)
    patches: tuple[int, ...] = (1, 2, 4, 7)
    digit: int = 3
    test_images: int = 200

    ZERO_ALLOWED = frozenset({"digit"})

    @property
    def settings(self) -> list[tuple[float, int]]:
        """Ratio and patch of every cell."""
        return [(ratio, patch) for ratio in self.ratios for patch in self.patches]


def sweep(config: Config, net: networks.Network) -> Sweep:
    """Every cell, order and network over the test images."""
    return fidelity_sweep(config, net, ORDERS, config.settings)


def compute(config: Config, net: networks.Network, found: xr.Dataset) -> xr.Dataset:
    """The fidelity of every cell, and pictures of one digit."""
    image = jnp.asarray(networks.first_of_class(net.test, config.digit))

    @jax.jit
    def show(logits_fn: LogitsFn, image: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        seen = draw_masks(image.shape[:2], config.settings, key=key)

        def one(mask: jax.Array) -> dict[str, jax.Array]:
            update = fill.first_order(logits_fn, image, mask, config.digit)
            return {"mask": mask, "update": update, "fill": fill.fill(image, mask, update)}

        return jax.vmap(one)(seen)

    shown = show(net.trained, image, jax.random.key(config.seed))
    by_setting = {f"shown_{name}": values for name, values in shown.items()}
    found = found.assign(pictures(shown_image=image) | pictures("setting", **by_setting))
    return networks.with_network(found, net)


def numbers(config: Config, found: xr.Dataset) -> dict[str, object]:
    """How sure the network is of its own digits, and the size of the grid."""
    return {
        **networks.accuracies(found),
        "points (image x mask x order x network)": found["correlation"].size,
        "compiled programs, one for each order": len(ORDERS),
    }


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The update and the fill of one digit in every cell, and the heat maps."""
    cells = found.set_index(setting=["ratio", "patch"]).unstack("setting")
    return {"ablation_pictures": _pictures(cells), "ablation_heat_maps": _heat_maps(cells)}


def _pictures(cells: xr.Dataset) -> Figure:
    image = cells["shown_image"].values
    rows = []
    for _, of_ratio in cells.groupby("ratio"):
        row = []
        for _, cell in of_ratio.squeeze("ratio").groupby("patch"):
            of = cell.squeeze("patch")
            row += [
                plotting.overlay(image, of["shown_mask"].values, of["shown_update"].values),
                plotting.as_rgb(of["shown_fill"].values),
            ]
        rows.append(row)
    patches, ratios = (cells[name].values.tolist() for name in ("patch", "ratio"))
    return plotting.image_grid(
        rows,
        column_titles=[f"patch {p}: {what}" for p in patches for what in ("update", "fill")],
        row_titles=[f"ratio {ratio:g}" for ratio in ratios],
    )


def _heat_maps(cells: xr.Dataset) -> Figure:
    figure = Figure(figsize=(10.5, 9), layout="constrained")
    axes = figure.subplots(len(TITLES), len(SHOWN))
    for row, (field, title) in zip(axes, TITLES.items(), strict=True):
        for axis, (source, order) in zip(row, SHOWN, strict=True):
            plotting.heat_map(
                axis,
                cells[field].sel(network=source, update=order).mean("image"),
                rows="ratio",
                columns="patch",
                title=f"{title}\n{source}, {order} order",
                limits=(-0.4, 0.4) if field == "correlation" else (0.0, 1.0),
            )
            axis.set_xlabel("patch (pixels)", fontsize=8)
            axis.set_ylabel("ratio", fontsize=8)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State the grid and the extremes of what it shows."""
    mean = found["probability_filled"].mean("image")
    first, second, control = (mean.sel(network=source, update=order) for source, order in SHOWN)
    return (
        f"First-order updates and fills of a {config.digit} under every mask ratio and patch size; "
        f"heat maps over {found.sizes['image']} test images. Mean p(target) after filling is "
        f"between {first.min():.2f} and {first.max():.2f} with the first order, {second.min():.2f} "
        f"and {second.max():.2f} with the second; with the updates of an untrained network "
        f"(control) between {control.min():.2f} and {control.max():.2f}."
    )


EXPERIMENT = Experiment(
    config=Config,
    load=networks.network,
    sweep=sweep,
    compute=compute,
    numbers=numbers,
    draw=draw,
    caption=caption,
    smoke={"epochs": 1, "ratios": (0.25, 0.5), "patches": (4, 7), "test_images": 20},
    full={
        "dataset": "mnist",
        "ratios": tuple(round(0.05 * i, 2) for i in range(1, 20)),
        "patches": (1, 2, 4, 7, 14),
        "test_images": 2000,
    },
)
