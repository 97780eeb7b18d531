"""PyTorch modules as functions of an image: the same numbers as PyTorch, and layers by name."""

import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import attribution, fill, models
from fitb_jax.models import torch_adapter

PAGE = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text()
IMAGE = jax.random.uniform(jax.random.key(0), (12, 8, 3))
SQUARE = jax.random.uniform(jax.random.key(1), (64, 64, 3))
LEFT_OUT = "torch and torchax, the extra `torch`, are not in the environment of the tests"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of something that says it is PyTorch."""
    kinds = {name: type(name, (), {}) for name in ("Module", "DataParallel", "Distributed")}
    torch = SimpleNamespace(
        nn=SimpleNamespace(
            Module=kinds["Module"],
            DataParallel=kinds["DataParallel"],
            parallel=SimpleNamespace(DistributedDataParallel=kinds["Distributed"]),
        ),
        jit=SimpleNamespace(ScriptModule=type("ScriptModule", (kinds["Module"],), {})),
        __version__="2.13.0",
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch.nn.Module()


def test_without_torchax_the_error_says_what_to_install(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchax", None)
    with pytest.raises(ImportError, match=r"needs the package torchax.*'fitb_jax\[torch\]'"):
        models.as_logits_fn(module)


def test_a_wrong_pair_is_named(
    module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torchax.py").write_text("raise AttributeError('align_to')")
    (tmp_path / "torchax-0.0.13.dist-info").mkdir()
    told = "Metadata-Version: 2.1\nName: torchax\nVersion: 0.0.13\n"
    (tmp_path / "torchax-0.0.13.dist-info" / "METADATA").write_text(told)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchax", raising=False)
    with pytest.raises(ImportError) as caught:
        models.as_logits_fn(module)
    first, second = str(caught.value).splitlines()
    assert "0.0.13, does not work with torch 2.13.0" in first
    assert second.startswith("pip install 'fitb_jax[torch]'")
    assert "torch before 2.13" in second


def test_a_scripted_module_is_refused(module: Any) -> None:
    with pytest.raises(TypeError, match=r"scripted PyTorch module.* give the torch.nn.Module"):
        models.as_logits_fn(sys.modules["torch"].jit.ScriptModule())


def test_numbers_of_the_normalisation_are_checked(module: Any) -> None:
    with pytest.raises(ValueError, match="mean and std must be given both or neither"):
        models.as_logits_fn(module, mean=0.5)
    with pytest.raises(ValueError, match="std must lie in"):
        models.as_logits_fn(module, mean=(0.5, 0.5, 0.5), std=(0.1, 0.0, 0.1))
    with pytest.raises(ValueError, match="as many values, got 2 and 3"):
        models.as_logits_fn(module, mean=(0.5, 0.5), std=(0.1, 0.1, 0.1))
    with pytest.raises(TypeError, match=r"mean and std are for PyTorch modules, got .*lambda"):
        models.as_logits_fn(lambda images: images, mean=0.5, std=0.5)


@pytest.mark.parametrize(
    ("image", "returned", "layer"),
    [
        ((64, 64), (32, 8, 8), (8, 8, 32)),  # channels first
        ((64, 64), (8, 8, 32), (8, 8, 32)),  # channels last, as in Swin
        ((96, 64), (6, 12, 8), (12, 8, 6)),
        ((96, 64), (12, 8, 6), (12, 8, 6)),
        ((64, 64), (32, 1, 1), (1, 1, 32)),
        ((64, 64), (16, 5), (4, 4, 5)),  # tokens, none before the patches
        ((64, 64), (21, 5), (4, 4, 5)),  # a class token and four registers
        ((96, 64), (25, 5), (6, 4, 5)),
        ((64, 64), (62, 5), (62, 5)),  # of no grid
        ((64, 64), (7,), (7,)),
    ],
)
def test_places_are_seen_from_the_proportions(
    image: tuple[int, int], returned: tuple[int, ...], layer: tuple[int, ...]
) -> None:
    values = np.arange(np.prod(returned)).reshape(1, *returned)
    found = torch_adapter.layer_view(returned, (*image, 3))(values)
    assert found.shape == layer
    first = values[0, -np.prod(layer[:-1]) :, 0] if len(layer) > len(returned) else None
    if first is not None:  # the last tokens, row by row
        np.testing.assert_array_equal(found[..., 0].ravel(), first)


@pytest.fixture
def torch() -> Iterator[Any]:
    # torchax broadcasts as PyTorch does.
    with jax.numpy_rank_promotion("allow"):
        for name in ("torch", "torchax"):
            pytest.importorskip(name, reason=LEFT_OUT)
        yield sys.modules["torch"]


@functools.cache
def _kind(torch: Any) -> Any:
    """Dropout, batch normalisation, an addition in place, and a part that is called twice."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.norm = torch.nn.BatchNorm2d(4)
            self.activation = torch.nn.SiLU(inplace=True)
            self.dropout = torch.nn.Dropout(0.5)
            self.last = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 5))

        def forward(self, images: Any) -> Any:
            x = self.activation(self.norm(self.first(images)))
            x += torch.arange(4)[:, None, None]
            return self.last(self.activation(self.dropout(x).mean((2, 3))))

    return Network


