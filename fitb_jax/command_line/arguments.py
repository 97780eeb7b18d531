"""Parse and check the arguments of the command, without anything that takes long to import."""

import argparse
import dataclasses
import difflib
import functools
import importlib.util
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fitb_jax import extras, imagenet
from fitb_jax.class_names import find_class
from fitb_jax.command_line import folders
from fitb_jax.command_line.methods import DEFAULT, METHODS

HEADS = (
    "softmax",
    "probabilities",
    "binary",
    "binary_probability",
    "multi_label",
    "multi_label_probabilities",
    "regression",
)
"""Names of `heads.HEADS`, which imports JAX."""

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
"""Endings of the files that a folder is searched for; a file that is named may have any."""

ONE_OF_ONES_OWN = re.compile(r"[\w.]+:\w+")
"""Matches `module:function`, for a classifier of one's own, and no file such as C:\\network.pth."""


_USAGE = "fitb-jax explain PHOTO...    what a classifier looks at; --help lists the options"


Colour: TypeAlias = tuple[float, float, float]
"""Red, green and blue."""

MaskBackground: TypeAlias = Literal["blur", "mean"] | float | tuple[float, ...]
"""What masks hide the photograph behind: by name, one value, or one for each channel."""


class WrongArgumentsError(Exception):
    """All problems with the arguments at once.

    Attributes:
        problems: one in each line.
    """

    def __init__(self, *problems: str) -> None:
        """Keep the problems."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclasses.dataclass(frozen=True)
class Options:
    """The checked options of the command.

    Attributes:
        photographs: files, with the folder of results of each.
        model: name of a packaged network, or `module:function`.
        weights: file or hub reference of a packaged network's weights; None takes its own.
        class_names: where they were given or are known.
        target: class to explain, an index where the names are known; None for the predicted one.
        size: side in pixels of the image that the classifier sees; None is the network's own.
        head: what the outputs of the classifier mean, a name of `heads.HEADS`.
        background: what masks are shown on: "blur", "mean", or a value in [0, 1] for all channels
            or for each.
        methods: names in `METHODS`.
        named_methods: whether the methods were asked for by name.
        seed: of every random choice.
        overwrite: replace earlier explanations.
        out: folder of the results.
        cache: keep compiled programs for later runs.
        command: as it was typed.
        normalisation: mean and standard deviation of the training's images, by colour; None is the
            network's own.
        whole: show the classifier whole pictures, and not the square in their middle.
    """

    photographs: tuple[tuple[Path, Path], ...]
    model: str
    weights: str | None
    class_names: tuple[str, ...] | None
    target: int | str | None
    size: int | None
    head: str
    background: MaskBackground
    methods: tuple[str, ...]
    named_methods: bool
    seed: int
    overwrite: bool
    out: Path
    cache: bool
    command: str
    normalisation: tuple[Colour, Colour] | None = None
    whole: bool = False


def parse(arguments: Sequence[str]) -> Options:
    """Read and check a command line.

    Args:
        arguments: after the name of the program.

    Returns:
        The options.

    Raises:
        WrongArgumentsError: arguments are wrong; it has one line for each problem.
        SystemExit: help or a list was asked for and has been printed, or an option is not known.
    """
    command, *rest = [*arguments] or ["--help"]
    if command in ("-h", "--help"):
        print(_USAGE)
        raise SystemExit(0)
    if command != "explain":
        raise WrongArgumentsError(f"command must be explain, got {command!r}")
    given = _parser().parse_intermixed_args(rest or ["--help"])
    problems: list[str] = []

    def checked(check: Callable[..., Any], *values: Any) -> Any:
        try:
            return check(*values)
        except (ValueError, OSError, ImportError) as error:
            problems.extend(str(error).splitlines())
            return None

    checked(_check_installed)
    checked(_check_model, given.model)
    checked(_check_weights, given.model, given.weights)
    checked(_check_size, given.size)
    background = checked(_background, given.background)
    checked(_check_seed, given.seed)
    normalisation = checked(_normalisation, given.mean, given.std, given.model)
    names = None if given.classes is None else checked(_read_names, given.classes)
    if names and len(names) == 1 and given.head.startswith("binary"):
        names = (f"not {names[0]}", names[0])
    find = find_class
    if given.classes is None and _is_of_imagenet(given.model, given.weights):
        names, ids, _ = imagenet.classes()
        find = functools.partial(find_class, wordnet_ids=ids)
    target = given.target
    if target is not None and names:
        target = checked(find, target, names)
    methods = checked(_chosen_methods, given.methods, given.all_methods)
    files = checked(_find_photographs, given.photographs)
    places = checked(folders.plan, files, given.out, given.overwrite) if files else None
    if problems or not files or not places:
        raise WrongArgumentsError(*problems)
    return Options(
        photographs=tuple(zip(files, places, strict=True)),
        model=given.model,
        weights=given.weights,
        class_names=names,
        target=target,
        size=given.size,
        head=given.head,
        background=background,
        methods=methods,
        named_methods=given.methods is not None,
        seed=given.seed,
        overwrite=given.overwrite,
        out=given.out,
        cache=given.cache,
        command=shlex.join(["fitb-jax", *arguments]),
        normalisation=normalisation,
        whole=given.whole,
    )


def _parser() -> argparse.ArgumentParser:
    explain = argparse.ArgumentParser(
        prog="fitb-jax explain",
        description="Write a page that says what a classifier looks at in photographs: "
        "OUT/NAME/index.html for each, with the maps and masks as pictures and arrays beside it.",
    )
    explain.add_argument(
        "photographs", nargs="*", type=Path, metavar="PHOTO", help="photographs, or folders of them"
    )
    explain.add_argument(
        "--model",
        default="efficientnet_lite0",
        help="name of a network, see docs/models.md, or module:function that is called without "
        "arguments and returns a classifier (default: %(default)s)",
    )
    explain.add_argument(
        "--weights",
        metavar="FILE",
        help="weights of a named network: .pth, .ckpt, .safetensors, hf://...",
    )
    explain.add_argument(
        "--class",
        dest="target",
        metavar="CLASS",
        help="name or index of the class to explain (default: the predicted one)",
    )
    explain.add_argument(
        "--classes", type=Path, metavar="FILE", help="names of the classes, one a line"
    )
    explain.add_argument(
        "--size",
        type=int,
        help="side in pixels of the image that the network was trained with (default: 224 for a "
        "network of yours, else that of its training on ImageNet)",
    )
    explain.add_argument(
        "--whole",
        action="store_true",
        help="the network sees whole pictures, resized to a square, as in its training "
        "(default: the square in their middle)",
    )
    for name, meaning in (("--mean", "mean"), ("--std", "standard deviation")):
        explain.add_argument(
            name,
            nargs=3,
            type=float,
            metavar=("R", "G", "B"),
            help=f"{meaning} of the colours, from 0 to 1, by which your training normalised images "
            "(default: those of ImageNet)",
        )
    explain.add_argument(
        "--head",
        choices=HEADS,
        default="softmax",
        metavar="HEAD",
        help=f"what the outputs of the network mean: {', '.join(HEADS)} (default: %(default)s)",
    )
    explain.add_argument(
        "--background",
        default="blur",
        metavar="WHAT",
        help="what masks are shown on: blur (of the photograph), mean (its mean colour), a "
        "value from 0 (black) to 1 (white), or one for each channel as 1,0.5,0; take another "
        "where the blank has the class by itself (default: %(default)s)",
    )
    explain.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help=f"names, see --list-methods (default: {' '.join(DEFAULT)})",
    )
    explain.add_argument("--all-methods", action="store_true", help="every method; minutes")
    explain.add_argument(
        "--list-methods", action=_ListMethods, nargs=0, help="print the methods and stop"
    )
    explain.add_argument("--seed", type=int, default=0, help="of every random choice")
    explain.add_argument(
        "--out",
        type=Path,
        default=Path("explanations"),
        metavar="DIR",
        help="folder of the results (default: %(default)s)",
    )
    explain.add_argument("--overwrite", action="store_true", help="replace earlier explanations")
    explain.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="do not keep compiled programs in your cache folder for later runs",
    )
    return explain


class _ListMethods(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        width = max(map(len, METHODS))
        function_width = max(len(method.function) for method in METHODS.values())
        for name, method in METHODS.items():
            mark = "*" if name in DEFAULT else " "
            function = method.function.ljust(function_width)
            print(f"{mark} {name.ljust(width)}  {method.duration:>7}  {function}  {method.meaning}")
        print(
            "* by default. Times are for a photograph by EfficientNet-Lite0 on 2 cores: the class "
            "and a second one as a control, after compiling."
        )
        parser.exit()


def _check_installed() -> None:
    with extras.needed("fitb-jax explain", extra="explain"):
        for package in ("jinja2", "platformdirs"):
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(package, name=package)


def _check_model(model: str) -> None:
    if ONE_OF_ONES_OWN.fullmatch(model):
        add_working_folder()
        module = model.partition(":")[0]
        try:
            is_there = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            is_there = False
        if not is_there:
            raise ValueError(f"--model: no module {module} in {Path.cwd()} or installed")


def _check_weights(model: str, weights: str | None) -> None:
    if weights is None:
        return
    if ONE_OF_ONES_OWN.fullmatch(model):
        raise ValueError(f"--weights is for a network by name: {model} brings its own")
    if not weights.startswith("hf://") and not Path(weights).is_file():
        raise FileNotFoundError(f"--weights: no such file: {weights}")


def _check_size(size: int | None) -> None:
    if size is not None and size < 1:
        raise ValueError(f"--size must be at least 1, got {size}")


def _normalisation(
    mean: list[float] | None, deviation: list[float] | None, model: str
) -> tuple[Colour, Colour] | None:
    if mean is None and deviation is None:
        return None
    if mean is None or deviation is None:
        raise ValueError("--mean and --std belong together: give both")
    if ONE_OF_ONES_OWN.fullmatch(model):
        raise ValueError(f"--mean and --std: {model} normalises its images itself")
    if not all(math.isfinite(value) for value in mean) or not all(
        0 < value < math.inf for value in deviation
    ):
        raise ValueError(f"--std must be above 0, and --mean finite, got {deviation} and {mean}")
    (red, green, blue), (of_red, of_green, of_blue) = mean, deviation
    return (red, green, blue), (of_red, of_green, of_blue)


def _background(given: str) -> MaskBackground:
    if given == "blur":
        return "blur"
    if given == "mean":
        return "mean"
    try:
        values = tuple(float(each) for each in given.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 <= value <= 1 for value in values):
        raise ValueError(
            "--background must be blur, mean, a value in [0, 1], or one for each channel as "
            f"1,0.5,0, got {given}"
        )
    return values if len(values) > 1 else values[0]


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise ValueError(f"--seed must lie in [0, 2^32), got {seed}")


def add_working_folder() -> None:
    """Let modules of the working folder be imported, as `python -m` does."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def _is_of_imagenet(model: str, weights: str | None) -> bool:
    return weights is None and not ONE_OF_ONES_OWN.fullmatch(model)


