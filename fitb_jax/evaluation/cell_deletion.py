"""Does the classifier miss the patches that a map calls important? One patch at a time."""

import jax.numpy as jnp

from fitb_jax import checks, masks
from fitb_jax.batching import chunked_vmap
from fitb_jax.evaluation.map_similarity import spearman
from fitb_jax.objectives import logit
from fitb_jax.precision import at_least_float32, seen_as_wide
from fitb_jax.types import (
    Array,
    Background,
    Image,
    LogitsFn,
    Objective,
    Saliency,
    Scalar,
    Target,
)


def single_deletion(
    logits_fn: LogitsFn,
    image: Image,
    saliency: Saliency,
    target: Target,
    *,
    cells: int = 4,
    background: Background = 0.0,
    objective: Objective = logit,
    chunk: int = 16,
) -> Scalar:
    """Rank correlation, over grid cells, of the map's sum with the drop when a cell is deleted.

    The drop is that of the objective when the cell shows the background. The published score is
    that of a network which was trained with cells deleted
    (`models.TrainingConfig(deleted_cells=4)`). Any other network has never seen a deleted cell, and
    its drop also measures that.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        saliency: (h, w), signed: what each pixel adds to the objective.
        target: the class, in [0, k).
        cells: along each side of the image, at least 2.
        background: what a deleted cell shows: a number, one value per channel or an image.
        objective: whose drop is measured.
        chunk: images evaluated at once.

    Returns:
        In [-1, 1]; nan where all drops or all sums are equal.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Hesse, Schaub-Meyer & Roth 2024, "Benchmarking the attribution quality of vision
    models", section 3 (in-domain single deletion score).
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_saliency(saliency, image.shape[:2])
    checks.check_background(background, image.shape)
    checks.check_count("cells", cells, least=2)
    logits_fn = seen_as_wide(logits_fn, image)
    image = at_least_float32(image)
    own = masks.grid_cells(image.shape[:2], cells)
    whole = objective(logits_fn(image), target)

    def look(cell: Array) -> tuple[Scalar, Scalar]:
        inside = own == cell
        shown = masks.apply(image, (~inside).astype(image.dtype), background)
        total = jnp.where(inside, at_least_float32(jnp.asarray(saliency)), 0).sum()
        return whole - objective(logits_fn(shown), target), total

    worth, attributed = chunked_vmap(look, chunk=chunk)(jnp.arange(cells**2))
    return spearman(worth[None], attributed[None])
