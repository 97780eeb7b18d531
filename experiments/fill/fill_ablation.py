"""Figure 4: mask ratio x patch size, as pictures and as heat maps of the fidelity.

    python -m experiments fill_ablation

About 20 s on 2 cores. Each order is one compiled program, which serves every mask, the trained
network and its control. `--plan` says how many points there are.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome
from experiments.fidelity import draw_masks, fidelity_arrays, fidelity_grid, from_arrays
from experiments.grids import GridRun, plan_grid
from experiments.common.networks import Network, NetworkOptions, first_of_class, network
from fitb_jax import fill, plotting
from fitb_jax.types import LogitsFn

NUMBERS = {
    "probability_filled": "p(target), filled",
    "correct_filled": "accuracy, filled",
    "correlation": "correlation with hidden pixels",
}
ORDERS = {"first": fill.first_order, "second": fill.second_order}


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 4.

    Attributes:
        ratios: shares of the patches that are blank.
        patches: sides of a patch in pixels.
        digit: label of the test image shown.
        chunk: points (an image under a mask) evaluated at once.
    """

    ratios: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)
    patches: tuple[int, ...] = (1, 2, 4, 7)
    digit: int = 3
    test_images: int = 200
    chunk: int = 256

    ZERO_ALLOWED = frozenset({"digit"})


def compute(config: Config) -> Outcome:
    """Pictures of one digit, and the fidelity of every cell over the test images."""
    net = network(config)
    settings = _settings(config)
    image = jnp.asarray(first_of_class(net.test, config.digit))

    @jax.jit
    def show(logits_fn: LogitsFn, image: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        seen = draw_masks(image.shape[:2], settings, key=key)

        def one(mask: jax.Array) -> dict[str, jax.Array]:
            update = fill.first_order(logits_fn, image, mask, config.digit)
            return {"mask": mask, "update": update, "fill": fill.fill(image, mask, update)}

        return jax.vmap(one)(seen)

    pictures = show(net.trained, image, jax.random.key(config.seed))
    arrays = {f"shown_{name}": np.asarray(value) for name, value in pictures.items()}
    arrays["shown_image"] = np.asarray(image)
    arrays |= fidelity_arrays(config, _grid(config, net))
    points = sum(value.size for name, value in arrays.items() if name.endswith("/correlation"))
    numbers = {
        "test accuracy": net.accuracy,
        "points (image x mask x order x network)": points,
        "compiled programs, one for each order": len(ORDERS),
    }
    return Outcome(arrays, numbers, {}, [f"{net.label}; {net.test.source}"])


def plan(config: Config) -> list[str]:
    """What the grid will do."""
    return [plan_grid(_grid(config, network(config)))]


def _settings(config: Config) -> list[tuple[float, int]]:
    return [(ratio, patch) for ratio in config.ratios for patch in config.patches]


def _grid(config: Config, net: Network) -> GridRun:
    return fidelity_grid(
        "fill_ablation",
        net,
        ORDERS,
        _settings(config),
        count=config.test_images,
        seed=config.seed,
        chunk=config.chunk,
    )


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """The update and the fill of one digit in every cell, and the heat maps."""
    return {
        "ablation_pictures": _pictures(config, outcome.arrays),
        "ablation_heat_maps": _heat_maps(config, outcome.arrays),
    }


def _pictures(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    cells = len(config.ratios), len(config.patches)
    image = arrays["shown_image"]
    rows = []
    for i in range(cells[0]):
        row = []
        for j in range(cells[1]):
            at = i * cells[1] + j
            mask, update = arrays["shown_mask"][at], arrays["shown_update"][at]
            row += [
                plotting.overlay(image, mask, update),
                plotting.as_rgb(arrays["shown_fill"][at]),
            ]
        rows.append(row)
    titles = [f"patch {patch}: {what}" for patch in config.patches for what in ("update", "fill")]
    return plotting.image_grid(
        rows, column_titles=titles, row_titles=[f"ratio {ratio:g}" for ratio in config.ratios]
    )


def _heat_maps(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    kinds = [("trained", "first"), ("trained", "second"), ("untrained", "first")]
    figure = Figure(figsize=(10.5, 9), layout="constrained")
    axes = figure.subplots(len(NUMBERS), len(kinds))
    for row, (field, title) in enumerate(NUMBERS.items()):
        for column, (source, order) in enumerate(kinds):
            axis = axes[row, column]
            plotting.heat_map(
                axis,
                _cell_means(config, arrays, source, order, field),
                row_labels=config.ratios,
                column_labels=config.patches,
                title=f"{title}\n{source}, {order} order",
                limits=(-0.4, 0.4) if field == "correlation" else (0.0, 1.0),
            )
            axis.set_xlabel("patch (pixels)", fontsize=8)
            axis.set_ylabel("ratio", fontsize=8)
    return figure


def _cell_means(
    config: Config, arrays: dict[str, np.ndarray], source: str, order: str, field: str
) -> np.ndarray:
    values = getattr(from_arrays(source, arrays)[order], field)
    return np.nanmean(values, axis=0).reshape(len(config.ratios), len(config.patches))


def caption(config: Config, outcome: Outcome) -> str:
    """State the grid and the extremes of what it shows."""
    first, second, control = (
        _cell_means(config, outcome.arrays, source, order, "probability_filled")
        for source, order in (("trained", "first"), ("trained", "second"), ("untrained", "first"))
    )
    return (
        f"First-order updates and fills of a {config.digit} under every mask ratio and patch size; "
        f"heat maps over {config.test_images or 'all'} test images: p(target), accuracy and "
        "correlation of the update with the hidden pixels. Mean p(target) after filling is between "
        f"{first.min():.2f} and {first.max():.2f} with the first order, {second.min():.2f} and "
        f"{second.max():.2f} with the second; with the updates of an untrained network (control) "
        f"between {control.min():.2f} and {control.max():.2f}."
    )


EXPERIMENT = Experiment(
    name="fill_ablation",
    title="Mask ratio x patch size",
    regenerates="Figure 4",
    needs="nothing",
    duration="20 s",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={"epochs": 1, "ratios": (0.25, 0.5), "patches": (4, 7), "test_images": 20},
    full={
        "dataset": "mnist",
        "ratios": tuple(round(0.05 * i, 2) for i in range(1, 20)),
        "patches": (1, 2, 4, 7, 14),
        "test_images": 2000,
    },
)
