"""Compute the maps and masks of a photograph's class, and the same for the controls."""

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import evaluation, extremal, fill, models
from fitb_jax.command_line.loading import Classifier
from fitb_jax.command_line.methods import METHODS
from fitb_jax.evaluation.control_maps import sobel_edges
from fitb_jax.saliency import as_saliency
from fitb_jax.types import Array, Float, Image, Key, LogitsFn, Objective, Target

AREAS = (0.05, 0.1, 0.2, 0.4)
"""Areas of the masks, as shares of the square."""


_TARGET = jax.ShapeDtypeStruct((), jnp.int32)


class Shown(NamedTuple):
    """One explanation, and the scores of the classifier through its masks.

    Attributes:
        saliency: (h, w).
        masks: of `AREAS`, (a, h, w), of zeros and ones.
        p: score of the class through each mask, on the background, (a,).
        seen: the image through each mask, (a, h, w, c).
    """

    saliency: Float[np.ndarray, "h w"]
    masks: Float[np.ndarray, "a h w"]
    p: Float[np.ndarray, "a"]
    seen: Float[np.ndarray, "a h w c"]


class MethodResult(NamedTuple):
    """What a method finds.

    Attributes:
        shown: the explanation of the class that is explained.
        control: the explanation of the other class; None where there is no other.
        agreement: rank correlation of the two maps; nan where one is constant.
        edges: rank correlation of the map with the edges of the image, in magnitude.
    """

    shown: Shown
    control: Shown | None
    agreement: float
    edges: float


class Explanation(NamedTuple):
    """Everything about one photograph.

    Attributes:
        image: what the classifier sees, (h, w, c).
        p: score of every class, (k,); of a regression its outputs.
        are_probabilities: whether the logits look like probabilities: at least 0, with sum 1.
        target: the class that is explained.
        other: a class drawn at random among the others; None where there is no other.
        p_blank: score of the class for the background alone.
        other_blank: score of the other class for the background alone.
        edges: a control, with the strength of the edges as the map.
        methods: results by name.
    """

    image: Float[np.ndarray, "h w c"]
    p: Float[np.ndarray, "k"]
    are_probabilities: bool
    target: int
    other: int | None
    p_blank: float
    other_blank: float | None
    edges: Shown
    methods: dict[str, MethodResult]


class Programs(NamedTuple):
    """Programs that are compiled once for one classifier and all photographs.

    Attributes:
        predict: from an image to the scores of all classes, and the logits.
        judge: from an image, a class and masks to two things. The first are the scores through
            the masks, and last that of the background alone. The second are the images through the
            masks.
        edges: from an image to its map and its masks.
        compare: rank correlations of a map with that of the other class and with the edges.
        methods: from an image, a class and a key to a map and masks, by name.
    """

    predict: Callable[..., Any]
    judge: Callable[..., Any]
    edges: Callable[..., Any]
    compare: Callable[..., Any]
    methods: dict[str, Callable[..., Any]]


def programs(classifier: Classifier) -> Programs:
    """Compile all programs but those of the methods, for which see `compile_method`.

    Args:
        classifier: to explain.

    Returns:
        The programs, without methods.
    """
    logits_fn, image, target = classifier.logits_fn, _image(classifier), _TARGET
    saliency = jax.ShapeDtypeStruct(classifier.shape[:2], jnp.float32)
    masks = jax.ShapeDtypeStruct((len(AREAS), *saliency.shape), jnp.float32)
    judge = functools.partial(_judge, classifier.head.score, classifier.behind)
    return Programs(
        predict=_compiled(functools.partial(_predict, classifier.head.score), logits_fn, image),
        judge=_compiled(judge, logits_fn, image, target, masks),
        edges=_compiled(_edges, (), image),
        compare=_compiled(_compare, (), saliency, saliency, saliency),
        methods={},
    )


