"""I-GOS and iGOS++: a coarse free mask that follows integrated gradients (Qi et al. 2020).

They give one map for all areas, in tens of descent steps, and are a comparison for
`fitb_jax.extremal.inr`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp

from fitb_jax import checks
from fitb_jax.batching import chunked_vmap
from fitb_jax.extremal.background import (
    BLUR,
    BackgroundName,
    check_background,
    hides_something,
    make_blend,
)
from fitb_jax.extremal.reward import blank_and_whole, rewards_in_chunks
from fitb_jax.objectives import prob
from fitb_jax.precision import at_least_float32, seen_as_wide
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Key,
    LogitsFn,
    Mask,
    Number,
    Objective,
    Scalar,
    Target,
)

IgosVariant: TypeAlias = Literal["igos", "igos_plus_plus"]
"""One mask whose removal lowers the class, or one mask for removal and one for insertion."""

StepRule: TypeAlias = Literal["line_search", "nesterov"]
"""The size of a step: by Armijo's condition, or a constant with Nesterov's momentum."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class IgosConfig:
    """How a mask follows integrated gradients; a pytree like `InrConfig`.

    Attributes:
        variant: see `IgosVariant`.
        step_rule: see `StepRule`.
        objective: what removal lowers and insertion raises, a function of logits and target.
        grid: rows and columns of the mask, at most those of the image.
        chunk: images that the classifier sees at once, as in `InrConfig`.
        iterations: steps of descent.
        path_steps: number of masks on each path of the integrated gradients.
        l1_weight: weight of the mean of the mask.
        variation_weight: weight of its total variation (mean squares), bilateral in iGOS++.
        edge: difference of neighbouring pixels beyond which the bilateral term lets the mask jump.
        noise: standard deviation of what is added to the pixels, drawn anew in each iteration.
        step_size: constant step of Nesterov's rule, and the first that the line search tries.
        shrinkage: factor by which the line search shortens a step that does not lower enough.
        search_weight: weight of the score in the line search. The reference implementation of
            iGOS++ compares twice the score whose gradient it follows. With 1 no step raises the
            objective.
        smallest_step: size below which the line search makes no step.
        sufficient_decrease: share of the decrease that the slope predicts, which a step must reach,
            in [0, 1].
        blur: standard deviation of a blurred background, as a share of the image's longer side.
    """

    variant: IgosVariant = field(default="igos_plus_plus", metadata={"static": True})
    step_rule: StepRule = field(default="line_search", metadata={"static": True})
    objective: Objective = field(default=prob, metadata={"static": True})
    grid: int = field(default=28, metadata={"static": True})
    chunk: int = field(default=2, metadata={"static": True})
    iterations: int = field(default=15, metadata={"static": True})
    path_steps: int = field(default=20, metadata={"static": True})
    l1_weight: Any = 1.0
    variation_weight: Any = 20.0
    edge: Any = 0.0225
    noise: Any = 0.045
    step_size: Any = 1000.0
    shrinkage: Any = 0.2
    search_weight: Any = 2.0
    smallest_step: Any = 1e-5
    sufficient_decrease: Any = 1e-4
    blur: Any = BLUR


IGOS = IgosConfig(variant="igos", iterations=20, path_steps=15, step_size=8.0, search_weight=1.0)
"""I-GOS with the defaults of its reference implementation; those of `IgosConfig` are of iGOS++."""


class Igos(NamedTuple):
    """A mask and its descent.

    Attributes:
        mask: (h, w) in [0, 1], 1 where the class depends on the image. It is a saliency map: its
            largest values are the mask of any area.
        values: on the grid, (k, rows, columns): the mask of removal and in iGOS++ that of
            insertion. Their union, upsampled, is `mask`.
        score: the score that is lowered, before each step, (iterations,).
        penalty: of L1 and total variation, with their weights, before each step, (iterations,).
        step_size: of each step, 0 where the line search found none, (iterations,).
        p_blank: p(target) of the background alone, in the terms of
            `objectives.score_of(config.objective)`. Where it is as high as `p_whole`, the
            background has the class by itself, and masks prove nothing.
        p_whole: the same for the whole image.
    """

    mask: Mask
    values: Float[Array, "k rows columns"]
    score: Float[Array, "iterations"]
    penalty: Float[Array, "iterations"]
    step_size: Float[Array, "iterations"]
    p_blank: Scalar
    p_whole: Scalar


