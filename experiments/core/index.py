"""Write experiments/README.md: every figure with its command, time and the number to expect."""

import dataclasses
from pathlib import Path

from experiments.core import discovery

PLACE = Path(__file__).resolve().parents[1] / "README.md"

INTRODUCTION = """# Experiments

One module for each figure and its table. `python -m experiments` lists them, `python -m experiments
NAME --help` says what can be changed, and `python -m experiments reproduce` runs all that take
minutes at most. Times are on 2 cores. This page is written by `python -m experiments index`."""


@dataclasses.dataclass(frozen=True)
class Config:
    """`index` has no options."""


def run(config: Config) -> Path:
    """Write the page."""
    PLACE.write_text(content())
    return PLACE


def content() -> str:
    """The page, from the docstrings of the experiments."""
    lines = [INTRODUCTION]
    every = discovery.experiments().values()
    for chapter, title in discovery.CHAPTERS.items():
        lines += ["", f"## {title}", "", "| figure | command | time | number to expect |"]
        lines.append("|---|---|---|---|")
        lines += [
            f"| [{one.regenerates}]({chapter}/{one.name}.py): {one.title} | `{one.command}` "
            f"| {one.duration} | {one.expected} |"
            for one in every
            if one.chapter == chapter
        ]
    return "\n".join(lines) + "\n"
