"""The site's pages: their code runs, and the navigation and the reference leave nothing out."""

import dataclasses
import re
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.common.networks import Network
from experiments.core.experiment import Experiment
from fitb_jax import ablation, models
from fitb_jax.evaluation.intervals import Interval
from tests.experiments import stub

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
REFERENCE = "\n".join(page.read_text() for page in sorted((DOCS / "api").glob("*.md")))


def _blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def _run(page: str, **names: Any) -> dict[str, Any]:
    """Every block of a page, in one session from top to bottom."""
    for block in _blocks(page):
        exec(block, names)
    return names


def test_code_is_as_wide_as_a_page() -> None:
    pages = [*DOCS.glob("*.md"), *(DOCS / "api").glob("*.md"), ROOT / "README.md"]
    wide = [
        f"{page.name}: {line}"
        for page in pages
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        for line in block.splitlines()
        if len(line) > 88
    ]
    assert not wide, "\n".join(wide)


def test_the_concepts_run() -> None:
    names = _run("concepts.md")
    assert names["update"].shape == names["image"].shape
    assert names["saliency"].shape == (8, 8)
    assert 0 < names["score"].area_under_curve < 1
    np.testing.assert_allclose(
        names["every"][0, 2, 1],
        names["fill"].first_order(names["logits_fn"], names["image"], names["some_masks"][2], 1),
        atol=1e-6,
    )


def test_the_page_of_chapter_one_runs() -> None:
    names = _run("fill.md")
    hidden = names["mask"][:, :, None] == 0
    assert names["found"].residual < 1e-3
    np.testing.assert_array_equal(names["filled"][~hidden], names["image"][~hidden])
    assert names["stages"].shape == (4, 8, 8, 1)


def test_the_page_of_chapter_two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load", lambda name: stub.network(int(name[-1]), size=64))
    (front,) = _blocks("index.md")
    names = _run("extremal.md")
    # The front page begins as the chapter does, whose fit is enough.
    assert front.splitlines()[:10] == _blocks("extremal.md")[0].splitlines()[:10]
    exec("\n".join(front.splitlines()[10:]), dict(names))
    np.testing.assert_allclose(names["masks"].mean((1, 2)), names["areas"], atol=1e-5)
    expected = np.round(64 * 64 * names["areas"])
    np.testing.assert_array_equal(names["binary"].sum((1, 2)), expected)
    assert names["saliency"].shape == (64, 64)
    blank = names["extremal"].make_blend(names["image"], "blur")(jnp.zeros((64, 64)))
    assert names["p"][-1] > jax.nn.softmax(names["net"].logits_fn(blank))[names["target"]]
    judged = names["judged"]
    np.testing.assert_allclose(judged.p, names["p"], rtol=1e-4)
    assert judged.p_other.shape == judged.kept.shape == (4,)


def test_the_page_of_sufficient_regions_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load", lambda name: stub.network(0, size=96))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for place in range(6):
        noise = Image.fromarray(rng.integers(0, 255, (4, 4, 3), np.uint8))
        noise.resize((240, 240)).save(folder / f"{place}.jpg")
    names = _run("sufficient.md")
    assert names["behind"].searched.shape == (16, 96, 96, 3)
    assert names["of_photograph"].region.shape == (96, 96)
    assert names["picture"].shape == (96, 96, 3)
    assert float(names["found"].certificate.estimate) == 1
    assert float(names["found"].certificate.low) > 0.6  # ten of ten


def test_the_page_of_chapter_three_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = _run("evaluation.md")
    printed = capsys.readouterr().out
    for layer in ("convolution1", "convolution2", "hidden", "logits"):
        assert f"'{layer}'" in printed
    assert names["found"].maps.shape == (4, 28, 28)
    assert names["found"].similarity.spearman_magnitude.shape == (len(names["layers"].names),)
    assert 0 <= names["accuracy"] <= 1


def test_the_page_of_heads_runs() -> None:
    names = _run("heads.md")
    shown = names["curve"].probabilities[0]
    np.testing.assert_allclose(
        shown, jax.nn.sigmoid(names["one_logit"](names["image"]))[0], rtol=1e-5
    )
    assert names["p"].shape == (2,)


