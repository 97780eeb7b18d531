"""A start for the coordinate networks of new images, learned from a set of images."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from fitb_jax import checks
from fitb_jax.extremal.background import BackgroundName, check_background
from fitb_jax.extremal.config import InrConfig, check_config
from fitb_jax.extremal.coordinates import build
from fitb_jax.extremal.inr import fit_inr
from fitb_jax.types import Array, Background, Float, Int, Key, LogitsFn, Number


def reptile_init(
    logits_fn: LogitsFn,
    images: Float[Array, "n h w c"],
    targets: Int[Array, "n"],
    config: InrConfig | None = None,
    *,
    key: Key,
    rounds: int = 20,
    images_per_round: int = 2,
    rate: Number = 0.5,
    background: BackgroundName | Background = "blur",
) -> Any:
    """Learn network parameters from which fits of similar images need fewer steps.

    Fits of arbitrary photographs do not: docs/extremal.md has the steps with and without.

    Each round fits some images from the parameters so far. It then moves these towards the mean of
    what the fits found, by `rate` at first and by less until the last round (Reptile).

    Args:
        logits_fn: the classifier.
        images: (n, h, w, c) in [0, 1].
        targets: (n,), class to explain in each.
        config: how each image is fitted; few steps are enough. `config.network` must be that of the
            fits to come, since frequencies and weights belong together.
        key: random key.
        rounds: how often the parameters are moved.
        images_per_round: fitted at once, drawn without replacement.
        rate: of the first move, in (0, 1]. An array argument.
        background: as in `fit_inr`; a name, a number or one value per channel.

    Returns:
        The state of a network, for `fit_inr(..., initial=...)`.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.

    Source: Nichol, Achiam & Schulman 2018, "On first-order meta-learning algorithms"; Tancik et al.
    2021, "Learned initializations for optimizing coordinate-based neural representations".
    """
    checks.check_key(key)
    config = InrConfig() if config is None else config
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    n = images.shape[0]
    classes = checks.count_classes(logits_fn, images[0])
    checks.check_target(targets, classes, name="targets", shape=(n,))
    check_config(config)
    check_background(background, images.shape[1:])
    checks.check_count("rounds", rounds)
    checks.check_count("images_per_round", images_per_round)
    if images_per_round > n:
        raise ValueError(f"images_per_round must be at most the {n} images, got {images_per_round}")
    checks.check_number("rate", rate, least=0, most=1, open_least=True)
    images, targets = jnp.asarray(images), jnp.asarray(targets)
    network_key, round_key = jax.random.split(key)
    _, initial = nnx.split(build(config.network, key=network_key))

    def move(state: Any, inputs: tuple[Array, Key]) -> tuple[Any, None]:
        share_left, key = inputs
        draw_key, fit_key = jax.random.split(key)
        drawn = jax.random.choice(draw_key, n, (images_per_round,), replace=False)

        def fit(index: Array, key: Key) -> Any:
            inr = fit_inr(
                logits_fn,
                images[index],
                targets[index],
                config,
                key=key,
                background=background,
                initial=state,
            )
            return inr.state

        fitted = jax.vmap(fit)(drawn, jax.random.split(fit_key, images_per_round))
        step = rate * share_left
        moved = jax.tree.map(
            lambda old, new: (old + step * (new.mean(0) - old)).astype(old.dtype), state, fitted
        )
        return moved, None

    shares_left = 1 - jnp.arange(rounds) / rounds
    return jax.lax.scan(move, initial, (shares_left, jax.random.split(round_key, rounds)))[0]
