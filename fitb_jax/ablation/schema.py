"""What the store of a grid holds: its arrays, their chunks, and what they mean."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from fitb_jax.ablation.fields import Field, all_finite
from fitb_jax.ablation.grid import Grid

FORMAT = 1
NOT_COMPUTED, DONE, NOT_FINITE, FAILED = range(4)
META = "fitb_jax_ablation"
REASON_BYTES = 256
PARTS = ("count", "mean", "squares")
QUANTILE = "quantile"


class Schema(NamedTuple):
    """What a store holds.

    Attributes:
        grid: the axes.
        fields: of a point, by name.
        outputs: shape and dtype of each field.
        extents: of a block on each axis.
    """

    grid: Grid
    fields: dict[str, Field]
    outputs: dict[str, Any]
    extents: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(math.ceil(n / e) for n, e in zip(self.grid.shape, self.extents, strict=True))

    @property
    def kept_bytes(self) -> int:
        """Of the fields on disk: statistics instead of what is reduced, work files left out."""
        total = 0
        for name, field in self.fields.items():
            size = math.prod(self.outputs[name].shape)
            over = self.over(name)
            points = math.prod(n for i, n in enumerate(self.grid.shape) if i not in over)
            if field.reduction is None:
                total += points * size * np.dtype(self.outputs[name].dtype).itemsize
            else:
                kept = len(field.reduction.statistics) + len(field.reduction.quantiles)
                total += points * size * kept * np.dtype(np.float64).itemsize
        return total + math.prod(self.grid.shape)

    @property
    def work_bytes(self) -> int:
        """Of what lies on disk beside the results until the grid is complete."""
        total, points = 0, math.prod(self.grid.shape)
        for name, field in self.fields.items():
            if field.reduction is None:
                continue
            size, over = math.prod(self.outputs[name].shape), self.over(name)
            rest = math.prod(n for i, n in enumerate(self.grid.shape) if i not in over)
            times = math.prod(n for i, n in enumerate(self.counts) if i in over)
            total += len(PARTS) * rest * times * size * np.dtype(np.float64).itemsize
            if field.reduction.quantiles:
                dtype = np.result_type(np.dtype(self.outputs[name].dtype), np.float32)
                total += points * size * dtype.itemsize
        return total

    def over(self, name: str) -> tuple[int, ...]:
        """Positions of the axes that a field is reduced over; none if it is not."""
        reduction = self.fields[name].reduction
        return tuple(self.grid.place(axis) for axis in reduction.over) if reduction else ()


class Results(NamedTuple):
    """What was computed for one block.

    Attributes:
        values: by field, the block's shape followed by the field's.
        failed: why, for each point that raised, by its place in the block.
    """

    values: dict[str, np.ndarray]
    failed: dict[tuple[int, ...], str]


class Judgement(NamedTuple):
    """Which points of a block can be used.

    Attributes:
        status: DONE, NOT_FINITE or FAILED, the block's shape.
        reasons: for each point that is not done, by its place in the block.
    """

    status: np.ndarray
    reasons: dict[tuple[int, ...], str]


def judge(schema: Schema, results: Results) -> Judgement:
    """Find the points that failed, or in which a number is not finite that should be.

    Args:
        schema: says which fields may be nan.
        results: of a block.

    Returns:
        The status of every point.
    """
    not_finite = {}
    for name, field in schema.fields.items():
        values = results.values[name]
        if not field.nan_is_answer and values.dtype.kind in "fc":
            own = tuple(range(values.ndim - len(field.dims), values.ndim))
            not_finite[name] = ~all_finite(values, own)
    shape = np.shape(next(iter(results.values.values())))[: len(schema.grid.names)]
    status = np.full(shape, DONE, np.uint8)
    status[np.any([np.zeros(shape, bool), *not_finite.values()], axis=0)] = NOT_FINITE
    reasons = {}
    for at in map(tuple, np.argwhere(status == NOT_FINITE).tolist()):
        reasons[at] = "not finite: " + ", ".join(n for n, bad in not_finite.items() if bad[at])
    for at in results.failed:
        status[at] = FAILED
    return Judgement(status, {**reasons, **results.failed})


def create_arrays(path: Path, schema: Schema, identity: Mapping[str, Any]) -> None:
    """Write an empty store.

    Args:
        path: its folder.
        schema: what it will hold.
        identity: JSON values that say which run this is.
    """
    grid, extents = schema.grid, schema.extents
    coordinates = {
        name: (
            name,
            axis.labels.astype(object) if axis.labels.dtype.kind == "U" else axis.labels,
            {"units": axis.units, "long_name": axis.meaning, "kind": axis.kind},
        )
        for name, axis in grid.axes.items()
    }
    quantiles = {q for f in schema.fields.values() if f.reduction for q in f.reduction.quantiles}
    if quantiles:
        coordinates[QUANTILE] = (QUANTILE, np.array(sorted(quantiles)), {})
    meta = {"format": FORMAT, "extents": extents, "identity": identity}
    attributes = {META: meta, "completeness": "incomplete"}
    dataset = xr.Dataset(coords=coordinates, attrs=attributes)
    codecs = {"compressors": [ZstdCodec(), Crc32cCodec()]}
    dataset.to_zarr(
        path,
        mode="w",
        zarr_format=3,
        consolidated=False,
        encoding=dict.fromkeys(coordinates, codecs),
    )
    root: Any = zarr.open_group(path, mode="r+")
    meaning = "0 not computed, 1 done, 2 a field is not finite, 3 failed"
    _array(root, "status", grid.names, grid.shape, extents, np.uint8, {"long_name": meaning})
    work = root.create_group("work")
    work.create_array(
        "reason",
        shape=(*grid.shape, REASON_BYTES),
        chunks=(*extents, REASON_BYTES),
        dtype=np.uint8,
        fill_value=0,
        compressors=[ZstdCodec(), Crc32cCodec()],
    )
    for name, field in schema.fields.items():
        shape = tuple(schema.outputs[name].shape)
        dtype = np.dtype(schema.outputs[name].dtype)
        about = {"units": field.units, "long_name": field.meaning}
        whole = (grid.names + field.dims, grid.shape + shape, extents + shape)
        if field.reduction is None:
            _array(root, name, *whole, dtype, about)
            continue
        over = schema.over(name)
        parts = work.create_group(name)
        part_shape = tuple(schema.counts[i] if i in over else n for i, n in enumerate(grid.shape))
        part_chunks = tuple(1 if i in over else e for i, e in enumerate(extents))
        for part in PARTS:
            _array(parts, part, whole[0], part_shape + shape, part_chunks + shape, np.float64, {})
        dims, sizes, chunks = (
            tuple(value for i, value in enumerate(values) if i not in over) for values in whole
        )
        for which in field.reduction.statistics:
            _array(root, f"{name}_{which}", dims, sizes, chunks, np.float64, about)
        if field.reduction.quantiles:
            _array(parts, "values", *whole, np.result_type(dtype, np.float32), {})
            lead = (len(quantiles),)
            _array(
                root,
                f"{name}_{QUANTILE}",
                (QUANTILE, *dims),
                lead + sizes,
                lead + chunks,
                np.float64,
                about,
            )


def _array(
    group: zarr.Group,
    name: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: Any,
    attributes: Mapping[str, str],
) -> None:
    """An array with checksums; without compression, which updates do not yield to."""
    dtype = np.dtype(dtype)
    group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, chunk) for chunk in chunks),
        dtype=dtype,
        fill_value=np.nan if dtype.kind in "fc" else dtype.type(0),
        serializer=BytesCodec() if dtype.itemsize > 1 else BytesCodec(endian=None),
        compressors=[Crc32cCodec()],
        dimension_names=dims,
        attributes={key: value for key, value in attributes.items() if value},
    )
