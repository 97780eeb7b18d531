"""What a result depends on, told from the trace."""

import jax
import jax.numpy as jnp

from fitb_jax import dependence

TOKENS, PATCHES, OTHER = jnp.zeros((5, 3)), jnp.zeros((2, 2, 3)), jnp.zeros(4)


def _together(tokens: jax.Array, patches: jax.Array) -> jax.Array:
    """Patches in place of all tokens but the first, which every token is computed from alone."""
    x = jnp.concatenate([tokens[:1], patches.reshape(4, 3)])
    x = jax.jit(jax.nn.relu)(x) * jax.nn.gelu(x)
    x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return jnp.where(x > 0, x, 0.1 * x)


def test_what_is_cut_off_is_not_needed_though_it_was_beside_what_is() -> None:
    def first(tokens: jax.Array, patches: jax.Array, other: jax.Array) -> jax.Array:
        return _together(tokens, patches)[0] @ jnp.ones((3, 2)) + 0 * tokens[0, :2]

    assert dependence.needed(first, TOKENS, PATCHES, OTHER) == (True, False, False)

    def turned(tokens: jax.Array, patches: jax.Array) -> jax.Array:
        return _together(tokens, patches).T[None, :, ::2][:, :, 1:].squeeze(0)

    assert dependence.needed(turned, TOKENS, PATCHES) == (False, True)
    assert dependence.needed(lambda x: {"a": x["b"]}, {"b": 1.0, "c": 1.0}) == (
        {"b": True, "c": False},
    )


def test_what_mixes_tokens_needs_all_of_them() -> None:
    mixes = (
        lambda x: x.mean(0),
        lambda x: (jax.nn.softmax(x @ x.T) @ x)[0],
        lambda x: jax.lax.scan(lambda carry, row: (carry + row, None), x[0], x)[0],
        lambda x: jax.lax.cond(x[1, 0] > 0, lambda x: x[0], lambda x: x[1], x),
        lambda x: x[jnp.argmax(x[:, 0])],
        lambda x: jnp.sort(x, 0)[0],
    )
    for mix in mixes:
        found = dependence.needed(lambda t, p, f=mix: f(_together(t, p)), TOKENS, PATCHES)
        assert found == (True, True)


def test_a_unit_that_is_inactive_is_needed_all_the_same() -> None:
    """Its derivative is zero, as is that of one which is cut off."""

    def inactive(x: jax.Array) -> jax.Array:
        return jax.nn.relu(x.sum() - 100)

    assert not jax.grad(inactive)(OTHER).any()
    assert dependence.needed(inactive, OTHER) == (True,)
