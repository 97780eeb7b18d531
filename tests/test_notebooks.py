"""Every notebook runs from top to bottom without errors and warnings, and none has outputs."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from fitb_jax import data, models, plotting
from tests.experiments import stub

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FAST = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""For programs that run once."""

ALWAYS = "2_your_own_explanation"
STRICT = """
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")
"""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem == ALWAYS else pytest.mark.slow)
        for path in NOTEBOOKS
    ],
)
def test_the_notebook_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    places = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}
    ).execute(env=os.environ | FAST | {"PYTHONPATH": places})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = [output.text for output in outputs if output.get("name") == "stderr"]
    assert printed == []
    assert any("data" in output for output in outputs), "it shows nothing"


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the pretrained ones, whose programs take minutes, and small photographs."""
    small = [each._replace(image=each.image[::4, ::4]) for each in data.photographs()]
    monkeypatch.setattr(models, "load", lambda name: stub.network(int(name[-1]), size=56))
    monkeypatch.setattr(data, "photographs", lambda: small)


def _run_cells(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            exec("\n".join(line for line in lines if not line.startswith("%")), names)
    return names


@pytest.mark.usefixtures("small_networks")
def test_the_first_notebook_fills_in_by_two_networks() -> None:
    names = _run_cells("1_fill_in_the_blanks")
    assert names["after"].mean() > names["before"].mean() + 0.2
    first, second = names["fills"].values()
    is_visible = np.asarray(names["mask"]) == 1
    np.testing.assert_array_equal(first[is_visible], names["image"][is_visible])
    assert abs(first - second).max() > 0.1


@pytest.mark.usefixtures("small_networks")
def test_the_third_notebook_fits_twice() -> None:
    names = _run_cells("3_extremal_masks_of_your_photograph")
    np.testing.assert_allclose(names["mean"], names["areas"], atol=1e-5)
    assert (names["overlap"] <= 1).all()
    assert names["overlap"][-1] >= 0.59  # two masks of 0.8 have 0.6 in common, of 1 in all
    assert names["slider"].value in names["areas"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path: Path) -> None:
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_the_slider_has_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "notebooks" / "3_extremal_masks_of_your_photograph.ipynb"
    (cell,) = (
        cell.source
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and "ipywidgets" in cell.source
    )
    names = {
        "np": np,
        "plotting": plotting,
        "image": np.zeros((4, 4, 3)),
        "masks": np.ones((3, 4, 4)),
        "areas": np.array([0.1, 0.2, 0.3]),
        "p": np.array([0.1, 0.6, 0.9]),
        "probabilities": np.array([0.5]),
        "target": 0,
    }
    exec(cell, names)
    names["slider"].value = 0.3
    assert names["view"].result.axes[0].get_xlabel() == "area 0.3, p 0.90"
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    exec(cell, names)
    assert names["view"].axes[0].get_xlabel() == "area 0.2, p 0.60"
