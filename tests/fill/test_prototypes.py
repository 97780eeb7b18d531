import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import fill, masks
from tests import problems

N, M = 7, 3
LOGITS_FN = problems.smooth_logits()
SHARED = masks.random_patches((6, 6), 0.5, 2, key=jax.random.key(0))


def _masks(own: bool) -> jax.Array:
    keys = jax.random.split(jax.random.key(1), N * M)
    drawn = jax.vmap(lambda key: masks.random_patches((6, 6), 0.4, 1, key=key))(keys)
    return drawn.reshape(N, M, 6, 6) if own else drawn[:M]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("order", ["first", "second"])
def test_equals_the_brute_force_mean_over_pairs(own: bool, order: str) -> None:
    images, targets = problems.images_and_targets(N)
    seen = _masks(own)
    found = fill.expected_update(LOGITS_FN, images, targets, seen, order=order, chunk=3)
    update = jax.jit(functools.partial(fill.resolve_order(order), LOGITS_FN))
    total, count = np.zeros((6, 6, 1)), np.zeros((6, 6))
    for i in range(N):
        for mask in seen[i] if own else seen:
            hidden = 1 - np.asarray(mask)
            total += hidden[:, :, None] * np.asarray(update(images[i], mask, targets[i]))
            count += hidden
    np.testing.assert_array_equal(found.count, count)
    with np.errstate(invalid="ignore"):
        expected = total / np.where(count > 0, count, np.nan)[:, :, None]
    np.testing.assert_allclose(found.mean, expected, rtol=2e-3, atol=1e-4)
    np.testing.assert_array_equal(np.isnan(found.mean[:, :, 0]), count == 0)


def test_nan_where_never_hidden_and_no_error_from_one_image() -> None:
    images, targets = problems.images_and_targets(1)
    mask = jnp.ones((1, 6, 6)).at[0, 0, 0].set(0)
    found = fill.expected_update(LOGITS_FN, images, targets, mask)
    assert np.isfinite(found.mean).sum() == 1
    assert np.isnan(found.standard_error).all()


