"""Sufficient regions and their certificates refuse bad arguments by name, before they search."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation, extremal
from tests import problems

pytestmark = pytest.mark.usefixtures("unchecked")

LOGITS_FN = problems.smooth_logits()
IMAGE, MASK = problems.image_and_mask(dtype=jnp.float32)
IMAGES, LABELS = problems.images_and_targets(6)
NAN = IMAGE.at[1, 1].set(jnp.nan)
CANDIDATES = jnp.stack([MASK, 1 - MASK])
INR = extremal.InrConfig(network=extremal.NetworkConfig(width=4, depth=2), grid=3, steps=2)

find, certify = extremal.sufficient_region, extremal.certify
nearest, share = extremal.nearest_neighbours, evaluation.clopper_pearson
controls = extremal.control_backgrounds


def _call(function: Callable, **changes: Any) -> Callable[[], Any]:
    """The function with good arguments of its kind, except for the changes."""
    of_region = {"image": IMAGE, "target": 0, "region": MASK}
    defaults: dict[Callable, dict[str, Any]] = {
        find: {
            "logits_fn": LOGITS_FN,
            "image": IMAGE,
            "target": 0,
            "backgrounds": IMAGES[:4],
            "fresh": IMAGES[4:],
            "candidates": CANDIDATES,
            "key": jax.random.key(0),
            "patch": 3,
            "rounds": 1,
        },
        certify: {"logits_fn": LOGITS_FN, **of_region, "backgrounds": IMAGES},
        nearest: {**of_region, "images": IMAGES, "labels": LABELS, "count": 2},
        share: {"successes": 3, "trials": 5},
        controls: {"image": IMAGE},
    }
    return functools.partial(function, **{**defaults[function], **changes})


TAKES_IMAGE = [find, certify, nearest, controls]
TAKES_CLASSIFIER = [find, certify]
TAKES_REGION = [certify, nearest]
# Images beside the image, and the name of the argument.
TAKES_IMAGES = [(find, "backgrounds"), (find, "fresh"), (certify, "backgrounds"), (nearest, "images")]  # fmt: skip
UNKNOWN = (0.0, -0.1, 1.5, np.nan)

CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    *((_call(f, image=IMAGE[:, :, 0]), ValueError, r"image must have shape \(h, w, c\)") for f in TAKES_IMAGE),
    *((_call(f, image=IMAGE[None]), ValueError, r"image must have shape \(h, w, c\)") for f in TAKES_IMAGE),
    *((_call(f, image=(255 * IMAGE).astype(jnp.uint8)), TypeError, r"image must be .* floating.* uint8") for f in TAKES_IMAGE),
    *((_call(f, image=255 * IMAGE), ValueError, r"image must have values in \[0, 1\]") for f in TAKES_IMAGE),
    *((_call(f, image=NAN), ValueError, "image must be finite") for f in TAKES_IMAGE),
    *((_call(f, logits_fn=3), TypeError, "logits_fn must be callable") for f in TAKES_CLASSIFIER),
    *((_call(f, target=3), ValueError, r"target must lie in \[0, 3\), got 3") for f in TAKES_CLASSIFIER),
    *((_call(f, target=-1), ValueError, r"target must lie in \[0, .*, got -1") for f in (*TAKES_CLASSIFIER, nearest)),
    *((_call(f, target=1.0), TypeError, "target must be an integer") for f in (*TAKES_CLASSIFIER, nearest)),
    *((_call(f, target=LABELS), ValueError, r"target must have shape \(\)") for f in (*TAKES_CLASSIFIER, nearest)),
    *((_call(f, region=MASK[:4]), ValueError, r"region must match .* \(6, 6\), got \(4, 6\)") for f in TAKES_REGION),
    *((_call(f, region=MASK[:, :, None]), ValueError, r"region must have shape \(h, w\)") for f in TAKES_REGION),
    *((_call(f, region=MASK + 1), ValueError, r"region must lie in \[0, 1\]") for f in TAKES_REGION),
    *((_call(f, region=MASK == 1), TypeError, "region must be .* floating") for f in TAKES_REGION),
    *((_call(f, region=MASK * jnp.nan), ValueError, "region must be finite") for f in TAKES_REGION),
    *((_call(f, **{name: IMAGE}), ValueError, rf"{name} must have shape \(b, h, w, c\)") for f, name in TAKES_IMAGES),
    *((_call(f, **{name: IMAGES[:0]}), ValueError, f"{name} must have shape .* none of them 0") for f, name in TAKES_IMAGES),
    *((_call(f, **{name: IMAGES[:, :4]}), ValueError, rf"{name} must have the image's shape \(6, 6, 1\), got \(\d, 4") for f, name in TAKES_IMAGES),
    *((_call(f, **{name: 255 * IMAGES}), ValueError, rf"{name} must have values in \[0, 1\]") for f, name in TAKES_IMAGES),
    *((_call(f, **{name: (255 * IMAGES).astype(jnp.uint8)}), TypeError, f"{name} must be .* floating.* uint8") for f, name in TAKES_IMAGES),
    *((_call(f, **{name: NAN[None]}), ValueError, f"{name} must be finite") for f, name in TAKES_IMAGES),
    (_call(find, fresh=IMAGES[2:]), ValueError, r"fresh must hold no image of backgrounds, got some at \[0, 1\]"),
    (_call(find, fresh=np.asarray(IMAGES[2:], np.float64)), ValueError, "fresh must hold no image of backgrounds"),
    (_call(find, fresh=None, backgrounds=IMAGES[:1]), ValueError, "backgrounds must be at least 2 where no fresh ones are given"),
    (_call(find, patch=7), ValueError, "patch must be at most .* 6, got 7"),
    (_call(find, patch=0), ValueError, "patch must be at least 1"),
    (_call(find, patch=1.5), TypeError, "patch must be an integer"),
    *((_call(find, required=value), ValueError, r"required must lie in \(0, 1\]") for value in UNKNOWN),
    (_call(find, required=jnp.ones(2)), ValueError, "required must be a scalar"),
    *((_call(f, confidence=value), ValueError, r"confidence must lie in \(0, 1\]") for f in (find, certify, share) for value in UNKNOWN),
    (_call(find, rounds=-1), ValueError, "rounds must be at least 0"),
    (_call(find, rounds=1.5), TypeError, "rounds must be an integer"),
    (_call(find, areas=0), ValueError, "areas must be at least 1"),
    *((_call(f, chunk=0), ValueError, "chunk must be at least 1") for f in TAKES_CLASSIFIER),
    (_call(find, candidates=MASK), ValueError, r"candidates must have shape \(a, h, w\)"),
    (_call(find, candidates=CANDIDATES[:, :4]), ValueError, "candidates must match"),
    (_call(find, candidates=CANDIDATES + 1), ValueError, r"candidates must lie in \[0, 1\]"),
    (_call(find, candidates=CANDIDATES == 1), TypeError, "candidates must be .* floating"),
    (_call(find, config=dataclasses.replace(INR, grid=0)), ValueError, "grid must be at least 1"),
    (_call(find, background="fog"), ValueError, "background must be one of"),
    (_call(find, background=jnp.zeros(5)), ValueError, "background must be a number"),
    (_call(nearest, labels=LABELS[:3]), ValueError, "labels must have one entry for each of the 6 images"),
    (_call(nearest, labels=LABELS.astype(jnp.float32)), TypeError, "labels must be integer"),
    (_call(nearest, count=7), ValueError, "count must be at most the 6 images, got 7"),
    (_call(nearest, count=0), ValueError, "count must be at least 1"),
    (_call(nearest, count=2.0), TypeError, "count must be an integer"),
    (_call(share, trials=0), ValueError, "trials must be at least 1"),
    (_call(share, trials=5.0), TypeError, "trials must be an integer"),
    (_call(share, successes=6), ValueError, r"successes must lie in \[0, 5\], got 6"),
    (_call(share, successes=-1), ValueError, r"successes must lie in \[0, 5\]"),
    (_call(share, successes=2.5), ValueError, "successes must be a whole number, got 2.5"),
    (_call(share, successes=jnp.arange(3)), ValueError, "successes must be a scalar"),
    (_call(controls, blur=-0.1), ValueError, "blur must lie in"),
    (_call(controls, blur=np.nan), ValueError, "blur must lie in"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), CASES)
def test_bad_arguments_are_refused_by_name(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("function", [find, certify, nearest, share, controls])
def test_the_arguments_left_unchanged_are_good(function: Callable) -> None:
    assert all(np.isfinite(leaf).any() for leaf in jax.tree.leaves(_call(function)()))
