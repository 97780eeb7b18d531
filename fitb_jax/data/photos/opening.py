"""One entry for every source of photographs."""

import difflib
import functools
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fitb_jax import checks, cropping, extras
from fitb_jax.data.folders import VARIABLE, folder_of
from fitb_jax.data.photos import coco, coco_polygons, imagenet_s, imagenet_val, picture_folder, voc
from fitb_jax.data.photos.files import check_split
from fitb_jax.data.photos.streaming import Layout, OnCorrupt, Photographs
from fitb_jax.data.tfds_folder import default_data_dir

TFDS_PREFIX = "tfds:"

_logger = logging.getLogger(__name__)


class _Known(NamedTuple):
    """A layout by name: how to open it, and the split that is meant when none is said."""

    open: Callable[..., Layout]
    default_split: str


def _of_one_split(name: str, split: str, open_layout: Callable[[Path], Layout]) -> _Known:
    def open_checked(data_dir: Path, given: str) -> Layout:
        check_split(name, given, (split,))
        return open_layout(data_dir)

    return _Known(open_checked, split)


_KNOWN = {
    "skimage": _of_one_split("skimage", "all", lambda _: picture_folder.skimage_layout()),
    "folder": _of_one_split("folder", "all", picture_folder.folder_layout),
    "manifest": _of_one_split("manifest", "all", picture_folder.manifest_layout),
    "imagenet": _of_one_split("imagenet", "val", imagenet_val.layout),
    "imagenet_s50": _Known(functools.partial(imagenet_s.layout, classes=50), "validation"),
    "imagenet_s300": _Known(functools.partial(imagenet_s.layout, classes=300), "validation"),
    "imagenet_s919": _Known(functools.partial(imagenet_s.layout, classes=919), "validation"),
    "voc2007": _Known(functools.partial(voc.layout, year="2007"), "test"),
    "voc2012": _Known(functools.partial(voc.layout, year="2012"), "val"),
    "voc": _Known(voc.own_layout, "all"),
    "coco": _Known(coco.layout, "val2017"),
    "coco_polygons": _of_one_split("coco_polygons", "all", coco_polygons.layout),
}

_OF_ANY_CLASSES = ("voc", "voc2007", "voc2012")

PHOTOGRAPH_NAMES = tuple(_KNOWN)
"""Layouts known by name. Besides, `tfds:NAME` is any of TensorFlow Datasets with boxes."""


def photographs(
    name: str = "skimage",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    split: str | None = None,
    class_names: Sequence[str] | None = None,
    size: int = 224,
    fraction: float = cropping.CENTRE_FRACTION,
    on_corrupt: OnCorrupt = "raise",
    prefetch: int = 16,
    threads: int = 4,
) -> Photographs:
    """Open a data set of photographs with their labels, boxes and masks.

    Args:
        name: one of `PHOTOGRAPH_NAMES`, or `tfds:NAME`.
        data_dir: the folder of the data; by default the sub-folder `name` of the folder that the
            environment variable FITB_JAX_DATA names. "skimage" needs none. `tfds:NAME` is by
            default in the directory of TFDS.
        split: part of the data set; by default the one that is used for evaluation. This is "test"
            of VOC 2007, "val" of VOC 2012, "val2017" of COCO, "validation" of ImageNet-S and
            "test" of `tfds:NAME`, and all photographs of the others.
        class_names: of "voc", "voc2007" and "voc2012" with classes of one's own. By default "voc"
            has those that its annotations name, sorted, and the others the 20 of PASCAL VOC.
        size: side of the square photographs in pixels.
        fraction: side of the centre crop over the shorter side of the file, in (0, 1].
        on_corrupt: "raise", or "skip" to leave corrupt files out of an iteration, with a warning in
            the log that names the file and what is wrong with it.
        prefetch: largest number of photographs that are read ahead of the one in use; 0 reads each
            when it is asked for.
        threads: number of threads that read ahead.

    Returns:
        A sequence. Before a photograph is asked for, only lists and annotation tables are read.

    Raises:
        TypeError, ValueError: an unknown name or split, no folder, an argument out of range,
            classes that are given twice or to a layout that has its own.
        FileNotFoundError: a folder or an annotation is missing; the message lists all places.
        CorruptFileError: a table of annotations is damaged (a ValueError).
        ImportError: a package that the source needs is not installed.
    """
    checks.check_choice("on_corrupt", on_corrupt, ("raise", "skip"))
    checks.check_count("size", size)
    checks.check_count("prefetch", prefetch, least=0)
    checks.check_count("threads", threads)
    checks.check_number("fraction", fraction, least=0, most=1, open_least=True)
    folder = None if data_dir is None else Path(data_dir).expanduser()
    layout = _open(name, folder, split, class_names)
    _logger.info("%s: %d photographs from %s", name, len(layout.names), layout.source)
    return Photographs(
        layout=layout,
        indices=range(len(layout.names)),
        size=size,
        fraction=fraction,
        on_corrupt=on_corrupt,
        prefetch=prefetch,
        threads=threads,
    )


def _open(
    name: str, data_dir: Path | None, split: str | None, class_names: Sequence[str] | None
) -> Layout:
    if class_names is not None:
        _check_class_names(name, class_names)
    if name.startswith(TFDS_PREFIX):
        return _open_tfds(name.removeprefix(TFDS_PREFIX), data_dir, split or "test")
    if name not in _KNOWN:
        closest = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0)[0]
        raise ValueError(
            f"unknown photographs {name!r}; expected one of {', '.join(_KNOWN)}, or "
            f"{TFDS_PREFIX}NAME (closest match: {closest})"
        )
    if name != "skimage" and data_dir is None and (data_dir := folder_of(name)) is None:
        raise ValueError(
            f"data_dir must be the folder of the data for {name!r}, got None, and no environment "
            f"variable {VARIABLE} names a folder that has it as {name}/"
        )
    known = _KNOWN[name]
    open_layout = (
        known.open
        if class_names is None
        else functools.partial(known.open, class_names=tuple(class_names))
    )
    return open_layout(data_dir or Path(), known.default_split if split is None else split)


def _check_class_names(name: str, class_names: Sequence[str]) -> None:
    if name not in _OF_ANY_CLASSES:
        raise ValueError(
            f"class_names must be None for {name!r}, which has its own classes; layouts that take "
            f"them are {', '.join(_OF_ANY_CLASSES)}"
        )
    if isinstance(class_names, str) or not class_names or len({*class_names}) < len(class_names):
        raise ValueError(f"class_names must be names, each once, got {str(class_names)[:80]}")


def _open_tfds(name: str, data_dir: Path | None, split: str) -> Layout:
    with extras.needed(f'data.photographs("{TFDS_PREFIX}{name}")', extra="tfds"):
        from fitb_jax.data.photos import tfds_photographs
    return tfds_photographs.layout(name, split=split, data_dir=data_dir or default_data_dir())
