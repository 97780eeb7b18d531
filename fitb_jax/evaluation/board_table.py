"""A scoreboard as a table for people."""

import math
from typing import TYPE_CHECKING

from fitb_jax import extras
from fitb_jax.evaluation.board_checks import CHECKS, Check
from fitb_jax.evaluation.control_methods import CONTROLS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

DECIDE = 10
"""An interval over fewer images than this says little."""

_ON_THE_BACKGROUND = ("insertion", "p_shown", "p_other_network")
"""Checks that mean nothing where the background has the class."""


def score_table(board: "xr.Dataset") -> "pd.DataFrame":
    """A scoreboard as a table for people; `print(score_table(board).to_string())` shows all of it.

    Args:
        board: from `scoreboard`.

    Returns:
        A row for each check, by the name that `only` takes, those without a judgement last, and a
        column for each method, controls first. A cell is the mean with its interval and a mark. "of
        3" says how many images had an answer, where not all had one. "+" is passed, and "-" is
        failed, with the controls that did better where the rule is about them. "?" is undecided:
        these images do not tell the method from the controls that are named, and more images may.
        "(no chance)" says that two keys give the same pixels in every image: no merit, but how the
        method is made. "(blank)" says that the background has the class in some of the images,
        where the check proves nothing. Two more columns say what is measured, and when it is
        passed. The last rows count the checks passed and undecided, the images, and those whose
        background has the class. Then come the checks that were not asked, with the argument that
        they need.

    Raises:
        ImportError: pandas is not installed; names the extra.
    """
    with extras.needed("evaluation.score_table", extra="grids"):
        import pandas as pd
    methods = board["method"].values.tolist()
    rows: dict[str, list[str]] = {}
    undecided, by_design = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0)
    images = board.sizes["image"]
    told = board.attrs.get("proves_nothing")
    asked: list[str] = board["check"].values.tolist()
    for name in sorted(asked, key=lambda name: CHECKS[name].is_high_good is None):
        check = CHECKS[name]
        cells = []
        for method in methods:
            of = board.sel({"check": name, "method": method})
            mean, low, high = of["mean"].values
            said = f"{mean:.2f} [{low:.2f}, {high:.2f}]" if math.isfinite(mean) else "no answer"
            answered = int(of[name].notnull().any({*of[name].dims} - {"image"}).sum())
            if 0 < answered < images:
                said += f" of {answered}"
            mark = _mark(check, of)
            undecided[method] += mark.startswith("?")
            if name == "two_keys" and mark == "+" and (of[name] == 1).all():
                mark += " (no chance)"
                by_design[method] = 1
            doubt = " (blank)" if told and name in _ON_THE_BACKGROUND else ""
            cells.append(f"{said} {mark}".rstrip() + doubt)
        rows[name] = [*cells, check.meaning, board["rule"].sel(check=name).item()]
    counts = board["passed"].notnull().sum("check").values
    on_blanks = board["passed"].where(board["check"].isin(_ON_THE_BACKGROUND) & bool(told))
    worthless = on_blanks.sum("check").astype(int).values
    total = board["passed"].sum("check").astype(int).values
    rows["passed"] = [
        f"{each} of {count}"
        + (f", {by_design[method]} by design" if by_design[method] else "")
        + (f", {blank} of them (blank)" if blank else "")
        + (f", {undecided[method]} undecided" if undecided[method] else "")
        for method, each, count, blank in zip(methods, total, counts, worthless, strict=True)
    ]
    if counts.any():
        rows["passed"] = [
            said if count else f"{said}, no answer to any: look whether its maps are finite"
            for said, count in zip(rows["passed"], counts, strict=True)
        ]
    rows["passed"] += ["checks that are passed", "against controls no control passes"]
    few = "fewer than ten decide little" if images < DECIDE else ""
    meaning = "images asked; [...] is the 95 % interval of the mean over them"
    rows["images"] = [*(str(images) for _ in methods), meaning, few]
    if told is not None:
        share = f"{told} of {images}"
        meaning = "images whose background alone has over half of p(target): masks prove nothing"
        prove_nothing = "checks with (blank) count these images as well" if told else ""
        rows["blank"] = [*(share for _ in methods), meaning, prove_nothing]
    for name in filter(None, board.attrs.get("not_asked", "").split(", ")):
        needs = f"needs {CHECKS[name].needs or 'several classes'}"
        rows[name] = [*("not asked" for _ in methods), CHECKS[name].meaning, needs]
    columns = [*methods, "what is measured", "passed (+) where"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("check")


def _mark(check: Check, of: "xr.Dataset") -> str:
    """Whether one method passes, and which controls are in the way."""
    if math.isnan(float(of["passed"])):
        return ""
    if of["passed"]:
        return "+"
    if check.bound is not None or "difference" not in of or of["method"].item() in CONTROLS:
        return "-"
    low, high = (of["difference"].sel(interval=end).values for end in ("low", "high"))
    is_better = high < 0
    sign, in_the_way = ("-", is_better) if is_better.any() else ("?", ~(low > 0))
    return f"{sign} ({', '.join(of['control'].values[in_the_way].tolist())})"
