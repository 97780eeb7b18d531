"""Experiments are found in their folders, and told by their docstrings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.core import discovery, index
from experiments.core.discovery import CHAPTERS, experiments, read

ROOT = Path(__file__).parents[2]


def test_figures_and_tables_are_numbered_in_the_order_of_the_list() -> None:
    every = [*experiments().values()]
    assert [one.figure for one in every] == [*range(1, len(every) + 1)]
    tables = re.findall(r"Table (\d+)", " ".join(one.regenerates for one in every))
    assert [*map(int, tables)] == [*range(1, len(tables) + 1)]
    order = [[*CHAPTERS].index(one.chapter) for one in every]
    assert order == sorted(order), "chapters come one after the other"


def test_every_module_opens_with_what_to_expect() -> None:
    for name, one in experiments().items():
        assert one.command.startswith(f"python -m experiments {name}"), name
        assert len(one.expected) > 10, name
        assert "TODO" not in one.expected, name
        assert re.search(r"\d", one.expected), f"{name}: no number to expect"


def test_a_docstring_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    good = (
        '"""Figure 7: A title.\n\n    python -m experiments x --a 1    # 5 s\n\nExpected: 0.5.\n"""'
    )
    path = tmp_path / "x.py"
    path.write_text(good)
    found = read(path)
    assert (found.figure, found.regenerates, found.title) == (7, "Figure 7", "A title")
    assert (found.command, found.duration) == ("python -m experiments x --a 1", "5 s")
    assert (found.needs, found.expected) == ("nothing", "0.5")
    for part in ("Figure 7: ", "    # 5 s", "Expected: "):
        path.write_text(good.replace(part, ""))
        with pytest.raises(ValueError, match="must open with"):
            read(path)


def test_what_is_needed_and_expected_may_take_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        '"""Figure 7, Table 2: A title.\n\n    python -m experiments x    # 5 s\n\n'
        'Needs: photographs\nwith labels.\nExpected: 0.5,\nor 0.6.\n\nMore text.\n"""'
    )
    found = read(path)
    assert found.needs == "photographs with labels"
    assert found.expected == "0.5, or 0.6"


def test_listing_imports_nothing_heavy() -> None:
    heavy = ("jax", "numpy", "flax", "matplotlib", "sklearn", "xarray", "tyro")
    code = (
        "import sys; from experiments.__main__ import main; main([]); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert printed.splitlines()[-1] == "[]"


def test_every_experiment_can_be_loaded() -> None:
    for one in experiments().values():
        experiment = discovery.load(one)
        for preset in ({}, {"smoke": True}, {"full": True}):
            experiment.default(**preset)


def test_the_index_is_up_to_date() -> None:
    assert index.PLACE.read_text() == index.content(), "run `python -m experiments index`"
