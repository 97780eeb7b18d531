"""Table 10, Figure 19: every method against the checks that a pretrained network allows.

    python -m experiments photo_scoreboard --photographs manifest --photo-dir DIR

It resumes.
"""

import dataclasses

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments import scores, verdicts
from experiments.experiment import Experiment, Outcome, unless_asked
from experiments.grids import GridRun, method_grid, plan_grid, run_grid
from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.sanity_cases import chosen
from fitb_jax import ablation, models
from fitb_jax.types import Key, LogitsFn, SaliencyFn

COLUMNS = (
    "random_network",
    "random_logit",
    "input_shift",
    "insertion",
    "deletion",
    "road",
    "infidelity",
    "gini",
)
"""Nobody trains on permuted ImageNet labels for a table; max-sensitivity asks for ten explanations
more of each photograph."""


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of the scoreboard on photographs.

    Attributes:
        shift: what is added to every photograph, in units of intensity.
        methods: names in the table; none means all.
        chunk: images of the insertion and deletion curves evaluated at once.
    """

    shift: float = -1.0
    methods: tuple[str, ...] = ()
    chunk: int = 2


def point(
    *,
    method: SaliencyFn,
    chunk: int,
    image: dict[str, jax.Array],
    reference: LogitsFn,
    others: LogitsFn,
    shift: jax.Array,
    colour: jax.Array,
    key: Key,
) -> dict[str, jax.Array]:
    """The checks of one method on one photograph.

    Args:
        method: the method.
        chunk: images evaluated at once.
        image: `pixels` and `target`.
        reference: the pretrained network.
        others: one of freshly drawn weights, stacked.
        shift: of the input.
        colour: that the network subtracts.
        key: random key.

    Returns:
        Scores by the names in `COLUMNS`.
    """
    pixels, target = image["pixels"], image["target"]
    map_key, order_key, noise_key = jax.random.split(key, 3)
    saliency, sanity = scores.sanity_scores(
        method,
        pixels,
        target,
        reference=reference,
        others=others,
        shift=shift,
        key=map_key,
    )
    faithful = scores.faithfulness_scores(
        reference,
        pixels,
        saliency,
        target,
        colour=colour,
        chunk=chunk,
        key=order_key,
    )
    predicted = scores.infidelity_score(
        reference, pixels, saliency, target, key=noise_key, chunk=chunk
    )
    return {**sanity, **faithful, "infidelity": predicted}


def rows(config: Config, pretrained: models.Pretrained) -> dict[str, SaliencyFn]:
    """Controls, methods, and the blurred map of one of them.

    Args:
        config: options.
        pretrained: the network.

    Returns:
        By name; cheap lines first, so that a run that is stopped has most of them.
    """
    methods = listed.photo_methods(pretrained)
    blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
    return chosen({**listed.controls(), **blurred, **methods}, config.methods)


def grid(config: Config, net: Explained) -> GridRun:
    """The grid of methods and photographs.

    Args:
        config: options.
        net: the networks and photographs.

    Returns:
        The grid.
    """
    return method_grid(
        "photo_scoreboard",
        point,
        rows(config, net.pretrained),
        net.cases,
        net.names,
        seed=config.seed,
        shared={
            "reference": net.pretrained.logits_fn,
            "colour": jnp.asarray(net.pretrained.mean_colour, jnp.float32),
            "others": models.stack([net.untrained]),
            "shift": jnp.float32(config.shift),
        },
        fields=scores.fields(COLUMNS),
        more={"chunk": ablation.static([config.chunk])},
    )


def plan(config: Config) -> list[str]:
    """What the grid will do.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(grid(config, explained(config)))]


def compute(config: Config) -> Outcome:
    """Put every method to the checks."""
    net = explained(config)
    found = run_grid(config, grid(config, net)).isel(chunk=0).load()
    arrays = scores.as_arrays(found, COLUMNS)
    board, methods = scores.from_arrays(arrays)
    is_wrong = (net.labels >= 0) & (net.labels != net.predicted)
    notes = [
        f"{len(net.names)} photographs: {net.source}; explained is the true class where it is "
        f"known, which the network does not predict for {is_wrong.sum()}",
        "the place of the objects is asked by `localisation`",
    ]
    return Outcome(arrays, {}, {"scoreboard": verdicts.table(board, methods)}, notes)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Every method against every check."""
    board, methods = scores.from_arrays(outcome.arrays)
    title = f"Means over {board['gini'].shape[1]} photographs, {config.model}"
    return {"photo_scoreboard": verdicts.draw_board(board, methods, title)}


def caption(config: Config, outcome: Outcome) -> str:
    """Say who fails what."""
    board, methods = scores.from_arrays(outcome.arrays)
    return (
        f"Every method and control against the checks that {config.model} allows, over "
        f"{board['gini'].shape[1]} photographs. {verdicts.said(board, methods)} Random labels and "
        "max-sensitivity are left out: nobody trains on permuted ImageNet labels for a table, and "
        "ten explanations more of each photograph take hours. With few photographs an interval is "
        "wide, and a failure to beat a control may be one of their number. Gini is no judgement."
    )


EXPERIMENT = Experiment(
    name="photo_scoreboard",
    title="Scoreboard of every method on photographs",
    regenerates="Table 10, Figure 19",
    needs="nothing (five photographs of scikit-image)",
    duration="1 h",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=unless_asked("it asks every method every question; run it by its name, or --full"),
    smoke={"count": 2, "methods": ("Grad-CAM", "centre")},
    full={},
)
