"""From annotations to cases, and from the scores of cases to the number of a table.

A case is one (image, class) pair. `fill_boxes` and `difficult_cases` are JAX functions of one
image; `summarise` runs once, at the end, on the host.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fitb_jax import checks
from fitb_jax.evaluation.intervals import Interval, student_interval
from fitb_jax.types import Array, Bool, Float, Number, Truth


class Summary(NamedTuple):
    """Means of a score over cases; cases without a score do not count.

    Attributes:
        case_mean: mean over all cases.
        class_mean: mean over classes, of the mean over the cases of a class. The interval is nan
            where the cases of a class are of one image only, since their spread is unknown.
        image_mean: mean over images, of the mean over the cases of an image.
        cases: number of cases that have a score.
        missing: number of cases that have none (nan, such as without ground truth).
        classes: the classes that have a score, ascending, (k,).
        means: the mean score of each of these classes, (k,).
        counts: the number of cases of each of these classes, (k,).
    """

    case_mean: Interval
    class_mean: Interval
    image_mean: Interval
    cases: int
    missing: int
    classes: np.ndarray
    means: np.ndarray
    counts: np.ndarray


def fill_boxes(
    boxes: Float[Array, "n 4"],
    shape: tuple[int, int],
    *,
    is_counted: Bool[Array, "n"] | None = None,
) -> Truth:
    """The pixels inside of any of several boxes.

    Args:
        boxes: (n, 4) of x0, y0, x1, y1 in pixels, x to the right and y down, from the outer corner
            of the upper left pixel; n can be 0. The inclusive, one-based boxes of PASCAL VOC are
            `(xmin - 1, ymin - 1, xmax, ymax)`.
        shape: (height, width) of the image in pixels.
        is_counted: (n,), False for a box to leave out: one that VOC calls `difficult`, or the
            padding of a batch. All count by default.

    Returns:
        (h, w), True where the centre of the pixel is inside of a box that counts.

    Raises:
        TypeError, ValueError: a wrong shape or dtype, or boxes that are not finite.
    """
    checks.check_shape(shape)
    if jnp.shape(boxes) == (0, 4):
        return jnp.zeros(shape, bool)
    checks.check_floating("boxes", boxes, ("n", "4"))
    if boxes.shape[1] != 4:
        raise ValueError(f"boxes must have shape (n, 4), got {boxes.shape}")
    if is_counted is None:
        is_counted = jnp.ones(boxes.shape[0], bool)
    checks.check_boolean("is_counted", is_counted, ("n",))
    if is_counted.shape != boxes.shape[:1]:
        raise ValueError(
            f"is_counted must have one entry for each of the {boxes.shape[0]} boxes, "
            f"got {is_counted.shape}"
        )
    left, top, right, bottom = jnp.asarray(boxes).T
    y, x = (jnp.arange(size) + 0.5 for size in shape)
    in_rows = (y[None, :] >= top[:, None]) & (y[None, :] < bottom[:, None])
    in_columns = (x[None, :] >= left[:, None]) & (x[None, :] < right[:, None])
    in_rows = in_rows & jnp.asarray(is_counted)[:, None]
    return (in_rows[:, :, None] & in_columns[:, None, :]).any(0)


def difficult_cases(
    truths: Bool[Array, "k h w"], *, largest_area: Number = 0.25
) -> Bool[Array, "k"]:
    """Which classes of an image are difficult to point at: a small object and a distractor.

    Args:
        truths: (k, h, w), True on the objects of each class; nowhere True for an absent class.
        largest_area: the objects of the class together, overlaps counted once, take less than this
            share of the image.

    Returns:
        (k,), True where the class is in the image, takes less than `largest_area` of it, and at
        least one other class is in it, too.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range.

    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop".
    """
    checks.check_boolean("truths", truths, ("k", "h", "w"))
    checks.check_number("largest_area", largest_area, least=0, most=1)
    share = jnp.asarray(truths).mean((1, 2))
    is_present = share > 0
    return is_present & (share < largest_area) & (is_present.sum() > 1)


def summarise(scores: Any, *, images: Any = None, classes: Any = None) -> Summary:
    """Mean score over cases, classes and images, with 95 % confidence intervals.

    The images are the independent draws; cases of one image may depend on each other. The standard
    error of each mean is that of a weighted sum of the deviations of the cases. They deviate from
    the mean of their class (`class_mean`), or from the mean itself. The intervals are Student's,
    with one degree of freedom less than there are images. With one case per image, `case_mean` is
    the plain mean with its plain t interval.

    Args:
        scores: (n,), one per case, of any metric; a case with nan has no score and does not count.
        images: (n,), the image of each case; by default each case has an image of its own.
        classes: (n,), the class of each case; by default all are of one class.

    Returns:
        The means with their intervals; nan where no case has a score.

    Raises:
        ValueError: arrays that are not vectors of one length, or a score that is infinite.

    Source: linearisation of a stratified ratio, Cochran 1977, "Sampling techniques", chapters 5 and
    6.
    """
    score = np.asarray(scores, np.float64)
    image = np.arange(score.size) if images is None else np.asarray(images)
    label = np.zeros(score.size, np.int64) if classes is None else np.asarray(classes)
    for name, values in (("scores", score), ("images", image), ("classes", label)):
        if values.shape != score.shape or values.ndim != 1:
            raise ValueError(
                f"{name} must be a vector with one entry per case, got shape {values.shape} "
                f"for scores of shape {score.shape}"
            )
    if np.isinf(score).any():
        raise ValueError("scores must be finite, or nan where there is none, got infinity")
    is_scored = np.isfinite(score)
    score, image, label = score[is_scored], image[is_scored], label[is_scored]
    found, group = np.unique(label, return_inverse=True)
    counts = np.bincount(group, minlength=found.size)
    image_group = np.unique(image, return_inverse=True)[1]
    all_as_one = np.zeros(score.size, np.int64)
    return Summary(
        case_mean=_mean(score, all_as_one, image_group),
        class_mean=_mean(score, group, image_group),
        image_mean=_mean(*_per_image(score, image_group)),
        cases=int(score.size),
        missing=int((~is_scored).sum()),
        classes=found,
        means=np.bincount(group, weights=score, minlength=found.size) / counts,
        counts=counts,
    )


def _per_image(score: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    means = np.bincount(image, weights=score) / np.maximum(np.bincount(image), 1)
    return means, np.zeros(means.size, np.int64), np.arange(means.size)


def _mean(score: np.ndarray, group: np.ndarray, image: np.ndarray) -> Interval:
    """Mean over groups of the mean within each, its error from the spread between the images."""
    if score.size == 0:
        return Interval(np.nan, np.nan, np.nan)
    counts = np.bincount(group)
    means = np.bincount(group, weights=score) / counts
    estimate = float(means.mean())
    if (counts < 2).any() or image.max() < 1:
        return Interval(estimate, np.nan, np.nan)
    images_of_group = np.bincount(np.unique(np.stack([group, image]), axis=1)[0])
    if (images_of_group < 2).any():
        return Interval(estimate, np.nan, np.nan)
    # Bessel's correction: of the images of a group, one is spent on its mean.
    bessel = np.sqrt(images_of_group / (images_of_group - 1))
    deviation = bessel[group] * (score - means[group]) / (counts[group] * counts.size)
    error = float(np.sqrt((np.bincount(image, weights=deviation) ** 2).sum()))
    return student_interval(estimate, error, int(image.max()))
