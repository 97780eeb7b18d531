"""The command from checked arguments to written pages."""

import os
import platform
import sys
import time
import zlib
from pathlib import Path

import jax
import numpy as np
from PIL import Image as Pictures
from tqdm import tqdm

from fitb_jax import cropping, extras
from fitb_jax.command_line import explaining, folders, loading, page, wording
from fitb_jax.command_line.arguments import Options
from fitb_jax.command_line.methods import METHODS

with extras.needed("fitb-jax explain", extra="explain"):
    import platformdirs


def run(options: Options) -> int:
    """Explain every photograph, and write a page for each and one that lists them.

    Args:
        options: of the command.

    Returns:
        0, or 1 where a photograph or a method that was asked for could not be explained.

    Raises:
        WrongArgumentsError: there is no such classifier or class.
    """
    _keep_programs(options.cache)
    classifier = loading.load(options)
    target = loading.find_target(classifier, options.target)
    compiled = explaining.programs(classifier)
    left_out: dict[str, str] = {}
    is_whole, written = True, 0
    total = len(options.photographs) * len(options.methods)
    with tqdm(total=total, unit="map", disable=None, leave=False) as bar:
        try:
            for number, (file, folder) in enumerate(options.photographs, 1):
                try:
                    picture, found, facts = _explain(
                        options, classifier, target, compiled, left_out, file, bar
                    )
                    with folders.whole_or_not_at_all(folder) as part:
                        page.write(part, facts, classifier, picture, found)
                # The others go on: it cannot be read or explained, or the disk is full.
                except (OSError, ValueError, RuntimeError) as error:
                    is_whole = False
                    said = f"{_printable(file)}: left out: {_first_line(error)}"
                    bar.write(said, file=sys.stderr)
                    bar.update(number * len(options.methods) - bar.n)
                    continue
                written += 1
                is_whole &= not (options.named_methods and facts.left_out)
                bar.write(_report(classifier, file, folder, found))
        finally:
            if written:
                folders.write_whole(options.out / folders.PAGE, page.listing(options.out))
    return int(not is_whole)


def _explain(
    options: Options,
    classifier: loading.Classifier,
    target: int | None,
    compiled: explaining.Programs,
    left_out: dict[str, str],
    file: Path,
    bar: tqdm,
) -> tuple[Pictures.Image, explaining.Explanation, page.Facts]:
    picture = cropping.open_picture(file)
    image = classifier.see(picture)
    bar.set_description("compiling")
    _compile(options, classifier, compiled, left_out, bar)
    bar.set_description(_printable(file.name))
    begun = time.perf_counter()
    found = explaining.explain(
        classifier,
        compiled,
        image,
        target,
        # Its own, whatever else is explained in this run.
        key=jax.random.fold_in(jax.random.key(options.seed), zlib.crc32(image.tobytes())),
        done=bar.update,
    )
    seconds = time.perf_counter() - begun
    lost = {
        name: "its map is not finite"
        for name, result in found.methods.items()
        if not np.isfinite(result.shown.saliency).all()
    }
    for name, reason in lost.items():
        said = f"{_printable(file)}: {METHODS[name].title}: left out: {reason}"
        bar.write(said, file=sys.stderr)
    kept = {name: result for name, result in found.methods.items() if name not in lost}
    facts = page.Facts(
        photograph=_printable(file.name),
        model=options.model,
        command=_printable(options.command),
        seed=options.seed,
        seconds=seconds,
        left_out={METHODS[name].title: why for name, why in (left_out | lost).items()},
    )
    return picture, found._replace(methods=kept), facts


def _compile(
    options: Options,
    classifier: loading.Classifier,
    compiled: explaining.Programs,
    left_out: dict[str, str],
    bar: tqdm,
) -> None:
    for name in options.methods:
        if name in compiled.methods:
            continue
        if name not in left_out:
            bar.set_postfix_str(METHODS[name].title)
            if bar.disable:  # no terminal: silence for minutes looks like a stop
                print(f"loading or compiling {METHODS[name].title}", file=sys.stderr, flush=True)
            try:
                compiled.methods[name] = explaining.compile_method(name, classifier)
                continue
            # Such as an operation that has no derivative, or memory that is not there.
            except (TypeError, ValueError, RuntimeError) as error:
                left_out[name] = _first_line(error)
                bar.write(f"{METHODS[name].title}: left out: {left_out[name]}", file=sys.stderr)
        bar.update()
    bar.set_postfix_str("")


def _report(
    classifier: loading.Classifier, file: Path, folder: Path, found: explaining.Explanation
) -> str:
    explained = wording.class_with_score(classifier, found, found.target)
    lines = [f"{_printable(file)}: {explained}"]
    if (likeliest := int(np.argmax(found.p))) != found.target:
        seen = wording.class_with_score(classifier, found, likeliest)
        lines.append(f"{wording.name_of_likeliest(classifier)}: {seen}")
    lines += wording.verdicts(classifier, found)
    return "\n  ".join([*lines, _printable(folder / folders.PAGE)])


def _printable(name: str | os.PathLike[str]) -> str:
    """A name for pages and terminals, with question marks: a file's need not be UTF-8."""
    return os.fspath(name).encode("utf-8", "replace").decode("utf-8")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _keep_programs(keep: bool) -> None:
    """Compiled programs are found again by later runs, unless the user's settings say where."""
    if not keep:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if jax.config.values["jax_compilation_cache_dir"] is None:
        # By computer, as a home may be shared, and a program is for the CPU that it was made on.
        folder = platformdirs.user_cache_path("fitb_jax") / "compiled" / platform.node()
        jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
