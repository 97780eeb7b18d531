"""Tiny runs of every experiment, shared by the tests."""

import csv
from pathlib import Path

import pytest
from PIL import Image
from skimage import data as pictures

from experiments.registry import EXPERIMENTS
from experiments.reproduce import Config, reproduce
from fitb_jax import imagenet

HEAVY = (
    "fill_second_order",
    "photo_fill_in",
    "photo_fidelity",
    "photo_prototypes",
    "extremal_quality",
    "extremal_initialisations",
    "extremal_disjoint",
    "extremal_folder",
    "extremal_areas",
    "extremal_scheme",
    "extremal_warm_starts",
    "extremal_settings",
    "localisation",
    "sanity_checks",
    "roar",
    "scoreboard",
    "photo_scoreboard",
    "sufficient_regions",
    "stability",
    "local_approximation",
    "photo_regions",
    "photo_maps",
    "reconstructions",
)
"""Experiments that compile many large programs; their tests are slow ones."""

LIGHT = tuple(name for name in EXPERIMENTS if name not in HEAVY)

# What is in them, as ImageNet has it.
_WORDNET = {"chelsea": "n02123159", "coffee": "n07920052", "rocket": "n03773504"}


@pytest.fixture(scope="session")
def photo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled photographs in the layout of ImageNet's validation set."""
    assert set(_WORDNET.values()) <= set(imagenet.classes().wordnet_ids)
    folder = tmp_path_factory.mktemp("imagenet")
    rows = []
    for copy in range(2):
        for name, wordnet_id in _WORDNET.items():
            stem = f"ILSVRC2012_val_{len(rows) + 1:08d}"
            picture = Image.fromarray(getattr(pictures, name)())
            picture.resize((320, 280 + 20 * copy)).save(folder / f"{stem}.JPEG")
            rows.append((stem, f"{wordnet_id} 10 10 200 200"))
    with (folder / "LOC_val_solution.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("ImageId", "PredictionString"), *rows])
    return folder


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, photo_dir: Path) -> Path:
    return smoke_run(tmp_path_factory.mktemp("results"), photo_dir, LIGHT)


@pytest.fixture(scope="session")
def heavy_results(tmp_path_factory: pytest.TempPathFactory, photo_dir: Path) -> Path:
    return smoke_run(tmp_path_factory.mktemp("heavy_results"), photo_dir, HEAVY)


def smoke_run(folder: Path, photo_dir: Path, names: tuple[str, ...]) -> Path:
    """Tiny runs of these experiments, and their page."""
    reproduce(
        Config(
            results=folder,
            smoke=True,
            progress=False,
            photographs="imagenet",
            photo_dir=photo_dir,
            only=names,
        )
    )
    return folder
