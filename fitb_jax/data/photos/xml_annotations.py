"""The XML annotations of PASCAL VOC, which ImageNet's boxes have as well."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree

from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos import files

_SIDES = ("width", "height")


class XmlObject(NamedTuple):
    """One object.

    Attributes:
        name: of its class.
        box: xmin, ymin, xmax, ymax as they are written.
        difficult: the flag; False where it is not given.
    """

    name: str
    box: tuple[float, float, float, float]
    difficult: bool


class XmlAnnotation(NamedTuple):
    """One file.

    Attributes:
        size: (width, height) of the photograph; None where it is not given.
        objects: in the order of the file.
    """

    size: tuple[int, int] | None
    objects: tuple[XmlObject, ...]


def read(path: Path) -> XmlAnnotation:
    """Read one annotation file. A document type is refused, so that no entity is ever expanded.

    Args:
        path: the file.

    Returns:
        Its size and objects.

    Raises:
        CorruptFileError: the file is absent, no XML, declares a document type, or lacks a value.
    """
    with files.damage_named(path, "an annotation in XML without a document type"):
        try:
            root = SafeTree.parse(path, forbid_dtd=True).getroot()
        except DefusedXmlException as error:
            raise ValueError(f"{type(error).__name__} {error}") from error
    size = root.find("size")
    sides = None
    if size is not None:
        with files.damage_named(path, "a size in pixels"):
            width, height = (files.as_integer(_number(path, size, side)) for side in _SIDES)
        sides = (width, height)
    objects = tuple(_object(path, element) for element in root.findall("object"))
    # Some writers say 0 x 0 for a size they do not know.
    return XmlAnnotation(sides if sides and min(sides) > 0 else None, objects)


def _object(path: Path, element: ElementTree.Element) -> XmlObject:
    box = element.find("bndbox")
    if box is None:
        raise CorruptFileError(path, found="an object without bndbox", expected="its box")
    x0, y0, x1, y1 = (_number(path, box, side) for side in ("xmin", "ymin", "xmax", "ymax"))
    is_difficult = element.find("difficult") is not None
    return XmlObject(
        name=_text(path, element, "name"),
        box=(x0, y0, x1, y1),
        difficult=is_difficult and _number(path, element, "difficult") != 0,
    )


def _text(path: Path, element: ElementTree.Element, tag: str) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise CorruptFileError(path, found=f"{element.tag} without {tag}", expected="its value")
    return text


def _number(path: Path, element: ElementTree.Element, tag: str) -> float:
    text = _text(path, element, tag)
    try:
        number = float(text)
    except ValueError as error:
        raise CorruptFileError(path, found=f"{tag} {text!r}", expected="a number") from error
    if not abs(number) < 2**31:
        raise CorruptFileError(path, found=f"{tag} {text!r}", expected="a finite number of pixels")
    return number
