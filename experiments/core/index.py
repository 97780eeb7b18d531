"""Write experiments/README.md: every figure with its command, time and the number to expect."""

import dataclasses
from pathlib import Path

from experiments.core import discovery

PLACE = Path(__file__).resolve().parents[1] / "README.md"

INTRODUCTION = """# Experiments

Each figure, with its table, has one module. In a checkout, first run `pip install -r
requirements.txt`. `python -m experiments` lists the modules, and `python -m experiments NAME
--help` says what can be changed. `--smoke` makes a tiny run, and `--full` one of the paper's scale.
`python -m experiments reproduce` runs those with *yes* in the last column: they need no data of
yours, and take minutes at most.

Numbers of figures are ours, and not those of the papers. Of
[arXiv 2411.10273](https://arxiv.org/abs/2411.10273) there are

- fills of digits and of photographs by pretrained networks: `fill_in`, `photo_fill_in`;
- class prototypes: `fill_prototypes`, `photo_prototypes`;
- masks that progress: `fill_progressive`;
- mask ratio x patch size: `fill_ablation`, `fill_ablation_large`.

Of [arXiv 2501.11784](https://arxiv.org/abs/2501.11784) there are

- masks of one network, conditioned on their area: `extremal_scheme`, `extremal_areas`;
- masks judged beside other methods: `extremal_quality`, `localisation`;
- several masks of one photograph: `extremal_disjoint`.

Where a number is of other options than the command, they stand beside it. DIR is a folder of
photographs ([layouts](../docs/data.md#layouts)). E[dx] is the mean update of a class. Times are on
2 cores. This page is written by `python -m experiments index`."""


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
        lines += ["", f"## {title}", ""]
        lines.append("| figure | command | time | number to expect | in `reproduce` |")
        lines.append("|---|---|---|---|---|")
        lines += [
            f"| [{one.regenerates}]({chapter}/{one.name}.py): {one.title} | `{one.command}` "
            f"| {one.duration} | {one.expected} | {'yes' if _is_reproduced(one) else ''} |"
            for one in every
            if one.chapter == chapter
        ]
    return "\n".join(lines) + "\n"


def _is_reproduced(listed: discovery.Listed) -> bool:
    """Whether `reproduce` runs it where nothing is asked for."""
    experiment = discovery.load(listed)
    return not experiment.left_out(experiment.default(smoke=False, full=False))
