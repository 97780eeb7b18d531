"""Vision transformer for ImageNet in torchvision's layout.

Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words", arXiv 2010.11929.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from fitb_jax.models.architectures.normalisation import IMAGENET, Normalisation
from fitb_jax.models.introspection import recorder
from fitb_jax.models.weights.state_dicts import Layout, Weights
from fitb_jax.types import Array, Float

_EPSILON = 1e-6


@dataclass(frozen=True)
class ViTConfig:
    """What a vision transformer looks like.

    Attributes:
        size: side of the image in pixels; the learned positions allow no other.
        patch: side of a patch in pixels.
        depth: number of blocks.
        width: of the tokens.
        heads: of the attention.
        hidden: units of the hidden layer of the MLP in each block.
        classes: number of logits.
        normalisation: of the image.
    """

    size: int = 224
    patch: int = 16
    depth: int = 12
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    classes: int = 1000
    normalisation: Normalisation = IMAGENET


class ViT(nnx.Module):
    """A vision transformer on images in [0, 1], as it is evaluated: without dropout."""

    def __init__(self, config: ViTConfig, *, rngs: nnx.Rngs) -> None:
        """Initialise with random weights."""
        self.size, self.normalisation = config.size, config.normalisation
        self.conv_proj = nnx.Conv(
            3,
            config.width,
            (config.patch, config.patch),
            strides=(config.patch, config.patch),
            padding="VALID",
            rngs=rngs,
        )
        tokens = (config.size // config.patch) ** 2 + 1
        normal = jax.nn.initializers.normal(0.02)
        self.class_token = nnx.Param(jnp.zeros((1, 1, config.width)))
        self.pos_embedding = nnx.Param(normal(rngs.params(), (1, tokens, config.width)))
        self.blocks = nnx.List([_Block(config, rngs) for _ in range(config.depth)])
        self.ln = _norm(config.width, rngs)
        self.head = nnx.Linear(config.width, config.classes, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w 3"]) -> Float[Array, "n k"]:
        """Logits of images in [0, 1]."""
        return self.features(images)["logits"]

    def features(
        self, images: Float[Array, "n h w 3"], perturbations: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Named layers, for class-activation maps and embeddings.

        Args:
            images: (n, size, size, 3) in [0, 1].
            perturbations: by the name of a layer, what is added to it.

        Returns:
            - "patches" and "block1" to "block12": the tokens of the patches on their grid,
              (n, h, w, c);
            - "block1.norm1" and so on: the same tokens as the attention of the block gets them;
            - "block1.attention" and so on: how much each token attends to each, the mean over
              heads, (n, tokens, tokens), the class token first;
            - "pooled": the normalised class token, (n, c);
            - "logits": (n, k).
            The patches of the last block do not reach the logits: class activation maps take the
            last "norm1".

        Raises:
            ValueError: images of another size.
        """
        if images.shape[1:3] != (self.size, self.size):
            raise ValueError(
                f"images must have shape (n, {self.size}, {self.size}, 3), the size of the "
                f"learned positions, got {images.shape}"
            )
        found, keep = recorder(perturbations)
        grid = keep("patches", self.conv_proj(self.normalisation(images)))
        # These parameters are float32 whatever the layers compute in.
        token, positions = (
            parameter[...].astype(grid.dtype)
            for parameter in (self.class_token, self.pos_embedding)
        )
        token = jnp.broadcast_to(token, (len(grid), 1, grid.shape[-1]))
        x = jnp.concatenate([token, grid.reshape(len(grid), -1, grid.shape[-1])], axis=1)
        x = x + jnp.broadcast_to(positions, x.shape)

        def keep_places(name: str, tokens: Array) -> Array:
            patches = keep(name, tokens[:, 1:].reshape(grid.shape))
            return jnp.concatenate([tokens[:, :1], patches.reshape(tokens[:, 1:].shape)], axis=1)

        for number, block in enumerate(self.blocks, start=1):
            name = f"block{number}"
            normalised = keep_places(f"{name}.norm1", block.ln_1(x))
            attended = block.self_attention(normalised, partial(keep, f"{name}.attention"))
            x = keep_places(name, block.perceive(x + attended))
        # Token by token: what the others would be normalised to is never seen.
        x = keep("pooled", self.ln(x[:, 0]))
        keep("logits", self.head(x))
        return found


