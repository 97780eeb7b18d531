"""Figure 15, Table 5: Masks, judged by what had no part in their search.

    python -m experiments extremal_quality --photographs coco_polygons --photo-dir DIR --also manifest=DIR2    # 3 min a photograph

Needs: photographs with outlines or boxes, `--photographs LAYOUT --photo-dir DIR`; more of another
layout, `--also LAYOUT=DIR2`.
Expected: of a tenth of the image p(class) by another network 0.132 [0.095, 0.170] (100 photographs,
`--count 32 --also-count 168 --part odd --held-out 16`).

Masks of every method and of controls are judged on the blur that they were fitted on, and by
another network, other backgrounds, other draws and the place of the object. It resumes.
"""  # noqa: E501 - a command is one line

import dataclasses
from collections.abc import Iterator

import xarray as xr
from matplotlib.figure import Figure

from experiments.common import masks as listed
from experiments.common.judges import Judged, judged
from experiments.common.masks import INR, MaskRow
from experiments.core.experiment import Sweep, Tables, unless_given
from experiments.extremal import _judged
from fitb_jax.extremal import DenseConfig


@dataclasses.dataclass(frozen=True)
class Config(_judged.RowOptions):
    """Options of Table 5.

    Attributes:
        dense_steps: of the free masks.
    """

    dense_steps: int = DenseConfig().steps


def rows(config: Config, net: Judged) -> dict[str, MaskRow]:
    """Those that are asked for; cheap lines first, for a run that is stopped."""
    every = listed.rows(net.net.pretrained, steps=config.steps, dense_steps=config.dense_steps)
    return listed.picked(every, config.methods)


def sweep(config: Config, net: Judged) -> Iterator[Sweep]:
    """Every method on every photograph."""
    return _judged.row_sweeps(config, net, rows(config, net))


def compute(config: Config, net: Judged, *swept: xr.Dataset) -> xr.Dataset:
    """The scores, and what the masks of a photograph take."""
    return _judged.with_seconds(config, net, rows(config, net), *swept)


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Every method, and what it has more than ours."""
    return _judged.tables(found, INR)


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The scores of a tenth of the photograph, and what they cost."""
    return {
        "extremal_quality": _judged.chart(config, found),
        "extremal_seconds": _judged.against_seconds(config, found),
    }


def caption(config: Config, found: xr.Dataset) -> str:
    """Say what the masks have in the sample and out of it."""
    best = INR if INR in found["method"] else str(found["method"].values[-1])
    of = _judged.said(config, found, best)
    return (
        f"{found.sizes['image']} photographs that {config.model} recognises, the best "
        f"{config.area:.0%} of the pixels of every method. {best}: p(class) {of('p')} by the "
        f"network and on the blur that masks are fitted with, {of('p_judge')} by {config.judge}, "
        "which took no part. The seconds of a photograph are for all areas."
    )


load = judged

left_out = unless_given("the default photographs are too few; give --photo-dir")

SMOKE = {
    "count": 2,
    "areas": (0.1, 0.3),
    "methods": ("centred disc", INR),
    "steps": 2,
    "held_out": 2,
}
