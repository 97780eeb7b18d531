import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fitb_jax.data import CorruptFileError
from fitb_jax.data.photos import files
from tests.data.photos import layouts


def _encoded(image_format: str) -> bytes:
    buffer = io.BytesIO()
    layouts.picture(0, 20, 16).save(buffer, image_format)
    return buffer.getvalue()


WHOLE = [_encoded(name) for name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM")]


@pytest.mark.filterwarnings("ignore")  # PIL also warns of some damages
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0.2, 1),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_images_are_read_or_named(
    tmp_path: Path, whole: bytes, changes: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(whole)
    for place, value in changes:
        # Most of the structure is at the beginning.
        damaged[int(place**3 * len(damaged))] = value
    path = tmp_path / "image"
    path.write_bytes(damaged[: int(kept * len(damaged))])
    try:
        assert files.read_picture(path).mode == "RGB"
    except CorruptFileError as error:
        assert str(error).startswith(f"{path}: found ")  # noqa: PT017 - not every file raises


def test_absent_files_and_other_sizes_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"absent\.png: found no such file; expected an ima"):
        files.read_picture(tmp_path / "absent.png")
    path = layouts.save(layouts.picture(0), tmp_path / "a.png")
    assert files.read_picture(path, (60, 40)).size == (60, 40)
    with pytest.raises(CorruptFileError, match="found 60 x 40 pixels; expected 40 x 60 pixels"):
        files.read_picture(path, (40, 60))


@pytest.mark.parametrize("name", ["..", "a/../../b.png", "/b.png", ""])
def test_names_that_lead_out_of_their_folder_are_refused(name: str) -> None:
    with pytest.raises(CorruptFileError, match=r"list\.csv: found the file name"):
        files.inside(Path("images"), name, Path("list.csv"))


def test_names_inside_are_joined() -> None:
    assert files.inside(Path("images"), "a/b.png", Path("list.csv")) == Path("images/a/b.png")


def test_images_are_found_in_the_order_of_their_paths(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / ".cache", tmp_path / "elsewhere"
    kept = ("a.jpeg", "b.png/1.webp", "b.png/2.PNG", "link/d/3.png", "lost.png")
    hidden = ("b.png/.x.png", ".trash/1.png", "b.png/.ipynb_checkpoints/1.png", "__MACOSX/1.png")
    for name in (*kept[:3], *hidden, "b.png/notes.md"):
        layouts.write(root / name, "")
    layouts.write(elsewhere / "d/3.png", "")
    (root / "link").symlink_to(elsewhere)
    (root / "lost.png").symlink_to(tmp_path / "absent.png")
    for cycle, target in ((root / "b.png/up", root), (elsewhere / "d/back", elsewhere)):
        cycle.symlink_to(target)
    found = [path.relative_to(root).as_posix() for path in files.images_below(root)]
    assert found == [*kept]


def test_annotations_are_found_by_path_or_by_a_name_that_is_there_once() -> None:
    images = [Path("i", name) for name in ("a/1.png", "b/1.png", "b/2.jpg", "b/3.jpg", "b/3.png")]
    others = [Path("o", name) for name in ("a/1.txt", "2.txt", "b/3.txt")]
    find = files.beside(images, Path("i"), others, Path("o"))
    assert [find(image) for image in images[:3]] == [others[0], None, others[1]]
    with pytest.raises(CorruptFileError, match=r"b/3\.jpg: found 2 photographs and 1 annotations"):
        find(images[3])
    flat = files.beside(images, Path("i"), [Path("o/1.txt")], Path("o"))
    with pytest.raises(CorruptFileError, match=r"a/1\.png: found 2 photographs .* named 1;"):
        flat(images[0])


@pytest.mark.parametrize("value", [8.5, "x", True, None, float("nan"), float("inf"), [8]])
def test_whole_numbers_may_be_written_as_floats(value: object) -> None:
    assert [files.as_integer(eight) for eight in (8, 8.0, "8", "8.0")] == [8] * 4
    with pytest.raises((TypeError, ValueError, OverflowError)):
        files.as_integer(value)
