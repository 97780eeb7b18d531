"""What a network does to an image in [0, 1] before its first layer."""

from dataclasses import dataclass

import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.types import Array, Float


@dataclass(frozen=True)
class Normalisation:
    """`(image - mean) / deviation`, by channel; by default as for most networks on ImageNet.

    Attributes:
        mean: one intensity for each channel.
        deviation: intensities that divide the difference, one for each channel, above 0.

    Raises:
        TypeError, ValueError: not three numbers, or a deviation that is not above 0.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    deviation: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, least in (("mean", -float("inf")), ("deviation", 0.0)):
            values = getattr(self, name)
            if len(values) != 3:
                raise ValueError(f"{name} must hold 3 numbers, one a channel, got {values!r}")
            for value in values:
                checks.check_number(name, value, least=least, open_least=True)

    def __call__(self, images: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
        """The images that the first layer sees."""
        mean, deviation = (
            jnp.asarray(values, images.dtype)[None, None, None]
            for values in (self.mean, self.deviation)
        )
        return (images - mean) / deviation


IMAGENET = Normalisation()
