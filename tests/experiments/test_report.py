from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.registry import EXPERIMENTS
from experiments.report import _as_text, write_report
from tests.experiments.conftest import smoke_run

_SHOWN = ("fill_in", "inr_explain")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, photo_dir: Path) -> Path:
    return smoke_run(tmp_path_factory.mktemp("results"), photo_dir, _SHOWN)


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
    assert len(page.targets) > 4 * len(_SHOWN)
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
    for name in _SHOWN:
        assert f"python -m experiments {name} --smoke" in page.text
        assert EXPERIMENTS[name].title in page.text


def test_what_was_not_run_is_listed_with_its_command(results: Path) -> None:
    text = _parsed(results / "index.html").text
    listed = text.rpartition("Not run")[2]
    for name in EXPERIMENTS:
        assert (f"python -m experiments {name}" in listed) == (name not in _SHOWN)


def test_numbers_are_for_people() -> None:
    assert _as_text({"first": 0.28677, "second": [0.5, 0.25, 0.75]}) == (
        "first 0.287, second 0.500 [0.250, 0.750]"
    )
    assert _as_text([0.25, 3]) == "0.25, 3"


def test_no_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no finished experiment"):
        write_report(tmp_path)


def test_text_from_results_is_escaped(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fill_in"
    folder.mkdir()
    for name in ("config.json", "metrics.json", "arrays.npz"):
        (folder / name).write_bytes((results / "fill_in" / name).read_bytes())
    metrics = folder / "metrics.json"
    metrics.write_text(metrics.read_text().replace("Fill in the blanks", "<script>alert(1)"))
    assert "<script>" not in write_report(tmp_path).read_text()
