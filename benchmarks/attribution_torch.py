"""Attribution of EfficientNet-Lite0 by Captum, and by plain PyTorch where Captum has no method."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import torch

from benchmarks import models_torch


class Network(torch.nn.Module):
    """The port on images (n, 3, h, w) in [0, 1]."""

    def __init__(self, port: torch.nn.Module) -> None:
        """Keep the port, which takes normalised images."""
        super().__init__()
        self.port = port

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.port((255 * images - 127) / 128)


def network(
    *,
    layout: torch.memory_format = torch.contiguous_format,
    activation: Callable[[], torch.nn.Module] | None = None,
) -> Network:
    """The network in evaluation mode.

    Args:
        layout: memory format of its weights.
        activation: makes what replaces its ReLU6.

    Returns:
        A module on images in [0, 1].
    """
    port = models_torch.network()
    if activation is not None:
        for module in port.modules():
            if hasattr(module, "_swish"):
                module._swish = activation()
    return Network(port).eval().to(memory_format=layout)


def sides(
    net: Network,
    image: np.ndarray,
    target: int,
    *,
    nodes: int = 32,
    draws: int = 32,
    noise: float = 0.15,
    window: int = 16,
    stride: int = 8,
    baseline: float = 0.0,
    batch: int = 8,
    layout: torch.memory_format = torch.contiguous_format,
) -> dict[str, Callable[[], np.ndarray]]:
    """Captum's methods with the settings of ours.

    Args:
        net: from `network`.
        image: (h, w, 3) in [0, 1].
        target: class to explain.
        nodes: of integrated gradients.
        draws: of SmoothGrad.
        noise: of SmoothGrad, as a share of the image's range.
        window: of occlusion.
        stride: of occlusion.
        baseline: of integrated gradients and occlusion.
        batch: images evaluated at once.
        layout: memory format of the images.

    Returns:
        By our names, functions that make a map (h, w).
    """
    pixels = _pixels(image, layout)
    gradient = captum.attr.Saliency(net)
    noisy = captum.attr.NoiseTunnel(captum.attr.Saliency(net))
    deviation = noise * float(np.ptp(image))

    def attribute(method: Any, /, **options: Any) -> torch.Tensor:
        leaf = pixels.clone().requires_grad_(True)
        return method.attribute(leaf, target=target, **options)[0].detach()

    def smooth(kind: str) -> torch.Tensor:
        return attribute(
            noisy,
            nt_type=kind,
            nt_samples=draws,
            nt_samples_batch_size=batch,
            stdevs=deviation,
            abs=False,
        )

    def occluded() -> np.ndarray:
        with torch.inference_mode():
            found = captum.attr.Occlusion(net).attribute(
                pixels,
                target=target,
                sliding_window_shapes=(3, window, window),
                strides=(3, stride, stride),
                baselines=baseline,
                perturbations_per_eval=batch,
            )
        return found[0, 0].numpy()

    return {
        "gradient": lambda: attribute(gradient).sum(0).numpy(),
        "input x gradient": lambda: attribute(captum.attr.InputXGradient(net)).sum(0).numpy(),
        "integrated gradients": lambda: (
            attribute(
                captum.attr.IntegratedGradients(net),
                baselines=baseline,
                n_steps=nodes,
                method="gausslegendre",
                internal_batch_size=batch,
            )
            .sum(0)
            .numpy()
        ),
        "smoothgrad": lambda: smooth("smoothgrad").abs().sum(0).numpy(),
        "smoothgrad squared": lambda: smooth("smoothgrad_sq").sum(0).numpy(),
        "vargrad": lambda: smooth("vargrad").sum(0).numpy(),
        "occlusion": occluded,
        "grad-cam": functools.partial(grad_cam, net, image, target, layout=layout),
    }


def rules(
    net: Network,
    image: np.ndarray,
    target: int,
    *,
    layout: torch.memory_format = torch.contiguous_format,
) -> dict[str, Callable[[], np.ndarray]]:
    """Captum's methods with another backward pass of ReLUs.

    Args:
        net: from `network`, with ReLUs.
        image: (h, w, 3) in [0, 1].
        target: class to explain.
        layout: memory format of the images.

    Returns:
        By our names, functions that make a map (h, w).
    """

    def attribute(method: Any) -> np.ndarray:
        leaf = _pixels(image, layout).requires_grad_(True)
        with warnings.catch_warnings():
            # It announces its hooks.
            warnings.simplefilter("ignore")
            found = method.attribute(leaf, target=target)
        return found[0].detach().abs().sum(0).numpy()

    deconvolution, guided = captum.attr.Deconvolution(net), captum.attr.GuidedBackprop(net)
    return {
        "deconvnet": lambda: attribute(deconvolution),
        "guided backpropagation": lambda: attribute(guided),
    }


def grad_cam(
    net: Network,
    image: np.ndarray,
    target: int,
    *,
    block: int = 15,
    layout: torch.memory_format = torch.contiguous_format,
) -> np.ndarray:
    """Captum's Grad-CAM, upsampled.

    Args:
        net: from `network`.
        image: (h, w, 3) in [0, 1].
        target: class to explain.
        block: of the port, whose output is the layer.
        layout: memory format of the images.

    Returns:
        (h, w).
    """
    method = captum.attr.LayerGradCam(net, net.port._blocks[block])
    leaf = _pixels(image, layout).requires_grad_(True)
    found = method.attribute(leaf, target=target, relu_attributions=True)
    large = torch.nn.functional.interpolate(found, image.shape[:2], mode="bilinear")
    return large[0, 0].detach().numpy()


def rise(
    net: Network,
    image: np.ndarray,
    target: int,
    *,
    draws: int,
    cells: int = 7,
    batch: int = 8,
    layout: torch.memory_format = torch.contiguous_format,
) -> np.ndarray:
    """RISE in plain PyTorch, in chunks with one running sum; Captum has none.

    Args:
        net: from `network`.
        image: (h, w, 3) in [0, 1], h = w.
        target: class to explain.
        draws: masks.
        cells: along each side.
        batch: masks evaluated at once.
        layout: memory format of the images.

    Returns:
        (h, w).
    """
    pixels, size = _pixels(image, layout), image.shape[0]
    cell = -(-size // cells)
    total = torch.zeros(size, size)
    with torch.inference_mode():
        for start in range(0, draws, batch):
            count = min(batch, draws - start)
            grids = (torch.rand(count, 1, cells, cells) < 0.5).float()
            large = torch.nn.functional.interpolate(
                grids, ((cells + 1) * cell,) * 2, mode="bilinear"
            )
            shifts = torch.randint(0, cell, (count, 2)).tolist()
            masks = torch.stack(
                [
                    one[:, top : top + size, left : left + size]
                    for one, (top, left) in zip(large, shifts, strict=True)
                ]
            )
            shown = (masks * pixels).contiguous(memory_format=layout)
            scores = torch.softmax(net(shown), 1)[:, target]
            total += torch.einsum("n,nhw->hw", scores, masks[:, 0])
    return (total / (draws * 0.5)).numpy()


def _pixels(image: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    return torch.tensor(image).permute(2, 0, 1)[None].contiguous(memory_format=layout)
