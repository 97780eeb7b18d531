"""Figure 18: The same photographs, fitted twice, by several methods.

    python -m experiments extremal_initialisations    # 5 min

Needs: nothing (five photographs of scikit-image).
Expected: overlap of two fits of the default 0.384 (`--count 5 --methods Grad-CAM RISE "INR, plain"
INR`).

Do two fits find the same mask? The best tenth of the pixels by each method with two keys, and the
intersection over union of the two.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import masks as listed
from experiments.common.masks import IGOS, INR, PLAIN, MaskRow
from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Tables, unless_asked
from experiments.core.labelled import with_notes
from experiments.extremal import _explaining as photographs
from fitb_jax import checks, extremal, plotting
from fitb_jax.evaluation.map_similarity import weighted_iou
from fitb_jax.evaluation.tables import interval_columns, interval_table
from fitb_jax.types import Array, Image, Key, LogitsFn, Target

SHOWN = 2
"""Fits of the figure; the table is of all of them."""


@dataclasses.dataclass(frozen=True)
class Config(PhotographOptions):
    """Options of Figure 18.

    Attributes:
        area: of the masks.
        methods: names of rows of `extremal_quality`.
        initialisations: keys of each photograph.
        steps: of each coordinate network; 0 means its own.
    """

    count: int = 6
    area: float = 0.1
    methods: tuple[str, ...] = ("Grad-CAM", "RISE", IGOS, PLAIN, INR)
    initialisations: int = 2
    steps: int = 0

    ZERO_ALLOWED = frozenset({"steps"})

    def __post_init__(self) -> None:
        """Refuse what has nothing to agree with."""
        super().__post_init__()
        checks.check_count("initialisations", self.initialisations, least=2)
        checks.check_areas(np.array([self.area]), name="area")


def compute(config: Config, net: Explained) -> xr.Dataset:
    """The masks of every photograph by every method and key."""
    rows = listed.picked(listed.rows(net.pretrained, steps=config.steps), config.methods)
    every = jax.random.split(jax.random.key(config.seed), (len(net.images), config.initialisations))
    dims = {"masks": ("key", *photographs.MASK), "p": ("key",), "iou": ()}
    found = [
        photographs.explain(
            net,
            jax.jit(functools.partial(_two_fits, row, config.area)),
            every,
            dims=dims,
            progress=config.progress,
            coords={"key": range(config.initialisations), "method": name},
        )
        for name, row in rows.items()
    ]
    note = f"{len(net.names)} photographs: {net.source}"
    both = xr.concat(found, "method").assign(photographs.photographs_of(net))
    return with_notes(both, note)


def _two_fits(
    row: MaskRow, area: float, logits_fn: LogitsFn, image: Image, target: Target, keys: Key
) -> dict[str, Array]:
    asked = {"pixels": image, "target": jnp.asarray(target)}
    areas = jnp.asarray([area])

    def one(key: Key) -> Array:
        masks = row.masks(logits_fn, logits_fn, asked, areas, key=key)
        return extremal.binarise(masks[0], area)

    masks = jax.lax.map(one, keys)
    pairs = [*itertools.combinations(range(len(keys)), 2)]
    iou = jnp.stack([weighted_iou(masks[i], masks[j]) for i, j in pairs]).mean()
    p = extremal.probabilities_through(logits_fn, image, target, masks)
    return {"masks": masks > 0.5, "p": p, "iou": iou}


def tables(config: Config, found: xr.Dataset) -> Tables:
    """How much two fits share, and what they are worth on the blur that they were fitted on."""
    titles = {"iou": f"overlap of two fits, area {config.area:g}", "mean": "p(class), mean of fits"}
    means = found.assign(mean=found["p"].mean("key"))
    return {"agreement": interval_columns(means, titles, rows="method", over="image")}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """Each photograph through the masks of two fits by each method."""
    methods = found["method"].values.tolist()
    pictures, captions = [], []
    for one in photographs.each(found):
        image, row, said = one["pixels"].values, [], []
        for method in methods:
            of = one.sel({"method": method})
            for key in range(SHOWN):
                row.append(plotting.masked(image, of["masks"].values[key] * 1.0))
                shared = f"IoU {of['iou']:.2f}, " if key else ""
                said.append(f"{shared}p {of['p'].values[key]:.2f}")
        pictures.append([image, *row])
        captions.append([one["class_name"].item(), *said])
    titles = ["photograph", *(title for name in methods for title in (name, ""))]
    grid = plotting.image_grid(pictures, column_titles=titles, captions=captions, size=1.3)
    return {"extremal_initialisations": grid}


def caption(config: Config, found: xr.Dataset) -> str:
    """State how much two fits share by each method."""
    table = interval_table(found["iou"], rows="method", over="image", title="iou")
    shared = ", ".join(f"{name} {table.loc[name].iloc[0]}" for name in table.index)
    return (
        f"The best {config.area:.0%} of the pixels of {found.sizes['image']} photographs, by two "
        "fits each that differ in their random key; below each what is seen of the class on the "
        f"blur. Mean intersection over union of two fits: {shared}. A method without a random key "
        "has 1 and says nothing by it."
    )


load = explained

left_out = unless_asked("it fits for minutes; run it by its name, or --full")

SMOKE = {"count": 2, "methods": ("gradient", INR), "steps": 2}

FULL = {"count": 0, "initialisations": 4}
