"""Files told apart by content, safetensors, the hub by a local double, and `load` over all."""

import dataclasses
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from huggingface_hub import errors
from PIL import Image
from safetensors.numpy import save, save_file

from fitb_jax import models
from fitb_jax.models.architectures import torchvision
from fitb_jax.models.architectures.efficientnet import LITE
from fitb_jax.models.weights import hub
from fitb_jax.models.weights.files import read_weights
from tests.models.random_weights import random_weights
from tests.models.weights.test_torch_files import _legacy, _tree, _zipped

TENSORS = {
    "double": np.arange(6.0).reshape(2, 3),
    "single": np.arange(4, dtype=np.float32),
    "half": np.array([0.5, -2.0], np.float16),
    "brain": np.array([[1.5, 3.0]], ml_dtypes.bfloat16),
    "count": np.array(7, np.int64),
    "seen": np.array([True, False]),
}


def _written(place: Path, content: bytes) -> Path:
    place.write_bytes(content)
    return place


def test_safetensors_are_read_and_halves_widened(tmp_path: Path) -> None:
    found = read_weights(_written(tmp_path / "net.safetensors", save(TENSORS)))
    assert found.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        expected = array.astype(np.float32) if name in ("half", "brain") else array
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype


def test_files_are_told_apart_by_content(tmp_path: Path) -> None:
    tensors = {"net.a": TENSORS["single"], "net.b": TENSORS["double"]}
    contents = {
        "zip.safetensors": _zipped(_tree(tensors), tensors),
        "legacy.safetensors": _legacy(_tree(tensors), tensors),
        "safe.pth": save(tensors),
    }
    for name, content in contents.items():
        found = read_weights(_written(tmp_path / name, content))
        for entry, array in tensors.items():
            np.testing.assert_array_equal(found[entry], array)
        assert read_weights(tmp_path / name, entry="net").keys() == {"a", "b"}


def test_halves_of_pytorch_are_widened(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is no dependency of the package")
    torch.save({"a": torch.ones(3).bfloat16(), "b": torch.ones(2).half()}, tmp_path / "net.pth")
    found = read_weights(tmp_path / "net.pth")
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}


def test_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    whole = save(TENSORS)
    length = (2**60).to_bytes(8, "little")
    for content in (whole[:-1], whole[:30], whole + b"xx", length + whole[8:], whole[:8] + b"{]"):
        place = _written(tmp_path / "net.safetensors", content)
        with pytest.raises(models.WeightsError, match=r"net\.safetensors is damaged"):
            read_weights(place)
    strange = save({"a": np.ones(2, np.complex64)})
    with pytest.raises(models.WeightsError, match="numbers of type C64, which is none of F64"):
        read_weights(_written(tmp_path / "net.safetensors", strange))
    with pytest.raises(models.WeightsError, match=r"net\.bin is damaged|net\.bin cannot be read"):
        read_weights(_written(tmp_path / "net.bin", b"neither"))
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "absent.safetensors")


def test_mutated_safetensors_are_read_or_refused(tmp_path: Path) -> None:
    dice, whole, refused = random.Random(0), save(TENSORS), 0
    for _ in range(1000):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        try:
            found = read_weights(_written(tmp_path / "net.safetensors", bytes(content)))
        except models.WeightsError:
            refused += 1
        else:
            assert sum(array.nbytes for array in found.values()) < 1000
    assert 300 < refused < 1000


class _Hub:
    """A double of `hf_hub_download`: files by repository and name, or an error."""

    def __init__(self, files: dict[tuple[str, str], Path], error: Exception | None = None) -> None:
        self.files, self.error = files, error
        self.asked: list[str] = []

    def __call__(self, repo_id: str, filename: str) -> str:
        self.asked.append(filename)
        if self.error is not None:
            raise self.error
        if (repo_id, filename) not in self.files:
            raise errors.EntryNotFoundError(f"no {filename}")
        return str(self.files[repo_id, filename])


