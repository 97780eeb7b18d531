"""Write an explanation: a page that stands alone, with pictures, arrays and numbers beside it."""

import json
import math
import os
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image as Pictures

from fitb_jax import __version__, extras, plotting
from fitb_jax.class_names import short_name
from fitb_jax.command_line import folders, pictures, wording
from fitb_jax.command_line.explaining import AREAS, Explanation, MethodResult, Shown
from fitb_jax.command_line.loading import Classifier
from fitb_jax.command_line.methods import METHODS
from fitb_jax.cropping import Crop

with extras.needed("fitb-jax explain", extra="explain"):
    import jinja2

_LISTED = 5
"""Classes whose scores are shown."""

_RANDOM_CLASS = "random_class"


class Facts(NamedTuple):
    """What a page says besides the explanation.

    Attributes:
        photograph: name of the file.
        model: the model as it was asked for.
        command: the command as it was typed.
        seed: of every random choice.
        seconds: time for this photograph in seconds, without compilation.
        left_out: methods that do not apply to the classifier, each with the reason.
    """

    photograph: str
    model: str
    command: str
    seed: int
    seconds: float
    left_out: dict[str, str]


def write(
    folder: Path,
    facts: Facts,
    classifier: Classifier,
    picture: Pictures.Image,
    found: Explanation,
) -> None:
    """Write the page of an explanation, with its pictures, arrays and numbers.

    Args:
        folder: an empty folder to write to.
        facts: what the page says besides the explanation.
        classifier: the classifier that was explained.
        picture: the photograph, upright.
        found: the explanation.
    """
    drawn, crop = _drawn(classifier, picture, found)
    files = _Files(folder, drawn, crop)
    photograph = files.keep("photograph", pictures.photograph_with_square(drawn, crop))
    maps = [_map(name, result, files) for name, result in found.methods.items()]
    edges = files.map("edges", found.edges)
    masks = _masks(classifier, found, files)
    numbers = _numbers(facts, classifier, picture, found)
    (folder / folders.NUMBERS).write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
    text = _template("explanation.html").render(
        facts=facts,
        mark=folders.MARK,
        numbers=numbers,
        photograph=photograph,
        is_square_known=classifier.crop is not None,
        unit=wording.unit_of(classifier),
        background=wording.background_name(classifier),
        blank=wording.shown_score(classifier, found.p_blank),
        other_blank=None
        if found.other_blank is None
        else wording.shown_score(classifier, found.other_blank),
        maps=maps,
        edges=edges,
        masks=masks,
        verdicts=wording.verdicts(classifier, found),
        likeliest=wording.name_of_likeliest(classifier),
        rows=_rows(classifier, found),
        areas=[f"{area:.0%}" for area in AREAS],
        mirrors=wording.are_opposites(classifier, found),
    )
    (folder / folders.PAGE).write_text(text, "utf-8")


def listing(out: Path) -> str:
    """The page that lists every explanation in a folder.

    Args:
        out: the folder that has the folders of explanations.

    Returns:
        The page, as HTML.
    """
    entries = []
    for file in sorted(out.glob(f"*/{folders.NUMBERS}")):
        try:
            numbers = json.loads(file.read_text("utf-8"))
        except (ValueError, OSError):
            continue  # not one of ours
        if isinstance(numbers, dict) and {"photograph", "class", "unit", "model"} <= {*numbers}:
            explained = numbers["class"]
            if isinstance(explained, dict) and {"short_name", "shown"} <= {*explained}:
                entries.append({"folder": quote(os.fsencode(file.parent.name)), **numbers})
    return _template("listing.html").render(entries=entries, mark=folders.MARK)


class _Files:
    """Pictures and arrays of one explanation, by name."""

    def __init__(self, folder: Path, drawn: np.ndarray, crop: Crop) -> None:
        self._folder, self._drawn, self._crop = folder, drawn, crop

    def keep(self, name: str, picture: np.ndarray) -> str:
        """Write a picture, and give it for the page."""
        (self._folder / f"{name}.png").write_bytes(pictures.as_png(picture))
        return pictures.as_data_uri(picture)

    def map(self, name: str, shown: Shown) -> str | None:
        """Write a map as numbers, alone and on the photograph; the last for the page."""
        np.save(self._folder / f"{name}.npy", shown.saliency)
        if not np.isfinite(shown.saliency).all():
            return None
        self.keep(name, plotting.heat(shown.saliency))
        whole = pictures.map_on_photograph(self._drawn, shown.saliency, self._crop)
        return self.keep(f"{name}_on_photograph", whole)

    def masks(self, name: str, shown: Shown) -> list[str]:
        """Write masks as numbers, and what is seen through them; the last for the page."""
        np.save(self._folder / f"{name}_masks.npy", shown.masks.astype(bool))
        return [
            self.keep(f"{name}_seen_{area:g}", np.clip(seen, 0, 1))
            for area, seen in zip(AREAS, shown.seen, strict=True)
        ]


