"""ImageNet-S: pixels of ImageNet's classes (Gao et al. 2022, arXiv 2106.03149)."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32

from fitb_jax import imagenet
from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos import files
from fitb_jax.data.photos.photograph import IGNORED, NO_CLASS, Annotated, Objects, whole
from fitb_jax.data.photos.streaming import Layout

SPLITS = ("train", "train-semi", "validation", "test")
"""Splits, of which `train-semi` and `validation` have masks."""

_OTHER, _IGNORED = 0, 1000


def layout(data_dir: Path, split: str, *, classes: int) -> Layout:
    """Open one split.

    The value of a class in the masks is its rank, from 1, among the sorted WordNet ids of the set.
    These are the lines of `ImageNetS_categories_im{classes}.txt` where that file is in the folder,
    else the names of the folders of the split.

    Args:
        data_dir: `ImageNetS50` (or 300, 919), or the folder that holds it.
        split: one of `SPLITS`.
        classes: 50, 300 or 919.

    Returns:
        The photographs in the order of their paths, labelled as ImageNet's classes (of the five
        classes that ImageNet-S-919 merges into others, by that of their folder).

    Raises:
        FileNotFoundError: the folder of the split is missing or holds no image.
        ValueError: there is no such split.
        CorruptFileError: the classes are not as many as the name says.
    """
    files.check_split(f"imagenet_s{classes}", split, SPLITS)
    candidates = [f"ImageNetS{classes}/{split}", split]
    folder = files.first_existing(data_dir, candidates, f"ImageNet-S-{classes}")
    paths = files.images_below(folder)
    if not paths:
        raise FileNotFoundError(f"{folder} holds no image")
    label_of = _labels(folder, classes)
    masks = folder.with_name(f"{split}-segmentation")
    has_masks = masks.is_dir()
    if not has_masks and split in ("train-semi", "validation"):
        raise FileNotFoundError(f"{masks}, the masks of {folder}, is missing")

    def read_objects(index: int) -> Objects:
        return whole([_label(paths[index])])

    def read(index: int) -> Annotated:
        path = paths[index]
        picture = files.read_picture(path, upright=not has_masks)
        mask = masks / path.relative_to(folder).with_suffix(".png")
        segmentation = _segmentation(mask, picture.size, label_of) if has_masks else None
        return Annotated(picture, read_objects(index), segmentation)

    return Layout(
        names=files.names_of(paths, folder),
        class_names=imagenet.classes().names,
        source=f"ImageNet-S-{classes} in {folder}",
        read=read,
        read_objects=read_objects,
    )


def _labels(folder: Path, classes: int) -> Int32[np.ndarray, " ids"]:
    """Index among ImageNet's classes of each value in the masks."""
    listing = f"ImageNetS_categories_im{classes}.txt"
    places = [parent / listing for parent in (folder.parent, folder.parent.parent)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        wordnet_ids = [place.name for place in files.visible(folder) if place.is_dir()]
    else:
        with files.damage_named(found, "WordNet ids"):
            wordnet_ids = sorted(found.read_text("utf-8-sig").split())
    index_of = imagenet.classes().index_of
    known = [index_of[wordnet_id] for wordnet_id in wordnet_ids if wordnet_id in index_of]
    if len(known) != classes or len(wordnet_ids) != classes:
        raise CorruptFileError(
            found or folder,
            found=f"{len(known)} WordNet ids of ImageNet among {len(wordnet_ids)} names",
            expected=f"{classes} (without all folders, put {listing} into {folder.parent})",
        )
    return np.array([NO_CLASS, *known], np.int32)


def _label(path: Path) -> int:
    label = imagenet.classes().index_of.get(path.parent.name)
    if label is None:
        raise CorruptFileError(
            path, found=f"the folder {path.parent.name!r}", expected="a WordNet id of ImageNet"
        )
    return label


def _segmentation(
    path: Path, size: tuple[int, int], label_of: Int32[np.ndarray, " ids"]
) -> Int32[np.ndarray, "h w"]:
    pixels = files.read_pixels(path, "RGB", size)
    values = pixels[..., 0] + 256 * pixels[..., 1]
    is_ignored = values == _IGNORED
    wrong = (values >= len(label_of)) & ~is_ignored
    if wrong.any():
        raise CorruptFileError(
            path,
            found=f"the value {values[wrong][0]}",
            expected=f"{_OTHER} to {len(label_of) - 1}, or {_IGNORED} for undecided",
        )
    labels = label_of[np.where(is_ignored, _OTHER, values)]
    return np.where(is_ignored, IGNORED, labels).astype(np.int32)
