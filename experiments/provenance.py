"""What decides the results of a run: options, commit, versions and device."""

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

_ROOT = Path(__file__).resolve().parent.parent
_VERSIONED = ("jax", "jaxlib", "flax", "optax", "numpy")


def provenance(config: Any, command: str) -> dict[str, Any]:
    """What decides the results: options, commit, versions and device; and the command.

    Args:
        config: the options.
        command: the command line.

    Returns:
        JSON values.
    """
    options = dataclasses.asdict(config)
    for transient in ("progress", "plot_only", "results", "data_dir", "plan", "strict"):
        options.pop(transient)
    return as_json(
        {
            "command": command,
            "options": options,
            "commit": _commit(),
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in _VERSIONED},
            },
            "device": jax.devices()[0].device_kind,
        }
    )


def _commit() -> str | None:
    with suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(_ROOT)]
        commit = subprocess.check_output(
            [*git, "rev-parse", "HEAD"], text=True, stderr=subprocess.DEVNULL
        )
        changes = subprocess.check_output(
            [*git, "status", "--porcelain"], text=True, stderr=subprocess.DEVNULL
        )
        return commit.strip() + ("+changes" if changes.strip() else "")
    return None


def as_json(value: Any) -> Any:
    """The value as it will be read back from JSON.

    Args:
        value: numbers, arrays, paths, and what holds them.

    Returns:
        JSON values.
    """
    return json.loads(json.dumps(value, default=_json_default))


def _json_default(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray | jax.Array):
        return np.asarray(value).tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
