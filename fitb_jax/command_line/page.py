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

from fitb_jax import __version__, extras, objectives, plotting
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

_HARDLY_SEEN = 0.01
"""p below which a class is as good as not there."""

_NOTABLE = 0.01
"""Difference of p that is worth a sentence."""

_CLEARLY = 0.05
"""Difference of the mean p over sizes from that of the edges that is worth a look."""

_PRESENT = 0.5
"""p from which on a network of several labels says that one is there."""

_SMALLEST = 1e-4
"""p below which nobody asks how much."""

_HARDLY_DIFFERENT = 0.8
"""Rank correlation of the maps of two classes from which on the page says so."""


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
        unit=_unit(classifier),
        background=background_name(classifier),
        blank=_score(classifier, found.p_blank),
        other_blank=None if found.other_blank is None else _score(classifier, found.other_blank),
        maps=maps,
        edges=edges,
        masks=masks,
        verdicts=verdicts(classifier, found),
        likeliest=name_of_likeliest(classifier),
        rows=_rows(classifier, found),
        areas=[f"{area:.0%}" for area in AREAS],
        mirrors=_mirrors(classifier, found),
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


def class_with_score(classifier: Classifier, found: Explanation, index: int) -> str:
    """The name of a class with its score, for people.

    Args:
        classifier: the classifier, with the names of its classes.
        found: the explanation, with the scores.
        index: of the class.

    Returns:
        Such as "tabby (281), p 0.39"; of a regression, "output 12.3".
    """
    name = short_name(classifier.class_names[index])
    return f"{name} ({index}), {_unit(classifier)} {_score(classifier, float(found.p[index]))}"


def name_of_likeliest(classifier: Classifier) -> str:
    """What the class of the largest score is called.

    Args:
        classifier: the classifier, with its head.

    Returns:
        "most probable label" where several labels may be there, else "predicted class".
    """
    return "most probable label" if _has_labels(classifier) else "predicted class"


def verdicts(classifier: Classifier, found: Explanation) -> list[str]:
    """Say in sentences what the numbers mean for the masks.

    Args:
        classifier: the classifier that was explained.
        found: the explanation.

    Returns:
        The sentences, the most important one first.
    """
    said = []
    if found.are_probabilities:
        said.append(
            "The outputs of the network are at least 0 and sum to 1, which logits hardly ever do: "
            "give --head probabilities if that is what they are."
        )
    name = short_name(classifier.class_names[found.target])
    p_whole = float(found.p[found.target])
    whole, blank = _score(classifier, p_whole), _score(classifier, found.p_blank)
    behind = background_name(classifier)
    if not _has_probabilities(classifier):
        said.append(
            f"With nothing shown, on {behind}, {name} is {blank}; of the whole photograph {whole}."
        )
    elif max(p_whole, found.p_blank) < _HARDLY_SEEN:
        said.append(
            f"The network hardly sees {name} here: p {whole} of the whole photograph, and {blank} "
            "with nothing shown. Maps say where it would look for the class, not that it is there."
        )
    elif _blank_has_class(classifier, found):
        said.append(
            f"The blank alone, {behind} with nothing shown, already has {name} with p {blank}, and "
            f"the whole photograph with {whole}: masks prove nothing here. Try another "
            "--background: blur, mean, a value from 0 to 1, or one for each channel."
            + _instead_of_class(classifier, found)
        )
    else:
        said.append(
            f"With nothing shown, on {behind}, p({name}) is {blank}; of the whole "
            f"photograph {whole}. What lies between is due to what is shown."
        )
    if _has_probabilities(classifier):
        reached = max((float(m.shown.p.max()) for m in found.methods.values()), default=0.0)
        has_more = reached > max(p_whole, found.p_blank) + _NOTABLE
        if has_more and not _blank_has_class(classifier, found):
            against = "against it" if _has_labels(classifier) else "for other classes"
            said.append(
                f"Some parts have more than the whole photograph, up to "
                f"{_score(classifier, reached)}: what they hide may speak {against}."
            )
        said += _on_other_classes(classifier, found)
    blind = [
        f"{METHODS[each].title} ({result.agreement:.2f})"
        for each, result in found.methods.items()
        if _is_blind(classifier, result, found)
    ]
    if blind:
        said.append(
            f"Maps that hardly depend on the class: {', '.join(blind)}. They order the pixels as "
            f"for another class, with a rank correlation above {_HARDLY_DIFFERENT}."
        )
    if _best(found) >= _HARDLY_SEEN and not _blank_has_class(classifier, found):
        said += _beside_edges(classifier, found)
    return said