def compile_method(name: str, classifier: Classifier) -> Callable[..., Any]:
    """Compile one method for one classifier, for every image and class.

    Args:
        name: in `METHODS`.
        classifier: to explain.

    Returns:
        From an image, a class and a key to a map (h, w) and binary masks of `AREAS`, (a, h, w).

    Raises:
        TypeError, ValueError: the method does not apply to such a classifier.
    """
    needs = METHODS[name].needs
    looks_inside = needs in ("layer", "activations")
    logits_fn = classifier.outputs_fn if looks_inside else classifier.logits_fn
    key = jax.eval_shape(lambda: jax.random.key(0))
    return _compiled(method_of(name, classifier), logits_fn, _image(classifier), _TARGET, key=key)


def explain(
    classifier: Classifier,
    compiled: Programs,
    image: Float[np.ndarray, "h w c"],
    target: int | None,
    *,
    key: Key,
    done: Callable[[], Any],
) -> Explanation:
    """Explain one image by every method that has been compiled.

    Args:
        classifier: to explain.
        compiled: the programs.
        image: what the classifier sees.
        target: class to explain; None for the predicted one.
        key: random key of the other class and of the methods.
        done: called after each method.

    Returns:
        The explanation.

    Raises:
        ValueError: outputs of the classifier that are not finite.
    """
    class_key, method_key = jax.random.split(key)
    pixels = jnp.asarray(image)
    p, logits = map(np.asarray, compiled.predict(pixels))
    if np.isnan(p).any():
        raise ValueError("the classifier's outputs for it are not finite")
    target = int(p.argmax()) if target is None else target
    other = None
    if len(p) > 1:
        other = int(evaluation.random_other_class(target, len(p), key=class_key))

    def judged(found: tuple[Array, Array], of: int) -> tuple[Shown, float]:
        saliency, masks = found
        scores, seen = compiled.judge(pixels, jnp.int32(of), masks)
        *through, blank = np.asarray(scores)
        return Shown(*map(np.asarray, (saliency, masks, through, seen))), float(blank)

    edge_map = compiled.edges(pixels)
    edges, p_blank = judged(edge_map, target)
    other_blank = None if other is None else judged(edge_map, other)[1]
    methods = {}
    for name, find in compiled.methods.items():
        shown, _ = judged(find(pixels, jnp.int32(target), key=method_key), target)
        control = None
        if other is not None:
            control, _ = judged(find(pixels, jnp.int32(other), key=method_key), other)
        against = shown if control is None else control
        agreement, edge = compiled.compare(shown.saliency, against.saliency, edges.saliency)
        agreement = float("nan") if control is None else float(agreement)
        methods[name] = MethodResult(shown, control, agreement, float(edge))
        done()
    return Explanation(
        image=image,
        p=p,
        are_probabilities=bool((logits >= 0).all() and abs(logits.sum() - 1) < 1e-3),
        target=target,
        other=other,
        p_blank=p_blank,
        other_blank=other_blank,
        edges=edges,
        methods=methods,
    )


def method_of(name: str, classifier: Classifier) -> Callable[..., Any]:
    """Set the options of one method for one classifier.

    Args:
        name: in `METHODS`.
        classifier: to explain.

    Returns:
        A function of a logits_fn, an image, a class and a key to a map and masks.

    Raises:
        TypeError, ValueError: the method does not apply to such a classifier.
    """
    if name == "extremal":
        objective, background = classifier.head.objective, classifier.behind
        return functools.partial(_extremal, objective=objective, background=background)
    method = METHODS[name]
    function = _named(method.function)
    options = method.options(classifier.shape[0]) | _given(name, classifier)
    saliency_fn = as_saliency(function, **options)

    def find(logits_fn: LogitsFn, image: Image, target: Target, *, key: Key) -> Any:
        return _with_masks(saliency_fn(logits_fn, image, target, key=key))

    return find


