"""A large grid of masked updates through `fitb_jax.ablation`, against what it is made of."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.timing import Row
from fitb_jax import ablation, fill, masks, models
from fitb_jax.types import Image, LogitsFn, Mask
from flax import nnx
from fitb_jax.models.classifiers import CNN


class Kept(NamedTuple):
    norm: jax.Array
    largest: jax.Array


def whole(*, logits_fn: LogitsFn, image: dict, mask: Mask) -> dict[str, jax.Array]:
    return {"update": fill.first_order(logits_fn, image["pixels"], mask, image["target"])}


def summary(*, logits_fn: LogitsFn, image: dict, mask: Mask) -> Kept:
    update = fill.first_order(logits_fn, image["pixels"], mask, image["target"])
    return Kept(jnp.linalg.norm(update.ravel()), update.max())

def main():
    logits_fn = models.as_logits_fn(CNN(models.ClassifierConfig(), rngs=nnx.Rngs(0)))
    n_images, n_masks = 500, 200
    images = np.asarray(jax.random.uniform(jax.random.key(1), (n_images, 28, 28, 1)))
    targets = np.arange(n_images, dtype=np.int32) % 10
    seen = np.asarray(jax.vmap(lambda key: masks.random_patches((28, 28), 0.5, 4, key=key))(jax.random.split(jax.random.key(2), n_masks)))
    grid = {"image": ablation.batched({"pixels": images, "target": targets}), "mask": ablation.batched(seen)}
    def ours(fn, chunk, fields=None):
        with tempfile.TemporaryDirectory() as d:
            ablation.run(fn, grid, store=Path(d)/"s", chunk=chunk, shared={"logits_fn": logits_fn}, progress=False, fields=fields)
    step = jax.jit(jax.vmap(fill.first_order, in_axes=(None,0,0,0)))
    def bare(chunk):
        batch = (jnp.asarray(images[:chunk]), jnp.asarray(np.resize(seen,(chunk,28,28))), jnp.asarray(targets[:chunk]))
        for _ in range(100_000//chunk): out = step(logits_fn, *batch)
        jax.block_until_ready(out)
    red={"update": ablation.Field(reduction=ablation.Reduction(("image",)))}
    for r in range(2):
      for c in (64,256):
        t=time.perf_counter(); bare(c); b=time.perf_counter()-t
        t=time.perf_counter(); ours(summary,c); o=time.perf_counter()-t
        t=time.perf_counter(); ours(whole,c); w=time.perf_counter()-t
        t=time.perf_counter(); ours(whole,c,red); m=time.perf_counter()-t
        print(c,'bare',round(b,2),'summary',round(o,2),round(b/o,2),'whole',round(w,2),round(b/w,2),'mean',round(m,2),round(b/m,2))
main()