class _Block(nnx.Module):
    def __init__(self, config: ViTConfig, rngs: nnx.Rngs) -> None:
        self.ln_1 = _norm(config.width, rngs)
        self.self_attention = _Attention(config, rngs)
        self.ln_2 = _norm(config.width, rngs)
        self.expand = nnx.Linear(config.width, config.hidden, rngs=rngs)
        self.project = nnx.Linear(config.hidden, config.width, rngs=rngs)

    def perceive(self, x: Array) -> Array:
        """What follows the attention."""
        hidden = jax.nn.gelu(self.expand(self.ln_2(x)), approximate=False)
        return x + self.project(hidden)


class _Attention(nnx.Module):
    """Self-attention; one matrix makes queries, keys and values, named and turned as in torch."""

    def __init__(self, config: ViTConfig, rngs: nnx.Rngs) -> None:
        self.heads = config.heads
        normal = jax.nn.initializers.xavier_uniform()
        self.in_proj_weight = nnx.Param(normal(rngs.params(), (3 * config.width, config.width)))
        self.in_proj_bias = nnx.Param(jnp.zeros(3 * config.width))
        self.out_proj = nnx.Linear(config.width, config.width, rngs=rngs)

    def __call__(self, x: Array, keep_mean: Callable[[Array], Array]) -> Array:
        weight, bias = (
            parameter[...].astype(x.dtype) for parameter in (self.in_proj_weight, self.in_proj_bias)
        )
        projected = x @ weight.T + bias[None, None]
        query, key, value = jnp.split(projected.reshape(*x.shape[:2], 3 * self.heads, -1), 3, 2)
        # Not the library's attention: its softmax is in single precision, and the fused kernel it
        # may choose on a GPU has no second derivative.
        scores = jnp.einsum("nqhc,nkhc->nhqk", query, key) / math.sqrt(query.shape[-1])
        weights = jax.nn.softmax(scores)
        mean = weights.mean(1)
        if (kept := keep_mean(mean)) is not mean:
            weights = weights + (kept - mean)[:, None]
        seen = jnp.einsum("nhqk,nkhc->nqhc", weights, value)
        return self.out_proj(seen.reshape(x.shape))


def _norm(width: int, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(width, epsilon=_EPSILON, use_fast_variance=False, rngs=rngs)


def layout(config: ViTConfig) -> Layout:
    """The names in the state dict of such a network.

    Args:
        config: the architecture.

    Returns:
        The layout.
    """
    return Layout(partial(_build, config), head="heads.head", name=_name, translate=_translate)


def _build(config: ViTConfig) -> ViT:
    return ViT(config, rngs=nnx.Rngs(0))


_NAMES = (
    (r"^blocks\.", "encoder.layers.encoder_layer_"),
    (r"^(ln|pos_embedding)$", r"encoder.\1"),
    (r"^head$", "heads.head"),
    (r"\.expand$", ".mlp.0"),
    (r"\.project$", ".mlp.3"),
)
_OTHER_NAMES = (
    # torchvision's own files are older than its names
    (r"\.mlp\.linear_1\.", ".mlp.0."),
    (r"\.mlp\.linear_2\.", ".mlp.3."),
    # timm
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "encoder.pos_embedding"),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^blocks\.(\d+)\.norm", r"encoder.layers.encoder_layer_\1.ln_"),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.encoder_layer_\1.self_attention.in_proj_"),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.encoder_layer_\1.self_attention.out_proj."),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layers.encoder_layer_\1.mlp.0."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layers.encoder_layer_\1.mlp.3."),
    (r"^norm\.", "encoder.ln."),
    (r"^head\.", "heads.head."),
)


def _name(path: str) -> str:
    return _substituted(path, _NAMES)


def _translate(weights: Weights) -> Weights:
    return {_substituted(name, _OTHER_NAMES): values for name, values in weights.items()}


def _substituted(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in pairs:
        name = re.sub(pattern, replacement, name)
    return name


VITS = {"vit_b_16": ViTConfig()}
