"""The README's example runs, its commands exist, and CI runs its test command."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jax
import pytest
import xarray as xr

from experiments.core import result_pages
from tests.experiments import stub

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of those that are embedded."""
    stub.keep_few_digits(monkeypatch)


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


def test_the_example_of_an_ablation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "ablations.md").read_text()
    example, elsewhere, rows, means, networks, mend, _ = re.findall(
        r"```python\n(.*?)```", text, re.S
    )
    few = example.replace("[:1000]", "[:3]").replace("0.9, 9)", "0.9, 2)")
    few = few.replace("ClassifierConfig()", 'ClassifierConfig(architecture="mlp", widths=(8, 8))')
    assert few != example
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(few, names)
    sizes = {"order": 2, "network": 2, "ratio": 2, "patch": 4, "image": 3}
    assert names["found"]["correlation"].sizes == sizes
    assert (names["found"]["status"] == 1).all()
    read: dict[str, Any] = {}
    exec(elsewhere, read)
    xr.testing.assert_equal(read["found"], names["found"])
    assert read["found"].attrs["completeness"] == "complete"
    exec(rows, read)
    assert read["is_whole"].all()
    exec(means, read)
    assert read["more"].sizes == {"order": 1, "ratio": 2, "image": 3}
    exec(mend, names)
    xr.testing.assert_equal(xr.open_zarr("results/my_ablation.zarr"), names["found"])
    few_images = "train = train._replace(images=train.images[:200], labels=train.labels[:200])\n"
    exec(networks.replace("trained =", few_images + "trained ="), names)
    assert names["axis"].size == 3


def test_every_link_exists() -> None:
    pages = ["README.md", "CONTRIBUTING.md", "experiments/README.md"]
    pages += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]
    made = {ROOT / "docs" / "results" / f"{name}.md" for name in result_pages.names()}
    notebooks = (ROOT / "notebooks").glob("*.ipynb")
    made |= {ROOT / "docs" / "tutorials" / f"{path.stem}.md" for path in notebooks}
    missing = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
            place = (ROOT / page).parent / target
            is_there = target.startswith("http") or place.is_file() or place.resolve() in made
            missing += [] if is_there else [f"{page}: {target}"]
    assert not missing, missing


def test_it_says_how_many_figures_the_main_command_makes() -> None:
    said = re.search(r"makes (\d+) of the (\d+) figures", README)
    lines = re.findall(r"^\| \[Figure .*", (ROOT / "experiments/README.md").read_text(), re.M)
    assert said is not None
    assert said.groups() == (str(sum(line.endswith("| yes |") for line in lines)), str(len(lines)))


def test_ci_runs_the_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    (extract,) = re.findall(r"\$\((awk .*?README\.md)\)", script)
    command = subprocess.check_output(["bash", "-c", extract], cwd=ROOT, text=True)
    assert "-m pytest -q" in command
    assert command in README
    assert "mkdocs build --strict" in script
