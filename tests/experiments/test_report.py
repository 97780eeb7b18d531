"""The page of all figures, and what `reproduce` does not run again."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.core import artefact
from experiments.core.report import write_report
from experiments.core.result_pages import text
from tests.experiments import checks

NAMES = ["fill_in", "inr_explain"]


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            if name == "id" and value:
                self.ids.add(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def _parsed(page: Path) -> _References:
    parser = _References()
    parser.feed(page.read_text())
    return parser


def test_every_link_and_image_exists(results: Path) -> None:
    page = _parsed(results / "index.html")
    assert len(page.targets) > 4 * len(NAMES)
    for target in page.targets:
        if target.startswith("#"):
            assert target[1:] in page.ids
        else:
            assert (results / target).is_file(), target


def test_every_figure_is_on_the_page_with_its_command(results: Path) -> None:
    page = _parsed(results / "index.html")
    figures = {
        f"{path.parent.name}/{path.name}"
        for kind in ("png", "gif")
        for path in results.glob(f"*/*.{kind}")
    }
    assert any(figure.endswith(".gif") for figure in figures)
    assert figures <= set(page.targets)
    for name in NAMES:
        assert f"python -m experiments {name} --smoke" in page.text
        assert checks.EVERY[name].title in page.text


def test_what_was_not_run_is_listed_with_its_command(results: Path) -> None:
    listed = _parsed(results / "index.html").text.rpartition("Not run")[2]
    for name in checks.EVERY:
        assert (f"python -m experiments {name}" in listed) == (name not in NAMES)


def test_numbers_are_for_people() -> None:
    interval = {"estimate": 0.5, "low": 0.25, "high": 0.75}
    assert text({"first": 0.28677, "second": interval}) == (
        "first 0.287, second 0.500 [0.250, 0.750]"
    )
    assert text([0.25, 3]) == "0.25, 3"


def test_no_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no finished experiment"):
        write_report(tmp_path)


def test_reproduce_skips_what_is_up_to_date(
    results: Path, photo_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefact, "_commit", lambda: "abc")
    checks.smoke_run(results, photo_dir, ["fill_in"])
    file = results / "fill_in" / artefact.RESULTS
    written = file.stat().st_mtime_ns
    checks.smoke_run(results, photo_dir, ["fill_in"])
    assert file.stat().st_mtime_ns == written
