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
    root = _manifest(
        tmp_path, '1.jpg,281,60,40,"[[20.0, 10.0, 30.0, 20.0], [0, 0, 5, 5]]"', "0.jpg,7,60,40,[]"
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
        ("0.jpg,cat,60,40,[]", "invalid literal"),
        ("0.jpg,1,60,,[]", "invalid literal"),
        ("0.jpg,1,60,40,[[1", "JSONDecodeError: .*in line 2"),
        ('0.jpg,1,60,40,"[[1, 2, 3]]"', r"the box \(1.0, 2.0, 3.0\)"),
        ('0.jpg,1,60,40,"[[1, 2, 3, NaN]]"', "the box"),
        ("0.jpg,1,60,40", "TypeError"),
        ("../0.jpg,1,60,40,[]", "a path inside the image folder"),
    ],
)
def test_damaged_rows_are_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(data.CorruptFileError, match=rf"manifest\.csv: found .*{message}"):
        open_small("manifest", data_dir=_manifest(tmp_path, row))


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
