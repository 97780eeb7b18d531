"""Numbers in the documentation are those of published results, which have pages."""

import json
import re
from pathlib import Path

import pytest

from experiments.core import discovery, result_pages

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INTERVAL = re.compile(r"-?\d+\.\d+ \[-?\d+\.\d+, -?\d+\.\d+\]")


def test_every_quoted_number_is_on_the_page_of_its_result() -> None:
    wrong = [
        f"{page.name}: {number} is not on the page of {name}"
        for page in PAGES
        for name, number in result_pages.quoted(page.read_text())
        if not result_pages.holds(name, number)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_interval_is_typed_without_its_result() -> None:
    unmarked = []
    for page in PAGES:
        text = page.read_text()
        marked = {number for _, number in result_pages.quoted(text)}
        unmarked += [f"{page.name}: {i}" for i in INTERVAL.findall(text) if i not in marked]
    assert not unmarked, "\n".join(unmarked)


def test_numbers_to_expect_are_those_published() -> None:
    """Of runs that were published as data; every interval that a docstring expects."""
    wrong = [
        f"{name}: {number}"
        for name, listed in discovery.experiments().items()
        for number in INTERVAL.findall(listed.expected)
        if not result_pages.holds(name, number)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_published_is_of_a_commit_and_has_a_page() -> None:
    every = discovery.experiments()
    for path in sorted(result_pages.FOLDER.glob("*.*")):
        name = path.name.split(".")[0]
        assert name in every, path.name
        if path.suffix == ".json":
            text = path.read_text()
            assert not re.search(r"""(^|[\s="'])/\w+/""", text), f"{name}: a path of a machine"
            made_by = json.loads(text)["made_by"]
            assert re.fullmatch(r"[0-9a-f]{40}", made_by["commit"]), name
            assert made_by["command"].startswith("python -m experiments"), name
    for name in result_pages.names():
        page = result_pages.page(name)
        assert page.startswith(f"# {every[name].regenerates}: "), name


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of published results with one run and one page of earlier tables."""
    monkeypatch.setattr(result_pages, "FOLDER", tmp_path)
    run = {
        "caption": "A caption.",
        "numbers": {"accuracy": {"estimate": 0.9755, "low": 0.96, "high": 0.98}},
        "tables": {
            "means": {
                "columns": ["method", "mean"],
                "rows": [["gradient", {"estimate": 0.5326, "low": 0.4217, "high": 0.6418}]],
            }
        },
        "notes": ["a note"],
        "photographs": ["a<b.jpg", "c.jpg"],
        "made_by": {
            "command": "python -m experiments fill_in",
            "commit": "0" * 40,
            "device": "cpu",
            "versions": {"jax": "0.10.1"},
        },
    }
    (tmp_path / "fill_in.json").write_text(json.dumps(run))
    (tmp_path / "roar.md").write_text("| a | 0.125 |")
    return tmp_path


def test_a_page_has_the_numbers_with_their_intervals(results: Path) -> None:
    page = result_pages.page("fill_in")
    assert "| gradient | 0.533 [0.422, 0.642] |" in page
    assert "| accuracy | 0.976 [0.960, 0.980] |" in page
    assert "commit 000000000000, cpu, jax 0.10.1" in page
    assert "The 2 photographs</summary>a&lt;b.jpg, c.jpg</details>" in page
    assert "0.125" in result_pages.page("roar")
    assert result_pages.names() == ["fill_in", "roar"]


def test_a_further_run_has_figures_of_its_own_on_the_page(results: Path) -> None:
    run = json.loads((results / "fill_in.json").read_text())
    (results / "fill_in.wide.json").write_text(json.dumps({**run, "caption": "Of another."}))
    for name in ("fill_in.maps", "fill_in.wide.maps"):
        (results / f"{name}.webp").touch()
    first, further = result_pages.page("fill_in").split("## Another run: wide")
    assert "(fill_in.maps.webp)" in first
    assert "wide" not in first
    assert "Of another." in further
    assert "(fill_in.wide.maps.webp)" in further


def test_a_number_holds_if_the_page_rounds_to_it(results: Path) -> None:
    for number in ("0.533 [0.422, 0.642]", "0.53 [0.42, 0.64]", "0.53", "0.98"):
        assert result_pages.holds("fill_in", number), number
    for number in ("0.534 [0.422, 0.642]", "0.53 [0.42, 0.66]", "0.61"):
        assert not result_pages.holds("fill_in", number), number
    assert result_pages.holds("roar", "0.125")
    assert not result_pages.holds("stability", "0.125"), "nothing is published of it"


def test_numbers_are_quoted_with_the_name_of_their_result() -> None:
    text = (
        "It is <!-- result: fill_in --> 0.53 [0.42, 0.64], or <!-- result: roar -->-0.1. Not 0.7."
    )
    assert result_pages.quoted(text) == [("fill_in", "0.53 [0.42, 0.64]"), ("roar", "-0.1")]
