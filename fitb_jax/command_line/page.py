"""What is written of an explanation: a page that stands alone, pictures, arrays and numbers."""

import json
import math
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as Pictures

from fitb_jax import __version__, extras, plotting
from fitb_jax.class_names import short_name
from fitb_jax.command_line import folders, pictures
from fitb_jax.command_line.explaining import AREAS, Explanation, MethodResult, Shown
from fitb_jax.command_line.loading import Classifier
from fitb_jax.command_line.methods import METHODS
from fitb_jax.cropping import Crop

with extras.needed("fitb-jax explain", extra="explain"):
    import jinja2

_LISTED = 5
"""Classes whose scores are shown."""

_RANDOM_CLASS = "random_class"

_HARDLY_DIFFERENT = 0.8
"""Rank correlation of the maps of two classes from which on the page says so."""


class Facts(NamedTuple):
    """What a page says besides what was found.

    Attributes:
        photograph: name of the file.
        model: as it was asked for.
        command: as it was typed.
        seed: of every random choice.
        seconds: for this photograph, without compilation.
        left_out: methods that do not apply to the classifier, and why.
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
    """Write the page and all that goes with it.

    Args:
        folder: empty.
        facts: besides what was found.
        classifier: that was explained.
        picture: the photograph, upright.
        found: in it.
    """
    drawn, crop = _drawn(classifier, picture, found)
    files = _Files(folder, drawn, crop)
    photograph = files.keep("photograph", pictures.photograph_with_square(drawn, crop))
    maps = [_map(name, result, files) for name, result in found.methods.items()]
    edges = files.map("edges", found.edges)
    masks = _masks(found, files)
    numbers = _numbers(facts, classifier, picture, found)
    (folder / folders.NUMBERS).write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
    text = _template("explanation.html").render(
        facts=facts,
        mark=folders.MARK,
        numbers=numbers,
        photograph=photograph,
        is_square_known=classifier.crop is not None,
        maps=maps,
        edges=edges,
        masks=masks,
        verdicts=verdicts(classifier, found),
        rows=_rows(classifier, found),
        areas=[f"{area:.0%}" for area in AREAS],
    )
    (folder / folders.PAGE).write_text(text, "utf-8")


def listing(out: Path) -> str:
    """The page that lists every explanation in a folder.

    Args:
        out: with the folders of explanations.

    Returns:
        The page.
    """
    entries = []
    for file in sorted(out.glob(f"*/{folders.NUMBERS}")):
        numbers = json.loads(file.read_text("utf-8"))
        entries.append({"folder": file.parent.name, **numbers})
    return _template("listing.html").render(entries=entries, mark=folders.MARK)


def class_with_score(classifier: Classifier, found: Explanation, index: int) -> str:
    """A class as people read it.

    Args:
        classifier: that has it.
        found: with its score.
        index: of the class.

    Returns:
        Such as "tabby (281), p 0.39".
    """
    name = short_name(classifier.class_names[index])
    return f"{name} ({index}), p {_score(float(found.p[index]))}"


def verdicts(classifier: Classifier, found: Explanation) -> list[str]:
    """What the numbers say about the masks, in sentences.

    Args:
        classifier: that was explained.
        found: in the photograph.

    Returns:
        The sentences, the weightiest first.
    """
    name = short_name(classifier.class_names[found.target])
    whole, blank = float(found.p[found.target]), found.p_blank
    said = []
    if blank > whole / 2:
        said.append(
            f"The blank alone, a blur of the photograph with nothing shown, already has the class "
            f"{name} with p {_score(blank)}, and the whole photograph with {_score(whole)}: "
            "masks prove nothing here."
        )
    else:
        said.append(
            f"With nothing shown, on a blur of the photograph, p({name}) is {_score(blank)}; of "
            f"the whole photograph {_score(whole)}. What lies between is due to what is shown."
        )
    if found.target != int(found.p.argmax()):
        best = int(found.p.argmax())
        said.append(
            f"{name} is not what the network sees: it predicts "
            f"{short_name(classifier.class_names[best])} with p {_score(float(found.p[best]))}."
        )
    extremal = found.methods.get("extremal")
    if extremal is not None and extremal.control is not None and found.other is not None:
        shown, control = float(extremal.shown.p.max()), float(extremal.control.p.max())
        other = short_name(classifier.class_names[found.other])
        if control > shown / 2:
            said.append(
                f"The same search for {other}, a class drawn at random, finds masks with p "
                f"{_score(control)}: masks for classes that are not there are found just as well, "
                f"and those for {name} should not be believed."
            )
        else:
            said.append(
                f"The same search for {other}, a class drawn at random, reaches p "
                f"{_score(control)}; for {name} it reaches {_score(shown)}."
            )
    blind = [
        METHODS[each].title
        for each, result in found.methods.items()
        if result.agreement > _HARDLY_DIFFERENT
    ]
    if blind:
        said.append(
            f"Maps that hardly depend on the class: {', '.join(blind)}. They order the pixels as "
            f"for another class, with a rank correlation above {_HARDLY_DIFFERENT}."
        )
    return said


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
        "control": control,
        "agreement": _correlation(result.agreement),
        "edges": _correlation(result.edges),
    }


def _masks(found: Explanation, files: _Files) -> list[dict[str, Any]]:
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
                {"picture": picture, "area": f"{area:.0%}", "p": _score(float(p))}
                for picture, area, p in zip(files.masks(name, shown), AREAS, shown.p, strict=True)
            ],
        }
        for name, target, shown in every
    ]


def _rows(classifier: Classifier, found: Explanation) -> list[dict[str, Any]]:
    """What is said to the masks of every map, the controls at the end."""
    rows = [
        {
            "title": METHODS[name].title,
            "p": [*map(_score, map(float, result.shown.p))],
            "control": False,
        }
        for name, result in found.methods.items()
    ]
    rows.append(
        {
            "title": "Edges of the photograph",
            "p": [*map(_score, map(float, found.edges.p))],
            "control": True,
        }
    )
    for name, result in found.methods.items():
        if result.control is not None and found.other is not None:
            other = short_name(classifier.class_names[found.other])
            title = f"{METHODS[name].title}, p({other})"
            p = [*map(_score, map(float, result.control.p))]
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
            "shown": _score(float(found.p[index])),
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
        "class": of_class(found.target),
        "predicted": [of_class(int(index)) for index in order],
        "random_class": None if found.other is None else of_class(found.other),
        "square": crop,
        "areas": [*AREAS],
        "p_whole": _finite(float(found.p[found.target])),
        "p_blank": _finite(found.p_blank),
        "p_blank_of_random_class": None
        if found.other_blank is None
        else _finite(found.other_blank),
        "verdicts": verdicts(classifier, found),
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
    environment.filters["score"] = _score
    return environment.get_template(name)


def _score(p: float) -> str:
    return "<0.01" if 0 < p < 0.005 else f"{p:.2f}"


def _correlation(value: float) -> str | None:
    return f"{value:.2f}" if math.isfinite(value) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
