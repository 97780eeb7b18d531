"""Every block of code of `docs/evaluation.md` runs, in one session from top to bottom."""

import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitb_jax import evaluation

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()


def test_the_page_s_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(size=(100, 28, 28, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 10, 100), jnp.int32)
    examples = evaluation.ExplainedImages(images, labels, images[..., 0])
    names: dict[str, Any] = {"train_set": examples, "test_set": examples}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 4
    for block in blocks:
        exec(block.replace("epochs=8", "epochs=1"), names)
    printed = capsys.readouterr().out
    for layer in ("convolution1", "convolution2", "hidden", "logits"):
        assert f"'{layer}'" in printed
    assert names["found"].maps.shape == (4, 28, 28)
    assert 0 <= float(names["accuracy"]) <= 1
