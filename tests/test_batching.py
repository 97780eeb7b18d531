from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitb_jax import batching


@pytest.mark.parametrize("chunk", [1, 3, 7, 20])
def test_chunked_vmap_equals_vmap(chunk: int) -> None:
    x, scale = jnp.arange(14.0).reshape(7, 2), jnp.arange(7.0)

    def function(row: jax.Array, s: jax.Array) -> dict[str, jax.Array]:
        return {"sum": s * row.sum(), "sine": jnp.sin(row)}

    expected = jax.vmap(function)(x, scale)
    found = jax.jit(batching.chunked_vmap(function, chunk=chunk))(x, scale)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("chunk", [1, 3, 7, 20])
def test_chunked_sum_is_the_sum_of_vmap(chunk: int) -> None:
    x, keys = jnp.arange(14.0).reshape(7, 2), jax.random.split(jax.random.key(0), 7)

    def function(row: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        return {"noisy": row * jax.random.normal(key), "first": row[0], "ones": jnp.int32(1)}

    expected = jax.tree.map(lambda leaf: leaf.sum(0), jax.vmap(function)(x, keys))
    found = jax.jit(batching.chunked_sum(function, chunk=chunk))(x, keys)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


@pytest.mark.parametrize("of", [batching.chunked_vmap, batching.chunked_sum])
@pytest.mark.parametrize("chunk", [2, 3, 4, 7, 20])
def test_a_program_has_one_copy_of_the_function(of: Any, chunk: int) -> None:
    traced = jax.make_jaxpr(of(jnp.sin, chunk=chunk))(jnp.arange(7.0))
    # A copy for a smaller last chunk would double the time of compilation.
    assert str(traced).count(" sin ") == 1


def test_the_function_of_a_sum_is_traced_once() -> None:
    calls: list[None] = []

    def function(row: jax.Array) -> jax.Array:
        calls.append(None)
        return row.sum()

    batching.chunked_sum(function, chunk=3)(jnp.ones((7, 2)))
    assert len(calls) == 1


@given(length=st.integers(1, 200), chunk=st.integers(1, 50))
def test_chunks_are_even_and_waste_less_than_one_item_each(length: int, chunk: int) -> None:
    (items,), counts = batching._even_chunks((np.arange(length),), length, chunk)
    number, size = counts.shape
    assert items.shape == counts.shape
    assert size <= chunk
    assert number == -(-length // chunk)
    assert number * size - length < number
    np.testing.assert_array_equal(items[counts], np.arange(length))


def test_a_sum_of_nothing_has_no_shape() -> None:
    with pytest.raises(ValueError, match="one item or more, got none"):
        batching.chunked_sum(lambda row: row, chunk=2)(jnp.zeros((0, 3)))


@pytest.mark.parametrize("chunk", [1, 3, 7, 20])
def test_stream_keeps_order_and_drops_padding(chunk: int) -> None:
    shapes = set()

    def batch(items: dict[str, jax.Array], more: jax.Array) -> tuple[jax.Array, jax.Array]:
        shapes.add(more.shape)
        return items["a"] * 2, more.sum(1)

    a, b = np.arange(7.0), np.arange(21.0).reshape(7, 3)
    doubled, sums = batching.stream(batch, {"a": a}, b, chunk=chunk, progress=False)
    np.testing.assert_array_equal(doubled, a * 2)
    np.testing.assert_array_equal(sums, b.sum(1))
    assert len(shapes) == 1, "a jitted function is compiled for one shape"


@pytest.mark.parametrize("chunk", [2, 100])
def test_arguments_of_two_lengths_are_refused(chunk: int) -> None:
    for of in (batching.chunked_vmap, batching.chunked_sum):
        with pytest.raises(ValueError, match=r"one leading axis, got lengths \[4, 6\]"):
            of(jnp.add, chunk=chunk)(jnp.arange(6.0), jnp.arange(4.0))
