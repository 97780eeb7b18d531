"""A grid with every kind of axis and field; also a program that tests start, kill and join.

python -m tests.ablation.problem STORE [--chunk N] [--nap SECONDS] [--join ADDRESS COUNT INDEX]
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from fitb_jax import ablation, fill, masks
from fitb_jax.ablation import store as disk
from tests.problems import CLASSES, SHAPE

ORDERS = ("first", "second")
IMAGES = np.random.default_rng(0).uniform(size=(5, *SHAPE)).astype(np.float32)
NETWORKS = {
    "first": np.random.default_rng(1).normal(size=(3, 36, 16)).astype(np.float32) / 2,
    "second": np.random.default_rng(2).normal(size=(3, 16, CLASSES)).astype(np.float32),
}
FIELDS = {
    "update": ablation.Field(
        dims=("y", "x", "channel"),
        units="nats / intensity",
        meaning="E[dx]",
        reduction=ablation.Reduction(("image", "seed"), ("mean", "standard_error", "count")),
    ),
    "spread": ablation.Field(reduction=ablation.Reduction(("image",), ("mean",))),
    "probability": ablation.Field(units="1", meaning="p(target) of the masked image"),
}


class Found(NamedTuple):
    update: jax.Array
    spread: jax.Array
    probability: jax.Array
    picture: jax.Array
    blanks: jax.Array


def point(
    *,
    order: str,
    network: dict[str, jax.Array],
    ratio: jax.Array,
    image: dict[str, jax.Array],
    seed: jax.Array,
    key: jax.Array,
) -> Found:
    def logits_fn(x: jax.Array) -> jax.Array:
        return jax.nn.softplus(x.ravel() @ network["first"]) @ network["second"]

    mask = masks.random_patches(SHAPE[:2], ratio, 2, key=key)
    update = fill.resolve_order(order)(logits_fn, image["pixels"], mask, image["label"])
    probability = jax.nn.softmax(logits_fn(masks.apply(image["pixels"], mask)))[image["label"]]
    blanks = jnp.sum(1 - mask).astype(jnp.int32)
    return Found(update, update.std(), probability, update[..., 0] + seed, blanks)


def grid(
    orders: tuple[str, ...] = ORDERS, ratios: Any = (0.25, 0.5, 0.75), images: int = 5
) -> dict[str, Any]:
    shown = {"pixels": IMAGES[:images], "label": np.arange(images, dtype=np.int32) % 3}
    return {
        "network": ablation.looped(NETWORKS, meaning="independent networks"),
        "order": ablation.static(orders),
        "ratio": np.asarray(ratios),
        "image": ablation.vmapped(shown),
        "seed": [0, 1],
    }


def run(store: Path | None, **changes: Any) -> xr.Dataset:
    arguments = {
        "key": jax.random.key(7),
        "store": store,
        "chunk": 4,
        "block": 12,
        "lanes": 4,
        "fields": FIELDS,
        "key_axes": ("ratio", "image", "seed"),
        "progress": False,
        **changes,
    }
    wanted = arguments.pop("grid", None)
    return ablation.run(arguments.pop("point_fn", point), wanted or grid(), **arguments)


def assert_same(a: xr.Dataset, b: xr.Dataset, *, tolerance: float = 0.0) -> None:
    assert set(a.variables) == set(b.variables)
    for name in a.variables:
        reduced = name not in Found._fields and np.issubdtype(a[name].dtype, np.floating)
        if tolerance or reduced:
            np.testing.assert_allclose(
                a[name], b[name], rtol=max(tolerance, 1e-6), atol=1e-6, err_msg=str(name)
            )
        else:
            np.testing.assert_array_equal(a[name], b[name], err_msg=str(name))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--chunk", type=int, default=4)
    parser.add_argument("--nap", type=float, default=0)
    parser.add_argument("--join", nargs=3)
    arguments = parser.parse_args()
    if arguments.join:
        address, count, index = arguments.join
        ablation.join_hosts(address, int(count), int(index))
    write = disk.write

    def slow_write(*given: Any) -> None:
        time.sleep(arguments.nap)
        write(*given)

    disk.write = slow_write
    run(arguments.store, chunk=arguments.chunk)
    print("complete", flush=True)


if __name__ == "__main__":
    main()
