"""What a mask is worth to a classifier (Fong et al. 2019)."""

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from fitb_jax import checks
from fitb_jax.extremal.background import Blend
from fitb_jax.types import LogitsFn, Mask, Objective, Scalar, Target

Variant: TypeAlias = Literal["preserve", "delete", "dual"]
"""What a mask is rewarded for; see `rewards`."""


def rewards(
    logits_fn: LogitsFn,
    target: Target,
    blend: Blend,
    variant: Variant,
    objective: Objective,
    *,
    flip: bool = False,
) -> Callable[[Mask], Scalar]:
    """The function that says what a mask is worth.

    Args:
        logits_fn: the classifier.
        target: class to explain.
        blend: shows the image through a mask, from `make_blend`.
        variant: "preserve": the objective of the image through the mask; "delete": less that of
            the image through its complement; "dual": the sum of both.
        objective: of logits and target.
        flip: show the classifier the mirror image.

    Returns:
        A function from a mask (h, w) to a scalar.

    Raises:
        ValueError: an unknown variant.

    Source: Fong et al. 2019, "Understanding deep networks via extremal perturbations", section 3.
    """
    checks.check_choice("variant", variant, get_args(Variant))

    def seen(mask: Mask) -> Scalar:
        shown = blend(mask)
        return objective(logits_fn(shown[:, ::-1] if flip else shown), target)

    return {
        "preserve": seen,
        "delete": lambda mask: -seen(1 - mask),
        "dual": lambda mask: seen(mask) - seen(1 - mask),
    }[variant]
