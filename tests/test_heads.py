"""Outputs that are no logits of exclusive classes, and what is passed in place of a classifier."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fitb_jax import attribution, evaluation, extremal, fill, heads, masks, models, objectives
from fitb_jax.evaluation.map_scores import faithfulness_scores
from fitb_jax.types import Image, LogitsFn, Saliency
from tests import problems

KEY = jax.random.key(0)
IMAGE = jax.random.uniform(jax.random.key(1), (6, 6, 1))
MAP = IMAGE[:, :, 0]
ONE = problems.smooth_logits(shape=IMAGE.shape, classes=1)
THREE = problems.smooth_logits(shape=IMAGE.shape, classes=3)
FRESH = jax.random.uniform(jax.random.key(2), (4, 6, 6, 1))


def _softmax(image: jax.Array) -> jax.Array:
    return jax.nn.softmax(THREE(image))


def _sigmoid(image: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(THREE(image) / 4)


def test_one_logit_becomes_two_with_the_sigmoids_probability() -> None:
    binary = heads.with_head(ONE, "binary")
    positive = jax.nn.sigmoid(ONE(IMAGE)[0])
    np.testing.assert_allclose(jax.nn.softmax(binary(IMAGE)), [1 - positive, positive], rtol=1e-6)
    curve = evaluation.deletion(binary, IMAGE, MAP, 1, key=KEY, step=18)
    np.testing.assert_allclose(curve.probabilities[0], positive, rtol=1e-5)
    of_negative = heads.with_head(lambda image: -ONE(image), "binary")

    @jax.jit
    def explain(logits_fn: LogitsFn, image: Image) -> Saliency:
        inr = extremal.fit_inr(logits_fn, image, 1, _inr(), key=KEY)
        return extremal.inr_saliency(inr, (6, 6))

    maps = [explain(logits_fn, IMAGE) for logits_fn in (binary, of_negative)]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3


def test_a_no_has_a_map_and_its_classifier_is_an_argument() -> None:
    binary = heads.with_head(lambda image: ONE(image), "binary")
    yes, no = (jax.jit(attribution.input_x_gradient)(binary, IMAGE, target) for target in (1, 0))
    assert np.abs(no).max() > 0
    np.testing.assert_allclose(no, -yes, rtol=1e-5)


def _inr() -> extremal.InrConfig:
    network = extremal.NetworkConfig(frequencies=3, width=4, depth=2)
    return extremal.InrConfig(network=network, grid=3, steps=4)


def test_probabilities_come_back_as_they_are() -> None:
    adapted = heads.with_head(_softmax, "probabilities")
    np.testing.assert_allclose(jax.nn.softmax(adapted(IMAGE)), _softmax(IMAGE), rtol=1e-5)
    labels = heads.with_head(_sigmoid, "multi_label_probabilities")
    np.testing.assert_allclose(jax.nn.sigmoid(labels(IMAGE)), _sigmoid(IMAGE), rtol=1e-5)
    one = heads.with_head(lambda image: _sigmoid(image)[:1], "binary_probability")
    np.testing.assert_allclose(objectives.prob(one(IMAGE), 1), _sigmoid(IMAGE)[0], rtol=1e-5)
    certain = heads.with_head(lambda image: jnp.array([0.0, 1.0]), "probabilities")
    assert np.isfinite(certain(IMAGE)).all()


def test_every_judge_reports_in_the_terms_of_several_labels() -> None:
    logits = THREE(IMAGE)
    p, is_there = jax.nn.sigmoid(logits)[0], float(logits[0] > 0)
    how: dict[str, Any] = {"objective": objectives.sigmoid_prob}
    inserted = evaluation.insertion(THREE, IMAGE, MAP, 0, key=KEY, step=18, **how)
    np.testing.assert_allclose(inserted.probabilities[-1], p, rtol=1e-5)
    assert inserted.corrects[-1] == is_there
    road = evaluation.road(
        THREE, IMAGE, MAP, 0, key=KEY, fractions=jnp.array([0.0]), noise=0.0, **how
    )
    np.testing.assert_allclose(road.most_first, [p], rtol=1e-5)
    mask = jnp.ones((6, 6))
    whole = extremal.probabilities_through(THREE, IMAGE, 0, mask[None], **how)
    np.testing.assert_allclose(whole, [p], rtol=1e-5)
    judged = fill.fidelity(THREE, IMAGE, MAP, 0, IMAGE, **how)
    np.testing.assert_allclose(judged.probability_whole, p, rtol=1e-5)
    assert extremal.certify(THREE, IMAGE, 0, mask, FRESH, **how).estimate == is_there
    scored = faithfulness_scores(THREE, IMAGE, MAP, 0, colour=0.0, chunk=4, key=KEY, **how)
    plain = evaluation.deletion(
        THREE, IMAGE, MAP, 0, key=jax.random.split(KEY, 3)[1], background=0.0, **how
    )
    np.testing.assert_allclose(scored["deletion"], plain.area_under_curve, rtol=1e-5)


@pytest.mark.parametrize("head", ["multi_label", "multi_label_probabilities", "regression"])
def test_a_network_with_a_named_head_refuses_objectives_of_classes(head: str) -> None:
    outputs = _sigmoid if head == "multi_label_probabilities" else THREE
    named, mask = heads.with_head(outputs, head), jnp.ones((6, 6))
    climb, score = heads.HEADS[head].objective.__name__, heads.HEADS[head].score.__name__
    climbing = (
        lambda: fill.first_order(named, IMAGE, mask, 1),
        lambda: extremal.fit_inr(named, IMAGE, 1, key=jax.random.key(1)),
    )
    judging = (
        lambda: extremal.probabilities_through(named, IMAGE, 1, mask[None]),
        lambda: evaluation.deletion(named, IMAGE, mask, 1, key=jax.random.key(1)),
        lambda: evaluation.scoreboard(
            {"ones": lambda *_, key: mask},
            named,
            IMAGE[None],
            jnp.array([1]),
            key=jax.random.key(1),
        ),
    )
    for calls, right in ((climbing, climb), (judging, score)):
        for call in calls:
            with pytest.raises(
                ValueError, match=f"fit the head '{head}' .*give objectives.{right}"
            ):
                call()
    wrappers = (models.at_size(named, 6), models.shift_input(named, 0.0), jax.jit(named))
    for wrapped in (*wrappers, functools.partial(named)):
        with pytest.raises(ValueError, match=f"fit the head '{head}'"):
            extremal.probabilities_through(wrapped, IMAGE, 1, mask[None])
    # The logit of a label is one of its own.
    assert np.isfinite(attribution.gradient_magnitude(named, IMAGE, 1)).all()


@pytest.mark.usefixtures("unchecked")
def test_a_name_or_a_head_in_place_of_an_objective_says_what_to_give() -> None:
    mask = jnp.ones((6, 6))
    for given, remedy in (
        ("sigmoid_log_prob", "give one of fitb_jax.objectives"),
        (heads.HEADS["multi_label"], "give its .objective"),
    ):
        with pytest.raises(TypeError, match=f"objective must be .*{remedy}"):
            fill.first_order(THREE, IMAGE, mask, 1, objective=given)
        config = extremal.InrConfig(objective=given)
        with pytest.raises(TypeError, match=f"objective must be .*{remedy}"):
            extremal.fit_inr(THREE, IMAGE, 1, config, key=KEY)


def test_a_regression_is_scored_in_its_units_and_keeps_no_class() -> None:
    curve = evaluation.insertion(
        THREE, IMAGE, MAP, 2, key=KEY, step=18, objective=objectives.output
    )
    np.testing.assert_allclose(curve.probabilities[-1], THREE(IMAGE)[2], rtol=1e-6)
    assert np.isnan(curve.corrects).all()
    with pytest.raises(ValueError, match="regression has no class"):
        extremal.certify(THREE, IMAGE, 0, jnp.ones((6, 6)), FRESH, objective=objectives.output)


def test_a_softmax_of_one_logit_is_refused_with_the_remedy() -> None:
    blank = jnp.zeros((6, 6))
    calls = (
        lambda: evaluation.insertion(ONE, IMAGE, MAP, 0, key=KEY),
        lambda: evaluation.road(ONE, IMAGE, MAP, 0, key=KEY),
        lambda: attribution.rise(ONE, IMAGE, 0, key=KEY, draws=2, cells=2),
        lambda: fill.first_order(ONE, IMAGE, blank, 0),
        lambda: fill.second_order(ONE, IMAGE, blank, 0),
        lambda: extremal.fit_inr(ONE, IMAGE, 0, _inr(), key=KEY),
        lambda: extremal.certify(ONE, IMAGE, 0, MAP, FRESH),
        lambda: heads.with_head(ONE, "softmax")(IMAGE),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r'"binary"'):
            call()


def test_a_class_out_of_range_is_nan_where_it_cannot_be_refused() -> None:
    targets = jnp.array([-1, 3, 1])
    for name, objective in objectives.OBJECTIVES.items():
        values, gradients = jax.jit(jax.vmap(jax.value_and_grad(objective), in_axes=(None, 0)))(
            THREE(IMAGE), targets
        )
        np.testing.assert_array_equal(np.isnan(values), [True, True, False], err_msg=name)
        assert np.isnan(gradients[:2]).any(1).all(), name
        assert np.isfinite(gradients[2]).all(), name
    predicted = jax.vmap(objectives.is_predicted, in_axes=(None, 0))(THREE(IMAGE), targets)
    np.testing.assert_array_equal(np.isnan(predicted), [True, True, False])
    curves = jax.jit(
        jax.vmap(lambda target: evaluation.deletion(THREE, IMAGE, MAP, target, key=KEY, step=18))
    )(targets)
    np.testing.assert_array_equal(np.isnan(curves.area_under_curve), [True, True, False])
    maps = jax.jit(jax.vmap(lambda target: attribution.gradient_magnitude(THREE, IMAGE, target)))
    np.testing.assert_array_equal(np.isnan(maps(targets)).all((1, 2)), [True, True, False])


@pytest.mark.parametrize("ending", [_softmax, _sigmoid, jax.jit(lambda x: _softmax(x[None])[0:])])
def test_probabilities_in_place_of_logits_are_warned_of(ending: Any) -> None:
    with pytest.warns(UserWarning, match="seems to return probabilities"):
        attribution.gradient_magnitude(ending, IMAGE, 0)


def test_probabilities_whose_head_is_named_are_not_warned_of() -> None:
    logits_fn = models.as_logits_fn(
        lambda images: jax.nn.softmax(images.reshape(1, -1)), head="probabilities"
    )
    found, right = jax.nn.softmax(logits_fn(IMAGE)), jax.nn.softmax(IMAGE.ravel())
    np.testing.assert_allclose(found, right, rtol=1e-5)
    attribution.gradient_magnitude(logits_fn, IMAGE, 0)


class _Output(NamedTuple):
    logits: jax.Array


class _Network(nnx.Module):
    def __call__(self, images: jax.Array) -> jax.Array:
        return images


def _torch_tensor() -> Any:
    kind = type("Tensor", (), {"shape": (6, 6, 1), "dtype": "torch.float32"})
    kind.__module__ = "torch"
    return kind()


@pytest.mark.usefixtures("unchecked")
def test_what_is_given_by_mistake_is_named() -> None:
    explain = attribution.gradient_magnitude
    calls = {
        r"tuple of 2.*f\(image\)\[0\]": lambda: explain(lambda x: (THREE(x), x), IMAGE, 0),
        r"a dict with features, logits.*features_fn": lambda: explain(
            lambda x: {"logits": THREE(x), "features": x}, IMAGE, 0
        ),
        r"_Output.*f\(image\)\.logits": lambda: explain(lambda x: _Output(THREE(x)), IMAGE, 0),
        r"logits_fn must be a function.*as_logits_fn": lambda: explain(_Network(), IMAGE, 0),
        r"image must.*PyTorch tensor": lambda: explain(THREE, _torch_tensor(), 0),
        r"mask must.*PyTorch tensor": lambda: masks.apply(IMAGE, _torch_tensor()),
        r"channels last": lambda: explain(THREE, jnp.zeros((3, 32, 32)), 0),
        r"target must.*'cat'": lambda: explain(THREE, IMAGE, "cat"),
        r"target must lie in \[0, 3\)": lambda: explain(THREE, IMAGE, 3),
        r"key must.*got 0": lambda: attribution.smoothgrad(THREE, IMAGE, 0, key=0),
        r"noise must be a number.*'much'": lambda: attribution.smoothgrad(
            THREE, IMAGE, 0, key=KEY, noise="much"
        ),
        r"background must have the image's units": lambda: attribution.occlusion(
            THREE, IMAGE, 0, window=2, stride=2, background=128
        ),
        r"baseline must have the image's units": lambda: attribution.integrated_gradients(
            THREE, IMAGE, 0, baseline=jnp.array([124.0])
        ),
        r"a function of one image is a logits_fn as it is": lambda: models.as_logits_fn(
            lambda image: image.reshape(-1)
        )(IMAGE),
        r"model must take images.*one image": lambda: models.as_logits_fn(
            lambda image: image.reshape(36) @ jnp.ones((35, 3))
        )(IMAGE),
    }
    for message, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=message) as raised:
            call()
        assert len(str(raised.value)) < 400


def test_nothing_that_is_printed_holds_weights() -> None:
    config = models.ClassifierConfig("mlp", widths=(64, 64), image_shape=(6, 6, 1), classes=3)
    logits_fn = models.as_logits_fn(models.build(config, key=KEY))
    count = sum(leaf.size for leaf in jax.tree.leaves(logits_fn))
    for printed in (
        logits_fn,
        models.features_of(logits_fn),
        heads.with_head(logits_fn, "softmax"),
    ):
        assert len(repr(printed)) < 200
        assert f"{count:,} parameters" in repr(printed)
    with pytest.raises(TypeError) as raised:
        models.features_of(lambda image: image)
    assert len(str(raised.value)) < 400
