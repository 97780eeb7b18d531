"""The file of a run: a labelled dataset with the options, versions, device and commit it is of."""

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import xarray as xr

from experiments.core.labelled import as_json

RESULTS = "results.nc"
"""netCDF, which `xarray.open_dataset` reads without this package."""

_ROOT = Path(__file__).resolve().parents[2]
_VERSIONED = ("jax", "jaxlib", "flax", "optax", "numpy")
_TRANSIENT = ("progress", "plot_only", "results", "data_dir", "plan", "strict")
"""Options that decide nothing about the numbers."""


def provenance(config: Any, command: str) -> dict[str, Any]:
    """What decides the results: options, commit, versions and device; and the command."""
    options = dataclasses.asdict(config)
    for name in _TRANSIENT:
        options.pop(name)
    versions = {name: importlib.metadata.version(name) for name in _VERSIONED}
    return {
        "command": command,
        "options": as_json(options),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **versions},
        "device": jax.devices()[0].device_kind,
    }


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


def save(found: xr.Dataset, made_by: dict[str, Any], folder: Path) -> None:
    """Write the results of a run."""
    attributes = {"notes": found.attrs.get("notes", "[]")}
    attributes |= {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in made_by.items()
    }
    kept = found.drop_vars("status", errors="ignore").drop_encoding()
    kept.attrs = attributes
    compressed = {
        name: {"zlib": True, "complevel": 4}
        for name, variable in kept.data_vars.items()
        if variable.ndim and variable.dtype.kind in "biuf"
    }
    kept.to_netcdf(folder / RESULTS, engine="h5netcdf", encoding=compressed)


def load(folder: Path) -> xr.Dataset:
    """Read what a run saved."""
    path = folder / RESULTS
    if not path.is_file():
        raise FileNotFoundError(f"no finished run in {folder}: {RESULTS} is missing")
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except Exception as error:  # HDF5 raises many types for a damaged file
        raise ValueError(f"{path} cannot be read: {error}") from error


def made_by(found: xr.Dataset) -> dict[str, Any]:
    """The inverse of what `save` did to the provenance."""
    attributes = found.attrs
    nested = {name: json.loads(attributes[name]) for name in ("options", "versions")}
    commit = attributes["commit"]
    return {
        "command": attributes["command"],
        "device": attributes["device"],
        "commit": None if commit == "null" else commit,
        **nested,
    }


def is_current(folder: Path, config: Any) -> bool:
    """Whether a finished run has these very options, versions, device and commit."""
    try:
        found = made_by(load(folder))
    except (FileNotFoundError, ValueError):
        return False
    wanted = provenance(config, found["command"])
    is_clean = wanted["commit"] is not None and not wanted["commit"].endswith("+changes")
    return is_clean and found == wanted