def background_name(classifier: Classifier) -> str:
    """What masks are shown on, in words.

    Args:
        classifier: the classifier, with its background.

    Returns:
        Such as "a blur of the photograph".
    """
    named = {"blur": "a blur of the photograph", "mean": "its mean colour"}
    background = classifier.background
    if isinstance(background, str):
        return named[background]
    if isinstance(background, tuple):
        return f"the colour ({', '.join(f'{value:g}' for value in background)})"
    return {0.0: "black", 1.0: "white"}.get(background, f"the value {background:g}")


def _on_other_classes(classifier: Classifier, found: Explanation) -> list[str]:
    def of(index: int) -> tuple[str, float, str]:
        p = float(found.p[index])
        return short_name(classifier.class_names[index]), p, _score(classifier, p)

    said = []
    name, p_name, _ = of(found.target)
    if _has_labels(classifier):
        if _HARDLY_SEEN <= p_name < _PRESENT:
            said.append(
                f"For the network {name} is rather absent than present. Maps and masks show what "
                "speaks for it all the same. The guide on heads says how to ask why it is absent."
            )
    elif found.target != (best := int(found.p.argmax())):
        predicted, _, p_predicted = of(best)
        said.append(
            f"{name} is not what the network sees most: that is {predicted}, with p {p_predicted}."
        )
    extremal = found.methods.get("extremal")
    if extremal is not None and not _blank_has_class(classifier, found):
        said += _on_masks(classifier, found, extremal)
    return said


def _beside_edges(classifier: Classifier, found: Explanation) -> list[str]:
    """How every map does beside the edges, and what to do next."""
    unit, name = _unit(classifier), short_name(classifier.class_names[found.target])
    # Of quantities nobody knows which difference is clear.
    is_advised = _has_probabilities(classifier) and found.p[found.target] >= _HARDLY_SEEN
    control = float(found.edges.p.mean())
    more: list[str] = []
    no_more: list[str] = []
    first: list[str] = []
    for each, result in found.methods.items():
        title, mean = METHODS[each].title, float(result.shown.p.mean())
        is_more = mean > control
        (more if is_more else no_more).append(f"{title} {_score(classifier, mean)}")
        proves_little = each == "extremal" and _is_found_for_the_absent(classifier, found, result)
        is_clear = mean > control + _CLEARLY
        if is_clear and not _is_blind(classifier, result, found) and not proves_little:
            first.append(title)
    said = [
        f"In the mean over sizes, the edges of the photograph have {unit}({name}) "
        f"{_score(classifier, control)}."
        + (f" More: {', '.join(more)}." if more else "")
        + (f" No more: {', '.join(no_more)}." if no_more else "")
        + " This asks what is enough on this background, and not where the object is."
        + (
            " Extremal masks are searched to have much of it."
            if "extremal" in found.methods
            else ""
        )
    ]
    if not is_advised:
        return said
    if first:
        said.append(
            f"Look first at {', '.join(first)}. Then run it with another --seed and --out: it "
            "draws another control, and what changes in a map is chance. One photograph proves "
            "little."
        )
    elif found.methods:
        said.append(
            f"No map has both clearly more p than the edges, by {_CLEARLY:g}, and another map for "
            "another class. Try other --methods, or another --background."
        )
    return said


def _best(found: Explanation) -> float:
    """The largest score of a part that a map or the edges put first."""
    parts = (found.edges, *(result.shown for result in found.methods.values()))
    return float(max(part.p.max() for part in parts))


def _is_blind(classifier: Classifier, result: MethodResult, found: Explanation) -> bool:
    """Whether the map hardly depends on the class."""
    return result.agreement > _HARDLY_DIFFERENT and not _mirrors(classifier, found)


def _mirrors(classifier: Classifier, found: Explanation) -> bool:
    """Whether what speaks for one class speaks against the other, so that maps may be alike."""
    return len(found.p) == 2 and not _has_labels(classifier)


def _instead_of_class(classifier: Classifier, found: Explanation) -> str:
    """What to do where one of two classes is what any background has, such as a "no"."""
    if not _mirrors(classifier, found):
        return ""
    other = 1 - found.target
    name = short_name(classifier.class_names[other])
    return f" Of two classes, most backgrounds have one: try --class {other} for “{name}”."


def _is_found_for_the_absent(
    classifier: Classifier, found: Explanation, extremal: MethodResult
) -> bool:
    """Whether the search for masks finds the class drawn at random as well."""
    if extremal.control is None or found.other is None or not _has_probabilities(classifier):
        return False
    if _blank_has_class(classifier, found, of_other=True):
        return False  # not found: it is there without a mask
    control = float(extremal.control.p.max())
    return control > max(float(extremal.shown.p.max()) / 2, 2 * float(found.p[found.other]))


