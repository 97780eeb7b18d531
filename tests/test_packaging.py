"""One version, one list of requirements, and extras that errors can name."""

import ast
import re
import tomllib
from pathlib import Path

import fitb_jax

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def _with_extras(requirements: list[str]) -> set[str]:
    found: set[str] = set()
    for requirement in requirements:
        own = re.fullmatch(r"fitb_jax\[(.*)\]", requirement)
        names = own.group(1).split(",") if own else []
        found |= set().union(*(_with_extras(EXTRAS[name]) for name in names)) or {requirement}
    return found


def _listed(file: str) -> list[str]:
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


def test_requirements_are_the_dependencies_and_those_of_the_experiments() -> None:
    listed = _listed("requirements.txt")
    assert len(listed) == len(set(listed))
    assert set(listed) == {*PROJECT["dependencies"], *_with_extras(EXTRAS["experiments"])}


def test_what_is_listed_for_tests_too_has_the_same_version() -> None:
    every = {*PROJECT["dependencies"]}.union(*(_with_extras(extra) for extra in EXTRAS.values()))
    name_of = re.compile(r"^[\w.-]+")
    names = {name_of.match(requirement)[0]: requirement for requirement in every}
    for requirement in _listed("requirements-dev.txt"):
        name = name_of.match(requirement)[0]
        assert names.get(name, requirement) == requirement


def test_errors_name_extras_that_exist() -> None:
    named = {
        node.value
        for path in (ROOT / "fitb_jax").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.search(rf"extra=\"{re.escape(node.value)}\"", path.read_text())
    }
    assert named
    assert named <= EXTRAS.keys()


def test_one_version_is_said() -> None:
    assert PROJECT["version"] == fitb_jax.__version__
    assert f"\nversion: {fitb_jax.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(
        rf"^## {re.escape(fitb_jax.__version__)}", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
