import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from fitb_jax import models
from fitb_jax.models import checkpoints
from tests.models.conftest import CLASSIFIER, TRAINING

STATE = {"a": jnp.arange(3.0), "b": {"c": jnp.ones((2, 2), jnp.int32)}}


def _run(bars, folder: Path, *, seed: Any = 0, classifier=CLASSIFIER, training=TRAINING):
    return models.train_or_restore(
        classifier, training, *bars, seed=seed, folder=folder, progress=False
    )


def test_a_network_is_found_again_by_its_configuration(
    bars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = _run(bars, tmp_path)
    monkeypatch.setattr(checkpoints, "save", None)
    restored = _run(bars, tmp_path)
    image = jnp.asarray(bars[0][0])
    np.testing.assert_array_equal(restored.logits_fn(image), trained.logits_fn(image))
    np.testing.assert_array_equal(restored.losses, trained.losses)


def test_several_networks_are_trained_at_once_and_found_again(bars, tmp_path: Path) -> None:
    short = dataclasses.replace(TRAINING, epochs=2)
    many = _run(bars, tmp_path, training=short, seed=(0, 4))
    again = _run(bars, tmp_path, training=short, seed=np.array([0, 4]))
    assert len(list(tmp_path.iterdir())) == 1
    images = jnp.asarray(bars[0][:5])
    for index, seed in enumerate((0, 4)):
        alone = _run(bars, tmp_path, training=short, seed=seed)
        expected = jax.vmap(alone.logits_fn)(images)
        for found in (many, again):
            own = jax.tree.map(lambda leaf, i=index: leaf[i], found.logits_fn)
            np.testing.assert_allclose(jax.vmap(own)(images), expected, atol=1e-4)


@pytest.mark.usefixtures("unchecked")
def test_integers_of_numpy_are_integers(bars, tmp_path: Path) -> None:
    short = dataclasses.replace(TRAINING, epochs=1)
    same = dataclasses.replace(TRAINING, epochs=np.int32(1))
    found = [
        _run(bars, tmp_path, training=training, seed=seed).losses
        for training, seed in ((short, 3), (same, np.int64(3)))
    ]
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(*found)
    for seed in (0.5, "0", True, []):
        with pytest.raises(TypeError, match="seed must be an integer or several of them, got"):
            _run(bars, tmp_path, seed=seed)


def test_anything_else_trains_anew(bars, tmp_path: Path) -> None:
    short = dataclasses.replace(TRAINING, epochs=1)
    images, labels = bars
    _run(bars, tmp_path, training=short)
    _run(bars, tmp_path, training=short, seed=1)
    _run((images * 0.5, labels), tmp_path, training=short)
    _run(bars, tmp_path, training=dataclasses.replace(short, learning_rate=2e-2))
    relu = dataclasses.replace(CLASSIFIER, activation="relu")
    _run(bars, tmp_path, training=short, classifier=relu)
    assert len(list(tmp_path.iterdir())) == 5


def test_round_trip_and_replacement(tmp_path: Path) -> None:
    place = tmp_path / "net"
    models.save(place, STATE, {"what": "first"})
    models.save(place, {"a": STATE["a"] + 1, "b": STATE["b"]}, {"what": "second"})
    found = models.restore(place, STATE)
    np.testing.assert_array_equal(found["a"], [1.0, 2.0, 3.0])
    assert found["b"]["c"].dtype == jnp.int32


def test_an_interrupted_save_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "net"
    models.save(place, STATE, {})

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ocp.StandardCheckpointHandler, "finalize", interrupted)
    with pytest.raises(BaseException):  # noqa: B017, PT011  (Orbax may wrap it)
        models.save(place, {"a": STATE["a"] + 1, "b": STATE["b"]}, {})
    monkeypatch.undo()
    np.testing.assert_array_equal(models.restore(place, STATE)["a"], STATE["a"])


def test_an_interrupted_first_save_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    with pytest.raises(FileNotFoundError, match="no finished checkpoint"):
        models.restore(tmp_path / "net", STATE)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        models.restore(tmp_path / "nothing", STATE)


def test_a_training_interrupted_while_saving_trains_again(bars, tmp_path: Path) -> None:
    short = dataclasses.replace(TRAINING, epochs=1)
    _run(bars, tmp_path, training=short)
    (place,) = tmp_path.iterdir()
    for step in place.iterdir():
        step.rename(place / f"{step.name}.orbax-checkpoint-tmp")
    assert _run(bars, tmp_path, training=short).losses.shape == (1,)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    place = tmp_path / "net"
    models.save(place, STATE, {})
    for path in place.rglob("*"):
        if path.is_file() and "/d/" in str(path):
            path.write_bytes(b"\x00" * 10)
    with pytest.raises(models.CheckpointError, match=r"net cannot be read; delete this folder"):
        models.restore(place, STATE)


def test_entries_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    place = tmp_path / "net"
    models.save(place, STATE, {})
    wanted = {"a": jnp.zeros(4), "d": jnp.zeros(1)}
    with pytest.raises(models.CheckpointError) as caught:
        models.restore(place, wanted)
    message = str(caught.value)
    assert "['a'] is float32[3], not float32[4]" in message
    assert "['b']['c'] is not expected" in message
    assert "['d'] is missing" in message
