"""Rules of the source that a reader of one file cannot see broken."""

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fitb_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Each part may import itself, what is named here, and what those may import.
ALLOWED = {
    "types": set(),
    "class_names": set(),
    "renamed": set(),
    "extras": set(),
    "endings": set(),
    "checks": {"types", "endings"},
    "precision": {"types"},
    "callables": {"types"},
    "objectives": {"checks", "precision"},
    "heads": {"objectives", "callables"},
    "masks": {"checks"},
    "derivatives": {"checks"},
    "batching": {"checks", "precision"},
    "smoothing": {"checks"},
    "components": {"checks"},
    "moments": set(),
    "dependence": set(),
    "fill": {
        "renamed",
        "objectives",
        "masks",
        "derivatives",
        "batching",
        "moments",
        "smoothing",
    },
    "extremal": {
        "renamed",
        "objectives",
        "masks",
        "derivatives",
        "batching",
        "smoothing",
        "components",
        "evaluation",
    },
    "evaluation": {
        "renamed",
        "extras",
        "callables",
        "objectives",
        "precision",
        "masks",
        "derivatives",
        "batching",
        "smoothing",
        "components",
    },
    "attribution": {
        "renamed",
        "extras",
        "objectives",
        "precision",
        "masks",
        "derivatives",
        "batching",
        "dependence",
    },
    "saliency": {"fill", "extremal", "attribution"},
    "ablation": {"checks", "renamed", "extras", "moments", "__version__"},
    "__version__": set(),
    "plotting": {"evaluation"},
    "imagenet": set(),
    "cropping": {"checks"},
    "models": {
        "masks",
        "checks",
        "class_names",
        "cropping",
        "dependence",
        "heads",
        "imagenet",
        "renamed",
        "extras",
    },
    # Which objects are difficult is said by `evaluation.aggregation`.
    "data": {"checks", "cropping", "imagenet", "renamed", "extras", "evaluation"},
    "__init__": {"fill", "extremal", "attribution", "saliency", "evaluation", "heads"},
    "command_line": {"class_names", "heads", "plotting", "models", "saliency", "__version__"},
    "__main__": {"command_line"},
}


def _reachable(part: str) -> set[str]:
    found = {part}
    for other in ALLOWED[part]:
        found |= _reachable(other)
    return found


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


# What may be imported by these parts alone.
ONLY_IN = {"flax": ("models", "extremal"), "orbax": ("models",), "matplotlib": ("plotting",)}


