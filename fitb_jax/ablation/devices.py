"""Devices: all of one host, or of several joined by `jax.distributed`."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from fitb_jax import checks

POINTS = "points"


def join_hosts(
    address: str | None = None, processes: int | None = None, index: int | None = None
) -> None:
    """Join the processes of one run; call it once, before anything else of JAX.

    Args:
        address: "host:port" of the first process. Without arguments JAX detects the cluster: SLURM,
            Open MPI, Kubernetes, TPU.
        processes: number of processes.
        index: index of this process, from 0.

    Raises:
        ValueError: some of the three are given and some are not.
        RuntimeError: no cluster was recognised, or the others could not be reached.
    """
    given = [argument is not None for argument in (address, processes, index)]
    if any(given) and not all(given):
        raise ValueError(
            "address, processes and index must be given together or not at all, got "
            f"{address}, {processes}, {index}"
        )
    if processes is not None and index is not None:
        checks.check_count("processes", processes)
        checks.check_count("index", index, least=0)
        if index >= processes:
            raise ValueError(f"index must lie in [0, {processes}), got {index}")
    try:
        jax.distributed.initialize(address, processes, index)
    except ValueError as error:
        raise RuntimeError(
            "no cluster was recognised: give address, processes and index of this process "
            f"({error})"
        ) from error


def point_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh over which the points of a chunk are divided.

    Args:
        devices: any number of them; by default all devices of all processes.

    Returns:
        A mesh of one axis.
    """
    return Mesh(np.asarray(jax.devices() if devices is None else devices).ravel(), (POINTS,))


def own_devices(mesh: Mesh) -> Mesh:
    """The part of a mesh that belongs to this process, flattened to one axis.

    Each process computes and writes blocks of its own, so that no device waits for another host.

    Args:
        mesh: of any shape.

    Returns:
        A mesh of one axis.

    Raises:
        ValueError: none of its devices belongs to this process.
    """
    own = [device for device in mesh.devices.flat if device.process_index == jax.process_index()]
    if not own:
        raise ValueError(f"mesh must hold a device of process {jax.process_index()}, got {mesh}")
    return point_mesh(own)


def wait_for_all(what: str) -> None:
    """Wait until every process has come here.

    Args:
        what: a name for this point of the program, the same in every process.
    """
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)
