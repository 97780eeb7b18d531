"""Figure 28, Table 15: Scoreboard of every method and check.

    python -m experiments scoreboard    # 10 min, 1 h with --source photographs

Expected: no method passes all 8 checks; the gradient, SmoothGrad, RISE and guided backpropagation
pass 7, both fill-ins 5, extremal masks 3. On five photographs none passes more than 3 of 7.

Digits and a small network by default; `--source photographs` asks what a pretrained network
allows. It resumes.
"""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Sweep, Tables, method_sweep, unless_asked
from experiments.core.labelled import with_notes
from experiments.evaluation import _sanity
from fitb_jax import ablation, evaluation, models
from fitb_jax.evaluation.board import ALIKE, CHECKS, INVARIANT, passes
from fitb_jax.evaluation.map_scores import faithfulness_scores
from fitb_jax.evaluation.tables import interval_table, intervals
from fitb_jax.types import Key, LogitsFn, SaliencyFn

AT_ONCE = 32

SAMPLES = 10
"""Images around an image, for max-sensitivity."""

QUESTIONS = (
    "random_network",
    "random_labels",
    "random_logit",
    "input_shift",
    "insertion",
    "deletion",
    "road",
    "infidelity",
    "sensitivity",
    "gini",
)
"""The columns, of `CHECKS`."""

NOT_OF_PHOTOGRAPHS = ("random_labels", "sensitivity")
"""Nobody trains on permuted ImageNet labels for a table; max-sensitivity asks for ten explanations
more of each photograph."""


@dataclasses.dataclass(frozen=True)
class Config(_sanity.SanityOptions, PhotographOptions):
    """Options of the scoreboard.

    Attributes:
        source: of the images, and with them of the network: test images and a small one, or
            photographs and a pretrained one.
        test_images: test images explained.
        chunk: images of the curves of a photograph evaluated at once.
    """

    source: Literal["digits", "photographs"] = "digits"
    test_images: int = 32
    chunk: int = 2

    @property
    def columns(self) -> list[str]:
        """The checks that are made."""
        left_out = NOT_OF_PHOTOGRAPHS if self.source == "photographs" else ()
        return [name for name in QUESTIONS if name not in left_out]


def point(
    *,
    method: SaliencyFn,
    image: dict[str, jax.Array],
    reference: LogitsFn,
    others: LogitsFn,
    shift: jax.Array,
    colour: jax.Array,
    key: Key,
    columns: tuple[str, ...],
    chunk: int,
) -> dict[str, jax.Array]:
    """Every check of one method on one image; `others` has every layer random, or random labels."""
    pixels, target = image["pixels"], image["target"]
    map_key, order_key, noise_key = jax.random.split(key, 3)
    found = _sanity.compare(
        method, pixels, target, reference=reference, others=others, shift=shift, key=map_key
    )
    saliency, alike = found.reference, found.similarity
    networks = [name for name in columns if name in ("random_network", "random_labels")]
    scores = {name: alike.spearman_magnitude[i] for i, name in enumerate(networks)}
    scores |= {"random_logit": alike.spearman[-2], "input_shift": alike.spearman[-1]}
    asked = (reference, pixels, saliency, target)
    scores |= faithfulness_scores(*asked, colour=colour, chunk=chunk, key=order_key)
    if "sensitivity" in columns:
        method_key, noise_key, near_key = jax.random.split(noise_key, 3)
        scores["sensitivity"] = evaluation.max_sensitivity(
            lambda near: method(reference, near, target, key=method_key),
            pixels,
            key=near_key,
            samples=SAMPLES,
        ).relative
    # Of the effect of noise, what the map does not predict: 1 is a map of zeros.
    effect = evaluation.infidelity(*asked, key=noise_key, chunk=chunk)
    return {**scores, "infidelity": effect.scaled / effect.variation}


def load(config: Config) -> _sanity.Checked | Explained:
    """The networks and images of the source."""
    return _sanity.checked(config) if config.source == "digits" else explained(config)


def sweep(config: Config, net: _sanity.Checked | Explained) -> Sweep:
    """Controls and methods on every image; cheap lines first, for a run that is stopped."""
    # A constant map has no correlation: there is no answer then.
    fields = {
        name: ablation.Field(meaning=CHECKS[name].meaning, nan_is_answer=True)
        for name in config.columns
    }
    ask = functools.partial(point, columns=tuple(config.columns))
    if isinstance(net, _sanity.Checked):
        # Every layer random, and random labels.
        picked = np.array([len(net.layers) - 1, 2 * len(net.layers) - 1])
        return _sanity.sanity_sweep(
            config,
            net,
            functools.partial(ask, chunk=AT_ONCE),
            _rows(config, listed.small_methods(config.architecture)),
            fields=fields,
            at_once=AT_ONCE,
            others=jax.tree.map(lambda leaf: leaf[picked], net.shared["others"]),
            colour=jnp.asarray(net.net.train.images.mean((0, 1, 2)), jnp.float32),
        )
    return method_sweep(
        functools.partial(ask, chunk=config.chunk),
        _rows(config, listed.photo_methods(net.pretrained)),
        net.cases,
        net.names,
        seed=config.seed,
        shared={
            "reference": net.pretrained.logits_fn,
            "colour": jnp.asarray(net.pretrained.mean_colour, jnp.float32),
            "others": models.stack([net.untrained]),
            "shift": jnp.float32(config.shift),
        },
        fields=fields,
        name=config.source,
    )


