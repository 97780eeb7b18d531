"""One static page with every figure, its caption, its numbers and the command that made it."""

import os
import tempfile
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.core import artefact, discovery
from experiments.core.result_pages import made_with, text
from experiments.core.running import METRICS, read_metrics

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(results: Path) -> Path:
    """Write `index.html` from what the experiments saved; those not run are listed at its end."""
    every = discovery.experiments()
    found = [name for name in every if _is_finished(results / name)]
    sections = [_section(results, name) for name in found]
    if not sections:
        raise FileNotFoundError(f"no finished experiment in {results}")
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        sections=sections, missing=[every[name] for name in every if name not in found], text=text
    )
    place = results / "index.html"
    # An interrupted write must not leave half a page where a whole one was.
    with tempfile.NamedTemporaryFile(
        "w", dir=results, suffix=".html", delete=False, encoding="utf-8"
    ) as part:
        part.write(page)
    Path(part.name).chmod(0o644)
    os.replace(part.name, place)
    return place


def _is_finished(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (artefact.RESULTS, METRICS))


def _section(results: Path, name: str) -> dict[str, Any]:
    folder = results / name
    made_by = artefact.made_by(artefact.load(folder))
    return {
        "name": name,
        **read_metrics(folder),
        "figures": [f"{name}/{path.name}" for path in sorted(folder.glob("*.png"))],
        "animations": [f"{name}/{path.name}" for path in sorted(folder.glob("*.gif"))],
        "files": [f"{name}/{file}" for file in (artefact.RESULTS, METRICS)],
        "command": made_by["command"],
        "made_with": made_with(made_by),
    }
