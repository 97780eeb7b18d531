"""Which class of an annotated photograph is explained, and where it is."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import __main__ as command_line
from experiments import photo_folder, photographs
from experiments.experiment import Options
from fitb_jax import cropping, data, imagenet
from fitb_jax.data import Photograph
from fitb_jax.data.photos.imagenet_kinds import imagenet_indices

VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
INDICES = imagenet_indices(VOC)
SIZE = 8


def _photograph(*boxes: tuple[int, int, int, int, str, bool]) -> Photograph:
    """With boxes x0, y0, x1, y1 of a class, difficult or not."""
    labels = np.array([VOC.index(box[4]) for box in boxes], np.int32)
    return Photograph(
        image=np.zeros((SIZE, SIZE, 3), np.float32),
        labels=np.unique(labels),
        boxes=np.array([box[:4] for box in boxes], np.float32).reshape(-1, 4),
        box_labels=labels,
        difficult=np.array([box[5] for box in boxes], bool),
        segmentation=None,
        instances=None,
        name="one",
        crop=cropping.centre_crop(SIZE, SIZE, size=SIZE, fraction=1.0),
    )


def test_every_class_of_voc_is_some_of_imagenet_and_none_is_two() -> None:
    assert all(INDICES)
    every = [index for indices in INDICES for index in indices]
    assert len(set(every)) == len(every)
    names = imagenet.classes().names
    assert len(INDICES[VOC.index("dog")]) == 118
    for voc, part in (("dog", "Pembroke"), ("cat", "Siamese"), ("bird", "flamingo")):
        assert any(part in names[i] for i in INDICES[VOC.index(voc)])


def test_names_of_coco_and_imagenet_are_found_each_in_their_own_sense() -> None:
    names = imagenet.classes().names
    (laptops, kites, oranges, tvs) = imagenet_indices(("laptop", "kite", "orange", "tv"))
    assert {names[i].split(",")[0] for i in laptops} == {"laptop", "notebook"}
    assert kites == ()
    assert [names[i] for i in oranges] == ["orange"]
    assert tvs == INDICES[VOC.index("tvmonitor")]
    ((kite,),) = imagenet_indices(("kite",))  # alone it is a name of ImageNet's
    assert names[kite] == "kite"
    assert imagenet_indices(("n01440764", "no such thing")) == [(0,), ()]


@pytest.mark.parametrize("seen", ["dog", "person"])
def test_the_class_that_is_predicted_is_explained_where_it_is(seen: str) -> None:
    photograph = _photograph(
        (0, 0, 3, 3, "dog", False), (4, 4, 8, 8, "person", False), (0, 6, 2, 8, seen, True)
    )
    predicted = INDICES[VOC.index(seen)][0]
    case = cases.find_case(photograph, INDICES, predicted)
    assert (case.label, case.annotated) == (predicted, VOC.index(seen))
    assert case.truth.sum() == (9 if seen == "dog" else 16)
    assert case.ignored[6:8, 0:2].all()
    assert case.ignored.sum() == 4
    # 9 of 64 pixels with a person beside them; the person takes a quarter.
    assert case.is_difficult == (seen == "dog")


def test_a_prediction_that_is_not_annotated_has_no_truth_and_is_not_recognised() -> None:
    photograph = _photograph((0, 0, 3, 3, "dog", False), (4, 4, 8, 8, "person", False))
    case = cases.find_case(photograph, INDICES, imagenet.classes().names.index("zebra"))
    assert case.label < 0
    assert case.label != cases.UNLABELLED
    assert not case.truth.any()
    nothing = cases.find_case(_photograph(), INDICES, 5)
    assert nothing.label == cases.UNLABELLED


def test_one_class_that_the_network_knows_is_explained_whatever_it_predicts() -> None:
    case = cases.find_case(_photograph((1, 1, 3, 3, "horse", False)), INDICES, 0)
    assert imagenet.classes().names[case.label] == "sorrel"
    assert case.truth.sum() == 4
    assert data.truth_mask(_photograph((1, 1, 3, 3, "horse", True)), VOC.index("horse")).sum() == 0


@pytest.mark.parametrize("areas", [(), (0.0, 0.5), (0.5, 1.0), (0.4, 0.2), (0.2, 0.2), (np.nan,)])
def test_areas_that_no_mask_has_are_refused_with_the_options(areas: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"areas must ascend strictly within \(0, 1\), got"):
        photographs.AreaOptions(areas=areas)


@pytest.mark.parametrize(("count", "parts_read", "found"), [(0, 3, 4), (3, 2, 3), (1, 1, 1)])
def test_no_more_photographs_are_read_than_are_wanted(
    monkeypatch: pytest.MonkeyPatch, count: int, parts_read: int, found: int
) -> None:
    read = []

    def parts(options: photographs.PhotographOptions, part: int) -> Iterator[Any]:
        assert options.count == 0, "those that are not recognised do not count"
        # Two of three are recognised, or nothing is known of them.
        for first in (0, 3, 6):
            names = [str(first + i) for i in range(3)]
            labels = np.array([5, 1, cases.UNLABELLED] if first < 6 else [1, 1, 1])
            read.append(first)
            whole = dict.fromkeys(photographs.Explained._fields, np.arange(first, first + 3))
            whole |= {"names": names, "labels": labels, "predicted": np.full(3, 5), "source": "x"}
            yield photographs.Explained(**whole)._replace(pretrained=None, untrained=None)

    monkeypatch.setattr(photographs, "explained_in_parts", parts)
    net = photographs.recognised(photographs.PhotographOptions(count=count))
    assert len(read) == parts_read
    assert net.names == ["0", "2", "3", "5"][:found]
    np.testing.assert_array_equal(net.targets, [0, 2, 3, 5][:found])


@pytest.mark.slow
def test_parts_are_the_whole() -> None:
    options = photographs.PhotographOptions()
    whole = photographs.explained(options)
    parts = [*photographs.explained_in_parts(options, 2)]
    assert [len(part.names) for part in parts] == [2, 2, 1]
    for name in ("images", "targets", "labels", "predicted", "truths"):
        found = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(found, getattr(whole, name))
    assert [name for part in parts for name in part.names] == whole.names


def test_the_folder_beside_the_checkout_is_named_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_folder, "_SHARED", tmp_path)
    options = Options(photographs="manifest")
    assert photo_folder.with_folder(options) is options
    folder = tmp_path / "imagenet_val_s288"
    folder.mkdir()
    assert photo_folder.with_folder(options).photo_dir == folder
    given = dataclasses.replace(options, photo_dir=tmp_path)
    for kept in (given, Options(), Options(photographs="folder")):
        assert photo_folder.with_folder(kept) is kept


@pytest.mark.parametrize("name", ["localisation", "reproduce"])
def test_the_command_line_looks_beside_the_checkout(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Options] = []
    monkeypatch.setattr(photo_folder, "_SHARED", tmp_path)
    monkeypatch.setattr(
        command_line, "run", lambda experiment, options, command: seen.append(options)
    )
    monkeypatch.setattr(command_line, "reproduce", seen.append)
    (tmp_path / "coco_masks").mkdir()
    assert command_line.main([name, "--photographs", "coco_polygons"]) == 0
    assert [options.photo_dir for options in seen] == [tmp_path / "coco_masks"]
