"""A scoreboard as a table for people."""

import math
from typing import TYPE_CHECKING

from fitb_jax import extras
from fitb_jax.evaluation.board_checks import CHECKS, ON_THE_BACKGROUND, Check
from fitb_jax.evaluation.control_methods import CONTROLS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

DECIDE = 10
"""An interval over fewer images than this says little."""


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
        "(unsure)" says that the interval holds the bound of the check. "(no chance)" says that two
        keys give the same pixels in every image: no merit, but how the method is made. Two more
        columns say what is measured, and when it is passed. The last rows count the checks passed,
        those of them that tell something, those undecided, the images, and those whose background
        has the class. Then come the checks that were not asked, with the argument that they need.

    Raises:
        ImportError: pandas is not installed; names the extra.
    """
    with extras.needed("evaluation.score_table", extra="grids"):
        import pandas as pd
    methods = board["method"].values.tolist()
    rows: dict[str, list[str]] = {}
    undecided, by_design = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0)
    images = board.sizes["image"]
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
            if name == "two_keys" and mark.startswith("+") and (of[name] == 1).all():
                mark += " (no chance)"
                by_design[method] = 1
            cells.append(f"{said} {mark}".rstrip())
        rows[name] = [*cells, check.meaning, board["rule"].sel(check=name).item()]
    counts = board["passed"].notnull().sum("check").values
    total = board["passed"].sum("check").astype(int).values
    rows["passed"] = [f"{each} of {count}" for each, count in zip(total, counts, strict=True)]
    if counts.any():
        rows["passed"] = [
            said if count else f"{said}, no answer to any: look whether its maps are finite"
            for said, count in zip(rows["passed"], counts, strict=True)
        ]
    rows["passed"] += ["checks that are passed", "the rule of each check is in its row"]
    telling = [str(each - by_design[name]) for name, each in zip(methods, total, strict=True)]
    rows["telling"] = [*telling, "passes without (no chance)", "compare it with the controls"]
    few = "fewer than ten decide little" if images < DECIDE else ""
    rows["undecided"] = [*(str(undecided[name]) for name in methods), 'checks with "?"', few]
    meaning = "images asked; [...] is the 95 % interval of the mean over them"
    rows["images"] = [*(str(images) for _ in methods), meaning, few]
    if (told := board.attrs.get("proves_nothing")) is not None:
        share = f"{told} of {images}"
        meaning = "images whose background alone has over half of p(target), both above chance"
        left_out = f"left out of {', '.join(ON_THE_BACKGROUND)}" if told else ""
        rows["blank"] = [*(share for _ in methods), meaning, left_out]
    for name in filter(None, board.attrs.get("not_asked", "").split(", ")):
        needs = f"needs {CHECKS[name].needs or 'several classes'}"
        rows[name] = [*("not asked" for _ in methods), CHECKS[name].meaning, needs]
    columns = [*methods, "what is measured", "passed (+) where"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("check")


def _mark(check: Check, of: "xr.Dataset") -> str:
    """Whether one method passes, and which controls are in the way."""
    if math.isnan(float(of["passed"])):
        return ""
    if check.bound is not None:
        _, low, high = of["mean"].values
        unsure = " (unsure)" if low <= check.bound <= high and low < high else ""
        return ("+" if of["passed"] else "-") + unsure
    if of["passed"]:
        return "+"
    if "difference" not in of or of["method"].item() in CONTROLS:
        return "-"
    low, high = (of["difference"].sel(interval=end).values for end in ("low", "high"))
    is_better = high < 0
    sign, in_the_way = ("-", is_better) if is_better.any() else ("?", ~(low > 0))
    return f"{sign} ({', '.join(of['control'].values[in_the_way].tolist())})"