def _read_names(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--classes: {file} cannot be read: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise ValueError(f"--classes: {file} has no names")
    return names


def _chosen_methods(asked: Sequence[str] | None, every: bool) -> tuple[str, ...]:
    if every and asked:
        raise ValueError("--methods and --all-methods exclude each other")
    if every:
        return tuple(METHODS)
    if asked is None:
        return DEFAULT
    names = [name for each in asked for name in each.split(",") if name]
    plain = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in names]
    unknown = [name for name, each in zip(names, plain, strict=True) if each not in METHODS]
    if unknown:
        raise ValueError(
            "\n".join(f"--methods: no method {name!r}; {_hint(name)}" for name in unknown)
        )
    return tuple(dict.fromkeys(plain))


def _hint(name: str) -> str:
    if Path(name).exists():
        return "photographs come before --methods"
    near = difflib.get_close_matches(name.lower(), METHODS, n=3)
    return f"did you mean {' or '.join(near)}?" if near else "--list-methods lists them"


def _find_photographs(given: Sequence[Path]) -> list[Path]:
    if not given:
        raise ValueError("PHOTO is missing: name photographs or folders, before --methods")
    found: dict[Path, Path] = {}
    problems = []
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if _is_picture(file))
            if not inside:
                problems.append(f"no photographs in the folder {path} ({', '.join(PICTURES)})")
        elif path.is_file():
            inside = [path]
        else:
            inside = []
            problems.append(f"no such file or folder: {path}{_nearest_file(path)}")
        for file in inside:
            found.setdefault(file.resolve(), file)
    if problems:
        raise ValueError("\n".join(problems))
    return [*found.values()]


def _is_picture(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix.lower() in PICTURES


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    pictures = [file.name for file in path.parent.iterdir() if _is_picture(file)]
    near = difflib.get_close_matches(path.name, pictures, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
