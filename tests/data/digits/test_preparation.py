import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

import fitb_jax.data
from fitb_jax.data import __main__ as command_line
from fitb_jax.data import load
from fitb_jax.data.digits import idx
from fitb_jax.data.digits.preparation import prepare

STOCK = ("mnist", "fashion_mnist")


@pytest.fixture
def source(tmp_path, write_folder):
    write_folder(tmp_path / "source")
    return tmp_path / "source"


@pytest.mark.parametrize("name", STOCK)
def test_the_stock_builder_reads_equal_images(tmp_path, write_folder, name):
    arrays = write_folder(tmp_path / "source")
    prepared = prepare(name, tmp_path / "source", tmp_path / "out")
    assert prepared == (tmp_path / "out" / name / "3.0.1", True)
    for split, (images, labels) in arrays.items():
        examples = list(tfds.data_source(name, data_dir=tmp_path / "out", split=split))
        truth = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        assert {example["image"].tobytes(): example["label"] for example in examples} == truth
        assert len(examples) == len(images)
        assert examples[0]["image"].shape == (28, 28, 1)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("name", STOCK)
def test_what_is_written_describes_itself_as_stock(tmp_path, source, name):
    prepare(name, source, tmp_path / "out")
    written = tfds.builder(name, data_dir=tmp_path / "out").info
    stock = tfds.builder(name, data_dir=tmp_path / "absent").info
    assert written.full_name == stock.full_name == f"{name}/3.0.1"
    assert written.features.to_json() == stock.features.to_json()
    assert written.features["label"].names == stock.features["label"].names
    assert written.supervised_keys == stock.supervised_keys
    assert written.module_name == stock.module_name
    assert written.citation == stock.citation
    assert {name: info.num_examples for name, info in written.splits.items()} == {
        "train": 30,
        "test": 20,
    }


@pytest.mark.parametrize("name", STOCK)
def test_class_names_do_not_depend_on_the_source(tmp_path, source, name):
    prepare(name, source, tmp_path / "out")
    from_tfds = load(name, split="test", data_dir=tmp_path / "out")
    assert "TensorFlow Datasets" in from_tfds.source
    assert from_tfds.class_names == load(name, split="test", data_dir=source).class_names


def test_files_may_be_in_a_folder_of_the_name(tmp_path, write_folder):
    write_folder(tmp_path / "both" / "mnist", test=7)
    prepare("mnist", tmp_path / "both", tmp_path / "out")
    assert len(load("mnist", split="test", data_dir=tmp_path / "out").labels) == 7


def test_an_existing_data_set_is_left_alone(tmp_path, source, write_folder):
    path, _ = prepare("mnist", source, tmp_path / "out")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    write_folder(source, seed=1)
    assert prepare("mnist", source, tmp_path / "out") == (path, False)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_something_else_in_its_place_is_refused(tmp_path, source):
    (tmp_path / "out" / "mnist" / "3.0.1").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="not a complete TFDS data set; remove it first"):
        prepare("mnist", source, tmp_path / "out")


def bad_label(folder, encode):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(encode(np.full(20, 10, np.uint8)))
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


def truncated(folder, encode):
    file = folder / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-100])


def other_shape(folder, encode):
    (folder / "t10k-images-idx3-ubyte").write_bytes(encode(np.zeros((20, 27, 28), np.uint8)))
    (folder / "t10k-images-idx3-ubyte.gz").unlink()


def missing(folder, encode):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (bad_label, idx.CorruptFileError, "found label 10 at position 0"),
        (truncated, idx.CorruptFileError, "t10k-images-idx3-ubyte.gz: found a damaged or trunc"),
        (other_shape, idx.CorruptFileError, "found images of 27 x 28; expected 28 x 28"),
        (missing, FileNotFoundError, "holds neither t10k-labels-idx1-ubyte.gz"),
    ],
)
def test_bad_files_are_refused_before_anything_is_written(
    tmp_path, source, encode, spoil, error, message
):
    spoil(source, encode)
    with pytest.raises(error, match=message):
        prepare("mnist", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_name(tmp_path):
    with pytest.raises(ValueError, match="cannot prepare 'cifar10'; expected one of mnist, fash"):
        prepare("cifar10", tmp_path)


KILLED = """
import os, signal, sys
import PIL.Image
from fitb_jax.data.digits.preparation import prepare

encode, left = PIL.Image.fromarray, iter(range(40))

def encode_forty_then_die(array):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(array)

PIL.Image.fromarray = encode_forty_then_die
prepare("mnist", sys.argv[1], sys.argv[2])
"""

LIMITED = """
import resource, sys
from fitb_jax.data.digits.preparation import prepare

resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
prepare("mnist", sys.argv[1], sys.argv[2])
"""


def run(program, source, out) -> subprocess.CompletedProcess:
    root = fitb_jax.data.__path__[0] + "/../.."
    command = [sys.executable, "-c", program, str(source), str(out)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_a_killed_run_leaves_no_data_set_and_the_next_one_cleans_up(tmp_path, source):
    out = tmp_path / "out"
    assert run(KILLED, source, out).returncode == -signal.SIGKILL
    assert list((out / "mnist").glob("incomplete.*"))
    with pytest.raises(FileNotFoundError, match="mnist was not found"):
        load("mnist", split="train", data_dir=out)
    assert prepare("mnist", source, out).is_new
    assert [path.name for path in (out / "mnist").iterdir()] == ["3.0.1"]
    assert len(load("mnist", split="train", data_dir=out).labels) == 30


def test_a_full_disk_leaves_nothing(tmp_path, source):
    result = run(LIMITED, source, tmp_path / "out")
    assert result.returncode == 1
    assert "File too large" in result.stderr
    assert not list((tmp_path / "out" / "mnist").iterdir())


def test_command_line(tmp_path, source, capsys):
    arguments = ["prepare", "mnist", "--from", str(source), "--data-dir", str(tmp_path / "out")]
    command_line.main(arguments)
    assert capsys.readouterr().out == f"wrote {tmp_path / 'out' / 'mnist' / '3.0.1'}\n"
    assert len(load("mnist", split="test", data_dir=tmp_path / "out").labels) == 20
    command_line.main(arguments)
    assert "already a complete data set; left as it is" in capsys.readouterr().out


def test_command_line_writes_to_the_default_directory(source, nothing_installed, capsys):
    command_line.main(["prepare", "fashion_mnist", "--from", str(source)])
    assert str(nothing_installed) in capsys.readouterr().out
    assert len(load("fashion_mnist", split="train").labels) == 30


def test_command_line_reports_errors_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: .* holds neither train-images-idx3-ubyte.gz"):
        command_line.main(["prepare", "mnist", "--from", str(tmp_path)])


@pytest.mark.parametrize("arguments", [[], ["prepare"], ["prepare", "cifar10", "--from", "."]])
def test_command_line_refuses_bad_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line.main(arguments)
    assert caught.value.code == 2
