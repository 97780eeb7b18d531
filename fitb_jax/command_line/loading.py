"""Load the classifier that is explained, and prepare photographs for it."""

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from PIL import Image as Pictures

from fitb_jax import checks, cropping, heads, imagenet, models
from fitb_jax.class_names import find_class
from fitb_jax.command_line.arguments import (
    ONE_OF_ONES_OWN,
    MaskBackground,
    Options,
    WrongArgumentsError,
    add_working_folder,
)
from fitb_jax.cropping import Crop
from fitb_jax.heads import Head
from fitb_jax.types import Float, Image, Logits, LogitsFn

SIZE = 224
"""Default side in pixels of the image that a classifier of one's own sees."""


class Classifier(NamedTuple):
    """A classifier that can be shown photographs.

    Attributes:
        outputs_fn: the classifier as it is, from one image to outputs; methods of layers take it.
        logits_fn: the classifier with its head, from one image to logits.
        head: how the outputs are read.
        class_names: of the logits.
        wordnet_ids: of the logits, where they are ImageNet's; else empty.
        shape: (size, size, channels) of the image.
        see: from an upright picture to the image.
        crop: from the width and height of a picture to the square that is seen; None where the
            classifier's own preprocessing does not say.
        background: what masks are shown on.
    """

    outputs_fn: LogitsFn
    logits_fn: LogitsFn
    head: Head
    class_names: tuple[str, ...]
    wordnet_ids: tuple[str, ...]
    shape: tuple[int, int, int]
    see: Callable[[Pictures.Image], Float[np.ndarray, "size size c"]]
    crop: Callable[[int, int], Crop] | None
    background: MaskBackground = "blur"

    @property
    def behind(self) -> Any:
        """The background, as functions of `extremal` take it."""
        given = self.background
        return jnp.asarray(given, jnp.float32) if isinstance(given, tuple) else given


def load(options: Options) -> Classifier:
    """Load the classifier that the command line asks for.

    Args:
        options: of the command.

    Returns:
        The classifier.

    Raises:
        WrongArgumentsError: there is no classifier of this name, it does not classify images, its
            outputs do not fit the head, or there are not as many names as classes.
    """
    model: Any
    if ONE_OF_ONES_OWN.fullmatch(options.model):
        model = _call(options.model)
    else:
        try:
            normalisation = options.normalisation and models.Normalisation(*options.normalisation)
            model = models.load(
                options.model,
                weights=options.weights,
                size=options.size,
                normalisation=normalisation,
            )
        except (ValueError, OSError, ImportError, models.WeightsError) as error:
            raise WrongArgumentsError(f"--model {options.model}: {error}") from error
    size = options.size or int(getattr(model, "size", SIZE))
    outputs_fn, channels = _outputs_fn(getattr(model, "logits_fn", model), size, options)
    shape = (size, size, channels)
    logits_fn = Partial(_traced_once, heads.with_head(outputs_fn, options.head))
    try:
        count = _eval_shape(logits_fn, shape)[0]
    except ValueError as error:
        raise WrongArgumentsError(f"--head {options.head}: {error}") from error
    if isinstance(options.background, tuple) and len(options.background) != channels:
        raise WrongArgumentsError(
            f"--background must have one value, or one for each of {channels} channels, got "
            f"{len(options.background)}"
        )
    names, ids = _names(options, model, count)
    see = getattr(model, "preprocess", None)
    if options.whole:
        if not (see is None or _is_of_this_package(see)):
            raise WrongArgumentsError(
                f"--whole: {options.model} has a preprocess of its own: leave --whole out"
            )
        see = functools.partial(cropping.whole_picture, size=size)
    is_centre = see is None or _is_of_this_package(see)
    return Classifier(
        outputs_fn=outputs_fn,
        logits_fn=logits_fn,
        head=heads.HEADS[options.head],
        class_names=names,
        wordnet_ids=ids,
        shape=shape,
        see=functools.partial(_see, see or functools.partial(models.preprocess, size=size), shape),
        crop=functools.partial(cropping.centre_crop, size=size) if is_centre else None,
        background=options.background,
    )


