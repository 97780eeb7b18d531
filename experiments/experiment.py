"""What an experiment is, and how one is run: typed config, arrays and metrics on disk, figures."""

import dataclasses
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from experiments.provenance import as_json, provenance
from fitb_jax import checks

_LOG = logging.getLogger(__name__)
_FRAME_MILLISECONDS = 120


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of every experiment.

    Attributes:
        results: folder that results are written to, one sub-folder per experiment.
        data_dir: folder with MNIST and Fashion-MNIST, as idx files or TFDS data sets; without one
            they are looked for as `data.load` says.
        seed: of the network, the masks and every other random choice.
        smoke: a tiny run that only shows that everything works.
        full: the paper's scale.
        plot_only: redraw the figures from the arrays of the last run.
        progress: show progress bars.
        plan: print what the experiment's grids will do, and do nothing. No network is trained.
        strict: stop at the first point of a grid that fails or is not finite.
        photographs: layout of the photographs, see `data.photographs`.
        photo_dir: their folder; "skimage" needs none, and by default it is the sub-folder called
            like the layout in the folder that the environment variable FITB_JAX_DATA names.
    """

    results: Path = Path("results")
    data_dir: Path | None = None
    seed: int = 0
    smoke: bool = False
    full: bool = False
    plot_only: bool = False
    progress: bool = True
    plan: bool = False
    strict: bool = False
    photographs: str = "skimage"
    photo_dir: Path | None = None

    ZERO_ALLOWED: ClassVar[frozenset[str]] = frozenset({"seed"})
    """Of the whole numbers among the options that a class adds; the others are at least 1."""

    def __post_init__(self) -> None:
        """Refuse whole numbers that are too small, before anything is read or compiled."""
        parts = (vars(part).get("ZERO_ALLOWED", frozenset()) for part in type(self).__mro__)
        zero_allowed = frozenset().union(*parts)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and not isinstance(number, bool):
                    least = 0 if field.name in zero_allowed else 1
                    checks.check_count(field.name, number, least=least)


class Table(NamedTuple):
    """A table of the report: cells are strings or numbers."""

    columns: list[str]
    rows: list[list[Any]]


class Outcome(NamedTuple):
    """What an experiment computed.

    Attributes:
        arrays: everything its figures are drawn from.
        numbers: named results.
        tables: named tables.
        notes: what a reader must know, such as a data set that was not found.
    """

    arrays: dict[str, np.ndarray]
    numbers: dict[str, Any]
    tables: dict[str, Table]
    notes: list[str]


def unless_asked(reason: str) -> Callable[[Any], str | None]:
    """For `Experiment.left_out`: `reproduce` leaves out all but tiny and full runs.

    Args:
        reason: what takes long.

    Returns:
        From the options to the reason, or None.
    """
    return lambda config: None if config.smoke or config.full else reason


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One figure or table of the paper.

    Attributes:
        name: on the command line.
        title: what it shows.
        regenerates: the figure or table, such as "Figure 1".
        needs: data beyond the embedded digits.
        duration: about how long the default run takes, as text.
        config: dataclass of its options.
        compute: from the options to everything that is saved.
        draw: from the options and what was saved to figures by name.
        caption: one paragraph that states what the figure shows, numbers included.
        smoke: options that `--smoke` changes.
        full: options that `--full` changes.
        plan: from the options to a line for each grid it will run.
        animate: from the options and what was saved to frames (n, h, w, 3) by name, for a GIF each.
        left_out: from the options to why `reproduce` must leave it out, or None.
    """

    name: str
    title: str
    regenerates: str
    needs: str
    duration: str
    config: type[Any]
    compute: Callable[[Any], Outcome]
    draw: Callable[[Any, Outcome], dict[str, Figure]]
    caption: Callable[[Any, Outcome], str]
    smoke: dict[str, Any]
    full: dict[str, Any]
    plan: Callable[[Any], list[str]] | None = None
    animate: Callable[[Any, Outcome], dict[str, np.ndarray]] = lambda *_: {}
    left_out: Callable[[Any], str | None] = lambda _: None

    def default(self, *, smoke: bool = False, full: bool = False) -> Any:
        """The options before any is given on the command line.

        Raises:
            ValueError: both presets are asked for.
        """
        if smoke and full:
            raise ValueError("--smoke and --full exclude each other")
        changes = self.smoke if smoke else self.full if full else {}
        return dataclasses.replace(self.config(), **changes)


