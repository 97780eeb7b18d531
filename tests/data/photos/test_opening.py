import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fitb_jax import cropping, data
from tests.conftest import REAL_DATA
from tests.data.photos import layouts

MANIFEST = REAL_DATA / "manifest"
COCO = REAL_DATA / "coco_polygons"


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "voc207"}, r"unknown photographs 'voc207'; .* \(closest match: voc2007\)"),
        ({"name": "voc2007"}, "data_dir must be the folder of the data for 'voc2007', got None"),
        ({"split": "train"}, "unknown split 'train' of skimage; expected one of all"),
        ({"on_corrupt": "ignore"}, r"on_corrupt must be one of \['raise', 'skip'\], got 'ignore'"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"fraction": 0.0}, r"fraction must lie in \(0, 1\], got 0"),
        ({"prefetch": -1}, "prefetch must be at least 0, got -1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.photographs(**arguments)


def test_the_folder_that_the_variable_names_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("sets/folder", "given"):
        layouts.save(layouts.picture(0), tmp_path / place / place[-5:] / "a.jpg")
    monkeypatch.setenv("FITB_JAX_DATA", str(tmp_path / "sets"))
    assert data.folder_of("folder") == tmp_path / "sets" / "folder"
    assert data.photographs("folder").class_names == ("older",)
    assert data.photographs("folder", data_dir=tmp_path / "given").class_names == ("given",)
    with pytest.raises(FileNotFoundError, match="sets/coco"):
        data.photographs("coco")
    monkeypatch.setenv("FITB_JAX_DATA", "")
    assert data.folder_of("folder") is None
    with pytest.raises(ValueError, match=r"no environment variable FITB_JAX_DATA names a folder"):
        data.photographs("folder")


def test_every_public_name_is_there() -> None:
    for name in data.__all__:
        assert getattr(data, name) is not None
    with pytest.raises(AttributeError, match=r"fitb_jax\.data' has no attribute 'photograps'"):
        data.photograps  # noqa: B018 - the access is what raises


@pytest.mark.skipif(not MANIFEST.is_dir(), reason=f"no photographs in {MANIFEST} (FITB_JAX_DATA)")
def test_real_boxes_cover_what_their_manifest_says() -> None:
    with (MANIFEST / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    photographs = data.photographs("manifest", data_dir=MANIFEST, size=96, fraction=1.0)
    assert len(photographs) == len(rows) == 400
    square_shares = []
    for photograph, row in zip(photographs, rows, strict=True):
        assert photograph.labels.tolist() == [int(row["class_index"])]
        assert photograph.boxes.min(initial=0) >= 0
        assert photograph.boxes.max(initial=0) <= 96
        # Of the whole file: the boxes drawn at full size, which the manifest measured.
        truth = np.zeros((int(row["height"]), int(row["width"])), bool)
        for box in json.loads(row["boxes_xyxy"]):
            x0, y0, x1, y1 = np.round(box).astype(int)
            truth[y0:y1, x0:x1] = True
        assert abs(truth.mean() - float(row["box_fraction"])) < 0.02
        # Of the square: the same mask through the crop.
        label = int(row["class_index"])
        found = data.truth_mask(photograph, label)
        expected = cropping.crop_classes(truth, photograph.crop)
        assert abs(found.mean() - expected.mean()) < 0.03
        if photograph.crop.width == photograph.crop.height:
            square_shares.append(found.mean() - float(row["box_fraction"]))
    assert square_shares
    assert np.abs(square_shares).max() < 0.03


@pytest.mark.skipif(
    not (COCO / "semantic").is_dir(), reason=f"no masks of photographs in {COCO} (FITB_JAX_DATA)"
)
def test_real_masks_go_through_the_crop_with_their_photographs() -> None:
    with (COCO / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))[:25]
    photographs = data.photographs("folder", data_dir=COCO / "images", size=96, fraction=1.0)
    by_name = {Path(name).name: at for at, name in enumerate(photographs.names)}
    for row in rows:
        photograph = photographs[by_name[row["file"]]]
        with Image.open((COCO / "semantic" / row["file"]).with_suffix(".png")) as opened:
            whole = np.asarray(opened).astype(np.int32)
        crop = photograph.crop
        assert whole.shape == (crop.height, crop.width)
        square = cropping.crop_classes(whole, crop)
        part = whole[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
        for category, share in json.loads(row["area_fraction_by_category"]).items():
            assert abs((whole == int(category)).mean() - share) < 1e-3
            assert abs((square == int(category)).mean() - (part == int(category)).mean()) < 0.02
        # Back on the whole photograph, the mask of a category is where the category is.
        category = int(np.bincount(part.ravel()).argmax())
        back = cropping.uncrop((square == category).astype(np.float32), crop)
        known = ~np.isnan(back)
        assert known.mean() == crop.side**2 / (crop.width * crop.height)
        assert ((back[known] > 0.5) == (whole[known] == category)).mean() > 0.95
