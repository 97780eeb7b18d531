"""Data sets made on the spot go through the same preparation and download as those of TFDS."""

import functools
import gzip
import http.server
import shutil
import threading

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from fitb_jax.data import load
from fitb_jax.data.digits import idx
from fitb_jax.data.tfds_builders import DOWNLOADABLE

CLASSES = ["cat", "dog", "fox"]
COUNT = 7

Image, ClassLabel = tfds.features.Image, tfds.features.ClassLabel
LABEL = ClassLabel(names=CLASSES)

PAIR = ("image", "label")
CONFIGS = {
    "colour": ({"image": Image(), "label": LABEL}, PAIR),
    "grey": ({"image": Image(shape=(4, 5, 1)), "label": LABEL}, None),
    "coarse": ({"image": Image(), "label": LABEL, "coarse": ClassLabel(num_classes=2)}, PAIR),
    "sizes": ({"image": Image(), "label": LABEL}, PAIR),
    "unlabelled": ({"image": Image(), "label": LABEL}, PAIR),
    "deep": ({"image": Image(shape=(4, 5, 1), dtype=np.uint16), "label": LABEL}, PAIR),
    "arrays": ({"image": Image(), "label": LABEL}, PAIR),
    "two_classes": ({"image": Image(), "a": LABEL, "b": LABEL}, None),
    "two_images": ({"left": Image(), "right": Image(), "label": LABEL}, None),
    "boxes": ({"image": Image(), "boxes": tfds.features.Sequence({"label": LABEL})}, None),
    "text": ({"text": tfds.features.Text(), "label": LABEL}, ("text", "label")),
}


def pixels(config: str) -> np.ndarray:
    """Images that no two of are alike."""
    channels = 1 if config == "grey" else 3
    values = np.arange(COUNT * 4 * 5 * channels) % 256
    return values.reshape(COUNT, 4, 5, channels).astype(np.uint8)


