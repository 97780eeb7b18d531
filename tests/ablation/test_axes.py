import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitb_jax import ablation, moments
from fitb_jax.ablation import axes, fields

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, points=st.integers(1, 60), data=st.data())
def test_blocks_cover_the_grid_once(sizes: list[int], points: int, data: st.DataObject) -> None:
    kinds = [data.draw(st.sampled_from(["vmapped", "looped", "static"])) for _ in sizes]
    every = {
        f"a{i}": axes.Axis(kind, np.arange(size), tuple(range(size)))
        for i, (size, kind) in enumerate(zip(sizes, kinds, strict=True))
    }
    first = data.draw(st.lists(st.sampled_from(sorted(every)), unique=True))
    whole = axes.Grid(every)
    extents = axes.block_extents(whole, points, first=first)
    assert np.prod(extents) <= points
    former = {name: [data.draw(st.integers(1, n - 1)) if n > 1 else 0]
              for name, n in zip(every, sizes, strict=True)}  # fmt: skip
    layout = axes.Layout(whole, extents, former)
    counted = np.zeros(whole.shape, int)
    order, pieces = [], set()
    for block in layout.blocks():
        counted[block.region] += 1
        assert counted[block.region].shape == block.shape
        for place, extent, size in zip(block.region, extents, former.values(), strict=True):
            assert place.start // extent == (place.stop - 1) // extent, "one chunk"
            assert not place.start < size[0] < place.stop, "all computed before, or all new"
        order.append([block.start[i] for i, kind in enumerate(kinds) if kind == "static"])
        pieces.add(block.piece)
    assert (counted == 1).all()
    assert order == sorted(order), "blocks of one static value come together"
    assert len(pieces) == np.prod(layout.counts)
    assert all(map(axes.Layout(whole, extents).is_whole, axes.Layout(whole, extents).blocks()))


def test_averaged_axes_are_kept_whole() -> None:
    whole = axes.as_grid({"image": np.arange(50), "mask": np.arange(20), "seed": np.arange(3)})
    assert (
        axes.block_extents(whole, 100) == (2, 20, 3)
        or np.prod(axes.block_extents(whole, 100)) >= 60
    )
    assert axes.block_extents(whole, 100, first=("image",)) == (50, 1, 2)


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40),
    parts=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_moments_pool_to_those_of_the_whole(values: list[float], parts: int, seed: int) -> None:
    sample = np.array(values)
    sample[np.random.default_rng(seed).uniform(size=len(sample)) < 0.2] = np.nan
    pieces = [fields.measure(part, [0]) for part in np.array_split(sample, parts)]
    pooled = moments.pool(
        moments.Moments(
            *(np.concatenate([getattr(p, name) for p in pieces]) for name in pieces[0]._fields)
        ),
        [0],
    )
    finite = sample[~np.isnan(sample)]
    assert fields.statistic("count", pooled) == len(finite)
    if len(finite):
        np.testing.assert_allclose(fields.statistic("mean", pooled), finite.mean(), atol=1e-10)
    else:
        assert np.isnan(fields.statistic("mean", pooled))
    error = fields.statistic("standard_error", pooled)
    if len(finite) > 1:
        expected = finite.std(ddof=1) / np.sqrt(len(finite))
        np.testing.assert_allclose(error, expected, rtol=1e-6, atol=1e-9)
    else:
        assert np.isnan(error)


def test_keys_depend_on_names_and_labels_alone() -> None:
    places = {"a": np.array([0, 1, 0]), "b": np.array([0, 0, 1])}
    given = {"a": np.array([0.5, 2.0]), "b": np.array(["x", "y"])}
    labels = {name: axes.label_digests(name, of_axis) for name, of_axis in given.items()}
    words = axes.key_words(labels, places)
    assert len({tuple(word) for word in words.tolist()}) == 3
    turned = {"b": labels["b"], "a": labels["a"]}
    np.testing.assert_array_equal(axes.key_words(turned, places), words)
    swapped = {"a": labels["a"][::-1], "b": labels["b"]}
    other = axes.key_words(swapped, {"a": 1 - places["a"], "b": places["b"]})
    np.testing.assert_array_equal(other, words)


def test_digests_see_values_types_shapes_and_names() -> None:
    array = np.arange(6.0)
    trees = [
        {"a": array},
        {"b": array},
        {"a": array.astype(np.float32)},
        {"a": array.reshape(2, 3)},
        {"a": array + 1e-9},
        {"a": jnp.arange(6, dtype=jnp.bfloat16)},
        {"a": jax.random.key(0)},
        {"a": jax.random.key(1)},
    ]
    assert len({axes.digest(tree) for tree in trees}) == len(trees)
    assert axes.digest({"a": jnp.arange(3.0)}) == axes.digest({"a": np.arange(3, dtype=np.float32)})


def _point(*, x: jax.Array) -> dict[str, jax.Array]:
    return {"value": x}


def _shapes(*, x: jax.Array, n: int) -> dict[str, jax.Array]:
    return {"value": jnp.zeros(n)}


