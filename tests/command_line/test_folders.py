"""Folders of explanations: one for each photograph, whole, and not overwritten unasked."""

import contextlib
from pathlib import Path

import pytest

from fitb_jax.command_line import folders
from fitb_jax.command_line.page import listing


def test_photographs_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    files = [Path("a/cat.png"), Path("a/cat.jpg"), Path("b/Cat.png"), Path("cat_2.png")]
    places = folders.plan(files, tmp_path, overwrite=False)
    assert [place.name for place in places] == ["cat", "cat_3", "Cat_4", "cat_2"]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match="no explanation; choose another --out"):
        folders.plan([Path("cat.png")], tmp_path, overwrite=True)
    (tmp_path / "cat" / folders.NUMBERS).touch()
    with pytest.raises(ValueError, match="give --overwrite"):
        folders.plan([Path("cat.png")], tmp_path, overwrite=False)
    assert folders.plan([Path("cat.png")], tmp_path, overwrite=True) == [tmp_path / "cat"]
    (tmp_path / folders.PAGE).write_text("my page")
    with pytest.raises(ValueError, match="another page than one of this command"):
        folders.plan([Path("cat.png")], tmp_path, overwrite=True)


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with (
        contextlib.suppress(KeyboardInterrupt),
        folders.whole_or_not_at_all(tmp_path / "cat") as part,
    ):
        (part / "page").write_text("half")
        raise KeyboardInterrupt
    assert not [*tmp_path.iterdir()]
    for content in ("first", "second"):
        with folders.whole_or_not_at_all(tmp_path / "cat") as part:
            (part / content).touch()
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [
        Path("cat"),
        Path("cat/second"),
    ]


def test_the_list_has_our_explanations_and_the_place_of_its_page(tmp_path: Path) -> None:
    older = '{"photograph": "x", "class": "cat", "unit": "p", "model": "m"}'
    written = {"another": "{}", "damaged": "{", "empty": "[]", "older": older}
    for name, text in written.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / folders.NUMBERS).write_text(text)
    assert not any(name in listing(tmp_path) for name in written)
    assert folders.plan([Path("index.html.png")], tmp_path, False)[0].name != folders.PAGE
