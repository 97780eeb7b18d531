"""Photographs with boxes from TensorFlow Datasets, without TensorFlow."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image as Pictures

from fitb_jax import cropping
from fitb_jax.data import tfds_builders
from fitb_jax.data.photos import files, voc
from fitb_jax.data.photos.photograph import Annotated, Objects, listed, whole
from fitb_jax.data.photos.streaming import Layout

_FLAGS = ("is_difficult", "is_crowd")


def layout(name: str, *, split: str, data_dir: Path) -> Layout:
    """Open one split, after a download if it is not there.

    Args:
        name: of a data set with one image and a sequence of objects with `bbox` and `label`, such
            as "voc/2007".
        split: as TFDS understands it, for example "test" or "train[:10%]".
        data_dir: TFDS directory that holds or will hold it.

    Returns:
        The photographs in the order of TFDS; `is_difficult` or `is_crowd` becomes `difficult`.

    Raises:
        ValueError: if TFDS has no such data set or split, or it has other features.
        ImportError: if preparing it needs TensorFlow.
        NotImplementedError: if it is prepared in a format that needs TensorFlow.
    """
    builder = tfds_builders.find_builder(name, data_dir)
    features = _object_features(name, builder.info)
    if not tfds_builders.is_complete(builder):
        tfds_builders.prepare(name, builder)
    # Pictures stay encoded until they are asked for: labels then cost little, and damage is named.
    examples = builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    place = Path(builder.data_path)
    is_voc = builder.info.name == "voc"

    def find(index: int) -> tuple[Path, Mapping[str, Any]]:
        path = place / f"example {index} of {split}"
        with files.damage_named(path, "a whole record"):
            return path, examples[index]

    def read(index: int) -> Annotated:
        path, example = find(index)
        with files.damage_named(path, "an image"):
            picture = cropping.open_picture(
                Pictures.open(io.BytesIO(example["image"])), upright=False
            )
        return Annotated(picture, _objects(path, example, picture.size, is_voc))

    def read_objects(index: int) -> Objects:
        labels = np.asarray(find(index)[1]["objects"]["label"])
        return whole([int(label) for label in labels])

    return Layout(
        names=tuple(f"{split}/{index}" for index in range(len(examples))),
        class_names=tuple(features["label"].names),
        source=f"TensorFlow Datasets: {builder.info.full_name} in {data_dir}, split {split}",
        read=read,
        read_objects=read_objects,
    )


def _object_features(name: str, info: tfds.core.DatasetInfo) -> Mapping[str, Any]:
    features = dict(info.features) if hasattr(info.features, "items") else {}
    sequence = features.get("objects")
    # A sequence of one feature has no keys of its own.
    inner: Any = getattr(sequence, "feature", None)
    objects = dict(inner) if hasattr(inner, "items") else {}
    is_image = type(features.get("image")) is tfds.features.Image
    is_boxes = type(objects.get("bbox")) is tfds.features.BBoxFeature
    if not (is_image and is_boxes and type(objects.get("label")) is tfds.features.ClassLabel):
        raise ValueError(
            f"{name} has no photographs with boxes: expected image: Image and objects: Sequence "
            f"with bbox: BBoxFeature and label: ClassLabel, found {info.features}"
        )
    return objects


def _objects(
    path: Path, example: Mapping[str, Any], size: tuple[int, int], is_voc: bool
) -> Objects:
    found = example["objects"]
    width, height = size
    scale = np.array([width, height, width, height], np.float64)
    # TFDS says (ymin, xmin, ymax, xmax) as shares of the height and the width.
    boxes = [scale * np.asarray(box, np.float64)[[1, 0, 3, 2]] for box in found["bbox"]]
    edges = [voc.edges(*box) if is_voc else tuple(box) for box in boxes]
    flags = [found[flag] for flag in _FLAGS if flag in found]
    difficult = [bool(flag) for flag in flags[0]] if flags else None
    return listed(path, [int(label) for label in found["label"]], edges, difficult)
