"""What MkDocs does besides: formulas, notebooks, published results, the marks of their numbers.

With FITB_JAX_RUN_NOTEBOOKS=1 notebooks are run first, so that their pages show what they print.
"""

import html
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.core import discovery, result_pages

ROOT = Path(__file__).resolve().parents[1]

_CELL = re.compile(r"<td[^>]*>([^<]*)</td>")
_WITHIN_INTERVAL = re.compile(r",\s(?=-?\d+(?:\.\d+)?\])")
_AFTER_RELATION = re.compile(r"(?<=&[gl]t;=)\s(?=\d)")
_LONG_TEXT = 60  # characters of a cell that would stand as a tower of single words
_INLINE_CODE = re.compile(r"(?<!</span>)<code>([^<]+)</code>")
_NAME = re.compile(r'(?<=>)[\w.]+(?=<a class="headerlink")|(?<=-name">)\w+(?=</span>)')
_WITHIN_NAME = re.compile(r"(?<=\w)(?=[._][a-z])")
_WORD = re.compile(r"\S+")
_LONG_WORD = 36  # characters of code that a phone has no room for
_WITHIN_WORD = re.compile(r"(?<=[(,=/])|(?=\.\w{4})")
_IMAGE = re.compile(r'<img [^>]*?src="([^"]+)"[^>]*>')
_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)


def on_config(config: Any) -> Any:
    """List the notebooks, and the pages of results by chapter; called by MkDocs.

    Args:
        config: of the site; its `nav` has empty entries "Tutorials" and "Results".

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
    filled = {
        "Tutorials": [f"tutorials/{path.stem}.md" for path in _notebooks()],
        "Results": [{title: pages} for title, pages in chapters.items() if pages],
    }
    for entry in config["nav"]:
        entry.update(
            {title: pages for title, pages in filled.items() if title in entry}
        )
    return config


def on_files(files: Files, config: Any) -> Files:
    """Write the pages of notebooks and of results; called by MkDocs.

    Args:
        files: of the site.
        config: of the site.

    Returns:
        The same, with a page for each notebook and for each experiment that was published.
    """
    for path in _notebooks():
        for uri, content in _tutorial(path):
            files.append(File.generated(config, f"tutorials/{uri}", content=content))
    for name in result_pages.names():
        uri = f"results/{name}.md"
        if (old := files.get_file_from_path(uri)) is not None:
            files.remove(old)
        files.append(File.generated(config, uri, content=result_pages.page(name)))
    for file in [file for file in files if file.src_uri.startswith("results/")]:
        if file.src_uri.endswith(".json"):
            files.remove(file)
    return files


def _notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def _tutorial(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """The page of a notebook and its pictures, each with its place under tutorials/."""
    notebook = nbformat.read(path, as_version=4)
    if os.environ.get("FITB_JAX_RUN_NOTEBOOKS") == "1":
        places = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        resources = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(notebook, timeout=1200, resources=resources)
        client.execute(env=os.environ | {"PYTHONPATH": places})
    resources = {"output_files_dir": path.stem, "unique_key": path.stem}
    text, made = MarkdownExporter().from_notebook_node(notebook, resources)
    # A page lies beside the guides, and its pictures in a folder beside the page.
    yield f"{path.stem}.md", text.replace("](../docs/", "](../")
    yield from made["outputs"].items()


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take out the marks of quoted numbers, which end a list where they begin a line; by MkDocs.

    Args:
        markdown: of a page.

    Returns:
        The same without comments that name a result.
    """
    return re.sub(r"<!-- result: \w+ -->\s*", "", markdown)


def on_page_content(page_html: str, **_: Any) -> str:
    """Translate every formula of a page, and say where lines may break; called by MkDocs.

    Args:
        page_html: with formulas as `pymdownx.arithmatex` leaves them.

    Returns:
        The same with MathML, and pictures that open in their own size. Intervals of cells and
        options of commands stay on a line, and names that are longer than a line break at a dot.

    Raises:
        ValueError: a command that is not known.
    """

    def as_mathml(found: re.Match[str]) -> str:
        formula = html.unescape(found[3])
        made = convert(formula, display="inline" if found[2] == "(" else "block")
        if ">\\" in made:  # a command that stays as it was written
            raise ValueError(f"a formula is not understood: {formula}")
        if found[2] == "(":
            return made
        # Wider than a phone, a formula scrolls by itself; what scrolls is cut off at its edges.
        style = "overflow-x: auto; padding: .4em 0"
        return f'<div style="{style}">{made}</div>'

    page_html = _CELL.sub(_cell, page_html)
    page_html = _NAME.sub(lambda name: _WITHIN_NAME.sub("<wbr>", name[0]), page_html)
    page_html = _INLINE_CODE.sub(
        lambda code: f"<code>{_WORD.sub(_word, code[1])}</code>", page_html
    )
    page_html = _IMAGE.sub(r'<a href="\1">\g<0></a>', page_html)
    return _FORMULA.sub(as_mathml, page_html)


def _cell(found: re.Match[str]) -> str:
    """A cell whose numbers stay together, and which is wide where its text is long."""
    cell = _WITHIN_INTERVAL.sub(",\N{NO-BREAK SPACE}", found[0])
    cell = _AFTER_RELATION.sub("\N{NO-BREAK SPACE}", cell)
    is_long = len(html.unescape(found[1])) > _LONG_TEXT
    return cell.replace("<td", '<td class="long"', 1) if is_long else cell


def _word(found: re.Match[str]) -> str:
    """A word of code, in one piece if it fits on a line."""
    word = found[0]
    if len(html.unescape(word)) >= _LONG_WORD:
        return _WITHIN_WORD.sub("<wbr>", word)
    return f'<span class="whole">{word}</span>' if set(word) & {"-", "["} else word
