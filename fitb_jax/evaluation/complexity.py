"""How concentrated, rough or scattered a map is, whatever it explains."""

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.components import connected_components
from fitb_jax.precision import at_least_float32
from fitb_jax.types import Array, Mask, Number, Saliency, Scalar


def gini(saliency: Saliency) -> Scalar:
    """Gini index of the magnitudes of a map: how few pixels hold most of it.

    Args:
        saliency: (h, w); a value counts by its magnitude.

    Returns:
        In [0, 1 - 1 / (h w)]: 0 where all magnitudes are equal, the upper end where one pixel has
        everything; nan for a map of zeros.

    Raises:
        TypeError, ValueError: not a finite floating map (h, w).

    Source: Hurley & Rickard 2009, "Comparing measures of sparsity"; for explanations, Chalasani et
    al. 2020, "Concise explanations of neural networks using adversarial training".
    """
    checks.check_saliency(saliency)
    shares = jnp.sort(_shares(saliency))
    size = shares.size
    places = jnp.arange(1, size + 1, dtype=shares.dtype)
    # Of magnitudes that ascend: the mean over pixels of place against share.
    return (shares * ((2 * places - size - 1) / size)).sum()


def entropy(saliency: Saliency) -> Scalar:
    """Entropy of the magnitudes of a map, as shares of their sum.

    Args:
        saliency: (h, w); a value counts by its magnitude.

    Returns:
        In nats, in [0, log(h w)]: 0 where one pixel has everything, the upper end where all
        magnitudes are equal; nan for a map of zeros.

    Raises:
        TypeError, ValueError: not a finite floating map (h, w).

    Source: Bhatt, Weller & Moura 2020, "Evaluating and aggregating feature-based model
    explanations" (complexity).
    """
    checks.check_saliency(saliency)
    return jax.scipy.special.entr(_shares(saliency)).sum()


def total_variation(saliency: Saliency) -> Scalar:
    """Mean over pixels of the absolute differences to the right and lower neighbour.

    Args:
        saliency: (h, w), such as a mask.

    Returns:
        At least 0, in the map's units. For a mask of zeros and ones: the number of pixel edges on
        its boundary inside of the image, over the number of pixels.

    Raises:
        TypeError, ValueError: not a finite floating map (h, w).

    Source: Rudin, Osher & Fatemi 1992, in its anisotropic form.
    """
    checks.check_saliency(saliency)
    values = at_least_float32(jnp.asarray(saliency))
    steps = [jnp.abs(jnp.diff(values, axis=axis)).sum() for axis in (0, 1)]
    return (steps[0] + steps[1]) / saliency.size


def count_components(mask: Mask, *, threshold: Number = 0.5, connectivity: int = 4) -> Scalar:
    """How many connected regions a mask shows.

    Args:
        mask: (h, w); a pixel is shown where it is above the threshold.
        threshold: in the mask's units. An array argument.
        connectivity: 4 (pixels that share an edge) or 8 (or a corner).

    Returns:
        A whole number; 0 where nothing is shown.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.
    """
    checks.check_saliency(mask, name="mask")
    checks.check_number("threshold", threshold)
    found = connected_components(jnp.asarray(mask) > threshold, connectivity=connectivity)
    count = found.number.astype(jnp.promote_types(mask.dtype, jnp.float32))
    return jnp.where(jnp.isnan(mask).any(), jnp.nan, count)


def _shares(saliency: Array) -> Array:
    magnitudes = jnp.abs(jnp.ravel(at_least_float32(jnp.asarray(saliency))))
    largest = magnitudes.max()
    scaled = magnitudes / largest
    return scaled / scaled.sum()
