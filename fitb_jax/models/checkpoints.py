"""Trained networks on disk, found again by their configuration (Orbax)."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from fitb_jax import checks, extras
from fitb_jax.models.classifiers import ClassifierConfig
from fitb_jax.models.training import Trained, TrainingConfig, train

_LOG = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or that holds something else than was asked for."""


def train_or_restore(
    classifier: ClassifierConfig,
    training: TrainingConfig,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int | np.integer | Sequence[int] | np.ndarray,
    folder: Path,
    progress: bool = True,
) -> Trained:
    """Train a network, or read it from disk if the same training has been done already.

    Args:
        classifier: the architecture.
        training: the hyperparameters.
        images: (n, h, w, c) in [0, 1]; their content is part of the configuration.
        labels: (n,) class indices, in [0, classes); likewise.
        seed: of the training, an integer. Several integers train as many networks at once, by
            `vmap` over their keys, and the result has a leading axis.
        folder: where networks are kept, one sub-folder each.
        progress: whether to show a bar over the epochs.

    Returns:
        The network and its losses.

    Raises:
        CheckpointError: the checkpoint on disk cannot be read.
        TypeError, ValueError: as `models.train`; a seed that is no integer.
        ImportError: Orbax is not installed; names the extra.
    """
    # Before they are made arrays of JAX: labels that are no integers would be cut off silently.
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    checks.check_target(labels, classifier.classes, name="labels", shape=images.shape[:1])
    seeds = _integers("seed", seed)
    description = {
        "classifier": dataclasses.asdict(classifier),
        "training": dataclasses.asdict(training),
        "seed": seeds,
        "data_sha256": _digest(np.ascontiguousarray(images), np.ascontiguousarray(labels)),
    }
    identity = hashlib.sha256(_json(description).encode()).hexdigest()
    place = folder / f"{classifier.architecture}-{classifier.activation}-{identity[:16]}"
    arguments = (jnp.asarray(images), jnp.asarray(labels, jnp.int32))
    run = partial(train, classifier, training)
    keys = (
        jax.random.key(seeds)
        if isinstance(seeds, int)
        else jax.vmap(jax.random.key)(jnp.asarray(seeds))
    )
    # A training that was stopped while it saved leaves a folder without a finished checkpoint.
    with suppress(FileNotFoundError):
        restored = restore(place, jax.eval_shape(partial(_train_each, run), keys, *arguments))
        _LOG.info("network restored from %s", place)
        return restored
    epochs = training.epochs * keys.size
    label = f"train {classifier.architecture}"
    with tqdm(total=epochs, desc=label, unit="epoch", disable=not progress) as bar:
        watched = partial(run, on_epoch=lambda loss: _advance(bar, float(loss)))
        compiled = jax.jit(partial(_train_each, watched))
        trained = jax.block_until_ready(compiled(keys, *arguments))
        jax.effects_barrier()
    save(place, trained, description)
    _LOG.info("network trained on %d images and saved to %s", len(images), place)
    return trained


def _integers(name: str, values: Any) -> int | list[int]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.ndim > 1 or array.size == 0:
        raise TypeError(f"{name} must be an integer or several of them, got {values!r:.60}")
    integers: int | list[int] = array.tolist()
    return integers


def _json(description: dict[str, Any]) -> str:
    """The same text for the same numbers, whether they are Python's or NumPy's."""
    return json.dumps(description, sort_keys=True, default=lambda number: number.item())


def _train_each(run: Callable[..., Trained], keys: jax.Array, *arguments: jax.Array) -> Trained:
    """One network for one key, and for several keys as many."""
    if keys.ndim == 0:
        return run(*arguments, key=keys)
    return jax.vmap(lambda key: run(*arguments, key=key))(keys)


def save(place: Path, state: Any, description: dict[str, Any]) -> None:
    """Write a pytree of arrays; an interrupted write leaves the version before it in place.

    Args:
        place: folder of this checkpoint; made if absent.
        state: pytree of arrays.
        description: JSON values or numbers of NumPy to keep beside it, such as the configuration.

    Raises:
        ImportError: Orbax is not installed; names the extra.
    """
    with extras.needed("models.save", extra="checkpoints"):
        import orbax.checkpoint as ocp
    options = ocp.CheckpointManagerOptions(max_to_keep=1)
    with ocp.CheckpointManager(place.absolute(), options=options) as manager:
        latest = manager.latest_step()
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(_named_leaves(state)),
            description=ocp.args.JsonSave(json.loads(_json(description))),
        )
        manager.save(0 if latest is None else latest + 1, args=items)
        manager.wait_until_finished()


def restore(place: Path, like: Any) -> Any:
    """Read a pytree of arrays.

    Args:
        place: folder given to `save`.
        like: pytree of arrays or `jax.ShapeDtypeStruct` of the structure that was saved.

    Returns:
        The saved state, of the structure of `like`.

    Raises:
        FileNotFoundError: there is no finished checkpoint.
        CheckpointError: it cannot be read, or holds other names, shapes or dtypes.
        ImportError: Orbax is not installed; names the extra.
    """
    with extras.needed("models.restore", extra="checkpoints"):
        import orbax.checkpoint as ocp
    if not place.is_dir():
        raise FileNotFoundError(f"no checkpoint at {place}")
    wanted = _named_leaves(like)
    with ocp.CheckpointManager(place.absolute()) as manager:
        step = manager.latest_step()
        if step is None:
            raise FileNotFoundError(f"no finished checkpoint in {place}")
        try:
            found = manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore())
            )["state"]
        except Exception as error:  # Orbax and TensorStore raise many types for a damaged file
            raise CheckpointError(
                f"checkpoint {place} cannot be read; delete this folder to train again: {error}"
            ) from error
    _check_leaves(place, wanted, found)
    # Through numpy: Orbax pins arrays to a device, and a pinned network is a second compile.
    leaves = [jnp.asarray(np.asarray(found[name])) for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _check_leaves(place: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    problems = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    problems += [f"{name} is not expected" for name in found.keys() - wanted.keys()]
    for name in wanted.keys() & found.keys():
        expected, given = (
            f"{leaf.dtype}{list(leaf.shape)}" for leaf in (wanted[name], found[name])
        )
        if expected != given:
            problems.append(f"{name} is {given}, not {expected}")
    if problems:
        raise CheckpointError(f"checkpoint {place} does not fit: {'; '.join(sorted(problems))}")


def _named_leaves(tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _advance(bar: Any, loss: float) -> None:
    bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
    bar.update()
