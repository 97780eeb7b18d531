"""Types shared by every module: arrays with named axes, and function-valued arguments."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Real
from jaxtyping import PRNGKeyArray as Key

Image: TypeAlias = Float[Array, "h w c"]
"""One image: height, width, channels; values in [0, 1]."""

Mask: TypeAlias = Float[Array, "h w"]
"""One mask on the pixels of an image: 1 = visible, 0 = blank."""

Saliency: TypeAlias = Float[Array, "h w"]
"""A saliency map: how important each pixel is. Any finite values; larger is more important."""

Truth: TypeAlias = Bool[Array, "h w"]
"""Ground truth: True on the pixels of the object of a class."""

Logits: TypeAlias = Float[Array, "k"]
"""Unnormalised log-probabilities of k classes."""

Scalar: TypeAlias = Float[Array, ""]
"""A floating point array of shape ()."""

Number: TypeAlias = Real[ArrayLike, ""]
"""A real number, as a Python value or an array argument."""

Target: TypeAlias = Int[ArrayLike, ""]
"""The index of one class, in [0, k)."""

Background: TypeAlias = Real[ArrayLike, "..."]
"""What is seen where a mask is blank: a number, one value per channel, or a whole image."""

LogitsFn: TypeAlias = Callable[[Image], Logits]
"""A classifier: one image in, logits out. A `jax.tree_util.Partial` when it has parameters."""


@runtime_checkable
class Objective(Protocol):
    """What is to grow: a scalar function of the logits and the class of interest."""

    def __call__(self, logits: Logits, target: Target) -> Scalar:
        """Evaluate the objective."""
        ...


@runtime_checkable
class UpdateFn(Protocol):
    """A rule for the update: the direction in which a classifier would change the blanks."""

    def __call__(self, logits_fn: LogitsFn, image: Image, mask: Mask, target: Target) -> Image:
        """Return the update of every pixel."""
        ...


@runtime_checkable
class FillFn(Protocol):
    """A rule that paints an update into the blanks of one image."""

    def __call__(self, image: Image, mask: Mask, update: Image) -> Image:
        """Return the filled image."""
        ...


@runtime_checkable
class SaliencyFn(Protocol):
    """An explanation of one image by one map; `fitb_jax.saliency` makes one of every method."""

    def __call__(self, logits_fn: LogitsFn, image: Image, target: Target, *, key: Key) -> Saliency:
        """Return the map."""
        ...


@runtime_checkable
class FeaturesFn(Protocol):
    """A classifier that returns its layers, and adds perturbations to them where they are given."""

    def __call__(
        self, image: Image, perturbations: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Return the layers by name, "logits" among them, after adding each perturbation."""
        ...


__all__ = [
    "Array",
    "Background",
    "Bool",
    "FeaturesFn",
    "FillFn",
    "Float",
    "Image",
    "Int",
    "Key",
    "Logits",
    "LogitsFn",
    "Mask",
    "Number",
    "Objective",
    "Saliency",
    "SaliencyFn",
    "Scalar",
    "Target",
    "Truth",
    "UpdateFn",
]