X = {"x": np.arange(3.0)}
KEY = jax.random.key(0)
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "no axes": (_point, {}, {}, "grid must have at least one axis"),
    "text axis": (_point, {"x": ["a", "b"]}, {}, "axis 'x' must be numbers, or made by"),
    "bad name": (_point, {"a b": [1]}, {}, "must be Python identifiers.* got 'a b'"),
    "reserved name": (_point, {"key": [1]}, {}, "got 'key'"),
    "missing argument": (_point, {"y": [1]}, {}, r"it takes \['x'\], given are \['y'\]"),
    "unknown argument": (_point, {**X, "y": [1]}, {}, r"given are \['x', 'y'\]"),
    "shared axis": (_point, X, {"shared": {"x": 1}}, r"shared must not hold axes.*\['x'\]"),
    "no function": ("f", X, {}, "point_fn must be callable, got str"),
    "key wanted": (lambda *, x, key: {"v": x}, X, {}, "key must be given"),
    "key wanted by any name": (
        lambda **given: {"v": given["x"] + jax.random.uniform(given["key"])}, X,
        {"key": 0}, "key must be one random key",
    ),
    "key of numbers": (_point, X, {"key": jnp.zeros(2)}, "key must be one random key"),
    "number for a key": (_point, X, {"key": 0}, "key must be one random key.* got 0"),
    "many keys": (_point, X, {"key": jax.random.split(KEY)}, "must be one random key"),
    "key axes": (_point, X, {"key_axes": ("y",)}, r"key_axes must be among \('x',\), got \['y'\]"),
    "no fields": (lambda *, x: x, X, {}, "must return a NamedTuple or a dict of arrays, got"),
    "shapes": (_shapes, {**X, "n": ablation.static([1, 2])}, {}, "the same shapes for every"),
    "unknown field": (_point, X, {"fields": {"y": ablation.Field()}}, r"among \['value'\], got"),
    "dims": (_point, X, {"fields": {"value": ablation.Field(("y",))}}, "dims of 'value' must name"),
    "field named as axis": (lambda *, x: {"x": x}, X, {}, "must not have the name of an axis"),
    "reserved field": (lambda *, x: {"work": x}, X, {}, "or one of .* got 'work'"),
    "field named as a statistic": (
        lambda *, x: {"v": x, "v_mean": x}, X,
        {"fields": {"v": ablation.Field(reduction=ablation.Reduction(("x",)))}},
        "'v_mean' is what 'v' is reduced to",
    ),
    "reduction": (
        _point, X, {"fields": {"value": ablation.Field(reduction=ablation.Reduction(("y",)))}},
        r"'value' must be reduced over some of \('x',\), each once, got \('y',\)",
    ),
    "axis twice": (
        _point, X, {"fields": {"value": ablation.Field(reduction=ablation.Reduction(("x", "x")))}},
        r"each once, got \('x', 'x'\)",
    ),
    "field that is no name": (lambda *, x: {"a/b": x}, X, {}, "identifiers, got 'a/b'"),
    "bfloat16": (
        lambda *, x: {"v": x.astype(jnp.bfloat16)}, X, {}, "'v' must be .* got bfloat16",
    ),
    "empty": (lambda *, x: {"v": x * jnp.zeros(0)}, X, {}, r"'v' must hold .* got shape \(0,\)"),
    "complex": (
        lambda *, x: {"v": x * 1j}, X,
        {"fields": {"v": ablation.Field(reduction=ablation.Reduction(("x",)))}},
        "'v' is complex",
    ),
    "sizes of dims": (
        lambda *, x: {"a": jnp.zeros(2) + x, "b": jnp.zeros(3) + x}, X,
        {"fields": {"a": ablation.Field(("d",)), "b": ablation.Field(("d",))}},
        "'d' has 3 in 'b' and 2 elsewhere",
    ),
    "config": (_point, X, {"config": {"a": object()}}, "config must be JSON values"),
    "config of nan": (_point, X, {"config": {"a": math.nan}}, "config must be JSON values"),
    "chunk 0": (_point, X, {"chunk": 0}, "chunk must be at least 1, got 0"),
    "chunk name": (_point, X, {"chunk": "many"}, r"chunk must be one of \['auto'\], got 'many'"),
    "block": (_point, X, {"block": -1}, "block must be at least 1"),
    "lanes": (_point, X, {"lanes": 0}, "lanes must be at least 1"),
    "memory": (_point, X, {"memory": 0}, "memory must be at least 1"),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", CASES)
def test_bad_arguments_are_named_before_anything_is_compiled(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fitb_jax.ablation import program

    monkeypatch.setattr(program, "compile_chunk", lambda *_: pytest.fail("compiled"))
    point_fn, given, arguments, message = CASES[case]
    with pytest.raises((TypeError, ValueError), match=message):
        ablation.run(point_fn, given, progress=False, **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ablation.vmapped(np.zeros((0, 3))), "leading axis of at least 1"),
        (
            lambda: ablation.vmapped({"a": np.zeros(3), "b": np.zeros(2)}),
            r"shapes \[\(3,\), \(2,\)",
        ),
        (lambda: ablation.looped(np.float32(1)), "leading axis of at least 1"),
        (lambda: ablation.vmapped([1.0, 1.0]), "labels must not repeat"),
        (lambda: ablation.vmapped([1.0, np.nan]), "labels must be finite"),
        (
            lambda: ablation.vmapped(np.zeros((3, 2)), labels=["a"]),
            "one for each of 3 values, got 1",
        ),
        (lambda: ablation.static([]), "at least one value"),
        (lambda: ablation.static([min, max]), "labels must be given"),
    ],
)
def test_axes_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_former_names_of_axes_say_what_they_are_called_now() -> None:
    for old, new in {"batched": "vmapped", "structural": "static"}.items():
        with pytest.raises(AttributeError, match=rf"{old} is called ablation\.{new}"):
            getattr(ablation, old)
