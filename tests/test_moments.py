import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import moments


def _of(sample: np.ndarray) -> moments.Moments:
    squares = ((sample - sample.mean(0)) ** 2).sum(0)
    return moments.Moments(np.asarray(float(len(sample))), sample.mean(0), squares)


@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
def test_merged_moments_are_those_of_the_union(as_array: type) -> None:
    sample = np.random.default_rng(0).normal(3, 1, (9, 4))
    a, b = (moments.Moments(*map(as_array, _of(part))) for part in (sample[:2], sample[2:]))
    tolerance = {"rtol": 1e-12 if as_array is np.asarray else 1e-5}
    for found in (moments.merge(a, b), moments.merge(b, a)):
        for part, wanted in zip(found, _of(sample), strict=True):
            np.testing.assert_allclose(part, wanted, **tolerance)
    stacked = moments.Moments(*(as_array(np.stack(np.broadcast_arrays(*pair)))
                                for pair in zip(a, b, strict=True)))  # fmt: skip
    stacked = stacked._replace(count=stacked.count[:, None])
    for part, wanted in zip(moments.pool(stacked, [0]), _of(sample), strict=True):
        np.testing.assert_allclose(part, wanted, **tolerance)


def test_merged_products_are_those_of_the_union() -> None:
    x, y = np.random.default_rng(1).normal(2, 1, (2, 9))

    def products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return ((x - x.mean()) * (y - y.mean())).sum(keepdims=True)

    found = moments.merge_products(
        products(x[:4], y[:4]),
        products(x[4:], y[4:]),
        (np.array(4.0), np.array(5.0)),
        np.asarray(x[4:].mean() - x[:4].mean()),
        np.asarray(y[4:].mean() - y[:4].mean()),
    )
    np.testing.assert_allclose(found, products(x, y))


def test_an_empty_set_changes_nothing() -> None:
    sample = np.arange(6.0).reshape(3, 2)
    empty = moments.Moments(np.zeros(()), np.zeros(2), np.zeros(2))
    for part, wanted in zip(moments.merge(empty, _of(sample)), _of(sample), strict=True):
        np.testing.assert_array_equal(part, wanted)
    nothing = moments.pool(moments.Moments(*(np.zeros((3, 1)) for _ in range(3))), [0])
    assert [part.tolist() for part in nothing] == [[0], [0], [0]]
