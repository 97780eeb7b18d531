"""Figure 11: masks over a fine sweep of areas, from one network and from a fit for each.

    python -m experiments extremal_areas
    python -m experiments extremal_areas --full

A dense mask costs about 15 s an area with the 800 steps of its paper, so that by default it has
fewer areas and steps than `--full`; the figure says how many.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.common.masks import DENSE, INR, PENALTY, mask_methods
from experiments.common.photographs import PhotographOptions, explained
from fitb_jax import checks, evaluation, extremal, plotting
from fitb_jax.types import Array, Float, Image, LogitsFn, Target

MEASURES = {
    "continuity": "continuity: change of mask over change of area",
    "nestedness": "lost from one area to the next, share of the image",
    "calibration": "|mean(mask) - area|",
    "binary": "p(class), binary at the exact area",
}


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 11.

    Attributes:
        smallest: area of the sweep.
        largest: area of the sweep.
        fine: areas of the networks' sweep, evenly spaced; a network costs the same for any number.
        every: of them the dense masks have one in so many, the first and last among them.
        strip: masks that are shown, evenly spaced over the dense ones.
        steps: of the networks.
        dense_steps: of the dense masks.
    """

    count: int = 1
    smallest: float = 0.04
    largest: float = 0.6
    fine: int = 57
    every: int = 8
    strip: int = 8
    steps: int = extremal.InrConfig().steps
    dense_steps: int = 400

    def __post_init__(self) -> None:
        """Refuse a sweep that is none."""
        super().__post_init__()
        if not 0 < self.smallest < self.largest < 1:
            raise ValueError(
                "smallest and largest must ascend strictly within (0, 1), got "
                f"{self.smallest} and {self.largest}"
            )
        checks.check_count("fine", self.fine, least=2)
        sweeps(self)


