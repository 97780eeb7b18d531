"""One static page with every figure, its caption, its numbers and the command that made it."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.experiment import read_config
from experiments.registry import EXPERIMENTS

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(results: Path) -> Path:
    """Write `index.html` from what the experiments saved; those not run are listed at its end.

    Args:
        results: folder with one sub-folder per experiment.

    Returns:
        The page; every link and image on it is a file below `results`.

    Raises:
        FileNotFoundError: no experiment has been run.
    """
    found = [name for name in EXPERIMENTS if _is_finished(results / name)]
    sections = [_section(results, name) for name in found]
    if not sections:
        raise FileNotFoundError(f"no finished experiment in {results}")
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        sections=sections, missing=[EXPERIMENTS[name] for name in EXPERIMENTS if name not in found]
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
    return all((folder / name).is_file() for name in ("config.json", "metrics.json", "arrays.npz"))


def _section(results: Path, name: str) -> dict[str, Any]:
    folder = results / name
    config = read_config(folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    return {
        "name": name,
        **metrics,
        "numbers": {key: _as_text(value) for key, value in metrics["numbers"].items()},
        "figures": [f"{name}/{path.name}" for path in sorted(folder.glob("*.png"))],
        "animations": [f"{name}/{path.name}" for path in sorted(folder.glob("*.gif"))],
        "files": [f"{name}/{file}" for file in ("config.json", "metrics.json", "arrays.npz")],
        "command": config["command"],
        "made_with": ", ".join(
            [
                f"commit {(config['commit'] or 'unknown')[:12]}",
                config["device"],
                *(f"{package} {version}" for package, version in config["versions"].items()),
            ]
        ),
    }


def _as_text(value: Any) -> str:
    if isinstance(value, list) and len(value) == 3 and value[1] <= value[0] <= value[2]:
        return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_as_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_as_text(item) for item in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