def _on_masks(classifier: Classifier, found: Explanation, extremal: MethodResult) -> list[str]:
    """What was found by the search, and by the same search for the other class."""
    name, most = short_name(classifier.class_names[found.target]), float(extremal.shown.p.max())
    said = []
    if most < _HARDLY_SEEN:
        said.append(f"No mask of {name} reaches p {_HARDLY_SEEN:g}: the search found nothing.")
    if extremal.control is None or found.other is None or found.other_blank is None:
        return said
    other = short_name(classifier.class_names[found.other])
    kind = "label" if _has_labels(classifier) else "class"
    drawn = f"the other {kind}" if len(found.p) == 2 else f"a {kind} drawn at random"
    p_other, control = float(found.p[found.other]), float(extremal.control.p.max())
    shown, reached, p_whole = _scores(classifier, np.array([most, control, p_other]))
    area_of_other = AREAS[int(np.argmax(extremal.control.p))]
    search = (
        f"The same search for masks of {other}, {drawn}, reaches p {reached} at best, with "
        f"{area_of_other:.0%} of the square"
    )
    if _blank_has_class(classifier, found, of_other=True):
        said.append(
            f"The search for masks has no control: p of “{other}”, {drawn}, is "
            f"{_score(classifier, found.other_blank)} on the background alone, and {p_whole} on "
            "the whole photograph."
        )
    elif most < _HARDLY_SEEN:
        said.append(f"{search}.")
    elif _is_found_for_the_absent(classifier, found, extremal):
        said.append(
            f"{search}, and the whole photograph has it with {p_whole}. So masks are found for "
            f"what is not there, and those of {name}, with p {shown}, prove little."
        )
    else:
        area = AREAS[int(np.argmax(extremal.shown.p))]
        said.append(f"{search}. For {name} it reaches {shown}, with {area:.0%}.")
    if seen_from := int(np.argmax(extremal.shown.p >= _HARDLY_SEEN)):
        said.append(
            f"{AREAS[seen_from - 1]:.0%} of the square that the network sees is too little: "
            f"through this mask the "
            f"network hardly sees {name}. Look at the larger ones."
        )
    return said


def _blank_has_class(classifier: Classifier, found: Explanation, *, of_other: bool = False) -> bool:
    """Whether the background alone has the class, so that masks prove nothing."""
    if not _has_probabilities(classifier):
        return False
    index = found.other if of_other else found.target
    blank = found.other_blank if of_other else found.p_blank
    if index is None or blank is None:
        return False
    chance = objectives.chance_of(classifier.head.score, len(found.p))
    p = float(found.p[index])
    hardly = max(p, blank) < _HARDLY_SEEN
    return not hardly and bool(objectives.blank_has_class(blank, p, chance=chance))


def _has_labels(classifier: Classifier) -> bool:
    return classifier.head.score is objectives.sigmoid_prob


def _has_probabilities(classifier: Classifier) -> bool:
    return classifier.head.score is not objectives.output


def _unit(classifier: Classifier) -> str:
    return "p" if _has_probabilities(classifier) else "output"


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
                    files.masks(name, shown), AREAS, _scores(classifier, shown.p), strict=True
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
            "p": _scores(classifier, result.shown.p),
            "control": False,
        }
        for name, result in found.methods.items()
    ]
    rows.append(
        {
            "title": "Edges of the photograph",
            "p": _scores(classifier, found.edges.p),
            "control": True,
        }
    )
    for name, result in found.methods.items():
        if result.control is not None and found.other is not None:
            other = short_name(classifier.class_names[found.other])
            title = f"{METHODS[name].title}, {_unit(classifier)}({other})"
            p = _scores(classifier, result.control.p)
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
            "shown": _score(classifier, float(found.p[index])),
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
        "unit": _unit(classifier),
        "class": of_class(found.target),
        "predicted": [of_class(int(index)) for index in order],
        "random_class": None if found.other is None else of_class(found.other),
        "square": crop,
        "areas": [*AREAS],
        "background": classifier.background,
        "hardly_different": _HARDLY_DIFFERENT,
        "classes": len(found.p),
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
    return environment.get_template(name)


def _score(classifier: Classifier, p: float) -> str:
    if not _has_probabilities(classifier):
        return f"{p:.3g}"
    if 0 < p < _SMALLEST:
        return f"<{_SMALLEST:.4f}"
    return f"{p:.1g}" if 0 < p < 0.01 else f"{p:.2f}"


def _scores(classifier: Classifier, p: np.ndarray) -> list[str]:
    return [_score(classifier, float(each)) for each in p]


def _correlation(value: float) -> str | None:
    # Without the sign of -0.00.
    return f"{round(value, 2) + 0.0:.2f}" if math.isfinite(value) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
