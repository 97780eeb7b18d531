"""Figure 21, Table 12: do networks trained alike explain alike?

    python -m experiments stability

It trains several networks of each architecture at once. It resumes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import methods as listed
from experiments.experiment import Experiment, Outcome, unless_asked
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.common.networks import NetworkOptions, ensemble, untrained_networks
from experiments.sanity_cases import chosen
from experiments.stability_figures import draw
from experiments.stability_points import FIELDS, point
from experiments.stability_results import caption, table
from fitb_jax import ablation, data, models
from fitb_jax.evaluation.intervals import Interval
from fitb_jax.types import LogitsFn, SaliencyFn

Row = tuple[tuple[str, SaliencyFn | None], ...]


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 21.

    Attributes:
        activation: "relu" is what deconvnet and guided backpropagation are made for.
        architectures: instead of `architecture`; the pictures are of the first.
        networks: trained at once for each architecture, from different seeds.
        together: images of one class whose maps are compared for the floor.
        groups: of so many images, from each class; what the intervals resample.
        methods: names in the table; none means all.
    """

    activation: models.Activation = "relu"
    architectures: tuple[models.Architecture, ...] = ("cnn", "mlp")
    networks: int = 5
    together: int = 2
    groups: int = 2
    methods: tuple[str, ...] = ()


def rows(config: Config) -> dict[str, Row]:
    """Every method and control for every architecture, None where it does not apply.

    Args:
        config: options.

    Returns:
        By name; those of the first architecture.
    """
    of: dict[str, dict[str, SaliencyFn]] = {}
    for name in config.architectures:
        methods = listed.small_methods(name)
        blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
        of[name] = {**methods, **blurred, **listed.controls()}
    names = chosen(of[config.architectures[0]], config.methods)
    return {name: tuple((a, of[a].get(name)) for a in config.architectures) for name in names}


def grouped(config: Config, test: data.Images) -> dict[str, np.ndarray]:
    """Test images of one class each, class after class.

    Args:
        config: options.
        test: the test split.

    Returns:
        `pixels` (groups, together, h, w, c) and `label` (groups,).

    Raises:
        ValueError: a class with too few images, or fewer than two together.
    """
    if config.together < 2:
        raise ValueError(f"together must be at least 2, got {config.together}")
    pixels, labels = [], []
    for label in range(len(test.class_names)):
        found = test.images[test.labels == label][: config.groups * config.together]
        if len(found) < config.groups * config.together:
            raise ValueError(
                f"groups must leave {config.together} images each, got {config.groups} of the "
                f"{len(found)} test images of class {label}"
            )
        pixels.append(found.reshape(config.groups, config.together, *found.shape[1:]))
        labels.append(np.full(config.groups, label, np.int32))
    return {"pixels": np.concatenate(pixels), "label": np.concatenate(labels)}


def grid(config: Config) -> tuple[GridRun, dict[str, list[Interval]], data.Images]:
    """The grid of methods, states of training and groups of images.

    Args:
        config: options.

    Returns:
        The grid, the accuracies of the networks by architecture, and the test images.
    """
    every = rows(config)
    train = data.load(config.dataset, split="train", data_dir=config.data_dir)
    test = data.load(config.dataset, split="test", data_dir=config.data_dir)
    groups = grouped(config, test)
    states: dict[str, LogitsFn] = {}
    accuracies: dict[str, list[Interval]] = {}
    for name in config.architectures:
        options = dataclasses.replace(config, architecture=name)
        trained = ensemble(options, config.networks, train, test)
        accuracies[name] = trained.accuracies
        pair = (models.stack(trained.trained), untrained_networks(options, config.networks, train))
        states[name] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pair)
    axes = {
        "method": ablation.static([*every.values()], labels=[*every]),
        "state": ablation.looped(states, labels=["trained", "untrained"]),
        "group": ablation.vmapped(groups),
    }
    arguments: dict[str, Any] = {
        "key": jax.random.key(config.seed),
        "key_axes": ("group",),
        "fields": FIELDS,
        "chunk": min(len(groups["label"]), 10),
        # As many as there are: a device fills its lanes up, and the groups are few.
        "lanes": min(len(groups["label"]), 10),
    }
    return GridRun("stability", point, axes, arguments), accuracies, test


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config)[0])]


def compute(config: Config) -> Outcome:
    """Explain every image by every network, and compare."""
    run, accuracies, test = grid(config)
    found = run_grid(config, run).transpose("method", "state", "group", ...).load()
    arrays = {name: found[name].values for name in FIELDS if name != "maps"}
    shown = len(found["group"]) * 3 // 10
    arrays |= {
        "maps": found["maps"].values[:, 0, shown],
        "pixels": run.grid["group"].values["pixels"][shown, 0],
        "methods": np.array(found["method"].values.tolist()),
        "architectures": np.array(config.architectures),
    }
    numbers = {f"accuracy of each {name}": each for name, each in accuracies.items()}
    notes = [
        f"{config.dataset}, {config.activation}: {config.networks} networks of each architecture, "
        f"{arrays['networks'].shape[2]} groups of {config.together} images; {test.source}",
        "the class explained is the label; every map has a key of its own",
    ]
    return Outcome(arrays, numbers, {"stability": table(arrays, config.networks)}, notes)


EXPERIMENT = Experiment(
    name="stability",
    title="Agreement of explanations across networks",
    regenerates="Figure 21, Table 12",
    needs="nothing",
    duration="8 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=unless_asked(
        "it explains by every method and ten networks; run it by its name, or --full"
    ),
    smoke={
        "epochs": 1,
        "networks": 2,
        "groups": 1,
        "methods": ("gradient", "occlusion", "Grad-CAM", "Sobel edges"),
    },
    full={"networks": 10, "together": 4, "groups": 10},
)