def sweeps(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """The areas of the networks' sweep, and which of them the dense masks have.

    Args:
        config: options.

    Returns:
        The areas, and places among them.

    Raises:
        ValueError: the dense masks would not have the last area.
    """
    if (config.fine - 1) % config.every:
        raise ValueError(
            f"every must divide the {config.fine - 1} steps between fine areas, got {config.every}"
        )
    areas = np.linspace(config.smallest, config.largest, config.fine)
    return areas.astype(np.float32), np.arange(0, config.fine, config.every)


def compute(config: Config) -> Outcome:
    """Find the masks of every area, and measure how they fit together."""
    areas, places = sweeps(config)
    net = explained(config)
    methods = mask_methods(config.steps, config.dense_steps)

    def find(
        logits_fn: LogitsFn, image: Image, target: Target, areas: Float[Array, "a"], *, name: str
    ) -> dict[str, Array]:
        masks = methods[name](logits_fn, image, target, areas, key=jax.random.key(config.seed))
        binary = jax.vmap(extremal.binarise)(masks, areas)
        return {
            "masks": masks,
            "binary": extremal.probabilities_through(logits_fn, image, target, binary),
        }

    run = jax.jit(find, static_argnames="name")
    found: dict[str, list[Any]] = {name: [] for name in methods}
    jobs = [(name, i) for name in methods for i in range(len(net.images))]
    for name, i in tqdm(jobs, desc="fit", disable=not config.progress):
        wanted = areas[places] if name == DENSE else areas
        inputs = (net.pretrained.logits_fn, jnp.asarray(net.images[i]), jnp.asarray(net.targets[i]))
        scored = run(*inputs, jnp.asarray(wanted), name=name)
        found[name].append(jax.tree.map(np.asarray, scored))
    arrays = _measure(config, found)
    arrays |= {
        "images": net.images,
        "class_names": np.array([net.class_name(target) for target in net.targets]),
    }
    notes = [
        f"{len(net.names)} photographs: {net.source}",
        f"dense masks of {len(places)} areas with {config.dense_steps} steps; the paper's are "
        f"{extremal.DenseConfig().steps}; networks with {config.steps} steps for all areas",
    ]
    return Outcome(arrays, {}, {"consistency": _table(arrays)}, notes)


def _measure(config: Config, found: dict[str, list[Any]]) -> dict[str, np.ndarray]:
    """Every measure on the dense areas, "same/", and of the networks on all, "fine/"."""
    areas, places = sweeps(config)
    strip = places[
        np.linspace(0, len(places) - 1, min(config.strip, len(places))).round().astype(int)
    ]
    arrays = {"areas": areas, "places": places, "strip": strip}
    shown = []
    for name, each in found.items():
        if name == DENSE:
            coarse, at = each, np.searchsorted(places, strip)
        else:
            coarse, at = [jax.tree.map(lambda leaf: leaf[places], one) for one in each], strip
            for measure, values in _consistency(each, areas).items():
                arrays[f"fine/{name}/{measure}"] = values
        for measure, values in _consistency(coarse, areas[places]).items():
            arrays[f"same/{name}/{measure}"] = values
        shown.append([one["masks"][at] for one in each])
    return arrays | {"masks": np.array(shown)}


def _consistency(found: list[Any], areas: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of each photograph's masks, (photographs, areas or steps between areas)."""
    at = jnp.asarray(areas)
    rows = []
    for one in found:
        masks = jnp.asarray(one["masks"])
        rows.append(
            {
                "continuity": evaluation.continuity(masks, at),
                "nestedness": evaluation.nestedness(masks),
                "calibration": evaluation.calibration(masks, at),
                "binary": one["binary"],
            }
        )
    return {name: np.stack([np.asarray(row[name]) for row in rows]) for name in MEASURES}


def _table(arrays: dict[str, np.ndarray]) -> Table:
    columns = ["masks", "areas", "continuity: mean", "largest", "nestedness: sum over the sweep"]
    columns += ["calibration: mean", "largest", "p(class): mean over areas"]
    rows: list[list[Any]] = []
    for sweep, count in (("same", len(arrays["places"])), ("fine", len(arrays["areas"]))):
        for name in (INR, PENALTY, DENSE):
            if f"{sweep}/{name}/binary" not in arrays:
                continue
            found = {measure: arrays[f"{sweep}/{name}/{measure}"] for measure in MEASURES}
            numbers = [found["continuity"].mean(), found["continuity"].max()]
            numbers += [found["nestedness"].sum(1).mean()]
            rows.append(
                [
                    name,
                    count,
                    *(f"{number:.3f}" for number in numbers),
                    f"{found['calibration'].mean():.1e}",
                    f"{found['calibration'].max():.1e}",
                    f"{found['binary'].mean():.3f}",
                ]
            )
    return Table(columns, rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """A strip of masks by each method, and the measures over the area."""
    arrays = outcome.arrays
    return {"strip": _strip(arrays), "curves": _curves(config, arrays)}


def _strip(arrays: dict[str, np.ndarray]) -> Figure:
    methods = (INR, PENALTY, DENSE)
    at = np.searchsorted(arrays["places"], arrays["strip"])
    pictures, captions, titles = [], [], []
    for i, image in enumerate(arrays["images"]):
        for j, name in enumerate(methods):
            pictures.append(
                [image if j == 0 else None, *(mask[:, :, None] for mask in arrays["masks"][j, i])]
            )
            first = str(arrays["class_names"][i]) if j == 0 else ""
            p = arrays[f"same/{name}/binary"][i, at]
            captions.append([first, *(f"p {each:.2f}" for each in p)])
            titles.append(name)
    areas = arrays["areas"][arrays["strip"]]
    return plotting.image_grid(
        pictures,
        column_titles=["photograph", *(f"area {area:.2f}" for area in areas)],
        row_titles=titles,
        captions=captions,
        size=1.2,
    )


def _curves(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    areas, coarse = arrays["areas"], arrays["areas"][arrays["places"]]
    for axis, (measure, title) in zip(figure.subplots(2, 2).flat, MEASURES.items(), strict=True):
        for name in (INR, PENALTY, DENSE):
            values = arrays[f"same/{name}/{measure}"].mean(0)
            label = f"{name}, {len(coarse)} areas"
            (line,) = axis.plot(_between(coarse, values), values, "o", markersize=4, label=label)
            key = f"fine/{name}/{measure}"
            if key not in arrays:
                line.set_linestyle("-")
                line.set_linewidth(0.8)
                continue
            values, label = arrays[key].mean(0), f"{name}, {len(areas)} areas"
            at = _between(areas, values)
            axis.plot(at, values, "-", linewidth=1, color=line.get_color(), label=label)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("area", fontsize=8)
        axis.grid(alpha=0.3)
        if measure == "calibration":
            axis.set_yscale("log")
        if measure == "continuity":
            axis.axhline(1, color="black", linestyle=":", linewidth=0.8, label="nested, calibrated")
            axis.legend(fontsize=7)
    figure.suptitle(
        f"networks: {config.steps} steps for all areas; dense: {config.dense_steps} steps of "
        f"{extremal.DenseConfig().steps} in the paper",
        fontsize=9,
    )
    return figure


def _between(areas: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where to draw them: at the areas, or between two if they are of steps."""
    return areas if len(values) == len(areas) else (areas[1:] + areas[:-1]) / 2


def caption(config: Config, outcome: Outcome) -> str:
    """State continuity, calibration and nestedness of every method on the same areas."""
    arrays = outcome.arrays
    parts = []
    for name in (INR, PENALTY, DENSE):
        found = {measure: arrays[f"same/{name}/{measure}"] for measure in MEASURES}
        parts.append(
            f"{name}: continuity {found['continuity'].mean():.2f} (at most "
            f"{found['continuity'].max():.2f}), {found['nestedness'].sum(1).mean():.3f} of the "
            "image shown by a mask and hidden by the next, added up over the sweep, areas missed "
            f"by {found['calibration'].mean():.1e}, p(class) {found['binary'].mean():.2f}"
        )
    fine = arrays[f"fine/{INR}/continuity"]
    return (
        f"Masks of {len(arrays['places'])} areas from {config.smallest:g} to {config.largest:g}, "
        f"{len(arrays['images'])} photograph(s), dense masks with {config.dense_steps} of the "
        f"paper's {extremal.DenseConfig().steps} steps. On the same areas {'; '.join(parts)}. "
        "Continuity is 1 for nested masks of the areas asked for; p(class) is of binary masks, "
        f"mean over areas. On {len(arrays['areas'])} areas the network with an exact area has "
        f"continuity {fine.mean():.2f}, at most {fine.max():.2f}."
    )


EXPERIMENT = Experiment(
    name="extremal_areas",
    title="Masks over a fine sweep of areas",
    regenerates="Figure 11",
    needs="nothing (a photograph of scikit-image)",
    duration="5 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    left_out=unless_asked("it fits for minutes; run it by its name, or --full"),
    smoke={"fine": 5, "every": 2, "steps": 2, "dense_steps": 2},
    full={"count": 0, "every": 1, "dense_steps": extremal.DenseConfig().steps},
)
