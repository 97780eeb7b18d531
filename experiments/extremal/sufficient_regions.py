"""Figure 20, Table 11: the smallest connected part of a digit that keeps its class on other digits.

    python -m experiments sufficient_regions

Two grids: regions found on other digits, for every required share, and found on a blur alone.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table, unless_asked
from experiments.grids import GridRun, plan_grid, run_grid
from experiments.common.networks import Network, NetworkOptions, head, network
from experiments.region_points import FIELDS, blur_point, images_point
from fitb_jax import ablation, models, plotting
from fitb_jax.evaluation.intervals import mean_interval, proportion_interval

SHOWN = 8
NEAREST = 3
LANES = 8


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 20.

    Attributes:
        required: shares of the search's backgrounds that must keep the class.
        searched: backgrounds of the search, of any class but the target's.
        fresh: others, for the certificates.
        patch: side in pixels of the patches that come and go.
        rounds: of growing and making smaller.
        fit_steps: of the coordinate network that gives the candidates.
        nearest: training images that agree best with the region.
        chunk: images evaluated at once.
    """

    test_images: int = 200
    required: tuple[float, ...] = (0.5, 0.75, 0.9, 1.0)
    searched: int = 30
    fresh: int = 200
    patch: int = 2
    rounds: int = 1
    fit_steps: int = 40
    nearest: int = 20
    chunk: int = 64

    ZERO_ALLOWED = frozenset({"rounds"})


def backgrounds(net: Network, count: int, *, seed: int) -> np.ndarray:
    """For each class, images of the training split that are of any other.

    Args:
        net: whose training split.
        count: images of each class's set.
        seed: of the choice.

    Returns:
        (classes, count, h, w, c).
    """
    rng = np.random.default_rng(seed)
    found = []
    for label in range(len(net.train.class_names)):
        others = np.flatnonzero(net.train.labels != label)
        found.append(net.train.images[rng.choice(others, count, replace=False)])
    return np.stack(found)


def grids(config: Config, net: Network) -> list[GridRun]:
    """The searches on other images and on a blur.

    Args:
        config: options.
        net: the network and its data.

    Returns:
        Both grids.
    """
    images, _ = head(net.test, config.test_images)
    predicted = jax.jit(lambda images: models.predict(net.trained, images))(images)
    both = backgrounds(net, config.searched + config.fresh, seed=config.seed)
    settings = {
        "patch": config.patch,
        "rounds": config.rounds,
        "fit_steps": config.fit_steps,
        "nearest": config.nearest,
    }
    shared: dict[str, Any] = {
        "network": net.trained,
        "fresh": both[:, config.searched :],
        "data": {"images": net.train.images, "labels": net.train.labels.astype(np.int32)},
    }
    arguments: dict[str, Any] = {
        "key": jax.random.key(config.seed),
        "key_axes": ("image",),
        "fields": FIELDS,
        "chunk": config.chunk,
        # A vectorised search goes on until the slowest of its images is done.
        "lanes": min(LANES, config.chunk),
    }
    image = ablation.vmapped({"pixels": images, "target": predicted})
    required = ablation.vmapped(np.array(config.required, np.float32))
    setting = ablation.static([tuple(settings.items())], labels=["default"])
    on_images = {"setting": setting, "required": required, "image": image}
    on_blur = {"setting": setting, "image": image}
    searched = {**shared, "backgrounds": both[:, : config.searched]}
    return [
        GridRun("sufficient_images", images_point, on_images, {**arguments, "shared": searched}),
        GridRun("sufficient_blur", blur_point, on_blur, {**arguments, "shared": shared}),
    ]


def plan(config: Config) -> list[str]:
    """What the grids will do.

    Args:
        config: options.

    Returns:
        A line for each.
    """
    return [plan_grid(run) for run in grids(config, network(config))]


def compute(config: Config) -> Outcome:
    """Search every image's region, on other images and on its blur."""
    net = network(config)
    arrays: dict[str, np.ndarray] = {"required": np.array(config.required)}
    for name, run in zip(("images", "blur"), grids(config, net), strict=True):
        found = run_grid(config, run).isel(setting=0).load()
        arrays |= {f"{name}/{field}": found[field].values for field in FIELDS}
    images, labels = head(net.test, config.test_images)
    arrays |= {"pixels": np.asarray(images), "labels": np.asarray(labels)}
    arrays |= _shown(config, net, arrays)
    rows = [
        _row(f"other digits, {share:g}", {f: arrays[f"images/{f}"][i] for f in FIELDS})
        for i, share in enumerate(config.required)
    ]
    rows.append(_row("its own blur", {f: arrays[f"blur/{f}"] for f in FIELDS}))
    columns = ["searched on, required share", "found", "minimal", "area", "share on fresh digits"]
    columns += ["fresh share below 0.9", "on blur, mean, zero", "only connects", "20 nearest"]
    columns += ["calls", "gradient calls"]
    notes = [
        f"{net.label}; {net.test.source}",
        "backgrounds are training images of any class but the predicted one, which is the target",
    ]
    numbers: dict[str, Any] = {"test accuracy": net.accuracy}
    numbers["share of the class in the data"] = float(arrays["images/base_share"].mean())
    return Outcome(arrays, numbers, {"regions": Table(columns, rows)}, notes)


