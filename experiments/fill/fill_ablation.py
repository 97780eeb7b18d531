"""Figure 5: Mask ratio x patch size.

    python -m experiments fill_ablation    # 20 s

Expected: mean p(target) after filling between 0.97 and 1.00 with the first order.

Pictures of one digit, and heat maps of the fidelity over the test images. Each order is one
compiled program, which serves every mask, the trained network and its control.
"""

import dataclasses

import jax
import jax.numpy as jnp
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Sweep
from experiments.core.labelled import pictures
from experiments.fill import _fidelity
from fitb_jax import data, fill, masks, plotting
from fitb_jax.types import LogitsFn

SHOWN = (("trained", "first"), ("trained", "second"), ("untrained", "first"))


@dataclasses.dataclass(frozen=True)
class Config(_fidelity.GridOptions):
    """Options of Figure 5.

    Attributes:
        digit: label of the test image shown.
    """

    digit: int = 3
    test_images: int = 200

    ZERO_ALLOWED = frozenset({"digit"})
    ONLY_SHOWN = frozenset({"digit"})

    @property
    def settings(self) -> list[tuple[float, int]]:
        """Ratio and patch of every cell."""
        return [(ratio, patch) for ratio in self.ratios for patch in self.patches]


def sweep(config: Config, net: networks.Network) -> Sweep:
    """Every cell, order and network over the test images."""
    return _fidelity.fidelity_sweep(config, net, _fidelity.ORDERS, config.settings)


def compute(config: Config, net: networks.Network, found: xr.Dataset) -> xr.Dataset:
    """The fidelity of every cell, and pictures of one digit."""
    image = jnp.asarray(data.first_of_classes(net.test, [config.digit])[0])

    @jax.jit
    def show(logits_fn: LogitsFn, image: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        seen = masks.random_patches_of_settings(image.shape[:2], config.settings, key=key)

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
        **networks.accuracies(config, found),
        "points (image x mask x order x network)": found["correlation"].size,
        "compiled programs, one for each order": len(_fidelity.ORDERS),
    }


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The update and the fill of one digit in every cell, and the heat maps."""
    cells = found.set_index(setting=["ratio", "patch"]).unstack("setting")
    return {"ablation_pictures": _pictures(cells), "ablation_heat_maps": _heat_maps(cells)}


def _pictures(cells: xr.Dataset) -> Figure:
    image, rows = cells["shown_image"].values, []
    for i in range(cells.sizes["ratio"]):
        row = []
        for j in range(cells.sizes["patch"]):
            of = cells.isel(ratio=i, patch=j)
            update = plotting.overlay(image, of["shown_mask"].values, of["shown_update"].values)
            row += [update, of["shown_fill"].values]
        rows.append(row)
    patches, ratios = (cells[name].values.tolist() for name in ("patch", "ratio"))
    return plotting.image_grid(
        rows,
        column_titles=[f"patch {p}: {what}" for p in patches for what in ("update", "fill")],
        row_titles=[f"ratio {ratio:g}" for ratio in ratios],
    )


def _heat_maps(cells: xr.Dataset) -> Figure:
    means = [cells.sel(network=source, update=order).mean("image") for source, order in SHOWN]
    panels = [
        [
            (of[name], f"{title}\n{source}, {order} order")
            for of, (source, order) in zip(means, SHOWN, strict=True)
        ]
        for name, title in _fidelity.TITLES.items()
    ]
    return _fidelity.setting_maps(panels, size=(10.5, 9), correlation=(-0.4, 0.4))


def caption(config: Config, found: xr.Dataset) -> str:
    """State the grid and the extremes of what it shows."""
    mean = found["probability_filled"].mean("image")
    first, second, control = (mean.sel(network=source, update=order) for source, order in SHOWN)
    return (
        f"First-order updates and fills of a {config.digit}; heat maps over "
        f"{found.sizes['image']} test images. Mean p(target) after filling is between "
        f"{first.min():.2f} and {first.max():.2f} with the first order, {second.min():.2f} and "
        f"{second.max():.2f} with the second; with the updates of an untrained network (control) "
        f"between {control.min():.2f} and {control.max():.2f}."
    )


load = networks.network

SMOKE = {**_fidelity.SMOKE_GRID, "test_images": 20}

FULL = {**_fidelity.FULL_GRID, "test_images": 2000}
