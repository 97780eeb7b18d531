"""Figure 3: an image replaced part after part by what the classifier fills in, in both modes.

    python -m experiments fill_progressive --digits 3 8

About 10 s on 2 cores.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment, Outcome, Table
from experiments.common.networks import NetworkOptions, first_of_class, head, network
from fitb_jax import batching, fill, masks, plotting
from fitb_jax.evaluation.intervals import mean_interval, proportion_interval
from fitb_jax.types import Image, LogitsFn

MODES: tuple[fill.Mode, ...] = ("parallel", "sequential")


@dataclasses.dataclass(frozen=True)
class Config(NetworkOptions):
    """Options of Figure 3.

    Attributes:
        digits: labels of the test images shown (the first of each).
        parts: masks; each blanks 1 / parts of the image.
        patch: side of a patch in pixels.
        order: of the update, "first" or "second".
        quantile: of the hidden values, above which a value is filled.
        chunk: images evaluated at once.
    """

    digits: tuple[int, ...] = (2, 3, 8)
    parts: int = 4
    patch: int = 4
    order: fill.Order = "first"
    quantile: float = fill.DEFAULT_QUANTILE
    chunk: int = 100

    ZERO_ALLOWED = frozenset({"digits"})


def compute(config: Config) -> Outcome:
    """All stages for the digits shown, and p(target) after each stage over the test images."""
    net = network(config)
    shown = jnp.asarray(np.stack([first_of_class(net.test, digit) for digit in config.digits]))

    def stages(
        updating: LogitsFn, judge: LogitsFn, image: Image, target: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        parts = masks.partition(image.shape[:2], config.parts, config.patch, key=key)
        images = jnp.stack(
            [
                fill.progressive(
                    updating,
                    image,
                    parts,
                    target,
                    mode=mode,
                    order=config.order,
                    fill_fn=lambda *seen: fill.fill(*seen, quantile=config.quantile),
                )
                for mode in MODES
            ]
        )
        logits = jax.vmap(jax.vmap(judge))(images)
        return {
            "masks": parts,
            "stages": images,
            "p": jax.nn.softmax(logits)[..., target],
            "correct": jnp.argmax(logits, -1) == target,
        }

    run = jax.jit(jax.vmap(stages, in_axes=(None, None, 0, 0, 0)))

    def judged(updating: LogitsFn, images: jax.Array, labels: jax.Array) -> dict[str, np.ndarray]:
        keys = jax.random.split(jax.random.key(config.seed), len(images))
        return batching.stream(
            lambda *chunk: {
                name: value
                for name, value in run(updating, net.trained, *chunk).items()
                if name in ("p", "correct")
            },
            images,
            labels,
            keys,
            chunk=config.chunk,
            label="progressive",
            progress=config.progress,
        )

    keys = jax.random.split(jax.random.key(config.seed), len(shown))
    pictures = run(net.trained, net.trained, shown, jnp.asarray(config.digits), keys)
    images, labels = head(net.test, config.test_images)
    before = jax.nn.softmax(jax.jit(jax.vmap(net.trained))(images))
    trained = judged(net.trained, images, labels)
    control = judged(net.untrained, images, labels)
    arrays = {f"shown_{name}": np.asarray(value) for name, value in pictures.items()}
    arrays |= {
        "shown_images": np.asarray(shown),
        "p_before": np.asarray(jnp.take_along_axis(before, labels[:, None], 1)[:, 0]),
        "correct_before": np.asarray(jnp.argmax(before, -1) == labels),
        **{f"trained_{name}": value for name, value in trained.items()},
        **{f"control_{name}": value for name, value in control.items()},
    }
    rows = [_row("none", "none", 0, arrays["p_before"], arrays["correct_before"])]
    for source in ("trained", "control"):
        for m, mode in enumerate(MODES):
            for stage in range(config.parts):
                p, correct = (arrays[f"{source}_{name}"][:, m, stage] for name in ("p", "correct"))
                rows.append(_row(source, mode, stage + 1, p, correct))
    table = Table(
        ["network of the updates", "mode", "parts replaced", "p(target)", "accuracy"], rows
    )
    return Outcome(
        arrays,
        {"test accuracy": net.accuracy},
        {"after each stage": table},
        [f"{net.label}; {net.test.source}"],
    )


def _row(source: str, mode: str, stage: int, p: np.ndarray, correct: np.ndarray) -> list[object]:
    name = {"control": "untrained"}.get(source, source)
    return [name, mode, stage, str(mean_interval(p)), str(proportion_interval(correct))]


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Two rows per digit, one per mode, and p(target) against the number of parts replaced."""
    arrays = outcome.arrays
    pictures, captions, row_titles = [], [], []
    for i, digit in enumerate(config.digits):
        for m, mode in enumerate(MODES):
            image, stages = arrays["shown_images"][i], arrays["shown_stages"][i, m]
            first_mask = arrays["shown_masks"][i, 0]
            pictures.append([plotting.as_rgb(image), plotting.masked(image, first_mask), *stages])
            captions.append(
                [f"a {digit}", "part 1 hidden"]
                + [f"p({digit}) {p:.2f}" for p in arrays["shown_p"][i, m]]
            )
            row_titles.append(mode)
    titles = ["image", "mask 1"] + [f"{s + 1} of {config.parts}" for s in range(config.parts)]
    grid = plotting.image_grid(
        pictures, column_titles=titles, row_titles=row_titles, captions=captions
    )
    return {"progressive": grid, "progressive_curve": _curve(config, outcome)}