def _network(torch: Any, seed: int) -> Any:
    torch.manual_seed(seed)
    network = _kind(torch)()
    network(torch.rand(8, 3, 12, 8))  # its statistics are its own
    return network


def _tensor(torch: Any, image: Any) -> Any:
    return torch.tensor(np.asarray(image).transpose(2, 0, 1)[None].copy(), requires_grad=True)


def _expected(torch: Any, network: Any, image: Any, mean: Any = 0.0, std: Any = 1.0) -> Any:
    """Logits and the gradient of one of them, by PyTorch."""
    was_training = network.training
    pixels = _tensor(torch, image)
    mean, std = (torch.tensor(each).reshape(-1, 1, 1) for each in (mean, std))
    output = network.eval()((pixels - mean) / std)
    logits = getattr(output, "logits", output)
    (gradient,) = torch.autograd.grad(logits[0, 1], pixels)
    network.train(was_training)
    return logits[0].detach().numpy(), gradient[0].numpy().transpose(1, 2, 0)


def _assert_same(torch: Any, network: Any, image: Any, logits_fn: Any, **numbers: Any) -> None:
    right = _expected(torch, network, image, **numbers)
    both = jax.jit(lambda f, x: (f(x), jax.grad(lambda y: f(y)[1])(x)))
    for found, expected in zip(both(logits_fn, image), right, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def _assert_logits(logits_fn: Any, right: Any) -> None:
    np.testing.assert_allclose(logits_fn(IMAGE), right, atol=1e-5)


def test_a_module_is_evaluated_normalised_and_left_as_it_was(torch: Any) -> None:
    network = _network(torch, 0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    numbers = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.2)}
    logits_fn = models.as_logits_fn(network, **numbers)
    _assert_same(torch, network, IMAGE, logits_fn, **numbers)
    assert network.training
    assert network.dropout.training
    for name, value in network.state_dict().items():
        assert torch.equal(before[name], value)
    logits = np.asarray(logits_fn(IMAGE))
    with torch.no_grad():
        network.first.weight += 1.0
    np.testing.assert_array_equal(logits_fn(IMAGE), logits)


def test_the_normalisation_of_timm_is_read(torch: Any) -> None:
    network = _network(torch, 0)
    network.pretrained_cfg = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.2)}
    right, _ = _expected(torch, network, IMAGE, (0.4, 0.5, 0.6), (0.2, 0.3, 0.2))
    _assert_logits(models.as_logits_fn(network), right)
    right, _ = _expected(torch, network, IMAGE, 0.5, 0.5)
    _assert_logits(models.as_logits_fn(network, mean=0.5, std=0.5), right)


def test_parameters_are_arguments(torch: Any) -> None:
    members = [models.as_logits_fn(_network(torch, seed)) for seed in range(2)]
    traces = 0

    @jax.jit
    def apply(logits_fn: Any, image: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return logits_fn(image)

    found = [apply(member, IMAGE) for member in members]
    assert traces == 1
    assert not np.allclose(*found)
    together = jax.vmap(apply, in_axes=(0, None))(models.stack(members), IMAGE)
    np.testing.assert_allclose(together, found, atol=1e-5)
    names = models.parameter_layers(members[0], IMAGE).names
    assert names == ("first", "norm", "last")
    other = _network(torch, 0)
    other.norm.eps = 0.1
    with pytest.raises(ValueError, match="share one structure"):
        models.stack([members[0], models.as_logits_fn(other)])


def test_second_order(torch: Any) -> None:
    network = _network(torch, 0)
    logits_fn = models.as_logits_fn(network)
    mask = jnp.ones(IMAGE.shape[:2]).at[2:5, 2:5].set(0.0)
    update = jax.jit(fill.second_order)(logits_fn, IMAGE, mask, 1)
    assert 0 < np.abs(update[2:5, 2:5]).max() < np.inf
    assert (update[:2] == 0).all()
    direction = jax.random.normal(jax.random.key(2), IMAGE.shape)
    gradient = jax.grad(lambda image: logits_fn(image)[1])
    found = jax.jit(lambda *of: jax.jvp(gradient, of[:1], of[1:])[1])(IMAGE, direction)
    network.eval()
    _, expected = torch.autograd.functional.hvp(
        lambda images: network(images)[0, 1],
        _tensor(torch, IMAGE).detach(),
        _tensor(torch, direction).detach(),
    )
    right = expected[0].detach().numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-5 * np.abs(right).max())