def _serve(monkeypatch: pytest.MonkeyPatch, hub_double: _Hub) -> _Hub:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub_double)
    return hub_double


def test_the_hub_s_safetensors_come_first_then_the_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, pickled = tmp_path / "a", tmp_path / "b"
    both = {("o/r", "model.safetensors"): safe, ("o/r", "pytorch_model.bin"): pickled}
    _serve(monkeypatch, _Hub(both))
    assert hub.fetch("hf://o/r") == safe
    double = _serve(monkeypatch, _Hub({("o/r", "pytorch_model.bin"): pickled}))
    assert hub.fetch("hf://o/r") == pickled
    assert double.asked == ["model.safetensors", "pytorch_model.bin"]
    double = _serve(monkeypatch, _Hub({("o/r", "sub/net.pth"): pickled}))
    assert hub.fetch("hf://o/r/sub/net.pth") == pickled
    assert double.asked == ["sub/net.pth"]


@pytest.mark.usefixtures("unchecked")
def test_what_the_hub_does_not_give_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, _Hub({}))
    with pytest.raises(FileNotFoundError, match=r"o/r on the hub has no model\.safetensors and no"):
        models.load("resnet18", weights="hf://o/r")
    with pytest.raises(FileNotFoundError, match=r"o/r on the hub has no net\.pth"):
        hub.fetch("hf://o/r/net.pth")
    _serve(monkeypatch, _Hub({}, errors.LocalEntryNotFoundError("offline")))
    with pytest.raises(OSError, match=r"hf://o/r cannot be fetched: o/r is not in the cache"):
        hub.fetch("hf://o/r")
    _serve(monkeypatch, _Hub({}, ConnectionError("no route")))
    with pytest.raises(OSError, match=r"hf://o/r cannot be fetched: no route"):
        hub.fetch("hf://o/r")
    for reference in ("hf://", "hf://o", "hf:///r"):
        with pytest.raises(ValueError, match=r"weights must be hf://OWNER/REPOSITORY"):
            hub.fetch(reference)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'fitb_jax\[hub\]'"):
        hub.fetch("hf://o/r")


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(random_weights(torchvision.layout("resnet18").shapes(), dtype=np.float32), place)
    return place


def test_load_gives_the_same_classifier_from_a_file_and_the_hub(
    resnet18_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve(monkeypatch, _Hub({("o/r", "model.safetensors"): resnet18_file}))
    loaded = models.load("resnet18", weights=resnet18_file)
    assert (loaded.size, len(loaded.class_names), loaded.wordnet_ids[0]) == (224, 1000, "n01440764")
    image = jnp.asarray(loaded.preprocess(np.full((300, 260), 127, np.uint8)))
    layers = jax.jit(loaded.features_fn)(image)
    assert (layers["layer4"].shape, layers["logits"].shape) == ((7, 7, 512), (1000,))
    again = models.load("resnet18", weights="hf://o/r")
    assert jax.tree.structure(loaded.logits_fn) == jax.tree.structure(again.logits_fn)
    np.testing.assert_allclose(jax.jit(again.logits_fn)(image), layers["logits"], atol=1e-4)


@pytest.mark.usefixtures("unchecked")
def test_names_that_need_weights_or_have_a_normalisation_say_so(resnet18_file: Path) -> None:
    for name in torchvision.TORCHVISION:
        with pytest.raises(ValueError, match=rf"weights must be given for {name}: a \.pth"):
            models.load(name)
    with pytest.raises(ValueError, match="normalisation must be None for efficientnet_lite0"):
        models.load("efficientnet_lite0", normalisation=models.Normalisation())
    with pytest.raises(
        models.WeightsError, match=r"missing: class_token, .* 102 not exp"
    ) as raised:
        models.load("vit_b_16", weights=resnet18_file)
    assert len(str(raised.value)) < 600


def test_a_network_trained_at_another_size_is_shown_images_of_that_size(
    resnet18_file: Path,
) -> None:
    small = models.load("resnet18", weights=resnet18_file, size=96)
    usual = models.load("resnet18", weights=resnet18_file)
    pixels = np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8)
    image = small.preprocess(pixels)
    assert (small.size, image.shape) == (96, (96, 96, 3))
    np.testing.assert_array_equal(image, models.preprocess(pixels, size=96, recipe="torchvision"))
    shapes = [
        jax.eval_shape(one.features_fn, jnp.asarray(image))["layer4"].shape[:2]
        for one in (small, usual)
    ]
    assert shapes == [(3, 3), (3, 3)]
    assert models.load("efficientnet_lite0", size=128).size == 128
    for name, size, message in (
        ("vit_b_16", 96, "size must be 224 for vit_b_16, got 96"),
        ("resnet18", 16, "size must be at least 32, got 16"),
    ):
        with pytest.raises(ValueError, match=message):
            models.load(name, weights=resnet18_file, size=size)


