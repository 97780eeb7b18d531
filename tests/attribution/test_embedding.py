"""Projections of clouds whose axes are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def _cloud() -> tuple[np.ndarray, np.ndarray]:
    """Points along three orthogonal axes of given spread."""
    axes = np.linalg.qr(RNG.normal(size=(5, 5)))[0][:3]
    return RNG.normal(size=(2000, 3)) * [3.0, 2.0, 0.5] @ axes + 7, axes


def test_components_are_the_axes_of_the_cloud() -> None:
    rows, axes = _cloud()
    found = attribution.principal_components(rows, components=3)
    agreement = np.abs(found.directions @ axes.T)
    np.testing.assert_allclose(agreement, np.eye(3), atol=0.1)
    np.testing.assert_allclose(found.explained_variance, np.array([9, 4, 0.25]) / 13.25, atol=0.05)
    np.testing.assert_allclose(found.mean + found.points @ found.directions, rows, atol=1e-9)
    assert (found.directions[np.arange(3), np.abs(found.directions).argmax(1)] > 0).all()


def test_classes_are_placed_by_the_weights_of_the_last_layer() -> None:
    """The textbook's example, smaller: (features, classes) to (classes, 2)."""
    weights = jnp.asarray(RNG.normal(size=(51, 100)), jnp.float32)
    found = attribution.principal_components(weights.T)
    assert found.points.shape == (100, 2)
    values, vectors = np.linalg.eigh(np.cov(np.asarray(weights, float)))
    np.testing.assert_allclose(found.explained_variance, values[::-1][:2] / values.sum(), rtol=1e-4)
    np.testing.assert_allclose(np.abs(found.directions[0]), np.abs(vectors[:, -1]), atol=1e-3)


def test_tsne_keeps_far_clusters_apart_and_is_repeatable() -> None:
    labels = np.repeat(np.arange(3), 20)
    rows = (100 * np.eye(3, 60)[labels] + RNG.normal(size=(60, 60))).astype(np.float32)
    found = attribution.tsne(rows, key=KEY, perplexity=10.0)
    assert found.shape == (60, 2)
    distance = np.linalg.norm(found[:, None] - found[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(labels[distance.argmin(1)], labels)
    again = attribution.tsne(rows, key=KEY, perplexity=10.0)
    np.testing.assert_array_equal(found, again)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: attribution.principal_components(np.ones(3)), ValueError, r"rows must have shape"),
        (
            lambda: attribution.principal_components(np.eye(3, dtype=int)),
            TypeError,
            "rows must be an array of floating",
        ),
        (
            lambda: attribution.principal_components(np.full((3, 3), np.nan)),
            ValueError,
            "rows must be finite",
        ),
        (lambda: attribution.principal_components(np.ones((4, 3))), ValueError, "rows must differ"),
        (
            lambda: attribution.principal_components(np.eye(3), components=4),
            ValueError,
            "components must be at most 3",
        ),
        (
            lambda: attribution.tsne(np.eye(9), key=KEY, perplexity=9.0),
            ValueError,
            "perplexity must be below the 9 rows, got 9",
        ),
        (
            lambda: attribution.tsne(np.eye(2), key=KEY, perplexity=1.0),
            ValueError,
            "rows must be at least 3, got 2",
        ),
    ],
)
def test_bad_rows_are_refused_by_name(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_neighbours_of_far_clusters_agree_and_shuffled_labels_do_by_chance() -> None:
    labels = np.repeat(np.arange(2), 200)
    rows = 100.0 * labels[:, None] + RNG.normal(size=(400, 3))
    assert (attribution.neighbour_agreement(rows, labels, neighbours=5) == 1).all()
    shuffled = RNG.permutation(labels)
    agreement = attribution.neighbour_agreement(rows, shuffled, neighbours=5).mean()
    np.testing.assert_allclose(agreement, attribution.chance_agreement(labels), atol=0.1)


def test_a_point_is_not_its_own_neighbour() -> None:
    rows = np.array([[0.0], [1.0], [5.0], [5.5]])
    found = attribution.neighbour_agreement(rows, np.array([0, 1, 2, 2]), neighbours=1)
    np.testing.assert_array_equal(found, [0, 0, 1, 1])
    assert attribution.chance_agreement(np.array([0, 0, 1])) == pytest.approx(1 / 3)


@pytest.mark.usefixtures("unchecked")
def test_as_many_neighbours_as_points_are_refused() -> None:
    with pytest.raises(ValueError, match="neighbours must be below the 3 rows, got 3"):
        attribution.neighbour_agreement(np.eye(3), np.arange(3), neighbours=3)
    with pytest.raises(ValueError, match="labels must be as many as the 3 rows, got 2"):
        attribution.neighbour_agreement(np.eye(3), np.arange(2), neighbours=1)
    with pytest.raises(ValueError, match="labels must be at least 2"):
        attribution.chance_agreement(np.zeros(1, int))