def fit_igos(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    config: IgosConfig | None = None,
    *,
    key: Key,
    background: BackgroundName | Background = "blur",
) -> Igos:
    """Descend to the small, smooth mask that the class depends on, by integrated gradients.

    The score is a mean over a path of masks. Its gradient is an integrated gradient, which does not
    vanish where the whole mask saturates the classifier.

    Let p(m) be the objective of the image through m. The mask of removal is d, that of insertion i,
    and u = 1 - (1 - d) (1 - i) is their union. With t from 1/s to 1 in s steps, I-GOS lowers
    `mean_t p(t (1 - d))`. iGOS++ lowers half of
    `mean_t [p(t (1 - d)) - p(1 - t (1 - i)) + p(t (1 - u)) - p(1 - t (1 - u))]`.

    Pure: jit it as a whole, `vmap` it over images, targets, keys and the numbers of the config.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        config: how to descend; `IgosConfig()`, iGOS++, by default; `IGOS` for I-GOS.
        key: random key of the noise; nothing else is random.
        background: what blanks show: "blur", "pyramid", "mean", a number, one value per channel, or
            an image.

    Returns:
        The mask, with the history of its descent. Where the image equals its background no mask
        makes a difference, and it is 0.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.

    Source: Qi, Khorram & Li 2020, "Visualizing deep networks by optimizing with integrated
    gradients", arXiv 1905.00954; Khorram, Lawson & Li 2021, "iGOS++", arXiv 2012.15783. Weights,
    steps and halves are those of their reference implementation, which draws other noise in each
    trial of the line search and makes its smallest step where none falls enough.
    """
    checks.check_key(key)
    config = IgosConfig() if config is None else config
    _check_arguments(logits_fn, image, target, config, background)
    logits_fn = seen_as_wide(logits_fn, image)
    # Half precision does not tell the scores apart that a line search compares.
    image = at_least_float32(image)
    blend = make_blend(image, background, blur=config.blur)
    shape = image.shape[0], image.shape[1]
    coarse = min(config.grid, shape[0]), min(config.grid, shape[1])

    def objective_of(
        values: Array, noise: Array, in_chunks: Callable[..., Array]
    ) -> tuple[Scalar, tuple[Scalar, Scalar]]:
        def seen(mask: Mask, place: Array) -> Scalar:
            return config.objective(logits_fn(blend(mask) + noise[place]), target)

        masks, signs = _paths(values, shape, config)
        places = jnp.tile(jnp.arange(config.path_steps), len(masks) // config.path_steps)
        score = (signs * in_chunks(seen, masks, places, chunk=config.chunk)).sum()
        penalty = _penalty(values, image, config)
        return score + penalty, (score, penalty)

    def step(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], Any]:
        values, last = carry
        drawn = (config.path_steps, *image.shape)
        noise = config.noise * jax.random.normal(jax.random.fold_in(key, t), drawn, image.dtype)

        def search_objective(score: Scalar, penalty: Scalar) -> Scalar:
            return config.search_weight * score + penalty

        (_, record), gradient = jax.value_and_grad(
            lambda values: objective_of(values, noise, rewards_in_chunks), has_aux=True
        )(values)
        if config.step_rule == "nesterov":
            size = jnp.asarray(config.step_size, image.dtype)
            ahead = values - size * gradient
            moved = ahead + (t / (t + 3)).astype(image.dtype) * (ahead - last)
        else:
            size = _line_search(
                lambda values: search_objective(*objective_of(values, noise, _in_chunks)[1]),
                values,
                gradient,
                search_objective(*record),
                config,
            )
            moved = ahead = values - size * gradient
        return (jnp.clip(moved, 0, 1), ahead), (*record, size)

    start = jnp.zeros((2 if config.variant == "igos_plus_plus" else 1, *coarse), image.dtype)
    (values, _), (score, penalty, size) = jax.lax.scan(
        step, (start, start), jnp.arange(config.iterations)
    )
    values = jnp.where(hides_something(blend, image), values, 0)
    p_blank, p_whole = blank_and_whole(logits_fn, image, target, blend, config.objective)
    return Igos(
        _upsampled(_union(values), shape),
        values,
        score,
        penalty,
        size,
        p_blank,
        p_whole,
    )


def bilateral_variation(
    values: Float[Array, "rows columns"], image: Image, *, edge: Number = 0.0225
) -> Scalar:
    """Squared variation of a coarse mask, which counts less where the image has edges.

    Half of the sum of two terms. One is the mean squared difference of neighbours on the grid. The
    other is that of the upsampled mask on the pixels, each difference weighted by
    `exp(-d^2 / edge^2)`. Here d^2 is the image's squared difference, averaged over channels.

    Args:
        values: (rows, columns).
        image: (h, w, c) in [0, 1].
        edge: difference of neighbouring pixels beyond which steps count little. An array argument.

    Returns:
        At least 0; 0 for a constant mask.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Khorram, Lawson & Li 2021, arXiv 2012.15783, with the sum of their reference
    implementation, whose weights are not the same function of rows and of columns.
    """
    checks.check_floating("values", values, ("rows", "columns"))
    checks.check_image(image)
    checks.check_number("edge", edge, least=0, open_least=True)
    fine = _upsampled(values, (image.shape[0], image.shape[1]))
    total = _variation(values)
    for axis in (0, 1):
        similar = jnp.exp(-(jnp.diff(image, axis=axis) ** 2).mean(-1) / edge**2)
        total += _mean(similar * jnp.diff(fine, axis=axis) ** 2)
    return total / 2


