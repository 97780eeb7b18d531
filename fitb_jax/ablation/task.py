"""Everything about a run that is settled before anything is compiled."""

import functools
import importlib.metadata
import inspect
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fitb_jax import __version__
from fitb_jax.ablation.fields import Field, check_fields
from fitb_jax.ablation.grid import Grid, as_grid
from fitb_jax.ablation.identity import digest, label_digests
from fitb_jax.ablation.mesh import own_devices, point_mesh
from fitb_jax.ablation.program import Inputs, OneFn, PointFn, bind, trace

StaticIndex = tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """A checked grid with its point functions.

    Attributes:
        grid: the axes.
        shared: arguments that no axis varies.
        key_data: of the run's key; zeros if the points take none.
        key_digests: of the labels of each axis that the points' keys depend on; none without keys.
        fields: what a point returns.
        outputs: shape and dtype of each field.
        programs: for each place on the static axes the function of one point, or what was
            raised when it was traced.
        identity: JSON values by which a store recognises this run.
        mesh: devices of this process.
    """

    grid: Grid
    shared: dict[str, Any]
    key_data: np.ndarray
    key_digests: dict[str, np.ndarray]
    fields: dict[str, Field]
    outputs: dict[str, Any]
    programs: dict[StaticIndex, OneFn | Exception]
    identity: dict[str, Any]
    mesh: Mesh

    @property
    def point_bytes(self) -> int:
        """Bytes of one point's fields."""
        return sum(
            int(np.prod(output.shape)) * np.dtype(output.dtype).itemsize
            for output in self.outputs.values()
        )


def prepare(
    point_fn: PointFn,
    grid: Mapping[str, Any],
    *,
    key: jax.Array | None,
    shared: Mapping[str, Any],
    fields: Mapping[str, Field],
    key_axes: Sequence[str] | None,
    config: Mapping[str, Any],
    mesh: Mesh | None,
) -> Task:
    """Check the arguments of `run`, and trace the points of each static value.

    Args:
        point_fn: as in `run`, like all the others.
        grid: the axes.
        key: of the run.
        shared: what no axis varies.
        fields: what the outputs mean.
        key_axes: axes that the keys depend on.
        config: JSON values kept in the store.
        mesh: devices.

    Returns:
        The task.

    Raises:
        TypeError, ValueError: an argument that does not fit, named; or what `point_fn` raised, if
            it did so for every static value.
    """
    checked = as_grid(grid)
    takes_key = _check_arguments(point_fn, checked, shared)
    if takes_key and key is None:
        raise ValueError("key must be given: point_fn takes one")
    key_axes = checked.names if key_axes is None else tuple(key_axes)
    if unknown := set(key_axes) - set(checked.names):
        raise ValueError(f"key_axes must be among {checked.names}, got {sorted(unknown)}")
    key_data, impl = _key_data(key)
    programs: dict[StaticIndex, OneFn | Exception] = {}
    own_mesh = own_devices(point_mesh() if mesh is None else mesh)
    bind_point = functools.partial(bind, point_fn, takes_key=takes_key, impl=impl)
    outputs, fingerprints = _trace_all(
        bind_point, checked, dict(shared), key_data, own_mesh, programs
    )
    found = check_fields(fields, outputs, checked)
    identity = {
        "axes": {name: _describe(checked, name) for name in checked.names},
        "fields": {name: _describe_field(found[name], outputs[name]) for name in found},
        "key": key_data.tolist(),
        "key_axes": sorted(key_axes),
        "shared": digest(dict(shared)),
        "program": fingerprints,
        "versions": {
            "fitb_jax": __version__,
            **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
        },
        "config": _as_json(config),
    }
    return Task(
        grid=checked,
        shared=dict(shared),
        key_data=key_data,
        key_digests={
            name: label_digests(name, checked.axes[name].labels)
            for name in (key_axes if takes_key else ())
        },
        fields=found,
        outputs=outputs,
        programs=programs,
        identity=identity,
        mesh=own_mesh,
    )


