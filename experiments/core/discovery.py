"""Which experiments there are: found in the folders of the chapters, and told by their docstrings.

Nothing is imported to list them, so that the list is there at once.
"""

import ast
import functools
import importlib
import re
from pathlib import Path
from typing import Any, NamedTuple

CHAPTERS = {
    "fill": "Fill in the blanks",
    "extremal": "Which part is enough?",
    "evaluation": "Should it be believed?",
    "attribution": "The methods they are compared with",
}

_ROOT = Path(__file__).resolve().parents[1]
_FIRST_LINE = re.compile(
    r"(?P<regenerates>Figure (?P<figure>\d+)(?:, Table \d+)?): (?P<title>.+)\."
)
_COMMAND = re.compile(r"^    (?P<command>python -m experiments .*?)\s+# (?P<duration>.+)$", re.M)


class Listed(NamedTuple):
    """What the docstring of an experiment says; `figure` is the number that orders the list."""

    name: str
    chapter: str
    figure: int
    regenerates: str
    title: str
    command: str
    duration: str
    needs: str
    expected: str


@functools.cache
def experiments(root: Path = _ROOT) -> dict[str, Listed]:
    """Every experiment, by name, in the order of the figures."""
    found = [
        read(path)
        for chapter in CHAPTERS
        for path in (root / chapter).glob("*.py")
        if not path.name.startswith("_")
    ]
    return {one.name: one for one in sorted(found, key=lambda one: one.figure)}


def read(path: Path) -> Listed:
    """What the docstring of one module says."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    first, command = _FIRST_LINE.match(docstring), _COMMAND.search(docstring)
    if first is None or command is None or "\nExpected: " not in docstring:
        raise ValueError(
            f"{path} must open with 'Figure N: title.', '    python -m experiments NAME  # time' "
            "and 'Expected: the number to expect'"
        )
    return Listed(
        name=path.stem,
        chapter=path.parent.name,
        figure=int(first["figure"]),
        regenerates=first["regenerates"],
        title=first["title"],
        command=command["command"],
        duration=command["duration"],
        needs=_paragraph(docstring, "Needs") or "nothing",
        expected=_paragraph(docstring, "Expected"),
    )


def _paragraph(docstring: str, name: str) -> str:
    """What follows a name, up to the end of its paragraph, on one line."""
    found = re.search(rf"^{name}: (.+?)(?=\n\n|\n[A-Z][a-z]+: |\Z)", docstring, re.M | re.S)
    return " ".join(found[1].split()).removesuffix(".") if found else ""


def load(listed: Listed) -> Any:
    """Import an experiment, an `Experiment`."""
    from experiments.core.experiment import Experiment  # with JAX, which listing does without

    return Experiment.of(importlib.import_module(f"experiments.{listed.chapter}.{listed.name}"))
