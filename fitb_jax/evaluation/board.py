"""Should this method be believed? Every check of its maps, beside controls, in one call."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from fitb_jax import batching, checks, extras, masks
from fitb_jax.batching import chunked_vmap
from fitb_jax.evaluation.cell_deletion import single_deletion
from fitb_jax.evaluation.control_methods import CONTROLS
from fitb_jax.evaluation.drop_and_gain import average_drop
from fitb_jax.evaluation.localisation import pointing_game, precision, relevance_rank
from fitb_jax.evaluation.map_scores import faithfulness_scores
from fitb_jax.evaluation.map_similarity import spearman, top_k_iou
from fitb_jax.evaluation.ranking import top_weights
from fitb_jax.evaluation.robustness import infidelity
from fitb_jax.evaluation.sanity import random_other_class
from fitb_jax.objectives import is_predicted, prob
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import (
    Array,
    Background,
    Bool,
    Float,
    Image,
    Int,
    Key,
    LogitsFn,
    Mask,
    Objective,
    SaliencyFn,
    Scalar,
    Target,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

AREAS = (0.05, 0.1, 0.2, 0.4)
"""Shares of the image that masks of a map show."""

BLUR = 20 / 224
"""Standard deviation of what masks hide behind, as a share of the longer side."""

AREA_OF_AGREEMENT = 0.1
"""Two maps agree where their best tenths overlap."""

ALIKE = 0.5
"""A map more similar than this to that of a network without training has failed."""

INVARIANT = 0.95
"""A map less similar than this to that of the image before a shift has failed."""

AGREEING = 0.4
"""The best tenths of two maps of one image that overlap less than this have failed."""


class Check(NamedTuple):
    """One question to the maps of a method.

    Attributes:
        title: for tables.
        meaning: of its number, for one image.
        is_high_good: None where it is no judgement.
        bound: that the mean must not be worse than; without one the method must beat each control.
    """

    title: str
    meaning: str
    is_high_good: bool | None
    bound: float | None = None

    @property
    def rule(self) -> str:
        """When the check is passed, in words."""
        if self.is_high_good is None:
            return "no judgement"
        if self.bound is None:
            return "better than each control by a paired 95 % interval"
        return f"mean at {'least' if self.is_high_good else 'most'} {self.bound:g}"


CHECKS: Mapping[str, Check] = {
    "random_network": Check(
        "random network", "Spearman of magnitudes to all layers random", False, ALIKE
    ),
    "random_labels": Check(
        "random labels", "Spearman of magnitudes to a net of random labels", False, ALIKE
    ),
    "random_logit": Check("random logit", "Spearman to another class", False, ALIKE),
    "input_shift": Check("input shift", "Spearman after a shift taken back", True, INVARIANT),
    "two_keys": Check("two keys", "overlap of the best tenths of two draws", True, AGREEING),
    "moved": Check(
        "image moved", "overlap of the best tenths of the image and the image moved", True, AGREEING
    ),
    "insertion": Check("insertion", "area under p(target), important pixels shown first", True),
    "deletion": Check("deletion", "area under p(target), important pixels hidden first", False),
    "road": Check("ROAD", "half of LeRF less MoRF", True),
    "infidelity": Check(
        "infidelity", "share of the effect of noise that the map does not predict", False
    ),
    "single_deletion": Check(
        "single deletion", "Spearman over cells of the map and the drop by deletion", True
    ),
    "p_shown": Check("p shown", "p(target) through the map's masks, on a blur", None),
    "p_other_network": Check(
        "p, other network", "p(target) through the same masks by another network", True
    ),
    "kept": Check("kept", "share of other backgrounds on which the masks keep the class", True),
    "pointing": Check("pointing game", "whether the largest value is on the object", True),
    "precision": Check("precision", "share of the masks that is on the object", True),
    "relevance_rank": Check("relevance rank", "share of the best pixels on the object", True),
    "average_drop": Check("average drop", "share of p(target) lost through the map", None),
    "average_increase": Check(
        "increase in confidence", "whether p(target) rises through the map", None
    ),
    "average_gain": Check("average gain", "share of the missing p(target) won", None),
    "sensitivity": Check("max-sensitivity", "largest relative change under small noise", None),
    "gini": Check("Gini", "concentration of the magnitudes", None),
}
"""By name. A new check is an entry here and a value in `_scores`."""


class _Asked(NamedTuple):
    """What the checks look at besides the method; None where the caller gave nothing."""

    logits_fn: LogitsFn
    fresh_logits_fn: LogitsFn | None
    other_logits_fn: LogitsFn | None
    backgrounds: Float[Array, "b h w c"] | None
    colour: Float[Array, "..."]


def scoreboard(
    methods: Mapping[str, SaliencyFn],
    logits_fn: LogitsFn,
    images: Float[Array, "n h w c"],
    targets: Int[Array, "n"],
    *,
    key: Key,
    fresh_logits_fn: LogitsFn | None = None,
    other_logits_fn: LogitsFn | None = None,
    truth: Bool[Array, "n h w"] | None = None,
    backgrounds: Float[Array, "b h w c"] | None = None,
    areas: Sequence[float] = AREAS,
    colour: Background = 0.0,
    move: int = 8,
    objective: Objective = prob,
    chunk: int = 8,
    progress: bool = True,
) -> "xr.Dataset":
    """Ask methods every question that the arguments allow, and controls the same questions.

    Args:
        methods: by name, such as `fitb_jax.saliency.as_saliency` makes them.
        logits_fn: the classifier that is explained.
        images: (n, h, w, c) in [0, 1]. An interval over fewer than ten images says little.
        targets: (n,), the class that is explained in each.
        key: random key of everything; all methods have the same draws.
        fresh_logits_fn: the same network with random weights, for `random_network`.
        other_logits_fn: a network that took no part, for `p_other_network`.
        truth: (n, h, w), where the object is, for `pointing`, `precision` and `relevance_rank`.
        backgrounds: (b, h, w, c), other images that no method has seen, for `kept`.
        areas: shares of the image that the masks of a map show: its largest values.
        colour: what deleted pixels show, such as the mean colour that the network subtracts.
        move: pixels by which the image is rolled to the lower right, for `moved`.
        objective: a probability: `prob`, or `sigmoid_prob` for several labels.
        chunk: images at once inside of a score.
        progress: whether to show a bar.

    Returns:
        A data set with the labels `method` (controls first), `image`, `area`, `check`, `control`
        and `interval`:
            - a variable for each check that was made, (method, image) or (method, image, area);
            - `p_whole` and `p_blank`, p(target) of the whole image and where nothing is shown,
              (image,): where the blank has the class by itself, masks prove nothing;
            - `mean`, (check, method, interval), and `difference`, (check, method, control,
              interval), paired over images, of which more is better;
            - `passed`, (check, method): 1, 0, or nan where there is no judgement.
        The rules are in `attrs` of the variables; `score_table` prints it.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.
        ImportError: xarray is not installed; names the extra.
    """
    with extras.needed("evaluation.scoreboard", extra="grids"):
        import xarray as xr
    _check_arguments(methods, logits_fn, images, targets, truth, backgrounds, areas, key)
    checks.check_background(colour, images.shape[1:], name="colour")
    checks.check_count("move", move)
    checks.check_count("chunk", chunk)
    shape = images.shape[1:]
    asked = _Asked(
        _as_argument(logits_fn),
        None if fresh_logits_fn is None else _as_argument(fresh_logits_fn),
        None if other_logits_fn is None else _as_argument(other_logits_fn),
        backgrounds,
        jnp.asarray(colour, images.dtype),
    )
    keys = jax.random.split(key, len(images))
    # Numbers, since a key is no array of the host.
    places = np.arange(len(images))
    ask = functools.partial(
        _scores, areas=tuple(areas), move=move, objective=objective, chunk=chunk
    )
    given = [np.asarray(images), np.asarray(targets), places]
    if truth is not None:
        given.append(np.asarray(truth))
    of_images = (0,) * len(given)
    found = {}
    for name, method in {**CONTROLS, **methods}.items():
        score = jax.jit(jax.vmap(functools.partial(ask, method), in_axes=(None, *of_images)))
        found[name] = batching.stream(
            functools.partial(_with_keys, score, asked, keys),
            *given,
            chunk=1,
            label=name,
            progress=progress,
        )
    whole, blank = _whole_and_blank(asked, images, targets, objective)
    names = [*found]
    variables: dict[str, Any] = {}
    for name in sorted(found[names[0]], key=[*CHECKS].index):
        values = np.stack([found[method][name] for method in names])
        dims = ("method", "image", "area")[: values.ndim]
        attributes = {"meaning": CHECKS[name].meaning, "rule": CHECKS[name].rule}
        variables[name] = (dims, values, attributes)
    board = xr.Dataset(
        {
            **variables,
            "p_whole": ("image", whole, {"meaning": "p(target) of the whole image"}),
            "p_blank": ("image", blank, {"meaning": "p(target) where nothing is shown"}),
        },
        {"method": names, "image": places, "area": list(areas)},
        {"image_shape": str(tuple(shape)), "proves_nothing": int((blank > whole / 2).sum())},
    )
    return judged(board)


def judged(board: "xr.Dataset") -> "xr.Dataset":
    """Add means with intervals, paired differences to the controls, and who passes.

    Args:
        board: variables by the names of `CHECKS`, (method, image) or (method, image, area), with
            the controls among the methods.

    Returns:
        It, with `mean`, `difference` and `passed`; see `scoreboard`.
    """
    with extras.needed("evaluation.scoreboard", extra="grids"):
        import xarray as xr

        from fitb_jax.evaluation.tables import intervals
    names = [name for name in CHECKS if name in board]
    each = {name: _per_image(board[name]) for name in names}
    means = xr.concat([intervals(each[name], over="image") for name in names], "check")
    controls = [name for name in CONTROLS if name in board["method"].values]
    differences = []
    for name in names:
        sign = -1 if CHECKS[name].is_high_good is False else 1
        better = [
            intervals(
                sign * (each[name] - each[name].sel({"method": control}, drop=True)), over="image"
            )
            for control in controls
        ]
        differences.append(xr.concat(better, "control") if better else None)
    passed = xr.concat([passes(CHECKS[name], each[name]).astype(float) for name in names], "check")
    is_judged = [CHECKS[name].is_high_good is not None for name in names]
    passed = passed.where(xr.DataArray(is_judged, dims="check"))
    # Where nothing could be said about any image, nothing is failed.
    passed = passed.where(means.sel(interval="estimate", drop=True).notnull())
    parts: dict[str, Any] = {"mean": means, "passed": passed}
    if controls:
        parts["difference"] = xr.concat(
            [one for one in differences if one is not None], "check"
        ).assign_coords(control=controls)
    rules = xr.DataArray([CHECKS[name].rule for name in names], dims="check")
    parts["rule"] = rules
    labelled = {name: part.assign_coords(check=names) for name, part in parts.items()}
    return board.assign(labelled)


def passes(check: Check, scores: "xr.DataArray") -> "xr.DataArray":
    """Which methods pass a check.

    Args:
        check: the question.
        scores: (method, image), with the controls among the methods.

    Returns:
        (method,), booleans. A bound is one of the mean. Where there is none the method must beat
        each control: the 95 % interval of the paired differences over images is on the good side.
    """
    with extras.needed("evaluation.scoreboard", extra="grids"):
        import xarray as xr

        from fitb_jax.evaluation.tables import intervals
    sign = -1 if check.is_high_good is False else 1
    if check.bound is not None:
        means = intervals(scores, over="image").sel(interval="estimate", drop=True)
        return sign * means >= sign * check.bound
    passed = xr.full_like(scores.isel(image=0, drop=True), True, bool)
    for control in [name for name in CONTROLS if name in scores["method"].values]:
        better = sign * (scores - scores.sel({"method": control}, drop=True))
        passed &= intervals(better, over="image").sel(interval="low", drop=True) > 0
    return passed


def score_table(board: "xr.Dataset") -> "pd.DataFrame":
    """A scoreboard as a table that prints: a row a method, a column a check.

    Args:
        board: from `scoreboard`.

    Returns:
        Means with their intervals; "+" where the check is passed and "-" where not; and how many
        are passed.
    """
    with extras.needed("evaluation.score_table", extra="grids"):
        import pandas as pd
    methods = board["method"].values.tolist()
    rows: dict[str, list[str]] = {}
    for name in board["check"].values.tolist():
        marks = {1.0: " +", 0.0: " -"}
        passed = board["passed"].sel(check=name).values
        means = board["mean"].sel(check=name).transpose("method", "interval").values
        rows[CHECKS[name].title] = [
            f"{mean:.2f} [{low:.2f}, {high:.2f}]{marks.get(float(mark), '')}"
            if math.isfinite(mean)
            else "no answer"
            for (mean, low, high), mark in zip(means, passed, strict=True)
        ]
    count = int(board["passed"].notnull().all("method").sum())
    total = board["passed"].sum("check").astype(int).values
    rows["passed"] = [f"{each} of {count}" for each in total]
    return pd.DataFrame(rows, index=pd.Index(methods, name="method"))


def _with_keys(
    score: Callable[..., dict[str, Array]],
    asked: _Asked,
    keys: Array,
    images: Array,
    targets: Array,
    places: Array,
    *truth: Array,
) -> dict[str, Array]:
    return score(asked, images, targets, keys[places], *truth)


def _as_argument(logits_fn: LogitsFn) -> LogitsFn:
    """A function that a compiled program takes with its parameters."""
    return logits_fn if isinstance(logits_fn, Partial) else Partial(logits_fn)


def _per_image(scores: "xr.DataArray") -> "xr.DataArray":
    return scores.mean("area") if "area" in scores.dims else scores


def _scores(
    method: SaliencyFn,
    asked: _Asked,
    image: Image,
    target: Target,
    key: Key,
    truth: Bool[Array, "h w"] | None = None,
    *,
    areas: tuple[float, ...],
    move: int,
    objective: Objective,
    chunk: int,
) -> dict[str, Array]:
    """Every check of one method on one image, by the names of `CHECKS`."""
    map_key, again_key, class_key, order_key, noise_key = jax.random.split(key, 5)
    explain = functools.partial(method, asked.logits_fn)
    saliency = explain(image, target, key=map_key)
    overlap = functools.partial(top_k_iou, saliency, area=AREA_OF_AGREEMENT)
    classes = checks.count_classes(asked.logits_fn, image)
    found: dict[str, Array] = {}
    if asked.fresh_logits_fn is not None:
        of_fresh = method(asked.fresh_logits_fn, image, target, key=map_key)
        found["random_network"] = spearman(saliency, of_fresh, absolute=True)
    if classes > 1:
        other = random_other_class(target, classes, key=class_key)
        found["random_logit"] = spearman(saliency, explain(image, other, key=map_key))
    found["two_keys"] = overlap(explain(image, target, key=again_key))
    rolled = explain(jnp.roll(image, move, axis=(0, 1)), target, key=map_key)
    found["moved"] = overlap(jnp.roll(rolled, -move, axis=(0, 1)))
    judge = (asked.logits_fn, image, saliency, target)
    found |= faithfulness_scores(
        *judge, colour=asked.colour, chunk=chunk, key=order_key, objective=objective
    )
    effect = infidelity(*judge, key=noise_key, chunk=chunk)
    # Of the effect of noise, what the map does not predict: 1 is a map of zeros.
    found["infidelity"] = effect.scaled / effect.variation
    found["single_deletion"] = single_deletion(*judge, background=asked.colour, chunk=chunk)
    dimmed = average_drop(*judge, background=asked.colour, objective=objective)
    found |= {
        "average_drop": dimmed.drop,
        "average_increase": dimmed.increase,
        "average_gain": dimmed.gain,
    }
    shown = jax.vmap(lambda area: top_weights(saliency, area))(jnp.asarray(areas))
    blurred = _blurred(image)

    def p_by(judge_fn: LogitsFn) -> Float[Array, "a"]:
        def through(mask: Mask) -> Scalar:
            return objective(judge_fn(masks.apply(image, mask, blurred)), target)

        return jax.lax.map(through, shown.astype(image.dtype))

    found["p_shown"] = p_by(asked.logits_fn)
    if asked.other_logits_fn is not None:
        found["p_other_network"] = p_by(asked.other_logits_fn)
    if asked.backgrounds is not None:
        found["kept"] = _kept(asked, image, target, shown, objective, chunk)
    if truth is not None:
        at_areas = [precision(saliency, truth, area=area) for area in areas]
        found |= {
            "pointing": pointing_game(saliency, truth),
            "precision": jnp.stack(at_areas),
            "relevance_rank": relevance_rank(saliency, truth),
        }
    return found


def _kept(
    asked: _Asked,
    image: Image,
    target: Target,
    shown: Float[Array, "a h w"],
    objective: Objective,
    chunk: int,
) -> Float[Array, "a"]:
    """Share of the backgrounds on which each mask keeps the class."""

    def is_kept(mask: Mask, background: Image) -> Scalar:
        logits = asked.logits_fn(masks.apply(image, mask.astype(image.dtype), background))
        return (is_predicted(logits, target, objective=objective) == 1).astype(jnp.float32)

    def share(mask: Mask) -> Scalar:
        behind = functools.partial(is_kept, mask)
        return chunked_vmap(behind, chunk=chunk)(asked.backgrounds).mean()

    return jax.lax.map(share, shown)


def _whole_and_blank(
    asked: _Asked, images: Any, targets: Any, objective: Objective
) -> tuple[np.ndarray, np.ndarray]:
    def look(image: Image, target: Array) -> tuple[Scalar, Scalar]:
        seen = (image, _blurred(image))
        whole, blank = (objective(asked.logits_fn(each), target) for each in seen)
        return whole, blank

    whole, blank = jax.jit(lambda *rows: jax.lax.map(lambda row: look(*row), rows))(images, targets)
    return np.asarray(whole), np.asarray(blank)


def _blurred(image: Image) -> Image:
    return gaussian_blur(image, sigma=BLUR * max(image.shape[:2]))


def _check_arguments(
    methods: Any,
    logits_fn: LogitsFn,
    images: Any,
    targets: Any,
    truth: Any,
    backgrounds: Any,
    areas: Any,
    key: Any,
) -> None:
    checks.check_key(key)
    if not methods:
        raise ValueError("methods must hold at least one method, got none")
    for name, method in methods.items():
        checks.check_callable(f"methods[{name!r}]", method)
        if name in CONTROLS:
            raise ValueError(f"methods must not be called as a control is, got {name!r}")
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    classes = checks.count_classes(logits_fn, images[0])
    checks.check_target(targets, classes, name="targets", shape=(len(images),))
    checks.check_areas(jnp.asarray(areas), name="areas")
    if truth is not None:
        checks.check_boolean("truth", truth, ("n", "h", "w"))
        if truth.shape != images.shape[:3]:
            raise ValueError(f"truth must have shape {images.shape[:3]}, got {truth.shape}")
    if backgrounds is not None:
        checks.check_image(backgrounds, name="backgrounds", axes=("b", "h", "w", "c"))
        if backgrounds.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"backgrounds must have the images' shape {images.shape[1:]}, "
                f"got {backgrounds.shape[1:]}"
            )
