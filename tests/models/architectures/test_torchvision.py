"""The layouts of torchvision: as in plain PyTorch, and what holds without it."""

import dataclasses
import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fitb_jax import models, objectives
from fitb_jax.models.architectures import resnet, torchvision, vgg, vit
from fitb_jax.models.architectures.pooling import average_to, max_pool
from fitb_jax.models.weights.state_dicts import Layout
from tests.models.random_weights import random_weights

_GROUPED = resnet.ResNetConfig((1, 1, 1, 1), True, 4, 5, groups=4, widening=2)
# Small, with odd sizes where the layout allows them: padding and pooling are seen at the borders.
SMALL: dict[str, tuple[Any, Layout, tuple[int, int]]] = {
    name: (config, layout(config), shape)
    for name, config, layout, shape in (
        ("resnet", resnet.ResNetConfig((2, 1, 1, 1), False, 4, 5), resnet.layout, (45, 38)),
        ("bottleneck", resnet.ResNetConfig((1, 2, 1, 1), True, 4, 5), resnet.layout, (38, 45)),
        ("resnext", _GROUPED, resnet.layout, (38, 45)),
        ("vgg", vgg.VGGConfig(((4,), (6, 5)), 10, 3, 5), vgg.layout, (22, 19)),
        ("vit", vit.ViTConfig(32, 8, 2, 12, 3, 20, 5), vit.layout, (32, 32)),
    )
}
# Entries and parameters of torchvision's networks (without counters and running statistics).
KNOWN = {
    "resnet18": (102, 11_689_512),
    "resnet34": (182, 21_797_672),
    "resnet50": (267, 25_557_032),
    "resnet101": (522, 44_549_160),
    "resnet152": (777, 60_192_808),
    "resnext50_32x4d": (267, 25_028_904),
    "resnext101_32x8d": (522, 88_791_336),
    "wide_resnet50_2": (267, 68_883_240),
    "wide_resnet101_2": (522, 126_886_696),
    "vgg16": (32, 138_357_544),
    "vit_b_16": (152, 86_567_656),
}


def _image(shape: tuple[int, int], dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(*shape, 3)).astype(dtype)


def _loaded(name: str, dtype: type = np.float32, seed: int = 0) -> Any:
    layout = SMALL[name][1]
    return layout.fill(random_weights(layout.shapes(), seed=seed, dtype=dtype))


def _in_torch(name: str) -> Any:
    pytest.importorskip("torch", reason="PyTorch is no dependency of the package")
    from tests.models import torch_layouts

    kind = "resnet" if name in ("bottleneck", "resnext") else name
    return getattr(torch_layouts, kind)(SMALL[name][0]).eval()


def _torch_logits(network: Any, weights: dict[str, np.ndarray], image: np.ndarray) -> Any:
    """Logits and the gradient of one of them by the image."""
    import torch

    network = network.to(torch.float64 if image.dtype == np.float64 else torch.float32)
    state = {name: torch.tensor(array) for name, array in weights.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    pixels = torch.tensor(image.transpose(2, 0, 1))[None].requires_grad_()
    mean, deviation = (
        torch.tensor(values, dtype=pixels.dtype)[:, None, None]
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    logits = network((pixels - mean) / deviation)[0]
    logits[3].backward()
    return logits.detach().numpy(), pixels.grad[0].numpy().transpose(1, 2, 0)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", SMALL)
def test_float64_logits_and_gradients_are_those_of_pytorch(name: str) -> None:
    _, layout, shape = SMALL[name]
    weights = random_weights(layout.shapes())
    expected, expected_gradient = _torch_logits(_in_torch(name), weights, _image(shape))
    logits_fn = models.as_logits_fn(layout.fill(weights))
    logits, pull_back = jax.vjp(jax.jit(logits_fn), jnp.asarray(_image(shape)))
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9)
    (gradient,) = pull_back(jnp.eye(5)[3])
    largest = np.abs(expected_gradient).max()
    np.testing.assert_allclose(gradient / largest, expected_gradient / largest, atol=1e-9)


@pytest.mark.parametrize("name", SMALL)
def test_float32_logits_are_those_of_pytorch(name: str) -> None:
    _, layout, shape = SMALL[name]
    weights = random_weights(layout.shapes(), dtype=np.float32)
    image = _image(shape, np.float32)
    expected, _ = _torch_logits(_in_torch(name), weights, image)
    logits = jax.jit(models.as_logits_fn(layout.fill(weights)))(jnp.asarray(image))
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4)


