"""Agreement with Captum, pytorch-grad-cam and plain PyTorch on photographs, with one network.

The layers compared end in a module of the port: "stage5" and "stage7", its blocks 10 and 15.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution, models
from fitb_jax.models.architectures.activations import relu
from fitb_jax.types import LogitsFn

torch = pytest.importorskip("torch", reason="PyTorch is no dependency of the package")
captum = pytest.importorskip("captum.attr", reason="Captum is in dependency group bench")
pytest.importorskip("efficientnet_lite_pytorch", reason="the port is no dependency")
data = pytest.importorskip("skimage.data")

from benchmarks import attribution_torch  # noqa: E402 - it needs PyTorch

# Captum announces hooks and gradients that it sets as warnings.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TARGET = 281
LAYERS = {"stage5": 10, "stage7": 15}


@pytest.fixture(scope="module")
def lite0() -> models.Pretrained:
    return models.load("efficientnet_lite0")


@pytest.fixture(scope="module", params=["chelsea", "coffee"])
def photo(lite0: models.Pretrained, request: pytest.FixtureRequest) -> np.ndarray:
    return lite0.preprocess(getattr(data, request.param)())


def _assert_close(found: jax.Array, wanted: np.ndarray) -> None:
    difference = np.linalg.norm(np.asarray(found) - wanted) / np.linalg.norm(wanted)
    assert difference < 1e-4, f"relative difference {difference:.1e}"


OURS: dict[str, Callable] = {
    "gradient": attribution.gradient_magnitude,
    "input x gradient": attribution.input_x_gradient,
    "integrated gradients": functools.partial(
        attribution.integrated_gradients, baseline=0.3, nodes=5, chunk=5
    ),
    "occlusion": functools.partial(attribution.occlusion, window=64, stride=48, background=0.3),
}


# Both networks get SiLUs: in float32 rounding switches units of ReLU6, and with them the gradients
# of either side by up to a hundredth.
@pytest.fixture(scope="module")
def smooth(lite0: models.Pretrained) -> LogitsFn:
    return models.map_activations(lite0.logits_fn, lambda activation: jax.nn.silu)


def _smooth_port() -> attribution_torch.Network:
    return attribution_torch.network(activation=torch.nn.SiLU)


@pytest.mark.parametrize("name", OURS)
def test_maps_are_those_of_captum(smooth: LogitsFn, photo: np.ndarray, name: str) -> None:
    theirs = attribution_torch.sides(
        _smooth_port(), photo, TARGET, nodes=5, window=64, stride=48, baseline=0.3
    )
    found = jax.jit(OURS[name])(smooth, jnp.asarray(photo), TARGET)
    _assert_close(found, theirs[name]())


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_is_that_of_captum(smooth: LogitsFn, photo: np.ndarray, layer: str) -> None:
    ours = functools.partial(attribution.grad_cam, features_of=models.features_of, layer=layer)
    found = jax.jit(ours)(smooth, jnp.asarray(photo), TARGET)
    theirs = attribution_torch.grad_cam(_smooth_port(), photo, TARGET, block=LAYERS[layer])
    _assert_close(found, theirs)


@pytest.mark.parametrize("name", ["GradCAM", "LayerCAM"])
@pytest.mark.parametrize("layer", LAYERS)
def test_maps_are_those_of_pytorch_grad_cam(
    smooth: LogitsFn, photo: np.ndarray, name: str, layer: str
) -> None:
    cams = pytest.importorskip("pytorch_grad_cam", exc_type=ImportError)
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets", exc_type=ImportError)
    ours = {"GradCAM": attribution.grad_cam, "LayerCAM": attribution.layer_cam}[name]
    method = functools.partial(ours, features_of=models.features_of, layer=layer)
    found = np.asarray(jax.jit(method)(smooth, jnp.asarray(photo), TARGET))
    network = _smooth_port().requires_grad_(True)
    with getattr(cams, name)(network, [network.port._blocks[LAYERS[layer]]]) as cam:
        pixels = torch.tensor(photo).permute(2, 0, 1)[None]
        (wanted,) = cam(pixels, [targets.ClassifierOutputTarget(TARGET)])
    # Theirs are scaled to [0, 1].
    _assert_close((found - found.min()) / np.ptp(found), wanted)


@pytest.mark.parametrize("name", ["Deconvolution", "GuidedBackprop"])
def test_rules_are_those_of_captum(lite0: models.Pretrained, photo: np.ndarray, name: str) -> None:
    """Captum knows ReLU but not ReLU6, so that both networks get ReLUs."""
    rectified = models.map_activations(lite0.logits_fn, lambda activation: relu)
    ours = {
        "Deconvolution": attribution.deconvnet,
        "GuidedBackprop": attribution.guided_backpropagation,
    }[name]
    found = jax.jit(functools.partial(ours, map_activations=models.map_activations))(
        rectified, jnp.asarray(photo), TARGET
    )
    network = attribution_torch.network(activation=torch.nn.ReLU)
    pixels = torch.tensor(photo).permute(2, 0, 1)[None].requires_grad_(True)
    wanted = getattr(captum, name)(network).attribute(pixels, target=TARGET)
    _assert_close(found, wanted[0].abs().sum(0).detach().numpy())


def test_rise_is_the_sum_of_the_paper(lite0: models.Pretrained, photo: np.ndarray) -> None:
    key, draws = jax.random.key(0), 24
    found = jax.jit(functools.partial(attribution.rise, draws=draws, chunk=8))(
        lite0.logits_fn, jnp.asarray(photo), TARGET, key=key
    )
    network = attribution_torch.network()
    wanted = np.zeros((224, 224))
    for draw_key in jax.random.split(key, draws):
        mask = np.asarray(attribution.rise_mask((224, 224), key=draw_key))
        with torch.inference_mode():
            pixels = torch.tensor(photo * mask[:, :, None]).permute(2, 0, 1)[None]
            score = float(torch.softmax(network(pixels)[0], 0)[TARGET])
        wanted += score * mask / (draws * 0.5)
    _assert_close(found, wanted)
