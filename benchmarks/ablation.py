"""A grid of masked first-order updates: the engine, the bare update, and loops a user writes."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks import timing
from benchmarks.timing import Row, Timing
from fitb_jax import ablation, fill, masks, models
from fitb_jax.ablation import program
from fitb_jax.models.classifiers import CNN
from fitb_jax.types import LogitsFn, Mask

try:
    from benchmarks import fill_torch
except ImportError:  # PyTorch is not a dependency
    fill_torch = None  # type: ignore[assignment]  # a module otherwise

_CHUNKS = (64, 256, 1024)
_ENGINE_CHUNKS = (256, 1024, 4096)
_LOOPED_POINTS = 2000


class Summary(NamedTuple):
    """What is kept of an update where its pixels are not."""

    norm: jax.Array
    largest: jax.Array


def whole(*, logits_fn: LogitsFn, image: dict[str, jax.Array], mask: Mask) -> dict[str, jax.Array]:
    """A point whose whole update is kept."""
    return {"update": fill.first_order(logits_fn, image["pixels"], mask, image["target"])}


def summary(*, logits_fn: LogitsFn, image: dict[str, jax.Array], mask: Mask) -> Summary:
    """A point of which two numbers are kept."""
    update = fill.first_order(logits_fn, image["pixels"], mask, image["target"])
    return Summary(jnp.linalg.norm(update.ravel()), update.max())


_AVERAGED = {"update": ablation.Field(reduction=ablation.Reduction(("image",)))}
_KINDS: dict[str, tuple[Callable[..., Any], dict[str, ablation.Field]]] = {
    "two numbers a point": (summary, {}),
    "every update": (whole, {}),
    "the mean over images": (whole, _AVERAGED),
}
_FIRST = next(iter(_KINDS))


def run(*, rounds: int = 5, images: int = 500, masks_per_image: int = 200) -> list[Row]:
    """A large grid through the engine, store included, against what it is made of.

    Both sides compile anew each time, and each has the chunk that is fastest for it. The results of
    the bare update are dropped, and its inputs already lie on the device.

    Args:
        rounds: timings of each side.
        images: on one axis of the grid.
        masks_per_image: on the other.

    Returns:
        The rows of the table.
    """
    module = CNN(models.ClassifierConfig(), rngs=nnx.Rngs(0))
    logits_fn = models.as_logits_fn(module)
    grid = _grid(images, masks_per_image)
    points = images * masks_per_image
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for kind, (point_fn, fields) in _KINDS.items():
                for chunk in _CHUNKS:
                    name = f"bare {kind} {chunk}"
                    took = _seconds(_bare, point_fn, logits_fn, grid, chunk, points)
                    seconds.setdefault(name, []).append(took)
                for chunk in _ENGINE_CHUNKS:
                    place = Path(folder) / f"{turn} {kind} {chunk}"
                    took = _seconds(_engine, point_fn, fields, logits_fn, grid, chunk, place)
                    seconds.setdefault(f"engine {kind} {chunk}", []).append(took)
                    if kind != _FIRST:
                        shutil.rmtree(place)
        chunk = _ENGINE_CHUNKS[0]
        finished = Path(folder) / f"0 {_FIRST} {chunk}"
        resumed = _seconds(_engine, summary, {}, logits_fn, grid, chunk, finished)
    rows = [
        Row("points", f"{points:,}"),
        *(_row(kind, seconds, points) for kind in _KINDS),
        Row("continuing the finished grid", f"{resumed:.1f} s", "< 5 s"),
        *_overhead_rows(),
        _compile_row(logits_fn, grid),
        *_memory_rows(),
        *_loop_rows(module, grid, logits_fn, points / _best(seconds, f"engine {_FIRST}")[1].median),
    ]
    return rows


def _grid(images: int, masks_per_image: int) -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(2), masks_per_image)
    seen = jax.vmap(lambda key: masks.random_patches((28, 28), 0.5, 4, key=key))(keys)
    pixels = jax.random.uniform(jax.random.key(1), (images, 28, 28, 1))
    targets = np.arange(images, dtype=np.int32) % 10
    return {
        "image": ablation.vmapped({"pixels": pixels, "target": targets}),
        "mask": ablation.vmapped(seen),
    }


def _engine(
    point_fn: Callable[..., Any],
    fields: dict[str, ablation.Field],
    logits_fn: LogitsFn,
    grid: dict[str, Any],
    chunk: int,
    place: Path,
) -> None:
    jax.clear_caches()
    ablation.run(
        point_fn,
        grid,
        store=place,
        chunk=chunk,
        shared={"logits_fn": logits_fn},
        fields=fields,
        progress=False,
    )


def _bare(
    point_fn: Callable[..., Any],
    logits_fn: LogitsFn,
    grid: dict[str, Any],
    chunk: int,
    points: int,
) -> None:
    jax.clear_caches()

    def one(logits_fn: LogitsFn, image: dict[str, jax.Array], mask: Mask) -> Any:
        return point_fn(logits_fn=logits_fn, image=image, mask=mask)

    step = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))
    at = np.arange(chunk)
    image = jax.tree.map(lambda a: jnp.asarray(a[at % len(a)]), grid["image"].values)
    mask = jnp.asarray(grid["mask"].values[at % len(grid["mask"].values)])
    for _ in range(points // chunk):
        found = step(logits_fn, image, mask)
    jax.block_until_ready(found)


def _best(seconds: dict[str, list[float]], side: str) -> tuple[int, Timing]:
    """The chunk with the least median, and its timing."""
    sides = {
        int(name.removeprefix(side)): Timing(np.array(took))
        for name, took in seconds.items()
        if name.startswith(side)
    }
    return min(sides.items(), key=lambda item: item[1].median)


def _row(kind: str, seconds: dict[str, list[float]], points: int) -> Row:
    bare_chunk, bare = _best(seconds, f"bare {kind}")
    chunk, ours = _best(seconds, f"engine {kind}")
    return Row(
        f"throughput over the bare update's, {kind} kept",
        f"{timing.ratio(bare, ours):.2f} ({points / ours.median:,.0f} points a second in chunks of "
        f"{chunk}; bare: {bare_chunk})",
        ">= 0.9",
    )


def _overhead_rows() -> list[Row]:
    """Points a second when a point costs nothing: what the host can feed and write."""
    grid = {"y": np.arange(1000.0), "x": np.arange(1000.0)}
    rows = []
    for chunk in (4096, 65536):
        with tempfile.TemporaryDirectory() as folder:
            seconds = _seconds(_nothing, grid, chunk, Path(folder) / "s")
        rate = 1e6 / seconds
        rows.append(Row(f"points that cost nothing, chunks of {chunk:,}", f"{rate:,.0f} a second"))
    with tempfile.TemporaryDirectory() as folder:
        seconds = _seconds(_large_fields, Path(folder) / "s")
    rows.append(Row("fields of 1 MiB a point that cost nothing", f"{1024 / seconds:,.0f} MiB/s"))
    return rows


def _nothing(grid: dict[str, Any], chunk: int, place: Path) -> None:
    ablation.run(
        lambda *, x, y: {"value": x + y},
        grid,
        store=place,
        chunk=chunk,
        lanes=chunk,
        progress=False,
    )


def _large_fields(place: Path) -> None:
    ablation.run(
        lambda *, x: {"value": jnp.full((512, 512), x)},
        {"x": np.arange(1024, dtype=np.float32)},
        store=place,
        chunk=64,
        progress=False,
    )


def _compile_row(logits_fn: LogitsFn, grid: dict[str, Any]) -> Row:
    """Programs compiled for a grid with two static values."""

    def point(*, order: fill.Order, image: Any, mask: Mask) -> dict[str, jax.Array]:
        update = fill.resolve_order(order)(logits_fn, image["pixels"], mask, image["target"])
        return {"norm": jnp.linalg.norm(update.ravel())}

    few = {name: ablation.vmapped(_head(axis.values, 9)) for name, axis in grid.items()}
    axes = {"order": ablation.static(["first", "second"]), **few}
    compile_chunk = mock.Mock(wraps=program.compile_chunk)
    with mock.patch.object(program, "compile_chunk", compile_chunk):
        ablation.run(point, axes, chunk=16, block=27, progress=False)
    return Row("compiles for 2 static values", f"{compile_chunk.call_count}", "2")


def _head(values: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[:count], values)


def _memory_rows() -> list[Row]:
    """Peak resident memory of a fresh process over what it had before the run."""
    rows = []
    for budget in (2**28, 2**29, 2**30):
        command = [sys.executable, "-m", "benchmarks.ablation", str(budget)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        ratio = float(said.split()[-1]) / budget
        rows.append(
            Row(f"peak memory over a budget of {budget / 2**20:.0f} MiB", f"{ratio:.2f}", "<= 1.2")
        )
    return rows


def _measure_memory(budget: int) -> None:
    """Print the growth of peak memory while a grid whose points need much of it is run."""

    def hungry(*, x: jax.Array) -> dict[str, jax.Array]:
        table = jnp.sort(jnp.outer(jnp.arange(512.0), jnp.arange(512.0)) * x, axis=0)
        return {"value": jnp.sort(table, axis=1)[::8, ::8]}

    grid = {"x": np.arange(1.0, 2001.0)}
    ablation.run(hungry, {"x": np.arange(2.0)}, chunk=1, lanes=1, progress=False)
    before = _kibibytes("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        ablation.run(
            hungry,
            grid,
            store=Path(folder) / "s",
            chunk="auto",
            memory=budget,
            lanes=512,
            block=500,
            progress=False,
        )
    print((_kibibytes("VmHWM") - before) * 1024)


def _kibibytes(entry: str) -> int:
    """Of this process alone: what `getrusage` says is the parent's peak as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry))


