from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fitb_jax import cropping, data
from tests.data.photos import layouts

open_small = partial(data.photographs, size=80, fraction=1.0)


def test_the_photographs_of_scikit_image_need_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("no connection is needed")

    monkeypatch.setattr("socket.socket.connect", refuse)
    photographs = data.photographs(size=64)
    found = {photograph.name: photograph for photograph in photographs}
    assert set(found) == {"chelsea", "coffee", "rocket", "camera", "motorcycle_left"}
    images = np.stack([photograph.image for photograph in found.values()])
    assert images.shape == (5, 64, 64, 3)
    assert images.std(axis=(1, 2, 3)).min() > 0.1
    camera, coffee = found["camera"].image, found["coffee"].image
    np.testing.assert_array_equal(camera[..., 0], camera[..., 2])
    # The cup is on a table of brown wood.
    assert coffee[..., 0].mean() > coffee[..., 2].mean() + 0.1
    assert photographs.class_names == ()
    assert found["chelsea"].labels.shape == (0,)


def test_the_files_are_the_photographs_of_that_name() -> None:
    skimage_data = pytest.importorskip("skimage.data")
    for photograph in data.photographs(size=32):
        if photograph.name != "motorcycle_left":
            array = getattr(skimage_data, photograph.name)()
            picture = cropping.open_picture(array)
            np.testing.assert_array_equal(
                photograph.image, cropping.crop_picture(picture, photograph.crop)
            )


def test_subfolders_are_classes(tmp_path: Path) -> None:
    layouts.save(layouts.picture(0), tmp_path / "dog" / "b.png")
    layouts.save(layouts.picture(1), tmp_path / "cat" / "old" / "a.JPG")
    layouts.save(layouts.picture(2), tmp_path / "cat" / "z.webp")
    layouts.save(layouts.picture(3), tmp_path / "loose.bmp")
    layouts.save(layouts.picture(4), tmp_path / "dog" / "._b.png")
    layouts.write(tmp_path / "cat" / "notes.txt", "no image")
    photographs = open_small("folder", data_dir=tmp_path)
    assert photographs.class_names == ("cat", "dog")
    assert photographs.names == ("cat/old/a.JPG", "cat/z.webp", "dog/b.png", "loose.bmp")
    assert [photograph.labels.tolist() for photograph in photographs] == [[0], [0], [1], []]
    assert data.with_label(photographs, 0).names == ("cat/old/a.JPG", "cat/z.webp")
    pixels = np.asarray(layouts.picture(0))
    picture = cropping.open_picture(pixels)
    np.testing.assert_array_equal(
        photographs[2].image, cropping.crop_picture(picture, photographs[2].crop)
    )


def test_every_visible_folder_keeps_its_label(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    for name in ("root/a", "root/c", "elsewhere/b", "root/.ipynb_checkpoints"):
        layouts.save(layouts.picture(0, 8, 8), tmp_path / name / "1.png")
    (root / "b").symlink_to(tmp_path / "elsewhere/b")
    (root / "aa").mkdir()
    (root / "a/folder.png").mkdir()
    photographs = open_small("folder", data_dir=root)
    assert photographs.class_names == ("a", "aa", "b", "c")
    assert [photograph.labels.tolist() for photograph in photographs] == [[0], [2], [3]]
    assert f"{root / 'aa'} holds no image; its class keeps its index" in caplog.text
    (root / "d").symlink_to(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="root/d is a link that leads nowhere"):
        open_small("folder", data_dir=root)


def test_photographs_of_a_folder_are_upright(tmp_path: Path) -> None:
    layouts.save_sideways(layouts.picture(0, 8, 8), tmp_path / "a.png")
    (photograph,) = data.photographs("folder", data_dir=tmp_path, size=8, fraction=1.0)
    turned = np.rot90(np.asarray(layouts.picture(0, 8, 8)), -1)
    np.testing.assert_array_equal(photograph.image, turned.astype(np.float32) / 255)


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent is none"):
        open_small("folder", data_dir=tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"holds no image \(\.bmp, \.gif"):
        open_small("folder", data_dir=tmp_path)


HEADER = "file,class_index,width,height,boxes_xyxy"


def _manifest(root: Path, *rows: str, header: str = HEADER) -> Path:
    for seed in range(2):
        layouts.save(layouts.picture(seed), root / "images" / f"{seed}.jpg")
    layouts.write(root / "manifest.csv", "\n".join([header, *rows]))
    return root


def test_a_manifest_gives_labels_and_boxes(tmp_path: Path) -> None:
    # As spreadsheets write it: a mark of byte order, and whole numbers as floats.
    root = _manifest(
        tmp_path,
        '1.jpg,281,60,40,"[[20.0, 10.0, 30.0, 20.0], [0, 0, 5, 5]]"',
        "0.jpg,7.0,60.0,40.0,[]",
        header="\ufeff" + HEADER,
    )
    photographs = open_small("manifest", data_dir=root)
    assert photographs.names == ("1.jpg", "0.jpg")
    first, second = photographs
    np.testing.assert_array_equal(first.boxes, np.float32([[20, 20, 40, 40]]))
    assert (first.labels.tolist(), second.labels.tolist()) == ([281], [7])
    assert second.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.jpg,1000,60,40,[]", "class index 1000"),
        ("0.jpg,-1,60,40,[]", "class index -1"),
        ("0.jpg,cat,60,40,[]", "could not convert"),
        ("0.jpg,1,60,,[]", "could not convert"),
        ("0.jpg,1,60.5,40,[]", "60.5', which is no whole number"),
        ("0.jpg,1,60,40,[[1", "JSONDecodeError: .*in line 2"),
        ('0.jpg,1,60,40,"[[1, 2, 3]]"', r"the box \(1.0, 2.0, 3.0\)"),
        ('0.jpg,1,60,40,"[[1, 2, 3, NaN]]"', "the box"),
        ("0.jpg,1,60,40", "TypeError"),
        ("../0.jpg,1,60,40,[]", "a path inside the image folder"),
    ],
)
def test_damaged_rows_are_named(tmp_path: Path, row: str, message: str) -> None:
    root = _manifest(tmp_path, row, "1.jpg,7,60,40,[]")
    with pytest.raises(data.CorruptFileError, match=rf"manifest\.csv: found .*{message}"):
        open_small("manifest", data_dir=root)[0]
    (whole,) = open_small("manifest", data_dir=root, on_corrupt="skip")
    assert whole.name == "1.jpg"


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="table of the photographs not found"):
        open_small("manifest", data_dir=tmp_path)
    with pytest.raises(data.CorruptFileError, match="no row with file, class_index, boxes_xyxy"):
        open_small("manifest", data_dir=_manifest(tmp_path))
    with pytest.raises(data.CorruptFileError, match="no row with boxes_xyxy"):
        open_small("manifest", data_dir=_manifest(tmp_path, "0.jpg,7", header="file,class_index"))


def test_a_photograph_of_another_size_is_named(tmp_path: Path) -> None:
    root = _manifest(tmp_path, "0.jpg,7,61,40,[]")
    with pytest.raises(data.CorruptFileError, match=r"0\.jpg: found 60 x 40 .* expected 61 x 40"):
        open_small("manifest", data_dir=root)[0]
