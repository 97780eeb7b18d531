"""The compiled program that evaluates a chunk of points, and what to do when it fails."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fitb_jax.ablation.mesh import POINTS

PointFn: TypeAlias = Callable[..., Any]
OneFn: TypeAlias = jax.stages.Wrapped
"""(shared, looped, vmapped, words, key data) of one point -> its fields."""


class Inputs(NamedTuple):
    """Arguments of a chunk's program.

    Attributes:
        shared: what no axis varies, by name.
        looped: one value of each looped axis, by name.
        values: of each vmapped axis the values in the block, by name.
        key_data: of the run's key.
    """

    shared: Any
    looped: Any
    values: Any
    key_data: Any


class Points(NamedTuple):
    """Which points a chunk consists of.

    Attributes:
        places: of each vmapped axis the place in the block, (chunk,) each.
        words: that make the random key of each point, (chunk, 2).
    """

    places: dict[str, Any]
    words: Any


class Program(NamedTuple):
    """A compiled program.

    Attributes:
        call: (inputs, points) -> fields, leading axis `chunk`.
        chunk: points at once.
        bytes: memory it needs, arguments and results included; 0 where it is not known.
    """

    call: Callable[[Inputs, Points], dict[str, jax.Array]]
    chunk: int
    bytes: int


def bind(
    point_fn: PointFn, static: Mapping[str, Any], *, takes_key: bool, impl: str | None
) -> OneFn:
    """A function of arrays alone, for one value of each static axis.

    Args:
        point_fn: the user's.
        static: a Python value for each static axis.
        takes_key: whether it has an argument `key`.
        impl: of the random key.

    Returns:
        A function of one point. On one device it is traced once: compiling it for a chunk
        vectorises that.
    """

    def one(
        shared: Any, looped: Any, values: Any, words: jax.Array, key_data: jax.Array
    ) -> dict[str, jax.Array]:
        arguments = {**shared, **static, **looped, **values}
        if takes_key:
            key = jax.random.wrap_key_data(key_data, impl=impl)
            for word in (words[0], words[1]):
                key = jax.random.fold_in(key, word)
            arguments["key"] = key
        found = point_fn(**arguments)
        fields = found._asdict() if hasattr(found, "_asdict") else found
        if not isinstance(fields, Mapping) or not fields:
            raise TypeError(
                f"point_fn must return a NamedTuple or a dict of arrays, got {type(found).__name__}"
            )
        return {name: jnp.asarray(value) for name, value in fields.items()}

    return jax.jit(one, inline=True)


def trace(one: OneFn, inputs: Inputs, mesh: Mesh) -> tuple[dict[str, Any], str]:
    """Shape and dtype of each field of a point, and a digest of the computation.

    The digest changes when the code, or an array it closes over, does.

    Args:
        one: from `bind`.
        inputs: of any block.
        mesh: devices of this process; the digest does not depend on them.

    Returns:
        Objects with `shape` and `dtype` by the name of the field, and 16 hexadecimal digits.
    """
    # As `compile_chunk` sees it on one device, so that it finds what is traced here.
    sharding = NamedSharding(Mesh(mesh.devices.ravel()[:1], (POINTS,)), PartitionSpec())
    point = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding, weak_type=leaf.weak_type
        ),
        jax.eval_shape(_one_point, inputs),
    )
    lowered = one.lower(*point)
    text = lowered.as_text()
    # The address of a Python callback differs from process to process.
    text = re.sub(r"\d{9,}", "", text) if "callback" in text else text
    return lowered.out_info, hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _one_point(inputs: Inputs) -> tuple[Any, ...]:
    values = jax.tree.map(lambda leaf: leaf[0], inputs.values)
    return inputs.shared, inputs.looped, values, jnp.zeros(2, jnp.uint32), inputs.key_data


def compile_chunk(
    one: OneFn, inputs: Inputs, places: list[str], chunk: int, lanes: int, mesh: Mesh
) -> Program:
    """Compile the program for chunks of one size.

    Args:
        one: from `bind`.
        inputs: of any block; all blocks have the same shapes.
        places: names of the vmapped axes.
        chunk: points at once; a multiple of the number of devices times `lanes`.
        lanes: points that are vectorised together; a device takes those of its part in turns.
        mesh: devices of this process that the points are divided over.

    Returns:
        The program.
    """

    def evaluate(inputs: Inputs, points: Points) -> dict[str, jax.Array]:
        def at(places: dict[str, jax.Array], words: jax.Array) -> dict[str, jax.Array]:
            values = {
                name: jax.tree.map(lambda leaf, i=index: leaf[i], inputs.values[name])
                for name, index in places.items()
            }
            return one(inputs.shared, inputs.looped, values, words, inputs.key_data)

        turns = jax.tree.map(lambda leaf: leaf.reshape(-1, lanes, *leaf.shape[1:]), points)
        found = jax.lax.map(lambda some: jax.vmap(at)(some.places, some.words), turns)
        return {name: value.reshape(-1, *value.shape[2:]) for name, value in found.items()}

    function: Callable[..., Any] = evaluate
    sharding = NamedSharding(mesh, PartitionSpec(POINTS))
    if mesh.size > 1:
        function = jax.shard_map(
            evaluate,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(POINTS)),
            out_specs=PartitionSpec(POINTS),
            check_vma=False,  # carries of a scan that start as constants vary with the points
        )
    points = Points(
        {name: jax.ShapeDtypeStruct((chunk,), np.int32, sharding=sharding) for name in places},
        jax.ShapeDtypeStruct((chunk, 2), np.uint32, sharding=sharding),
    )
    compiled = jax.jit(function).lower(inputs, points).compile()
    analysis = compiled.memory_analysis()
    size = 0
    if analysis is not None:
        size = (
            analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            + analysis.temp_size_in_bytes
        )
    return Program(compiled, chunk, size)


def on_devices(tree: Any, mesh: Mesh) -> Any:
    """Copy arrays to every device.

    Args:
        tree: pytree of arrays on the host.
        mesh: the devices.

    Returns:
        On the devices.
    """
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller chunk might help.

    Args:
        error: raised by a program or its compilation.

    Returns:
        True for the errors of allocators.
    """
    text = str(error)
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "ut of memory" in text
