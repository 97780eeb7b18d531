"""Classes and activations in the plane, by scikit-learn: projections, and nearest neighbours.

These functions run on the host, on NumPy arrays, and cannot be traced by JAX.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from fitb_jax import checks, extras
from fitb_jax.types import Array, Key

Rows = Float[Array, "n d"] | Float[np.ndarray, "n d"]


class Projection(NamedTuple):
    """Rows projected onto their principal components.

    Attributes:
        points: (n, components), centred.
        explained_variance: share of the variance that each component has, (components,), in
            descending order; together at most 1.
        directions: the components, unit vectors (components, d).
        mean: of the rows, (d,): `mean + points @ directions` approximates the rows.
    """

    points: Float[np.ndarray, "n components"]
    explained_variance: Float[np.ndarray, "components"]
    directions: Float[np.ndarray, "components d"]
    mean: Float[np.ndarray, "d"]


def principal_components(rows: Rows, *, components: int = 2) -> Projection:
    """Project rows onto the directions in which they vary most.

    Args:
        rows: (n, d), one row per point: the activations of n images, or, for the classes of a
            network, its last layer's weights (d, k) transposed.
        components: at most n and d.

    Returns:
        The projection; each direction is signed so that its largest entry is positive.

    Raises:
        TypeError, ValueError: not a finite floating matrix, more components than it has, or rows
            that are all equal.

    Source: Jolliffe 2002, "Principal component analysis"; by scikit-learn's exact solver.
    """
    values = _checked(rows)
    checks.check_count("components", components)
    if components > min(values.shape):
        raise ValueError(
            f"components must be at most {min(values.shape)} for rows of shape {values.shape}, "
            f"got {components}"
        )
    if (values == values[:1]).all():
        raise ValueError("rows must differ: equal ones have no principal components")
    with extras.needed("attribution.principal_components", extra="projections"):
        from sklearn.decomposition import PCA
    pca = PCA(n_components=components, svd_solver="full")
    points = pca.fit_transform(values)
    at = np.abs(pca.components_).argmax(1)
    sign = np.sign(pca.components_[np.arange(components), at])
    return Projection(
        points * sign[None],
        pca.explained_variance_ratio_,
        pca.components_ * sign[:, None],
        pca.mean_,
    )


def tsne(
    rows: Rows, *, key: Key, perplexity: float = 30.0, components: int = 50
) -> Float[np.ndarray, "n 2"]:
    """Place rows in the plane so that near ones stay near.

    Distances between clusters and their sizes mean nothing.

    Args:
        rows: (n, d), such as the activations of n images.
        key: random key; the layout starts from the first two principal components.
        perplexity: about how many neighbours a point has, below n.
        components: principal components that the rows are first reduced to, if they have more.

    Returns:
        (n, 2), the places in the plane.

    Raises:
        TypeError, ValueError: not a finite floating matrix, fewer than 3 rows or 2 columns, or a
            perplexity that is not below the number of rows.

    Source: van der Maaten & Hinton 2008, "Visualizing data using t-SNE"; by scikit-learn.
    """
    checks.check_key(key)
    values = _checked(rows)
    checks.check_count("components", components, least=2)
    if len(values) < 3:
        raise ValueError(f"rows must be at least 3, got {len(values)}")
    if values.shape[1] < 2:
        raise ValueError(f"rows must have at least 2 columns, got {values.shape[1]}")
    checks.check_number("perplexity", perplexity, least=0, open_least=True)
    if perplexity >= len(values):
        raise ValueError(f"perplexity must be below the {len(values)} rows, got {perplexity:g}")
    reduced = values
    if components < min(values.shape):
        reduced = principal_components(values, components=components).points
    seed = int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))
    with extras.needed("attribution.tsne", extra="projections"):
        from sklearn.manifold import TSNE
    layout = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed)
    return layout.fit_transform(reduced)


def neighbour_agreement(
    rows: Rows, labels: Int[np.ndarray, "n"], *, neighbours: int = 10
) -> Float[np.ndarray, "n"]:
    """The share of the nearest neighbours of each point that have its label.

    Args:
        rows: (n, d), one row per point; distances are Euclidean.
        labels: (n,).
        neighbours: how many of each are looked at, without the point itself; below n.

    Returns:
        Shares in [0, 1], (n,).

    Raises:
        TypeError, ValueError: not a finite floating matrix, labels of another number, or not as
            many neighbours.
    """
    values = _checked(rows)
    checks.check_count("neighbours", neighbours)
    if neighbours >= len(values):
        raise ValueError(f"neighbours must be below the {len(values)} rows, got {neighbours}")
    if len(labels) != len(values):
        raise ValueError(f"labels must be as many as the {len(values)} rows, got {len(labels)}")
    with extras.needed("attribution.neighbour_agreement", extra="projections"):
        from sklearn.neighbors import NearestNeighbors
    near = NearestNeighbors(n_neighbors=neighbours).fit(values).kneighbors(return_distance=False)
    return (labels[near] == labels[:, None]).mean(1)


def chance_agreement(labels: Int[np.ndarray, "n"]) -> float:
    """How often another point, drawn at random, has the same label.

    Args:
        labels: (n,), at least two.

    Returns:
        A share in [0, 1]: what `neighbour_agreement` is on average where rows say nothing.

    Raises:
        ValueError: fewer than two labels.
    """
    if len(labels) < 2:
        raise ValueError(f"labels must be at least 2, got {len(labels)}")
    counts = np.unique(labels, return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / (counts.sum() * (counts.sum() - 1)))


def _checked(rows: Rows) -> np.ndarray:
    checks.check_floating("rows", rows, ("n", "d"))
    return np.asarray(rows)
