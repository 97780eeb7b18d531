"""Gradient ascent inside one compiled program: history, best so far, and a stop on convergence."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fitb_jax.types import Array, Bool, Float, Int, Number

_SMOOTHING = 0.9
"""Decay of the running mean that picks the best parameters."""

_SETTLED = 10
"""Steps before which the running mean is of too few merits to pick any: one lucky first step would
stay the best of a warm start for good."""


class Ascent(NamedTuple):
    """What an ascent found.

    Attributes:
        parameters: those with the largest running mean of the merit, of all after the first few
            steps; the start if the merit was not finite by then.
        merit: of each step, (steps,); nan for steps that were not needed.
        records: what the objective function reported at each step, with a leading axis.
        steps: how many were made.
        converged: whether the merit had stopped growing; False also where it was not finite.
    """

    parameters: Any
    merit: Float[Array, "steps"]
    records: Any
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


class _State(NamedTuple):
    step: Array
    parameters: Any
    optimizer: Any
    best: Any
    best_merit: Array
    smoothed: Array
    merit: Array
    records: Any
    converged: Array
    failed: Array


def ascend(
    objective_fn: Callable[[Any, Int[Array, ""]], tuple[Array, tuple[Array, Any]]],
    parameters: Any,
    *,
    steps: int,
    learning_rate: Number,
    patience: int,
    tolerance: Number,
) -> Ascent:
    """Maximise a noisy objective with Adam and cosine decay.

    The objective may change from step to step, such as by a weight that grows. The merit must not:
    parameters of different steps are compared by it.

    The ascent has converged when the mean merit of the last `patience` steps is less than
    `tolerance` above that of the `patience` steps before. Nothing is computed from then on. Under
    `jax.vmap` it goes on until all members have converged, and leaves the finished ones as they
    are.

    Args:
        objective_fn: `(parameters, step) -> (objective, (merit, record))`.
        parameters: where to start; a pytree of floating arrays.
        steps: the largest number of steps.
        learning_rate: at the start; it falls to 0 at the last step. An array argument.
        patience: number of steps whose merits are averaged to test for convergence.
        tolerance: in units of the merit. With 0 only a falling merit stops the ascent; a large
            negative number never does. An array argument.

    Returns:
        The best parameters, with the history.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    value_and_grad = jax.value_and_grad(objective_fn, has_aux=True)

    settled = min(_SETTLED, steps, 2 * patience)

    def step(state: _State) -> _State:
        (_, (merit, record)), gradient = value_and_grad(state.parameters, state.step)
        descent = jax.tree.map(jnp.negative, gradient)
        updates, optimizer_state = optimizer.update(descent, state.optimizer)
        smoothed = _SMOOTHING * state.smoothed + (1 - _SMOOTHING) * merit
        # Started at 0, the running mean is too near to it at first.
        merit_so_far = (smoothed / (1 - _SMOOTHING ** (state.step + 1))).astype(merit.dtype)
        is_best = (merit_so_far > state.best_merit) & (state.step + 1 >= settled)
        merits = state.merit.at[state.step].set(merit)
        return _State(
            step=state.step + 1,
            parameters=optax.apply_updates(state.parameters, updates),
            optimizer=optimizer_state,
            best=_select(is_best, state.parameters, state.best),
            best_merit=jnp.where(is_best, merit_so_far, state.best_merit),
            smoothed=smoothed,
            merit=merits,
            records=jax.tree.map(
                lambda all_, one: all_.at[state.step].set(one), state.records, record
            ),
            converged=_growth(merits, state.step + 1, patience) < tolerance,
            failed=~jnp.isfinite(merit),
        )

    def is_unfinished(state: _State) -> Array:
        return (state.step < steps) & ~state.converged & ~state.failed

    start = _start(objective_fn, parameters, optimizer, steps)
    end = jax.lax.while_loop(is_unfinished, step, start)
    return Ascent(end.best, end.merit, end.records, end.step, end.converged)


def _growth(merits: Array, done: Array, patience: int) -> Array:
    """Mean of the last `patience` values less that of those before; infinite while too few."""
    place = jnp.arange(merits.shape[0])
    is_last = (place >= done - patience) & (place < done)
    is_before = (place >= done - 2 * patience) & (place < done - patience)
    growth = jnp.where(is_last, merits, 0).sum() - jnp.where(is_before, merits, 0).sum()
    return jnp.where(done >= 2 * patience, growth / patience, jnp.inf)


def _select(condition: Array, chosen: Any, other: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), chosen, other)


def _start(objective_fn: Callable, parameters: Any, optimizer: Any, steps: int) -> _State:
    zero = jnp.zeros((), jnp.int32)
    _, (merit, record) = jax.eval_shape(objective_fn, parameters, zero)
    return _State(
        step=zero,
        parameters=parameters,
        optimizer=optimizer.init(parameters),
        best=parameters,
        best_merit=jnp.full((), -jnp.inf, merit.dtype),
        smoothed=jnp.zeros((), merit.dtype),
        merit=jnp.full(steps, jnp.nan, merit.dtype),
        records=jax.tree.map(
            lambda leaf: jnp.full((steps, *leaf.shape), jnp.nan, leaf.dtype), record
        ),
        converged=jnp.zeros((), bool),
        failed=jnp.zeros((), bool),
    )