def _curve(config: Config, outcome: Outcome) -> Figure:
    arrays = outcome.arrays
    figure = Figure(figsize=(5.5, 3.2), layout="constrained")
    axis = figure.subplots()
    at = np.arange(config.parts + 1)
    for source, style in (("trained", "-"), ("control", ":")):
        for m, mode in enumerate(MODES):
            series = [arrays["p_before"], *arrays[f"{source}_p"][:, m].T]
            estimate, low, high = np.array([mean_interval(values) for values in series]).T
            name = "untrained network" if source == "control" else "trained network"
            axis.plot(
                at,
                estimate,
                style,
                marker="o",
                markersize=4,
                color=f"C{m}",
                label=f"{mode}, {name}",
            )
            axis.fill_between(at, low, high, color=f"C{m}", alpha=0.2, linewidth=0)
    axis.set_xticks(at)
    axis.set_xlabel("parts replaced by fill-ins")
    axis.set_ylabel("mean p(target)")
    axis.set_ylim(0, 1.02)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    return figure


def caption(config: Config, outcome: Outcome) -> str:
    """State both modes and what remains of the prediction without one original pixel."""
    last = {
        (source, mode): outcome.arrays[f"{source}_p"][:, m, -1].mean()
        for source in ("trained", "control")
        for m, mode in enumerate(MODES)
    }
    return (
        f"{config.parts} masks whose blanks partition the image into parts of "
        f"{1 / config.parts:.0%}. Parallel: each part is predicted from the original rest; "
        "sequential: a part once filled is what the next ones see. The last picture holds no "
        f"original pixel, yet the mean p(target) is {last['trained', 'parallel']:.2f} (parallel) "
        f"and {last['trained', 'sequential']:.2f} (sequential), over "
        f"{len(outcome.arrays['p_before'])} test images. Control: with the updates of an untrained "
        f"network it is {last['control', 'parallel']:.2f} and {last['control', 'sequential']:.2f}. "
        "The fills are made for the target: they show what the network takes for its class, not "
        "that the digit can be recovered."
    )


EXPERIMENT = Experiment(
    name="fill_progressive",
    title="Progressive masking",
    regenerates="Figure 3",
    needs="nothing",
    duration="10 s",
    config=Config,
    compute=compute,
    draw=draw,
    caption=caption,
    smoke={"epochs": 1, "digits": (3,), "test_images": 50, "chunk": 50},
    full={"dataset": "mnist", "test_images": 0},
)
