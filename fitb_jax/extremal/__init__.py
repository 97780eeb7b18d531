"""Extremal masks: of all masks of an area, the one that lets a classifier see what it needs."""

from fitb_jax.extremal.area import area_penalty as area_penalty
from fitb_jax.extremal.area import binarise as binarise
from fitb_jax.extremal.area import crispness_penalty as crispness_penalty
from fitb_jax.extremal.area import exact_area as exact_area
from fitb_jax.extremal.background import BLUR as BLUR
from fitb_jax.extremal.background import BackgroundName as BackgroundName
from fitb_jax.extremal.background import blend as blend
from fitb_jax.extremal.background import blend_pyramid as blend_pyramid
from fitb_jax.extremal.background import blur_pyramid as blur_pyramid
from fitb_jax.extremal.background import gaussian_blur as gaussian_blur
from fitb_jax.extremal.background import make_blend as make_blend
from fitb_jax.extremal.background import mean_colour as mean_colour