def test_the_page_of_medical_images_runs() -> None:
    names = _run("medical.md")
    assert names["volume"].min() == 0
    assert names["volume"].max() == 1
    np.testing.assert_allclose(names["window"](np.array([-160, 40, 240]), 40, 400), [0, 0.5, 1])
    np.testing.assert_allclose(names["tenth"].mean((1, 2)), 0.1, atol=1e-5)
    assert names["proves_nothing"].shape == (4,)
    assert 0 < names["certificate"].low < names["certificate"].high


def test_the_page_of_methods_runs() -> None:
    names = _run("attribution.md")
    assert names["areas"].shape == names["infidelities"].shape == (3,)
    # A map that predicts nothing has 1, and a gradient without its sign is not far from that.
    signed, magnitude, _ = names["infidelities"]
    assert 0 < signed < 0.5 < magnitude <= 1


@pytest.fixture(scope="module")
def extensions() -> dict[str, Any]:
    return _run("extending.md")


def test_the_page_of_extensions_runs(extensions: dict[str, Any]) -> None:
    names = extensions
    assert names["saliency"].shape == names["by_updates"].shape == (28, 28)
    assert dict(names["found"]["correlation"].sizes) == {"rule": 2, "ratio": 2, "digit": 3}
    assert (names["found"]["status"] == 1).all()
    assert np.isfinite(names["distances"]).all()
    assert len(names["drawn"]) == 3
    assert names["updates"].shape == (4, 28, 28, 1)
    assert names["cam"].shape == names["guided"].shape == (28, 28)


def test_the_experiment_of_the_page_runs(extensions: dict[str, Any]) -> None:
    """Its sweep, on networks that have not been trained, and what is made of it."""
    experiment = Experiment.of(types.SimpleNamespace(**extensions))
    digits = extensions["digits"]
    assert experiment.default(smoke=True).ratios == (0.5,)
    config = dataclasses.replace(experiment.default(smoke=True), test_images=3, chunk=6)
    logits_fn = extensions["logits_fn"]
    net = Network(logits_fn, logits_fn, digits, digits, Interval(0, 0, 0), "drawn")
    swept = experiment.sweep(config, net)
    found = ablation.run(swept.point, dict(swept.axes), progress=False, **swept.arguments())
    (table,) = experiment.tables(config, found).values()
    assert table.index.names == ["rule", "ratio"]
    assert [*experiment.draw(config, found)] == ["correlation"]
    assert "3 test images" in experiment.caption(config, found)


def test_the_metric_of_the_page_is_right(extensions: dict[str, Any]) -> None:
    centre_distance = extensions["centre_distance"]
    truth, saliency = np.zeros((5, 6), bool), np.zeros((5, 6), np.float32)
    truth[0, 1], saliency[3, 5] = True, 2.0
    assert centre_distance(saliency, truth) == 5
    assert np.isnan(centre_distance(saliency, np.zeros((5, 6), bool)))


def test_the_page_of_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load", stub.load)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 300, 3), np.uint8)).save(
        "photo.jpg"
    )
    names = _run("explain.md")
    assert names["my_network"]()(jnp.zeros((64, 64, 3))).shape == (10,)
    assert all(np.isfinite(each).all() for each in names["maps"].values())
    assert (tmp_path / "maps.png").is_file()
    blend, part = names["extremal"].make_blend(names["image"]), names["part"]
    for name, mask in (("enough", part), ("without", 1 - part), ("nothing", 0 * part)):
        wanted = jax.nn.softmax(names["net"].logits_fn(blend(mask)))[names["target"]]
        np.testing.assert_allclose(names[name], wanted, rtol=1e-4, err_msg=name)


def test_every_page_is_in_the_navigation() -> None:
    """But for those of results, which are listed when the site is built."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [page for page in PAGES if not page.startswith("results/")]
    assert not [page for page in pages if f": {page}\n" not in navigation]


PARTS = sorted(
    path.name.removesuffix(".py")
    for path in (ROOT / "fitb_jax").iterdir()
    if path.suffix == ".py" or (path / "__init__.py").is_file()
)


INTERNAL = ("__init__", "__main__", "checks", "command_line", "extras", "renamed")


def test_the_reference_has_every_module() -> None:
    parts = [part for part in PARTS if part not in INTERNAL]
    assert not [part for part in parts if f"::: fitb_jax.{part}\n" not in REFERENCE]
