"""Figure 13, Table 3: One network for all areas against a mask for each.

    python -m experiments extremal_quality --photographs manifest --photo-dir DIR --count 40    # 150 s a photograph

Needs: photographs, `--photographs LAYOUT --photo-dir DIR`.
Expected: p(class) of binary masks of a tenth of the image 0.53 [0.42, 0.64], with the paper's
penalty 0.23, of free masks 0.02 (40 photographs of ImageNet).

Binary masks at their exact areas, and how the masks of neighbouring areas fit together. It resumes.
"""  # noqa: E501 - a command is one line

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common.masks import DENSE, INR, SCORE_FIELDS, MaskRow, controls, mask_methods
from experiments.common.photographs import AreaOptions, Explained, recognised
from experiments.common.timing import median_seconds
from experiments.core.experiment import Sweep, Tables, method_sweep, unless_given
from experiments.core.labelled import with_notes
from fitb_jax import plotting
from fitb_jax.evaluation.tables import interval_table, intervals, paired_difference
from fitb_jax.extremal import DenseConfig, InrConfig, MaskScores, score_masks
from fitb_jax.types import LogitsFn


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Table 3.

    Attributes:
        steps: of the coordinate networks.
        penalty_steps: of the one with a penalty; 0 means as many.
        dense_steps: of the dense masks.
    """

    steps: int = InrConfig().steps
    penalty_steps: int = 0
    dense_steps: int = DenseConfig().steps
    chunk: int = 1

    ZERO_ALLOWED = frozenset({"penalty_steps"})

    @property
    def methods(self) -> dict[str, MaskRow]:
        """The controls first: a run that is stopped has what is cheap."""
        methods = mask_methods(self.steps, self.dense_steps, self.penalty_steps)
        blind = controls(InrConfig(steps=self.steps))
        return {**blind, **{name: MaskRow(each) for name, each in methods.items()}}


def point(
    *,
    trained: LogitsFn,
    untrained: LogitsFn,
    areas: jax.Array,
    method: MaskRow,
    image: dict[str, jax.Array],
    key: jax.Array,
) -> MaskScores:
    """Find the masks of one photograph, and score them by the trained network."""
    image = method.asked(trained, image, key=key)
    masks = method.masks(trained, untrained, image, areas, key=key)
    return score_masks(trained, image["pixels"], image["target"], masks, areas)


def sweep(config: Config, net: Explained) -> Sweep:
    """Every method on every photograph."""
    return method_sweep(
        point,
        config.methods,
        net.cases,
        net.names,
        seed=config.seed,
        fields=SCORE_FIELDS,
        shared={**net.networks, "areas": jnp.asarray(config.areas, jnp.float32)},
        about={"area": ("area", [*config.areas])},
        chunk=config.chunk,
    )


def compute(config: Config, net: Explained, found: xr.Dataset) -> xr.Dataset:
    """The scores, and how long one photograph takes, all areas, compiled before."""
    image = {name: jnp.asarray(values[0]) for name, values in net.cases.items()}
    inputs = (net.pretrained.logits_fn, net.untrained, image)
    areas, key = jnp.asarray(config.areas, jnp.float32), jax.random.key(config.seed)
    seconds = [
        median_seconds(functools.partial(jax.jit(method.masks), *inputs, areas, key=key))
        for method in config.methods.values()
    ]
    note = f"{len(net.names)} photographs that {config.model} recognises: {net.source}"
    return with_notes(found.assign(seconds=("method", seconds)), note)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """p(class) through the masks with what ours have more, paired; and how they fit together."""
    said = {"binary": "p of the class, binary masks", "soft": "p of the class, soft masks"}
    return {
        **{title: _probabilities(found, name) for name, title in said.items()},
        "masks": _consistency(found),
    }


def _probabilities(found: xr.Dataset, name: str) -> pd.DataFrame:
    table = functools.partial(interval_table, rows="method", over="image", title="area {area:g}")
    more = table(-paired_difference(found[name], method=INR))
    means = table(found[name])
    means["seconds a photograph"] = found["seconds"].values
    both = pd.concat([means, more.rename(index=lambda method: f"{INR} less {method}")])
    return both.astype(object).where(both.notna(), "")


def _consistency(found: xr.Dataset) -> pd.DataFrame:
    measures = ("nestedness", "continuity", "softness", "total_variation")
    columns = [
        interval_table(found[name], rows="method", over="image", title=name.replace("_", " "))
        for name in measures
    ]
    parts = found["components"].mean("image").to_pandas()
    calibration = found["calibration"].mean(("image", "area")).to_series().rename("calibration")
    return pd.concat([calibration, *columns, parts.add_prefix("components, area ")], axis=1)


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """p(target) at each area by method, and every photograph's difference from the dense masks."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    title = "p(class) of binary masks on a blur: mean and 95 % interval"
    means = intervals(found["binary"], over="image")
    plotting.interval_chart(left, means, groups="area", bars="method", title=title)
    left.set_xlabel("area", fontsize=8)
    figure.legend(fontsize=8, loc="outside lower center", ncols=4)
    difference = _more_than_dense(found).transpose("area", "image").values
    right.axhline(0, color="grey", linewidth=0.8)
    spread = np.linspace(-0.25, 0.25, difference.shape[1]) if difference.shape[1] > 1 else [0.0]
    for i, values in enumerate(difference):
        right.plot(i + np.asarray(spread), np.sort(values), ".", markersize=4)
    right.set_xticks(range(len(difference)), [f"area {a:g}" for a in config.areas], fontsize=8)
    right.set_title(f"{INR} less {DENSE}, each photograph (sorted)", fontsize=9)
    right.grid(axis="y", alpha=0.3)
    return {"extremal_quality": figure}


def _more_than_dense(found: xr.Dataset) -> xr.DataArray:
    return paired_difference(found["binary"], method=DENSE).sel({"method": INR})


def caption(config: Config, found: xr.Dataset) -> str:
    """State which masks are better, by how much."""
    middle = config.areas[len(config.areas) // 2]
    more = interval_table(
        _more_than_dense(found).sel(area=[middle]), rows="area", over="image", title="more"
    )
    return (
        f"Masks of {found.sizes['image']} photographs, binarised at the exact area and shown on a "
        f"blur. At an area of {middle:g} the coordinate network ({config.steps} steps) has "
        f"{more.iat[0, 0]} more p(class) than dense masks ({config.dense_steps} steps), mean of "
        "the photographs' differences."
    )


load = recognised

left_out = unless_given("the default photographs are too few; give --photo-dir")

SMOKE = {"count": 2, "areas": (0.1, 0.3), "steps": 2, "dense_steps": 2}
