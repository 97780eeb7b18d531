"""Photographs that may lie beside a checkout, and are not part of it."""

import dataclasses
from pathlib import Path
from typing import TypeVar

from experiments.core.experiment import Options

_SHARED = Path(__file__).parents[2] / "shared" / "data"
_FOLDERS = {"manifest": "imagenet_val_s288", "coco_polygons": "coco_masks"}

_Options = TypeVar("_Options", bound=Options)


def with_folder(options: _Options) -> _Options:
    """Name the folder beside the checkout, where none is given for a layout that is kept there.

    Args:
        options: of an experiment.

    Returns:
        The same, with `photo_dir` where such a folder is there.
    """
    if options.photo_dir is not None or options.photographs not in _FOLDERS:
        return options
    folder = _SHARED / _FOLDERS[options.photographs]
    return dataclasses.replace(options, photo_dir=folder) if folder.is_dir() else options
