"""Keep the results of finished runs with the documentation, as data from which pages are made."""

import dataclasses
import json
import logging
import re
from pathlib import Path

import xarray as xr
from PIL import Image

from experiments.core import artefact, discovery, result_pages
from experiments.core.running import read_metrics
from fitb_jax import checks

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of `publish`.

    Attributes:
        only: names of the experiments; none means all that have a finished run.
        results: folder of the runs.
        variant: a word for what is special about them, such as the network; their pages then have
            these beside the run without a word.
    """

    only: tuple[str, ...] = ()
    results: Path = Path("results")
    variant: str = ""

    def __post_init__(self) -> None:
        """Refuse a word that is none in the name of a file."""
        if self.variant and not re.fullmatch(r"\w+", self.variant):
            raise ValueError(
                f"variant must be a word of letters, digits and _, got {self.variant!r}"
            )


def run(config: Config) -> list[Path]:
    """Copy numbers, tables and figures of finished runs to the documentation."""
    every = discovery.experiments()
    for name in config.only:
        checks.check_choice("only", name, every)
    is_done = {name: (config.results / name / artefact.RESULTS).is_file() for name in every}
    chosen = config.only or tuple(name for name in every if is_done[name])
    if not chosen:
        raise FileNotFoundError(f"no finished run in {config.results}")
    written = [path for name in chosen for path in _publish(config.results / name, config.variant)]
    _LOG.info("%d files written to %s", len(written), result_pages.FOLDER)
    return written


def _photographs(found: xr.Dataset) -> list[str]:
    """The names of the files of a run; none where images are numbered, as digits are."""
    names = found.coords.get("image")
    return [] if names is None or names.dtype.kind not in "UO" else [*map(str, names.values)]


def _publish(folder: Path, variant: str) -> list[Path]:
    found = artefact.load(folder)
    made_by = artefact.made_by(found)
    if made_by["options"]["smoke"]:
        raise ValueError(f"{folder} is a tiny run, which says nothing")
    commit = made_by["commit"] or "unknown"
    if commit == "unknown" or commit.endswith("+changes"):
        raise ValueError(f"{folder} is of files that no commit knows (commit {commit})")
    metrics = read_metrics(folder)
    kept = {name: metrics[name] for name in ("caption", "numbers", "tables")}
    made_by["command"] = re.sub(r" --(results \S+|no-progress)", "", made_by["command"])
    name = f"{folder.name}.{variant}" if variant else folder.name
    place = result_pages.FOLDER / f"{name}.json"
    kept |= {"notes": metrics["notes"], "photographs": _photographs(found), "made_by": made_by}
    text = json.dumps(kept, indent=1)
    # Where a file lay on the machine of the run is nobody's concern.
    place.write_text(re.sub(r"(?<![\w.:/])(?:/[\w.+-]+)+/", "", text) + "\n")
    for earlier in result_pages.figures(name):
        earlier.unlink()
    figures = []
    for path in sorted(folder.glob("*.png")):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((1600, 6400))
        figures.append(place.with_name(f"{name}.{path.stem}.webp"))
        picture.save(figures[-1], quality=80, method=6)
    return [place, *figures]
