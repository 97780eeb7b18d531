"""What every experiment must show: tiny runs with a stub in place of the pretrained network."""

import json
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from experiments import __main__ as command_line
from experiments.core import artefact, discovery, reproduce
from experiments.core.running import METRICS, read_metrics, restored_options

EVERY = discovery.experiments()


def of_chapter(chapter: str) -> list[str]:
    """The experiments of a chapter."""
    return [name for name, listed in EVERY.items() if listed.chapter == chapter]


def smoke_run(folder: Path, photo_dir: Path, names: list[str]) -> Path:
    """Tiny runs of these experiments, and their page."""
    reproduce.run(
        reproduce.Config(
            results=folder,
            smoke=True,
            progress=False,
            photographs="imagenet",
            photo_dir=photo_dir,
            only=tuple(names),
        )
    )
    return folder


def check_run(name: str, results: Path) -> None:
    """A run leaves labelled results that xarray opens by itself, what is read off them, figures."""
    folder = results / name
    # Not by the package: anybody with the file can.
    with xr.open_dataset(folder / artefact.RESULTS) as found:
        assert found.attrs["command"].startswith(f"python -m experiments {name} --smoke")
        versions = json.loads(found.attrs["versions"])
        assert {"jax", "jaxlib", "flax", "optax", "numpy", "python"} <= versions.keys()
        assert found.attrs["device"]
        assert json.loads(found.attrs["options"])["smoke"]
        for variable in found.data_vars.values():
            assert variable.dtype.kind in "fiubOU", variable.name
            if variable.ndim >= 4 and variable.dtype.kind == "f":
                assert np.nanmax(np.abs(variable)) > 0, variable.name
            for name in variable.dims:
                assert not str(name).startswith("dim_"), f"{variable.name} is not labelled"
    metrics = read_metrics(folder)
    assert len(metrics["caption"]) > 100
    for title, table in metrics["tables"].items():
        assert table["rows"], title
        assert all(len(row) == len(table["columns"]) for row in table["rows"]), title
    figures = list(folder.glob("*.png"))
    assert figures
    for figure in figures:
        pixels = np.asarray(Image.open(figure).convert("L"))
        assert pixels.std() > 1, f"{figure.name} is blank"


def check_restored(name: str, results: Path) -> None:
    """The options that a run is redrawn with are its own; it was drawn from what is on disk."""
    made_by = artefact.made_by(artefact.load(results / name))
    default = discovery.load(EVERY[name]).default(smoke=True)
    restored = restored_options(default, made_by["options"])
    assert artefact.provenance(restored, "")["options"] == made_by["options"]


def check_redrawn(name: str, results: Path) -> None:
    """`--plot-only` draws and says the same from the results alone."""
    folder = results / name
    before = {path.name: np.asarray(Image.open(path)) for path in folder.glob("*.png")}
    metrics = (folder / METRICS).read_text()
    for path in [*folder.glob("*.png"), folder / METRICS]:
        path.unlink()
    assert command_line.main([name, "--plot-only", "--results", str(results), "--no-progress"]) == 0
    after = {path.name: np.asarray(Image.open(path)) for path in folder.glob("*.png")}
    assert before.keys() == after.keys()
    for figure, pixels in before.items():
        np.testing.assert_array_equal(pixels, after[figure])
    assert (folder / METRICS).read_text() == metrics