def _loop_rows(module: CNN, grid: dict[str, Any], logits_fn: LogitsFn, ours: float) -> list[Row]:
    """What a user would write: a loop over jitted points, or over PyTorch's vmap of a chunk.

    `ours` is our points a second, compile and store included; theirs are warm and keep nothing.
    """
    image, seen = grid["image"].values, grid["mask"].values
    step = jax.jit(summary)

    def python_loop() -> None:
        for index in range(_LOOPED_POINTS):
            i, m = index // len(seen), index % len(seen)
            one = jax.tree.map(lambda leaf, at=i: leaf[at], image)
            found = step(logits_fn=logits_fn, image=one, mask=seen[m])
            float(found.norm), float(found.largest)

    python_loop()
    sides: dict[str, Callable[[], Any]] = {"loop": python_loop}
    if fill_torch is not None:
        at = np.arange(256)
        batch = (image["pixels"][at % len(image["pixels"])], seen[at % len(seen)], at % 10)
        first = fill_torch.sides(module, *batch, steps=1)["torch.func first order"]

        def torch_loop() -> None:
            for _ in range(_LOOPED_POINTS * 10 // 256):
                update = first()
                np.linalg.norm(update.reshape(256, -1), axis=1), update.max(axis=(1, 2, 3))

        sides["torch"] = torch_loop
    found = {name: _seconds_each(side, 3) for name, side in sides.items()}
    each = {"loop": _LOOPED_POINTS, "torch": _LOOPED_POINTS * 10}
    rate = {name: each[name] / seconds for name, seconds in found.items()}
    rows = [
        Row(
            "a Python loop over jitted points, results dropped: times as long as ours",
            f"{ours / rate['loop']:.1f}",
        )
    ]
    if "torch" in rate:
        rows.append(
            Row(
                "torch.func.vmap in chunks of 256, results dropped: times as long as ours",
                f"{ours / rate['torch']:.2f}",
            )
        )
    return rows


def _seconds(side: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    side(*arguments)
    return time.perf_counter() - start


def _seconds_each(side: Callable[[], Any], rounds: int) -> float:
    return float(np.median([_seconds(side) for _ in range(rounds)]))


if __name__ == "__main__":
    _measure_memory(int(sys.argv[1]))
