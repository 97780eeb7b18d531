"""Figure 29, Table 15: the masks of every photograph of a folder, however many there are.

    python -m experiments extremal_folder --photographs folder --photo-dir DIR

The photographs are read part by part, and the masks of each part lie in a zarr store of their own
under `results/grids`, which xarray opens. A run that is stopped goes on at the photograph it had
reached.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.common.masks import SCORE_FIELDS
from experiments.common.photographs import AreaOptions, Explained, explained_in_parts
from fitb_jax import ablation, extremal
from fitb_jax.evaluation.intervals import mean_interval
from fitb_jax.types import Array, LogitsFn


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 29.

    Attributes:
        steps: of each fit.
        part: photographs that are in memory, and in a store, together.
        chunk: photographs fitted at once; more than one is for accelerators.
    """

    steps: int = extremal.InrConfig().steps
    part: int = 256
    chunk: int = 1


FIELDS = {
    "masks": ablation.Field(dims=("area", "row", "column"), meaning="mask of each area"),
    "saliency": ablation.Field(dims=("row", "column"), meaning="mean of the masks of all areas"),
    "whole": ablation.Field(meaning="p(target) of the whole photograph"),
    "converged": ablation.Field(meaning="whether the fit had stopped growing"),
    **SCORE_FIELDS,
}


def point(
    *,
    logits_fn: LogitsFn,
    areas: Array,
    config: extremal.InrConfig,
    image: dict[str, Array],
    key: Array,
) -> dict[str, Array]:
    """Fit one photograph.

    Args:
        logits_fn: the classifier.
        areas: of the masks.
        config: of the fit.
        image: `pixels` and `target`.
        key: of the fit.

    Returns:
        What `FIELDS` names: its masks and what they are worth.
    """
    pixels, target = image["pixels"], image["target"]
    shape = pixels.shape[0], pixels.shape[1]
    inr = extremal.fit_inr(logits_fn, pixels, target, config, key=key)
    masks = extremal.inr_masks(inr, areas, shape)
    return {
        "masks": masks,
        "saliency": extremal.inr_saliency(inr, shape),
        "whole": jax.nn.softmax(logits_fn(pixels))[target],
        "converged": inr.converged,
        **extremal.score_masks(logits_fn, pixels, target, masks, areas)._asdict(),
    }


def grids(config: Config) -> Iterator[tuple[GridRun, Explained]]:
    """The grid of each part, made when the one before it is done.

    Args:
        config: options.

    Yields:
        The grid and its photographs.
    """
    fit = extremal.InrConfig(steps=config.steps)
    for number, net in enumerate(explained_in_parts(config, config.part)):
        axes = {
            "config": ablation.static([fit], labels=[f"{config.steps} steps"]),
            "image": ablation.vmapped(net.cases, labels=net.names),
        }
        arguments = {
            "key": jax.random.key(config.seed),
            "key_axes": ("image",),
            "shared": {
                "logits_fn": net.pretrained.logits_fn,
                "areas": jnp.asarray(config.areas, jnp.float32),
            },
            "fields": FIELDS,
            "chunk": config.chunk,
            # Work of seconds a photograph: little is lost when it is stopped.
            "block": config.chunk,
        }
        yield GridRun(f"extremal_folder_{number:05d}", point, axes, arguments), net


def plan(config: Config) -> list[str]:
    """What the first part will do; the others are like it.

    Args:
        config: options.

    Returns:
        One line.
    """
    return [plan_grid(next(grids(config))[0])]


def compute(config: Config) -> Outcome:
    """Fit every photograph, part by part; only the numbers are kept in memory."""
    kept = (*extremal.MaskScores._fields, "whole", "converged")
    parts, names, classes, source = [], [], [], ""
    for run, net in grids(config):
        found = run_grid(config, run).isel(config=0)
        parts.append({name: found[name].values for name in kept})
        names += net.names
        classes += [net.class_name(target) for target in net.targets]
        source = net.source
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in kept}
    arrays |= {
        "areas": np.asarray(config.areas),
        "names": np.array(names),
        "class_names": np.array(classes),
    }
    columns = ["photographs", "whole", *(f"area {area:g}" for area in config.areas)]
    row = [len(names), mean_interval(arrays["whole"]), *map(mean_interval, arrays["binary"].T)]
    late = int((~arrays["converged"]).sum())
    notes = [f"{len(names)} photographs in {len(parts)} parts: {source}"]
    if late:
        notes.append(
            f"{late} fits were still growing at step {config.steps}, as most fits of 100 steps are"
        )
    table = Table(columns, [[str(cell) for cell in row]])
    return Outcome(arrays, {}, {"p of the class": table}, notes)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """p(class) over the area: every photograph, quartiles, mean."""
    arrays = outcome.arrays
    areas, p = arrays["areas"], arrays["binary"]
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(areas, p.T, color="grey", alpha=max(0.05, min(0.5, 10 / len(p))), linewidth=0.8)
    low, high = np.quantile(p, [0.25, 0.75], axis=0)
    axis.fill_between(areas, low, high, alpha=0.25, label="middle half of the photographs")
    axis.plot(areas, p.mean(0), "o-", markersize=3, label="mean")
    axis.axhline(arrays["whole"].mean(), linestyle="--", linewidth=0.9, label="whole photograph")
    axis.set_xlabel("area of the binary mask")
    axis.set_ylabel("p(class)")
    axis.set_ylim(-0.03, 1.03)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    return {"areas": figure}


def caption(config: Config, outcome: Outcome) -> str:
    """State how much of a photograph is enough."""
    arrays = outcome.arrays
    enough = (arrays["binary"] >= 0.5 * arrays["whole"][:, None]).mean(0)
    shares = ", ".join(
        f"{share:.0%} at {area:g}" for share, area in zip(enough, arrays["areas"], strict=True)
    )
    return (
        f"One coordinate network for each of {len(arrays['names'])} photographs. p(class) through "
        "binary masks on a blur, over their area. Photographs that keep half of their p(class): "
        f"{shares}."
    )


EXPERIMENT = Experiment(
    name="extremal_folder",
    title="The masks of a folder of photographs",
    regenerates="Figure 29, Table 15",
    needs="nothing (five photographs of scikit-image)",
    duration="15 s a photograph",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    plan=plan,
    left_out=unless_asked("it is for folders of photographs; run it by its name, or --full"),
    smoke={"count": 3, "part": 2, "areas": (0.1, 0.2), "steps": 2},
    full={"steps": 200},
)
