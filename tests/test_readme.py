"""The README's example runs, its commands exist, and CI runs its test command."""

import re
import subprocess
from pathlib import Path

import jax
import pytest

from experiments.registry import EXPERIMENTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_runs() -> None:
    (example,) = (
        code for code in re.findall(r"```python\n(.*?)```", README, re.S) if "import" in code
    )
    names: dict[str, object] = {}
    quick = example.replace("TrainingConfig()", "TrainingConfig(epochs=1)")
    assert quick != example
    exec(quick, names)
    assert names["filled"].shape == (28, 28, 1)
    assert names["every_class"].shape == (10, 28, 28, 1)
    assert not jax.numpy.isnan(names["newton"]).any()


@pytest.mark.parametrize("name", [*EXPERIMENTS, "reproduce"])
def test_every_experiment_is_in_the_table(name: str) -> None:
    assert f"python -m experiments {name}" in README


def test_every_link_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).is_file(), target


def test_ci_runs_the_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    (extract,) = re.findall(r"\$\((awk .*?README\.md)\)", script)
    command = subprocess.check_output(["bash", "-c", extract], cwd=ROOT, text=True)
    assert command.strip().endswith("-m pytest -q")
    assert command in README
