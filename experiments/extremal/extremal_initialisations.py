"""Figure 13: the same photograph fitted from several initialisations.

    python -m experiments extremal_initialisations
    python -m experiments extremal_initialisations --bandwidth 0.5 --grid 56

Do they find the same mask? Intersection over union of the binary masks, and groups of them.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from tqdm.auto import tqdm

from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.common.photographs import AreaOptions, explained
from fitb_jax import checks, extremal, plotting
from fitb_jax.types import Image, LogitsFn


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 13.

    Attributes:
        shown: the area of the pictures; the nearest of `areas` is taken.
        initialisations: of each photograph; network, frequencies and areas are drawn anew.
        same: two masks are of one group where their mean intersection over union exceeds this.
        grid: of each fit.
        bandwidth: of the network.
        steps: of each fit.
        chunk: initialisations fitted at once.
    """

    count: int = 3
    shown: float = 0.1
    initialisations: int = 8
    same: float = 0.5
    grid: int = extremal.InrConfig().grid
    bandwidth: float = extremal.NetworkConfig().bandwidth
    steps: int = extremal.InrConfig().steps
    chunk: int = 2

    def __post_init__(self) -> None:
        """Refuse what has nothing to agree with."""
        super().__post_init__()
        checks.check_count("initialisations", self.initialisations, least=2)


def compute(config: Config) -> Outcome:
    """Fit every photograph from every initialisation, and compare the binary masks."""
    net = explained(config)
    network = extremal.NetworkConfig(bandwidth=config.bandwidth)
    settings = extremal.InrConfig(network=network, grid=config.grid, steps=config.steps)
    areas = jnp.asarray(config.areas, jnp.float32)

    @jax.jit
    def fit(
        logits_fn: LogitsFn, image: Image, target: jax.Array, keys: jax.Array
    ) -> dict[str, jax.Array]:
        shape = image.shape[0], image.shape[1]

        def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
            inr = extremal.fit_inr(logits_fn, image, target, settings, key=key)
            return extremal.inr_masks(inr, areas, shape), inr.converged

        masks, converged = jax.lax.map(one, keys, batch_size=config.chunk)
        # Each solution, and their mean, which is none of them.
        soft = jnp.concatenate([masks, masks.mean(0)[None]])
        binary = jax.vmap(lambda each: jax.vmap(extremal.binarise)(each, areas))(soft)
        flat = binary.reshape(-1, *shape)
        p = extremal.probabilities_through(logits_fn, image, target, flat).reshape(soft.shape[:2])
        return {"masks": binary > 0.5, "p": p, "converged": converged}

    found = []
    keys = jax.random.split(jax.random.key(config.seed), (len(net.images), config.initialisations))
    inputs = list(zip(net.images, net.targets, keys, strict=True))
    for image, target, each in tqdm(inputs, desc="fit", disable=not config.progress):
        solved = fit(net.pretrained.logits_fn, jnp.asarray(image), jnp.asarray(target), each)
        found.append(jax.tree.map(np.asarray, solved))
    arrays = {name: np.stack([one[name] for one in found]) for name in found[0]}
    masks, combined = arrays["masks"][:, :-1], arrays["p"][:, -1]
    overlaps = np.stack([agreement(each, each) for each in masks])
    arrays |= {
        "images": net.images,
        "areas": np.asarray(config.areas),
        "class_names": np.array([net.class_name(target) for target in net.targets]),
        "iou": overlaps,
        "iou_elsewhere": _elsewhere(masks),
        "groups": np.stack([groups(iou.mean(0), config.same)[0] for iou in overlaps]),
        "order": np.stack([groups(iou.mean(0), config.same)[1] for iou in overlaps]),
        "p": arrays["p"][:, :-1],
        "p_combined": combined,
    }
    notes = [f"{len(net.names)} photographs: {net.source}"]
    late = int((~arrays["converged"]).sum())
    notes.append(f"{late} of {arrays['converged'].size} fits did not stop before their last step")
    tables = {
        "agreement": _agreement_table(net.names, arrays),
        "groups": _group_table(net.names, arrays),
    }
    return Outcome(arrays, {}, tables, notes)


