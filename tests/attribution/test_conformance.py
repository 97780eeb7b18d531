"""What every attribution method must do, run over the one table of them."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats

from fitb_jax import attribution, saliency
from tests import problems
from tests.attribution import methods
from tests.attribution.methods import (
    CHUNKED,
    CLASSES,
    METHODS,
    NEVER_ZERO,
    OF_GIVEN_AREAS,
    SHAPE,
    compiled,
    jitted,
)

KEY = jax.random.key(3)
ALL = pytest.mark.parametrize("name", METHODS)
SMOOTH = problems.smooth_logits(shape=SHAPE, classes=CLASSES)


def test_the_table_has_every_public_map() -> None:
    tested = {method.function for method in METHODS.values()}
    public = [
        *inspect.getmembers(attribution, inspect.isfunction),
        *inspect.getmembers(saliency, inspect.isfunction),
    ]
    for name, function in public:
        parameters = list(inspect.signature(function).parameters)
        if parameters[:3] == ["logits_fn", "image", "target"]:
            is_map = name not in (
                "integrated_gradients_with_diagnostics",
                "layer_gradient",
                "reconstruct",
                # of transformers
                "attention_rollout",
                # of what a window shows besides
                "mean_occlusion",
                "silent_share",
            )
            assert is_map == (function in tested), name


@ALL
def test_arguments_have_one_order_and_name(name: str) -> None:
    parameters = list(inspect.signature(METHODS[name].function).parameters.values())
    assert [p.name for p in parameters[:3]] == ["logits_fn", "image", "target"]
    assert {p.kind for p in parameters[3:]} == {inspect.Parameter.KEYWORD_ONLY}
    known = {
        "objective", "chunk", "key", "draws", "noise", "nodes", "baseline", "window", "stride",
        "background", "cells", "visible", "normalise", "features_of", "layer", "map_activations",
        "order", "ratio", "patch", "config", "areas", "statistic",
    }  # fmt: skip
    assert {p.name for p in parameters[3:]} <= known
    assert parameters[-1].name == "chunk" or "chunk" not in {p.name for p in parameters}


# The closed form of RISE is an expectation over masks: test_rise has it. Newton steps and fits have
# theirs in tests/fill and tests/extremal.
@pytest.mark.parametrize(
    "name", sorted(METHODS.keys() - {"rise", "fill-in, second order", "igos++", *OF_GIVEN_AREAS})
)
def test_a_linear_classifier_gives_the_closed_form(name: str) -> None:
    closed_form = METHODS[name].closed_form
    assert closed_form is not None
    logits_fn, weights = methods.linear()
    for target in range(CLASSES):
        x = methods.image(target)
        found = compiled(name)(logits_fn, x, jnp.asarray(target), KEY)
        assert found.shape == SHAPE[:2]
        wanted = closed_form(weights[target].astype(float), np.asarray(x, float))
        np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - set(NEVER_ZERO)))
def test_a_constant_classifier_gives_zero(name: str) -> None:
    found = jitted(METHODS[name])(
        jax.tree_util.Partial(problems.constant_logits), methods.image(), jnp.asarray(1), KEY
    )
    np.testing.assert_array_equal(found, np.zeros(SHAPE[:2]))


@pytest.mark.parametrize("name", [name for name, m in METHODS.items() if m.is_complete])
def test_maps_that_promise_it_are_complete(name: str) -> None:
    x, start = methods.image(), jnp.full(SHAPE, methods.BASELINE)
    for target in range(CLASSES):
        found = compiled(name)(jax.tree_util.Partial(SMOOTH), x, jnp.asarray(target), KEY)
        difference = SMOOTH(x)[target] - SMOOTH(start)[target]
        np.testing.assert_allclose(found.sum(), difference, rtol=1e-4, atol=1e-5)


@ALL
def test_vmapped_equals_looped(name: str) -> None:
    logits_fn = jax.tree_util.Partial(SMOOTH)
    images = jnp.stack([methods.image(seed) for seed in range(3)])
    targets, keys = jnp.arange(3), jax.random.split(KEY, 3)
    many = jax.vmap(compiled(name), in_axes=(None, 0, 0, 0))(logits_fn, images, targets, keys)
    for index in range(3):
        one = compiled(name)(logits_fn, images[index], targets[index], keys[index])
        np.testing.assert_allclose(many[index], one, atol=1e-5, rtol=1e-4)


@ALL
def test_new_parameters_targets_and_keys_do_not_retrace(name: str) -> None:
    traces = 0
    method = saliency.as_saliency(METHODS[name].function, **METHODS[name].options)

    @jax.jit
    def traced(logits_fn, image, target, key):
        nonlocal traces
        traces += 1
        return method(logits_fn, image, target, key=key)

    for seed in range(2):
        logits_fn, _ = methods.linear(seed)
        traced(logits_fn, methods.image(seed), jnp.asarray(seed), jax.random.key(seed))
    assert traces == 1


@pytest.mark.parametrize("name", CHUNKED)
def test_the_chunk_changes_nothing(name: str) -> None:
    logits_fn = jax.tree_util.Partial(SMOOTH)
    x = methods.image()
    wanted = compiled(name)(logits_fn, x, jnp.asarray(2), KEY)
    for chunk in (1, 3):
        found = jitted(METHODS[name], chunk=chunk)(logits_fn, x, jnp.asarray(2), KEY)
        np.testing.assert_allclose(found, wanted, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["smoothgrad", "smoothgrad squared", "vargrad", "rise"])
def test_the_key_is_all_the_randomness(name: str) -> None:
    logits_fn = jax.tree_util.Partial(SMOOTH)
    x = methods.image()
    first, same, other = (
        compiled(name)(logits_fn, x, jnp.asarray(0), jax.random.key(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0


NAN = jnp.full(SHAPE, jnp.nan)


@ALL
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"image": methods.image()[None]}, ValueError, r"image must have shape \(h, w, c\)"),
        ({"image": NAN}, ValueError, "image must be finite"),
        ({"image": 255 * methods.image()}, ValueError, r"image must have values in \[0, 1\]"),
        ({"target": 3}, ValueError, r"target must lie in \[0, 3\), got 3"),
        ({"target": 1.0}, TypeError, "target must be an integer"),
        ({"logits_fn": 3}, TypeError, "logits_fn must be callable"),
        (
            {"logits_fn": lambda x: SMOOTH(x)[None]},
            ValueError,
            r"logits_fn must map .* logits \(k,\)",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name(
    name: str, changes: dict, error: type[Exception], message: str
) -> None:
    arguments = {"logits_fn": SMOOTH, "image": methods.image(), "target": 0, **changes}
    method = saliency.as_saliency(METHODS[name].function, **METHODS[name].options)
    with pytest.raises(error, match=message):
        method(**arguments, key=KEY)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "changes", "error", "message"),
    [
        ("integrated gradients", {"nodes": 0}, ValueError, "nodes must be at least 1"),
        ("integrated gradients", {"baseline": jnp.ones(5)}, ValueError, "baseline must be a num"),
        ("integrated gradients", {"chunk": 0}, ValueError, "chunk must be at least 1"),
        ("smoothgrad", {"draws": 0}, ValueError, "draws must be at least 1"),
        ("smoothgrad", {"noise": -0.1}, ValueError, "noise must lie in"),
        ("smoothgrad squared", {"draws": 1.5}, TypeError, "draws must be an integer"),
        ("vargrad", {"draws": 1}, ValueError, "draws must be at least 2"),
        ("occlusion", {"window": 7}, ValueError, "window must be at most .* 6, got 7"),
        ("occlusion", {"stride": 2}, ValueError, "stride must be at most window = 1, got 2"),
        ("occlusion", {"stride": 0}, ValueError, "stride must be at least 1"),
        ("occlusion", {"background": np.nan}, ValueError, "background must be finite"),
        ("occlusion", {"background": "blur"}, TypeError, "got 'blur'; for a blur give"),
        ("rise", {"cells": 7}, ValueError, "cells must be at most the shorter side 6, got 7"),
        ("rise", {"visible": 0.0}, ValueError, r"visible must lie in \(0, 1\]"),
        ("rise", {"normalise": "sum"}, ValueError, "normalise must be one of"),
        ("rise", {"draws": 1}, ValueError, "draws must be at least 2"),
        ("rise", {"background": jnp.ones(5)}, ValueError, "background must be a number"),
        ("grad-cam", {"layer": "head"}, ValueError, r"layer must be one of .*'input'.* got 'head'"),
        ("layer-cam", {"layer": "flat"}, ValueError, r"layer must have places .* got 'flat'"),
    ],
)
def test_bad_settings_are_refused_by_name(
    name: str, changes: dict, error: type[Exception], message: str
) -> None:
    method = METHODS[name]
    map_fn = saliency.as_saliency(method.function, **{**method.options, **changes})
    with pytest.raises(error, match=message):
        map_fn(SMOOTH, methods.image(), 0, key=KEY)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@ALL
def test_images_of_half_precision_are_explained_alike(name: str, dtype: str) -> None:
    x = methods.image().astype(dtype)
    found = compiled(name)(Partial(SMOOTH), x, jnp.asarray(1), KEY)
    wanted = compiled(name)(Partial(SMOOTH), x.astype(jnp.float32), jnp.asarray(1), KEY)
    assert found.dtype == jnp.float32
    assert np.isfinite(found).all()
    if np.ptp(wanted) > 1e-4:
        assert stats.spearmanr(found, wanted, axis=None).statistic >= 0.99


@pytest.mark.parametrize("name", ["rise", "smoothgrad squared", "vargrad", "grad-cam"])
def test_logits_too_large_for_half_precision_make_no_infinities(name: str) -> None:
    def large(image: jax.Array) -> jax.Array:
        return (3e4 * jnp.tanh(SMOOTH(image))).astype(jnp.float16)

    found = compiled(name)(Partial(large), methods.image().astype(jnp.float16), jnp.asarray(1), KEY)
    assert np.isfinite(found).all()
