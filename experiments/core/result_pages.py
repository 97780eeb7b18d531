"""Published results: committed as data, shown as pages, held against the documentation."""

import html
import json
import re
from pathlib import Path
from typing import Any

from experiments.core import discovery

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "results"
"""`NAME.json` and `NAME.FIGURE.webp` of each published run, `NAME.VARIANT.json` and
`NAME.VARIANT.FIGURE.webp` of a further one with other options; `NAME.md` says how to read them, and
holds tables of runs that are not kept as data."""

_ENDS = ("estimate", "low", "high")
_QUOTED = re.compile(
    r"<!-- result: (?P<name>\w+) -->\s*"
    r"(?P<number>-?\d+(?:\.\d+)?(?: \[-?\d+(?:\.\d+)?, -?\d+(?:\.\d+)?\])?)"
)


def names() -> list[str]:
    """The experiments that something is published of, in the order of their figures."""
    return [name for name in discovery.experiments() if _is_there(name)]


def _is_there(name: str) -> bool:
    return any((FOLDER / f"{name}{suffix}").is_file() for suffix in (".json", ".md"))


def page(name: str) -> str:
    """The page of one experiment, as Markdown."""
    listed = discovery.experiments()[name]
    parts = [f"# {listed.regenerates}: {listed.title}", f"```bash\n{listed.command}\n```"]
    data = FOLDER / f"{name}.json"
    if data.is_file():
        parts += _run(json.loads(data.read_text()), name)
    for variant in sorted(FOLDER.glob(f"{name}.*.json")):
        parts.append(f"## Another run: {variant.stem.removeprefix(f'{name}.')}")
        parts += _run(json.loads(variant.read_text()), variant.stem, level=3)
    earlier = FOLDER / f"{name}.md"
    if earlier.is_file():
        parts.append(earlier.read_text().strip())
    return "\n\n".join(parts) + "\n"


def figures(name: str) -> list[Path]:
    """The figures of a run; `name` is `NAME` or `NAME.VARIANT`."""
    every = sorted(FOLDER.glob(f"{name}.*.webp"))
    return [path for path in every if "." not in path.stem.removeprefix(f"{name}.")]


def _run(run: dict[str, Any], name: str, *, level: int = 2) -> list[str]:
    title = discovery.experiments()[name.partition(".")[0]].title
    parts = []
    for path in figures(name):
        shown = path.stem.removeprefix(f"{name}.").replace("_", " ")
        parts.append(f"![{title}: {shown}]({path.name})")
    parts.append(run["caption"])
    if run["numbers"]:
        rows = [[label, value] for label, value in run["numbers"].items()]
        parts.append(table({"columns": ["number", "value"], "rows": rows}))
    for title, content in run["tables"].items():
        # That of a data set stays as it is: "mnist_5k".
        heading = title if "_" in title else title[0].upper() + title[1:]
        parts += [f"{'#' * level} {heading}", table(content)]
    parts += [f"*{note}.*" for note in run["notes"]]
    if names := run.get("photographs"):
        listed = html.escape(", ".join(names))
        count = f"The {len(names)} photographs"
        parts.append(f"<details><summary>{count}</summary>{listed}</details>")
    made_by = run["made_by"]
    parts.append(
        f"Made by `{made_by['command']}` ({made_with(made_by)}). Square brackets: 95 % confidence "
        "intervals; those of means are Student's, and may end outside of what is possible."
    )
    return parts


def made_with(made_by: dict[str, Any]) -> str:
    """Commit, device and versions on a line."""
    versions = (f"{package} {version}" for package, version in made_by["versions"].items())
    commit = (made_by["commit"] or "unknown")[:12]
    return ", ".join([f"commit {commit}", made_by["device"], *versions])


def table(content: dict[str, Any]) -> str:
    """A table as Markdown."""
    lines = [[str(column) for column in content["columns"]]]
    lines.append(["---"] * len(lines[0]))
    lines += [[text(cell) for cell in row] for row in content["rows"]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(value: Any) -> str:
    """A cell or number of a run as people read it."""
    if isinstance(value, dict):
        if value.keys() == {*_ENDS}:
            if value["estimate"] is None:
                return ""  # not asked of this row
            ends = (float("nan" if value[end] is None else value[end]) for end in _ENDS)
            return "{:.3f} [{:.3f}, {:.3f}]".format(*ends)
        return ", ".join(f"{key} {text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else str(value)


def quoted(page_text: str) -> list[tuple[str, str]]:
    """The numbers of a page of the documentation that say which result they are of.

    They are written `<!-- result: NAME --> 0.53 [0.42, 0.64]`.
    """
    return [(found["name"], found["number"]) for found in _QUOTED.finditer(page_text)]


def holds(name: str, number: str) -> bool:
    """Whether a number of the documentation is on the page of its result."""
    if not _is_there(name):
        return False
    wanted = re.findall(r"-?\d+\.?\d*", number)
    shape = (
        r"(-?\d+\.?\d*)" if len(wanted) == 1 else r"(-?\d+\.?\d*) \[(-?\d+\.?\d*), (-?\d+\.?\d*)\]"
    )
    return any(
        all(_rounds_to(there, here) for there, here in zip(found.groups(), wanted, strict=True))
        for found in re.finditer(shape, page(name))
    )


def _rounds_to(there: str, here: str) -> bool:
    digits = len(here.partition(".")[2])
    # Half a digit of slack: the page may have been rounded before.
    return abs(float(there) - float(here)) <= 0.5001 * 10.0**-digits + 0.5 * 10.0 ** -(digits + 1)
