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
"""Each area of a step is from one part of the range: parts of equal lengths, or equal ratios."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class InrConfig:
    """How a coordinate network is fitted.

    A pytree: numbers that do not change the program are leaves, which may be arrays, so that a
    sweep over them is a `vmap`. A field that is marked static costs one compilation per value.

    Attributes:
        network: the architecture of the network.
        area_form: "exact" solves for the threshold of each mask; "penalty" is `area_penalty`.
        prior_gradients: number of gradients in the prior of a fit to which no prior is given, see
            `prior.noisy_gradients`. With 0 such a fit has no prior, as in the paper.
        variant: "preserve" shows the mask, "delete" hides it, "dual" does both.
        objective: the reward, a function of logits and target.
        grid: rows and columns on which the network is evaluated while fitting, at most those of the
            image. With 56, p(class) is higher, and the pointing game not clearly different
            (experiment `extremal_settings`).
        areas_per_step: masks in each step, stratified over the range of areas.
        area_spacing: of the strata: "linear" for equal lengths, "log" for equal ratios, which fits
            small areas more often.
        chunk: masks that the classifier sees at once; it changes nothing but speed and memory. On
            two CPU cores two were fastest; on accelerators it has not been measured.
        steps: the largest number of steps.
        patience: number of steps that `tolerance` compares. Much of the gain comes late, as the
            learning rate falls, and a small number stops too early. A fit of fewer than
            `2 * patience` steps never stops early.
        smallest_area: lower end of the range of areas, in (0, 1).
        largest_area: upper end of the range of areas, in (0, 1).
        learning_rate: of Adam, falling to 0 over all steps by a cosine.
        score_scale: factor of the network's output; with a larger one masks can be crisper.
        softness_weight: of `softness_penalty` ("exact" only). With a small weight, faint pixels
            have the reward, which a binary mask does not show. With a large one, the first crisp
            mask stays where it is. A third of the default and nearly three times it are worse
            (experiment `extremal_settings`).
        boundary_weight: of `boundary_penalty`, total variation relative to a disc's.
        shift: largest shift in pixels of what the classifier sees, drawn anew at each step.
        noise: standard deviation of Gaussian noise on what the classifier sees, drawn anew at each
            step.
        penalty_weight: of `area_penalty` at the start ("penalty" only).
        penalty_growth: factor by which `penalty_weight` grows at each step.
        tolerance: the fit stops when the mean objective of `patience` steps is less than this above
            that of the `patience` steps before.
        blur: standard deviation of a blurred background, as a share of the image's longer side.
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
    """The weight at a step of the penalty that goes with `config.area_form`.

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
