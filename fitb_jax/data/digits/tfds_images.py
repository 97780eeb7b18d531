"""Image classification data sets of TensorFlow Datasets, without TensorFlow."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int64, UInt8

from fitb_jax.data import tfds_builders
from fitb_jax.data.digits.images import Images, from_bytes
from fitb_jax.data.photos import files


def load(name: str, *, split: str, data_dir: Path) -> Images:
    """Load a split into memory; download and prepare the data set first if it is absent.

    Args:
        name: of the data set, with an optional config: "NAME" or "NAME/config".
        split: as TFDS understands it, for example "train" or "test[:10%]".
        data_dir: TFDS directory that holds or will hold it.

    Returns:
        Images of shape (n, h, w, c), in the order of TFDS.

    Raises:
        ValueError: if TFDS has no such data set or split; if it is not one image and one class per
            example; if its images differ in size or are not of bytes; if labels are missing.
        CorruptFileError: if a record is damaged (a ValueError).
        ImportError: if preparing it needs TensorFlow.
        FileExistsError: if its folder holds something that TFDS did not finish.
        NotImplementedError: if it is prepared in a format that needs TensorFlow.
    """
    builder = tfds_builders.find_builder(name, data_dir)
    image_key, label_key = _image_and_label(name, builder.info)
    if not tfds_builders.is_complete(builder):
        tfds_builders.prepare(name, builder)
    if not builder.info.splits[split].num_examples:
        raise ValueError(f"split {split!r} of {name} holds no image")
    examples = builder.as_data_source(split=split)

    def read(position: int) -> Mapping[str, Any]:
        place = Path(builder.data_path) / f"example {position} of {split}"
        with files.damage_named(place, "a whole record with an image"):
            return examples[position]

    images, labels = _stack(name, read, len(examples), image_key, label_key)
    class_names = builder.info.features[label_key].names
    _check_labels(name, labels, len(class_names))
    source = f"TensorFlow Datasets: {builder.info.full_name} in {data_dir}, split {split}"
    return from_bytes(images, labels, class_names, source)


def _image_and_label(name: str, info: tfds.core.DatasetInfo) -> tuple[str, str]:
    """Keys of the image and of the class: the supervised pair, else the only ones there are."""
    features = dict(info.features) if hasattr(info.features, "items") else {}
    keys = info.supervised_keys or ()
    candidates = [key for key in keys if key in features] if len(keys) == 2 else list(features)
    images = [key for key in candidates if type(features[key]) is tfds.features.Image]
    labels = [key for key in candidates if type(features[key]) is tfds.features.ClassLabel]
    if len(images) != 1 or len(labels) != 1:
        found = ", ".join(f"{key}: {type(value).__name__}" for key, value in features.items())
        raise ValueError(
            f"{name} is not an image classification data set: expected one Image and one "
            f"ClassLabel feature, found {found or info.features}"
        )
    if np.dtype(features[images[0]].np_dtype) != np.uint8:
        raise ValueError(
            f"{name} has images of {np.dtype(features[images[0]].np_dtype)}; expected uint8"
        )
    return images[0], labels[0]


def _stack(
    name: str, read: Callable[[int], Mapping[str, Any]], count: int, image_key: str, label_key: str
) -> tuple[UInt8[np.ndarray, "n h w c"], Int64[np.ndarray, " n"]]:
    first = read(0)[image_key]
    images = np.empty((count, *first.shape), np.uint8)
    labels = np.empty(count, np.int64)
    for position in range(count):
        example = read(position)
        image = example[image_key]
        if image.shape != first.shape:
            raise ValueError(
                f"{name} has images of differing size: image 0 is {_size(first)}, "
                f"image {position} is {_size(image)}; expected one size"
            )
        images[position] = image
        labels[position] = example[label_key]
    return images, labels


def _size(image: np.ndarray) -> str:
    return " x ".join(map(str, image.shape))


def _check_labels(name: str, labels: Int64[np.ndarray, " n"], num_classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        raise ValueError(
            f"{name} has {wrong.size} images without a valid label (the first: {labels[wrong[0]]} "
            f"at image {wrong[0]}); expected labels from 0 to {num_classes - 1}"
        )
