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
    """A classifier of a few layers, and how it is trained.

    Args:
        images: those it is trained on, (n, h, w, c) in [0, 1], of about 28 x 28 pixels.
        classes: how many there are.
        architecture: "cnn" or "mlp".
        activation: "gelu", "softplus" or "relu".
        epochs: of training; None chooses by the number of images.

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
