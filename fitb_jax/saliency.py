"""Every explanation as a saliency map, through the one signature that evaluations take.

`SaliencyFn = (logits_fn, image, target, *, key) -> (h, w)`. This module uses `fill`, `extremal` and
`attribution`, none of which imports another. `evaluation` asks for the signature only. There is no
list of methods: every function with these arguments can be evaluated.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import batching, checks, extremal, masks
from fitb_jax.callables import as_argument
from fitb_jax.fill.updates import Order, resolve_order
from fitb_jax.types import (
    Array,
    Background,
    Float,
    Image,
    Key,
    LogitsFn,
    Mask,
    Number,
    Saliency,
    SaliencyFn,
    Target,
    UpdateFn,
)


def explain_predicted(
    saliency_fn: SaliencyFn,
    logits_fn: LogitsFn,
    images: Float[np.ndarray, "n h w c"],
    *,
    key: Key,
    chunk: int = 100,
    label: str = "",
    progress: bool = False,
) -> Float[np.ndarray, "n h w"]:
    """Explain, for each of many images, the class that the network predicts: no label is used.

    Args:
        saliency_fn: the method.
        logits_fn: the network.
        images: (n, h, w, c) in [0, 1].
        key: random key; each image has its own, `jax.random.fold_in(key, index)`.
        chunk: images explained at once, at least 1.
        label: text beside the progress bar.
        progress: whether to show the bar.

    Returns:
        The maps, (n, h, w), as a NumPy array.

    Raises:
        TypeError, ValueError: no images, `key` is no random key, or `chunk` is not an integer of at
            least 1.
    """
    checks.check_key(key)
    # As arguments: other weights are no other program.
    batch = functools.partial(_explain_batch, as_argument(saliency_fn), as_argument(logits_fn), key)
    places = np.arange(len(images))
    maps: np.ndarray = batching.stream(
        batch, images, places, chunk=chunk, label=label, progress=progress
    )
    return maps


@jax.jit
def _explain_batch(
    saliency_fn: SaliencyFn, logits_fn: LogitsFn, key: Key, images: Array, places: Array
) -> Array:
    def one(image: Array, place: Array) -> Array:
        target = jnp.argmax(logits_fn(image))
        return saliency_fn(logits_fn, image, target, key=jax.random.fold_in(key, place))

    return jax.vmap(one)(images, places)


def as_saliency(method: Callable[..., Saliency], **options: Any) -> SaliencyFn:
    """Set the options of a method; the result has the signature that evaluations take.

    The key is passed on only if the method takes one.

    Args:
        method: `(logits_fn, image, target, *, ...)` to a map (h, w), such as those of
            `fitb_jax.attribution`.
        **options: keyword arguments of the method, other than `key`.

    Returns:
        The saliency function. Two of the same method and options are equal where the options can be
        compared, so that `jax.jit` does not trace a second one again.

    Raises:
        TypeError: the method does not take the three arguments or these options, or has another
            argument without a default; or `key` is among the options.

    Examples:
        >>> method = saliency.as_saliency(attribution.smoothgrad, draws=8)
        >>> method(logits_fn, image, 1, key=key).shape
        (16, 16)
    """
    signature = inspect.signature(method)
    wants_key = "key" in signature.parameters
    if "key" in options:
        raise TypeError("key must be given when the map is made, not as an option")
    try:
        signature.bind(None, None, None, **options, **({"key": None} if wants_key else {}))
    except TypeError as error:
        name = getattr(method, "__name__", repr(method))
        raise TypeError(
            f"method must take (logits_fn, image, target) and these options: {name}: {error}"
        ) from error
    return _Saliency(method, tuple(sorted(options.items())), wants_key)


@dataclasses.dataclass(frozen=True)
class _Saliency:
    """Equal when its parts are; no tuple, to which `jax.jit` can keep no weak reference."""

    method: Callable[..., Saliency]
    options: tuple[tuple[str, Any], ...]
    wants_key: bool

    def __hash__(self) -> int:
        try:
            return hash((self.method, self.options))
        except TypeError:  # an option is an array: alike is only what is the same
            return id(self)

    def __call__(self, logits_fn: LogitsFn, image: Image, target: Target, *, key: Key) -> Saliency:
        """The map."""
        more = {"key": key} if self.wants_key else {}
        return self.method(logits_fn, image, target, **dict(self.options), **more)


def fill_saliency(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    order: Order | UpdateFn = "first",
    ratio: Number = 0.5,
    patch: int = 16,
    draws: int = 32,
    chunk: int = 16,
) -> Saliency:
    """How strongly the classifier would fill in a pixel when it is hidden, over random masks.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to fill in for, in [0, k).
        key: random key of the masks.
        order: "first", "second", or any function `(logits_fn, image, mask, target) -> update`.
        ratio: share of the patches that each mask blanks. An array argument.
        patch: side of a patch in pixels.
        draws: number of masks.
        chunk: masks evaluated at once.

    Returns:
        (h, w), at least 0: the magnitude of the update, summed over channels and averaged over the
        masks that hid the pixel; 0 where none did.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or order; see `fitb_jax.checks`.

    Source: the updates of Deelaka et al. 2024, arXiv 2411.10273, section 3; their magnitude as a
    map is ours.
    """
    checks.check_key(key)
    update_fn = resolve_order(order)
    checks.check_explained(logits_fn, image, target)
    checks.check_count("draws", draws)
    blank = functools.partial(masks.random_patches, image.shape[:2], ratio, patch)

    def strength(draw_key: Key) -> tuple[Saliency, Mask]:
        mask = blank(key=draw_key).astype(image.dtype)
        update = update_fn(logits_fn, image, mask, target)
        hidden = 1 - mask
        return hidden * jnp.abs(update).sum(-1), hidden

    total, times = batching.chunked_sum(strength, chunk=chunk)(jax.random.split(key, draws))
    return jnp.where(times > 0, total / jnp.where(times > 0, times, 1), 0)


def extremal_saliency(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    config: extremal.InrConfig | None = None,
    background: extremal.BackgroundName | Background = "blur",
) -> Saliency:
    """The extremal masks of one coordinate network, averaged over all areas.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key of the network and the areas.
        config: how it is fitted; `InrConfig()` by default.
        background: what blanks show, see `extremal.fit_inr`.

    Returns:
        (h, w) in [0, 1]; all nan where the classifier's outputs made the objective not finite.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.

    Source: Byra & Skibbe 2025, arXiv 2501.11784.
    """
    inr = extremal.fit_inr(logits_fn, image, target, config, key=key, background=background)
    saliency = extremal.inr_saliency(inr, (image.shape[0], image.shape[1]))
    # A fit that failed returns the start of its network, which explains nothing.
    return jnp.where(jnp.isfinite(inr.history.objective[inr.steps - 1]), saliency, jnp.nan)


def dense_saliency(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    areas: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4),
    config: extremal.DenseConfig | None = None,
    background: extremal.BackgroundName | Background = "blur",
) -> Saliency:
    """Extremal masks of several areas, averaged; each mask is an array of free values.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        areas: of the masks, each in (0, 1).
        config: how they are fitted; `DenseConfig()` by default.
        background: what blanks show, see `extremal.fit_dense`.

    Returns:
        (h, w) in [0, 1].

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.

    Source: Fong et al. 2019, "Understanding deep networks via extremal perturbations and smooth
    masks", who add the masks up and blur the sum; here it is their mean.
    """
    checks.check_explained(logits_fn, image, target)
    wanted = jnp.asarray(areas, image.dtype)
    masks_of_areas = extremal.dense_masks(
        logits_fn, image, target, wanted, config, background=background
    )
    return masks_of_areas.mean(0)


def igos_saliency(
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    config: extremal.IgosConfig | None = None,
    background: extremal.BackgroundName | Background = "blur",
) -> Saliency:
    """The mask of iGOS++, or of I-GOS with `config=extremal.IGOS`.

    Args:
        logits_fn: the classifier.
        image: (h, w, c) in [0, 1].
        target: class to explain, in [0, k).
        key: random key of the noise.
        config: how it descends; `IgosConfig()` by default.
        background: what blanks show, see `extremal.fit_igos`.

    Returns:
        (h, w) in [0, 1]; all nan where the classifier's outputs made the score not finite.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.

    Source: Khorram, Lawson & Li 2021, arXiv 2012.15783; Qi, Khorram & Li 2020, arXiv 1905.00954.
    """
    found = extremal.fit_igos(logits_fn, image, target, config, key=key, background=background)
    return jnp.where(jnp.isfinite(found.score).all(), found.mask, jnp.nan)
