"""The command from end to end, on a classifier whose answers are known."""

import contextlib
import errno
import io
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from fitb_jax.command_line import main, page
from tests.command_line import networks

P_LEFT = np.exp(4) / (np.exp(4) + 2)
"""Of a photograph whose left half is red."""


class Run(NamedTuple):
    """What the command did."""

    status: int
    out: Path
    printed: str
    arguments: list[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("photographs")
    picture = Image.new("RGB", (128, 64))
    picture.paste((255, 0, 0), (0, 0, 64, 64))
    picture.save(folder / "red.png")
    # The same, lying on its side as a camera stores it.
    turned, note = picture.rotate(90, expand=True), Image.Exif()
    note[0x112] = 6
    turned.save(folder / "red.tif", exif=note)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photograph")
    names = folder / "names.txt"
    names.write_text("\n".join(networks.NAMES))
    model = ["--model", f"{networks.__name__}:halves", "--size", "32", "--classes", str(names)]
    methods = ["--methods", "gradient", "extremal", "grad_cam"]
    arguments = ["explain", str(folder), *model, "--out", str(folder / "out"), *methods]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main(arguments)
    return Run(status, folder / "out", printed.getvalue(), arguments)


def test_what_can_be_explained_is_and_the_rest_is_reported(run: Run) -> None:
    assert run.status == 1
    assert sorted(path.name for path in run.out.iterdir()) == ["index.html", "red", "red_2"]
    assert re.search(r"broken\.jpg: left out: image .* cannot be read", run.printed)
    assert "Grad-CAM: left out: " in run.printed
    assert "a blur of the photograph" in run.printed, "what the page says, for whom has none"
    assert f"red.png: left (0), p {P_LEFT:.2f}" in run.printed
    assert str(run.out / "red" / "index.html") in run.printed
    listing = (run.out / "index.html").read_text()
    assert 'href="red/index.html"' in listing
    assert 'href="red_2/index.html"' in listing


@pytest.mark.parametrize("name", ["red", "red_2"])
def test_the_numbers_are_right(run: Run, name: str) -> None:
    numbers = json.loads((run.out / name / "explanation.json").read_text())
    assert numbers["class"]["name"] == "left, left half"
    assert numbers["p_whole"] == pytest.approx(P_LEFT, abs=1e-3)
    assert numbers["square"] == {
        "left": 36, "top": 4, "side": 56, "size": 32, "width": 128, "height": 64,
    }  # fmt: skip
    # A blur has as much red as the photograph, and nearly all of it in the left half.
    assert numbers["p_blank"] > numbers["p_whole"] / 2
    assert "masks prove nothing here" in numbers["verdicts"][0]
    assert numbers["random_class"]["index"] in (1, 2)
    assert [*numbers["methods"]] == ["gradient", "extremal"]
    assert [*numbers["left_out"]] == ["Grad-CAM"]
    assert all(0 < p < 1 for p in numbers["methods"]["extremal"]["p"])


def test_the_arrays_are_right(run: Run) -> None:
    expected = np.abs(networks.weights()[..., 0]).sum(-1)
    np.testing.assert_allclose(np.load(run.out / "red" / "gradient.npy"), expected, rtol=1e-5)
    masks = np.load(run.out / "red" / "extremal_masks.npy")
    np.testing.assert_array_equal(
        masks.sum((1, 2)), np.round(32 * 32 * np.array([5, 10, 20, 40]) / 100)
    )
    whole = np.asarray(Image.open(run.out / "red" / "gradient_on_photograph.png"))
    assert whole.shape == (64, 128, 3)
    # The photograph is grey and dark where it is not seen; the map is of the left half.
    assert len(np.unique(whole[:, :36].reshape(-1, 3), axis=0)) == 1
    assert whole[30, 50].sum() > whole[30, 78].sum()
    for kind in ("gradient", "gradient_random_class", "edges", "extremal"):
        assert (run.out / "red" / f"{kind}.npy").is_file()
        assert (run.out / "red" / f"{kind}.png").is_file()


def test_the_page_stands_alone(run: Run) -> None:
    page = (run.out / "red" / "index.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 14
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert not re.search(r"https?:|url\(|@import|<script|<link", page)
    assert "masks prove nothing here" in page
    assert "Grad-CAM was left out" in page


def test_nothing_is_overwritten_unasked(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run.out / "red" / "explanation.json").stat().st_mtime_ns
    assert main(run.arguments) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert (run.out / "red" / "explanation.json").stat().st_mtime_ns == before


def test_it_is_replaced_by_request(run: Run) -> None:
    some = [*run.arguments[:-4], "--methods", "gradient", "--class", "neither", "--overwrite"]
    assert main([*some, "--background", "0,0,0"]) == 1  # the broken one
    numbers = json.loads((run.out / "red" / "explanation.json").read_text())
    assert numbers["class"]["index"] == 2
    # Nothing but black is shown, and then the three classes are alike.
    assert numbers["p_blank"] == pytest.approx(1 / 3, abs=1e-3)
    assert "on the colour (0, 0, 0)." in (run.out / "red" / "index.html").read_text()
    assert "neither is not what the network sees most: that is left" in numbers["verdicts"][1]
    assert not (run.out / "red" / "extremal.npy").exists()
    assert not [path for path in run.out.iterdir() if path.name.startswith(".")]


def _explained(folder: Path, network: str, *methods: str) -> tuple[int, str]:
    model = [
        "--model",
        f"{networks.__name__}:{network}",
        "--size",
        "32",
        "--out",
        str(folder / "o"),
    ]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main(["explain", str(folder), *model, "--methods", *methods])
    return status, printed.getvalue()


def test_what_is_not_finite_is_left_out_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "dark.png")
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "red.png")
    status, printed = _explained(tmp_path, "nan_of_dark", "gradient", "occlusion")
    assert status == 1
    assert "dark.png: left out: the classifier's outputs for it are not finite" in printed
    assert "red.png: Gradient: left out: its map is not finite" in printed
    numbers = json.loads((tmp_path / "o" / "red" / "explanation.json").read_text())
    assert [*numbers["methods"]] == ["occlusion"]
    assert "its map is not finite" in (tmp_path / "o" / "red" / "index.html").read_text()
    assert not (tmp_path / "o" / "dark").exists()


def test_a_method_that_cannot_be_compiled_leaves_the_others(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / "red.png")
    status, printed = _explained(tmp_path, "without_derivative", "gradient", "occlusion")
    assert status == 1
    assert re.search("Gradient: left out: .*JVP", printed)
    numbers = json.loads((tmp_path / "o" / "red" / "explanation.json").read_text())
    assert [*numbers["methods"]] == ["occlusion"]


def test_a_full_disk_and_a_strange_name_leave_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (b"a.png", b"b\xff.png", b"c.png"):
        Image.new("RGB", (32, 32), (255, 0, 0)).save(tmp_path / os.fsdecode(name))
    write = page.write

    def full_for_a(folder: Path, facts: page.Facts, *rest: Any) -> None:
        write(folder, facts, *rest)
        if facts.photograph == "a.png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(page, "write", full_for_a)
    status, printed = _explained(tmp_path, "halves", "gradient")
    assert status == 1
    assert "a.png: left out: [Errno 28] No space left on device" in printed
    out = tmp_path / "o"
    assert sorted(map(os.fsencode, os.listdir(out))) == [b"b\xff", b"c", b"index.html"]
    listing = (out / "index.html").read_text()
    assert 'href="b%FF/index.html"' in listing
    assert 'href="c/index.html"' in listing
