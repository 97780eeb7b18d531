"""Figure 3, Table 1: Fills, prototypes and maps of robust networks.

    python -m experiments fill_robust --datasets mnist_5k fashion_mnist    # 30 min

Needs: Fashion-MNIST for its half, which is left out where it is absent.
Expected: the second-order update correlates with what was hidden by 0.397 [0.37, 0.42] in robust
networks.

Networks trained in several ways, five of each: what they draw is compared with what was hidden and
with the mean of the class, and judged by two networks that took no part.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import networks
from experiments.core.experiment import Sweep, Tables, unless_asked
from experiments.core.labelled import pictures, with_notes
from fitb_jax import ablation, attribution, checks, data, fill, masks, models, plotting
from fitb_jax.evaluation.map_similarity import cross_correlations, spearman
from fitb_jax.evaluation.tables import interval_columns, intervals
from fitb_jax.types import Array, Image, Key, LogitsFn, Mask, Target

STANDARD, AUGMENTED = "standard", "augmented"

MASKED, FIRST, SECOND, ITERATED = "none (masked)", "first order", "second order", "iterated"
NEWTON = "iterated, Newton"
"""Half as many steps: 8 products with the Hessian at every 8th are as many as there are steps."""

SCORES = {
    "correlation": "correlation",
    "p_own": "p(target), itself",
    "p_other": "p(target), another CNN",
    "p_mlp": "p(target), an MLP",
}

LOOKS = {
    "nearest": "nearest prototype",
    "likeness": "E[dx] and class mean",
    "agreement": "E[dx] across seeds",
    "image_likeness": "maximising image and class mean",
    "map_agreement": "gradient map across seeds",
}

_CASES = {
    "nearest": "image",
    "likeness": "label",
    "agreement": "label",
    "image_likeness": "label",
    "map_agreement": "image",
}
_REPEATS = {name: "pair" if "agreement" in name else "seed" for name in LOOKS}

_PENALTY = 10.0
"""Weight of the total variation and of the squared distance from black of maximising images."""


class Way(NamedTuple):
    """How a fill is made: (logits_fn, image, mask, target, key) to what is painted and the fill."""

    name: str
    fill: Callable[[LogitsFn, Image, Mask, Target, Key], tuple[Image, Image]]


@dataclasses.dataclass(frozen=True)
class Config(networks.NetworkOptions):
    """Options of the comparison of trainings.

    Attributes:
        datasets: shown one after the other; one that is not found is left out with a note.
        train_images: that networks are trained on; 0 means all.
        epochs: of every training.
        seeds: networks of each training.
        radii: of robust training, in the L2 norm.
        shift: of augmented training, in pixels.
        noise: of augmented training, its standard deviation.
        ratio: share of the patches that are blank.
        patch: side of a patch in pixels.
        fills: how images are filled besides in first order and by iteration.
        fill_steps: of iterated fills.
        images_per_class: training images that E[dx] is averaged over, of each class.
        search_steps: of the images that maximise a class.
        shown: classes of the test images in the figure of fills.
        chunk: images evaluated at once.
    """

    datasets: tuple[str, ...] = ("mnist_5k", "fashion_mnist")
    train_images: int = 10_000
    epochs: int = 10
    seeds: int = 5
    radii: tuple[float, ...] = (1.0, 2.0, 3.0)
    shift: int = 2
    noise: float = 0.2
    ratio: float = 0.5
    patch: int = 4
    fills: tuple[str, ...] = (SECOND, NEWTON)
    fill_steps: int = 64
    images_per_class: int = 200
    search_steps: int = 128
    shown: tuple[int, ...] = (2, 3, 5, 8)
    test_images: int = 200
    chunk: int = 100

    ZERO_ALLOWED = frozenset({"train_images", "shown"})
    ONLY_SHOWN = frozenset({"shown"})

    def __post_init__(self) -> None:
        """Refuse a fill that there is not, before networks are trained."""
        super().__post_init__()
        for name in self.fills:
            checks.check_choice("fills", name, (SECOND, NEWTON))

    @property
    def trainings(self) -> dict[str, dict[str, Any]]:
        """What each way to train changes."""
        robust = {f"robust, radius {r:g}": {"robust_radius": r} for r in self.radii}
        return {STANDARD: {}, AUGMENTED: {"shift": self.shift, "noise": self.noise}, **robust}


class Trained(NamedTuple):
    """Networks of one data set by training, their judges, and what they are judged on."""

    ensembles: dict[str, networks.Ensemble]
    judges: dict[str, LogitsFn]
    train: data.Images
    test: data.Images
    label: str


def load(config: Config) -> networks.Available:
    """Train the networks of every data set, or find them again."""
    if config.seeds < 2:
        raise ValueError(f"seeds must be at least 2, to be compared, got {config.seeds}")
    return networks.available(config, _trained)


def _trained(config: Config) -> Trained:
    train, test = (
        data.load(config.dataset, split=split, data_dir=config.data_dir)
        for split in ("train", "test")
    )
    stop = config.train_images or len(train.images)
    train = train._replace(images=train.images[:stop], labels=train.labels[:stop])
    ensembles = {
        name: networks.ensemble(config, config.seeds, train, test, changes)
        for name, changes in config.trainings.items()
    }
    # Of a seed that no network of the ensembles has.
    apart = dataclasses.replace(config, seed=config.seed + config.seeds)
    judges = {
        "other": networks.ensemble(apart, 1, train, test).trained[0],
        "mlp": networks.ensemble(
            dataclasses.replace(apart, architecture="mlp"), 1, train, test
        ).trained[0],
    }
    return Trained(ensembles, judges, train, test, config.label)


def _ways(config: Config) -> list[Way]:
    def painted(
        update_fn: Callable[..., Image], f: LogitsFn, x: Image, m: Mask, y: Target, key: Key
    ) -> tuple[Image, Image]:
        del key
        update = update_fn(f, x, m, y)
        return update, fill.fill(x, m, update)

    def iterated(
        options: Mapping[str, Any], f: LogitsFn, x: Image, m: Mask, y: Target, key: Key
    ) -> tuple[Image, Image]:
        filled = fill.iterated(f, x, m, y, key=key, **options)
        return filled, filled

    newton = {"steps": max(1, config.fill_steps // 2), "newton_every": 8}
    every = [
        Way(FIRST, functools.partial(painted, fill.first_order)),
        Way(SECOND, functools.partial(painted, fill.second_order)),
        Way(ITERATED, functools.partial(iterated, {"steps": config.fill_steps})),
        Way(NEWTON, functools.partial(iterated, newton)),
    ]
    return [way for way in every if way.name in (FIRST, ITERATED, *config.fills)]


def point(
    *,
    judges: Mapping[str, LogitsFn],
    setting: Mapping[str, Array],
    network: LogitsFn,
    way: Way,
    image: Mapping[str, Array],
    key: Key,
) -> dict[str, Array]:
    """One fill of one image by one network, judged by others."""
    pixels, label = image["pixels"], image["label"]
    mask_key, fill_key = jax.random.split(key)
    mask = masks.random_patches(pixels.shape[:2], setting["ratio"], setting["patch"], key=mask_key)
    update, filled = way.fill(network, pixels, mask, label, fill_key)
    masked = masks.apply(pixels, mask)

    def p(judge: LogitsFn, seen: Image) -> Array:
        return jax.nn.softmax(judge(seen))[label]

    asked = {"own": network, **judges}
    return {
        "correlation": fill.hidden_correlation(update, pixels, mask),
        **{f"p_{name}": p(judge, filled) for name, judge in asked.items()},
        **{f"p_{name}_masked": p(judge, masked) for name, judge in asked.items()},
    }


FIELDS = {
    "correlation": ablation.Field(
        meaning="correlation of the update with the hidden pixels", nan_is_answer=True
    )
}


def sweep(config: Config, net: networks.Available) -> list[Sweep]:
    """Every fill by every network over the test images."""
    return [_sweep(config, dataset, each) for dataset, each in net.networks.items()]


def _sweep(config: Config, dataset: str, net: Trained) -> Sweep:
    images, labels = networks.head(net.test, config.test_images)
    every = [one for ensemble in net.ensembles.values() for one in ensemble.trained]
    names = [f"{name}, {seed}" for name in net.ensembles for seed in range(config.seeds)]
    return Sweep(
        name=dataset,
        point=point,
        axes={
            "way": ablation.static(_ways(config), labels=[way.name for way in _ways(config)]),
            "network": ablation.looped(models.stack(every), labels=names),
            "image": ablation.vmapped({"pixels": images, "label": labels}),
        },
        fields=FIELDS,
        key=jax.random.key(config.seed),
        key_axes=("image",),
        shared={
            "judges": net.judges,
            "setting": {"ratio": jnp.float32(config.ratio), "patch": jnp.int32(config.patch)},
        },
        chunk=config.chunk,
    )


def compute(config: Config, net: networks.Available, *swept: xr.Dataset) -> xr.Dataset:
    """The scores of all fills, and what the networks of each training look for in a class."""
    parts = []
    for found, trained in zip(swept, net.networks.values(), strict=True):
        lines = itertools.product(trained.ensembles, range(config.seeds))
        names = pd.MultiIndex.from_tuples([*lines], names=["training", "seed"])
        coordinates = xr.Coordinates.from_pandas_multiindex(names, "network")
        scores = found.drop_vars("network").assign_coords(coordinates).unstack("network")
        # Labels are sorted by that.
        scores = scores.sel(training=[*trained.ensembles])
        parts.append(scores.merge(_looks(config, trained)))
    found = xr.concat(parts, pd.Index([*net.networks], name="dataset"), join="outer")
    return with_notes(found, *net.notes)


def _looks(config: Config, net: Trained) -> xr.Dataset:
    """E[dx], maximising images and gradient maps of every network."""
    images, labels = networks.head(net.test, config.test_images)
    cases = jnp.asarray(data.first_of_classes(net.test, config.shown))
    keys = jax.random.split(jax.random.key(config.seed), len(cases))
    means = data.class_means(net.train)
    apart = means - means.mean(0)
    nearest = jax.jit(jax.vmap(fill.nearest_prototype, in_axes=(0, None)))
    map_all = jax.jit(jax.vmap(attribution.gradient_magnitude, in_axes=(None, 0, 0)))
    draw_all = jax.jit(jax.vmap(functools.partial(_drawn, config), in_axes=(None, 0, 0, 0)))
    maximise = _maximise(config, cases[0])
    pairs = [*itertools.combinations(range(config.seeds), 2)]
    parts = []
    for ensemble in net.ensembles.values():
        prototypes = np.stack([_prototypes(config, net, each) for each in ensemble.trained])
        maximal = np.stack([maximise(each) for each in ensemble.trained])
        maps = jnp.stack([map_all(each, images, labels) for each in ensemble.trained])
        first = ensemble.trained[0]
        seen, fills = draw_all(first, cases, jnp.asarray(config.shown), keys)
        gradients = map_all(first, cases, jnp.asarray(config.shown))
        parts.append(
            xr.Dataset(
                {
                    "nearest": (
                        ("seed", "image"),
                        np.stack([nearest(images, each) == labels for each in prototypes]),
                    ),
                    "likeness": (("seed", "label"), _likeness(prototypes, apart)),
                    "image_likeness": (("seed", "label"), _likeness(maximal, apart)),
                    "agreement": (
                        ("pair", "label"),
                        np.stack([_own(prototypes[a], prototypes[b]) for a, b in pairs]),
                    ),
                    "map_agreement": (
                        ("pair", "image"),
                        np.stack([jax.vmap(spearman)(maps[a], maps[b]) for a, b in pairs]),
                    ),
                    "accuracy": (("seed", "interval"), np.array(ensemble.accuracies)),
                }
                | pictures("label", prototypes=prototypes[0], maximal=maximal[0])
                | pictures("case", "way", fills=fills)
                | pictures("case", gradients=gradients)
            )
        )
    found = xr.concat(parts, pd.Index([*net.ensembles], name="training")).assign(
        pictures("label", class_means=means) | pictures("case", cases=cases, masks=seen)
    )
    # Labels of its own would be joined with those of other data sets.
    found = found.assign(class_name=("label", [*net.train.class_names]))
    return found.assign_coords(seed=range(config.seeds), case=[*config.shown])


def _prototypes(config: Config, net: Trained, logits_fn: LogitsFn) -> np.ndarray:
    """E[dx] of every class over training images."""
    found = fill.class_prototypes(
        logits_fn,
        net.train.images,
        net.train.labels,
        len(net.train.class_names),
        key=jax.random.key(config.seed),
        images_per_class=config.images_per_class,
        parts=round(1 / config.ratio),
        patch=config.patch,
        chunk=config.chunk,
    )
    return np.asarray(found.mean)


def _maximise(config: Config, like: Image) -> Callable[[LogitsFn], Array]:
    """An image that maximises each class, from black."""
    settings = attribution.ReconstructionConfig(
        parametrisation="pixels",
        steps=config.search_steps,
        learning_rate=0.02,
        total_variation=_PENALTY,
        l2=_PENALTY,
        centre=0.0,
        jitter=2,
    )
    key = jax.random.key(config.seed)
    start = attribution.noise_image(like.shape, centre=0.0, key=key)
    return jax.jit(
        lambda logits_fn: attribution.reconstruct_classes(logits_fn, start, settings, key=key)[0]
    )


def _drawn(
    config: Config, logits_fn: LogitsFn, image: Image, target: Array, key: Key
) -> tuple[Mask, Array]:
    """The mask and all fills of an image of the figure."""
    mask_key, fill_key = jax.random.split(key)
    mask = masks.random_patches(image.shape[:2], config.ratio, config.patch, key=mask_key)
    fills = [way.fill(logits_fn, image, mask, target, fill_key)[1] for way in _ways(config)]
    return mask, jnp.stack(fills)


def _own(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of each class with itself, (classes,)."""
    return np.diagonal(cross_correlations(a, b))


