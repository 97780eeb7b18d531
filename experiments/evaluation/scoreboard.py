"""Figure 28, Table 15: Scoreboard of every method and check.

    python -m experiments scoreboard    # 10 min, 2 h with --source photographs

Expected: no method passes all 14 checks; the most are 12, by guided backpropagation.

Digits and a small network by default; `--source photographs` asks what a pretrained network
allows. It resumes.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.common.networks import ensemble
from experiments.common.photographs import Explained, PhotographOptions, explained
from experiments.core.experiment import Sweep, Tables, method_sweep, unless_asked
from experiments.core.labelled import with_notes
from experiments.evaluation import _sanity
from fitb_jax import ablation, models
from fitb_jax.evaluation.board import method_scores
from fitb_jax.evaluation.board_checks import AGREEING, ALIKE, CHECKS, INVARIANT, judged
from fitb_jax.evaluation.tables import interval_table, paired_difference
from fitb_jax.types import Key, LogitsFn, SaliencyFn

AT_ONCE = 32

SAMPLES = 10
"""Images around an image, for max-sensitivity."""

MOVE = 2
"""Pixels by which a digit is rolled: it stays on the image."""

BEHIND = 16
"""Training images that are put behind the masks of a map."""

NOT_OF_PHOTOGRAPHS = ("random_labels", "in_domain_deletion", "sensitivity", "kept")
"""Nobody trains on permuted ImageNet labels, or with cells deleted, for a table; max-sensitivity
asks for ten explanations more of each photograph; photographs behind masks are in the tables of
masks."""

NEEDS_TRUTH = ("pointing", "precision", "relevance_rank")
"""The place of the objects is asked by `localisation`."""


@dataclasses.dataclass(frozen=True)
class Config(_sanity.SanityOptions, PhotographOptions):
    """Options of the scoreboard.

    Attributes:
        source: of the images, and with them of the network: test images and a small one, or
            photographs and a pretrained one.
        test_images: test images explained.
        chunk: images of the curves of a photograph evaluated at once.
        judge: of photographs, the network that takes no part.
    """

    source: Literal["digits", "photographs"] = "digits"
    test_images: int = 32
    chunk: int = 2
    judge: str = "efficientnet_lite2"

    @property
    def columns(self) -> list[str]:
        """The checks that are made."""
        left_out = NOT_OF_PHOTOGRAPHS if self.source == "photographs" else ()
        return [name for name in CHECKS if name not in (*left_out, *NEEDS_TRUTH)]


def point(
    *,
    method: SaliencyFn,
    image: Mapping[str, jax.Array],
    witnesses: Mapping[str, Any],
    key: Key,
    columns: Sequence[str],
    **settings: Any,
) -> dict[str, jax.Array]:
    """Every check of one method on one image; where masks are asked for, their mean over areas."""
    scores = method_scores(
        method, image=image["pixels"], target=image["target"], key=key, **witnesses, **settings
    )
    return {name: scores[name].mean() for name in columns}


def load(config: Config) -> _sanity.Checked | Explained:
    """The networks and images of the source."""
    if config.source == "digits":
        _rows(config, listed.small_methods(config.architecture))  # refused before a training
        return _sanity.checked(config)
    return explained(config)


def sweep(config: Config, net: _sanity.Checked | Explained) -> Sweep:
    """Controls and methods on every image; cheap lines first, for a run that is stopped."""
    # A constant map has no correlation: there is no answer then.
    fields = {
        name: ablation.Field(meaning=CHECKS[name].meaning, nan_is_answer=True)
        for name in config.columns
    }
    ask = functools.partial(point, columns=tuple(config.columns))
    if isinstance(net, _sanity.Checked):
        return _sanity.sanity_sweep(
            config,
            net,
            functools.partial(ask, chunk=AT_ONCE, samples=SAMPLES, move=MOVE),
            _rows(config, listed.small_methods(config.architecture)),
            fields=fields,
            shared={"witnesses": _small_witnesses(config, net)},
            at_once=AT_ONCE,
        )
    logits_fn = net.pretrained.logits_fn
    return method_sweep(
        functools.partial(ask, chunk=config.chunk),
        _rows(config, listed.photo_methods(net.pretrained)),
        net.cases,
        net.names,
        seed=config.seed,
        shared={
            "witnesses": {
                **_shifted(config.shift, logits_fn=logits_fn, fresh_logits_fn=net.untrained),
                "other_logits_fn": models.load(config.judge).logits_fn,
                "colour": jnp.asarray(net.pretrained.mean_colour, jnp.float32),
            }
        },
        fields=fields,
        name=config.source,
    )


def _small_witnesses(config: Config, net: _sanity.Checked) -> dict[str, Any]:
    """Networks of the same digits: random ones, another seed, and those of other trainings."""
    train, test = net.net.train, net.net.test
    # Every layer random, and random labels.
    fresh, of_labels = (
        jax.tree.map(lambda leaf, at=at: leaf[at], net.shared["others"])
        for at in (len(net.layers) - 1, 2 * len(net.layers) - 1)
    )
    apart = dataclasses.replace(config, seed=config.seed + 1)
    of_cells = ensemble(config, 1, train, test, {"deleted_cells": 4}).trained[0]
    return {
        **_shifted(
            config.shift,
            logits_fn=net.net.trained,
            fresh_logits_fn=fresh,
            labels_logits_fn=of_labels,
            cells_logits_fn=of_cells,
        ),
        "other_logits_fn": ensemble(apart, 1, train, test).trained[0],
        "backgrounds": jnp.asarray(train.images[-BEHIND:]),
        "colour": jnp.asarray(train.images.mean((0, 1, 2)), jnp.float32),
    }


def _shifted(shift: float, **networks: LogitsFn) -> dict[str, Any]:
    """All networks in one structure, so that a method is compiled once for all of them."""
    still = {name: models.shift_input(one, 0.0) for name, one in networks.items()}
    return {
        **still,
        "shifted_logits_fn": models.shift_input(networks["logits_fn"], shift),
        "shift": jnp.float32(shift),
    }


def _rows(config: Config, methods: dict[str, SaliencyFn]) -> dict[str, SaliencyFn]:
    blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
    return listed.chosen({**listed.controls(), **blurred, **methods}, config.methods)


def compute(config: Config, net: _sanity.Checked | Explained, found: xr.Dataset) -> xr.Dataset:
    """The scores, who passes, and what is said of the networks."""
    found = judged(found)
    if isinstance(net, _sanity.Checked):
        return _sanity.with_networks(found, net)
    is_wrong = (net.labels >= 0) & (net.labels != net.predicted)
    return with_notes(
        found,
        f"{len(net.names)} photographs: {net.source}; explained is the true class where it is "
        f"known, which the network does not predict for {is_wrong.sum()}",
        "the place of the objects is asked by `localisation`",
    )


def tables(config: Config, found: xr.Dataset) -> Tables:
    """Means with intervals over images, who passes what, and paired differences to the best."""
    names = found["check"].values.tolist()

    def columns(of: Mapping[str, xr.DataArray]) -> pd.DataFrame:
        each = [
            interval_table(scores, rows="method", over="image", title=CHECKS[name].title)
            for name, scores in of.items()
        ]
        return pd.concat(each, axis=1)

    table = columns({name: found[name] for name in names})
    passed = found["passed"].transpose("method", "check")
    asked = passed.notnull().sum("check").values
    table["passed"] = [
        f"{int(count)} of {of}" for count, of in zip(passed.sum("check").values, asked, strict=True)
    ]
    titles = np.array([CHECKS[name].title for name in names])
    table["fails"] = [", ".join(titles[line == 0]) for line in passed.values]
    best = found["method"].values[int(passed.sum("check").argmax("method"))]
    less = {name: paired_difference(found[name], method=best) for name in names}
    return {"scoreboard": table, f"less {best}, paired over images": columns(less)}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The means of every method, on green where a check is passed and on red where not."""
    names = found["check"].values.tolist()
    methods = found["method"].values.tolist()
    passed = found["passed"].transpose("check", "method").values
    shades = np.select([passed == 1, passed == 0], [1, 2], 0).T
    figure = Figure(figsize=(3 + 0.72 * len(names), 1.6 + 0.3 * len(methods)), layout="constrained")
    axis = figure.subplots()
    colours = ListedColormap(["#eeeeee", "#b7e0b1", "#f2b8b0"])
    axis.imshow(shades, cmap=colours, vmin=0, vmax=2, aspect="auto")
    for column, name in enumerate(names):
        means = found["mean"].sel(check=name, interval="estimate").values
        for row, mean in enumerate(means):
            axis.text(column, row, f"{mean:.2f}", ha="center", va="center", fontsize=8)
    arrows = {None: "", True: "\nhigh is good", False: "\nlow is good"}
    labels = [
        CHECKS[name].title.replace(" ", "\n") + arrows[CHECKS[name].is_high_good] for name in names
    ]
    axis.set_xticks(range(len(names)), labels, fontsize=7)
    axis.xaxis.tick_top()
    axis.set_yticks(range(len(methods)), methods, fontsize=8)
    axis.tick_params(length=0)
    axis.set_xlabel(
        f"Means over {_of(config, found)}. Green: passed, red: not passed, grey: no judgement",
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
    passed = found["passed"].sum("check")
    asked_of = int(found["passed"].notnull().all("method").sum())
    best = found["method"].values[(passed == passed.max()).values].tolist()
    asked = (
        "Random labels, IDSDS, max-sensitivity and other backgrounds are left out: nobody trains "
        "on ImageNet anew for a table, ten explanations more of each photograph take hours, and "
        "the tables of masks have the backgrounds. With few photographs an interval is wide, and a "
        "failure to beat a control may be one of their number."
        if config.source == "photographs"
        else "Retraining, localisation and agreement across networks have tables of their own."
    )
    return (
        "Every method and control against the checks of a map and a network, over "
        f"{_of(config, found)}. Most checks, {int(passed.max())} of {asked_of}, are "
        f"passed by {', '.join(best)}. A sanity check is failed where the mean rank correlation "
        f"with the map of another network (magnitudes) or class (signed) is above {ALIKE:g}, or "
        f"that after the shift below {INVARIANT:g}; two keys and image moved where the best tenths "
        f"overlap by less than {AGREEING:g}; the other checks in colour where the method does not "
        "beat each of the random map, the centre and the Sobel edges by a paired 95 % interval "
        "over images. Grey columns are no judgement. Infidelity is the share of the effect of "
        f"noise on the logit that the map, scaled as is best for it, does not predict. {asked}"
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
    "methods": ("gradient", "random map"),
}

FULL = {"test_images": 500}
