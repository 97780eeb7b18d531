"""Argument checks, made before anything is compiled.

Shapes and dtypes are always checked. Values are checked where they are known, that is outside of
`jax.jit` and `jax.vmap`. Every message names the argument, what was given and what is allowed.
"""

from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax.types import LogitsFn

LARGEST_PIXEL = 16.0
"""Images are meant to be in [0, 1]; a standardised one reaches about 5, one in bytes 255."""


def known(value: Any) -> np.ndarray | None:
    """The values of an array where they can be looked at: not when traced, nor on other hosts.

    They are numpy's, since a JAX operation on a known array inside `jax.jit` is traced as well.
    """
    if isinstance(value, jax.core.Tracer) or not getattr(value, "is_fully_addressable", True):
        return None
    return np.asarray(value)


def check_choice(name: str, value: str, allowed: Collection[str]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {sorted(allowed)}, got {value!r}")


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
    """Raise ValueError unless `value` is a finite scalar in [least, most] ((least, .. if open)."""
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
    if not hasattr(value, "dtype") or not jnp.issubdtype(value.dtype, jnp.floating):
        given = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"{name} must be an array of floating point numbers, got {given}")
    if value.ndim != len(axes) or 0 in value.shape:
        raise ValueError(
            f"{name} must have shape ({', '.join(axes)}), none of them 0, got {value.shape}"
        )
    if (values := known(value)) is not None and not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")


def check_image(image: Any, *, name: str = "image", axes: Sequence[str] = ("h", "w", "c")) -> None:
    """Raise unless `image` is a finite floating array (h, w, c) with values of about [0, 1]."""
    check_floating(name, image, axes)
    if (values := known(image)) is not None and np.abs(values).max() > LARGEST_PIXEL:
        raise ValueError(
            f"{name} must have values in [0, 1] (normalisation belongs to logits_fn), "
            f"got [{values.min():g}, {values.max():g}]"
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
    if value.ndim != len(axes) or 0 in value.shape:
        raise ValueError(
            f"{name} must have shape ({', '.join(axes)}), none of them 0, got {value.shape}"
        )


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
    """Raise unless `background` is of numbers that broadcast to an image of this shape, finite."""
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
    if (values := known(background)) is not None and not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")


def count_classes(logits_fn: LogitsFn, image: Any) -> int:
    """How many classes a classifier has, without running it.

    Raises:
        TypeError: `logits_fn` is not callable.
        ValueError: it does not map this image to one floating vector.
    """
    if not callable(logits_fn):
        raise TypeError(f"logits_fn must be callable, got {type(logits_fn).__name__}")
    logits = jax.eval_shape(logits_fn, jax.ShapeDtypeStruct(image.shape, image.dtype))
    is_vector = getattr(logits, "ndim", None) == 1
    if not is_vector or not jnp.issubdtype(logits.dtype, jnp.floating):
        raise ValueError(
            "logits_fn must map one image (h, w, c) to floating logits (k,), "
            f"got {logits} from shape {image.shape}; see models.as_logits_fn"
        )
    return int(logits.shape[0])


def check_target(
    target: Any, classes: int, *, name: str = "target", shape: tuple[int, ...] = ()
) -> None:
    """Raise TypeError unless `target` is integer, ValueError on its shape or outside [0, classes).

    JAX clamps an index that is out of range, so a wrong label would be explained as another one.
    """
    if not jnp.issubdtype(jnp.result_type(target), jnp.integer):
        raise TypeError(f"{name} must be an integer class index, got {jnp.result_type(target)}")
    if jnp.shape(target) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {jnp.shape(target)}")
    values = known(target)
    if values is not None and not ((values >= 0) & (values < classes)).all():
        raise ValueError(f"{name} must lie in [0, {classes}), got {values}")


def check_explained(logits_fn: LogitsFn, image: Any, target: Any) -> None:
    """Raise unless `logits_fn` classifies `image` and `target` is one of its classes."""
    check_image(image)
    check_target(target, count_classes(logits_fn, image))