def _likeness(of_networks: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Correlation of what each network draws of a class with what tells the class apart."""
    return np.stack([_own(each - each.mean(0), apart) for each in of_networks])


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """What the networks are worth."""
    accuracy = found["accuracy"].isel(interval=0).mean("seed")
    return {
        f"{dataset}, {training}: mean test accuracy": float(
            accuracy.sel(dataset=dataset, training=training)
        )
        for dataset in found["dataset"].values
        for training in found["training"].values
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Scores of the fills, and of what the networks look for."""
    of = found[[*SCORES]].mean("seed")
    before = {
        name: found[f"{name}_masked"].mean("seed").isel(way=[0])
        for name in SCORES
        if name != "correlation"
    }
    masked = xr.Dataset(before).assign_coords(way=[MASKED])
    none = xr.full_like(of["correlation"].isel(way=[0]), np.nan).assign_coords(way=[MASKED])
    every = xr.concat([masked.assign(correlation=none), of], "way")
    fills = interval_columns(every, SCORES, rows=("dataset", "training", "way"), over="image")
    rows = ("dataset", "training")
    seen = found[[*LOOKS]].assign(
        {name: found[name].mean(_REPEATS[name]) for name in LOOKS if name in _REPEATS}
    )
    looks = pd.concat(
        [
            interval_columns(seen[[name]], {name: title}, rows=rows, over=_CASES[name])
            for name, title in LOOKS.items()
        ],
        axis=1,
    )
    accuracy = found["accuracy"].isel(interval=0)
    looks.insert(
        0,
        "test accuracy",
        interval_columns(accuracy.to_dataset(), {"accuracy": "a"}, rows=rows, over="seed")["a"],
    )
    return {
        "fills": fills.map(lambda cell: "" if np.isnan(cell.estimate) else cell),
        "prototypes, images and maps": looks,
    }


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """For each data set what the networks draw; and the scores of their fills."""
    figures = {"robust_scores": _charts(found)}
    for dataset in found["dataset"].values:
        of, name = found.sel(dataset=dataset), str(dataset).replace(":", "_")
        figures[f"robust_classes_{name}"] = _classes(of)
        figures[f"robust_fills_{name}"] = _fills(of)
    return figures


def _classes(found: xr.Dataset) -> Figure:
    """E[dx] and maximising image of every class, each on its own scale."""
    means = found["class_means"].values
    rows, titles = (
        [[*means], [*map(_signed, means - means.mean(0))]],
        ["mean", "mean less\nthat of all"],
    )
    for training in found["training"].values:
        of = found.sel(training=training)
        rows += [[*map(_signed, of["prototypes"].values)], [*of["maximal"].values]]
        title = str(training).replace(", ", ",\n")
        titles += [f"E[dx], {title}", "maximising\nimage"]
    return plotting.image_grid(
        rows, column_titles=found["class_name"].values.tolist(), row_titles=titles, size=0.8
    )


def _signed(values: np.ndarray) -> np.ndarray:
    return plotting.heat(values.mean(-1), signed=True)


def _fills(found: xr.Dataset) -> Figure:
    """Two rows for each image: fills of the first and of the last kind by training."""
    trainings = [str(name) for name in found["training"].values]
    rows, titles = [], []
    for case in found["case"].values:
        of = found.sel(case=case)
        image, mask = of["cases"].values, of["masks"].values
        for way in (FIRST, ITERATED):
            drawn = of["fills"].sel(way=way)
            left = plotting.masked(image, mask) if way == FIRST else image
            rows.append([left, *drawn.values])
            titles.append(way)
        scale = of["gradients"].values
        rows.append([None, *(plotting.heat(each, largest=float(each.max())) for each in scale)])
        titles.append("gradient map")
    columns = ["masked,\nwhole", *(name.replace(", ", ",\n") for name in trainings)]
    return plotting.image_grid(rows, column_titles=columns, row_titles=titles, size=0.9)


def _charts(found: xr.Dataset) -> Figure:
    """Resemblance and persuasion, by training and fill."""
    datasets = found["dataset"].values
    figure = Figure(figsize=(12, 3.0 * len(datasets)), layout="constrained")
    axes = figure.subplots(len(datasets), 3, squeeze=False)
    short = [str(name).replace("robust, ", "") for name in found["training"].values]
    of = found.assign_coords(training=short).mean("seed")
    for row, dataset in zip(axes, datasets, strict=True):
        for axis, name in zip(row, ("correlation", "p_other", "p_mlp"), strict=True):
            values = intervals(of[name].sel(dataset=dataset), over="image")
            title = f"{dataset}\n{SCORES[name]}"
            plotting.interval_chart(axis, values, groups="training", bars="way", title=title)
            if name != "correlation":
                before = of[f"{name}_masked"].sel(dataset=dataset).isel(way=0, training=0)
                axis.axhline(before.mean(), color="grey", linewidth=0.8)
                axis.set_ylim(0, 1.03)
    axes[0, 0].legend(fontsize=7)
    return figure


def caption(config: Config, found: xr.Dataset) -> str:
    """State what robust training does to resemblance, and to persuasion."""
    of = found.isel(dataset=0)[[*SCORES]].mean(("seed", "image")).sel(way=ITERATED)
    standard, last = of.sel(training=STANDARD), of.isel(training=-1)
    return (
        f"{config.seeds} networks of each training. Iterated fills of half-hidden test images "
        f"correlate with what was hidden by {standard['correlation']:.2f} (standard) and "
        f"{last['correlation']:.2f} ({last['training'].values}); p(target) by an MLP that took no "
        f"part is {standard['p_mlp']:.2f} and {last['p_mlp']:.2f}. Every map has a scale of its "
        "own; grey lines are the masked image."
    )


left_out = unless_asked("it trains dozens of networks; run it by its name, or --full")

SMOKE = {
    "datasets": ("mnist_5k",),
    "train_images": 500,
    "epochs": 1,
    "seeds": 2,
    "radii": (1.0,),
    "fills": (),
    "fill_steps": 2,
    "images_per_class": 8,
    "search_steps": 2,
    "shown": (3,),
    "test_images": 10,
    "chunk": 10,
}

FULL = {"datasets": ("mnist", "fashion_mnist"), "train_images": 0, "test_images": 2000}
