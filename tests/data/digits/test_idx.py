import gzip
import hashlib
import re
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fitb_jax.data.digits import idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([3, 9, 0], np.uint8)

# Examples are files; a busy disk would miss the deadline of hypothesis.
unhurried = settings(deadline=None)

images_strategy = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))


def packed(content: bytes, zipped: bool) -> bytes:
    return gzip.compress(content, mtime=0) if zipped else content


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "file"


@unhurried
@given(images=images_strategy, zipped=st.booleans())
def test_images_round_trip(encode, scratch, images, zipped):
    scratch.write_bytes(packed(encode(images), zipped))
    read = idx.read_images(scratch)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, images)


@unhurried
@given(
    labels=hnp.arrays(np.uint8, st.integers(1, 40), elements=st.integers(0, 9)),
    zipped=st.booleans(),
)
def test_labels_round_trip(encode, scratch, labels, zipped):
    scratch.write_bytes(packed(encode(labels), zipped))
    np.testing.assert_array_equal(idx.read_labels(str(scratch)), labels)


@unhurried
@given(
    images=images_strategy,
    zipped=st.booleans(),
    position=st.floats(0, 1, exclude_max=True),
    change=st.integers(1, 255),
)
def test_one_wrong_byte_is_refused_or_only_changes_a_value(
    encode, scratch, images, zipped, position, change
):
    content = bytearray(packed(encode(images), zipped))
    content[int(position * len(content))] ^= change
    scratch.write_bytes(content)
    try:
        read = idx.read_images(scratch)
    except idx.CorruptFileError:
        return
    assert read.shape == images.shape
    assert (read != images).sum() == (0 if zipped else 1)


@unhurried
@given(images=images_strategy, zipped=st.booleans(), keep=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_refused(encode, scratch, images, zipped, keep):
    content = packed(encode(images), zipped)
    scratch.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(idx.CorruptFileError, match=re.escape(str(scratch))):
        idx.read_images(scratch)


@unhurried
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_the_one_exception(scratch, content):
    scratch.write_bytes(content)
    with pytest.raises(idx.CorruptFileError):
        idx.read_images(scratch)


def header(magic: int, *shape: int) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", magic, *shape)


BODY = bytes(24)
GOOD = header(0x803, 2, 3, 4) + BODY

BAD_IMAGES = {
    "empty": (b"", "found the first bytes .none: it is empty.; expected 00 00 08 03"),
    "labels": (header(0x801, 24) + BODY, "found the first bytes 00 00 08 01"),
    "floats": (header(0xD03, 2, 3, 4) + BODY, "found the first bytes 00 00 0d 03"),
    "png": (b"\x89PNG\r\n\x1a\n" + BODY, "found the first bytes 89 50 4e 47"),
    "half a header": (GOOD[:10], r"found 10 bytes \(truncated\); expected a header of 16"),
    "header only": (GOOD[:16], r"found 0 bytes \(truncated\); expected 2 x 3 x 4 bytes"),
    "last byte missing": (GOOD[:-1], r"found 23 bytes \(truncated\); expected 2 x 3 x 4 bytes"),
    "trailing byte": (GOOD + b"\0", "found more bytes after the last; expected 2 x 3 x 4 bytes"),
    "no images": (header(0x803, 0, 28, 28), "found the empty shape 0 x 28 x 28"),
    "no rows": (header(0x803, 2, 0, 28), "found the empty shape 2 x 0 x 28"),
    "huge claim": (
        header(0x803, 2**31, 28, 28) + BODY,
        "found 2147483648 x 28 x 28 bytes, as its header says; expected at most",
    ),
    "overflowing claim": (
        header(0x803, *3 * [2**32 - 1]) + BODY,
        "found 4294967295 x 4294967295 x 4294967295 bytes",
    ),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("content", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_bad_images_are_refused_with_the_reason(tmp_path, content, message, zipped):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(packed(content, zipped))
    if not zipped:
        # The size of a plain file is known before it is read.
        message = message.replace("found 0 bytes", "found room for at most 16 bytes")
    with pytest.raises(idx.CorruptFileError, match=message) as caught:
        idx.read_images(path)
    assert str(path) in str(caught.value)


BAD_GZIP = {
    "wrong checksum": lambda good: good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
    "wrong length": lambda good: good[:-4] + bytes([good[-4] ^ 1]) + good[-3:],
    "truncated": lambda good: good[:-9],
    "garbage after the end": lambda good: good + b"garbage",
    "damaged stream": lambda good: good[:14] + b"\xff\xff\xff" + good[17:],
    "header only": lambda good: good[:10],
}


@pytest.mark.parametrize("damage", BAD_GZIP.values(), ids=BAD_GZIP.keys())
def test_damaged_gzip_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(GOOD)))
    with pytest.raises(idx.CorruptFileError, match=r"images\.gz: found a damaged or truncated"):
        idx.read_images(path)


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    misnamed = tmp_path / "images.gz"
    misnamed.write_bytes(GOOD)
    assert idx.read_images(misnamed).shape == (2, 3, 4)


def test_label_out_of_range_is_located(tmp_path, encode):
    path = tmp_path / "labels"
    path.write_bytes(encode(LABELS))
    with pytest.raises(
        idx.CorruptFileError, match="found label 9 at position 1; expected labels from 0 to 8"
    ):
        idx.read_labels(path, num_classes=9)


def test_images_and_labels_must_be_as_many(tmp_path, encode):
    (tmp_path / "images").write_bytes(encode(IMAGES))
    (tmp_path / "labels").write_bytes(encode(LABELS))
    with pytest.raises(
        idx.CorruptFileError, match=r"labels: found 3 labels; expected 2, one for each image of"
    ):
        idx.read_pair(tmp_path / "images", tmp_path / "labels")


def test_absent_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        idx.read_images(tmp_path / "absent")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(header(0x803, 2**20, 28, 28) + BODY, id="plain claims 800 MB"),
        pytest.param(gzip.compress(header(0x803, 2**20, 28, 28)), id="gzip claims 800 MB"),
        pytest.param(gzip.compress(GOOD + bytes(2**26)), id="gzip bomb behind a small header"),
    ],
)
def test_refusal_takes_little_memory(tmp_path, content):
    path = tmp_path / "images"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(idx.CorruptFileError):
            idx.read_images(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_content_above_the_cap_is_refused_even_if_it_is_there(tmp_path, encode, monkeypatch):
    monkeypatch.setattr(idx, "MAX_BYTES", IMAGES.size - 1)
    (tmp_path / "images").write_bytes(encode(IMAGES))
    with pytest.raises(
        idx.CorruptFileError, match=r"found 2 x 3 x 4 bytes.*; expected at most 23 bytes"
    ):
        idx.read_images(tmp_path / "images")


@pytest.mark.parametrize("array", [IMAGES, LABELS], ids=["images", "labels"])
def test_sha256_is_that_of_the_plain_file(encode, array):
    assert idx.sha256(array) == hashlib.sha256(encode(array)).hexdigest()


def test_sha256_does_not_depend_on_memory_layout():
    assert idx.sha256(np.asfortranarray(IMAGES)) == idx.sha256(IMAGES)
