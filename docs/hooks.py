"""What MkDocs does besides: formulas, pages of published results, the marks of their numbers."""

import html
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.core import discovery, result_pages

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: Any) -> Any:
    """List the pages of results, chapter by chapter; called by MkDocs.

    Args:
        config: of the site; its `nav` has an empty entry "Results".

    Returns:
        The same.
    """
    every = discovery.experiments()
    chapters = {
        title: [
            {every[name].title: f"results/{name}.md"}
            for name in result_pages.names()
            if every[name].chapter == chapter
        ]
        for chapter, title in discovery.CHAPTERS.items()
    }
    place = next(i for i, entry in enumerate(config["nav"]) if "Results" in entry)
    config["nav"][place] = {
        "Results": [{title: pages} for title, pages in chapters.items() if pages]
    }
    return config


def on_files(files: Files, config: Any) -> Files:
    """Write the pages of results; called by MkDocs.

    Args:
        files: of the site.
        config: of the site.

    Returns:
        The same, with a page for each experiment that was published.
    """
    for name in result_pages.names():
        uri = f"results/{name}.md"
        if (old := files.get_file_from_path(uri)) is not None:
            files.remove(old)
        files.append(File.generated(config, uri, content=result_pages.page(name)))
    for file in [file for file in files if file.src_uri.startswith("results/")]:
        if file.src_uri.endswith(".json"):
            files.remove(file)
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take out the marks of quoted numbers, which end a list where they begin a line; by MkDocs.

    Args:
        markdown: of a page.

    Returns:
        The same without comments that name a result.
    """
    return re.sub(r"<!-- result: \w+ -->\s*", "", markdown)


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
        # Wider than a phone, a formula scrolls by itself; what scrolls is cut off at its edges.
        style = "overflow-x: auto; padding: .4em 0"
        return f'<div style="{style}">{convert(formula, display="block")}</div>'

    return _FORMULA.sub(as_mathml, page_html)
