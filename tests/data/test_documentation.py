"""The examples of docs/data.md run, in a folder that has every layout."""

import re
from pathlib import Path

import pytest

from fitb_jax import data
from tests.data.photos import layouts, test_coco, test_coco_polygons, test_imagenet_s
from tests.data.photos.test_tfds_photographs import SmallVoc, download_config

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    layouts.own_voc(tmp_path).rename(tmp_path / "own")
    layouts.voc(tmp_path)
    layouts.imagenet(tmp_path / "imagenet", by_folder=True, annotation="csv")
    layouts.imagenet_s(tmp_path, test_imagenet_s.FIFTY)
    layouts.coco(tmp_path / "coco", test_coco.ANNOTATIONS)
    layouts.coco_polygons(tmp_path / "outlined", test_coco_polygons.LINES)
    layouts.save(layouts.picture(0), tmp_path / "animals" / "cat" / "a.jpg")
    layouts.save(layouts.picture(0), tmp_path / "listed" / "a.jpg")
    layouts.write(tmp_path / "listed/manifest.csv", "file,class_index,boxes_xyxy\na.jpg,1,[]")
    builder = SmallVoc(config="2007", data_dir=tmp_path / "tfds", file_format="array_record")
    builder.download_and_prepare(file_format="array_record", download_config=download_config())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("everything")
def test_the_examples_run() -> None:
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert names["all_cats"].sum() >= names["truth"].sum() > 0
    assert names["overlay"].shape == (layouts.HEIGHT, layouts.WIDTH)
    assert names["tabbies"].names == ("ILSVRC2012_val_00000001",)
    assert names["batch"].shape == (1, 224, 224, 3)
    opened = (
        "animals",
        "listed",
        "imagenet",
        "segmented",
        "voc",
        "coco",
        "outlined",
        "prepared",
        "own",
    )
    for name in opened:
        assert len(list(names[name])) == len(names[name]) > 0, name


def test_every_name_is_in_the_table() -> None:
    for name in data.PHOTOGRAPH_NAMES:
        assert f"`{name}`" in PAGE, name
