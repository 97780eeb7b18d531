"""The same updates in PyTorch, as a user would write them: eager autograd and torch.func."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from flax import nnx
from torch.func import functional_call, grad, jvp, vmap

from fitb_jax.models.classifiers import CNN

DAMPING = 1.5


def network(module: CNN) -> torch.nn.Module:
    """The package's CNN with the same weights.

    Args:
        module: a `CNN` with gelu activations, on images of 28 x 28 x 1.

    Returns:
        A module from (n, 1, 28, 28) to logits (n, 10).
    """
    first, second = module.convolution1, module.convolution2
    channels = first.linear.out_features, second.linear.out_features
    net = torch.nn.Sequential(
        _Normalise(module.mean, module.deviation),
        torch.nn.Conv2d(1, channels[0], first.kernel_size, stride=2, padding=1),
        torch.nn.GELU(approximate="tanh"),
        torch.nn.Conv2d(*channels, second.kernel_size, stride=2, padding=1),
        torch.nn.GELU(approximate="tanh"),
        torch.nn.Flatten(),
        torch.nn.Linear(module.hidden.in_features, module.hidden.out_features),
        torch.nn.GELU(approximate="tanh"),
        torch.nn.Linear(module.logits.in_features, module.logits.out_features),
    )
    with torch.no_grad():
        for layer, ours in ((net[1], first), (net[3], second)):
            layer.weight.copy_(torch.tensor(np.asarray(ours.kernel()).transpose(3, 2, 0, 1)))
            layer.bias.copy_(torch.tensor(_values(ours.linear.bias)))
        # Flax flattens (7, 7, channels), PyTorch (channels, 7, 7).
        hidden = _values(module.hidden.kernel).reshape(7, 7, channels[1], -1)
        net[6].weight.copy_(torch.tensor(hidden.transpose(3, 2, 0, 1)).flatten(1))
        net[6].bias.copy_(torch.tensor(_values(module.hidden.bias)))
        net[8].weight.copy_(torch.tensor(_values(module.logits.kernel).T))
        net[8].bias.copy_(torch.tensor(_values(module.logits.bias)))
    return net.eval().requires_grad_(False)


def _values(parameter: nnx.Param | None) -> np.ndarray:
    if parameter is None:
        raise ValueError("the network must have a bias in every layer")
    return np.asarray(parameter[...])


class _Normalise(torch.nn.Module):
    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images - self.mean) / self.deviation


def sides(
    module: CNN, images: np.ndarray, seen: np.ndarray, targets: np.ndarray, *, steps: int
) -> dict[str, Callable[[], np.ndarray]]:
    """What is timed: first order and the damped Newton update, eager and with torch.func.

    Args:
        module: the network.
        images: (n, 28, 28, 1).
        seen: masks (n, 28, 28).
        targets: (n,).
        steps: Lanczos steps.

    Returns:
        Functions that compute the updates (n, 28, 28, 1).
    """
    net = network(module)
    x = torch.tensor(images).permute(0, 3, 1, 2).contiguous()
    mask = torch.tensor(seen)[:, None]
    y = torch.tensor(targets).long()
    masked = mask * x
    parameters = dict(net.named_parameters())

    def objective(z: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logits = functional_call(net, parameters, (z[None],))[0]
        return torch.log_softmax(logits, -1).gather(0, target[None])[0]

    def eager_gradient(z: torch.Tensor, *, create_graph: bool = False) -> torch.Tensor:
        log_probs = torch.log_softmax(net(z), -1)
        score = log_probs.gather(1, y[:, None]).sum()
        return torch.autograd.grad(score, z, create_graph=create_graph)[0]

    def eager_first() -> np.ndarray:
        return _channels_last(eager_gradient(masked.clone().requires_grad_()))

    def eager_newton() -> np.ndarray:
        z = masked.clone().requires_grad_()
        gradient = eager_gradient(z, create_graph=True)

        def hvp(v: torch.Tensor) -> torch.Tensor:
            return torch.autograd.grad(gradient, z, v, retain_graph=True)[0]

        return _channels_last(_newton(hvp, gradient.detach(), 1 - mask, steps))

    def func_first() -> np.ndarray:
        return _channels_last(vmap(grad(objective))(masked, y))

    def func_newton() -> np.ndarray:
        gradient_fn = vmap(grad(objective))

        def hvp(v: torch.Tensor) -> torch.Tensor:
            return jvp(lambda z: gradient_fn(z, y), (masked,), (v,))[1]

        return _channels_last(_newton(hvp, gradient_fn(masked, y), 1 - mask, steps))

    return {
        "PyTorch eager first order": eager_first,
        "torch.func first order": func_first,
        "PyTorch eager newton": eager_newton,
        "torch.func newton": func_newton,
    }


def _newton(
    hvp: Callable[[torch.Tensor], torch.Tensor],
    gradient: torch.Tensor,
    hidden: torch.Tensor,
    steps: int,
) -> torch.Tensor:
    """Damped Newton steps of a whole batch by the same Lanczos process as ours."""
    g = (hidden * gradient).flatten(1)
    norm = g.norm(dim=1, keepdim=True)
    basis, diagonal, beside = [g / norm], [], []
    for _ in range(steps):
        v = basis[-1]
        product = (hidden * hvp(v.view_as(gradient))).flatten(1)
        diagonal.append((v * product).sum(1))
        stacked = torch.stack(basis, 1)
        for _ in range(2):
            product = product - torch.einsum(
                "bs,bsn->bn", torch.einsum("bsn,bn->bs", stacked, product), stacked
            )
        beside.append(product.norm(dim=1))
        basis.append(product / beside[-1][:, None])
    t = torch.diag_embed(torch.stack(diagonal, 1))
    off = torch.stack(beside[:-1], 1)
    t = t + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    values, vectors = torch.linalg.eigh(t)
    shift = DAMPING * values.abs().amax(1, keepdim=True)
    weights = torch.einsum("bij,bj->bi", vectors, vectors[:, 0] / (shift - values))
    step = norm * torch.einsum("bs,bsn->bn", weights, torch.stack(basis[:-1], 1))
    return step.view_as(gradient)


def _channels_last(batch: Any) -> np.ndarray:
    return batch.detach().permute(0, 2, 3, 1).numpy()
