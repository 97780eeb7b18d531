"""VOC prepared as TFDS prepares it, from the small set, and read through the stock builder."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from fitb_jax import cropping, data
from fitb_jax.data.tfds_builders import download_config
from tests.data.photos import layouts

STOCK = tfds.builder_cls("voc")


class SmallVoc(STOCK, skip_registration=True):
    """The stock builder, except for where its examples come from."""

    name = STOCK.name
    __module__ = STOCK.__module__

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples(), "train": self._generate_examples()}

    def _generate_examples(self):
        for seed, (name, objects) in enumerate(layouts.VOC_OBJECTS.items()):
            yield (
                name,
                {
                    "image": layouts.picture(seed),
                    "image/filename": f"{name}.jpg",
                    "objects": [
                        {
                            "label": label,
                            "bbox": tfds.features.BBox(ymin / 40, xmin / 60, ymax / 40, xmax / 60),
                            "pose": "left",
                            "is_truncated": False,
                            "is_difficult": bool(difficult),
                        }
                        for label, (xmin, ymin, xmax, ymax), difficult in objects
                    ],
                    "labels": sorted({label for label, _, _ in objects}),
                    "labels_no_difficult": [],
                },
            )


class FitbClasses(tfds.core.GeneratorBasedBuilder):
    """A data set without boxes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"image": Image.new("RGB", (4, 4)), "label": 0}


open_tfds = partial(data.photographs, "tfds:voc/2007", size=80, fraction=1.0)


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tfds")
    builder = SmallVoc(config="2007", data_dir=root, file_format="array_record")
    builder.download_and_prepare(file_format="array_record", download_config=download_config())
    return root


def test_the_boxes_are_those_of_the_folder(tfds_dir: Path, tmp_path: Path) -> None:
    photographs = open_tfds(data_dir=tfds_dir)
    folder = data.photographs("voc2007", data_dir=layouts.voc(tmp_path), size=80, fraction=1.0)
    assert photographs.class_names == folder.class_names
    assert len(photographs) == 3
    assert photographs.names == ("test/0", "test/1", "test/2")
    # TFDS has an order of its own; the labels tell the three apart.
    by_labels = {tuple(photograph.labels): photograph for photograph in photographs}
    for seed, expected in enumerate(folder):
        found = by_labels[tuple(expected.labels)]
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-4)
        np.testing.assert_array_equal(found.box_labels, expected.box_labels)
        np.testing.assert_array_equal(found.difficult, expected.difficult)
        drawn = cropping.crop_picture(layouts.picture(seed), found.crop)
        np.testing.assert_array_equal(found.image, drawn)
    assert len(data.with_label(photographs, 7)) == 2


def test_splits_and_names_are_those_of_tfds(tfds_dir: Path) -> None:
    assert len(open_tfds(data_dir=tfds_dir, split="train[:2]")) == 2
    with pytest.raises(ValueError, match="Unknown split 'val'"):
        open_tfds(data_dir=tfds_dir, split="val")
    with pytest.raises(ValueError, match=r"no 'vok/2007'; the closest names are voc"):
        data.photographs("tfds:vok/2007", data_dir=tfds_dir)


def test_a_set_without_boxes_is_refused_before_it_is_prepared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fitb_classes has no photographs with boxes: expected"):
        data.photographs("tfds:fitb_classes", data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_picture_is_named(tfds_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs = open_tfds(data_dir=tfds_dir)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", _broken)
    with pytest.raises(data.CorruptFileError, match="example 0 of test: found OSError: truncated"):
        photographs[0]


def test_a_damaged_record_is_named(tfds_dir: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tfds_dir, tmp_path / "copy")
    (records,) = copy.rglob("*test.array_record*")
    records.write_bytes(records.read_bytes()[:1000])
    photographs = open_tfds(data_dir=copy)
    for read in (photographs.layout.read, photographs.layout.read_objects):
        with pytest.raises(data.CorruptFileError, match=r"example 0 of test: found RuntimeError"):
            read(0)


def _broken(self: object) -> None:
    raise OSError("truncated")