# Deeper than what else is tested, and no other way.
_SLOW = ("resnet101", "resnet152", "resnext101_32x8d", "wide_resnet101_2")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in _SLOW)) for name in KNOWN]
)
def test_entries_are_those_of_the_known_files(name: str) -> None:
    shapes = torchvision.layout(name).shapes()
    sizes = {entry: int(np.prod(shape)) for entry, shape in shapes.items()}
    learned = sum(size for entry, size in sizes.items() if "running" not in entry)
    assert (len(shapes), learned) == KNOWN[name]
    assert set(KNOWN) == set(torchvision.TORCHVISION)


def test_some_entries_by_name() -> None:
    names = ("resnet50", "resnext50_32x4d", "vgg16", "vit_b_16")
    shapes = {name: torchvision.layout(name).shapes() for name in names}
    assert shapes["resnet50"]["layer2.0.downsample.0.weight"] == (512, 256, 1, 1)
    assert shapes["resnet50"]["layer2.0.downsample.1.running_var"] == (512,)
    assert shapes["resnet50"]["layer4.2.bn3.running_mean"] == (2048,)
    assert shapes["resnext50_32x4d"]["layer4.2.conv2.weight"] == (1024, 32, 3, 3)
    assert shapes["vgg16"]["features.28.weight"] == (512, 512, 3, 3)
    assert shapes["vgg16"]["classifier.0.weight"] == (4096, 25088)
    assert shapes["vgg16"]["classifier.6.bias"] == (1000,)
    block = "encoder.layers.encoder_layer_11"
    assert shapes["vit_b_16"][f"{block}.self_attention.in_proj_weight"] == (2304, 768)
    assert shapes["vit_b_16"][f"{block}.mlp.0.weight"] == (3072, 768)
    assert shapes["vit_b_16"]["encoder.pos_embedding"] == (1, 197, 768)


