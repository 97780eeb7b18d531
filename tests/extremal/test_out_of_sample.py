"""Masks judged by another network and on other backgrounds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import extremal, masks, models, objectives
from tests import problems

SHAPE = (12, 12, 3)
LOGITS_FN = problems.smooth_logits(shape=SHAPE, seed=2)
OTHER = problems.smooth_logits(shape=SHAPE, seed=1)
IMAGE, _ = problems.image_and_mask(shape=SHAPE, dtype=jnp.float32)
MASKS = jnp.zeros((3, 12, 12)).at[1, 2:8, 3:9].set(1.0).at[2].set(1.0)
BACKGROUNDS = jax.random.uniform(jax.random.key(0), (7, *SHAPE))
# From dark ones, which lose the class, to bright ones, which keep it.
BACKGROUNDS *= jnp.linspace(0, 1, 7)[:, None, None, None]

judge = functools.partial(extremal.judge_masks, LOGITS_FN, IMAGE, 1)


def test_every_number_is_that_of_one_image_at_a_time() -> None:
    found = jax.jit(
        lambda masks: judge(masks, other_logits_fn=OTHER, backgrounds=BACKGROUNDS, background=0.5)
    )(MASKS)
    for i, mask in enumerate(MASKS):
        seen = masks.apply(IMAGE, mask, 0.5)
        np.testing.assert_allclose(found.p[i], objectives.prob(LOGITS_FN(seen), 1), rtol=1e-5)
        logits = OTHER(seen)
        np.testing.assert_allclose(found.p_other[i], objectives.prob(logits, 1), rtol=1e-5)
        assert found.is_first_of_other[i] == (int(logits.argmax()) == 1)
        kept = [int(LOGITS_FN(masks.apply(IMAGE, mask, one)).argmax()) == 1 for one in BACKGROUNDS]
        np.testing.assert_allclose(found.kept[i], np.mean(kept), rtol=1e-6)
    # The first mask shows nothing, and the last everything.
    for at, (own, other) in {
        0: (found.p_blank, found.p_other_blank),
        2: (found.p_whole, found.p_other_whole),
    }.items():
        np.testing.assert_allclose([own, other], [found.p[at], found.p_other[at]], rtol=1e-5)
    assert 0 < found.kept[1] < 1


def test_one_judge_is_enough() -> None:
    both = judge(MASKS, other_logits_fn=OTHER, backgrounds=BACKGROUNDS)
    by_network = judge(MASKS, other_logits_fn=OTHER)
    on_backgrounds = judge(MASKS, backgrounds=BACKGROUNDS)
    assert np.isnan(by_network.kept).all()
    assert np.isnan([*on_backgrounds.p_other, on_backgrounds.p_other_whole]).all()
    for name in ("p", "p_whole", "p_other", "p_other_blank", "is_first_of_other"):
        np.testing.assert_array_equal(getattr(by_network, name), getattr(both, name))
    np.testing.assert_array_equal(on_backgrounds.kept, both.kept)


def test_labels_are_kept_where_their_logit_is_above_zero() -> None:
    found = judge(
        MASKS,
        other_logits_fn=OTHER,
        backgrounds=BACKGROUNDS,
        objective=objectives.sigmoid_prob,
    )
    whole = LOGITS_FN(IMAGE)[1]
    assert found.p[2] == pytest.approx(float(jax.nn.sigmoid(whole)), rel=1e-5)
    assert found.kept[2] == (whole > 0)
    assert found.is_first_of_other[2] == (OTHER(IMAGE)[1] > 0)


def test_another_network_may_see_another_size() -> None:
    small = problems.smooth_logits(shape=(8, 8, 3))
    found = judge(MASKS, other_logits_fn=models.at_size(small, 8), backgrounds=BACKGROUNDS)
    seen = jax.image.resize(IMAGE, (8, 8, 3), "cubic")
    wanted = objectives.prob(small(seen), 1)
    assert found.p_other[2] == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_refused_by_name() -> None:
    small = problems.smooth_logits(shape=(8, 8, 3))
    good = {"other_logits_fn": OTHER, "backgrounds": BACKGROUNDS}
    with pytest.raises(Exception, match=r".") as size:
        judge(MASKS, **good | {"other_logits_fn": small})
    assert any("models.at_size" in note for note in size.value.__notes__)
    with pytest.raises(ValueError, match="other_logits_fn must have the 3 classes of logits_fn"):
        judge(MASKS, **good | {"other_logits_fn": lambda image: OTHER(image)[:2]})
    with pytest.raises(ValueError, match=r"backgrounds must have the image's shape \(12, 12, 3\)"):
        judge(MASKS, **good | {"backgrounds": BACKGROUNDS[:, :8]})
    with pytest.raises(ValueError, match=r"masks must lie in \[0, 1\]"):
        judge(2 * MASKS, **good)
    with pytest.raises(ValueError, match="other_logits_fn or backgrounds must be given"):
        judge(MASKS)
    with pytest.raises(TypeError, match=r"an array of bool .*: give masks.astype\(jnp.float32\)"):
        judge(MASKS == 1, **good)
    with pytest.raises(ValueError, match="a regression has no class to be kept"):
        judge(MASKS, **good, objective=objectives.output)
    with pytest.raises(TypeError, match="other_logits_fn must be callable"):
        judge(MASKS, **good | {"other_logits_fn": 3})
