"""Checks of explanations: what must change them, and what must not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from fitb_jax import attribution, evaluation, models
from fitb_jax.saliency import as_saliency

KEY = jax.random.key(0)
SHAPE = (12, 12, 1)
LAYERS = ("first", "logits")
OF_LEAVES = ("first", "logits")


def two_layers(parameters: dict[str, jax.Array], image: jax.Array) -> jax.Array:
    """Linear, so that the gradient is a product of the weights."""
    return (image.ravel() @ parameters["first"]) @ parameters["logits"]


def weights(seed: int, units: int = 5) -> Partial:
    rng = np.random.default_rng(seed)
    parameters = {
        "first": jnp.asarray(rng.normal(size=(144, units)), jnp.float32),
        "logits": jnp.asarray(rng.normal(size=(units, 3)), jnp.float32),
    }
    return Partial(two_layers, parameters)


TRAINED, FRESH = weights(1), weights(2)
IMAGE = jnp.asarray(np.random.default_rng(3).uniform(size=SHAPE), jnp.float32)
GRADIENT = as_saliency(attribution.gradient_magnitude)


def edges(logits_fn, image, target):
    """An explanation that asks no network."""
    return evaluation.control_maps.sobel_edges(image)


def at(networks: Partial, index: int) -> Partial:
    return jax.tree.map(lambda leaf: leaf[index], networks)


def gradient_of(first: Partial, last: Partial, target: int) -> np.ndarray:
    """|first W_1 times W_2 of the class|."""
    product = first.args[0]["first"] @ last.args[0]["logits"][:, target]
    return np.abs(np.asarray(product)).reshape(SHAPE[:2])


def test_the_cascade_goes_from_the_logits_down() -> None:
    networks = evaluation.cascading_randomisation(TRAINED, FRESH, LAYERS, OF_LEAVES)
    for index, (first, last) in enumerate([(TRAINED, FRESH), (FRESH, FRESH)]):
        found = attribution.gradient_magnitude(at(networks, index), IMAGE, 1)
        np.testing.assert_allclose(found, gradient_of(first, last, 1), rtol=1e-4)


def test_one_layer_at_a_time_leaves_the_others_trained() -> None:
    networks = evaluation.independent_randomisation(TRAINED, FRESH, LAYERS, OF_LEAVES)
    for index, (first, last) in enumerate([(TRAINED, FRESH), (FRESH, TRAINED)]):
        found = attribution.gradient_magnitude(at(networks, index), IMAGE, 2)
        np.testing.assert_allclose(found, gradient_of(first, last, 2), rtol=1e-4)


def test_nothing_chosen_is_the_trained_network_and_everything_the_fresh_one() -> None:
    for chosen, wanted in (((), TRAINED), (LAYERS, FRESH)):
        found = evaluation.randomisation.randomise(TRAINED, FRESH, OF_LEAVES, chosen)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_array_equal(a, b)


@functools.cache
def compared():
    """Every check of three methods, compiled once for the tests."""
    methods = {
        "gradient": GRADIENT,
        "edges": as_saliency(edges),
        "input x gradient": as_saliency(attribution.input_x_gradient),
    }

    @jax.jit
    def run(trained, fresh, image, key):
        still = models.shift_input(trained, 0.0)
        networks = evaluation.cascading_randomisation(trained, fresh, LAYERS, OF_LEAVES)
        networks = jax.vmap(lambda one: models.shift_input(one, 0.0))(networks)
        cases = evaluation.join_cases(
            evaluation.network_cases(networks, image, 1),
            evaluation.random_logit_case(still, image, 1, key=key),
            evaluation.input_shift_case(models.shift_input(trained, -0.5), image, 1, shift=-0.5),
        )
        reference = evaluation.Case(still, image, jnp.int32(1))
        return evaluation.compare_methods(methods, reference, cases, key=key)

    return run(TRAINED, FRESH, IMAGE, KEY)


def test_maps_of_every_case_are_those_of_its_network_and_class() -> None:
    found = compared()["gradient"]
    np.testing.assert_allclose(found.reference, gradient_of(TRAINED, TRAINED, 1), rtol=1e-4)
    np.testing.assert_allclose(found.maps[0], gradient_of(TRAINED, FRESH, 1), rtol=1e-4)
    np.testing.assert_allclose(found.maps[1], gradient_of(FRESH, FRESH, 1), rtol=1e-4)
    of_others = [gradient_of(TRAINED, TRAINED, target) for target in (0, 2)]
    assert any(np.allclose(found.maps[2], other, rtol=1e-4) for other in of_others)
    np.testing.assert_allclose(found.maps[3], found.reference, rtol=1e-4)


def test_similarities_are_those_of_the_maps() -> None:
    found = compared()["input x gradient"]
    similarity = jax.jit(evaluation.similarity)
    for index in range(4):
        one = similarity(found.reference, found.maps[index])
        for name, value in one._asdict().items():
            np.testing.assert_allclose(
                getattr(found.similarity, name)[index], value, atol=1e-5, err_msg=name
            )


def test_what_asks_no_network_is_the_same_for_every_network_and_class() -> None:
    found = compared()["edges"].similarity
    for values in found:
        np.testing.assert_allclose(values, np.ones(4), atol=1e-4)


def test_an_unrelated_network_has_an_unrelated_gradient() -> None:
    assert abs(float(compared()["gradient"].similarity.spearman[1])) < 0.4


def test_only_what_does_not_use_the_values_of_the_image_stands_a_shift() -> None:
    np.testing.assert_allclose(compared()["gradient"].similarity.spearman[3], 1, atol=1e-3)
    assert float(compared()["input x gradient"].similarity.spearman[3]) < 0.9


def test_the_shifted_network_is_the_same_function() -> None:
    shifted = models.shift_input(TRAINED, -0.5)
    case = evaluation.input_shift_case(shifted, IMAGE, 1, shift=-0.5)
    np.testing.assert_allclose(case.image[0], IMAGE - 0.5, atol=1e-6)
    np.testing.assert_allclose(shifted(case.image[0]), TRAINED(IMAGE), rtol=1e-4)


def test_the_other_class_is_another_and_each_is_as_likely() -> None:
    keys = jax.random.split(KEY, 600)
    drawn = jax.vmap(lambda key: evaluation.random_logit_case(TRAINED, IMAGE, 1, key=key).target)
    counts = np.bincount(np.asarray(drawn(keys)).ravel(), minlength=3)
    assert counts[1] == 0
    assert abs(counts[0] - 300) < 4 * np.sqrt(150)


def test_a_random_other_class_is_never_the_target_and_each_is_as_likely() -> None:
    draw = jax.jit(lambda target, key: evaluation.random_other_class(target, 4, key=key))
    for target in range(4):
        drawn = jax.vmap(draw, (None, 0))(target, jax.random.split(KEY, 900))
        counts = np.bincount(np.asarray(drawn), minlength=4)
        assert counts[target] == 0
        assert (abs(np.delete(counts, target) - 300) < 4 * np.sqrt(200)).all()


def test_a_random_other_class_needs_another_and_a_class() -> None:
    with pytest.raises(ValueError, match="classes must be at least 2, got 1"):
        evaluation.random_other_class(0, 1, key=KEY)
    with pytest.raises(ValueError, match=r"target must lie in \[0, 3\), got 3"):
        evaluation.random_other_class(3, 3, key=KEY)


def test_random_methods_have_the_same_draws_in_every_case() -> None:
    noise = as_saliency(lambda logits_fn, image, target, *, key: jax.random.normal(key, (12, 12)))
    reference = evaluation.Case(TRAINED, IMAGE, jnp.int32(0))
    networks = evaluation.cascading_randomisation(TRAINED, FRESH, LAYERS, OF_LEAVES)
    cases = evaluation.network_cases(networks, IMAGE, 0)
    found = jax.jit(lambda: evaluation.compare(noise, reference, cases, key=KEY))()
    for map_of_case in found.maps:
        np.testing.assert_array_equal(map_of_case, found.reference)


def test_chunks_do_not_matter() -> None:
    networks = evaluation.cascading_randomisation(TRAINED, FRESH, LAYERS, OF_LEAVES)
    reference = evaluation.Case(TRAINED, IMAGE, jnp.int32(0))
    cases = evaluation.network_cases(networks, IMAGE, 0)
    one, all_of_them = (
        jax.jit(
            lambda chunk=chunk: (
                evaluation.compare(GRADIENT, reference, cases, key=KEY, chunk=chunk).maps
            )
        )()
        for chunk in (1, 3)
    )
    np.testing.assert_allclose(one, all_of_them, rtol=1e-5)


def test_cells_fit_into_small_and_large_maps() -> None:
    for side, cell in ((12, 4), (64, 16)):
        a, b = jax.random.normal(KEY, (2, side, side))
        correlation = jax.jit(evaluation.hog_correlation, static_argnames="pixels_per_cell")
        np.testing.assert_allclose(
            jax.jit(evaluation.similarity)(a, b).hog,
            correlation(a, b, pixels_per_cell=cell),
            atol=1e-6,
        )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: evaluation.randomisation.randomise(TRAINED, weights(0, units=4), OF_LEAVES, ()),
            ValueError,
            "fresh must have the shapes of trained",
        ),
        (
            lambda: evaluation.randomisation.randomise(TRAINED, {"a": 1}, OF_LEAVES, ()),
            ValueError,
            "fresh must have the structure of trained",
        ),
        (
            lambda: evaluation.randomisation.randomise(TRAINED, FRESH, OF_LEAVES, ["second"]),
            ValueError,
            "chosen must be one of .* got 'second'",
        ),
        (
            lambda: evaluation.randomisation.randomise(TRAINED, FRESH, ("first",), ()),
            ValueError,
            "layer_of_leaves must have one name for each of 2 leaves, got 1",
        ),
        (
            lambda: evaluation.cascading_randomisation(TRAINED, FRESH, (), OF_LEAVES),
            ValueError,
            "layers must name at least one",
        ),
        (lambda: evaluation.join_cases(), ValueError, "cases must be at least one"),
        (
            lambda: evaluation.network_cases(Partial(two_layers, {}), IMAGE, 0),
            ValueError,
            "logits_fns must have one common leading axis",
        ),
        (
            lambda: evaluation.random_logit_case(TRAINED, IMAGE, 3, key=KEY),
            ValueError,
            r"target must lie in \[0, 3\)",
        ),
        (
            lambda: evaluation.random_logit_case(lambda x: x.sum()[None], IMAGE, 0, key=KEY),
            ValueError,
            "must have another class than target, got 1 class",
        ),
        (
            lambda: evaluation.input_shift_case(TRAINED, IMAGE, 0, shift=jnp.zeros(5)),
            ValueError,
            "shift must be a number",
        ),
        (
            lambda: evaluation.compare(
                3, evaluation.Case(TRAINED, IMAGE, 0), evaluation.Case(TRAINED, IMAGE, 0), key=KEY
            ),
            TypeError,
            "method must be callable",
        ),
        (
            lambda: evaluation.similarity(IMAGE[:, :, 0], IMAGE[:11, :, 0]),
            ValueError,
            "b must have the shape of a",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_networks_of_two_structures_cannot_be_joined() -> None:
    plain = evaluation.random_logit_case(TRAINED, IMAGE, 0, key=KEY)
    shifted = models.shift_input(TRAINED, 0.0)
    other = evaluation.random_logit_case(shifted, IMAGE, 0, key=KEY)
    with pytest.raises(ValueError, match="must share one structure"):
        evaluation.join_cases(plain, other)
