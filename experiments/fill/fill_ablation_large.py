"""Ratio x patch x class x order x network x seed: fidelity and E[dx], with bands over networks.

    python -m experiments fill_ablation_large --plan
    python -m experiments fill_ablation_large

About 45 s on 2 cores for 24,000 points, half of it to train three networks at once. `--full` is
6.8 million points; it continues where it was stopped.
"""

import dataclasses
import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.fidelity import FIELDS
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.common.networks import NetworkOptions, ensemble
from fitb_jax import ablation, data, fill, masks, models, plotting
from fitb_jax.evaluation.intervals import Interval, mean_interval
from fitb_jax.types import LogitsFn

MEASURES = {
    "probability_filled": "p(target), filled",
    "correct_filled": "accuracy, filled",
    "correlation": "correlation with hidden pixels",
}
ORDERS: tuple[fill.Order, ...] = ("first", "second")
UNTRAINED = "untrained"
AVERAGED = ablation.Reduction(("image", "seed"))


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of the large ablation.

    Attributes:
        ratios: shares of the patches that are blank.
        patches: sides of a patch in pixels.
        networks: trained at once from different seeds; an untrained one is added as control.
        seeds: masks drawn for each image, ratio and patch.
        images_per_class: test images of each class.
        chunk: points evaluated at once.
    """

    ratios: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)
    patches: tuple[int, ...] = (1, 4, 7)
    networks: int = 3
    seeds: int = 1
    images_per_class: int = 20
    chunk: int = 256


def point(
    *,
    images: jax.Array,
    order: fill.Order,
    network: dict[str, LogitsFn],
    label: jax.Array,
    ratio: jax.Array,
    patch: jax.Array,
    seed: jax.Array,
    image: jax.Array,
    key: jax.Array,
) -> dict[str, jax.Array]:
    """Fidelity of one update of one image, and the update where the image was hidden.

    Args:
        images: (classes, images, h, w, c).
        order: of the update.
        network: "updating", whose update it is, and "judge", whose prediction is looked at.
        label: class of the image.
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        seed: tells apart the masks of one image.
        image: which of its class.
        key: of the mask.

    Returns:
        The measures, and `update`, nan on visible pixels.
    """
    pixels = images[label, image]
    mask = masks.random_patches(pixels.shape[:2], ratio, patch, key=key)
    update = fill.resolve_order(order)(network["updating"], pixels, mask, label)
    measured = fill.fidelity(network["judge"], pixels, mask, label, update)
    hidden_update = jnp.where(mask[:, :, None] == 0, update, jnp.nan)
    return {**measured._asdict(), "update": hidden_update}


def compute(config: Config) -> Outcome:
    """Run the grid, and take from it what the figures show."""
    run, accuracies = _grid(config)
    found = run_grid(config, run)
    trained = [str(seed) for seed in range(config.networks)]
    arrays = {name: found[f"{name}_mean"].mean("label").values for name in MEASURES}
    arrays["agreement"] = _agreement(found, itertools.combinations(trained, 2))
    control = _agreement(found, ((name, UNTRAINED) for name in trained))
    middle = {
        "ratio": config.ratios[len(config.ratios) // 2],
        "patch": config.patches[len(config.patches) // 2],
    }
    shown = found["update_mean"].sel(middle)
    arrays["expected_update"] = shown.transpose("order", "network", "label", ...).values
    numbers = {
        "points": int(found["status"].size),
        "test accuracy of each network": accuracies,
        "correlation of E[dx] between trained networks": {
            order: float(arrays["agreement"][i].mean()) for i, order in enumerate(ORDERS)
        },
        "correlation of E[dx] with the untrained network": float(control.mean()),
    }
    rows = [
        [order, ratio, patch, *(str(mean_interval(arrays[m][o, :-1, r, p])) for m in MEASURES)]
        for (o, order), (r, ratio), (p, patch) in itertools.product(
            enumerate(ORDERS), enumerate(config.ratios), enumerate(config.patches)
        )
    ]
    tables = {"mean over networks": Table(["order", "ratio", "patch", *MEASURES.values()], rows)}
    note = f"{config.dataset}, {config.architecture} {config.activation}"
    return Outcome(arrays, numbers, tables, [f"{note}, {config.networks} networks"])


def plan(config: Config) -> list[str]:
    """What the grid will do."""
    return [plan_grid(_grid(config)[0])]


def _grid(config: Config) -> tuple[GridRun, list[Interval]]:
    train = data.load(config.dataset, split="train", data_dir=config.data_dir)
    test = data.load(config.dataset, split="test", data_dir=config.data_dir)
    classes = range(len(train.class_names))
    by_class = [test.images[test.labels == label][: config.images_per_class] for label in classes]
    if (fewest := min(map(len, by_class))) < config.images_per_class:
        raise ValueError(
            f"images_per_class must be at most {fewest}, the test images of the rarest class, got "
            f"{config.images_per_class}"
        )
    found = ensemble(config, config.networks, train, test)
    # Of the control, the first network is the judge.
    networks = {
        "updating": models.stack([*found.trained, found.untrained]),
        "judge": models.stack([*found.trained, found.trained[0]]),
    }
    grid = {
        "order": ablation.static(ORDERS),
        "network": ablation.looped(
            networks,
            labels=[*map(str, range(config.networks)), UNTRAINED],
            meaning="seed of the training",
        ),
        "label": ablation.vmapped(np.arange(len(classes)), meaning="class, also filled in for"),
        "ratio": ablation.vmapped(np.array(config.ratios), meaning="share of blank patches"),
        "patch": ablation.vmapped(np.array(config.patches), units="pixels"),
        "seed": ablation.vmapped(np.arange(config.seeds), meaning="of the masks"),
        "image": ablation.vmapped(np.arange(config.images_per_class), meaning="of its class"),
    }
    fields = {
        name: FIELDS.get(name, ablation.Field())._replace(reduction=AVERAGED)
        for name in fill.Fidelity._fields
    }
    fields["update"] = ablation.Field(
        dims=("y", "x", "channel"),
        units="nats / intensity",
        meaning="E[dx], over the times that a pixel was hidden",
        reduction=ablation.Reduction(AVERAGED.over, ("mean", "standard_error", "count")),
        nan_is_answer=True,
    )
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("label", "ratio", "patch", "seed", "image"),
        "shared": {"images": np.stack(by_class)},
        "fields": fields,
        "chunk": config.chunk,
    }
    return GridRun("fill_ablation_large", point, grid, arguments), found.accuracies


def _agreement(found: xr.Dataset, pairs: Iterable[tuple[str, str]]) -> np.ndarray:
    """Mean correlation of E[dx] between pairs of networks and over classes."""
    mean = found["update_mean"].stack(pixel=("y", "x", "channel"))
    correlations = [
        xr.corr(mean.sel(network=a), mean.sel(network=b), dim="pixel") for a, b in pairs
    ]
    mean_correlation = xr.concat(correlations, "pair").mean(["pair", "label"])
    return mean_correlation.transpose("order", "ratio", "patch").values


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Heat maps, curves with bands over networks, and E[dx] of each network."""
    return {
        "large_ablation_heat_maps": _heat_maps(config, outcome.arrays),
        "large_ablation_bands": _bands(config, outcome.arrays),
        "large_ablation_prototypes": _prototypes(config, outcome.arrays),
    }