def _paths(
    values: Float[Array, "k rows columns"], shape: tuple[int, int], config: IgosConfig
) -> tuple[Float[Array, "n h w"], Float[Array, "n"]]:
    """What is shown along the paths of all terms of the score, and the weight of each."""
    steps = config.path_steps
    t = (jnp.arange(1, steps + 1, dtype=values.dtype) / steps)[:, None, None]
    fine = jax.vmap(lambda each: _upsampled(each, shape))(values)

    def deleting(mask: Mask) -> Float[Array, "s h w"]:
        return t * (1 - mask)[None]

    def inserting(mask: Mask) -> Float[Array, "s h w"]:
        return 1 - t * (1 - mask)[None]

    if config.variant == "igos":
        paths, weights = [deleting(fine[0])], [1.0]
    else:
        both = _union(fine)
        paths = [deleting(fine[0]), inserting(fine[1]), deleting(both), inserting(both)]
        weights = [0.5, -0.5, 0.5, -0.5]
    return jnp.concatenate(paths), jnp.repeat(jnp.asarray(weights, values.dtype), steps) / steps


def _penalty(values: Float[Array, "k rows columns"], image: Image, config: IgosConfig) -> Scalar:
    mask = _union(values)
    if config.variant == "igos":
        variation = _variation(mask)
    else:
        variation = bilateral_variation(mask, image, edge=config.edge)
    # Without a slope at 0, where the descent begins, as in the reference implementation.
    l1 = jnp.where(mask > 0, mask, 0).mean()
    return config.l1_weight * l1 + config.variation_weight * variation


def _line_search(
    objective_fn: Callable[[Array], Scalar],
    values: Array,
    gradient: Array,
    objective: Scalar,
    config: IgosConfig,
) -> Scalar:
    """The first of ever smaller steps that lowers the objective enough; 0 if there is none."""
    slope = (gradient**2).sum()

    def shrink(state: tuple[Array, Array]) -> tuple[Array, Array]:
        size = state[0] * config.shrinkage
        reached = objective_fn(jnp.clip(values - size * gradient, 0, 1))
        return size, reached <= objective - config.sufficient_decrease * size * slope

    def is_open(state: tuple[Array, Array]) -> Array:
        size, is_enough = state
        return ~is_enough & (size * config.shrinkage >= config.smallest_step)

    first = jnp.asarray(config.step_size / config.shrinkage, values.dtype)
    size, is_enough = jax.lax.while_loop(is_open, shrink, (first, jnp.zeros((), bool)))
    return jnp.where(is_enough, size, 0)


def _in_chunks(fn: Callable[..., Array], *arguments: Array, chunk: int) -> Array:
    found: Array = chunked_vmap(fn, chunk=chunk)(*arguments)
    return found


def _union(masks: Float[Array, "k h w"]) -> Mask:
    return 1 - jnp.prod(1 - masks, axis=0)


def _upsampled(values: Float[Array, "rows columns"], shape: tuple[int, int]) -> Mask:
    """Bilinear, with the corners of the grid on those of the image."""

    def weights(size: int, count: int) -> Array:
        places = jnp.linspace(0, count - 1, size, dtype=values.dtype)
        distance = places[:, None] - jnp.arange(count, dtype=values.dtype)[None, :]
        return jnp.maximum(0, 1 - jnp.abs(distance))

    rows, columns = (weights(*each) for each in zip(shape, values.shape, strict=True))
    highest = jax.lax.Precision.HIGHEST
    return jnp.einsum("ir,rc,jc->ij", rows, values, columns, optimize=True, precision=highest)


def _variation(mask: Float[Array, "rows columns"]) -> Scalar:
    down, right = (_mean(jnp.diff(mask, axis=axis) ** 2) for axis in (0, 1))
    return down + right


def _mean(values: Array) -> Scalar:
    """Of none it is 0."""
    return values.sum() / max(values.size, 1)


def _check_arguments(
    logits_fn: LogitsFn, image: Image, target: Target, config: IgosConfig, background: Any
) -> None:
    checks.check_explained(logits_fn, image, target, config.objective)
    checks.check_manual_axes(image)
    check_background(background, image.shape)
    checks.check_choice("variant", config.variant, get_args(IgosVariant))
    checks.check_choice("step_rule", config.step_rule, get_args(StepRule))
    for name in ("grid", "chunk", "iterations", "path_steps"):
        checks.check_count(name, getattr(config, name))
    for name in ("edge", "step_size", "smallest_step"):
        checks.check_number(name, getattr(config, name), least=0, open_least=True)
    for name in ("l1_weight", "variation_weight", "noise", "search_weight", "blur"):
        checks.check_number(name, getattr(config, name), least=0)
    checks.check_number("sufficient_decrease", config.sufficient_decrease, least=0, most=1)
    # A factor of 1 would try one step for ever.
    checks.check_number("shrinkage", config.shrinkage, least=0, most=0.99, open_least=True)