def test_imports_go_one_way() -> None:
    wrong = []
    for path in MODULES:
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for name in sorted(_imports(path)):
            package, *rest = name.split(".")
            is_outside = package in ("experiments", "benchmarks", "tests")
            is_above = package == "fitb_jax" and rest[0] not in _reachable(part)
            if is_outside or is_above or part not in ONLY_IN.get(package, (part,)):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_methods_need_neither_flax_nor_plotting_nor_data() -> None:
    heavy = ("flax", "orbax", "matplotlib", "tensorflow_datasets", "mlxtend", "optax")
    parts = "batching, derivatives, evaluation, fill, masks, objectives, types"
    code = (
        f"from fitb_jax import {parts}\nimport sys; print([m for m in {heavy} if m in sys.modules])"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert printed.strip() == "[]"


def _public_functions() -> list[tuple[str, object]]:
    found = []
    for path in MODULES:
        relative = path.relative_to(ROOT).with_suffix("")
        if relative.name == "__main__":
            continue
        name = ".".join(relative.parts).removesuffix(".__init__")
        module = importlib.import_module(name)
        for member, value in inspect.getmembers(module, inspect.isroutine):
            if not member.startswith("_") and getattr(value, "__module__", "") == name:
                found.append((f"{name}.{member}", value))
    return found


def _undocumented(name: str, function: Any) -> list[str]:
    text = inspect.getdoc(function) or ""
    if name.startswith("fitb_jax.checks.") or re.search("^See `.+`.$", text, re.M):
        return [] if text else ["nothing"]
    signature = inspect.signature(function)
    missing = [] if text else ["nothing"]
    missing += [parameter for parameter in signature.parameters if f"{parameter}:" not in text]
    if signature.parameters:
        missing += [] if "Args:" in text else ["Args"]
        has_returns = re.search("^(Returns|Yields):", text, re.M)
        needs_returns = signature.return_annotation not in (None, "None")
        missing += ["Returns"] if needs_returns and not has_returns else []
    if signature.return_annotation is inspect.Signature.empty:
        missing.append("annotation")
    return missing


def test_public_functions_are_documented() -> None:
    public = _public_functions()
    assert len(public) > 300
    missing = {name: found for name, value in public if (found := _undocumented(name, value))}
    assert not missing, missing


def _exported_names(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    # What comes from the top of the package is a module.
    inner = [node for node in imports if node.module != "fitb_jax"]
    return {alias.asname or alias.name for node in inner for alias in node.names}


def test_no_module_is_called_like_what_its_package_exports() -> None:
    """`package.name` is one thing: in an import, in an error and in the reference."""
    hidden = []
    for path in PACKAGE.rglob("__init__.py"):
        folder = path.parent
        names = {each.stem for each in folder.iterdir() if each.suffix == ".py" or each.is_dir()}
        hidden += [folder / name for name in sorted(names & _exported_names(path))]
    assert not hidden, [str(path.relative_to(ROOT)) for path in hidden]


def _exported_classes() -> dict[str, type]:
    found = {}
    for path in PACKAGE.glob("*/__init__.py"):
        package = importlib.import_module(f"fitb_jax.{path.parent.name}")
        names = getattr(package, "__all__", vars(package))
        for name in [name for name in names if not name.startswith("_")]:
            if inspect.isclass(value := getattr(package, name)):
                found[f"{path.parent.name}.{name}"] = value
    # What metrics return is reached through their modules.
    for path in PACKAGE.glob("evaluation/[!_]*.py"):
        module = importlib.import_module(f"fitb_jax.evaluation.{path.stem}")
        for name, value in inspect.getmembers(module, inspect.isclass):
            if value.__module__ == module.__name__ and not name.startswith("_"):
                found[f"evaluation.{path.stem}.{name}"] = value
    return found


def test_public_classes_are_documented_with_their_fields() -> None:
    missing = []
    for name, exported in _exported_classes().items():
        text = inspect.getdoc(exported) or ""
        is_dataclass = dataclasses.is_dataclass(exported)
        fields = exported.__dataclass_fields__ if is_dataclass else getattr(exported, "_fields", ())
        missing += [] if text else [name]
        missing += [f"{name}.{each}" for each in fields if not re.search(rf"\b{each}[:,]", text)]
    assert not missing, missing


def test_nothing_outside_of_the_checkout_is_named() -> None:
    beside = "../" + "shared"
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split()
    text = {name: (ROOT / name).read_bytes() for name in tracked if (ROOT / name).is_file()}
    assert not [name for name, content in text.items() if beside.encode() in content]


def test_methods_are_selected_by_their_labels() -> None:
    """`.sel(method=...)` of xarray is about inexact labels, and selects nothing."""
    sources = [
        *MODULES,
        *(ROOT / "experiments").rglob("*.py"),
        *(ROOT / "notebooks").glob("*.ipynb"),
    ]
    wrong = re.compile(r"\.sel\([^()]*\bmethod=(?!.nearest)")
    assert not [str(path) for path in sources if wrong.search(path.read_text())]


def test_the_arguments_of_updates_have_one_order_and_name() -> None:
    from fitb_jax import fill

    for function in (fill.first_order, fill.second_order, fill.second_order_with_diagnostics):
        parameters = list(inspect.signature(function).parameters.values())
        assert [p.name for p in parameters[:4]] == ["logits_fn", "image", "mask", "target"]
        assert {p.kind for p in parameters[4:]} == {inspect.Parameter.KEYWORD_ONLY}
