"""Which classifiers can be explained, and what they see."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fitb_jax import heads
from fitb_jax.command_line import explaining, loading
from fitb_jax.command_line.arguments import HEADS, Options, WrongArgumentsError
from fitb_jax.command_line.methods import METHODS
from tests.command_line import networks

MODULE = networks.__name__


def options(function: str, **more: object) -> Options:
    """Of a classifier of this module."""
    given = {"weights": None, "class_names": None, "target": None, "size": networks.SIZE}
    rest = {
        "head": "softmax",
        "background": "blur",
        "methods": (),
        "named_methods": False,
        "seed": 0,
        "command": "",
    }
    places = {"photographs": (), "overwrite": False, "out": Path(), "cache": False}
    return Options(**{"model": f"{MODULE}:{function}", **given, **rest, **places, **more})


def test_a_function_of_an_image_or_of_a_batch_or_a_module_is_a_classifier() -> None:
    picture = Image.new("RGB", (50, 40), (255, 0, 0))
    for function in ("halves", "halves_of_batches"):
        found = loading.load(options(function))
        assert found.shape == (32, 32, 3)
        np.testing.assert_allclose(found.logits_fn(found.see(picture)), [4, 4, 0], rtol=1e-5)
        assert found.class_names == ("class 0", "class 1", "class 2")
    grey = loading.load(options("module_in_grey"))
    assert grey.shape == (32, 32, 1)
    # Luminance, as Pillow and television have it.
    np.testing.assert_allclose(grey.see(picture), 76 / 255, atol=1e-6)


def test_what_a_classifier_brings_is_used() -> None:
    found = loading.load(options("with_names", size=None))
    assert found.class_names == networks.NAMES
    assert found.crop is None
    assert found.see(Image.new("RGB", (50, 40), (255, 0, 0)))[:, :, 0].min() == 1
    assert loading.find_target(found, "right") == 1
    assert loading.find_target(found, 2) == 2
    with pytest.raises(WrongArgumentsError, match="the nearest are 1: right"):
        loading.find_target(found, "rigth")


def test_a_background_has_a_value_for_each_channel() -> None:
    np.testing.assert_allclose(
        loading.load(options("halves", background=(1.0, 0.5, 0.0))).behind, [1, 0.5, 0]
    )
    with pytest.raises(WrongArgumentsError, match="one for each of 1 channels, got 3"):
        loading.load(options("module_in_grey", background=(1.0, 0.5, 0.0)))


def test_a_whole_picture_is_seen_where_it_is_asked_for() -> None:
    picture = Image.new("RGB", (100, 40))
    picture.paste((255, 0, 0), (0, 0, 25, 40))  # outside of the square in the middle
    assert loading.load(options("halves")).see(picture).max() == 0
    found = loading.load(options("halves", whole=True))
    assert found.crop is None
    np.testing.assert_allclose(found.see(picture)[:, :, 0].mean(), 0.25, atol=0.01)
    with pytest.raises(WrongArgumentsError, match=r"--whole: .* has a preprocess of its own"):
        loading.load(options("with_names", size=None, whole=True))


def test_what_a_preprocess_gives_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as 0 to 255, in which noise and grey mean something else."""
    loud = np.full((32, 32, 3), 255.0)
    monkeypatch.setattr(networks, "_stretched", lambda picture: loud)
    found = loading.load(options("with_names", size=None))
    with pytest.raises(ValueError, match=r"the image of preprocess must have values in \[0, 1\]"):
        found.see(Image.new("RGB", (50, 40)))


@pytest.mark.parametrize(
    ("function", "more", "message"),
    [
        ("halfes", {}, "has no function halfes; it has .*halves"),
        ("NUMBER", {}, "has no function NUMBER"),
        ("no_classifier", {}, "is no classifier of images"),
        ("one_number", {}, r"is no classifier .*"),
        ("halves", {"size": 16}, "is no classifier of images"),
        ("one_logit", {}, "--head softmax: head must be"),
        ("halves", {"head": "binary"}, "--head binary: head must fit the outputs"),
        ("halves", {"class_names": ("one", "two")}, "there are 2 names, and .* has 3 classes"),
    ],
)
def test_what_is_no_classifier_is_refused(
    function: str, more: dict[str, object], message: str
) -> None:
    with pytest.raises(WrongArgumentsError, match=message) as refused:
        loading.load(options(function, **more))
    assert len(str(refused.value)) < 600


def test_what_outputs_mean_is_taken_into_account() -> None:
    image = np.zeros((32, 32, 3), np.float32)
    image[:, :16, 0] = 1
    named = {"head": "binary", "class_names": ("not red", "red")}
    binary = loading.load(options("one_logit", **named))
    assert binary.class_names == ("not red", "red")
    np.testing.assert_allclose(binary.logits_fn(image), [-1, 1], rtol=1e-5)
    found = explaining.programs(binary).predict(image)[0]
    np.testing.assert_allclose(found[1], 1 / (1 + np.exp(-2)), rtol=1e-5)
    taken = loading.load(options("two_probabilities", head="probabilities"))
    shares = np.exp([4, 0, 0]) / (np.exp(4) + 2)
    np.testing.assert_allclose(explaining.programs(taken).predict(image)[0], shares, rtol=1e-5)
    assert {*HEADS} == {*heads.HEADS}


def test_a_network_by_name_says_what_it_needs() -> None:
    with pytest.raises(WrongArgumentsError, match="--model resnet18: weights must be given"):
        loading.load(options("", model="resnet18", size=None))
    own = {"model": "efficientnet_lite0", "normalisation": ((0.0,) * 3, (1.0,) * 3), "size": None}
    with pytest.raises(WrongArgumentsError, match="normalisation must be None for efficientnet"):
        loading.load(options("", **own))


def test_every_method_of_the_list_is_there_and_takes_its_options() -> None:
    found = loading.load(options("with_names", size=None))
    for name in METHODS:
        assert callable(explaining.method_of(name, found))
    plain = loading.load(options("halves"))
    with pytest.raises(TypeError, match="layers of this network are not known"):
        explaining.method_of("grad_cam", plain)
