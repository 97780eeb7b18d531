"""A small network in place of the pretrained one, photographs that it recognises, few digits."""

import csv
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures

from fitb_jax import imagenet, models
from fitb_jax.data.digits import embedded
from fitb_jax.models.pretrained import preprocess

SIZE = 64
NAMES = ("chelsea", "coffee", "rocket")
DIGITS_PER_CLASS = 60
TEST_PER_CLASS = 20


def network(seed: int, *, size: int = SIZE) -> models.Pretrained:
    """A classifier of ImageNet's classes with freshly drawn weights.

    Args:
        seed: of the weights.
        size: of its images, in pixels.

    Returns:
        It, with what `models.load` gives besides.
    """
    config = models.ClassifierConfig(
        activation="relu",
        widths=(8, 16),
        hidden=32,
        image_shape=(size, size, 3),
        classes=1000,
        mean=0.45,
        deviation=0.1,
    )
    logits_fn = models.as_logits_fn(models.build(config, key=jax.random.key(seed)))
    classes = imagenet.classes()
    return models.Pretrained(
        logits_fn=logits_fn,
        features_fn=models.features_of(logits_fn),
        preprocess=functools.partial(preprocess, size=size),
        class_names=classes.names,
        wordnet_ids=classes.wordnet_ids,
        size=size,
        mean_colour=(0.45, 0.45, 0.45),
    )


def keep_few_digits(patch: pytest.MonkeyPatch) -> None:
    """In place of all that are embedded."""
    few = _few_digits(*embedded.digits())
    patch.setattr(embedded, "digits", lambda: few)
    patch.setattr(embedded, "TEST_PER_CLASS", TEST_PER_CLASS)


def _few_digits(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = [np.flatnonzero(labels == label)[:DIGITS_PER_CLASS] for label in range(10)]
    return images[np.concatenate(rows)], labels[np.concatenate(rows)]


def load(name: str, **_: object) -> models.Pretrained:
    """In place of `models.load`."""
    del name
    return network(0)


def untrained(name: str, *, key: jax.Array) -> models.Pretrained:
    """In place of `models.untrained`."""
    del name, key
    return network(1)


def write_photographs(folder: Path, net: models.Pretrained) -> Path:
    """Photographs in the layout of ImageNet's validation set, labelled as a network sees them.

    Args:
        folder: an empty one.
        net: recognises all of them.

    Returns:
        The folder.
    """
    rows = []
    for copy in range(2):
        for name in NAMES:
            stem = f"ILSVRC2012_val_{len(rows) + 1:08d}"
            path = folder / f"{stem}.JPEG"
            picture = Image.fromarray(getattr(pictures, name)())
            picture.resize((320, 280 + 20 * copy)).save(path)
            predicted = int(
                jnp.argmax(net.logits_fn(jnp.asarray(np.asarray(net.preprocess(path)))))
            )
            rows.append((stem, f"{net.wordnet_ids[predicted]} 10 10 200 200"))
    with (folder / "LOC_val_solution.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("ImageId", "PredictionString"), *rows])
    return folder
