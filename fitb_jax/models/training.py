"""Training as one pure function of (hyperparameters, data, key): a sweep is a `vmap`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from fitb_jax import checks, masks
from fitb_jax.models.adapters import as_logits_fn
from fitb_jax.models.adversarial import Norm, projected_gradient
from fitb_jax.models.classifiers import ClassifierConfig, build
from fitb_jax.types import Array, Float, Int, Key, LogitsFn


@dataclass(frozen=True)
class TrainingConfig:
    """How a small classifier is trained: AdamW with cosine decay.

    With a `robust_radius` it is trained on the adversarial examples of `projected_gradient` in
    place of the images (Madry et al. 2018). The gradients of such a network are closer to what a
    person sees (Tsipras et al. 2019, "Robustness may be at odds with accuracy").

    Attributes:
        epochs: passes over the data.
        batch: images in a step.
        learning_rate: at the start; it falls to 0 by a cosine.
        weight_decay: of AdamW.
        shift: the images are moved at random by up to this many pixels in each direction. By
            default 0: a network that is invariant to shifts fills in strokes less well.
        noise: standard deviation of what is added to the images, which are clipped to [0, 1].
        deleted_cells: cells along each side of a grid, of which one, drawn at random, is set to 0
            in half of the images. The network then knows the images of
            `evaluation.single_deletion` (Hesse et al. 2024). With 0 nothing is deleted.
        robust_norm: of the change of an image, "l2" or "linf".
        robust_radius: largest change of an image, in units of intensity; 0 trains on the images.
        robust_steps: gradients for an adversarial example, each as costly as one of the parameters.
    """

    epochs: int = 15
    batch: int = 100
    learning_rate: float = 3e-3
    weight_decay: float = 0.3
    shift: int = 0
    noise: float = 0.0
    deleted_cells: int = 0
    robust_norm: Norm = "l2"
    robust_radius: float = 0.0
    robust_steps: int = 4


class Trained(NamedTuple):
    """A trained classifier.

    Attributes:
        logits_fn: the classifier, a `Partial` over its parameters.
        losses: mean cross-entropy of each epoch, (epochs,), in nats.
    """

    logits_fn: LogitsFn
    losses: Float[Array, "epochs"]


def train(
    classifier: ClassifierConfig,
    training: TrainingConfig,
    images: Float[Array, "n h w c"],
    labels: Int[Array, "n"],
    *,
    key: Key,
    on_epoch: Callable[[Array], Any] | None = None,
) -> Trained:
    """Train one classifier from scratch. Pure: jit it as a whole, `vmap` it over keys.

    Args:
        classifier: the architecture.
        training: the hyperparameters.
        images: (n, h, w, c) in [0, 1].
        labels: (n,), class indices, in [0, classes).
        key: random key of the weights, and of the order, shifts, noise and deletions of the images.
        on_epoch: called on the host with the loss after each epoch, for a progress bar.

    Returns:
        The classifier and its losses.

    Raises:
        TypeError, ValueError: a wrong shape, dtype or range; a batch larger than the data.
    """
    checks.check_key(key)
    _check_arguments(classifier, training, images, labels)
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    n, steps = images.shape[0], images.shape[0] // training.batch
    weights_key, data_key = jax.random.split(key)
    graph, parameters = nnx.split(build(classifier, key=weights_key))
    schedule = optax.cosine_decay_schedule(training.learning_rate, training.epochs * steps)
    optimizer = optax.adamw(schedule, weight_decay=training.weight_decay)

    def loss_fn(parameters: Any, batch: Array, batch_labels: Array) -> Array:
        logits = nnx.merge(graph, parameters)(batch)
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch_labels).mean()

    def step(carry: tuple[Any, Any], inputs: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
        parameters, state = carry
        indices, step_key = inputs
        batch = _shift(images[indices], training.shift, key=step_key)
        batch = _with_noise(batch, training.noise, key=jax.random.fold_in(step_key, 1))
        batch = _without_cell(batch, training.deleted_cells, key=jax.random.fold_in(step_key, 2))
        if training.robust_radius:
            batch = projected_gradient(
                lambda moved: loss_fn(parameters, moved, labels[indices]),
                batch,
                radius=training.robust_radius,
                norm=training.robust_norm,
                steps=training.robust_steps,
            )
        loss, gradient = jax.value_and_grad(loss_fn)(parameters, batch, labels[indices])
        updates, state = optimizer.update(gradient, state, parameters)
        return (optax.apply_updates(parameters, updates), state), loss

    def epoch(carry: tuple[Any, Any], epoch_key: Key) -> tuple[tuple[Any, Any], Array]:
        order_key, shift_key = jax.random.split(epoch_key)
        order = jax.random.permutation(order_key, n)[: steps * training.batch]
        inputs = (order.reshape(steps, training.batch), jax.random.split(shift_key, steps))
        carry, losses = jax.lax.scan(step, carry, inputs)
        loss = losses.mean()
        if on_epoch is not None:
            jax.debug.callback(on_epoch, loss)
        return carry, loss

    start = (parameters, optimizer.init(parameters))
    keys = jax.random.split(data_key, training.epochs)
    (parameters, _), losses = jax.lax.scan(epoch, start, keys)
    return Trained(as_logits_fn(nnx.merge(graph, parameters)), losses)


@dataclass(frozen=True)
class Recipe:
    """Training from scratch as a function of images and labels; equal recipes compare equal.

    Attributes:
        classifier: the architecture.
        training: the hyperparameters.
    """

    classifier: ClassifierConfig
    training: TrainingConfig

    def __call__(
        self, images: Float[Array, "n h w c"], labels: Int[Array, "n"], *, key: Key
    ) -> LogitsFn:
        """Train one network, see `train`.

        Args:
            images: (n, h, w, c) in [0, 1].
            labels: (n,), class indices.
            key: of the weights and the order of the images.

        Returns:
            The trained network.
        """
        return train(self.classifier, self.training, images, labels, key=key).logits_fn


def predict(logits_fn: LogitsFn, images: Float[Array, "n h w c"]) -> Int[Array, "n"]:
    """The predicted class of each image.

    Args:
        logits_fn: the classifier.
        images: (n, h, w, c) in [0, 1].

    Returns:
        Class indices, (n,).

    Raises:
        TypeError, ValueError: images of a wrong shape, dtype or range.
    """
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    return jnp.argmax(jax.vmap(logits_fn)(images), axis=-1)


def _shift(images: Float[Array, "n h w c"], most: int, *, key: Key) -> Float[Array, "n h w c"]:
    """Move each image by up to `most` pixels in each direction, zeros coming in."""
    shape = images.shape[1:]
    offsets = jax.random.randint(key, (images.shape[0], 2), 0, 2 * most + 1)
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    crop = partial(jax.lax.dynamic_slice, slice_sizes=shape)
    return jax.vmap(lambda image, at: crop(image, (at[0], at[1], 0)))(padded, offsets)


def _with_noise(
    images: Float[Array, "n h w c"], deviation: float, *, key: Key
) -> Float[Array, "n h w c"]:
    """Add Gaussian noise and stay in [0, 1]."""
    if deviation == 0:
        return images
    return jnp.clip(images + deviation * jax.random.normal(key, images.shape, images.dtype), 0, 1)


def _without_cell(
    images: Float[Array, "n h w c"], cells: int, *, key: Key
) -> Float[Array, "n h w c"]:
    """Set one cell of a grid to 0, in half of the images."""
    if cells == 0:
        return images
    own = masks.grid_cells(images.shape[1:3], cells)
    # A cell beyond the last one deletes nothing.
    deleted = jax.random.randint(key, (len(images), 1, 1), 0, 2 * cells**2)
    return images * (own[None] != deleted)[..., None].astype(images.dtype)


def _check_arguments(
    classifier: ClassifierConfig, training: TrainingConfig, images: Array, labels: Array
) -> None:
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    if images.shape[1:] != classifier.image_shape:
        raise ValueError(
            f"images must have the classifier's shape {classifier.image_shape}, "
            f"got {images.shape[1:]}"
        )
    checks.check_target(labels, classifier.classes, name="labels", shape=images.shape[:1])
    checks.check_count("epochs", training.epochs)
    checks.check_count("batch", training.batch)
    checks.check_count("shift", training.shift, least=0)
    checks.check_number("noise", training.noise, least=0)
    checks.check_count("deleted_cells", training.deleted_cells, least=0)
    checks.check_choice("robust_norm", training.robust_norm, get_args(Norm))
    checks.check_number("robust_radius", training.robust_radius, least=0)
    checks.check_count("robust_steps", training.robust_steps)
    checks.check_number("learning_rate", training.learning_rate, least=0, open_least=True)
    checks.check_number("weight_decay", training.weight_decay, least=0)
    if training.batch > images.shape[0]:
        raise ValueError(
            f"batch must be at most the number of images {images.shape[0]}, got {training.batch}"
        )
