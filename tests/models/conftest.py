"""A tiny problem: three classes of bars at different heights, and a network for it."""

import numpy as np
import pytest

from fitb_jax import models

CLASSIFIER = models.ClassifierConfig(
    architecture="mlp", widths=(8, 8), image_shape=(6, 6, 1), classes=3
)
TRAINING = models.TrainingConfig(epochs=6, batch=10, learning_rate=1e-2)


@pytest.fixture(scope="session")
def bars() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (np.arange(120) % 3).astype(np.int32)
    images = rng.uniform(0, 0.4, size=(120, 6, 6, 1)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 0.5
    return images, labels
