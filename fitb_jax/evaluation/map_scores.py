"""The scores that need nothing but one map of one image."""

import jax

from fitb_jax import checks
from fitb_jax.evaluation.complexity import gini
from fitb_jax.evaluation.faithfulness import deletion, insertion, rise_blur
from fitb_jax.evaluation.remove_and_debias import road
from fitb_jax.objectives import prob
from fitb_jax.types import Array, Background, Image, Key, LogitsFn, Objective, Saliency, Target


def faithfulness_scores(
    logits_fn: LogitsFn,
    image: Image,
    saliency: Saliency,
    target: Target,
    *,
    colour: Background,
    chunk: int,
    key: Key,
    background: Background | None = None,
    objective: Objective = prob,
) -> dict[str, Array]:
    """Scores of one map: insertion, deletion, ROAD and the Gini index.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        saliency: (h, w).
        target: class that the map explains, in [0, k).
        colour: what deleted pixels show, and what is outside of the image in the blur of insertion.
        chunk: images evaluated at once.
        key: random key of ties and of the noise of ROAD.
        background: what insertion starts from; None blurs the image.
        objective: in whose terms it is judged: `prob`, or another one of `objectives`.

    Returns:
        "insertion", "deletion", "road" and "gini", scalars.
    """
    checks.check_key(key)
    keys = jax.random.split(key, 3)
    asked = (logits_fn, image, saliency, target)
    start = rise_blur(image, outside=colour) if background is None else background
    return {
        "insertion": insertion(
            *asked, key=keys[0], background=start, objective=objective, chunk=chunk
        ).area_under_curve,
        "deletion": deletion(
            *asked, key=keys[1], background=colour, objective=objective, chunk=chunk
        ).area_under_curve,
        "road": road(*asked, key=keys[2], objective=objective, chunk=chunk).score,
        "gini": gini(saliency),
    }
