"""Architecture and training that suit a small data set."""

from jaxtyping import Float32
from numpy import ndarray

from fitb_jax.models.classifiers import Activation, Architecture, ClassifierConfig
from fitb_jax.models.training import TrainingConfig

_FEW_IMAGES = 10_000


def small_configs(
    images: Float32[ndarray, "n h w c"],
    classes: int,
    *,
    architecture: Architecture = "cnn",
    activation: Activation = "gelu",
    epochs: int | None = None,
) -> tuple[ClassifierConfig, TrainingConfig]:
    """Configure a classifier of a few layers and its training for a data set.

    Args:
        images: the training images, (n, h, w, c) in [0, 1], of about 28 x 28 pixels.
        classes: number of classes.
        architecture: "cnn" or "mlp".
        activation: "gelu", "softplus" or "relu".
        epochs: passes over the data; None takes 15 below 10,000 images, else 6.

    Returns:
        The two configurations.
    """
    classifier = ClassifierConfig(
        architecture=architecture,
        activation=activation,
        widths=(16, 32) if architecture == "cnn" else (256, 128),
        image_shape=images.shape[1:],
        classes=classes,
        mean=round(float(images.mean()), 4),
        deviation=round(float(images.std()), 4),
    )
    training = TrainingConfig(
        epochs=epochs or (15 if len(images) < _FEW_IMAGES else 6),
        batch=min(100, len(images)),
    )
    return classifier, training
