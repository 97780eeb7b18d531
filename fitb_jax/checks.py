"""Argument checks, made before anything is compiled.

Shapes and dtypes are always checked. Values are checked where they are known, that is outside of
`jax.jit` and `jax.vmap`. Every message names the argument, what was given and what is allowed.
"""

import difflib
import functools
import warnings
from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax.endings import final_activation
from fitb_jax.types import LogitsFn

LARGEST_PIXEL = 16.0
"""Images are meant to be in [0, 1]; a standardised one reaches about 5, one in bytes 255."""

MOST_LISTED = 40
"""An error message lists at most this many names."""

LEAST_SIDE = 16
"""An image of 1 or 3 rows and at least this many channels is refused: its channels are first."""


def known(value: Any) -> np.ndarray | None:
    """The values of an array as NumPy, or None where they are traced or lie on another host.

    NumPy, since a JAX operation on a known array inside `jax.jit` is traced as well.
    """
    if isinstance(value, jax.core.Tracer) or not getattr(value, "is_fully_addressable", True):
        return None
    return np.asarray(value)


def describe(value: Any) -> str:
    """What a value is, in a few words; of arrays and containers never the contents (weights)."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = "a PyTorch tensor" if _is_torch(value) else f"an array of {value.dtype}"
        return f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, str | int | float | None):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        names = ", ".join(str(name) for name in [*value][:8])
        return f"a dict with {names}" + (", ..." if len(value) > 8 else "")
    if isinstance(value, functools.partial):
        return f"a {type(value).__name__} of {describe(value.func)}"
    return getattr(value, "__qualname__", None) or f"a {type(value).__name__}"


def _is_torch(value: Any) -> bool:
    return _is_of(value, "torch")


def _is_of(value: Any, *modules: str) -> bool:
    """Whether its type, or one that it derives from, is of a library that may not be installed."""
    names = [kind.__module__ for kind in type(value).__mro__]
    return any(
        name == module or name.startswith(f"{module}.") for name in names for module in modules
    )


def check_callable(name: str, value: Any) -> None:
    """Raise TypeError unless `value` is callable."""
    if not callable(value):
        hint = f": give its .{name}" if hasattr(value, name) else ""
        raise TypeError(f"{name} must be callable, got {describe(value)}{hint}")


def check_key(key: Any, *, name: str = "key") -> None:
    """Raise TypeError unless `key` is one random key of JAX."""
    dtype = getattr(key, "dtype", None)
    is_key = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not ((is_key and key.shape == ()) or (dtype == np.uint32 and len(key.shape) == 1)):
        raise TypeError(
            f"{name} must be one random key, such as jax.random.key(0), got {describe(key)}"
        )


def check_choice(name: str, value: str, allowed: Collection[str]) -> None:
    """Raise ValueError unless `value` is one of `allowed`; of many, the nearest are named."""
    if value in allowed:
        return
    if len(allowed) <= MOST_LISTED:
        raise ValueError(f"{name} must be one of {sorted(allowed)}, got {value!r}")
    near = difflib.get_close_matches(str(value), allowed, n=5, cutoff=0)
    raise ValueError(
        f"{name} must be one of {len(allowed)} names, the nearest are {near}, got {describe(value)}"
    )


def check_count(name: str, value: Any, *, least: int = 1) -> None:
    """Raise TypeError unless `value` is an integer, ValueError if it is below `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer of at least {least}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_shape(shape: Any) -> None:
    """Raise ValueError unless `shape` is (height, width), both at least 1."""
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise ValueError(f"shape must be (height, width), got {shape}")
    check_count("height", shape[0])
    check_count("width", shape[1])


def check_number(
    name: str,
    value: Any,
    *,
    least: float | int = -np.inf,
    most: float | int = np.inf,
    open_least: bool = False,
) -> None:
    """Raise TypeError unless `value` is a number, ValueError unless a finite one in [least, most].

    Where `open_least`, `least` itself is refused.
    """
    if isinstance(value, str | None) or not jnp.issubdtype(jnp.result_type(value), jnp.number):
        raise TypeError(f"{name} must be a number, got {describe(value)}")
    if jnp.shape(value) != ():
        raise ValueError(f"{name} must be a scalar, got shape {jnp.shape(value)}")
    if known(value) is None:
        return
    number = float(value)
    inside = (number > least if open_least else number >= least) and number <= most
    if not (inside and np.isfinite(number)):
        left = "(" if open_least else "["
        raise ValueError(f"{name} must lie in {left}{least:g}, {most:g}], got {number:g}")


def check_floating(name: str, value: Any, axes: Sequence[str]) -> None:
    """Raise TypeError unless `value` is a floating array, ValueError on its rank or non-finite."""
    if _is_torch(value):
        raise TypeError(
            f"{name} must be an array of JAX or NumPy, got {describe(value)}: take value.numpy(), "
            "and for an image np.moveaxis(value.numpy(), -3, -1)"
        )
    if not hasattr(value, "dtype") or not jnp.issubdtype(value.dtype, jnp.floating):
        remedies = {"uint8": f"give {name} / 255", "bool": f"give {name}.astype(jnp.float32)"}
        remedy = remedies.get(str(getattr(value, "dtype", "")))
        raise TypeError(
            f"{name} must be an array of floating point numbers, got {describe(value)}"
            + (f": {remedy}" if remedy else "")
        )
    _check_axes(name, value, axes)
    if (values := known(value)) is not None and not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")


def _check_axes(name: str, value: Any, axes: Sequence[str]) -> None:
    """Raise ValueError unless there are these axes, and none is empty."""
    if value.ndim == len(axes) and 0 not in value.shape:
        return
    more, of_colours, remedy = value.ndim - len(axes), axes[-1] == "c", ""
    if more == 1 and of_colours:
        remedy = f": take one, such as {name}[0], or jax.vmap over all"
    elif more == 1 and value.shape[-1] == 1:
        remedy = f": give {name}[..., 0]"
    elif more == -1 and of_colours:
        remedy = f": give {name}[..., None]"
    allowed = f"({', '.join(axes)})" + (", none of them 0" if 0 in value.shape else "")
    raise ValueError(f"{name} must have shape {allowed}, got {value.shape}{remedy}")


def check_image(image: Any, *, name: str = "image", axes: Sequence[str] = ("h", "w", "c")) -> None:
    """Raise unless `image` is a finite floating array (h, w, c) with values of about [0, 1]."""
    check_floating(name, image, axes)
    height, _, channels = image.shape[-3:]
    if height in (1, 3) and channels >= LEAST_SIDE:
        raise ValueError(
            f"{name} must have its channels last, ({', '.join(axes)}), got {image.shape}: take "
            "jnp.moveaxis(image, -3, -1)"
        )
    if (values := known(image)) is not None and np.abs(values).max() > LARGEST_PIXEL:
        raise ValueError(
            f"{name} must have values in [0, 1] (normalisation belongs to logits_fn), "
            f"got [{values.min():g}, {values.max():g}]: divide bytes by 255"
        )


def check_mask(
    mask: Any, shape: tuple[int, ...], *, name: str = "mask", axes: Sequence[str] = ("h", "w")
) -> None:
    """Raise unless `mask` is a floating array in [0, 1] whose last two axes are `shape`."""
    check_floating(name, mask, axes)
    if mask.shape[-2:] != tuple(shape):
        raise ValueError(f"{name} must match the image's (h, w) = {tuple(shape)}, got {mask.shape}")
    if (values := known(mask)) is not None and not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1] (1 = visible, 0 = blank)")


def check_saliency(
    saliency: Any, shape: tuple[int, ...] | None = None, *, name: str = "saliency"
) -> None:
    """Raise unless `saliency` is a finite floating array (h, w), of this shape if one is given."""
    check_floating(name, saliency, ("h", "w"))
    if shape is not None and saliency.shape != tuple(shape):
        raise ValueError(f"{name} must match the image's (h, w) = {shape}, got {saliency.shape}")


def check_boolean(name: str, value: Any, axes: Sequence[str]) -> None:
    """Raise TypeError unless `value` is a boolean array, ValueError on its rank."""
    if not hasattr(value, "dtype") or not jnp.issubdtype(value.dtype, jnp.bool_):
        given = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"{name} must be a boolean array, got {given}")
    _check_axes(name, value, axes)


def check_truth(truth: Any, shape: tuple[int, ...], *, name: str = "truth") -> None:
    """Raise unless `truth` is a boolean array of this shape (h, w)."""
    check_boolean(name, truth, ("h", "w"))
    if truth.shape != tuple(shape):
        raise ValueError(f"{name} must have the map's shape {tuple(shape)}, got {truth.shape}")


def check_areas(areas: Any, *, name: str = "areas", least_count: int = 1) -> None:
    """Raise unless `areas` is a floating vector that ascends strictly within [0, 1]."""
    check_floating(name, areas, ("a",))
    if areas.shape[0] < least_count:
        raise ValueError(f"{name} must hold at least {least_count} areas, got {areas.shape[0]}")
    if (values := known(areas)) is None:
        return
    if not ((values >= 0) & (values <= 1)).all() or not (np.diff(values) > 0).all():
        raise ValueError(f"{name} must ascend strictly within [0, 1], got {values}")


def check_same_shape(name: str, value: Any, other_name: str, other: Any) -> None:
    """Raise ValueError unless two arrays have one shape."""
    if value.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {other.shape}, got {value.shape}"
        )


def check_background(background: Any, shape: tuple[int, ...], *, name: str = "background") -> None:
    """Raise unless `background` is finite: a number, a value per channel or an image (h, w, c)."""
    if isinstance(background, str):
        raise TypeError(
            f"{name} must be a number, one value per channel {shape[-1:]} or an image "
            f"{tuple(shape)}, got {background!r}; for a blur give "
            "smoothing.gaussian_blur(image, sigma=...)"
        )
    given = jnp.shape(background)
    if given not in {(), shape[-1:], tuple(shape)}:
        raise ValueError(
            f"{name} must be a number, one value per channel {shape[-1:]} "
            f"or an image {tuple(shape)}, got shape {given}"
        )
    if (values := known(background)) is None:
        return
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    if np.abs(values).max() > LARGEST_PIXEL:
        raise ValueError(
            f"{name} must have the image's units, [0, 1], got "
            f"[{values.min():g}, {values.max():g}]: divide bytes by 255"
        )


def count_classes(logits_fn: LogitsFn, image: Any) -> int:
    """How many classes a classifier has, without running it.

    Warns where its last operation is a softmax or a sigmoid: those are not logits.

    Raises:
        TypeError: `logits_fn` is not callable, is a module of a framework, or does not return one
            array.
        ValueError: it does not map this image to one floating vector.
    """
    check_callable("logits_fn", logits_fn)
    if _is_of(logits_fn, "torch.nn", "flax.nnx", "flax.linen", "keras"):
        raise TypeError(
            f"logits_fn must be a function of one image, got {describe(logits_fn)}: "
            "give models.as_logits_fn(module)"
        )
    struct = jax.ShapeDtypeStruct(image.shape, image.dtype)
    try:
        jaxpr, outputs = jax.make_jaxpr(logits_fn, return_shape=True)(struct)
    except Exception as error:
        error.add_note(f"while logits_fn was traced on an image of {image.dtype} {image.shape}")
        raise
    classes = int(check_outputs(outputs, of=f"an image of shape {tuple(image.shape)}").shape[0])
    ending = final_activation(jaxpr.jaxpr)
    if ending is not None:
        _warn_of_probabilities(f"its last operation is a {ending}")
    return classes


def check_outputs(outputs: Any, *, name: str = "logits_fn", of: str = "one image (h, w, c)") -> Any:
    """The outputs of a classifier for one image, as they are.

    Raises:
        TypeError: they are not one array.
        ValueError: they are not one floating vector.
    """
    if not hasattr(outputs, "shape") or not hasattr(outputs, "dtype") or _is_torch(outputs):
        raise TypeError(f"{name} must return one array of logits (k,), got {_remedy(outputs)}")
    if len(outputs.shape) != 1 or not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise ValueError(
            f"{name} must map one image (h, w, c) to floating logits (k,), "
            f"got {describe(outputs)} from {of}; see models.as_logits_fn"
        )
    return outputs


def _remedy(outputs: Any) -> str:
    """What came in place of logits, and how they are taken out of it."""
    given = describe(outputs)
    if isinstance(outputs, dict):
        entry = next((name for name in ("logits", "output", "out") if name in outputs), None)
        if entry is None:
            return f"{given}: wrap it, lambda image: f(image)[NAME]"
        hint = f"{given}: wrap it, lambda image: f(image)[{entry!r}]"
        return f"{hint}; a features_fn belongs to features_fn=" if len(outputs) > 1 else hint
    if hasattr(outputs, "logits"):
        return f"{given}: wrap it, lambda image: f(image).logits"
    if isinstance(outputs, tuple | list):
        return f"{given}: wrap it, lambda image: f(image)[0]"
    return f"{given}: wrap it in a function that returns the logits"


def _warn_of_probabilities(reason: str) -> None:
    warnings.warn(
        f"logits_fn seems to return probabilities, as {reason}, and they are taken for logits: "
        "give heads.with_head(logits_fn, HEAD), HEAD one of probabilities, binary_probability, "
        "multi_label_probabilities, or the network without its last activation",
        UserWarning,
        stacklevel=2,
    )


def check_target(
    target: Any, classes: int, *, name: str = "target", shape: tuple[int, ...] = ()
) -> None:
    """Raise TypeError unless `target` is integer, ValueError on its shape or outside [0, classes).

    JAX clamps an index that is out of range, so a wrong label would be explained as another one.
    """
    if not hasattr(target, "dtype") and not isinstance(target, int):
        hint = "; for the index of a name see class_index" if isinstance(target, str) else ""
        raise TypeError(f"{name} must be an integer class index, got {describe(target)}{hint}")
    if not jnp.issubdtype(jnp.result_type(target), jnp.integer):
        raise TypeError(f"{name} must be an integer class index, got {jnp.result_type(target)}")
    if jnp.shape(target) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {jnp.shape(target)}")
    values = known(target)
    if values is not None and not ((values >= 0) & (values < classes)).all():
        raise ValueError(f"{name} must lie in [0, {classes}), got {values}")


def check_manual_axes(image: Any) -> None:
    """Raise ValueError inside of `jax.shard_map` with its `check_vma`, before a search starts.

    The start of a search is the same on all devices, and so its gradient would be the sum of those
    of the images of all devices: wrong, and without an error where nothing else differs.
    """
    kinds = getattr(jax.typeof(image), "manual_axis_type", None)
    if varying := getattr(kinds, "varying", None):
        raise ValueError(
            f"image varies over the mesh axes {sorted(map(str, varying))}: give jax.shard_map "
            "check_vma=False, or the search would add up the gradients of all devices"
        )


def check_explained(logits_fn: LogitsFn, image: Any, target: Any, objective: Any = None) -> None:
    """Raise unless `logits_fn` classifies `image`, `target` is a class, and `objective` fits."""
    check_image(image)
    check_target(target, count_classes(logits_fn, image))
    if objective is not None:
        check_objective(logits_fn, objective)


def check_objective(logits_fn: LogitsFn, objective: Any) -> None:
    """Raise unless `objective` is a function, of what the head of the classifier says it returns.

    Raises:
        TypeError: it is no function.
        ValueError: the classifier is of several labels or of quantities (`heads.with_head`), and
            the objective is of exclusive classes.
    """
    if isinstance(objective, str):
        raise TypeError(
            f"objective must be a function, got {objective!r}: give one of fitb_jax.objectives, "
            "such as objectives.log_prob"
        )
    check_callable("objective", objective)
    function = getattr(logits_fn, "func", None)
    refuse = getattr(function, "refuse_objective", None)
    if refuse is not None:
        refuse(objective)
    # What a wrapper holds, such as `models.at_size`, a partial or `jax.jit`.
    held = (function, *getattr(logits_fn, "args", ()), getattr(logits_fn, "__wrapped__", None))
    for inner in held:
        if isinstance(inner, jax.tree_util.Partial):
            check_objective(inner, objective)
