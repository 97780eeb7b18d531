"""Formulas become MathML when the site is built, so that pages need no script from elsewhere."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(page_html: str, **_: Any) -> str:
    """Translate every formula of a page; called by MkDocs.

    Args:
        page_html: with formulas as `pymdownx.arithmatex` leaves them.

    Returns:
        The same with MathML.
    """

    def as_mathml(found: re.Match[str]) -> str:
        display = "inline" if found[2] == "(" else "block"
        return convert(html.unescape(found[3]), display=display)

    return _FORMULA.sub(as_mathml, page_html)