class FitbTiny(tfds.core.GeneratorBasedBuilder):
    """A data set for each of CONFIGS, of which some cannot be used."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = tuple(tfds.core.BuilderConfig(name=name) for name in CONFIGS)

    def _info(self):
        features, supervised_keys = CONFIGS[self.builder_config.name]
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=supervised_keys,
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(), "extra": self._generate_examples()}

    def _generate_examples(self):
        config = self.builder_config.name
        for key, image in enumerate(pixels(config)):
            if config == "sizes" and key == 3:
                image = image[:, :-1]
            example = {
                "image": PIL.Image.fromarray(image[..., 0] if config == "grey" else image),
                "label": key % 3,
            }
            if config == "coarse":
                example["coarse"] = 0
            if config == "unlabelled":
                example["label"] = -1
            if config == "deep":
                example["image"] = PIL.Image.fromarray(image[..., 0].astype(np.uint16))
            if config == "arrays":
                example["image"] = image
            yield key, example


@pytest.mark.parametrize("config", ["colour", "grey", "coarse"])
def test_a_data_set_is_prepared_and_read(tmp_path, config):
    loaded = load(f"tfds:fitb_tiny/{config}", split="train", data_dir=tmp_path)
    images = pixels(config)
    assert loaded.images.dtype == np.float32
    assert loaded.images.shape == images.shape
    assert loaded.labels.dtype == np.int32
    assert loaded.class_names == tuple(CLASSES)
    assert loaded.source == (
        f"TensorFlow Datasets: fitb_tiny/{config}/1.0.0 in {tmp_path}, split train"
    )
    expected = {(image / np.float32(255)).tobytes(): key % 3 for key, image in enumerate(images)}
    found = zip(loaded.images, loaded.labels, strict=True)
    assert {image.tobytes(): label for image, label in found} == expected


def test_what_is_prepared_is_read_again_without_the_builder_running(tmp_path, monkeypatch):
    first = load("tfds:fitb_tiny/grey", split="train", data_dir=tmp_path)
    monkeypatch.delattr(FitbTiny, "_generate_examples")
    again = load("tfds:fitb_tiny/grey", split="train", data_dir=tmp_path)
    np.testing.assert_array_equal(again.images, first.images)


@pytest.mark.parametrize(
    ("split", "count"), [("extra", 7), ("train[:3]", 3), ("train+extra", 14), ("train[50%:]", 3)]
)
def test_splits_are_those_of_tfds(tmp_path, split, count):
    assert len(load("tfds:fitb_tiny/grey", split=split, data_dir=tmp_path).images) == count


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", r"Unknown split 'test'. Should be one of \['train', 'extra'\]"),
        ("train[", "Unrecognized split format"),
        ("train[:0]", r"split 'train\[:0\]' of fitb_tiny/grey holds no image"),
    ],
)
def test_bad_splits(tmp_path, split, message):
    with pytest.raises(ValueError, match=message):
        load("tfds:fitb_tiny/grey", split=split, data_dir=tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("sizes", "differing size: image . is 4 x . x 3, image . is 4 x . x 3; expected one size"),
        ("unlabelled", r"7 images without a valid label \(the first: -1 at image 0\)"),
        ("deep", "images of uint16; expected uint8"),
        ("two_classes", "found image: Image, a: ClassLabel, b: ClassLabel"),
        ("two_images", "found left: Image, right: Image, label: ClassLabel"),
        ("boxes", "found image: Image, boxes: Sequence"),
        ("text", "found text: Text, label: ClassLabel"),
        ("absent", "BuilderConfig absent not found"),
    ],
)
def test_data_sets_that_do_not_fit(tmp_path, config, message):
    with pytest.raises(ValueError, match=message):
        load(f"tfds:fitb_tiny/{config}", split="train", data_dir=tmp_path)


def test_a_data_set_that_does_not_fit_is_not_prepared(tmp_path):
    with pytest.raises(ValueError, match="is not an image classification data set"):
        load("tfds:fitb_tiny/boxes", split="train", data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_preparation_that_needs_tensorflow_says_so_and_leaves_nothing(tmp_path):
    with pytest.raises(ImportError, match="tfds build fitb_tiny/arrays --file_format=array_record"):
        load("tfds:fitb_tiny/arrays", split="train", data_dir=tmp_path)
    assert not list(tmp_path.rglob("*1.0.0*"))


def test_other_formats_are_refused(tmp_path):
    builder = tfds.builder("fitb_tiny/grey", data_dir=tmp_path)
    builder.download_and_prepare(file_format="array_record")
    info = builder.data_path / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(NotImplementedError, match=r"already prepared at .* in the .*TFRECORD"):
        load("tfds:fitb_tiny/grey", split="train", data_dir=tmp_path)


def test_remains_in_its_place_are_refused(tmp_path):
    (tmp_path / "fitb_tiny" / "grey" / "1.0.0").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="remove it first"):
        load("tfds:fitb_tiny/grey", split="train", data_dir=tmp_path)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def website(tmp_path, monkeypatch):
    """The address of a server of the folder tmp_path/website on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "website"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", DOWNLOADABLE)
def test_originals_are_downloaded_and_prepared_without_tensorflow(
    tmp_path, write_folder, website, monkeypatch, name
):
    images, labels = write_folder(tmp_path / "website")["train"]
    monkeypatch.setattr(tfds.builder_cls(name), "URL", website)
    loaded = load(f"tfds:{name}", split="train", data_dir=tmp_path / "data")
    expected = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    found = zip((loaded.images * 255).round().astype(np.uint8), loaded.labels, strict=True)
    assert {image.tobytes(): label for image, label in found} == expected
    shutil.rmtree(tmp_path / "website")
    stock = tfds.data_source(name, data_dir=tmp_path / "data", split="test")
    assert len(stock) == 20


def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path, website, monkeypatch):
    monkeypatch.setattr(tfds.builder_cls("mnist"), "URL", website)
    with pytest.raises(tfds.download.DownloadError) as caught:
        load("tfds:mnist", split="train", data_dir=tmp_path / "data")
    assert "If this machine is offline" in caught.value.__notes__[0]
    assert not list((tmp_path / "data" / "mnist").iterdir())


def test_a_damaged_download_is_refused(tmp_path, write_folder, website, monkeypatch):
    write_folder(tmp_path / "website")
    damaged = tmp_path / "website" / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(gzip.compress(b"an error page"))
    monkeypatch.setattr(tfds.builder_cls("mnist"), "URL", website)
    with pytest.raises(idx.CorruptFileError, match="expected 00 00 08 01"):
        load("tfds:mnist", split="train", data_dir=tmp_path / "data")


def test_the_checksums_of_downloads_are_those_of_tfds(tmp_path):
    from fitb_jax.data.tfds_builders import builder_from_download

    builder = builder_from_download("mnist", tmp_path)
    assert builder.url_infos == tfds.builder_cls("mnist").url_infos
    assert len(builder.url_infos) == 4