def find_target(classifier: Classifier, wanted: int | str | None) -> int | None:
    """Find the class that the command line asks for, by the names of the loaded classifier.

    Args:
        classifier: from `load`.
        wanted: an index, a name, or None for the predicted class.

    Returns:
        The index, or None.

    Raises:
        WrongArgumentsError: there is no such class, or several are meant.
    """
    if not isinstance(wanted, str):
        return wanted
    try:
        return find_class(wanted, classifier.class_names, wordnet_ids=classifier.wordnet_ids)
    except ValueError as error:
        raise WrongArgumentsError(str(error)) from error


@jax.jit
def _traced_once(logits_fn: LogitsFn, image: Image) -> Logits:
    """The same for all methods, whose tracing is half of what a later run waits for."""
    return logits_fn(image)


def _call(name: str) -> Any:
    add_working_folder()
    # Read when Keras is imported, which the module may do.
    os.environ.setdefault("KERAS_BACKEND", "jax")
    module_name, _, function_name = name.partition(":")
    module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        there = [each for each, value in vars(module).items() if callable(value)]
        raise WrongArgumentsError(
            f"--model: {module_name} has no function {function_name}; it has "
            + ", ".join([each for each in there if not each.startswith("_")] or ["none"])
        )
    return function()


def _outputs_fn(model: Any, size: int, options: Options) -> tuple[LogitsFn, int]:
    """A function of one image, in colour or else in grey, with its parameters as a pytree."""
    refused: Exception | None = None
    for channels in (3, 1):
        for convert in (_of_one_image, functools.partial(_of_batches, head=options.head)):
            try:
                outputs_fn = convert(model)
                outputs = _eval_shape(outputs_fn, (size, size, channels))
            except Exception as error:
                # Of the last one: a classifier of batches in colour is what is usual.
                refused = error if channels == 3 else refused
                continue
            if len(outputs) == 1:
                return outputs_fn, channels
            refused = ValueError(f"its outputs for one image have shape {outputs}")
    raise WrongArgumentsError(
        f"--model: {options.model} is no classifier of images ({size}, {size}, 3) or "
        f"({size}, {size}, 1), see --size: {type(refused).__name__}: {str(refused)[:300]}"
    ) from refused


def _of_one_image(model: Any) -> LogitsFn:
    if isinstance(model, Partial):
        return model
    if not callable(model) or _has_parameters(model):
        raise TypeError(f"a classifier must be a function, got {type(model).__name__}")
    return Partial(model)


def _of_batches(model: Any, *, head: str) -> LogitsFn:
    logits_fn: Any = models.as_logits_fn(model, head=head)
    # Without the head, for methods that look inside.
    return logits_fn if head == "softmax" else logits_fn.args[0]


def _has_parameters(model: Any) -> bool:
    """A module of a framework: those are called on batches, or have a way of their own."""
    origins = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    return bool(origins & {"flax", "equinox", "keras", "torch"})


def _eval_shape(logits_fn: LogitsFn, shape: tuple[int, int, int]) -> tuple[int, ...]:
    outputs = jax.eval_shape(logits_fn, jax.ShapeDtypeStruct(shape, jnp.float32))
    if not hasattr(outputs, "shape"):
        raise TypeError(f"a classifier must return an array, got {type(outputs).__name__}")
    return outputs.shape


def _names(options: Options, model: Any, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = options.class_names or getattr(model, "class_names", None)
    if names is None and options.head.startswith("binary"):
        names = ("no", "yes")
    kind = "output" if options.head == "regression" else "class"
    numbered = tuple(f"{kind} {index}" for index in range(count))
    if names is None:
        return numbered, ()
    if len(names) == count:
        ids = imagenet.classes().wordnet_ids
        return tuple(names), ids if tuple(names) == imagenet.classes().names else ()
    if options.class_names is None:
        return numbered, ()
    raise WrongArgumentsError(
        f"--classes: there are {len(names)} names, and {options.model} has {count} classes"
    )


def _is_of_this_package(see: Any) -> bool:
    return getattr(see, "func", see) is models.preprocess


def _see(
    preprocess: Callable[..., Any], shape: tuple[int, int, int], picture: Pictures.Image
) -> Float[np.ndarray, "size size c"]:
    image = np.asarray(preprocess(picture), np.float32)
    if image.shape[-1] != shape[2]:
        image = np.asarray(preprocess(picture.convert("L").convert("RGB")), np.float32)[
            ..., : shape[2]
        ]
    if image.shape != shape:
        raise ValueError(f"preprocess must give an image of shape {shape}, got {image.shape}")
    checks.check_image(image, name="the image of preprocess")
    return image
