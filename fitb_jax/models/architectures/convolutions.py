"""Convolutions of one image with fixed kernels, each in the form that is fast on the device.

XLA's grouped convolution is slow on CPUs. There a depthwise one is a sum of shifted products. On
GPUs and TPUs it is XLA's convolution, and a dense one is so everywhere. The form is chosen when a
program is lowered, so that nothing is traced twice. Padding is TensorFlow's "SAME".
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from fitb_jax.types import Array, Float


def depthwise(
    x: Float[Array, "h w c"], kernel: Float[Array, "kh kw c"], *, stride: int
) -> Float[Array, "oh ow c"]:
    """Convolve each channel with its own kernel.

    Args:
        x: features (h, w, c).
        kernel: (kh, kw, c).
        stride: in both directions.

    Returns:
        (ceil(h / stride), ceil(w / stride), c).
    """
    padding = tuple(
        _same(size, k, stride) for size, k in zip(x.shape, kernel.shape[:2], strict=False)
    )
    found = _depthwise_p.bind(
        x[None], kernel.astype(x.dtype), padding=padding, stride=stride, spread=1
    )
    return found[0]


def dense(
    x: Float[Array, "h w c"], kernel: Float[Array, "kh kw c d"], *, stride: int
) -> Float[Array, "oh ow d"]:
    """Convolve all channels.

    Args:
        x: features (h, w, c).
        kernel: (kh, kw, c, d).
        stride: in both directions.

    Returns:
        (ceil(h / stride), ceil(w / stride), d).
    """
    if kernel.shape[:2] == (1, 1) and stride == 1:
        return x @ kernel[0, 0].astype(x.dtype)
    found = jax.lax.conv_general_dilated(
        x[None], kernel.astype(x.dtype), (stride, stride), "SAME", dimension_numbers=_LAYOUT
    )
    return found[0]


_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


# A primitive, since no other way of JAX gives an operation a form for each platform and a transpose
# of its own under `vmap`, `grad` and `jvp` of `grad` at once. It is bilinear, and its transpose by
# `x` is itself with the kernel turned and the roles of stride and spread exchanged.
_depthwise_p = Primitive("depthwise")

_Padding = tuple[tuple[int, int], tuple[int, int]]


def _shifted(x: Array, kernel: Array, *, padding: _Padding, stride: int, spread: int) -> Array:
    """Spread the entries of (n, h, w, c) apart, pad, and sum the shifted products."""
    x = _padded(x, padding, spread)
    rows, columns = kernel.shape[:2]
    height, width = ((x.shape[1] - rows) // stride + 1, (x.shape[2] - columns) // stride + 1)
    terms = [
        _window(x, row, column, height, width, stride) * kernel[row, column][None, None, None]
        for row in range(rows)
        for column in range(columns)
    ]
    return functools.reduce(jnp.add, terms)


def _grouped(x: Array, kernel: Array, *, padding: _Padding, stride: int, spread: int) -> Array:
    """The same by XLA's convolution."""
    return jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        (stride, stride),
        padding,
        lhs_dilation=(spread, spread),
        dimension_numbers=_LAYOUT,
        feature_group_count=x.shape[-1],
    )


def _padded(x: Array, padding: _Padding, spread: int) -> Array:
    edges = [(low, high, spread - 1) for low, high in padding]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])


def _window(x: Array, row: int, column: int, height: int, width: int, stride: int) -> Array:
    """Every `stride`-th entry from (row, column) on, height x width of them."""
    stop = (row + (height - 1) * stride + 1, column + (width - 1) * stride + 1)
    return jax.lax.slice(
        x, (0, row, column, 0), (x.shape[0], *stop, x.shape[3]), (1, stride, stride, 1)
    )


def _transpose_by_x(
    y: Array, x: Any, kernel: Array, *, padding: _Padding, stride: int, spread: int
) -> Array:
    turned = []
    for size, length, k, (low, _) in zip(
        x.aval.shape[1:3], y.shape[1:3], kernel.shape[:2], padding, strict=True
    ):
        before = k - 1 - low
        widened = (length - 1) * stride + 1
        turned.append((before, (size - 1) * spread + k - before - widened))
    return _depthwise_p.bind(
        y, kernel[::-1, ::-1], padding=tuple(turned), stride=spread, spread=stride
    )


def _transpose_by_kernel(y: Array, x: Array, kernel: Any, **static: Any) -> Array:
    size = kernel.aval.shape[:2]
    return jax.lax.platform_dependent(
        x,
        y,
        cpu=functools.partial(_shifted_kernel, size=size, **static),
        default=functools.partial(_grouped_kernel, size=size, **static),
    )


def _shifted_kernel(
    x: Array, y: Array, *, size: tuple[int, int], padding: _Padding, stride: int, spread: int
) -> Array:
    x = _padded(x, padding, spread)
    rows = [
        jnp.stack(
            [
                (_window(x, row, column, y.shape[1], y.shape[2], stride) * y).sum((0, 1, 2))
                for column in range(size[1])
            ]
        )
        for row in range(size[0])
    ]
    return jnp.stack(rows)


def _grouped_kernel(x: Array, y: Array, *, size: tuple[int, int], **static: Any) -> Array:
    kernel = jax.ShapeDtypeStruct((*size, x.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda kernel: _grouped(x, kernel, **static), kernel)(y)[0]


def _batch(
    arguments: tuple[Array, Array], axes: tuple[Any, Any], **static: Any
) -> tuple[Array, int]:
    x, kernel = arguments
    x_axis, kernel_axis = axes
    if kernel_axis is None:
        x = jnp.moveaxis(x, x_axis, 0)
        flat = _depthwise_p.bind(x.reshape(-1, *x.shape[2:]), kernel, **static)
        return flat.reshape(*x.shape[:2], *flat.shape[1:]), 0
    # An ensemble: its kernels are channels of one convolution.
    members = kernel.shape[kernel_axis]
    kernel = jnp.moveaxis(kernel, kernel_axis, 2)
    each = jnp.moveaxis(x, x_axis, 3) if x_axis is not None else x[:, :, :, None, :]
    each = jnp.broadcast_to(each, (*each.shape[:3], members, each.shape[-1]))
    flat = _depthwise_p.bind(
        each.reshape(*each.shape[:3], -1), kernel.reshape(*kernel.shape[:2], -1), **static
    )
    return flat.reshape(*flat.shape[:3], members, -1), 3


def _abstract(x: Any, kernel: Any, *, padding: _Padding, stride: int, spread: int) -> ShapedArray:
    sizes = [
        (low + (size - 1) * spread + 1 + high - k) // stride + 1
        for size, k, (low, high) in zip(x.shape[1:3], kernel.shape[:2], padding, strict=True)
    ]
    return ShapedArray((x.shape[0], *sizes, x.shape[3]), jnp.result_type(x, kernel))


_depthwise_p.def_impl(jax.jit(_depthwise_p.bind, static_argnames=("padding", "stride", "spread")))
_depthwise_p.def_abstract_eval(_abstract)
ad.defbilinear(_depthwise_p, _transpose_by_x, _transpose_by_kernel)
batching.primitive_batchers[_depthwise_p] = _batch
mlir.register_lowering(_depthwise_p, mlir.lower_fun(_grouped, multiple_results=False))
mlir.register_lowering(
    _depthwise_p, mlir.lower_fun(_shifted, multiple_results=False), platform="cpu"
)
