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
        formula = html.unescape(found[3])
        if found[2] == "(":
            return convert(formula, display="inline")
        # Wider than a phone, a formula scrolls by itself.
        return f'<div style="overflow-x: auto">{convert(formula, display="block")}</div>'

    return _FORMULA.sub(as_mathml, page_html)
