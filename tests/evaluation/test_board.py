"""One call asks methods every question, and controls the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from jax.tree_util import Partial

from fitb_jax import attribution, evaluation, masks, objectives, saliency
from fitb_jax.evaluation.board import method_scores
from fitb_jax.evaluation.board_checks import CHECKS, judged
from fitb_jax.evaluation.control_methods import CONTROLS
from fitb_jax.evaluation.ranking import top_weights
from fitb_jax.types import Array

SIDE = 16
KEY = jax.random.key(0)
COUNT = 6


def _patch_logits(weights: Array, image: Array) -> Array:
    """Class 1 is how bright the upper left quarter is, class 2 the lower right one."""
    half = SIDE // 2
    parts = jnp.stack([image[:half, :half].mean(), image[half:, half:].mean()])
    return jnp.concatenate([jnp.zeros(1), weights * (parts - 0.4)])


NETWORK, OTHER = Partial(_patch_logits, jnp.full(2, 20.0)), Partial(_patch_logits, jnp.full(2, 9.0))
FRESH = Partial(_patch_logits, jnp.array([-3.0, 2.0]))
IMAGES = jax.random.uniform(KEY, (COUNT, SIDE, SIDE, 1), minval=0.3)
TARGETS = jnp.full(COUNT, 1)
TRUTH = jnp.zeros((COUNT, SIDE, SIDE), bool).at[:, : SIDE // 2, : SIDE // 2].set(True)
METHODS = {
    "input x gradient": saliency.as_saliency(attribution.input_x_gradient),
    "always the same": lambda logits_fn, image, target, *, key: jnp.indices((SIDE, SIDE))[0] * 1.0,
}


@pytest.fixture(scope="module")
def board():
    backgrounds = jax.random.uniform(jax.random.key(1), (5, SIDE, SIDE, 1), maxval=0.4)
    return evaluation.scoreboard(
        METHODS,
        NETWORK,
        IMAGES,
        TARGETS,
        key=KEY,
        fresh_logits_fn=FRESH,
        labels_logits_fn=FRESH,
        shifted_logits_fn=Partial(lambda network, image: network(image + 0.5), NETWORK),
        shift=-0.5,
        cells_logits_fn=OTHER,
        other_logits_fn=OTHER,
        truth=TRUTH,
        backgrounds=backgrounds,
        areas=(0.1, 0.25),
        move=2,
        samples=2,
        background=0.4,
        progress=False,
    )


def test_every_question_is_asked_of_methods_and_controls(board) -> None:
    assert set(board["check"].values) == set(CHECKS)
    assert board["method"].values.tolist() == [*CONTROLS, *METHODS]
    assert board["kept"].sizes == {"method": 5, "image": COUNT, "area": 2}
    assert np.isfinite(board["mean"].sel({"method": "input x gradient"})).all()


def test_scores_are_those_of_their_functions(board) -> None:
    key = jax.random.split(KEY, COUNT)[2]
    image, truth = IMAGES[2], TRUTH[2]
    order_key = jax.random.split(key, 5)[3]
    own = board.isel(image=2).sel({"method": "input x gradient"})
    found = attribution.input_x_gradient(NETWORK, image, 1)
    np.testing.assert_allclose(own["pointing"], evaluation.pointing_game(found, truth))
    np.testing.assert_allclose(
        own["deletion"],
        evaluation.deletion(
            NETWORK, image, found, 1, key=jax.random.split(order_key, 3)[1]
        ).area_under_curve,
        rtol=1e-5,
    )
    np.testing.assert_allclose(own["precision"], [1, 1])
    for name, network in (("single_deletion", NETWORK), ("in_domain_deletion", OTHER)):
        of_network = attribution.input_x_gradient(network, image, 1)
        wanted = evaluation.single_deletion(network, image, of_network, 1)
        np.testing.assert_allclose(own[name], wanted, rtol=1e-5, err_msg=name)
    # The same network stands for both, and the map that never changes stays.
    np.testing.assert_array_equal(own["random_labels"], own["random_network"])
    still = board.isel(image=2).sel({"method": "always the same"})
    assert still["input_shift"] == pytest.approx(1)
    assert still["sensitivity"] == 0
    assert own["input_shift"] < 0.95
    assert own["sensitivity"] > 0
    dimmed = evaluation.average_drop(NETWORK, image, found, 1)
    for name, wanted in dimmed._asdict().items():
        np.testing.assert_allclose(own[f"average_{name}"], wanted, rtol=1e-5, err_msg=name)
    assert set(np.unique(board["average_increase"])) == {0, 1}
    p = jax.nn.softmax(NETWORK(image))[1]
    np.testing.assert_allclose(board["p_whole"][2], p, rtol=1e-5)


def test_who_looks_where_the_network_does_passes_and_who_does_not_look_fails(board) -> None:
    good, constant = (board["passed"].sel({"method": name}) for name in METHODS)
    for name in ("random_logit", "two_keys", "insertion", "deletion", "precision", "kept"):
        assert good.sel(check=name) == 1, name
    for name in ("random_network", "random_logit", "insertion", "p_other_network", "precision"):
        assert constant.sel(check=name) == 0, name
    assert constant.sel(check="two_keys") == 1  # a map that never changes agrees with itself
    assert np.isnan(good.sel(check="gini"))
    better = board["difference"].sel({"method": "input x gradient", "check": "deletion"})
    assert (better.sel(interval="low") > 0).all()
    assert "paired" in board["deletion"].attrs["rule"]


def test_it_prints(board) -> None:
    table = evaluation.score_table(board)
    assert table.columns.tolist()[:-2] == [*CONTROLS, *METHODS]
    assert table.loc["precision", "input x gradient"] == "1.00 [1.00, 1.00] +"
    assert table.loc["random_logit", "passed (+) where"] == "mean at most 0.5"
    assert table.loc["deletion", "always the same"].endswith(")")  # the controls in the way
    told, count = board.attrs["proves_nothing"], board.sizes["image"]
    assert table.loc["blank", "input x gradient"] == f"{told} of {count}"
    passed = int(board["passed"].sel({"method": "input x gradient"}).sum())
    assert table.loc["passed", "input x gradient"].startswith(f"{passed} of ")
    assert table.loc["images", "input x gradient"] == str(board.sizes["image"])
    for name in (*CONTROLS, *METHODS):
        has_chance = name == "random map"
        assert table.loc["two_keys", name].endswith("+ (no chance)") != has_chance, name
        passed = int(board["passed"].sel({"method": name}).sum())
        assert table.loc["telling", name] == str(passed - (not has_chance)), name
    assert board.attrs["not_asked"] == ""  # every argument was given
    assert not table.eq("not asked").any(axis=None)
    some = board.drop_sel(check=["random_network", "kept"])
    fewer = evaluation.score_table(some.assign_attrs(not_asked="random_network, kept"))
    assert fewer.index[-2:].tolist() == ["random_network", "kept"]
    assert (fewer.loc["kept"].iloc[:-2] == "not asked").all()
    assert fewer.loc["kept"].iloc[-1] == "needs backgrounds"


def test_a_mean_near_its_bound_is_not_sure() -> None:
    scores = {"above": [0.9, 0.8], "near": [0.7, 0.2], "below": [0.1, 0.1]}
    values = xr.DataArray(
        [*scores.values()], {"method": [*scores]}, ("method", "image"), name="moved"
    )
    row = evaluation.score_table(judged(values.to_dataset())).loc["moved"]
    assert [row[name].split("]")[1] for name in scores] == [" + (unsure)", " + (unsure)", " -"]


def test_what_few_images_do_not_decide_is_not_called_a_failure() -> None:
    scores = {
        "random map": [0.5, 0.6, 0.4, 0.5],
        "better by far": [0.9, 0.9, 0.8, 1.0],
        "better perhaps": [1.0, 0.7, 0.3, 1.0],
        "worse": [0.1, 0.2, 0.1, 0.1],
    }
    values = xr.DataArray(
        [*scores.values()], {"method": [*scores]}, ("method", "image"), name="insertion"
    )
    board = judged(values.to_dataset())
    row = evaluation.score_table(board).loc["insertion"]
    assert [row[name].split("]")[1] for name in scores] == [
        *(" -", " +", " ? (random map)", " - (random map)")
    ]
    assert row["better perhaps"].startswith("0.75 [0.22, 1.00]")  # 1.28 is no share


def test_only_some_checks_are_asked(board) -> None:
    method = {"input x gradient": METHODS["input x gradient"]}
    few = evaluation.scoreboard(
        method,
        NETWORK,
        IMAGES,
        TARGETS,
        key=KEY,
        only=("moved", "deletion"),
        move=2,
        progress=False,
    )
    assert few["check"].values.tolist() == ["moved", "deletion"]
    assert {*few.data_vars} == {
        *("moved", "deletion", "p_whole", "p_blank"),
        *("mean", "passed", "difference", "rule"),
    }
    np.testing.assert_allclose(
        few["deletion"].sel({"method": "input x gradient"}),
        board["deletion"].sel({"method": "input x gradient"}),
        rtol=1e-4,
    )


def test_masks_hide_behind_the_background_that_is_given() -> None:
    method = {"input x gradient": METHODS["input x gradient"]}
    background = 0.4 - 0.2 * TRUTH[0][:, :, None]
    ask = functools.partial(
        evaluation.scoreboard,
        method,
        NETWORK,
        IMAGES[:2],
        TARGETS[:2],
        key=KEY,
        only=("p_shown", "moved"),
        areas=(1 / 16,),
        progress=False,
    )
    board = ask(background=background)
    # The quarter of class 1 is darker by 0.2, and its weight is 20: the logits are 0, -4 and 0.
    dark, bright = (np.exp(logit) / (np.exp(logit) + 2) for logit in (-4, 4))
    np.testing.assert_allclose(board["p_blank"], dark, rtol=1e-5)
    of_each = ask(background=jnp.stack([background, 0.8 - background]))
    np.testing.assert_allclose(of_each["p_blank"], [dark, bright], rtol=1e-5)
    xr.testing.assert_equal(of_each["p_shown"].isel(image=0), board["p_shown"].isel(image=0))
    # The second background has the class: what is shown on it says nothing.
    assert of_each["p_shown"].isel(image=1).isnull().all()
    assert of_each["moved"].notnull().all()
    table = evaluation.score_table(of_each)
    assert table.loc["p_shown", "input x gradient"].endswith("of 1")
    assert table.loc["blank", "centre"] == "1 of 2"
    saliency_map = METHODS["input x gradient"](NETWORK, IMAGES[0], 1, key=KEY)
    seen = masks.apply(IMAGES[0], top_weights(saliency_map, 1 / 16), background)
    np.testing.assert_allclose(
        board["p_shown"].sel({"method": "input x gradient", "image": 0}),
        objectives.prob(NETWORK(seen), 1)[None],
        rtol=1e-5,
    )


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named() -> None:
    call = functools.partial(evaluation.scoreboard, METHODS, NETWORK, IMAGES, TARGETS, key=KEY)
    for changes, message in (
        ({"truth": TRUTH[:2]}, "truth must have shape"),
        ({"backgrounds": IMAGES[:, :4]}, "backgrounds must have"),
        ({"areas": (0.4, 0.1)}, "areas must ascend"),
        ({"background": IMAGES[0, :4]}, "background must be a number, one value per channel"),
        ({"background": IMAGES[:1]}, "background must have the shape .* of images"),
        ({"key": 3}, "key must be"),
        ({"only": ("insert",)}, "only must be one of"),
        ({"only": ("kept",)}, r"needs another argument: kept \(backgrounds\)"),
        ({"move": 2 * SIDE}, "move must roll the image somewhere else, got 32 for 16 x 16 pixels"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call(**changes)
    with pytest.raises(ValueError, match="methods must hold"):
        evaluation.scoreboard({}, NETWORK, IMAGES, TARGETS, key=KEY)
    plain = {"mine": attribution.gradient_magnitude}
    with pytest.raises(TypeError, match=r"methods\['mine'\] must take key=.*as_saliency"):
        evaluation.scoreboard(plain, NETWORK, IMAGES, TARGETS, key=KEY)
    with pytest.raises(TypeError, match=r"methods must be a dict .* got gradient_magnitude"):
        evaluation.scoreboard(attribution.gradient_magnitude, NETWORK, IMAGES, TARGETS, key=KEY)
    with pytest.raises(ValueError, match="not be called as a control"):
        evaluation.scoreboard(dict(CONTROLS), NETWORK, IMAGES, TARGETS, key=KEY)


@pytest.mark.parametrize("objective", [objectives.logit, objectives.output])
def test_scores_are_of_probabilities(objective) -> None:
    with pytest.raises(ValueError, match="objective must be a probability"):
        evaluation.scoreboard(METHODS, NETWORK, IMAGES, TARGETS, key=KEY, objective=objective)


def test_a_table_says_what_is_missing_and_of_how_many_images_it_speaks(board) -> None:
    gaps = board["deletion"].copy()
    gaps[-1, :2] = np.nan
    some = board[["two_keys", "random_logit"]].assign(deletion=gaps)
    table = evaluation.score_table(judged(some.assign_attrs(classes=2, not_asked="")))
    assert f"] of {COUNT - 2}" in table.loc["deletion", "always the same"]
    assert " of " not in table.loc["deletion", "input x gradient"]
    # A magnitude map of "no" is that of "yes", by the network's making.
    assert table.loc["random_logit", "always the same"].endswith("]")
    assert "no judgement: of two classes" in table.loc["random_logit", "passed (+) where"]


@pytest.mark.usefixtures("unchecked")
def test_small_images_and_few_arguments_are_enough() -> None:
    few = {"key": KEY, "progress": False, "samples": np.int64(0)}
    small = IMAGES[:1, :3, :3]
    one_logit = {"mine": METHODS["input x gradient"]}
    weights = jax.random.normal(KEY, (9, 3))
    found = evaluation.scoreboard(
        one_logit, lambda image: image.ravel() @ weights, small, TARGETS[:1], only=("gini",), **few
    )
    assert np.isfinite(found["gini"]).all()
    with pytest.raises(ValueError, match=r"another argument: sensitivity \(samples\)"):
        evaluation.scoreboard(METHODS, NETWORK, IMAGES, TARGETS, only=("sensitivity",), **few)


def test_a_map_that_failed_keeps_nothing() -> None:
    def failed(logits_fn, image, target, *, key) -> Array:
        return jnp.full(image.shape[:2], jnp.nan)

    image = IMAGES[0]
    ask = jax.jit(functools.partial(method_scores, failed, only=("kept",), areas=(0.1,)))
    found = ask(NETWORK, image, 1, key=KEY, backgrounds=IMAGES)
    assert np.isnan(found["kept"]).all()


def test_a_class_that_is_not_there_has_no_share() -> None:
    method = METHODS["always the same"]
    ask = jax.jit(functools.partial(method_scores, method, only=("kept",), areas=(0.1,)))
    found = ask(NETWORK, IMAGES[0], 99, key=KEY, backgrounds=IMAGES)
    assert np.isnan(found["kept"]).all()


def test_the_scores_of_all_methods_are_one_program() -> None:
    def traces(methods: int) -> int:
        calls: list[None] = []

        def objective(logits: Array, target: Array) -> Array:
            calls.append(None)
            return objectives.prob(logits, target)

        evaluation.scoreboard(
            {str(number): METHODS["always the same"] for number in range(methods)},
            NETWORK,
            IMAGES[:1],
            TARGETS[:1],
            key=KEY,
            objective=objective,
            only=("p_shown",),
            progress=False,
        )
        return len(calls)

    assert traces(1) == traces(3) > 0


def test_one_image_is_asked_without_a_program() -> None:
    method = saliency.as_saliency(attribution.gradient_magnitude)
    asked = {"truth": TRUTH[0], "only": ("precision",), "areas": (0.1,)}
    found = method_scores(method, NETWORK, IMAGES[0], 1, key=KEY, **asked)
    assert found["precision"].shape == (1,)


def test_checks_are_counted_that_a_method_answers() -> None:
    def zeros(logits_fn, image, target, *, key) -> Array:
        return jnp.zeros(image.shape[:2])

    methods = {"zeros": zeros, "input x gradient": METHODS["input x gradient"]}
    few = {"only": ("random_logit",), "progress": False}
    board = evaluation.scoreboard(methods, NETWORK, IMAGES, TARGETS, key=KEY, **few)
    passed = evaluation.score_table(board).loc["passed"]
    for name in methods:
        said = board.sel({"method": name})["passed"].notnull().sum()
        assert passed[name].split(",")[0].endswith(f"of {int(said)}")


def test_a_method_without_any_answer_is_told_to_look_at_its_maps() -> None:
    scores = np.array([[1.0, 2.0, 3.0], [np.nan] * 3])
    given = xr.Dataset({"deletion": (("method", "image"), scores)}, {"method": ["mine", "nan"]})
    table = evaluation.score_table(judged(given))
    assert table.loc["passed", "mine"] == "1 of 1"
    assert table.loc["deletion", "nan"] == "no answer"
    assert "maps are finite" in table.loc["passed", "nan"]


def test_the_error_of_a_method_names_it() -> None:
    methods = {"mine": lambda logits_fn, image, target, *, key: np.asarray(image).sum(-1)}
    with pytest.raises(jax.errors.TracerArrayConversionError) as raised:
        evaluation.scoreboard(
            methods, NETWORK, IMAGES, TARGETS, key=KEY, only=("deletion",), move=2, progress=False
        )
    assert "of method 'mine'" in "".join(raised.value.__notes__)


def test_no_check_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="only must name one check"):
        evaluation.scoreboard(METHODS, NETWORK, IMAGES, TARGETS, key=KEY, only=())
