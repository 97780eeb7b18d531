"""Figure 11: Which part of a photograph is enough.

    python -m experiments inr_explain --image PHOTO    # 15 s a photograph

Needs: nothing (three photographs of scikit-image).
Expected: TODO.

A photograph of yours is turned upright as its camera noted, and its centre square is explained.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from experiments.experiment import Experiment, Outcome, Table
from experiments.common.photographs import AreaOptions, Explained, explained, one_photograph
from fitb_jax import checks, extremal, plotting
from fitb_jax.types import Image, LogitsFn


@dataclasses.dataclass(frozen=True)
class Config(AreaOptions):
    """Options of Figure 10.

    Attributes:
        image: a photograph of yours, instead of those of `photographs`.
        target: class to explain; the predicted (or true) one by default.
        frames: of the animation over the area.
        steps: of the fit.
    """

    count: int = 3
    image: Path | None = None
    target: int | None = None
    frames: int = 24
    steps: int = extremal.InrConfig().steps

    ZERO_ALLOWED = frozenset({"target"})


def compute(config: Config) -> Outcome:
    """Fit one network to each photograph, and score its masks."""
    net = explained(config) if config.image is None else one_photograph(config, config.image)
    targets = net.targets
    if config.target is not None:
        checks.check_target(config.target, len(net.pretrained.class_names))
        targets = np.full_like(targets, config.target)
    settings = extremal.InrConfig(steps=config.steps)
    shown = jnp.asarray(config.areas)
    low, high = (float(settings.smallest_area), float(settings.largest_area))
    sweep = jnp.linspace(low, high, config.frames)

    @jax.jit
    def fit(logits_fn: LogitsFn, image: Image, target: jax.Array, key: jax.Array) -> extremal.Inr:
        return extremal.fit_inr(logits_fn, image, target, settings, key=key)

    @jax.jit
    def score(
        logits_fn: LogitsFn, image: Image, target: jax.Array, inr: extremal.Inr
    ) -> dict[str, jax.Array]:
        height, width, _ = image.shape
        blend = extremal.make_blend(image, "blur", blur=settings.blur)
        masks = extremal.inr_masks(inr, shown, (height, width))
        binary = jax.vmap(extremal.binarise)(masks, shown)
        ends = jnp.stack([jnp.ones((height, width)), jnp.zeros((height, width))])
        every = jnp.concatenate([masks, binary, ends])
        p = extremal.probabilities_through(logits_fn, image, target, every, blur=settings.blur)
        soft, hard, whole_and_blank = jnp.split(p, [len(shown), 2 * len(shown)])
        return {
            "masks": masks,
            "blended": jax.lax.map(blend, binary),
            "p_soft": soft,
            "p_binary": hard,
            "mask_area": masks.mean((1, 2)),
            "p_whole": whole_and_blank[0],
            "p_blank": whole_and_blank[1],
            "saliency": extremal.inr_saliency(inr, (height, width)),
            "sweep": extremal.inr_masks(inr, sweep, (height, width)),
            "converged": inr.converged,
            "objective": inr.history.objective[inr.steps - 1],
            "history": inr.history.reward.mean(1),
        }

    found = []
    keys = jax.random.split(jax.random.key(config.seed), len(net.images))
    inputs = list(zip(net.images, targets, keys, strict=True))
    for image, target, key in tqdm(inputs, desc="fit", disable=not config.progress):
        logits_fn = net.pretrained.logits_fn
        inr = fit(logits_fn, jnp.asarray(image), jnp.asarray(target), key)
        found.append(score(logits_fn, jnp.asarray(image), jnp.asarray(target), inr))
    arrays = {name: np.stack([np.asarray(one[name]) for one in found]) for name in found[0]}
    arrays |= {"images": net.images, "targets": targets, "areas": np.asarray(config.areas)}
    arrays["class_names"] = np.array([net.class_name(target) for target in targets])
    columns = ["photograph", "class", "whole", "blank"]
    columns += [f"area {area:g}" for area in config.areas]
    rows: list[list[object]] = [
        [name, class_name, float(whole), float(blank), *map(float, binary)]
        for name, class_name, whole, blank, binary in zip(
            net.names,
            arrays["class_names"].tolist(),
            arrays["p_whole"],
            arrays["p_blank"],
            arrays["p_binary"],
            strict=True,
        )
    ]
    return Outcome(
        arrays, {}, {"p of the class": Table(columns, rows)}, _notes(config, net, arrays)
    )


def _notes(config: Config, net: Explained, arrays: dict[str, np.ndarray]) -> list[str]:
    notes = [f"{len(net.names)} photographs: {net.source}"]
    failed = ~np.isfinite(arrays["objective"])
    late = ~arrays["converged"] & ~failed
    for which, meaning in (
        (failed, "the objective was not finite; the masks are of a network that was not fitted"),
        (late, f"still growing at step {config.steps}, as most fits of 100 steps are"),
    ):
        if which.any():
            names = ", ".join(name for name, found in zip(net.names, which, strict=True) if found)
            notes.append(f"{meaning}: {names}")
    fitted = extremal.InrConfig()
    low, high = fitted.smallest_area, fitted.largest_area
    outside = [f"{area:g}" for area in config.areas if not low <= area <= high]
    if outside:
        notes.append(
            f"areas outside of {low:g} to {high:g}, which networks are fitted to, are what they "
            f"make of areas that they never saw: {', '.join(outside)}"
        )
    return notes


def draw(config: Config, outcome: Outcome) -> dict[str, Figure]:
    """Each photograph, the masks of its areas, and what the network sees through binary ones."""
    arrays = outcome.arrays
    pictures, captions = [], []
    for i, image in enumerate(arrays["images"]):
        name = arrays["class_names"][i]
        pictures += [
            [image, *(mask[:, :, None] for mask in arrays["masks"][i])],
            [plotting.heat(arrays["saliency"][i]), *arrays["blended"][i]],
        ]
        captions += [
            [
                f"p({name}) {arrays['p_whole'][i]:.2f}",
                *(f"soft: p {p:.2f}" for p in arrays["p_soft"][i]),
            ],
            ["mean over areas", *(f"binary: p {p:.2f}" for p in arrays["p_binary"][i])],
        ]
    titles = ["photograph", *(f"area {area:g}" for area in config.areas)]
    return {
        "inr_explain": plotting.image_grid(
            pictures, column_titles=titles, captions=captions, size=1.5
        )
    }


def animate(config: Config, outcome: Outcome) -> dict[str, np.ndarray]:
    """Each photograph through its mask as the area grows and shrinks again.

    Args:
        config: options.
        outcome: what was computed.

    Returns:
        Frames by the number of the photograph.
    """
    found = {}
    for i, image in enumerate(outcome.arrays["images"]):
        masks = outcome.arrays["sweep"][i]
        there_and_back = np.concatenate([masks, masks[-2:0:-1]])[..., None]
        grey = plotting.HIDDEN_GREY
        found[f"area_{i}"] = np.clip(there_and_back * image + (1 - there_and_back) * grey, 0, 1)
    return found


def caption(config: Config, outcome: Outcome) -> str:
    """State how much of a photograph is enough, in numbers."""
    arrays = outcome.arrays
    text = ", ".join(
        f"{p:.2f} at {area:g}"
        for area, p in zip(config.areas, arrays["p_binary"].mean(0), strict=True)
    )
    error = np.abs(arrays["mask_area"] - arrays["areas"][None]).max()
    return (
        "One coordinate network for each photograph gives the mask of every area; outside of it "
        "the network sees a blur. Above, the masks; below, the photograph through their largest "
        "values in zeros and ones, up to exactly the same area: what the mask shows at low "
        f"contrast is lost there. Mean p(class) of the binary masks: {text}; of "
        f"the whole photograph {arrays['p_whole'].mean():.2f}, of the blur alone "
        f"{arrays['p_blank'].mean():.2f}. Masks keep the area asked for to {error:.1e}. The left "
        "column ranks the pixels by the mean over areas; area_0.gif and the others sweep the area."
    )


EXPERIMENT = Experiment(
    name="inr_explain",
    title="Which part of a photograph is enough",
    regenerates="Figure 10",
    needs="nothing (three photographs of scikit-image)",
    duration="15 s a photograph",
    config=Config,
    compute=compute,
    draw=draw,
    animate=animate,
    caption=caption,
    smoke={"count": 1, "areas": (0.2,), "frames": 2, "steps": 2},
    full={"count": 0},
)
