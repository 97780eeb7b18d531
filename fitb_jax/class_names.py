"""Classes by name, as people type them."""

import difflib
import re
from collections.abc import Iterator, Sequence

_MOST_NEAREST = 5

_FEW = 10
"""Names that are all listed, where none of them is near."""


def find_class(wanted: str, names: Sequence[str], *, wordnet_ids: Sequence[str] = ()) -> int:
    """The index of the one class that is meant.

    Args:
        wanted: what a person typed, in upper or lower case. It is looked up, in this order, as a
            name or one of its synonyms, an index, a WordNet id, and words of one name only.
        names: of the classes, in the order of the logits; synonyms are separated by commas.
        wordnet_ids: of the classes in the same order, such as "n02123045"; may be empty.

    Returns:
        The index, in [0, len(names)).

    Raises:
        ValueError: no class fits (the message lists the nearest names), or several do (it lists
            all of them).
    """
    text = wanted.strip().casefold()
    if not text:
        raise ValueError("class must be a name or an index, got nothing")
    synonyms = [*_synonyms(names)]
    if found := sorted({index for index, synonym in synonyms if synonym == text}):
        return _only(found, names, wanted)
    if re.fullmatch(r"[+-]?\d+", text):
        if 0 <= int(text) < len(names):
            return int(text)
        raise ValueError(f"class must lie in [0, {len(names)}) or be a name, got {wanted}")
    if text in wordnet_ids:
        return wordnet_ids.index(text)
    words = re.compile(rf"\b{re.escape(text)}\b")
    if found := [index for index, name in enumerate(names) if words.search(name.casefold())]:
        return _only(found, names, wanted)
    near = difflib.get_close_matches(text, [synonym for _, synonym in synonyms], n=_MOST_NEAREST)
    places = dict.fromkeys(index for each in near for index, name in synonyms if name == each)
    if not near and len(names) > _FEW:
        hint = f"none of {len(names)} is near to it"
    else:
        listed = "; ".join(f"{index}: {names[index]}" for index in places or range(len(names)))
        hint = f"{'the nearest' if near else 'the classes'} are {listed}"
    raise ValueError(f"class must be a name or an index, got {wanted!r}; {hint}")


def short_name(name: str) -> str:
    """The first of the synonyms in the name of a class.

    Args:
        name: of a class, such as "tabby, tabby cat".

    Returns:
        What comes before the first comma.
    """
    return name.split(",")[0].strip()


def _synonyms(names: Sequence[str]) -> Iterator[tuple[int, str]]:
    for index, name in enumerate(names):
        yield index, name.casefold()
        for synonym in name.split(","):
            yield index, synonym.strip().casefold()


def _only(found: Sequence[int], names: Sequence[str], wanted: str) -> int:
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{index}: {names[index]}" for index in found)
    raise ValueError(
        f"class must be one of {len(found)} that {wanted!r} may mean; give the index: {listed}"
    )