@pytest.mark.parametrize("chunk", [1, 2, N, N + 5])
def test_does_not_depend_on_the_chunk(chunk: int) -> None:
    images, targets = problems.images_and_targets(N)
    reference = fill.expected_update(LOGITS_FN, images, targets, _masks(own=True), chunk=3)
    found = fill.expected_update(LOGITS_FN, images, targets, _masks(own=True), chunk=chunk)
    for ours, theirs in zip(found, reference, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_standard_error_is_the_textbooks_with_one_mask_each() -> None:
    images, targets = problems.images_and_targets(N)
    seen = _masks(own=True)[:, :1]
    found = fill.expected_update(LOGITS_FN, images, targets, seen)
    updates = np.asarray(
        jax.vmap(functools.partial(fill.first_order, LOGITS_FN))(images, seen[:, 0], targets)
    )
    for row, column in np.ndindex(6, 6):
        values = updates[np.asarray(seen[:, 0, row, column]) == 0, row, column, 0]
        if values.size > 1:
            expected = values.std(ddof=1) / np.sqrt(values.size)
            np.testing.assert_allclose(
                found.standard_error[row, column, 0], expected, rtol=1e-3, atol=1e-6
            )


@pytest.mark.parametrize("own", [False, True])
def test_standard_errors_are_calibrated(own: bool) -> None:
    """Over many replications the mean scatters as far as its standard error says."""
    images_each, replications = 40, 600

    def update(logits_fn: object, image: jax.Array, mask: jax.Array, target: jax.Array):
        # Strongly correlated within an image: a mask changes little.
        return image + 0.1 * mask.mean() * jnp.sin(40 * image)

    def replicate(key: jax.Array) -> fill.Prototype:
        image_key, mask_key = jax.random.split(key)
        images = jax.random.uniform(image_key, (images_each, 6, 6, 1))
        keys = jax.random.split(mask_key if own else jax.random.key(5), images_each * M)
        seen = jax.vmap(lambda key: masks.random_patches((6, 6), 0.5, 2, key=key))(keys)
        seen = seen.reshape(images_each, M, 6, 6) if own else seen[:M]
        targets = jnp.zeros(images_each, jnp.int32)
        return fill.expected_update(LOGITS_FN, images, targets, seen, order=update, chunk=20)

    found = jax.lax.map(replicate, jax.random.split(jax.random.key(0), replications), batch_size=50)
    hidden = np.asarray(found.count[0] > 0)
    means, errors = (np.asarray(a)[:, hidden, 0] for a in (found.mean, found.standard_error))
    ratio = means.std(0, ddof=1).mean() / errors.mean()
    assert 0.96 < ratio < 1.05
    covered = np.abs(means - means.mean(0)) <= 1.96 * errors
    assert 0.93 < covered.mean() < 0.96


def test_merging_is_associative_and_commutative() -> None:
    rng = np.random.default_rng(0)
    sums = jnp.asarray(rng.normal(size=(9, 6, 6, 1)), jnp.float32)
    counts = jnp.asarray(rng.integers(0, 3, size=(9, 6, 6)), jnp.float32)
    parts = [
        fill.measure(sums[a:b], counts[a:b], jnp.ones(b - a)) for a, b in ((0, 2), (2, 6), (6, 9))
    ]
    whole = fill.measure(sums, counts, jnp.ones(9))
    left = fill.merge(fill.merge(parts[0], parts[1]), parts[2])
    right = fill.merge(fill.merge(parts[2], parts[1]), parts[0])
    for merged in (left, right):
        for ours, theirs in zip(merged, whole, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_stops_when_converged_and_not_before() -> None:
    images, targets = problems.images_and_targets(60)
    mask = jnp.zeros((1, 6, 6))
    run = functools.partial(fill.expected_update, LOGITS_FN, images, targets, mask, chunk=5)
    everything = run()
    early = run(tolerance=3 * float(np.asarray(everything.standard_error).max()))
    assert 5 <= early.count.max() < 60
    assert early.count.max() % 5 == 0
    np.testing.assert_array_equal(run(tolerance=0.0).count, everything.count)


def test_a_pixel_that_no_mask_hides_does_not_keep_it_from_stopping() -> None:
    images, targets = problems.images_and_targets(60)
    mask = jnp.zeros((1, 6, 6)).at[0, 0, 0].set(1)
    found = fill.expected_update(LOGITS_FN, images, targets, mask, chunk=5, tolerance=1e6)
    assert found.count.max() == 5
    assert np.isnan(found.mean[0, 0, 0])


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    def temporary(images: int) -> int:
        shapes = (
            jax.ShapeDtypeStruct((images, 6, 6, 1), jnp.float32),
            jax.ShapeDtypeStruct((images,), jnp.int32),
        )
        program = jax.jit(functools.partial(fill.expected_update, LOGITS_FN, chunk=16))
        compiled = program.lower(*shapes, jnp.zeros((2, 6, 6))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(4096) <= 1.01 * temporary(64)


def test_nearest_prototype_ignores_scale_offset_and_missing_pixels() -> None:
    images, _ = problems.images_and_targets(5)
    prototypes = 3 * images - 7
    prototypes = prototypes.at[:, 0, 0].set(jnp.nan)
    classify = jax.vmap(fill.nearest_prototype, in_axes=(0, None))
    np.testing.assert_array_equal(classify(images, prototypes), np.arange(5))
    np.testing.assert_array_equal(classify(images, -prototypes) == np.arange(5), False)


def test_class_prototypes_are_the_expected_updates_of_the_images_of_each_class() -> None:
    images, _ = problems.images_and_targets(N)
    images, labels = np.asarray(images), np.array([0, 1, 2, 0, 1, 0, 2])
    key = jax.random.key(3)
    found = fill.class_prototypes(
        LOGITS_FN, images, labels, 3, key=key, images_per_class=2, parts=3, patch=2, chunk=4
    )
    for label, own in enumerate(([0, 3], [1, 4], [2, 6])):
        keys = jax.random.split(jax.random.fold_in(key, label), 2)
        seen = jnp.stack([masks.partition((6, 6), 3, 2, key=each) for each in keys])
        targets = jnp.full(2, label)
        wanted = fill.expected_update(LOGITS_FN, jnp.asarray(images[own]), targets, seen)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one[label], other, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.count, 2)


def test_class_prototypes_need_an_image_of_every_class() -> None:
    images, _ = problems.images_and_targets(3)
    draw = functools.partial(fill.class_prototypes, LOGITS_FN, np.asarray(images), np.arange(3))
    with pytest.raises(ValueError, match=r"labels must hold every class, got none of \[3, 4\]"):
        draw(5, key=jax.random.key(0), patch=2)
    with pytest.raises(ValueError, match="images_per_class must be at least 1, got 0"):
        draw(3, key=jax.random.key(0), patch=2, images_per_class=0)


def test_pooled_prototypes_weigh_each_pixel_by_its_count() -> None:
    parts = [
        fill.Prototype(np.full((1, 2, 1), mean), np.full((1, 2, 1), error), np.array(counts))
        for mean, error, counts in ((1.0, 0.3, [[1.0, 3.0]]), (5.0, 0.4, [[3.0, 1.0]]))
    ]
    found = fill.pool(parts)
    np.testing.assert_allclose(found.mean[0, :, 0], [4, 2])
    np.testing.assert_allclose(found.standard_error[0, 0, 0], np.hypot(0.3, 3 * 0.4) / 4)
    np.testing.assert_array_equal(found.count, [[4, 4]])
    with pytest.raises(ValueError, match="at least one"):
        fill.pool([])


def test_a_pixel_that_one_set_never_hid_is_that_of_the_others() -> None:
    never = fill.Prototype(*(np.full((1, 1, 1), np.nan),) * 2, np.zeros((1, 1)))
    seen = fill.Prototype(np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 0.2), np.full((1, 1), 4.0))
    found = fill.pool([never, seen])
    assert (found.mean.item(), found.standard_error.item()) == pytest.approx((2.0, 0.2))
    assert np.isnan(fill.pool([never, never]).mean).all()


def test_counts_of_half_precision_are_exact() -> None:
    images = jnp.full((300, 2, 2, 1), 0.5, jnp.bfloat16)
    weights = jnp.linspace(-1, 1, 12).reshape(4, 3).astype(jnp.bfloat16)
    found = fill.expected_update(
        lambda image: image.ravel() @ weights,
        images,
        jnp.arange(300) % 3,
        masks.partition((2, 2), 2, 1, key=jax.random.key(0)),
        chunk=1,
    )
    np.testing.assert_array_equal(found.count, np.full((2, 2), 300))