def _shown(config: Config, net: Network, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A digit of each class: its regions on a fresh digit, and the training digits nearest."""
    _, first = np.unique(arrays["labels"], return_index=True)
    chosen = first[:SHOWN]
    pixels = arrays["pixels"][chosen]
    predict = jax.jit(lambda images: models.predict(net.trained, images))
    behind = backgrounds(net, config.searched + config.fresh, seed=config.seed)[:, config.searched]
    behind = behind[np.asarray(predict(pixels))]
    found: dict[str, np.ndarray] = {"chosen": chosen}
    regions = {"images": arrays["images/region"][_at(config)], "blur": arrays["blur/region"]}
    for name, region in regions.items():
        mask = region[chosen][..., None]
        pasted = mask * pixels + (1 - mask) * behind
        found |= {f"{name}/pasted": pasted, f"{name}/seen": np.asarray(predict(pasted))}
    nearest = arrays["images/nearest"][_at(config)][chosen, :NEAREST]
    found["nearest_pixels"] = net.train.images[nearest]
    return found | {"nearest_labels": net.train.labels[nearest]}


def _row(name: str, found: dict[str, np.ndarray]) -> list[Any]:
    controls = " ".join(f"{share:.2f}" for share in found["controls"].mean(0))
    return [
        name,
        f"{found['found'].mean():.3f}",
        f"{found['minimal'].mean():.3f}",
        str(mean_interval(found["area"])),
        str(mean_interval(found["share"])),
        str(proportion_interval(found["share"] < 0.9)),
        controls,
        str(mean_interval(found["connectivity_cost"])),
        str(mean_interval(found["nearest_share"])),
        f"{found['calls'].mean():.0f}",
        f"{found['gradient_calls'].mean():.0f}",
    ]


def _at(config: Config) -> int:
    """The required share nearest to 0.9, which is shown."""
    return int(np.abs(np.array(config.required) - 0.9).argmin())


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Regions with certificates and nearest digits, and the curve of area over required share."""
    return {"regions": _pictures(config, outcome.arrays), "curve": _curve(config, outcome.arrays)}


def _pictures(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    at, rows, captions = _at(config), [], []
    regions = {"images": arrays["images/region"][at], "blur": arrays["blur/region"]}
    shares = {"images": arrays["images/share"][at], "blur": arrays["blur/share"]}
    for row, i in enumerate(arrays["chosen"]):
        pixels = arrays["pixels"][i]
        pictures, words = [pixels], [f"labelled {arrays['labels'][i]}"]
        for way, region in regions.items():
            pictures += [plotting.masked(pixels, region[i]), arrays[f"{way}/pasted"][row]]
            words.append(f"area {region[i].mean():.2f}, kept {shares[way][i]:.2f}")
            words.append(f"seen as {arrays[f'{way}/seen'][row]}")
        rows.append([*pictures, *arrays["nearest_pixels"][row]])
        captions.append([*words, *(f"labelled {n}" for n in arrays["nearest_labels"][row])])
    titles = ["digit", "found on digits", "on a fresh digit", "found on its blur"]
    titles += ["on a fresh digit", *(f"nearest, {n + 1}" for n in range(NEAREST))]
    return plotting.image_grid(rows, column_titles=titles, captions=captions, size=1.3)


def _curve(config: Config, arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    required = arrays["required"]
    for axis, field, title in (
        (axes[0], "area", "area of the region"),
        (axes[1], "share", "share of fresh digits with the class kept"),
    ):
        values = np.array([mean_interval(each) for each in arrays[f"images/{field}"]])
        level = float(arrays[f"blur/{field}"].mean())
        plotting.band(
            axis, required, values, label="other digits", control=np.full(len(required), level)
        )
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("required share of the search's backgrounds", fontsize=8)
    axes[1].plot(required, required, color="grey", linewidth=0.8, label="as required")
    axes[1].legend(fontsize=8)
    axes[0].legend(["other digits", "95 % interval", "found on blur"], fontsize=8)
    return figure


def caption(config: Config, outcome: Outcome) -> str:
    """State areas, certificates and what a blur misses."""
    arrays, at = outcome.arrays, _at(config)
    area, share = (arrays[f"images/{name}"][at] for name in ("area", "share"))
    failed = proportion_interval(arrays["blur/share"] < 0.9)
    return (
        f"The smallest connected regions found for {len(area)} digits such that at least "
        f"{config.required[at]:g} of {config.searched} other digits behind it keep the class: mean "
        f"area {area.mean():.3f}, and on {config.fresh} fresh digits the class is kept by "
        f"{share.mean():.3f}. Regions found on the digit's own blur have area "
        f"{arrays['blur/area'].mean():.3f} and keep the class on "
        f"{arrays['blur/share'].mean():.3f}: "
        f"{failed} of them are below 0.9. Of the training digits that agree best on the region "
        f"{arrays['images/nearest_share'][at].mean():.2f} share the class."
    )


EXPERIMENT = Experiment(
    name="sufficient_regions",
    title="The smallest part of a digit that keeps its class",
    regenerates="Figure 20, Table 11",
    needs="nothing",
    duration="10 s a digit",
    config=Config,
    compute=compute,
    draw=draw,
    plan=plan,
    caption=caption,
    left_out=unless_asked("it searches for long; run it by its name, or --full"),
    smoke={
        "epochs": 1,
        "test_images": 4,
        "required": (0.5, 0.9),
        "searched": 4,
        "fresh": 6,
        "patch": 7,
        "rounds": 1,
        "fit_steps": 2,
    },
    full={"test_images": 1000, "searched": 200, "fresh": 1000, "rounds": 8},
)