def _given(name: str, classifier: Classifier) -> dict[str, Any]:
    """What the classifier brings to a method."""
    method, head = METHODS[name], classifier.head
    match method.needs:
        case "layer":
            try:
                layer = models.last_spatial_layer(classifier.outputs_fn, classifier.shape)
            except TypeError as error:
                raise TypeError(
                    "the layers of this network are not known. A module of Flax NNX needs a method "
                    "`features`; see Layers in the guide on models, docs/models.md"
                ) from error
            if layer is None:
                raise ValueError("no layer of this classifier has places")
            inside = functools.partial(_logit_of_outputs, head.to_logits)
            return {"features_of": models.features_of, "layer": layer, "objective": inside}
        case "activations":
            inside = functools.partial(_logit_of_outputs, head.to_logits)
            return {"map_activations": models.map_activations, "objective": inside}
        case "dense_config":
            dense = extremal.DenseConfig(objective=head.objective)
            return {"config": dense, "background": classifier.behind}
        case "igos_config":
            igos = extremal.IgosConfig(objective=head.score)
            return {"config": igos, "background": classifier.behind}
        case "score":
            return {"objective": head.score}
        case "update":
            order = method.options(classifier.shape[0])["order"]
            rule = {"first": fill.first_order, "second": fill.second_order}[order]
            return {"order": functools.partial(rule, objective=head.objective)}
    return {}


def _logit_of_outputs(to_logits: Callable[[Array], Array], outputs: Array, target: Target) -> Array:
    return to_logits(outputs)[target]


def _named(function: str) -> Any:
    module, _, name = function.rpartition(".")
    return getattr(importlib.import_module(f"fitb_jax.{module}"), name)


def _extremal(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    objective: Objective,
    background: Any,
) -> tuple[Array, Array]:
    config = extremal.InrConfig(objective=objective)
    inr = extremal.fit_inr(logits_fn, image, target, config, key=key, background=background)
    shape = image.shape[0], image.shape[1]
    masks = jax.vmap(extremal.binarise)(
        extremal.inr_masks(inr, jnp.asarray(AREAS), shape), jnp.asarray(AREAS)
    )
    is_fitted = jnp.isfinite(inr.history.objective[inr.steps - 1])
    return jnp.where(is_fitted, extremal.inr_saliency(inr, shape), jnp.nan), masks


def _edges(_: tuple[()], image: Image) -> tuple[Array, Array]:
    return _with_masks(sobel_edges(image))


def _compare(_: tuple[()], saliency: Array, other: Array, edges: Array) -> tuple[Array, Array]:
    return (
        evaluation.spearman(saliency, other),
        evaluation.spearman(saliency, edges, absolute=True),
    )


def _image(classifier: Classifier) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(classifier.shape, jnp.float32)


def _compiled(function: Callable[..., Any], first: Any, *shapes: Any, **more: Any) -> Any:
    """For these shapes, with the first argument set: a classifier is one with its weights."""
    program = jax.jit(function).lower(first, *shapes, **more).compile()
    return functools.partial(program, first)


def _with_masks(saliency: Array) -> tuple[Array, Array]:
    """The map, and masks of its largest values; ties in random order."""
    ties = jax.random.key(0)
    return saliency, jax.vmap(lambda area: extremal.binarise(saliency, area, key=ties))(
        jnp.asarray(AREAS)
    )


def _predict(score: Objective, logits_fn: LogitsFn, image: Image) -> tuple[Array, Array]:
    """The score of every class, and the logits."""
    logits = logits_fn(image)
    return jax.vmap(score, (None, 0))(logits, jnp.arange(logits.shape[0])), logits


def _judge(
    score: Objective,
    background: Any,
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    masks: Float[Array, "a h w"],
) -> tuple[Array, Array]:
    """The score through each mask, and last that of nothing; and what is seen through the masks."""
    blend = extremal.make_blend(image, background)
    seen = jax.vmap(blend)(jnp.concatenate([masks, jnp.zeros_like(masks[:1])]))
    return jax.lax.map(lambda each: score(logits_fn(each), target), seen), seen[:-1]
