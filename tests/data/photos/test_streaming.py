import errno
import io
import logging
import threading
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fitb_jax import data
from fitb_jax.data.photos.photograph import Annotated, whole
from fitb_jax.data.photos.streaming import Layout, Photographs
from tests.data.photos import layouts

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for seed in range(COUNT):
        layouts.save(layouts.picture(seed), root / f"{seed:02d}.png")
    return root


open_folder = partial(data.photographs, "folder", size=16)
NAMES = tuple(f"{seed:02d}.png" for seed in range(COUNT))


def _names(photographs: Photographs) -> tuple[str, ...]:
    return tuple(photograph.name for photograph in photographs)


@pytest.mark.parametrize(("prefetch", "threads"), [(0, 4), (1, 1), (3, 8), (16, 4)])
def test_the_order_is_that_of_the_files(folder: Path, prefetch: int, threads: int) -> None:
    photographs = open_folder(data_dir=folder, prefetch=prefetch, threads=threads)
    assert _names(photographs) == NAMES
    assert _names(photographs) == NAMES


def test_photographs_are_reached_by_index_slice_and_subset(folder: Path) -> None:
    photographs = open_folder(data_dir=folder)
    assert len(photographs) == COUNT
    assert photographs[3].name == photographs[3 - COUNT].name == NAMES[3]
    assert photographs[np.int64(3)].name == NAMES[3]
    assert _names(photographs[2:9:3]) == NAMES[2:9:3]
    assert _names(photographs[::-1]) == NAMES[::-1]
    chosen = data.subset(photographs, [5, -1, 5])
    assert _names(chosen) == chosen.names == (NAMES[5], NAMES[-1], NAMES[5])
    assert _names(data.subset(chosen, np.array([1]))) == (NAMES[-1],)
    assert _names(data.subset(photographs, [])) == ()
    is_late = np.arange(COUNT) > 9
    for mask in (is_late, is_late.tolist()):
        assert data.subset(photographs, mask).names == NAMES[10:]
    for streamed, single in zip(
        photographs, map(photographs.__getitem__, range(COUNT)), strict=True
    ):
        np.testing.assert_array_equal(streamed.image, single.image)


@pytest.mark.parametrize("index", [COUNT, -COUNT - 1])
def test_indices_outside_are_refused(folder: Path, index: int) -> None:
    photographs = open_folder(data_dir=folder)
    with pytest.raises(IndexError, match=rf"index must lie in \[-12, 12\), got {index}"):
        photographs[index]
    with pytest.raises(IndexError, match=rf"positions must lie in \[-12, 12\), got {index}"):
        data.subset(photographs, [0, index])


@pytest.mark.usefixtures("unchecked")
def test_positions_of_another_kind_are_refused(folder: Path) -> None:
    photographs = open_folder(data_dir=folder)
    with pytest.raises(ValueError, match=r"one boolean for each of the 12 .* got 3 booleans"):
        data.subset(photographs, np.array([True, False, True]))
    for positions in (np.array([1.0]), [1, 2.5], [True, 3], ["1"], np.zeros((2, 1), int)):
        with pytest.raises(TypeError, match="positions must be integers, or one boolean"):
            data.subset(photographs, positions)
    with pytest.raises(TypeError, match="index must be an integer or a slice, got a bool"):
        photographs[True]


def _counting(count: int, side: int = 8) -> tuple[Layout, list[int]]:
    """A data set without files that notes what is read."""
    read: list[int] = []

    def open_one(index: int) -> Annotated:
        read.append(index)
        return Annotated(layouts.picture(index, side, side), whole([0]))

    names = tuple(map(str, range(count)))
    return Layout(names, ("thing",), "numbers", open_one, lambda index: whole([0])), read


def _stream(layout: Layout, *, size: int = 8, prefetch: int, threads: int = 2) -> Photographs:
    indices = range(len(layout.names))
    return Photographs(layout, indices, size, 1.0, "raise", prefetch, threads)


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_no_more_is_read_ahead_than_asked(prefetch: int) -> None:
    layout, read = _counting(100)
    for taken, _ in enumerate(_stream(layout, prefetch=prefetch), start=1):
        # `taken` are in use or done, `prefetch` wait.
        assert len(read) <= taken + prefetch
        if taken == 50:
            break
    assert len(read) < 100


