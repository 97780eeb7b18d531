"""Explain image classifiers with masks, in pure JAX functions.

`fitb_jax.fill` answers how a classifier would fill in the hidden part of an image,
`fitb_jax.evaluation` whether an explanation should be believed. `models` and `data` are not
imported here: no method needs them.
"""

from fitb_jax import batching, derivatives, evaluation, fill, masks, objectives, types

__version__ = "0.1.0"

__all__ = ["batching", "derivatives", "evaluation", "fill", "masks", "objectives", "types"]