def _heat_maps(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    titles = {**MEASURES, "agreement": "agreement of E[dx] across networks"}
    figure = Figure(figsize=(3.4 * len(titles), 6), layout="constrained")
    axes = figure.subplots(len(ORDERS), len(titles))
    for (row, order), (column, (name, title)) in itertools.product(
        enumerate(ORDERS), enumerate(titles.items())
    ):
        values = arrays[name][row] if name == "agreement" else arrays[name][row, :-1].mean(0)
        plotting.heat_map(
            axes[row, column],
            values,
            row_labels=config.ratios,
            column_labels=config.patches,
            title=f"{title}\n{order} order",
            limits=(0.0, 0.4) if name == "correlation" else (0.0, 1.0),
        )
        axes[row, column].set_xlabel("patch (pixels)", fontsize=8)
        axes[row, column].set_ylabel("ratio", fontsize=8)
    return figure


def _bands(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(4 * len(MEASURES), 6), layout="constrained")
    axes = figure.subplots(len(ORDERS), len(MEASURES), sharex=True)
    for (row, order), (column, (name, title)) in itertools.product(
        enumerate(ORDERS), enumerate(MEASURES.items())
    ):
        axis = axes[row, column]
        for index, patch in enumerate(config.patches):
            intervals = [
                mean_interval(arrays[name][row, :-1, r, index]) for r in range(len(config.ratios))
            ]
            plotting.band(
                axis,
                np.array(config.ratios),
                np.array(intervals),
                label=f"patch {patch}",
                control=arrays[name][row, -1, :, index],
            )
        axis.set_title(f"{title}, {order} order", fontsize=9)
        axis.set_xlabel("mask ratio", fontsize=8)
        if name != "correlation":
            axis.set_ylim(0, 1.02)
    axes[0, 0].legend(fontsize=7, title="dashed: untrained", title_fontsize=7)
    return figure


def _prototypes(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    maps = arrays["expected_update"][0]
    names = [f"network {index}" for index in range(config.networks)] + [UNTRAINED]
    return plotting.signed_maps(
        list(maps),
        column_titles=[str(label) for label in range(maps.shape[1])],
        row_titles=names,
        units=["nats / intensity"] * len(names),
    )


def caption(config: Config, outcome: Outcome) -> str:
    """State the grid and its main numbers."""
    arrays = outcome.arrays
    agreement = outcome.numbers["correlation of E[dx] between trained networks"]
    control = outcome.numbers["correlation of E[dx] with the untrained network"]
    correlation = arrays["correlation"]
    return (
        f"{outcome.numbers['points']:,} points: {len(config.ratios)} ratios x "
        f"{len(config.patches)} patch sizes x {arrays['expected_update'].shape[2]} classes x 2 "
        f"orders x {config.networks} networks trained at once and an untrained one x "
        f"{config.seeds} mask(s) x {config.images_per_class} test images of each class. Bands are "
        f"95 % intervals over the {config.networks} networks. Correlation with the hidden pixels, "
        f"mean over all settings: first order {correlation[0, :-1].mean():.3f}, second "
        f"{correlation[1, :-1].mean():.3f}, untrained {correlation[:, -1].mean():.3f}. E[dx] of "
        f"two networks correlate by {agreement['first']:.2f} (first order) and "
        f"{agreement['second']:.2f} (second), mean over classes and settings; with that of the "
        f"untrained one by {control:.2f}. Maps: E[dx], first order, at the middle ratio "
        "and patch size."
    )


EXPERIMENT = Experiment(
    name="fill_ablation_large",
    title="Large ablation with bands over networks",
    regenerates="Figure 6",
    needs="nothing",
    duration="45 s",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    smoke={
        "epochs": 1,
        "ratios": (0.25, 0.5),
        "patches": (4, 7),
        "networks": 2,
        "images_per_class": 2,
    },
    full={
        "dataset": "mnist",
        "ratios": tuple(round(0.05 * i, 2) for i in range(1, 20)),
        "patches": (1, 2, 4, 7, 14),
        "networks": 5,
        "seeds": 3,
        "images_per_class": 200,
    },
)
