"""Figure 26, Table 13: Sanity checks of every method.

    python -m experiments sanity_checks    # 3 min

Expected: the gradient correlates with that of a network without training by 0.084 [0.069, 0.100].

Which explanations change when the network forgets, one layer after the other or all at once, for
another class, and not where the input is shifted and the network takes the shift back? It resumes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments.common import methods as listed
from experiments.core.experiment import Sweep, Tables
from experiments.core.labelled import pictures
from experiments.evaluation import _sanity
from fitb_jax import ablation, evaluation, models, plotting
from fitb_jax.evaluation.board_checks import ALIKE, CHECKS, INVARIANT, passes
from fitb_jax.evaluation.tables import interval_table, intervals
from fitb_jax.types import Key, LogitsFn, SaliencyFn

MEASURES = {
    "spearman": "Spearman",
    "spearman_magnitude": "Spearman of magnitudes",
    "ssim": "SSIM",
    "hog": "HOG correlation",
}


@dataclasses.dataclass(frozen=True)
class Config(_sanity.SanityOptions):
    """Options of the sanity checks.

    Attributes:
        test_images: test images explained.
    """

    test_images: int = 16


def point(
    *,
    method: SaliencyFn,
    image: dict[str, jax.Array],
    reference: LogitsFn,
    others: LogitsFn,
    shift: jax.Array,
    key: Key,
) -> dict[str, jax.Array]:
    """The maps of one method of one image, the reference first, and the similarities."""
    pixels, target = image["pixels"], image["target"]
    method_key, class_key = jax.random.split(key)
    # All in one structure, so that the method is compiled once for all checks.
    still = models.shift_input(reference, 0.0)
    still_others = jax.vmap(lambda logits_fn: models.shift_input(logits_fn, 0.0))(others)
    shifted = models.shift_input(reference, shift)
    cases = evaluation.join_cases(
        evaluation.network_cases(still_others, pixels, target),
        evaluation.random_logit_case(still, pixels, target, key=class_key),
        evaluation.input_shift_case(shifted, pixels, target, shift=shift),
    )
    found = evaluation.compare(
        method, evaluation.Case(still, pixels, target), cases, key=method_key
    )
    maps = jnp.concatenate([found.reference[None], found.maps])
    return {"maps": maps, **found.similarity._asdict()}


def _rows(config: Config) -> dict[str, SaliencyFn]:
    methods = listed.small_methods(config.architecture)
    blurred = {listed.BLURRED: listed.blurred(methods["gradient"])}
    return listed.chosen({**methods, **blurred, **listed.controls()}, config.methods)


def load(config: Config) -> _sanity.Checked:
    """The networks; unknown methods are refused before they are trained."""
    _rows(config)
    return _sanity.checked(config)


def sweep(config: Config, net: _sanity.Checked) -> Sweep:
    """Methods and controls on every test image."""
    rows = _rows(config)
    fields = {
        name: ablation.Field(("case",), meaning=meaning, nan_is_answer=True)
        for name, meaning in MEASURES.items()
    }
    fields["maps"] = ablation.Field(("map", "row", "column"))
    about = {
        "case": ("case", net.names),
        "map": ("map", ["trained", *net.names]),
        "layer": ("layer", net.layers),
    }
    return dataclasses.replace(
        _sanity.sanity_sweep(config, net, point, rows, fields=fields, shared=net.shared),
        about=about,
    )


def compute(config: Config, net: _sanity.Checked, found: xr.Dataset) -> xr.Dataset:
    """The similarities over test images, and the maps of the first."""
    maps = found["maps"].isel(image=0, drop=True)
    digit = pictures(digit=net.net.test.images[0])
    return _sanity.with_networks(found.assign(digit).assign(maps=maps), net)


def _judged(found: xr.Dataset) -> dict[str, tuple[str, str]]:
    """The case that each check looks at, and the measure."""
    return {
        "random_network": (f"down to {found['layer'].values[-1]}", "spearman_magnitude"),
        "random_labels": (_sanity.RANDOM_LABELS, "spearman_magnitude"),
        "random_logit": (_sanity.RANDOM_LOGIT, "spearman"),
        "input_shift": (_sanity.INPUT_SHIFT, "spearman"),
    }


def tables(config: Config, found: xr.Dataset) -> Tables:
    """All measures of a network without training, and the one that decides of the other checks."""
    (bottom, _), *others = _judged(found).values()
    columns = [(bottom, of, f"all layers random: {label}") for of, label in MEASURES.items()]
    columns += [(case, of, f"{case}: {MEASURES[of]}") for case, of in others]
    each = [
        interval_table(found[of].sel(case=case), rows="method", over="image", title=title)
        for case, of, title in columns
    ]
    return {"sanity checks": pd.concat(each, axis=1)}


def draw(config: Config, found: xr.Dataset) -> dict[str, Figure]:
    """The maps of one digit by every method and network; all similarities as numbers."""
    titles = found["map"].values.tolist()
    breaks = {"down to ": "random to\n", "only ": "random only\n", "random l": "random\nl"}
    for words, broken in breaks.items():
        titles = [title.replace(words, broken) for title in titles]
    maps = plotting.map_strips(
        found["maps"],
        rows="method",
        columns="map",
        show=plotting.heat,
        column_titles=titles,
        size=0.95,
    )
    figure = Figure(figsize=(15, 11), layout="constrained")
    axes = figure.subplots(2, 2, sharey=True)
    for axis, (name, label) in zip(axes.flat, MEASURES.items(), strict=True):
        means = intervals(found[name], over="image").sel(interval="estimate")
        plotting.heat_map(
            axis, means, rows="method", columns="case", title=label, limits=(0.0, 1.0)
        )
        axis.tick_params(axis="x", rotation=35, labelsize=7)
        axis.tick_params(axis="y", labelsize=7)
    return {"sanity_checks": maps, "similarities": figure}


def failures(found: xr.Dataset) -> dict[str, list[str]]:
    """The methods that fail each check."""
    failed = {}
    for name, (case, of) in _judged(found).items():
        passed = passes(CHECKS[name], found[of].sel(case=case))
        failed[CHECKS[name].title] = found["method"].values[~passed.values].tolist()
    return failed


def caption(config: Config, found: xr.Dataset) -> str:
    """Name the methods that fail each check, ours included."""
    failed = "; ".join(
        f"{check}: {', '.join(names) or 'none'}" for check, names in failures(found).items()
    )
    return (
        f"Maps of {found.sizes['image']} digits for the trained network, for networks with random "
        "weights from the logits down or in one layer, for one that learned random labels (it fits "
        f"{found['fitted'].sel(interval='estimate'):.1%} of them), for another class, and for an "
        f"input shifted by {config.shift:g} with a network that takes the shift back. A method "
        "fails where the mean rank correlation with the map of the trained network is above "
        f"{ALIKE:g} (of magnitudes for other networks, with sign for another class), or below "
        f"{INVARIANT:g} for the shift, or where a map is constant. Failed: {failed}. Controls that "
        "ask no network must fail whatever asks for a change. Colours are scaled for each map."
    )


numbers = _sanity.network_numbers

SMOKE = {
    "test_images": 2,
    "epochs": 1,
    "label_epochs": 1,
    "methods": ("Grad-CAM", "Sobel edges"),
}

FULL = {"test_images": 200}
