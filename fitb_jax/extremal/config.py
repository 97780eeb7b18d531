"""How a coordinate network is fitted to an image."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.extremal.area import check_area
from fitb_jax.extremal.background import BLUR
from fitb_jax.extremal.coordinates import NetworkConfig, check_network
from fitb_jax.extremal.reward import Variant
from fitb_jax.objectives import log_prob
from fitb_jax.types import Array, Objective

AreaForm: TypeAlias = Literal["exact", "penalty"]
"""Whether a mask's area is solved for, or pushed to by a penalty."""

AreaSpacing: TypeAlias = Literal["linear", "log"]
"""Whether the areas of a step are from parts of the range of equal lengths, or of equal ratios."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class InrConfig:
    """How a coordinate network is fitted.

    A pytree: numbers without a fixed structural meaning are leaves, which may be arrays, so that a
    sweep over them is a `vmap`. What is marked static costs one compile per value.

    Attributes:
        network: what it looks like.
        area_form: "exact" solves for the threshold of each mask; "penalty" is `area_penalty`.
        prior_gradients: of the prior of a fit that is given none, `prior.noisy_gradients`; with 0
            such a fit has no prior, as in the paper.
        variant: "preserve" shows the mask, "delete" hides it, "dual" does both.
        objective: the reward, of logits and target.
        grid: the masks are fitted on so many rows and columns, at most those of the image. With
            56 p(class) is higher, and the pointing game not clearly different
            (`extremal_settings`).
        areas_per_step: masks in each step, stratified over the range of areas.
        area_spacing: of the parts that the areas of a step are from: "linear" for equal lengths,
            "log" for equal ratios, which fits small areas more often.
        chunk: masks that the classifier sees at once; it changes nothing but speed and memory. On
            two CPU cores two were fastest; on accelerators it has not been measured.
        steps: at most so many.
        patience: steps; see `tolerance`. Much of what is gained comes late, as the rate falls: few
            of them stop too early. A fit of less than twice as many never stops early.
        smallest_area: of the range.
        largest_area: of the range.
        learning_rate: of Adam, falling to 0 over all steps by a cosine.
        score_scale: factor of the network's output: how crisp masks can be.
        softness_weight: of `softness_penalty` ("exact" only). With little of it the reward is of
            faint pixels, which a binary mask does not show; with much the first crisp mask stays
            where it is. A third and nearly three times as much are worse (`extremal_settings`).
        boundary_weight: of `boundary_penalty`, total variation relative to a disc's.
        shift: what the classifier sees is moved by up to so many pixels, anew at each step.
        noise: deviation of Gaussian noise on what the classifier sees, anew at each step.
        penalty_weight: of `area_penalty` at the start ("penalty" only).
        penalty_growth: factor of `penalty_weight` at each step.
        tolerance: the fit stops when the objective grew by less than this from one run of
            `patience` steps to the next.
        blur: deviation of a blurred background, as a share of the image's longer side.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    area_form: AreaForm = field(default="exact", metadata={"static": True})
    prior_gradients: int = field(default=16, metadata={"static": True})
    variant: Variant = field(default="preserve", metadata={"static": True})
    objective: Objective = field(default=log_prob, metadata={"static": True})
    grid: int = field(default=28, metadata={"static": True})
    areas_per_step: int = field(default=4, metadata={"static": True})
    area_spacing: AreaSpacing = field(default="linear", metadata={"static": True})
    chunk: int = field(default=2, metadata={"static": True})
    steps: int = field(default=50, metadata={"static": True})
    patience: int = field(default=30, metadata={"static": True})
    smallest_area: Any = 0.02
    largest_area: Any = 0.8
    learning_rate: Any = 0.01
    score_scale: Any = 5.0
    softness_weight: Any = 3.0
    boundary_weight: Any = 1.0
    shift: int = field(default=0, metadata={"static": True})
    noise: Any = 0.0
    penalty_weight: Any = 300.0
    penalty_growth: Any = 1.0035
    tolerance: Any = 0.01
    blur: Any = BLUR


PLAIN = InrConfig(prior_gradients=0, boundary_weight=0.0, steps=100, learning_rate=0.006)
"""No prior and no weight on the boundary: the paper's fit, but for the exact areas."""


def regulariser_weight(config: InrConfig, step: Array | int) -> Any:
    """What the penalty that goes with the form of the area counts at a step.

    Args:
        config: how the network is fitted.
        step: from 0 to `config.steps - 1`.

    Returns:
        A scalar, at least 0.
    """
    if config.area_form == "penalty":
        return config.penalty_weight * config.penalty_growth ** jnp.asarray(step, jnp.float32)
    return config.softness_weight


def check_config(config: InrConfig) -> None:
    """Refuse a configuration that cannot be fitted.

    Args:
        config: to check.

    Raises:
        TypeError, ValueError: a count below 1, an unknown name, a number out of range.
    """
    check_network(config.network)
    checks.check_choice("area_form", config.area_form, get_args(AreaForm))
    checks.check_choice("area_spacing", config.area_spacing, get_args(AreaSpacing))
    checks.check_choice("variant", config.variant, get_args(Variant))
    for name in ("grid", "areas_per_step", "chunk", "steps", "patience"):
        checks.check_count(name, getattr(config, name))
    for name in ("smallest_area", "largest_area"):
        checks.check_number(name, getattr(config, name))
        check_area(getattr(config, name), name=name)
    low, high = checks.known(config.smallest_area), checks.known(config.largest_area)
    if low is not None and high is not None and low > high:
        raise ValueError(f"smallest_area must be at most largest_area, got {low} and {high}")
    for name in ("learning_rate", "score_scale", "penalty_growth"):
        checks.check_number(name, getattr(config, name), least=0, open_least=True)
    for name in ("shift", "prior_gradients"):
        checks.check_count(name, getattr(config, name), least=0)
    for name in ("softness_weight", "boundary_weight", "noise", "penalty_weight", "blur"):
        checks.check_number(name, getattr(config, name), least=0)
    checks.check_number("tolerance", config.tolerance)
