"""What the numbers of an explanation mean, in words: for the page and for the terminal."""

import numpy as np

from fitb_jax import objectives
from fitb_jax.class_names import short_name
from fitb_jax.command_line.explaining import AREAS, Explanation, MethodResult
from fitb_jax.command_line.loading import Classifier
from fitb_jax.command_line.methods import METHODS

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

HARDLY_DIFFERENT = 0.8
"""Rank correlation of the maps of two classes from which on the page says so."""


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
    return (
        f"{name} ({index}), {unit_of(classifier)} {shown_score(classifier, float(found.p[index]))}"
    )


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
    whole, blank = shown_score(classifier, p_whole), shown_score(classifier, found.p_blank)
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
                f"{shown_score(classifier, reached)}: what they hide may speak {against}."
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
            f"for another class, with a rank correlation above {HARDLY_DIFFERENT}."
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
        return short_name(classifier.class_names[index]), p, shown_score(classifier, p)

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
    unit, name = unit_of(classifier), short_name(classifier.class_names[found.target])
    # Of quantities nobody knows which difference is clear.
    is_advised = _has_probabilities(classifier) and found.p[found.target] >= _HARDLY_SEEN
    control = float(found.edges.p.mean())
    more: list[str] = []
    no_more: list[str] = []
    first: list[str] = []
    for each, result in found.methods.items():
        title, mean = METHODS[each].title, float(result.shown.p.mean())
        is_more = mean > control
        (more if is_more else no_more).append(f"{title} {shown_score(classifier, mean)}")
        proves_little = each == "extremal" and _is_found_for_the_absent(classifier, found, result)
        is_clear = mean > control + _CLEARLY
        if is_clear and not _is_blind(classifier, result, found) and not proves_little:
            first.append(title)
    said = [
        f"In the mean over sizes, the edges of the photograph have {unit}({name}) "
        f"{shown_score(classifier, control)}."
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
    return result.agreement > HARDLY_DIFFERENT and not are_opposites(classifier, found)


def are_opposites(classifier: Classifier, found: Explanation) -> bool:
    """Whether there are two classes that exclude each other, so that maps of both may look alike.

    Args:
        classifier: the classifier, with its head.
        found: the explanation.

    Returns:
        True for a "yes" and a "no"; False for two labels.
    """
    return len(found.p) == 2 and not _has_labels(classifier)


def _instead_of_class(classifier: Classifier, found: Explanation) -> str:
    """What to do where one of two classes is what any background has, such as a "no"."""
    if not are_opposites(classifier, found):
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
    shown, reached, p_whole = shown_scores(classifier, np.array([most, control, p_other]))
    area_of_other = AREAS[int(np.argmax(extremal.control.p))]
    search = (
        f"The same search for masks of {other}, {drawn}, reaches p {reached} at best, with "
        f"{area_of_other:.0%} of the square"
    )
    if _blank_has_class(classifier, found, of_other=True):
        said.append(
            f"The search for masks has no control: p of “{other}”, {drawn}, is "
            f"{shown_score(classifier, found.other_blank)} on the background alone, and {p_whole} "
            "on the whole photograph."
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
            f"through this mask the network hardly sees {name}. Look at the larger ones."
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


def unit_of(classifier: Classifier) -> str:
    """What the scores of a classifier are.

    Args:
        classifier: the classifier, with its head.

    Returns:
        "p", or "output" for a regression.
    """
    return "p" if _has_probabilities(classifier) else "output"


def shown_score(classifier: Classifier, p: float) -> str:
    """A score as people read it.

    Args:
        classifier: the classifier, with its head.
        p: the score.

    Returns:
        A probability with two decimals, or one digit where it is below 0.01; of a regression three
        digits.
    """
    if not _has_probabilities(classifier):
        return f"{p:.3g}"
    if 0 < p < _SMALLEST:
        return f"<{_SMALLEST:.4f}"
    return f"{p:.1g}" if 0 < p < 0.01 else f"{p:.2f}"


def shown_scores(classifier: Classifier, p: np.ndarray) -> list[str]:
    """See `shown_score`."""
    return [shown_score(classifier, float(each)) for each in p]
