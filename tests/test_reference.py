"""The reference: examples in docstrings print what they say, and defaults are values."""

import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

import fitb_jax

DOCS = Path(__file__).parent.parent / "docs"

MAIN = {
    *("random_patches", "first_order", "second_order", "fill", "iterated", "expected_update"),
    *("fit_inr", "fit_dense", "disjoint_masks", "sufficient_region", "certify"),
    *("integrated_gradients", "smoothgrad", "occlusion", "rise", "grad_cam", "as_saliency"),
    *("deletion", "pointing_game", "scoreboard", "with_head", "run"),
}
"""Functions that a reader looks up first."""


def _functions() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.walk_packages(fitb_jax.__path__, "fitb_jax."):
        if ".command_line" in module.name or module.name.endswith("__main__"):
            continue
        for name, function in inspect.getmembers(importlib.import_module(module.name)):
            if inspect.isfunction(function) and function.__module__ == module.name:
                yield name, function


def test_examples_print_what_they_say() -> None:
    names: dict[str, Any] = {}
    page = (DOCS / "api" / "core.md").read_text()
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], names)  # type: ignore[index]
    failed, shown = [], set()
    for name, function in _functions():
        found = doctest.DocTestParser().get_doctest(
            function.__doc__ or "", dict(names), f"{function.__module__}.{name}", None, 0
        )
        if found.examples:
            shown.add(name)
            said: list[str] = []
            if doctest.DocTestRunner(verbose=False).run(found, out=said.append).failed:
                failed.append("".join(said))
    assert not failed, "\n".join(failed)
    assert shown >= MAIN


def test_defaults_are_values() -> None:
    sys.path.insert(0, str(DOCS))
    try:
        from griffe_values import ConstantsAsValues
    finally:
        sys.path.remove(str(DOCS))
    package = griffe.load(
        "fitb_jax",
        extensions=griffe.load_extensions(ConstantsAsValues),
        search_paths=[DOCS.parent],
    )
    assert (
        str(package["attribution.noisy_gradients.smoothgrad"].parameters["draws"].default) == "50"
    )
    assert str(package["extremal.config.InrConfig.blur"].value) == "20 / 224"
    names = re.compile(r"[A-Z_]{3,}")
    left = [
        f"{function.path}({parameter.name}={parameter.default})"
        for function in _signatures(package)
        for parameter in function.parameters
        if names.fullmatch(str(parameter.default))
    ]
    # What these are would be longer than their names.
    assert all(default.endswith(("=IMAGENET)", "=CLASS_NAMES)")) for default in left), left


def _signatures(parent: Any) -> Iterator[griffe.Function]:
    for member in parent.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Function):
            yield member
        elif isinstance(member, griffe.Module | griffe.Class):
            yield from _signatures(member)