def _check_arguments(point_fn: PointFn, grid: Grid, shared: Mapping[str, Any]) -> bool:
    """Whether `point_fn` takes a key; raise where its parameters are not the axes and `shared`."""
    if not callable(point_fn):
        raise TypeError(f"point_fn must be callable, got {type(point_fn).__name__}")
    given = {*grid.names, *shared}
    if overlap := set(grid.names) & set(shared):
        raise ValueError(f"shared must not hold axes of the grid, got {sorted(overlap)}")
    parameters = inspect.signature(point_fn).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    required = {
        name
        for name, p in parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    missing, unknown = required - given - {"key"}, given - parameters.keys()
    if missing or (unknown and not takes_any):
        raise TypeError(
            f"point_fn must take the axes and shared arguments by name: it takes "
            f"{sorted(parameters)}, given are {sorted(given)}"
        )
    return "key" in parameters


def _key_data(key: jax.Array | None) -> tuple[np.ndarray, str | None]:
    if key is None:
        return np.zeros(2, np.uint32), None
    is_key = isinstance(key, jax.Array) and jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    if is_key and key.shape == ():
        return np.asarray(jax.random.key_data(key)), str(jax.random.key_impl(key))
    raise TypeError(f"key must be one random key from jax.random.key, got {key!r}")


def _as_json(config: Mapping[str, Any]) -> Any:
    """As it will be read from the store: lists in place of tuples."""
    try:
        return json.loads(json.dumps(dict(config)))
    except (TypeError, ValueError) as error:
        raise TypeError(f"config must be JSON values: {error}") from error


def _trace_all(
    bind_point: Callable[[dict[str, Any]], OneFn],
    grid: Grid,
    shared: dict[str, Any],
    key_data: np.ndarray,
    mesh: Mesh,
    programs: dict[StaticIndex, OneFn | Exception],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Fill `programs`; return the outputs, the same for all, and a fingerprint of each."""
    names = grid.of_kind("static")
    values = {name: grid.axes[name].values for name in grid.of_kind("looped", "vmapped")}
    looped = {
        name: jax.tree.map(lambda leaf: leaf[0], values[name]) for name in grid.of_kind("looped")
    }
    inputs = Inputs(
        shared, looped, {name: values[name] for name in grid.of_kind("vmapped")}, key_data
    )
    outputs: dict[str, Any] = {}
    fingerprints, failed = {}, None
    for index in itertools.product(*(range(grid.axes[name].size) for name in names)):
        static = {n: grid.axes[n].values[i] for n, i in zip(names, index, strict=True)}
        one = bind_point(static)
        label = static_label(grid, index)
        try:
            found, fingerprints[label] = trace(one, inputs, mesh)
        except Exception as error:  # anything the user's function raises is that value's result
            programs[index], failed = error, error
            fingerprints[label] = f"raises {type(error).__name__}"
            continue
        programs[index] = one
        described = {name: _shape(output) for name, output in found.items()}
        expected = {name: _shape(output) for name, output in (outputs or found).items()}
        if described != expected:
            raise ValueError(
                "point_fn must return the same shapes for every static value, got "
                f"{described} for {label} after {expected}"
            )
        outputs = found
    if failed is not None and not outputs:
        raise failed
    return outputs, fingerprints


def static_label(grid: Grid, index: StaticIndex) -> str:
    """The values of the static axes as text.

    Args:
        grid: the grid.
        index: place on each static axis.

    Returns:
        Such as "order=first, steps=8"; "all" without static axes.
    """
    names = grid.of_kind("static")
    labels = (f"{n}={grid.axes[n].labels[i]}" for n, i in zip(names, index, strict=True))
    return ", ".join(labels) or "all"


def _shape(output: Any) -> str:
    return f"{np.dtype(output.dtype)}{list(output.shape)}"


def _describe(grid: Grid, name: str) -> dict[str, Any]:
    axis = grid.axes[name]
    labels = axis.labels.tolist()
    few = labels if len(labels) <= 20 else f"{len(labels)} labels {digest(_encoded(axis.labels))}"
    values = "" if axis.kind == "static" else digest(axis.values)
    return {"kind": axis.kind, "labels": few, "values": values}


def _encoded(labels: np.ndarray) -> np.ndarray:
    return np.char.encode(labels, "utf-8").view(np.uint8) if labels.dtype.kind == "U" else labels


def _describe_field(field: Field, output: Any) -> dict[str, Any]:
    reduction = field.reduction
    return {
        "array": _shape(output),
        "dims": list(field.dims),
        "over": list(reduction.over) if reduction else [],
        "kept": list(reduction.statistics) if reduction else [],
        "quantiles": list(reduction.quantiles) if reduction else [],
        "nan_is_answer": field.nan_is_answer,
    }
