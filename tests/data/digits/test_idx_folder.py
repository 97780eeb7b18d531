import gzip
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from fitb_jax.data.digits import idx, idx_folder

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def test_reads_both_splits(tmp_path, write_folder):
    arrays = write_folder(tmp_path)
    for split in idx_folder.SPLITS:
        for read, written in zip(
            idx_folder.read("mnist", tmp_path, split), arrays[split], strict=True
        ):
            np.testing.assert_array_equal(read, written)


def test_plain_files_do_as_well(tmp_path, write_folder):
    arrays = write_folder(tmp_path)
    for path in list(tmp_path.iterdir()):
        # As some mirrors name them, beside folders that are named like the original files.
        plain = path.with_name(path.stem.replace("-idx", ".idx"))
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
        (tmp_path / path.stem).mkdir()
    images, _ = idx_folder.read("mnist", tmp_path, "train")
    np.testing.assert_array_equal(images, arrays["train"][0])


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_half_a_pair_is_named(tmp_path, write_folder, kind):
    write_folder(tmp_path)
    (tmp_path / f"t10k-{kind}-ubyte.gz").unlink()
    assert idx_folder.holds_any(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"holds neither t10k-{kind}-ubyte.gz nor"):
        idx_folder.read("mnist", tmp_path, "test")


def test_a_folder_without_the_files_holds_none(tmp_path):
    (tmp_path / "train-images.png").touch()
    assert not idx_folder.holds_any(tmp_path)
    assert not idx_folder.holds_any(tmp_path / "absent")


def test_label_outside_the_ten_classes_is_refused(tmp_path, write_folder, encode):
    write_folder(tmp_path)
    labels = np.full(20, 10, np.uint8)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(encode(labels)))
    with pytest.raises(idx.CorruptFileError, match="expected labels from 0 to 9"):
        idx_folder.read("fashion_mnist", tmp_path, "test")


def test_modified_data_of_the_original_size_is_reported(tmp_path, write_folder, caplog):
    write_folder(tmp_path, train=1, test=10_000)
    idx_folder.read("mnist", tmp_path, "test")
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "t10k-images-idx3-ubyte.gz has the size of the original file of mnist" in warnings[0]
    assert "t10k-labels-idx1-ubyte.gz has the size of the original file of mnist" in warnings[1]


def test_small_data_is_not_mistaken_for_modified_data(tmp_path, write_folder, caplog):
    write_folder(tmp_path)
    idx_folder.read("mnist", tmp_path, "test")
    assert not caplog.records


@pytest.mark.parametrize("split", idx_folder.SPLITS)
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_original_files_are_recognised(real_data, caplog, name, split):
    images, labels = idx_folder.read(name, real_data / name, split)
    count = {"train": 60_000, "test": 10_000}[split]
    assert images.shape == (count, 28, 28)
    assert not caplog.records
    if name == "fashion_mnist":
        assert (np.bincount(labels) == count / 10).all()


@pytest.mark.parametrize(
    ("name", "other"), [("mnist", "fashion_mnist"), ("fashion_mnist", "mnist")]
)
def test_the_files_of_another_data_set_are_refused(real_data, name, other):
    with pytest.raises(
        idx.CorruptFileError,
        match=f"found the file t10k-images-idx3-ubyte of {other}; expected that of {name}",
    ):
        idx_folder.read(name, real_data / other, "test")


def test_labels_of_another_split_or_data_set_are_refused(real_data, tmp_path):
    shutil.copy(real_data / "mnist" / "t10k-images-idx3-ubyte.gz", tmp_path)
    shutil.copy(real_data / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz", tmp_path)
    with pytest.raises(
        idx.CorruptFileError, match="found the file t10k-labels-idx1-ubyte of fashion_mnist"
    ):
        idx_folder.read("mnist", tmp_path, "test")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
@pytest.mark.parametrize("split", idx_folder.SPLITS)
def test_debian_has_the_original_files(caplog, split):
    idx_folder.read("fashion_mnist", DEBIAN, split)
    assert not caplog.records