def run(experiment: Experiment, config: Any, *, command: str) -> Path:
    """Run an experiment and write its folder, or redraw it if `config.plot_only`.

    The folder appears complete or not at all: an interrupted run leaves the one before in place.

    Args:
        experiment: which.
        config: its options.
        command: the command line that does the same, for the report.

    Returns:
        The folder: `config.json`, `metrics.json`, `arrays.npz` and a PNG per figure. With
        `config.plan` nothing is written.

    Raises:
        FileNotFoundError: `plot_only` without a run before it.
    """
    folder: Path = config.results / experiment.name
    if config.plan:
        lines = experiment.plan(config) if experiment.plan else ["no grid"]
        print("\n".join(f"{experiment.name}: {line}" for line in lines))
        return folder
    if config.plot_only:
        outcome = load_outcome(folder)
        config = dataclasses.replace(config, **_restored_options(config, read_config(folder)))
        _write_figures(experiment, config, outcome, folder)
        _write_json(folder / "metrics.json", _metrics(experiment, config, outcome))
        return folder
    # The disk and the folder are tried before hours are spent on what could not be kept.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        part = Path(scratch) / folder.name
        part.mkdir()
        outcome = experiment.compute(config)
        _write_json(part / "config.json", provenance(config, command))
        _write_json(part / "metrics.json", _metrics(experiment, config, outcome))
        np.savez_compressed(part / "arrays.npz", allow_pickle=False, **outcome.arrays)
        _write_figures(experiment, config, outcome, part)
        _replace_folder(part, folder, Path(scratch) / "previous")
    for note in outcome.notes:
        _LOG.info("%s: %s", experiment.name, note)
    _LOG.info("%s written to %s", experiment.name, folder)
    return folder


def load_outcome(folder: Path) -> Outcome:
    """Read what a run saved.

    Args:
        folder: of one experiment.

    Returns:
        Its arrays, numbers, tables and notes.

    Raises:
        FileNotFoundError: there is no finished run in `folder`.
        ValueError: a file of it cannot be read.
    """
    metrics = _read_json(folder / "metrics.json")
    try:
        with (
            (folder / "arrays.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as saved,
        ):
            arrays = {name: saved[name] for name in saved.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"no finished run in {folder}: arrays.npz is missing") from None
    except Exception as error:  # zipfile, zlib and numpy raise many types for a damaged file
        raise ValueError(f"{folder / 'arrays.npz'} cannot be read: {error}") from error
    tables = {name: Table(**table) for name, table in metrics["tables"].items()}
    return Outcome(arrays, metrics["numbers"], tables, metrics["notes"])


def read_config(folder: Path) -> dict[str, Any]:
    """Options, versions, device and commit of a finished run.

    Args:
        folder: of one experiment.

    Returns:
        The content of `config.json`.

    Raises:
        FileNotFoundError: there is no finished run in `folder`.
    """
    return _read_json(folder / "config.json")


def is_current(folder: Path, config: Any) -> bool:
    """Whether a finished run has these very options, versions, device and commit.

    Args:
        folder: of one experiment.
        config: the options wanted.

    Returns:
        False as well for a run made from changed files, of which no commit knows.
    """
    try:
        found = read_config(folder)
    except (FileNotFoundError, ValueError):
        return False
    wanted = provenance(config, found.get("command", ""))
    is_clean = wanted["commit"] is not None and not wanted["commit"].endswith("+changes")
    return is_clean and found == wanted


def _restored_options(config: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """Options of the run that is redrawn: the arrays on disk are of those, not of the defaults."""
    plain = {}
    for field in dataclasses.fields(config):
        value = saved["options"].get(field.name)
        if field.name in saved["options"] and not dataclasses.is_dataclass(
            getattr(config, field.name)
        ):
            plain[field.name] = tuple(value) if isinstance(value, list) else value
    return plain


def _metrics(experiment: Experiment, config: Any, outcome: Outcome) -> dict[str, Any]:
    return as_json(
        {
            "title": experiment.title,
            "regenerates": experiment.regenerates,
            "caption": experiment.caption(config, outcome),
            "numbers": outcome.numbers,
            "tables": {name: table._asdict() for name, table in outcome.tables.items()},
            "notes": outcome.notes,
        }
    )


def _write_figures(experiment: Experiment, config: Any, outcome: Outcome, folder: Path) -> None:
    for name, figure in experiment.draw(config, outcome).items():
        figure.savefig(folder / f"{name}.png", dpi=160)
    for name, frames in experiment.animate(config, outcome).items():
        pictures = [Image.fromarray(np.round(255 * frame).astype(np.uint8)) for frame in frames]
        pictures[0].save(
            folder / f"{name}.gif",
            save_all=True,
            append_images=pictures[1:],
            duration=_FRAME_MILLISECONDS,
            loop=0,
        )


def _replace_folder(new: Path, place: Path, aside: Path) -> None:
    if place.exists():
        place.rename(aside)
    new.rename(place)
    shutil.rmtree(aside, ignore_errors=True)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no finished run in {path.parent}: {path.name} is missing"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
