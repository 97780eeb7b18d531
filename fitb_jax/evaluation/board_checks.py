"""What a scoreboard asks of a method, and when a check is passed."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fitb_jax import extras
from fitb_jax.evaluation.control_methods import CONTROLS

if TYPE_CHECKING:
    import xarray as xr

ALIKE = 0.5
"""A map more similar than this to that of a network without training has failed."""

INVARIANT = 0.95
"""A map less similar than this to that of the image before a shift has failed."""

AGREEING = 0.4
"""A map has failed if its largest tenth overlaps that of the second map less than this."""

SIGNED, POSITIVE = (-1.0, 1.0), (0.0, math.inf)
"""Limits of correlations and differences of shares, and of numbers without an upper limit."""

ON_THE_BACKGROUND = ("insertion", "p_shown", "p_other_network")
"""Checks that say nothing of an image whose background has the class by itself."""

_NO_JUDGEMENT = "no judgement"


class Check(NamedTuple):
    """One check of the maps of a method.

    Attributes:
        title: heading in tables.
        meaning: what the score of one image is, in words.
        is_high_good: whether a large score is good; None where the score is no judgement.
        bound: the mean score must not be worse than this. None: the method must beat each control.
        limits: smallest and largest possible score, at which intervals are cut.
        needs: the argument of `scoreboard` without which the check is left out.
    """

    title: str
    meaning: str
    is_high_good: bool | None
    bound: float | None = None
    limits: tuple[float, float] = (0.0, 1.0)
    needs: str = ""

    @property
    def rule(self) -> str:
        """When the check is passed, in words."""
        if self.is_high_good is None:
            return _NO_JUDGEMENT
        if self.bound is None:
            side = "more" if self.is_high_good else "less"
            return f"{side} than each control (paired 95 % interval)"
        return f"mean at {'least' if self.is_high_good else 'most'} {self.bound:g}"


CHECKS: Mapping[str, Check] = {
    "random_network": Check(
        "random network",
        "Spearman of magnitudes to a network of random weights",
        False,
        ALIKE,
        SIGNED,
        needs="fresh_logits_fn",
    ),
    "random_labels": Check(
        "random labels",
        "Spearman of magnitudes to a network of random labels",
        False,
        ALIKE,
        SIGNED,
        needs="labels_logits_fn",
    ),
    "random_logit": Check("random logit", "Spearman to another class", False, ALIKE, SIGNED),
    "input_shift": Check(
        "input shift",
        "Spearman after a shift taken back",
        True,
        INVARIANT,
        SIGNED,
        needs="shifted_logits_fn",
    ),
    "two_keys": Check(
        "two keys", "overlap of the best tenths of two draws; 1 without chance", True, AGREEING
    ),
    "moved": Check(
        "image moved",
        "overlap of the best tenths of the image and of the image moved by `move`",
        True,
        AGREEING,
    ),
    "insertion": Check("insertion", "area under p(target), important pixels shown first", True),
    "deletion": Check("deletion", "area under p(target), important pixels hidden first", False),
    "road": Check(
        "ROAD",
        "(p(target) without the least important pixels - p(target) without the most important) / 2",
        True,
        limits=SIGNED,
    ),
    "infidelity": Check(
        "infidelity",
        "share of the effect of noise that the map does not predict",
        False,
        limits=POSITIVE,
    ),
    "single_deletion": Check(
        "single deletion",
        "Spearman over cells of the map and the drop by deletion",
        True,
        limits=SIGNED,
    ),
    "in_domain_deletion": Check(
        "IDSDS",
        "single deletion by a network that was trained with cells deleted",
        True,
        limits=SIGNED,
        needs="cells_logits_fn",
    ),
    "p_shown": Check("p shown", "p(target) of the best pixels (`areas`) on the background", None),
    "p_other_network": Check(
        "p, other network",
        "p(target) of the best pixels (`areas`) on the background, by another network",
        True,
        needs="other_logits_fn",
    ),
    "kept": Check(
        "kept",
        "share of other backgrounds on which the best pixels (`areas`) keep the class",
        True,
        needs="backgrounds",
    ),
    "pointing": Check(
        "pointing game",
        "whether the largest value is on the object, or within 1/15 of the image's side of it",
        True,
        needs="truth",
    ),
    "precision": Check(
        "precision", "share of the best pixels (`areas`) on the object", True, needs="truth"
    ),
    "relevance_rank": Check(
        "relevance rank",
        "share of as many best pixels as the object has on it",
        True,
        needs="truth",
    ),
    "average_drop": Check("average drop", "share of p(target) lost through the map", None),
    "average_increase": Check(
        "increase in confidence", "whether p(target) rises through the map", None
    ),
    "average_gain": Check("average gain", "share of the missing p(target) won", None),
    "sensitivity": Check(
        "max-sensitivity",
        "largest relative change under small noise",
        None,
        limits=POSITIVE,
        needs="samples",
    ),
    "gini": Check("Gini", "concentration of the magnitudes", None),
}
"""By name. A new check is an entry here and a value in `method_scores`."""


def judged(board: "xr.Dataset") -> "xr.Dataset":
    """Add means with intervals, paired differences to the controls, and which methods pass.

    Args:
        board: variables by the names of `CHECKS`, (method, image) or (method, image, area), with
            the controls among the methods.

    Returns:
        The board, with `mean`, `difference`, `passed` and `rule`; see `scoreboard`.

    Raises:
        ImportError: xarray is not installed; names the extra.
    """
    with extras.needed("evaluation.scoreboard", extra="grids"):
        import xarray as xr

        from fitb_jax.evaluation.tables import intervals
    names = [name for name in CHECKS if name in board]
    each = {name: _per_image(board[name]) for name in names}
    # An interval of Student's may leave what is possible.
    means = xr.concat(
        [intervals(each[name], over="image").clip(*CHECKS[name].limits) for name in names], "check"
    )
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
    rules = [_rule(name, board) for name in names]
    is_judged = [not rule.startswith(_NO_JUDGEMENT) for rule in rules]
    passed = passed.where(xr.DataArray(is_judged, dims="check"))
    # Where nothing could be said about any image, nothing is failed.
    passed = passed.where(means.sel(interval="estimate", drop=True).notnull())
    parts: dict[str, Any] = {"mean": means, "passed": passed}
    if controls:
        parts["difference"] = xr.concat(
            [one for one in differences if one is not None], "check"
        ).assign_coords(control=controls)
    parts["rule"] = xr.DataArray(rules, dims="check")
    labelled = {name: part.assign_coords(check=names) for name, part in parts.items()}
    return board.assign(labelled)


def _rule(name: str, board: "xr.Dataset") -> str:
    if name == "random_logit" and board.attrs.get("classes") == 2 and not board.attrs.get("labels"):
        return f"{_NO_JUDGEMENT}: of two classes, what speaks for one speaks against the other"
    return CHECKS[name].rule


def passes(check: Check, scores: "xr.DataArray") -> "xr.DataArray":
    """Which methods pass a check.

    Args:
        check: the question.
        scores: (method, image), with the controls among the methods.

    Returns:
        (method,), booleans. Where the check has a bound, the mean must reach it. Where it has none
        the method must beat each control: the 95 % interval of the paired differences over images
        is on the good side.
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


def _per_image(scores: "xr.DataArray") -> "xr.DataArray":
    return scores.mean("area") if "area" in scores.dims else scores
