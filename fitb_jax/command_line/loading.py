"""The classifier that is explained, and how a photograph becomes what it sees."""

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from PIL import Image as Pictures

from fitb_jax import cropping, imagenet, models, objectives
from fitb_jax.class_names import find_class
from fitb_jax.command_line.arguments import (
    ONE_OF_ONES_OWN,
    Options,
    WrongArgumentsError,
    add_working_folder,
)
from fitb_jax.cropping import Crop
from fitb_jax.types import Array, Float, Image, Logits, LogitsFn, Objective, Target

SIZE = 224
"""Side of the image that a classifier of one's own sees, where nothing else is said."""


class Head(NamedTuple):
    """How the outputs of a classifier are read.

    Attributes:
        to_logits: from its outputs to logits.
        objective: what an explanation makes grow.
        score: what is reported.
    """

    to_logits: Callable[[Logits], Logits]
    objective: Objective
    score: Objective


class Classifier(NamedTuple):
    """A classifier that can be shown photographs.

    Attributes:
        outputs_fn: as it is, from one image to outputs; its layers are looked at by methods.
        logits_fn: the same with the head taken into account.
        head: how its outputs are read.
        class_names: of the logits.
        wordnet_ids: of the logits, where they are ImageNet's.
        shape: (size, size, channels) of the image.
        see: from an upright picture to the image.
        crop: from the width and height of a picture to the square that is seen; None where only
            `see` knows.
    """

    outputs_fn: LogitsFn
    logits_fn: LogitsFn
    head: Head
    class_names: tuple[str, ...]
    wordnet_ids: tuple[str, ...]
    shape: tuple[int, int, int]
    see: Callable[[Pictures.Image], Float[np.ndarray, "size size c"]]
    crop: Callable[[int, int], Crop] | None


def load(options: Options) -> Classifier:
    """The classifier that the command line asks for.

    Args:
        options: of the command.

    Returns:
        The classifier.

    Raises:
        WrongArgumentsError: there is none of this name, it does not classify images, or the names
            of the classes are not as many as its classes.
    """
    model: Any
    if ONE_OF_ONES_OWN.fullmatch(options.model):
        model = _call(options.model)
    else:
        try:
            model = models.load(options.model, weights=options.weights)
        except (ValueError, OSError, ImportError, models.WeightsError) as error:
            raise WrongArgumentsError(f"--model {options.model}: {error}") from error
    size = options.size or int(getattr(model, "size", SIZE))
    outputs_fn, channels = _outputs_fn(getattr(model, "logits_fn", model), size, options.model)
    head = _head(options.head)
    shape = (size, size, channels)
    logits_fn = Partial(_traced_once, _with_head(outputs_fn, head))
    count = _eval_shape(logits_fn, shape)[0]
    names, ids = _names(options, model, count)
    see = getattr(model, "preprocess", None)
    is_centre = see is None or _is_of_this_package(see)
    return Classifier(
        outputs_fn=outputs_fn,
        logits_fn=logits_fn,
        head=head,
        class_names=names,
        wordnet_ids=ids,
        shape=shape,
        see=functools.partial(_see, see or functools.partial(models.preprocess, size=size), shape),
        crop=functools.partial(cropping.centre_crop, size=size) if is_centre else None,
    )


def find_target(classifier: Classifier, wanted: int | str | None) -> int | None:
    """The class that the command line asks for, now that the names are known.

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


def _head(name: str) -> Head:
    """The one place that knows what outputs mean."""
    return {"softmax": Head(_same, objectives.log_prob, objectives.prob)}[name]


def _with_head(outputs_fn: LogitsFn, head: Head) -> LogitsFn:
    return outputs_fn if head.to_logits is _same else Partial(_headed, head.to_logits, outputs_fn)


@jax.jit
def _traced_once(logits_fn: LogitsFn, image: Image) -> Logits:
    """The same for all methods, whose tracing is half of what a later run waits for."""
    return logits_fn(image)


def _same(outputs: Logits) -> Logits:
    return outputs


def _headed(to_logits: Callable[[Logits], Logits], outputs_fn: LogitsFn, image: Image) -> Logits:
    return to_logits(outputs_fn(image))


def _call(name: str) -> Any:
    add_working_folder()
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


def _outputs_fn(model: Any, size: int, name: str) -> tuple[LogitsFn, int]:
    """A function of one image, in colour or else in grey, with its parameters as a pytree."""
    refused: Exception | None = None
    for channels in (3, 1):
        for convert in (_of_one_image, models.as_logits_fn):
            try:
                outputs_fn = convert(model)
                outputs = _eval_shape(outputs_fn, (size, size, channels))
            except Exception as error:
                # Of the last one: a classifier of batches in colour is what is usual.
                refused = error if channels == 3 else refused
                continue
            if len(outputs) == 1:
                return outputs_fn, channels
    raise WrongArgumentsError(
        f"--model: {name} is no classifier of images ({size}, {size}, 3) or ({size}, {size}, 1): "
        + (f"{type(refused).__name__}: {str(refused)[:300]}" if refused else "")
    ) from refused


def _of_one_image(model: Any) -> LogitsFn:
    if type(model) is Partial:
        return model
    if not callable(model) or _has_parameters(model):
        raise TypeError(f"a classifier must be a function, got {type(model).__name__}")
    return Partial(model)


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
    if names is None:
        return tuple(f"class {index}" for index in range(count)), ()
    if len(names) == count:
        ids = imagenet.classes().wordnet_ids
        return tuple(names), ids if tuple(names) == imagenet.classes().names else ()
    if options.class_names is None:
        return tuple(f"class {index}" for index in range(count)), ()
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
    return image


def scores_of_classes(classifier: Classifier) -> Callable[[LogitsFn, Image], Array]:
    """What is reported of every class.

    Args:
        classifier: from `load`.

    Returns:
        A function from the logits_fn and an image to (k,).
    """

    def of_all(logits_fn: LogitsFn, image: Image) -> Array:
        logits = logits_fn(image)

        def of(target: Target) -> Array:
            return classifier.head.score(logits, target)

        return jax.vmap(of)(jnp.arange(logits.shape[0]))

    return of_all
