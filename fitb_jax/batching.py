"""Evaluate a function of one item over many, a chunk at a time; the chunk sets the memory."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from fitb_jax import checks
from fitb_jax.precision import at_least_float32


def chunked_vmap(fn: Callable[..., Any], *, chunk: int) -> Callable[..., Any]:
    """Map a function over the leading axis of every argument, `chunk` items at a time.

    The result is that of `jax.vmap(fn)` for every `chunk`. Intermediate values of one chunk only
    are in memory.

    Args:
        fn: a function of one item; pytrees in and out.
        chunk: items evaluated at once, at least 1.

    Returns:
        A pure function of the stacked arguments; `chunk` need not divide the number of items.

    Raises:
        TypeError, ValueError: `chunk` is not an integer of at least 1.
    """
    checks.check_count("chunk", chunk)

    def mapped(*arguments: Any) -> Any:
        length = _length(arguments)
        if length <= chunk:
            return jax.vmap(fn)(*arguments)
        chunks, _ = _even_chunks(arguments, length, chunk)
        found = jax.lax.map(lambda items: jax.vmap(fn)(*items), chunks)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:length], found)

    return mapped


def chunked_sum(fn: Callable[..., Any], *, chunk: int) -> Callable[..., Any]:
    """Sum a function of one item over the leading axis, with one chunk and one sum in memory.

    The result is the sum of `jax.vmap(fn)`. But for rounding it does not depend on `chunk`. Values
    in half precision are summed in float32.

    Args:
        fn: a function of one item; pytrees in and out.
        chunk: items evaluated at once, at least 1.

    Returns:
        A pure function of the stacked arguments. It takes one item or more, and any number of them:
        `chunk` need not divide it.

    Raises:
        TypeError, ValueError: `chunk` is not an integer of at least 1, or there are no items.
    """
    checks.check_count("chunk", chunk)

    # Traced once for the shapes of the sum and for the sum itself.
    @functools.partial(jax.jit, inline=True)
    def sum_of(items: Any, counts: jax.Array) -> Any:
        def total(leaf: jax.Array) -> jax.Array:
            wide = _wide(leaf)
            used = counts.reshape(-1, *[1] * (wide.ndim - 1))
            return jnp.where(used, wide, jnp.zeros((), wide.dtype)).sum(0)

        return jax.tree.map(total, jax.vmap(fn)(*items))

    def summed(*arguments: Any) -> Any:
        length = _length(arguments)
        if not length:
            raise ValueError("the arguments must have one item or more, got none")
        chunks, counts = _even_chunks(arguments, length, chunk)
        if len(counts) == 1:
            return sum_of(jax.tree.map(lambda leaf: leaf[0], chunks), counts[0])

        def step(total: Any, items: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, sum_of(*items)), None

        first = jax.tree.map(lambda leaf: leaf[0], (chunks, counts))
        shapes = jax.eval_shape(sum_of, *first)
        nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        return jax.lax.scan(step, nothing, (chunks, counts))[0]

    return summed


def _length(arguments: Any) -> int:
    lengths = {int(leaf.shape[0]) for leaf in jax.tree.leaves(arguments)}
    if len(lengths) != 1:
        raise ValueError(f"arguments must have one leading axis, got lengths {sorted(lengths)}")
    return lengths.pop()


def _even_chunks(arguments: Any, length: int, chunk: int) -> tuple[Any, np.ndarray]:
    """Arguments in chunks of one size, the last item repeated, and which items count.

    A smaller last chunk would be a second copy of the function in the program, and its compilation
    takes longer than the few repeated items.
    """
    number = math.ceil(length / chunk)
    size = math.ceil(length / number)
    places = np.arange(number * size)

    def in_chunks(leaf: Any) -> Any:
        whole = leaf if len(places) == length else leaf[np.minimum(places, length - 1)]
        return whole.reshape(number, size, *leaf.shape[1:])

    return jax.tree.map(in_chunks, arguments), (places < length).reshape(number, size)


def _wide(leaf: jax.Array) -> jax.Array:
    is_floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return at_least_float32(leaf) if is_floating else leaf


def stream(
    batch_fn: Callable[..., Any], *arrays: Any, chunk: int, label: str = "", progress: bool = True
) -> Any:
    """Send host arrays through a batched function a chunk at a time, with a progress bar.

    Only one chunk is on the device at once. The last chunk is padded by repeating its last item, so
    that a jitted `batch_fn` is compiled for one shape.

    Args:
        batch_fn: takes stacked items and returns a pytree of arrays with the same leading axis.
        *arrays: pytrees of arrays with a common leading axis.
        chunk: items sent at once, at least 1.
        label: text beside the progress bar.
        progress: whether to show the bar.

    Returns:
        The results as numpy arrays, in order, whatever `chunk` is.

    Raises:
        TypeError, ValueError: no items, leading axes that differ, or `chunk` is not an integer of
            at least 1.
    """
    checks.check_count("chunk", chunk)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(arrays)]
    lengths = {shape[:1] for shape in shapes}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(
            f"arrays must have one common leading axis of at least 1, got shapes {shapes}"
        )
    ((length,),) = lengths
    results = []
    with tqdm(total=length, desc=label, disable=not progress, unit="item") as bar:
        bar.set_postfix_str("the first compiles")
        for start, stop in _spans(length, chunk):
            indices = np.minimum(np.arange(start, start + min(chunk, length)), length - 1)
            items = jax.tree.map(lambda leaf, at=indices: jnp.asarray(leaf[at]), arrays)
            kept = stop - start
            results.append(
                jax.tree.map(lambda leaf, n=kept: np.asarray(leaf)[:n], batch_fn(*items))
            )
            bar.set_postfix_str("", refresh=False)
            bar.update(kept)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *results)


def _spans(length: int, chunk: int) -> Iterator[tuple[int, int]]:
    for start in range(0, length, chunk):
        yield start, min(start + chunk, length)
