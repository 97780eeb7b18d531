"""What is typed: every problem is said at once, and before anything heavy is imported."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fitb_jax.command_line import main
from fitb_jax.command_line.arguments import WrongArgumentsError, parse
from fitb_jax.command_line.methods import DEFAULT, METHODS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    Image.new("RGB", (40, 30)).save(file)
    return file


def test_every_problem_is_named_at_once(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.txt").write_text("\n\n")
    (tmp_path / "out").write_text("a file")
    wrong = [photograph, tmp_path / "phota.png", tmp_path / "empty"]
    by_name = ["--weights", "none.pth", "--size", "0", "--seed", "-1", "--background", "2"]
    lists = ["--classes", tmp_path / "none.txt", "--methods", "grad-cm", "rise,xx", photograph]
    assert main(["explain", *map(str, [*wrong, *by_name, *lists])]) == 2
    said = capsys.readouterr().err.splitlines()
    for expected in (
        f"no such file or folder: {tmp_path / 'phota.png'}; did you mean {photograph}?",
        f"no photographs in the folder {tmp_path / 'empty'}",
        "--weights: no such file: none.pth",
        "--size must be at least 1, got 0",
        "--seed must lie in",
        "--background must be blur, mean, a value in [0, 1], or one for each channel as 1,0.5,0, "
        "got 2",
        "none.txt has no names",
        "no method 'grad-cm'; did you mean grad_cam?",
        "no method 'xx'; --list-methods lists them",
        f"no method '{photograph}'; photographs come before --methods",
    ):
        assert any(line.startswith("error: ") and expected in line for line in said), expected
    assert main(["explain", "--methods", "rise", str(photograph)]) == 2
    assert "PHOTO is missing: name photographs or folders, before" in capsys.readouterr().err
    for more, expected in (
        (["--out", str(tmp_path / "out")], "is a file"),
        (["--class", "tabbby"], "the nearest are 281: tabby"),
        (["--model", "no_such_module:net"], "no module no_such_module"),
        (["--model", "json:loads", "--weights", "x"], "json:loads brings its own"),
        (["--methods", "rise", "--all-methods"], "exclude each other"),
        (["--background", "0.1,x"], r"--background must be .* got 0.1,x"),
        (["--mean", *"000"], "--mean and --std belong together"),
        (["--mean", *"000", "--std", *"110"], "--std must be above 0"),
        (["--mean", *"000", "--std", *"111", "--model", "json:loads"], "normalises its images"),
    ):
        with pytest.raises(WrongArgumentsError, match=expected):
            parse(["explain", str(photograph), *more])


def test_the_command_that_is_written_down_can_be_pasted(photograph: Path, tmp_path: Path) -> None:
    given = ["explain", str(photograph), "--out", str(tmp_path / "my maps; 'é'")]
    found = parse(given)
    assert shlex.split(found.command) == ["fitb-jax", *given]


def test_wrong_arguments_are_answered_without_jax() -> None:
    code = (
        "import sys; from fitb_jax.command_line import main; "
        "status = main(['explain', 'nothing.png', '--class', 'tabbby', '--methods', 'x']); "
        "print(status, [m for m in ('jax', 'flax', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert printed.strip() == "2 []"


def test_arguments_are_read(photograph: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "names.txt").write_text("\ufeffone, first\ntwo\n", "utf-8")
    names = ["--classes", str(tmp_path / "names.txt"), "--class", "FIRST"]
    given = ["--methods", "Grad-CAM", "rise,grad_cam", "--out", str(tmp_path / "out"), *names]
    options = parse(["explain", str(tmp_path), *given, str(photograph)][:-1])
    assert options.photographs == ((photograph, tmp_path / "out" / "photo"),)
    assert options.methods == ("grad_cam", "rise")
    assert options.class_names == ("one, first", "two")
    assert options.target == 0
    assert parse(["explain", str(photograph), "--class", "tabby"]).target == 281
    assert parse(["explain", str(photograph)]).methods == DEFAULT
    normalised = parse(["explain", str(photograph), "--mean", *"000", "--std", *"111"])
    assert normalised.normalisation == ((0, 0, 0), (1, 1, 1))
    assert not normalised.whole
    assert parse(["explain", str(photograph), "--whole"]).whole


def test_the_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["explain", "--list-methods"])
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[2:].split()[0] for line in lines[: len(METHODS)]] == [*METHODS]


def test_the_one_name_of_a_binary_network_is_its_yes(photograph: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("dog\n")
    given = ["--model", "my:net", "--head", "binary", "--classes", str(tmp_path / "names.txt")]
    network = tmp_path / "my.py"
    network.write_text("def net():\n    return lambda image: image.sum(keepdims=True)[0, 0]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for asked, place in (("dog", 1), ("not dog", 0), ("1", 1)):
            options = parse(["explain", str(photograph), *given, "--class", asked])
            assert (options.class_names, options.target) == (("not dog", "dog"), place)