def _feature_shapes(name: str, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    layout = SMALL[name][1] if name in SMALL else torchvision.layout(name)
    features_fn = models.features_of(models.as_logits_fn(nnx.eval_shape(layout.build)))
    image = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    layers = jax.eval_shape(lambda function, image: function(image), features_fn, image)
    return {name: layer.shape for name, layer in layers.items()}


def test_layers_have_names_and_shapes() -> None:
    found = _feature_shapes("resnet50", (224, 224))
    assert found == {
        "stem": (112, 112, 64),
        "layer1": (56, 56, 256),
        "layer2": (28, 28, 512),
        "layer3": (14, 14, 1024),
        "layer4": (7, 7, 2048),
        "pooled": (2048,),
        "logits": (1000,),
    }
    found = _feature_shapes("vgg16", (224, 224))
    assert [found[f"block{i}"][::2] for i in range(1, 6)] == [
        (224, 64), (112, 128), (56, 256), (28, 512), (14, 512)
    ]  # fmt: skip
    assert (found["pooled"], found["hidden2"]) == ((7, 7, 512), (4096,))
    found = _feature_shapes("vit_b_16", (224, 224))
    assert {found[f"block{i}"] for i in range(1, 13)} == {(14, 14, 768)}
    assert (found["pooled"], found["logits"]) == ((768,), (1000,))


@pytest.mark.parametrize("name", SMALL)
def test_layers_lead_to_the_logits(name: str) -> None:
    module, image = _loaded(name), jnp.asarray(_image(SMALL[name][2], np.float32))
    layers = models.features_of(models.as_logits_fn(module))(image)
    np.testing.assert_allclose(layers["logits"], models.as_logits_fn(module)(image), atol=1e-5)
    last = {"resnet": "fc", "bottleneck": "fc", "resnext": "fc", "vit": "head"}
    if name in last:
        linear = getattr(module, last[name])
        np.testing.assert_allclose(linear(layers["pooled"]), layers["logits"], atol=1e-5)
    else:
        np.testing.assert_allclose(module.classifier[-1](layers["hidden2"]), layers["logits"])


def test_class_token_sees_patches_in_their_places() -> None:
    """A patch alone in the image is at its own row and column of the grid."""
    module = _loaded("vit")
    features_fn = models.features_of(models.as_logits_fn(module))
    grey = jnp.full((32, 32, 3), 0.5)
    changed = features_fn(grey.at[8:16, 24:32].set(1.0))["patches"] - features_fn(grey)["patches"]
    rows, columns = np.nonzero(np.abs(changed).sum(-1))
    assert (rows.tolist(), columns.tolist()) == ([1], [3])


@pytest.mark.parametrize("name", ["resnet", "vgg", "vit"])
def test_second_derivatives_ensembles_and_no_retrace(name: str) -> None:
    image = jnp.asarray(_image(SMALL[name][2], np.float32))
    members = [models.as_logits_fn(_loaded(name, seed=seed)) for seed in range(2)]
    traces = 0

    @jax.jit
    def curvature(logits_fn: Any, image: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        gradient = jax.grad(lambda z: objectives.log_prob(logits_fn(z), 3))
        return jax.jvp(gradient, (image,), (jnp.cos(image),))[1]

    alone = [np.asarray(curvature(member, image)) for member in members]
    assert traces == 1
    together = jax.vmap(curvature, in_axes=(0, None))(models.stack(members), image)
    for one, other in zip(alone, together, strict=True):
        assert 0 < np.abs(one).max() < np.inf
        np.testing.assert_allclose(one, other, atol=1e-3 * np.abs(one).max())


def test_entries_that_do_not_fit_are_counted_and_a_few_named() -> None:
    layout = SMALL["resnet"][1]
    weights = random_weights(layout.shapes())
    del weights["layer1.0.bn1.running_mean"]
    weights |= {"fc.weight": np.zeros((7, 2)), **{f"extra{i}": np.zeros(1) for i in range(2000)}}
    weights["bn1.num_batches_tracked"] = np.array(3)
    with pytest.raises(models.WeightsError) as raised:
        layout.fill(weights)
    assert str(raised.value) == (
        f"the weights do not fit: 1 of {len(layout.shapes())} entries missing: "
        "layer1.0.bn1.running_mean; 2000 not expected: extra0, extra1, extra10, extra100, "
        "extra1000 and 1,995 more; "
        "1 of another shape: fc.weight has shape (7, 2) instead of (5, 32)"
    )


@pytest.mark.parametrize("name", ["resnet", "vit", "vgg"])
def test_what_stands_before_all_names_comes_off(name: str) -> None:
    layout = SMALL[name][1]
    weights = random_weights(layout.shapes(), dtype=np.float32)
    for start in ("module.", "_orig_mod.", "model.", "net.backbone.", "module.model._orig_mod."):
        renamed = {start + entry: values for entry, values in weights.items()}
        # Of the loss of a Lightning module, and of an average of weights.
        others = {"criterion.weight": np.zeros(3), "n_averaged": np.array(3)}
        found = layout.fit_names({**renamed, **(others if start == "model." else {})})
        assert {entry: id(values) for entry, values in found.items()} == {
            entry: id(values) for entry, values in weights.items()
        }
    inside = {
        re.sub(r"^(layer1|features|encoder)\.", r"\1.module.", entry): values
        for entry, values in weights.items()
    }
    assert layout.fit_names(inside).keys() == weights.keys() != inside.keys()


def test_of_several_networks_in_one_state_dict_the_one_that_is_no_average() -> None:
    layout = SMALL["resnet"][1]
    weights = random_weights(layout.shapes(), dtype=np.float32)
    both = {
        f"{start}{entry}": np.asarray(i)
        for i, start in enumerate(("ema.", "net."))
        for entry in weights
    }
    with pytest.warns(UserWarning, match="such networks: net, ema. net is taken; entry='ema'"):
        found = layout.fit_names(both)
    assert found.keys() == weights.keys()
    assert all(values == 1 for values in found.values())


def test_the_size_of_the_head_is_the_number_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, config in (("resnet18", SMALL["resnet"][0]), ("vgg16", SMALL["vgg"][0])):
        monkeypatch.setitem(torchvision._CONFIGS, name, config)
        ten = torchvision.layout(name, classes=10)
        weights = random_weights(ten.shapes(), dtype=np.float32)
        prefixed = {f"module.{entry}": values for entry, values in weights.items()}
        loaded = torchvision.build(name, prefixed, compute="bfloat16")
        _assert_same_parameters(loaded, ten.fill(weights))
        logits = jax.eval_shape(loaded, jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
        assert (logits.shape, logits.dtype) == ((1, 10), jnp.float32)
    del prefixed["module.classifier.6.weight"]
    with pytest.raises(models.WeightsError, match=r"missing: classifier\.6\.weight"):
        torchvision.build("vgg16", prefixed)


def _timm_names(name: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    replaced = {
        "vit": (
            ("encoder.layers.encoder_layer_", "blocks."),
            ("encoder.pos_embedding", "pos_embed"),
            ("encoder.ln", "norm"),
            ("class_token", "cls_token"),
            ("conv_proj", "patch_embed.proj"),
            ("heads.head", "head"),
            ("ln_", "norm"),
            ("self_attention.in_proj_", "attn.qkv."),
            ("self_attention.out_proj", "attn.proj"),
            ("mlp.0", "mlp.fc1"),
            ("mlp.3", "mlp.fc2"),
        ),
        "vgg": (
            ("classifier.0", "pre_logits.fc1"),
            ("classifier.3", "pre_logits.fc2"),
            ("classifier.6", "head.fc"),
        ),
    }
    renamed = {}
    for entry, values in weights.items():
        for ours, theirs in replaced[name]:
            entry = entry.replace(ours, theirs)
        renamed[entry] = values
    if name == "vgg":
        renamed["pre_logits.fc1.weight"] = renamed["pre_logits.fc1.weight"].reshape(10, 5, 3, 3)
        renamed["pre_logits.fc2.weight"] = renamed["pre_logits.fc2.weight"].reshape(10, 10, 1, 1)
    return renamed


@pytest.mark.parametrize("name", ["vit", "vgg"])
def test_names_of_timm_are_translated(name: str) -> None:
    layout = SMALL[name][1]
    weights = random_weights(layout.shapes(), dtype=np.float32)
    renamed = _timm_names(name, weights)
    assert renamed.keys() - weights.keys()
    _assert_same_parameters(layout.fill(layout.fit_names(renamed)), layout.fill(weights))


def test_older_names_of_torchvision_are_translated() -> None:
    layout = SMALL["vit"][1]
    weights = random_weights(layout.shapes(), dtype=np.float32)
    older = {
        name.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): values
        for name, values in weights.items()
    }
    assert older.keys() != weights.keys()
    _assert_same_parameters(layout.fill(layout.fit_names(older)), layout.fill(weights))


def _assert_same_parameters(one: nnx.Module, other: nnx.Module) -> None:
    pairs = zip(jax.tree.leaves(nnx.state(one)), jax.tree.leaves(nnx.state(other)), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("unchecked")
def test_a_transformer_takes_one_size() -> None:
    logits_fn = models.as_logits_fn(_loaded("vit"))
    with pytest.raises(ValueError, match=r"images must have shape \(n, 32, 32, 3\).* 40, 32"):
        logits_fn(jnp.zeros((40, 32, 3)))


def test_the_normalisation_is_an_affine_change_of_the_image() -> None:
    config, layout, shape = SMALL["resnet"]
    weights = random_weights(layout.shapes(), dtype=np.float32)
    half = models.Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    other = resnet.layout(dataclasses.replace(config, normalisation=half)).fill(weights)
    image = jnp.asarray(_image(shape, np.float32))
    mean, deviation = jnp.array([0.485, 0.456, 0.406]), jnp.array([0.229, 0.224, 0.225])
    same = 0.5 + 0.5 * (image - mean[None, None]) / deviation[None, None]
    np.testing.assert_allclose(
        models.as_logits_fn(other)(same),
        models.as_logits_fn(layout.fill(weights))(image),
        atol=1e-4,
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("mean", "deviation", "message"),
    [
        ((0.5, 0.5), (1.0, 1.0, 1.0), "mean must hold 3 numbers"),
        ((0.5, 0.5, np.nan), (1.0, 1.0, 1.0), "mean must lie in"),
        ((0.5, 0.5, 0.5), (1.0, 0.0, 1.0), r"deviation must lie in \(0, inf\], got 0"),
    ],
)
def test_bad_normalisations_are_refused(mean: Any, deviation: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.Normalisation(mean, deviation)


@pytest.mark.parametrize(
    ("side", "window", "stride", "padding"), [(7, 3, 2, 1), (8, 3, 2, 1), (7, 2, 2, 0)]
)
def test_max_pool_and_its_derivatives_are_the_library_s(
    side: int, window: int, stride: int, padding: int
) -> None:
    """Of a map with ties, as under the black bars of a photograph."""
    draw = np.random.default_rng(0).integers(0, 3, size=(2, side, side + 1, 1))
    x = jnp.asarray(draw, jnp.float32).at[:, :3].set(0)
    along = jnp.sin(jnp.arange(x.size)).reshape(x.shape)

    def ours(x: jax.Array) -> jax.Array:
        return max_pool(x, window=window, stride=stride, padding=padding)

    def library(x: jax.Array) -> jax.Array:
        edges = ((padding, padding),) * 2
        return nnx.max_pool(x, (window, window), (stride, stride), edges)

    def derivatives(f: Any, x: jax.Array) -> Any:
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(f(x) + 1)))
        second = jax.grad(lambda x: jnp.vdot(gradient(x), along))
        return f(x), gradient(x), second(x), jax.vmap(jax.grad(lambda x: f(x[None]).sum()))(x)

    both = [jax.jit(partial(derivatives, f))(x) for f in (ours, library)]
    for mine, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_max_pool_of_equal_values_goes_to_the_first_and_keeps_nan() -> None:
    gradient = jax.grad(lambda x: max_pool(x, window=2, stride=2).sum())(jnp.ones((1, 2, 4, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])
    for place in range(4):
        x = jnp.arange(4.0).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
        assert jnp.isnan(max_pool(x, window=2, stride=2)).all()


def test_averages_are_over_parts_that_cover_the_map() -> None:
    x = jnp.arange(30.0).reshape(1, 5, 6, 1)
    found = np.asarray(average_to(x, 3))[0, :, :, 0]
    # Rows 0-1, 1-3 and 3-4 of five, columns 0-1, 2-3 and 4-5 of six.
    rows, columns = [slice(0, 2), slice(1, 4), slice(3, 5)], [slice(i, i + 2) for i in (0, 2, 4)]
    expected = [[float(x[0, row, column].mean()) for column in columns] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(average_to(x[:, :5, :5], 5), x[:, :5, :5])
    widened = np.asarray(average_to(x[:, :2, :2], 4))[0, :, :, 0]
    np.testing.assert_allclose(widened, np.repeat(np.repeat([[0, 1], [6, 7]], 2, 0), 2, 1))