def test_memory_does_not_grow_with_the_data_set() -> None:
    def peak(count: int) -> int:
        stream = _stream(_counting(count, side=64)[0], size=64, prefetch=4)
        total = 0.0
        tracemalloc.start()
        for photograph in stream:
            total += float(photograph.image[0, 0, 0])
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total > 0
        return largest

    peak(8)
    # Four wait, one is in use and two are being made: a few photographs of the 400.
    assert peak(400) < 20 * (64 * 64 * 3 * 4)


def test_an_iteration_that_is_left_ends_its_threads() -> None:
    before = threading.active_count()
    iterator = iter(_stream(_counting(100)[0], prefetch=8, threads=3))
    next(iterator)
    assert threading.active_count() > before
    iterator.close()  # type: ignore[attr-defined]  # a generator behind the Iterator
    for thread in threading.enumerate():
        if thread.name.startswith("grain-prefetch"):
            thread.join(timeout=10)
    assert not [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


def _damage(root: Path) -> Path:
    for seed in range(4):
        layouts.save(layouts.picture(seed), root / f"{seed}.jpg")
    buffer = io.BytesIO()
    layouts.picture(1).save(buffer, "JPEG")
    (root / "1.jpg").write_bytes(buffer.getvalue()[:-700])
    (root / "2.jpg").write_bytes(b"")
    return root


@pytest.mark.parametrize("prefetch", [0, 4])
def test_corrupt_files_are_named_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, prefetch: int
) -> None:
    root = _damage(tmp_path)
    photographs = open_folder(data_dir=root, on_corrupt="skip", prefetch=prefetch)
    with caplog.at_level(logging.WARNING):
        assert _names(photographs) == ("0.jpg", "3.jpg")
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    # Threads may log in either order.
    first, second = sorted(warnings)
    assert first.startswith(f"skipped {root / '1.jpg'}: found OSError: ")
    assert "truncated" in first.lower()
    assert first.endswith("expected an image")
    assert "2.jpg: found UnidentifiedImageError" in second
    assert len(photographs) == 4
    with pytest.raises(data.CorruptFileError, match=r"1\.jpg"):
        photographs[1]


@pytest.mark.parametrize("prefetch", [0, 4])
def test_corrupt_files_are_named_and_raised(tmp_path: Path, prefetch: int) -> None:
    photographs = open_folder(data_dir=_damage(tmp_path), prefetch=prefetch)
    iterator = iter(photographs)
    assert next(iterator).name == "0.jpg"
    with pytest.raises(data.CorruptFileError, match=r"1\.jpg: found OSError.* expected an image"):
        next(iterator)


def test_nothing_but_corrupt_files_is_no_empty_data_set(tmp_path: Path) -> None:
    layouts.write(tmp_path / "a.png", "no image")
    with pytest.raises(ValueError, match=r"all 1 photographs of the images in .* are corrupt"):
        list(open_folder(data_dir=tmp_path, on_corrupt="skip"))


def test_a_failure_of_the_machine_is_no_corrupt_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "refused")

    monkeypatch.setattr("fitb_jax.cropping._load", refuse)
    with pytest.raises(PermissionError):
        open_folder(data_dir=folder, on_corrupt="skip")[0]


def test_corrupt_annotations_are_skipped_when_a_class_is_looked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = layouts.voc(tmp_path)
    layouts.write(root / "VOCdevkit/VOC2007/Annotations/000001.xml", layouts.BOMB)
    photographs = data.photographs("voc2007", data_dir=root, on_corrupt="skip")
    with caplog.at_level(logging.WARNING):
        assert data.with_label(photographs, 7).names == ("000003",)
    assert "000001.xml" in caplog.text
    with pytest.raises(data.CorruptFileError, match="DTDForbidden"):
        data.with_label(data.photographs("voc2007", data_dir=root), 7)


def test_unknown_classes_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"label must lie in \[0, 0\), got 3"):
        data.with_label(open_folder(data_dir=folder), 3)
