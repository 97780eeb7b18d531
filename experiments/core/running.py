"""Run an experiment: its grids, continued where they were stopped; its results, tables, figures."""

import collections
import dataclasses
import hashlib
import json
import logging
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from PIL import Image

from experiments.core import artefact
from experiments.core.discovery import Listed
from experiments.core.experiment import Experiment, Options, Sweep
from experiments.core.labelled import as_json, notes_of
from fitb_jax import ablation

METRICS = "metrics.json"
"""What is read off the results: caption, numbers, tables, notes."""

_LOG = logging.getLogger(__name__)
_FRAME_MILLISECONDS = 120
DOTS_PER_INCH = 160
"""Of every figure."""


def run(listed: Listed, experiment: Experiment, config: Any, *, command: str) -> Path:
    """Run an experiment and write its folder, or redraw it if `config.plot_only`.

    The folder appears complete or not at all: an interrupted run leaves the one before in place.
    """
    folder: Path = config.results / listed.name
    if config.plan:
        print("\n".join(plan(listed, experiment, config)))
        return folder
    if config.plot_only:
        found = artefact.load(folder)
        saved = restored_options(config, artefact.made_by(found)["options"])
        _refuse_other_options(config, experiment, saved)
        _write_shown(listed, experiment, saved, found, folder)
        _LOG.info("%s redrawn in %s", listed.name, folder)
        return folder
    # The disk and the folder are tried before hours are spent on what could not be kept.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        part = Path(scratch) / folder.name
        part.mkdir()
        computed = compute(listed, experiment, config)
        artefact.save(computed, artefact.provenance(config, command), part)
        # Drawn from what is on disk, so that `--plot-only` draws the same.
        found = artefact.load(part)
        _write_shown(listed, experiment, config, found, part)
        if folder.exists():
            folder.rename(Path(scratch) / "previous")
        part.rename(folder)
    for note in notes_of(found):
        _LOG.info("%s: %s", listed.name, note)
    _LOG.info("%s written to %s", listed.name, folder)
    return folder


def compute(listed: Listed, experiment: Experiment, config: Any) -> xr.Dataset:
    """The results of an experiment, of which nothing but grids and networks is written."""
    net = experiment.load(config)
    swept = [run_sweep(listed.name, each, config) for each in experiment.sweeps(config, net)]
    return experiment.compute(config, net, *swept)


def plan(listed: Listed, experiment: Experiment, config: Any) -> list[str]:
    """What the grids of an experiment will do; nothing is run.

    Only the first of the grids that share a function of a point is compiled, and none that has
    been begun.
    """
    lines = []
    alike: collections.Counter[Any] = collections.Counter()
    for sweep in experiment.sweeps(config, experiment.load(config)):
        name = _name(listed.name, sweep)
        sizes = " x ".join(f"{axis.size} {name}" for name, axis in sweep.axes.items())
        points = math.prod(axis.size for axis in sweep.axes.values())
        store, _ = _store(listed.name, sweep, config)
        if store.exists():
            done = int((xr.open_zarr(store, consolidated=False)["status"] != 0).sum())
            lines.append(f"{name}: {sizes} = {points} points, {done} of them done in {store}")
        elif alike[sweep.point]:
            lines.append(f"{name}: {sizes} = {points} points, like the first")
        else:
            lines.append(f"{name}: {ablation.plan(sweep.point, sweep.axes, **sweep.arguments())}")
        alike[sweep.point] += 1
    return lines or [f"{listed.name}: no grid"]


def run_sweep(name: str, sweep: Sweep, config: Options) -> xr.Dataset:
    """Run a grid in its store. Those of others are left; a new one beside them is said to be so."""
    store, identity = _store(name, sweep, config)
    others = sorted(path.name for path in store.parent.glob(f"{store.stem[:-12]}{'?' * 12}.zarr"))
    if others and not store.exists():
        _LOG.warning(
            "%s starts anew: %s are of other options, commits, methods or images",
            store.name,
            others,
        )
    found = ablation.run(
        sweep.point,
        sweep.axes,
        store=store,
        config=identity,
        strict=config.strict,
        progress=config.progress,
        **sweep.arguments(),
    )
    return found.assign(dict(sweep.about))


def _store(name: str, sweep: Sweep, config: Options) -> tuple[Path, dict[str, Any]]:
    """Where a grid lies, by its options, the commit and what is on the axes; and the former two."""
    made_by = artefact.provenance(sweep.options or config, "")
    # Points do not depend on the chunk, and less memory than there was is a reason to start again.
    unused = {"chunk", *config.ONLY_SHOWN}
    options = {name: value for name, value in made_by["options"].items() if name not in unused}
    identity = {"options": options, "commit": made_by["commit"]}
    labels = {name: axis.labels.tolist() for name, axis in sweep.axes.items()}
    parts = [_name(name, sweep), identity, labels]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    stem = "".join(c if c.isalnum() else "-" for c in _name(name, sweep))
    return config.results / "grids" / f"{stem}-{digest[:12]}.zarr", identity


def _name(experiment: str, sweep: Sweep) -> str:
    return f"{experiment} {sweep.name}" if sweep.name else experiment


def restored_options(config: Any, saved: dict[str, Any]) -> Any:
    """Options of the run that is redrawn: the results on disk are of those, not of the defaults."""
    plain = {}
    for field in dataclasses.fields(config):
        if field.name in saved and not dataclasses.is_dataclass(getattr(config, field.name)):
            plain[field.name] = _as_tuples(saved[field.name])
    return dataclasses.replace(config, **plain)


def _refuse_other_options(given: Any, experiment: Experiment, saved: Any) -> None:
    """What is redrawn is a run with its own options; others that were asked for would be lost."""
    default = experiment.default(smoke=given.smoke, full=given.full)
    for field in dataclasses.fields(given):
        asked, is_of = (getattr(options, field.name) for options in (given, saved))
        if asked not in (getattr(default, field.name), is_of):
            raise ValueError(
                f"{field.name} of the run that --plot-only redraws is {is_of!r}, got {asked!r}: "
                "leave it out, or run anew without --plot-only"
            )


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _write_shown(
    listed: Listed, experiment: Experiment, config: Any, found: xr.Dataset, folder: Path
) -> None:
    """The figures, and everything that is read off the results."""
    for name, figure in experiment.draw(config, found).items():
        figure.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH)
    for name, frames in experiment.animate(config, found).items():
        pictures = [Image.fromarray(np.round(255 * frame).astype(np.uint8)) for frame in frames]
        pictures[0].save(
            folder / f"{name}.gif",
            save_all=True,
            append_images=pictures[1:],
            duration=_FRAME_MILLISECONDS,
            loop=0,
        )
    metrics = {
        "title": listed.title,
        "regenerates": listed.regenerates,
        "caption": experiment.caption(config, found),
        "numbers": experiment.numbers(config, found),
        "tables": experiment.tables(config, found),
        "notes": notes_of(found),
    }
    (folder / METRICS).write_text(json.dumps(as_json(metrics), indent=1) + "\n")


def read_metrics(folder: Path) -> dict[str, Any]:
    """What was read off the results of a finished run."""
    path = folder / METRICS
    try:
        metrics: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"no finished run in {folder}: {METRICS} is missing") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return metrics