def test_layers_have_the_names_of_the_parts(torch: Any) -> None:
    network = _network(torch, 0)
    features_fn = models.features_of(models.as_logits_fn(network))
    layers = features_fn(IMAGE)
    network.eval()
    first = network.norm(network.first(_tensor(torch, IMAGE))).detach()[0].numpy()
    # What follows changes this tensor in its place.
    np.testing.assert_allclose(layers["norm"], first.transpose(1, 2, 0), atol=1e-5)
    assert {*layers} == {
        *("first", "norm", "activation:1", "activation:2", "dropout", "last", "logits")
    }
    added = jnp.linspace(0.0, 1.0, first.size).reshape(layers["norm"].shape)
    moved = features_fn(IMAGE, {"norm": added})
    np.testing.assert_allclose(moved["norm"], layers["norm"] + added, atol=1e-5)
    by_hand = np.asarray(jax.nn.silu(layers["norm"] + added))
    np.testing.assert_allclose(moved["activation:1"], by_hand, atol=1e-5)
    with pytest.raises(ValueError, match="perturbations must name layers of Network, got act"):
        features_fn(IMAGE, {"activation": jnp.zeros(())})
    assert models.last_spatial_layer(models.as_logits_fn(network), IMAGE.shape) == "dropout"


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (lambda logits: (logits, logits), r"returned a tuple of 2: .*self.model\(images\)\[0\]"),
        (lambda logits: {"out": logits}, r"a dict of 'out': .*self.model\(images\)\['out'\]"),
    ],
)
def test_outputs_that_are_no_logits_are_refused(torch: Any, returned: Any, told: str) -> None:
    network = _network(torch, 0)
    network.register_forward_hook(lambda part, inputs, output: returned(output))
    with pytest.raises(TypeError, match=told):
        models.as_logits_fn(network)(IMAGE)


def test_logits_of_a_data_class_are_taken(torch: Any) -> None:
    network = _network(torch, 0)
    right, _ = _expected(torch, network, IMAGE)
    network.register_forward_hook(lambda part, inputs, output: SimpleNamespace(logits=output))
    _assert_logits(models.as_logits_fn(network), right)


def test_a_module_without_weights_is_refused(torch: Any) -> None:
    with pytest.raises(ValueError, match="without weights yet"):
        models.as_logits_fn(torch.nn.Linear(3, 2, device="meta"))


def _assert_layer(torch: Any, network: Any, logits_fn: Any, layer: str, to_grid: Any) -> None:
    """A layer and its gradient, with what a hook of PyTorch sees; both channels last."""
    gradient = functools.partial(
        attribution.cam.layer_gradient, features_of=models.features_of, layer=layer
    )
    seen: dict[str, Any] = {}
    part = network.eval().get_submodule(layer)
    part.register_forward_hook(lambda *parts: seen.update(layer=parts[2]))
    (logits,) = network((_tensor(torch, SQUARE) - 0.5) / 0.25)
    right = (seen["layer"], torch.autograd.grad(logits[1], seen["layer"])[0])
    for found, tensor in zip(jax.jit(gradient)(logits_fn, SQUARE, 1), right, strict=True):
        expected = to_grid(tensor.detach().numpy()[0])
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_layers_of_a_resnet_are_pytorch_s(torch: Any) -> None:
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
    network = torchvision.models.resnet18(num_classes=5)
    logits_fn = models.as_logits_fn(network, mean=0.5, std=0.25)
    _assert_same(torch, network, SQUARE, logits_fn, mean=0.5, std=0.25)
    assert models.last_spatial_layer(logits_fn, SQUARE.shape) == "layer4"
    _assert_layer(torch, network, logits_fn, "layer4", lambda values: values.transpose(1, 2, 0))


@pytest.mark.slow
def test_tokens_of_a_transformer_are_on_their_grid(torch: Any) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    network = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=5)
    logits_fn = models.as_logits_fn(network, mean=0.5, std=0.25)
    _assert_same(torch, network, SQUARE, logits_fn, mean=0.5, std=0.25)
    grid = functools.partial(np.reshape, shape=(4, 4, 192))
    _assert_layer(torch, network, logits_fn, "blocks.1.norm1", lambda values: grid(values[1:]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("convnext_atto", {}),
        ("swin_tiny_patch4_window7_224", {"img_size": 64, "window_size": 2, "depths": (1, 1)}),
        ("mobilenetv3_small_050", {}),
    ],
)
def test_networks_of_timm(torch: Any, name: str, options: dict[str, Any]) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5, **options)
    numbers = {key: network.pretrained_cfg[key] for key in ("mean", "std")}
    _assert_same(torch, network, SQUARE, models.as_logits_fn(network), **numbers)


@pytest.mark.slow
def test_the_page_s_code_runs(torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
    monkeypatch.chdir(tmp_path)
    torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), "fine_tuned.pth")
    (block,) = re.findall(r"```python\n(import torch\n.*?)```", PAGE, re.S)
    names = {"models": models, "attribution": attribution, "image": jnp.asarray(SQUARE)}
    exec(block, names)
    assert names["fine_tuned"](SQUARE).shape == (10,)
    assert names["cam"].shape == SQUARE.shape[:2]