def _drawn(
    classifier: Classifier, picture: Pictures.Image, found: Explanation
) -> tuple[np.ndarray, Crop]:
    """The photograph to draw on, and the square of it that the classifier sees."""
    if classifier.crop is None:
        size = found.image.shape[0]
        return plotting.as_rgb(found.image), Crop(0, 0, size, size, size, size)
    small = pictures.shrunk(picture)
    return np.asarray(small, np.float32) / 255, classifier.crop(small.width, small.height)


def _map(name: str, result: MethodResult, files: _Files) -> dict[str, Any]:
    method = METHODS[name]
    control = result.control and files.map(f"{name}_{_RANDOM_CLASS}", result.control)
    return {
        "title": method.title,
        "meaning": method.meaning,
        "picture": files.map(name, result.shown),
        "is_signed": bool((result.shown.saliency < 0).any()),
        "control": control,
        "agreement": _correlation(result.agreement),
        "edges": _correlation(result.edges),
    }


def _masks(classifier: Classifier, found: Explanation, files: _Files) -> list[dict[str, Any]]:
    """What is seen through the extremal masks of the class and of the other one."""
    if "extremal" not in found.methods:
        return []
    result = found.methods["extremal"]
    every = [("extremal", found.target, result.shown)]
    if result.control is not None and found.other is not None:
        every.append((f"extremal_{_RANDOM_CLASS}", found.other, result.control))
    return [
        {
            "target": target,
            "seen": [
                {"picture": picture, "area": f"{area:.0%}", "p": p}
                for picture, area, p in zip(
                    files.masks(name, shown),
                    AREAS,
                    wording.shown_scores(classifier, shown.p),
                    strict=True,
                )
            ],
        }
        for name, target, shown in every
    ]


def _rows(classifier: Classifier, found: Explanation) -> list[dict[str, Any]]:
    """What is said to the masks of every map, the controls at the end."""
    rows = [
        {
            "title": METHODS[name].title,
            "p": wording.shown_scores(classifier, result.shown.p),
            "control": False,
        }
        for name, result in found.methods.items()
    ]
    rows.append(
        {
            "title": "Edges of the photograph",
            "p": wording.shown_scores(classifier, found.edges.p),
            "control": True,
        }
    )
    for name, result in found.methods.items():
        if result.control is not None and found.other is not None:
            other = short_name(classifier.class_names[found.other])
            title = f"{METHODS[name].title}, {wording.unit_of(classifier)}({other})"
            p = wording.shown_scores(classifier, result.control.p)
            rows.append({"title": title, "p": p, "control": True})
    return rows


def _numbers(
    facts: Facts, classifier: Classifier, picture: Pictures.Image, found: Explanation
) -> dict[str, Any]:
    def of_class(index: int) -> dict[str, Any]:
        name = classifier.class_names[index]
        return {
            "index": index,
            "name": name,
            "short_name": short_name(name),
            "p": _finite(float(found.p[index])),
            "shown": wording.shown_score(classifier, float(found.p[index])),
        }

    def of_method(result: MethodResult) -> dict[str, Any]:
        return {
            "p": [*map(_finite, result.shown.p.tolist())],
            "p_random_class": result.control and [*map(_finite, result.control.p.tolist())],
            "correlation_with_random_class": _finite(result.agreement),
            "correlation_with_edges": _finite(result.edges),
        }

    crop = classifier.crop and classifier.crop(*picture.size)._asdict()
    order = np.argsort(-found.p, kind="stable")[:_LISTED]
    return {
        "photograph": facts.photograph,
        "model": facts.model,
        "unit": wording.unit_of(classifier),
        "class": of_class(found.target),
        "predicted": [of_class(int(index)) for index in order],
        "random_class": None if found.other is None else of_class(found.other),
        "square": crop,
        "areas": [*AREAS],
        "background": classifier.background,
        "hardly_different": wording.HARDLY_DIFFERENT,
        "classes": len(found.p),
        "p_whole": _finite(float(found.p[found.target])),
        "p_blank": _finite(found.p_blank),
        "p_blank_of_random_class": None
        if found.other_blank is None
        else _finite(found.other_blank),
        "verdicts": wording.verdicts(classifier, found),
        "methods": {name: of_method(result) for name, result in found.methods.items()},
        "edges": {"p": [*map(_finite, found.edges.p.tolist())]},
        "left_out": facts.left_out,
        "seed": facts.seed,
        "seconds": round(facts.seconds, 2),
        "command": facts.command,
        "versions": {"fitb_jax": __version__, "jax": metadata.version("jax")},
    }


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fitb_jax.command_line"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _correlation(value: float) -> str | None:
    # Without the sign of -0.00.
    return f"{round(value, 2) + 0.0:.2f}" if math.isfinite(value) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
