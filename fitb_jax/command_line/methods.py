"""The methods of the command by name, with their options and what their maps mean.

The list names functions and does not import them, so that a name can be checked without JAX.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Needs: TypeAlias = Literal[
    "layer", "activations", "objective", "score", "update", "dense_config", "igos_config"
]
"""What a method is given besides its options: the last spatial layer, a way to change the
activation functions, the objective to increase, the score to report, the rule of an update, or a
configuration."""

_CHUNK: dict[str, Any] = {"chunk": 2}
_NOISY = {"draws": 32, **_CHUNK}


def _constant(**options: Any) -> Callable[[int], dict[str, Any]]:
    return lambda size: options


def _no_options(size: int) -> dict[str, Any]:
    return {}


def _windows(size: int) -> dict[str, Any]:
    window = max(size * 3 // 14, 1)
    return {"window": window, "stride": max(window // 3, 1), "background": 0.5, **_CHUNK}


def _blanks(draws: int, order: str) -> Callable[[int], dict[str, Any]]:
    return lambda size: {"draws": draws, "order": order, "patch": max(size // 7, 1), **_CHUNK}


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of the command.

    Attributes:
        title: name on the page.
        meaning: what a large value in its map means.
        function: `module.name` in this package.
        duration: time for EfficientNet-Lite0 on two cores, for two classes.
        options: from the side of the image in pixels to the options of the function.
        needs: what the function is given besides, see `Needs`.
    """

    title: str
    meaning: str
    function: str
    duration: str
    options: Callable[[int], dict[str, Any]] = _no_options
    needs: Needs | None = None


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "extremal": Method(
            "Extremal masks",
            "the pixel is in the small masks that let the network see the class",
            "extremal.fit_inr",
            "10 s",
            needs="objective",
        ),
        "grad_cam": Method(
            "Grad-CAM",
            "the last layer sees here what speaks for the class",
            "attribution.grad_cam",
            "< 1 s",
            needs="layer",
        ),
        "rise": Method(
            "RISE",
            "the class is more probable where some of 512 random masks show this part",
            "attribution.rise",
            "10 s",
            _constant(draws=512, normalise="covariance", **_CHUNK),
            needs="score",
        ),
        "smoothgrad_squared": Method(
            "SmoothGrad squared",
            "small changes here change the class's logit most, over noise",
            "attribution.smoothgrad_squared",
            "2 s",
            _constant(**_NOISY),
        ),
        "fill_in": Method(
            "Fill-in",
            "the pixel is strongly filled in where random patches hide it; the grid is theirs",
            "saliency.fill_saliency",
            "2 s",
            _blanks(32, "first"),
            needs="update",
        ),
        "fill_in_second_order": Method(
            "Fill-in, second order",
            "the pixel is strongly filled in by Newton steps, where random patches hide it",
            "saliency.fill_saliency",
            "4 s",
            _blanks(8, "second"),
            needs="update",
        ),
        "layer_cam": Method(
            "LayerCAM",
            "the last layer speaks for the class here, weighted place by place",
            "attribution.layer_cam",
            "< 1 s",
            needs="layer",
        ),
        "gradient": Method(
            "Gradient",
            "small changes here change the class's logit most",
            "attribution.gradient_magnitude",
            "< 1 s",
        ),
        "input_x_gradient": Method(
            "Input x gradient",
            "the pixel speaks for the class (red) or against it (blue), to first order",
            "attribution.input_x_gradient",
            "< 1 s",
        ),
        "integrated_gradients": Method(
            "Integrated gradients",
            "the pixel adds to the logit on the way from black to the photograph",
            "attribution.integrated_gradients",
            "2 s",
            _constant(**_CHUNK),
        ),
        "smoothgrad": Method(
            "SmoothGrad",
            "small changes here change the class's logit most, averaged over noise",
            "attribution.smoothgrad",
            "2 s",
            _constant(**_NOISY),
        ),
        "vargrad": Method(
            "VarGrad",
            "the gradient varies most here, over noise",
            "attribution.vargrad",
            "2 s",
            _constant(**_NOISY),
        ),
        "occlusion": Method(
            "Occlusion",
            "a grey square here takes most away from the logit",
            "attribution.occlusion",
            "3 s",
            _windows,
        ),
        "guided_backpropagation": Method(
            "Guided backpropagation",
            "there is an edge, whatever the class",
            "attribution.guided_backpropagation",
            "< 1 s",
            needs="activations",
        ),
        "deconvnet": Method(
            "Deconvnet",
            "there is an edge, whatever the class",
            "attribution.deconvnet",
            "< 1 s",
            needs="activations",
        ),
        "dense_extremal": Method(
            "Extremal masks, a free one for each area",
            "the pixel is in the small masks that let the network see the class",
            "saliency.dense_saliency",
            "minutes",
            needs="dense_config",
        ),
        "igos_plus_plus": Method(
            "iGOS++",
            "the pixel is in the small mask without which the class goes, and with which it stays",
            "saliency.igos_saliency",
            "minutes",
            needs="igos_config",
        ),
    }
)
"""All methods by name, in the order in which they are shown."""

DEFAULT = ("extremal", "grad_cam", "rise", "smoothgrad_squared", "fill_in")
"""Methods by default, which take less than a minute for a photograph."""