def agreement(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of some masks and others of the same area.

    Args:
        some: (s, a, h, w), True where they show.
        others: (t, a, h, w).

    Returns:
        (a, s, t), in [0, 1].
    """
    some, others = (each.swapaxes(0, 1).reshape(*each.shape[1::-1], -1) for each in (some, others))
    common = some.astype(np.float32) @ others.astype(np.float32).swapaxes(1, 2)
    sizes = some.sum(2)[:, :, None] + others.sum(2)[:, None, :]
    return common / (sizes - common)


def _elsewhere(masks: np.ndarray) -> np.ndarray:
    """Mean agreement at each area with the masks of other photographs, (photographs, areas)."""
    found = np.full(masks.shape[:3:2], np.nan)
    for i, each in enumerate(masks):
        others = np.delete(masks, i, axis=0)
        if len(others):
            found[i] = np.mean([agreement(each, other) for other in others], axis=(0, 2, 3))
    return found


def _linkage(iou: np.ndarray) -> np.ndarray:
    distance = 1 - (iou + iou.T) / 2
    np.fill_diagonal(distance, 0)
    linked: np.ndarray = hierarchy.linkage(squareform(distance, checks=False), "average")
    return linked


def groups(iou: np.ndarray, same: float) -> tuple[np.ndarray, np.ndarray]:
    """Groups of masks that overlap, by average linkage.

    Args:
        iou: (s, s), symmetric.
        same: mean intersection over union that a group exceeds.

    Returns:
        The group of each mask, the largest is 0; and the order of the leaves of the tree.
    """
    linked = _linkage(iou)
    labels = hierarchy.fcluster(linked, 1 - same, "distance")
    by_size = sorted(np.unique(labels), key=lambda label: (-(labels == label).sum(), label))
    return np.array([by_size.index(label) for label in labels]), hierarchy.leaves_list(linked)


def _pairs(iou: np.ndarray) -> np.ndarray:
    """Of different initialisations, each pair once."""
    return iou[..., *np.triu_indices(iou.shape[-1], 1)]


def _agreement_table(names: list[str], arrays: dict[str, np.ndarray]) -> Table:
    columns = ["photograph", "area", "IoU of two initialisations: mean", "least", "most"]
    columns += ["with other photographs", "of random pixels", "p(class): mean", "least", "most"]
    rows: list[list[Any]] = []
    for i, name in enumerate(names):
        for j, area in enumerate(arrays["areas"]):
            iou, p = _pairs(arrays["iou"][i, j]), arrays["p"][i, :, j]
            numbers = [iou.mean(), iou.min(), iou.max(), arrays["iou_elsewhere"][i, j]]
            numbers += [area / (2 - area), p.mean(), p.min(), p.max(), arrays["p_combined"][i, j]]
            rows.append([name, f"{area:g}", *(f"{number:.3f}" for number in numbers)])
    return Table([*columns, "of the mean mask"], rows)


def _group_table(names: list[str], arrays: dict[str, np.ndarray]) -> Table:
    columns = ["photograph", "group", "initialisations", "IoU inside", "IoU with the others"]
    columns += [f"p(class), area {area:g}" for area in arrays["areas"]]
    rows: list[list[Any]] = []
    for i, name in enumerate(names):
        iou = arrays["iou"][i].mean(0)
        for group in range(arrays["groups"][i].max() + 1):
            members = arrays["groups"][i] == group
            inside = _pairs(iou[np.ix_(members, members)])
            outside = iou[np.ix_(members, ~members)]
            shares = [f"{each.mean():.3f}" if each.size else "" for each in (inside, outside)]
            p = [f"{each:.3f}" for each in arrays["p"][i, members].mean(0)]
            rows.append([name, group + 1, int(members.sum()), *shares, *p])
    return Table(columns, rows)


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """The masks of every initialisation; and how they agree, group and score."""
    arrays = outcome.arrays
    return {"masks": _pictures(config, arrays), "agreement": _charts(config, arrays)}


def _pictures(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    at = int(np.abs(arrays["areas"] - config.shown).argmin())
    pictures, captions = [], []
    for i, image in enumerate(arrays["images"]):
        order = arrays["order"][i]
        masks = [arrays["masks"][i, j, at] for j in (*order, -1)]
        pictures.append([image, *(plotting.masked(image, mask * 1.0) for mask in masks)])
        captions.append(
            [
                str(arrays["class_names"][i]),
                *(
                    f"group {arrays['groups'][i, j] + 1}, p {arrays['p'][i, j, at]:.2f}"
                    for j in order
                ),
                f"p {arrays['p_combined'][i, at]:.2f}",
            ]
        )
    gaps = [""] * (len(arrays["order"][0]) - 1)
    titles = ["photograph", f"masks of area {arrays['areas'][at]:g}", *gaps, "their mean"]
    return plotting.image_grid(pictures, column_titles=titles, captions=captions, size=1.3)


def _charts(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    rows = len(arrays["images"])
    figure = Figure(figsize=(11, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False)
    for i, (left, middle, right) in enumerate(axes):
        name, iou = str(arrays["class_names"][i]), arrays["iou"][i].mean(0)
        order = arrays["order"][i]
        labels = [str(j) for j in order]
        plotting.heat_map(
            left,
            iou[np.ix_(order, order)],
            row_labels=labels,
            column_labels=labels,
            title=f"{name}: IoU of initialisations, mean over areas",
            limits=(0.0, 1.0),
        )
        # One colour: those of the third panel are of groups.
        hierarchy.dendrogram(
            _linkage(iou), ax=middle, color_threshold=0, above_threshold_color="black"
        )
        middle.axhline(1 - config.same, color="black", linestyle=":", linewidth=0.8)
        middle.set_ylim(0, 1)
        middle.tick_params(labelsize=8)
        middle.set_title("tree of initialisations on 1 - IoU", fontsize=9)
        _scores(right, arrays, i)
    return figure


def _scores(axis: Axes, arrays: dict[str, np.ndarray], i: int) -> None:
    """p(class) of each initialisation at each area, by group."""
    areas, p = arrays["areas"], arrays["p"][i]
    for group in range(arrays["groups"][i].max() + 1):
        members = p[arrays["groups"][i] == group]
        spread = (group - arrays["groups"][i].max() / 2) * 0.1
        places = np.arange(len(areas))[None] + spread + np.zeros_like(members)
        axis.plot(places.ravel(), members.ravel(), "o", markersize=4, label=f"group {group + 1}")
    axis.plot(arrays["p_combined"][i], "k_", markersize=14, label="mean mask")
    axis.set_xticks(range(len(areas)), [f"area {area:g}" for area in areas], fontsize=8)
    axis.set_ylim(-0.03, 1.03)
    axis.set_title("p(class) of the binary masks", fontsize=9)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def caption(config: Config, outcome: Outcome) -> str:
    """State how much initialisations agree, beyond chance, and whether it matters for p(class)."""
    arrays = outcome.arrays
    iou = _pairs(arrays["iou"]).mean((0, 2))
    other = np.nanmean(arrays["iou_elsewhere"], axis=0) if len(arrays["images"]) > 1 else None
    span = (arrays["p"].max(1) - arrays["p"].min(1)).mean(0)
    parts = []
    for j, area in enumerate(arrays["areas"]):
        elsewhere = "" if other is None else f", {other[j]:.2f} with other photographs"
        parts.append(
            f"{iou[j]:.2f} at area {area:g} ({area / (2 - area):.2f} of random pixels{elsewhere}; "
            f"p(class) differs by {span[j]:.2f} between best and worst)"
        )
    groups = ", ".join(
        f"{name} {each.max() + 1}"
        for name, each in zip(arrays["class_names"].tolist(), arrays["groups"], strict=True)
    )
    better = (arrays["p_combined"] - arrays["p"].mean(1)).mean()
    return (
        f"{arrays['p'].shape[1]} initialisations of each of {len(arrays['images'])} photographs. "
        f"Mean intersection over union of two of them: {'; '.join(parts)}. Groups of an "
        f"intersection over union above {config.same:g}: {groups}. The mean of the masks, "
        f"binarised, has a p(class) {better:+.3f} from that of one initialisation, mean over "
        "photographs and areas."
    )


EXPERIMENT = Experiment(
    name="extremal_initialisations",
    title="The same photograph from several initialisations",
    regenerates="Figure 13",
    needs="nothing (three photographs of scikit-image)",
    duration="5 min",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    left_out=unless_asked("it fits for minutes; run it by its name, or --full"),
    smoke={"count": 2, "areas": (0.1, 0.3), "initialisations": 3, "steps": 2},
    full={"count": 0, "initialisations": 32},
)