def test_a_fine_tuned_network_has_classes_of_its_own() -> None:
    three = dataclasses.replace(LITE["efficientnet_lite0"], classes=3)
    weights = random_weights(three.shapes(), dtype=np.float32)
    prefixed = {f"student.{entry}": values for entry, values in weights.items()}
    load = partial(models.load, "efficientnet_lite0", weights=prefixed)
    loaded = load(entry="student", class_names=["a", "b", "c"])
    assert (loaded.class_names, loaded.wordnet_ids) == (("a", "b", "c"), ())
    assert load().class_names == ("0", "1", "2")
    untrained = models.untrained("efficientnet_lite0", key=jax.random.key(0), classes=3)
    for network in (loaded, untrained):
        assert jax.eval_shape(network.logits_fn, jnp.zeros((224, 224, 3))).shape == (3,)
    with pytest.raises(ValueError, match=r"class_names must be 3 names, .* got 2"):
        load(class_names=["a", "b"])
    with pytest.raises(models.WeightsError, match="entry 'teacher' is not there, but student"):
        load(entry="teacher")


def test_the_recipe_of_torchvision_is_its_transforms() -> None:
    """Resize the shorter side to 256 bilinearly, then cut 224 from the middle."""
    pixels = np.random.default_rng(0).integers(0, 256, (301, 477, 3), dtype=np.uint8)
    found = models.preprocess(pixels, size=224, recipe="torchvision")
    width = int(256 * 477 / 301)
    resized = Image.fromarray(pixels).resize((width, 256), Image.Resampling.BILINEAR)
    left = round((width - 224) / 2)
    expected = np.asarray(resized, np.float32)[16:240, left : left + 224] / 255
    np.testing.assert_array_equal(found, expected)
    assert models.preprocess(pixels, size=224, recipe="lite").shape == found.shape
    upright = models.preprocess(pixels.transpose(1, 0, 2), size=224, recipe="torchvision")
    # PIL resizes one direction after the other, in bytes.
    np.testing.assert_allclose(upright.transpose(1, 0, 2), found, atol=1.5 / 255)


def test_both_recipes_see_the_same_square() -> None:
    """A smooth picture: where they would differ is in the choice of the square."""
    rows, columns = np.meshgrid(np.linspace(0, 1, 480), np.linspace(0, 1, 640), indexing="ij")
    picture: Any = np.stack([rows, columns, rows * columns], 2)
    lite, other = (models.preprocess(picture, size=64, recipe=r) for r in ("lite", "torchvision"))
    np.testing.assert_allclose(lite, other, atol=0.02)


@pytest.mark.usefixtures("unchecked")
def test_other_recipes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"recipe must be one of \['lite', 'torchvision'\]"):
        models.preprocess(np.zeros((8, 8), np.uint8), size=8, recipe="timm")