def _rows(config: Config, methods: dict[str, SaliencyFn]) -> dict[str, SaliencyFn]:
    blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
    return listed.chosen({**listed.controls(), **blurred, **methods}, config.methods)


def compute(config: Config, net: _sanity.Checked | Explained, found: xr.Dataset) -> xr.Dataset:
    """The scores, and what is said of the networks."""
    if isinstance(net, _sanity.Checked):
        return _sanity.with_networks(found, net)
    is_wrong = (net.labels >= 0) & (net.labels != net.predicted)
    return with_notes(
        found,
        f"{len(net.names)} photographs: {net.source}; explained is the true class where it is "
        f"known, which the network does not predict for {is_wrong.sum()}",
        "the place of the objects is asked by `localisation`",
    )


def verdicts(found: xr.Dataset) -> dict[str, xr.DataArray]:
    """Which methods pass each check that is a judgement, (method,) by its name."""
    return {
        name: passes(check, found[name])
        for name, check in CHECKS.items()
        if name in found and check.is_high_good is not None
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Means with intervals over images, how many checks are passed, and which are not."""
    each = [
        interval_table(found[name], rows="method", over="image", title=check.title)
        for name, check in CHECKS.items()
        if name in found
    ]
    passed = verdicts(found)
    board = pd.DataFrame({CHECKS[name].title: one.to_series() for name, one in passed.items()})
    table = pd.concat(each, axis=1)
    table["passed"] = [f"{count} of {len(passed)}" for count in board.sum(axis=1)]
    table["fails"] = [", ".join(board.columns[~line]) for line in board.to_numpy()]
    return {"scoreboard": table}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The means of every method, on green where a check is passed and on red where not."""
    names, passed = [name for name in CHECKS if name in found], verdicts(found)
    methods = found["method"].values.tolist()
    unjudged = np.zeros(len(methods), int)
    shades = [np.where(passed[name], 1, 2) if name in passed else unjudged for name in names]
    figure = Figure(figsize=(3 + 1.05 * len(names), 1.4 + 0.3 * len(methods)), layout="constrained")
    axis = figure.subplots()
    colours = ListedColormap(["#eeeeee", "#b7e0b1", "#f2b8b0"])
    axis.imshow(np.stack(shades, 1), cmap=colours, vmin=0, vmax=2, aspect="auto")
    for column, name in enumerate(names):
        means = intervals(found[name], over="image").sel(interval="estimate").values
        for row, mean in enumerate(means):
            axis.text(column, row, f"{mean:.2f}", ha="center", va="center", fontsize=8)
    arrows = {None: "", True: "\nhigh is good", False: "\nlow is good"}
    labels = [CHECKS[name].title + arrows[CHECKS[name].is_high_good] for name in names]
    axis.set_xticks(range(len(names)), labels, fontsize=7)
    axis.xaxis.tick_top()
    axis.set_yticks(range(len(methods)), methods, fontsize=8)
    axis.tick_params(length=0)
    axis.set_xlabel(
        f"Means over {_of(config, found)}. Green: passed, red: failed, grey: no judgement",
        fontsize=8,
    )
    return {"scoreboard": figure}


def _of(config: Config, found: xr.Dataset) -> str:
    count = found.sizes["image"]
    if config.source == "photographs":
        return f"{count} photographs, {config.model}"
    return f"{count} test images of {config.dataset}, {config.architecture} {config.activation}"


def caption(config: Config, found: xr.Dataset) -> str:
    """Say who passes most, the rule, and what is not asked."""
    passed = xr.concat([*verdicts(found).values()], "check").sum("check")
    best = found["method"].values[(passed == passed.max()).values].tolist()
    asked = (
        "Random labels and max-sensitivity are left out: nobody trains on permuted ImageNet labels "
        "for a table, and ten explanations more of each photograph take hours. With few "
        "photographs an interval is wide, and a failure to beat a control may be one of their "
        "number. Gini is no judgement."
        if config.source == "photographs"
        else "Retraining, localisation and agreement across networks have tables of their own. A "
        "map that asks no network does not move with the image's noise, and may be concentrated: "
        "sensitivity and Gini are no judgement."
    )
    return (
        "Every method and control against the checks of a map and a network, over "
        f"{_of(config, found)}. Most checks, {int(passed.max())} of {len(verdicts(found))}, are "
        f"passed by {', '.join(best)}. A sanity check is failed where the mean rank correlation "
        f"with the map of another network (magnitudes) or class (signed) is above {ALIKE:g}, or "
        f"that after the shift below {INVARIANT:g}; insertion, deletion, ROAD and infidelity where "
        "the method does not beat each of the random map, the centre and the Sobel edges by a "
        "paired 95 % interval over images. Infidelity is the share of the effect of noise on the "
        f"logit that the map, scaled as is best for it, does not predict. {asked}"
    )


def numbers(config: Config, found: xr.Dataset) -> dict[str, Any]:
    """How good the small networks are."""
    return _sanity.network_numbers(config, found) if config.source == "digits" else {}


left_out = unless_asked("it asks every method every question; run it by its name, or --full")

SMOKE = {
    "test_images": 3,
    "epochs": 1,
    "label_epochs": 1,
    "count": 2,
    "methods": ("gradient", "random map", "centre", "Sobel edges"),
}

FULL = {"test_images": 500}
