"""The pages of models, PyTorch and Keras: every block of code runs, in one session."""

import re
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from fitb_jax import models
from fitb_jax.models.architectures import torchvision
from tests.models.random_weights import random_weights
from tests.models.weights.test_torch_files import _tree, _zipped

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "models.md").read_text()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(random_weights(torchvision.layout("resnet18").shapes(), dtype=np.float32), place)
    return place


def _write_checkpoint(place: Path) -> None:
    shapes = torchvision.layout("resnet18", classes=2).shapes()
    tensors = random_weights(shapes, dtype=np.float32)
    tree = {f"module.{entry}": tensor for entry, tensor in _tree(tensors).items()}
    place.write_bytes(_zipped({"epoch": 3, "state_dict": tree, "ema": {"module": tree}}, tensors))
    tree = {f"model.{entry}": tensor for entry, tensor in _tree(tensors).items()}
    lightning = {"pytorch-lightning_version": "2.5.0", "epoch": 3, "state_dict": tree}
    place.with_name("last.ckpt").write_bytes(_zipped(lightning, tensors))
    save_file(tensors, place.with_name("fine_tuned.pth"))


def test_the_page_s_code_runs(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("equinox")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with jax.numpy_rank_promotion("allow"):  # Keras itself needs it while it is imported and used
        pytest.importorskip("keras")
        monkeypatch.chdir(tmp_path)
        noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save("photo.jpg")
        for name in ("resnet18.pth", "resnet18.safetensors"):
            shutil.copy(weights, name)
        _write_checkpoint(Path("checkpoint.pth"))
        monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: str(weights))
        names: dict[str, Any] = {}
        classifiers = 0
        pages = "".join(
            (DOCS / name).read_text() for name in ("pytorch.md", "models.md", "keras.md")
        )
        # That of PyTorch is run by `test_torch_adapter`.
        for block in re.findall(r"```python\n(?!import torch)(.*?)```", pages, re.S):
            before = names.get("logits_fn")
            exec(block, names)
            if (logits_fn := names.get("logits_fn")) is not before:
                classifiers += 1
                image = jnp.full((28, 28, 1), 0.5)
                assert logits_fn(image).shape == (10,)
                assert jax.grad(lambda x, f=logits_fn: f(x).sum())(image).shape == image.shape
        grey, keras_fn = names["image"], names["logits_fn"]
        p = jax.nn.softmax(keras_fn(grey))
        np.testing.assert_allclose(jax.nn.softmax(jax.jit(names["same"])(grey)), p, rtol=1e-4)
        in_bytes = jax.nn.softmax(names["in_bytes"](grey / 255))
        np.testing.assert_allclose(in_bytes, p, rtol=1e-4)
    assert classifiers == 5
    assert names["maps"].shape == (7, 7, 1280)
    assert names["on_photo"].shape == (300, 400)
    assert names["cam"].shape == (28, 28)
    image = jnp.full((64, 64, 3), 0.5)
    apply = jax.jit(lambda logits_fn, image: logits_fn(image))
    same = ("resnet", "safe", "fetched", "chosen")
    logits = [apply(names[name].logits_fn, image) for name in same]
    np.testing.assert_array_equal(logits, [logits[0]] * 4)
    two = [
        jax.tree.leaves(names[name].logits_fn)
        for name in ("mine", "lightning", "average", "renamed")
    ]
    for leaves in zip(*two, strict=True):
        np.testing.assert_array_equal(leaves, [leaves[0]] * 4)
    assert names["mine"].class_names == ("cat", "dog")
    otherwise, mine = (apply(names[name].logits_fn, image) for name in ("other", "mine"))
    assert not np.allclose(otherwise, mine)


def test_the_page_has_every_name_and_layer() -> None:
    for name in ("efficientnet_lite0", "efficientnet_lite2", *torchvision.TORCHVISION):
        assert f"`{name}`" in PAGE
    image = jax.ShapeDtypeStruct((224, 224, 3), jnp.float32)
    for name in jax.eval_shape(models.load("efficientnet_lite0").features_fn, image):
        assert f"`{name}`" in PAGE or name.startswith("stage")
