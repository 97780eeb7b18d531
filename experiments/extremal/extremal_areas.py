"""Figure 16: Masks over a fine sweep of areas.

    python -m experiments extremal_areas    # 5 min

Needs: nothing (a photograph of scikit-image).
Expected: continuity over 57 areas 1.00 with exact areas; 1 is nested.

A dense mask costs about 15 s an area with the 800 steps of its paper, so that by default it has
fewer areas and steps than `--full`; the figure says how many.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.masks import DENSE, INR, PENALTY, mask_methods
from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Tables, unless_asked
from experiments.core.labelled import with_notes
from experiments.extremal import _explaining as photographs
from fitb_jax import checks, evaluation, extremal, plotting
from fitb_jax.types import Array, Float, Image, LogitsFn, Target

METHODS = (INR, PENALTY, DENSE)
MEASURES = {
    "continuity": "continuity: change of mask over change of area",
    "nestedness": "lost from one area to the next, share of the image",
    "calibration": "|mean(mask) - area|",
    "binary": "p(class), binary at the exact area",
}
SAME, FINE = "areas of the dense masks", "all areas"


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 16.

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
        if (self.fine - 1) % self.every:
            raise ValueError(
                f"every must divide the {self.fine - 1} steps between fine areas, got {self.every}"
            )

    @property
    def areas(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the networks' sweep; which of them dense masks have; which of these are shown."""
        fine = np.linspace(self.smallest, self.largest, self.fine).astype(np.float32)
        dense = fine[:: self.every]
        places = np.linspace(0, len(dense) - 1, min(self.strip, len(dense)))
        return fine, dense, dense[places.round().astype(int)]


def compute(config: Config, net: Explained) -> xr.Dataset:
    """Find the masks of every area, and measure how they fit together."""
    methods = mask_methods(config.steps, config.dense_steps)
    fine, dense, shown = config.areas

    @functools.partial(jax.jit, static_argnames="name")
    def find(
        logits_fn: LogitsFn, image: Image, target: Target, areas: Float[Array, "a"], *, name: str
    ) -> dict[str, Array]:
        masks = methods[name](logits_fn, image, target, areas, key=jax.random.key(config.seed))
        binary = jax.vmap(extremal.binarise)(masks, areas)
        p = extremal.probabilities_through(logits_fn, image, target, binary)
        return {"masks": masks, "binary": p}

    measured: dict[str, list[xr.Dataset]] = {SAME: [], FINE: []}
    strips = []
    for name in METHODS:
        areas = dense if name == DENSE else fine
        found = photographs.explain(
            net,
            functools.partial(find, name=name),
            [areas] * len(net.images),
            dims={"binary": ("area",)},
            progress=config.progress,
            coords={"area": areas, "method": name},
        )
        measured[SAME].append(_consistency(found.sel(area=dense)))
        if name != DENSE:
            measured[FINE].append(_consistency(found))
        strips.append(found["masks"].sel(area=shown).rename(area="shown_area"))
    sweeps = [xr.concat(each, "method", join="outer") for each in measured.values()]
    found = xr.concat(sweeps, pd.Index([*measured], name="sweep"), join="outer")
    about = {**photographs.photographs_of(net), "masks": xr.concat(strips, "method")}
    found = found.sel({"method": [*METHODS]}).assign(about)
    return with_notes(
        found,
        f"{len(net.names)} photographs: {net.source}",
        f"dense masks of {len(dense)} areas with {config.dense_steps} steps; the paper's are "
        f"{extremal.DenseConfig().steps}; networks with {config.steps} steps for all areas",
    )


def _consistency(found: xr.Dataset) -> xr.Dataset:
    """Measures of each photograph's masks, of the areas or of what is between two of them."""
    areas = found["area"].values
    masks, at = [jnp.asarray(each) for each in found["masks"].values], jnp.asarray(areas)
    measures = {
        "continuity": ("between", [evaluation.continuity(each, at) for each in masks]),
        "nestedness": ("between", [evaluation.nestedness(each) for each in masks]),
        "calibration": ("area", [evaluation.calibration(each, at) for each in masks]),
    }
    variables = {name: (("image", dim), np.stack(each)) for name, (dim, each) in measures.items()}
    between = (areas[1:] + areas[:-1]) / 2
    return found.drop_vars("masks").assign(variables).assign_coords(between=between)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """How the masks of each method fit together, on the dense areas and on all."""
    change, miss = found["continuity"], found["calibration"]
    columns = {
        "areas": found["binary"].isel(image=0).count("area"),
        "continuity: mean": change.mean(("image", "between")),
        "continuity: largest": change.max(("image", "between")),
        "nestedness: sum over the sweep": found["nestedness"].sum("between").mean("image"),
        "calibration: mean": miss.mean(("image", "area")),
        "calibration: largest": miss.max(("image", "area")),
        "p(class): mean over areas": found["binary"].mean(("image", "area")),
    }
    table = xr.Dataset(columns).reset_coords(drop=True).to_dataframe(["sweep", "method"]).dropna()
    return {"consistency": table.reset_index("sweep", drop=True).rename_axis("masks")}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """A strip of masks by each method, and the measures over the area."""
    return {"strip": _strip(found), "curves": _curves(config, found)}


def _strip(found: xr.Dataset) -> Figure:
    areas = found["shown_area"].values
    pictures, captions = [], []
    for one in photographs.each(found):
        for method in METHODS:
            of, is_first = one.sel({"method": method}), method == METHODS[0]
            p = of["binary"].sel(sweep=SAME, area=areas).values
            image = one["pixels"].values if is_first else None
            pictures.append([image, *of["masks"].values[..., None]])
            name = one["class_name"].item() if is_first else ""
            captions.append([name, *(f"p {each:.2f}" for each in p)])
    return plotting.image_grid(
        pictures,
        column_titles=["photograph", *(f"area {area:.2f}" for area in areas)],
        row_titles=METHODS * found.sizes["image"],
        captions=captions,
        size=1.2,
    )


def _curves(config: Config, found: xr.Dataset) -> Figure:
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    fine, dense, _ = config.areas
    lines = {(SAME, INR): "o", (FINE, INR): "-", (SAME, PENALTY): "o", (FINE, PENALTY): "-"}
    lines |= {(SAME, DENSE): "o-"}
    for axis, (measure, title) in zip(figure.subplots(2, 2).flat, MEASURES.items(), strict=True):
        for (sweep, name), line in lines.items():
            values = found[measure].sel({"method": name, "sweep": sweep}).mean("image")
            (along,) = values.dims
            values = values.dropna(along)
            label = f"{name}, {len(dense if sweep == SAME else fine)} areas"
            style = {"color": f"C{METHODS.index(name)}", "markersize": 4, "linewidth": 0.9}
            axis.plot(values[along], values, line, label=label, **style)
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


def caption(config: Config, found: xr.Dataset) -> str:
    """State the continuity of the networks on all areas."""
    continuity = found["continuity"].sel({"sweep": FINE, "method": INR})
    return (
        f"Masks of areas from {config.smallest:g} to {config.largest:g}, {found.sizes['image']} "
        f"photograph(s). Continuity, 1 for nested masks of the areas asked for: of the network "
        f"with an exact area {continuity.mean():.2f} on {config.fine} areas, at most "
        f"{continuity.max():.2f}."
    )


load = explained

left_out = unless_asked("it fits for minutes; run it by its name, or --full")

SMOKE = {"fine": 5, "every": 2, "steps": 2, "dense_steps": 2}

FULL = {"count": 0, "every": 1, "dense_steps": extremal.DenseConfig().steps}
