"""Does an explanation change with what it explains, and only with that?

Every check is a case: the same method, with the same random key, on another network, another class
or another image than the reference. The map should change for a network with random weights, for
one fitted to random labels, and for another class. It should not change for a shift of the input
that the network takes back.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fitb_jax import batching, checks
from fitb_jax.callables import as_argument
from fitb_jax.evaluation.map_similarity import Similarity, similarity
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Int,
    Key,
    LogitsFn,
    Saliency,
    SaliencyFn,
    Target,
)


class Case(NamedTuple):
    """What a method explains; several cases have a leading axis on every leaf.

    Attributes:
        logits_fn: the classifier, a `Partial` over its parameters.
        image: (h, w, c).
        target: class index.
    """

    logits_fn: LogitsFn
    image: Float[Array, "..."]
    target: Int[Array, "..."]


class MapComparison(NamedTuple):
    """The maps of one method, and how alike they are.

    Attributes:
        reference: map of the reference case, (h, w).
        maps: maps of the other cases, (m, h, w).
        similarity: of each of them to the reference, (m,) in every field.
    """

    reference: Saliency
    maps: Float[Array, "m h w"]
    similarity: Similarity


def compare(
    method: SaliencyFn, reference: Case, cases: Case, *, key: Key, chunk: int = 1
) -> MapComparison:
    """Explain a reference and other cases with one method, and compare the maps.

    Args:
        method: the method.
        reference: one case.
        cases: m other cases, with a leading axis of m on every leaf; classifiers of one structure.
        key: random key of the method, the same for every case: two maps differ by what is explained
            and not by the draws.
        chunk: cases evaluated at once. The result does not depend on it.

    Returns:
        The maps and their similarities.

    Raises:
        TypeError: `method` is not callable, or `key` is no random key.
        ValueError: classifiers of different structures, or leading axes that differ.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps".
    """
    checks.check_key(key)
    if not callable(method):
        raise TypeError(f"method must be callable, got {type(method).__name__}")
    every = join_cases(_lifted(reference), cases)

    def explain(case: Case) -> Saliency:
        return method(case.logits_fn, case.image, case.target, key=key)

    maps = batching.chunked_vmap(explain, chunk=chunk)(every)
    own, others = maps[0], maps[1:]
    return MapComparison(own, others, jax.vmap(similarity, in_axes=(None, 0))(own, others))


def compare_methods(
    methods: Mapping[str, SaliencyFn], reference: Case, cases: Case, *, key: Key, chunk: int = 1
) -> dict[str, MapComparison]:
    """`compare` for several methods.

    Args:
        methods: by name.
        reference: one case.
        cases: others, stacked.
        key: as in `compare`.
        chunk: cases evaluated at once.

    Returns:
        The maps and their similarities, by the name of the method.

    Raises:
        TypeError, ValueError: as `compare`.
    """
    return {
        name: compare(method, reference, cases, key=key, chunk=chunk)
        for name, method in methods.items()
    }


def network_cases(logits_fns: LogitsFn, image: Image, target: Target) -> Case:
    """One image and one class, explained for several networks: the class stays the same.

    Args:
        logits_fns: stacked classifiers, as `cascading_randomisation` makes.
        image: (h, w, c).
        target: class that is explained, whatever the networks predict.

    Returns:
        The cases.

    Raises:
        TypeError, ValueError: not an image, or no classifiers.
    """
    checks.check_image(image)
    count = _leading(logits_fns, "logits_fns")
    return Case(
        logits_fns,
        jnp.broadcast_to(image, (count, *image.shape)),
        jnp.broadcast_to(jnp.asarray(target, jnp.int32), (count,)),
    )


def random_other_class(target: Target, classes: int, *, key: Key) -> Int[Array, ""]:
    """A class drawn uniformly from all but one.

    Args:
        target: the one that is never drawn, in [0, classes).
        classes: how many there are, at least 2.
        key: of the draw.

    Returns:
        Its index.

    Raises:
        TypeError, ValueError: not a class, or no other.
    """
    checks.check_key(key)
    checks.check_count("classes", classes, least=2)
    checks.check_target(target, classes)
    drawn = jax.random.randint(key, (), 0, classes - 1)
    return drawn + (drawn >= target)


def random_logit_case(logits_fn: LogitsFn, image: Image, target: Target, *, key: Key) -> Case:
    """The same image and network, and another class, drawn uniformly from the others.

    Args:
        logits_fn: the classifier.
        image: (h, w, c).
        target: class of the reference, in [0, k).
        key: of the draw.

    Returns:
        One case, with a leading axis.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Sixt, Granz & Landgraf 2020, "When explanations lie", section 4 (random logit).
    """
    checks.check_explained(logits_fn, image, target)
    classes = checks.count_classes(logits_fn, image)
    if classes < 2:
        raise ValueError(f"logits_fn must have another class than target, got {classes} class")
    other = random_other_class(jnp.asarray(target, jnp.int32), classes, key=key)
    return _lifted(Case(logits_fn, image, other))


def input_shift_case(
    shifted_fn: LogitsFn, image: Image, target: Target, *, shift: Background
) -> Case:
    """A shifted image for a network that takes the shift back, so that its logits are the same.

    Args:
        shifted_fn: from an image x to the logits of `x - shift`, such as `models.shift_input`
            makes. Make the reference's with a shift of zeros, so that both have one structure.
        image: (h, w, c), not shifted.
        target: class that is explained.
        shift: a number, one value per channel, or an image.

    Returns:
        One case, with a leading axis.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; see `fitb_jax.checks`.

    Source: Kindermans et al. 2019, "The (un)reliability of saliency methods", section 3.
    """
    checks.check_background(shift, image.shape, name="shift")
    checks.check_explained(shifted_fn, image, target)
    moved = image + jnp.broadcast_to(jnp.asarray(shift, image.dtype), image.shape)
    return _lifted(Case(shifted_fn, moved, jnp.asarray(target, jnp.int32)))


def join_cases(*cases: Case) -> Case:
    """Concatenate cases along their leading axis.

    Args:
        *cases: each with a leading axis; classifiers of one structure.

    Returns:
        All cases, with a leading axis.

    Raises:
        ValueError: none, structures that differ, or images of another shape.
    """
    if not cases:
        raise ValueError("cases must be at least one, got none")
    if len({jax.tree.structure(case) for case in cases}) > 1:
        raise ValueError("the classifiers of all cases must share one structure")
    shapes = [[leaf.shape[1:] for leaf in jax.tree.leaves(case)] for case in cases]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("images and parameters of all cases must have the same shapes")
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *cases)


def _lifted(case: Case) -> Case:
    case = case._replace(logits_fn=as_argument(case.logits_fn))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], case)


def _leading(tree: Any, name: str) -> int:
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(tree)}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(f"{name} must have one common leading axis of at least 1, got {lengths}")
    ((length,),) = lengths
    return length
