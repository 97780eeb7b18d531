"""Table 9, Figure 18: every method against every check, on a small network.

    python -m experiments scoreboard

About 10 minutes on 2 cores. It resumes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments import scores, verdicts
from experiments.experiment import Experiment, Outcome, unless_asked
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.common.networks import head
from experiments.sanity_cases import Checked, SanityOptions, checked, chosen
from fitb_jax import ablation
from fitb_jax.types import Key, LogitsFn, SaliencyFn

AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class Config(SanityOptions):
    """Options of the scoreboard.

    Attributes:
        test_images: test images explained.
    """

    test_images: int = 32


def point(
    *,
    method: SaliencyFn,
    image: dict[str, jax.Array],
    reference: LogitsFn,
    others: LogitsFn,
    shift: jax.Array,
    colour: jax.Array,
    key: Key,
) -> dict[str, jax.Array]:
    """Every check of one method on one image.

    Args:
        method: the method.
        image: `pixels` and `label`.
        reference: the trained network.
        others: one with every layer random, and one of random labels.
        shift: of the input.
        colour: mean colour of the training images.
        key: random key.

    Returns:
        Scores by the names in `scores.CHECKS`.
    """
    pixels, label = image["pixels"], image["label"]
    map_key, order_key, noise_key = jax.random.split(key, 3)
    saliency, sanity = scores.sanity_scores(
        method,
        pixels,
        label,
        reference=reference,
        others=others,
        shift=shift,
        key=map_key,
    )
    faithful = scores.faithfulness_scores(
        reference, pixels, saliency, label, colour=colour, chunk=AT_ONCE, key=order_key
    )
    robust = scores.robustness_scores(method, reference, pixels, saliency, label, key=noise_key)
    return {**sanity, **faithful, **robust}


def rows(config: Config) -> dict[str, SaliencyFn]:
    """Controls, methods, and the blurred map of one of them.

    Args:
        config: options.

    Returns:
        By name.
    """
    methods = listed.small_methods(config.architecture)
    blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
    return chosen({**listed.controls(), **blurred, **methods}, config.methods)


def grid(config: Config, methods: dict[str, SaliencyFn], found: Checked) -> GridRun:
    """The grid of methods and images.

    Args:
        config: options.
        methods: by name.
        found: the networks.

    Returns:
        The grid.
    """
    images, labels = head(found.net.test, config.test_images)
    # Every layer random, and random labels.
    picked = np.array([len(found.layers) - 1, 2 * len(found.layers) - 1])
    others = jax.tree.map(lambda leaf: leaf[picked], found.shared["others"])
    axes = {
        "method": ablation.static([*methods.values()], labels=[*methods]),
        "image": ablation.vmapped({"pixels": images, "label": labels}),
    }
    arguments = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "shared": {
            **found.shared,
            "others": others,
            "colour": jnp.asarray(found.net.train.images.mean((0, 1, 2)), jnp.float32),
        },
        "fields": scores.fields([*scores.CHECKS]),
        "chunk": min(len(images), AT_ONCE),
        "lanes": min(len(images), AT_ONCE),
    }
    return GridRun("scoreboard", point, axes, arguments)


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, rows(config), checked(config)))]


def compute(config: Config) -> Outcome:
    """Put every method to every check."""
    chosen_rows = rows(config)
    networks = checked(config)
    found = run_grid(config, grid(config, chosen_rows, networks)).load()
    arrays = scores.as_arrays(found, [*scores.CHECKS])
    board, methods = scores.from_arrays(arrays)
    numbers = {
        "accuracy": networks.net.accuracy,
        "share of random labels fitted": networks.fitted,
    }
    note = f"{networks.net.label}: {arrays['gini'].shape[1]} images; {networks.net.test.source}"
    return Outcome(arrays, numbers, {"scoreboard": verdicts.table(board, methods)}, [note])


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Every method against every check."""
    board, methods = scores.from_arrays(outcome.arrays)
    title = f"Means over {board['gini'].shape[1]} images, {config.architecture} {config.activation}"
    return {"scoreboard": verdicts.draw_board(board, methods, title)}


def caption(config: Config, outcome: Outcome) -> str:
    """Say who fails what."""
    board, methods = scores.from_arrays(outcome.arrays)
    return (
        "Every method and control against every check of a map and a network (retraining, "
        "localisation and agreement across networks are Tables 8, 5 and 12), over "
        f"{board['gini'].shape[1]} test images of {config.dataset} and one {config.architecture} "
        f"{config.activation}. "
        f"{verdicts.said(board, methods)} Infidelity is the share of the effect of noise on the "
        "logit that the map, scaled as is best for it, does not predict. A map that asks no "
        "network does not move with the image's noise, and may be concentrated: sensitivity and "
        "Gini are no judgement."
    )


EXPERIMENT = Experiment(
    name="scoreboard",
    title="Scoreboard of every method and check",
    regenerates="Table 9, Figure 18",
    needs="nothing",
    duration="10 min",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=unless_asked("it asks every method every question; run it by its name, or --full"),
    smoke={
        "test_images": 3,
        "epochs": 1,
        "label_epochs": 1,
        "methods": ("gradient", "random map", "centre", "Sobel edges"),
    },
    full={"test_images": 500},
)
