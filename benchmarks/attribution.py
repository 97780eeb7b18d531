"""Attribution of EfficientNet-Lite0 per image, against Captum and PyTorch with the same weights."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.timing import Row, Timing
from fitb_jax import attribution, checks, data, models
from fitb_jax.models.architectures.activations import relu
from fitb_jax.types import LogitsFn, Saliency

try:
    import torch

    from benchmarks import attribution_torch
except ImportError:  # PyTorch, the port and Captum are not dependencies
    attribution_torch = None  # type: ignore[assignment]  # a module otherwise

_CHUNKS = (1, 2, 8)
_BATCHES = (1, 8, 32)
_WANTED = {"occlusion": ">= 1", "rise": ">= 1"}
_PILOT = 32
_NOISY = {
    "smoothgrad": attribution.smoothgrad,
    "smoothgrad squared": attribution.smoothgrad_squared,
    "vargrad": attribution.vargrad,
}
_RULES = {
    "deconvnet": attribution.deconvnet,
    "guided backpropagation": attribution.guided_backpropagation,
}


def run(
    *,
    rounds: int = 7,
    slow_rounds: int = 2,
    nodes: int = 32,
    draws: int = 32,
    masks: int = 4000,
    window: int = 16,
    stride: int = 8,
    methods: tuple[str, ...] = (),
) -> list[Row]:
    """Every method that both sides have, in turns; each side in its fastest chunks and layout.

    Args:
        rounds: timings of each side.
        slow_rounds: timings of occlusion and RISE, which take minutes.
        nodes: of integrated gradients.
        draws: of SmoothGrad.
        masks: of RISE.
        window: of occlusion, in pixels.
        stride: of occlusion, in pixels.
        methods: names of the rows; none means all.

    Returns:
        The rows of the table.
    """
    if attribution_torch is None:
        return [Row("PyTorch, the port and Captum", "not installed (dependency group bench)")]
    pretrained = models.load("efficientnet_lite0")
    # A real one: on noise a map may be zero, and then there is nothing to compare.
    photograph = next(iter(data.photographs("skimage", size=pretrained.size)))
    image = jnp.asarray(photograph.image)
    target = int(jnp.argmax(pretrained.logits_fn(image)))
    settings = {"nodes": nodes, "draws": draws, "window": window, "stride": stride}
    ours = functools.partial(_ours, pretrained.logits_fn, image, target, **settings)
    theirs = _theirs(np.asarray(image), target, settings)
    known = (*ours(chunk=1), "rise")
    for name in methods:
        checks.check_choice("methods", name, known)
    rows = []
    for name in [name for name in known[:-1] if name in (methods or known)]:
        is_slow = name == "occlusion"
        sides: dict[Any, Callable[[], Any]] = {("ours", c): ours(chunk=c)[name] for c in _CHUNKS}
        sides |= {
            (layout, batch): make(batch)[name]
            for layout, make in theirs.items()
            for batch in _BATCHES
        }
        rows += _rows(name, sides, slow_rounds if is_slow else rounds, pilot=None)
    if "rise" in (methods or known):
        rows += _rise_rows(pretrained.logits_fn, image, target, masks, slow_rounds)
    return rows


def _ours(
    logits_fn: LogitsFn,
    image: jax.Array,
    target: int,
    *,
    nodes: int,
    draws: int,
    window: int,
    stride: int,
    chunk: int,
) -> dict[str, Callable[[], np.ndarray]]:
    key = jax.random.key(0)
    methods: dict[str, Callable[..., Saliency]] = {
        "gradient": attribution.gradient_magnitude,
        "input x gradient": attribution.input_x_gradient,
        "integrated gradients": functools.partial(
            attribution.integrated_gradients, nodes=nodes, chunk=chunk
        ),
        **{
            name: functools.partial(method, key=key, draws=draws, chunk=chunk)
            for name, method in _NOISY.items()
        },
        "occlusion": functools.partial(
            attribution.occlusion, window=window, stride=stride, chunk=chunk
        ),
        "grad-cam": functools.partial(
            attribution.grad_cam, features_of=models.features_of, layer="stage7"
        ),
    }
    # Captum knows ReLU and not ReLU6, so that both sides get ReLUs.
    rectified = models.map_activations(logits_fn, lambda activation: relu)
    rules = {
        name: functools.partial(method, map_activations=models.map_activations)
        for name, method in _RULES.items()
    }
    return {
        **{name: _compiled(method, logits_fn, image, target) for name, method in methods.items()},
        **{name: _compiled(method, rectified, image, target) for name, method in rules.items()},
    }


def _compiled(
    method: Callable[..., Saliency], logits_fn: LogitsFn, image: jax.Array, target: int
) -> Callable[[], np.ndarray]:
    compiled = jax.jit(method)
    return lambda: np.asarray(compiled(logits_fn, image, target))


def _theirs(
    image: np.ndarray, target: int, settings: Mapping[str, int]
) -> dict[str, Callable[[int], dict[str, Callable[[], np.ndarray]]]]:
    """By layout, from a batch size to the methods."""

    def of_layout(layout: Any) -> Callable[[int], dict[str, Callable[[], np.ndarray]]]:
        net = attribution_torch.network(layout=layout)
        rectified = attribution_torch.network(layout=layout, activation=torch.nn.ReLU)
        return lambda batch: {
            **attribution_torch.sides(net, image, target, batch=batch, layout=layout, **settings),
            **attribution_torch.rules(rectified, image, target, layout=layout),
        }

    return {
        "channels last": of_layout(torch.channels_last),
        "default layout": of_layout(torch.contiguous_format),
    }


def _rise_rows(
    logits_fn: LogitsFn, image: jax.Array, target: int, masks: int, rounds: int
) -> list[Row]:
    def sides(draws: int) -> dict[Any, Callable[[], Any]]:
        net = attribution_torch.network(layout=torch.channels_last)
        key = jax.random.key(0)
        found: dict[Any, Callable[[], Any]] = {}
        for chunk in _CHUNKS:
            method = functools.partial(attribution.rise, key=key, draws=draws, chunk=chunk)
            found["ours", chunk] = _compiled(method, logits_fn, image, target)
        for batch in _BATCHES:
            found["channels last", batch] = functools.partial(
                attribution_torch.rise,
                net,
                np.asarray(image),
                target,
                draws=draws,
                batch=batch,
                layout=torch.channels_last,
            )
        return found

    return _rows("rise", sides(masks), rounds, pilot=sides(min(_PILOT, masks)))


def _rows(
    name: str,
    sides: Mapping[Any, Callable[[], Any]],
    rounds: int,
    *,
    pilot: Mapping[Any, Callable[[], Any]] | None,
) -> list[Row]:
    """The fastest chunk of ours against the fastest layout and batch of theirs.

    They are chosen by one round of `pilot`, or of the sides themselves.
    """
    first = timing.interleave(pilot or sides, rounds=1)
    best = {}
    for is_ours in (True, False):
        keys = [key for key in first if (key[0] == "ours") == is_ours]
        best[is_ours] = min(keys, key=lambda key: first[key].median)
    chosen = {key: sides[key] for key in best.values()}
    rows = _parity_rows(name, chosen[best[True]], chosen[best[False]])
    timings = timing.interleave(chosen, rounds=rounds)
    return [*rows, *_speed_rows(name, timings, best[True], best[False])]


def _parity_rows(name: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> list[Row]:
    if name in (*_NOISY, "rise"):  # each side draws its own
        return []
    a, b = ours(), theirs()
    return [
        Row(
            f"{name}: relative difference to PyTorch",
            f"{np.linalg.norm(a - b) / np.linalg.norm(b):.1e}",
            "<= 1e-4",
        )
    ]


def _speed_rows(name: str, timings: Mapping[Any, Timing], ours: Any, theirs: Any) -> list[Row]:
    ratio = timing.ratio(timings[theirs], timings[ours])
    return [
        Row(f"{name}: seconds an image", f"{timings[ours].median:.3f}, in chunks of {ours[1]}"),
        Row(
            f"{name}: times PyTorch takes as long as ours",
            f"{ratio:.2f} ({theirs[0]}, batches of {theirs[1]})",
            _WANTED.get(name, ""),
        ),
    ]
