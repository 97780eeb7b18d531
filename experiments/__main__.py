"""`python -m experiments`: list the experiments, run one, or run all."""

import importlib
import logging
import shlex
import sys
from typing import Any

from experiments.core.discovery import CHAPTERS, experiments, load

COMMANDS = {
    "reproduce": "every figure and table that takes minutes at most, and results/index.html",
    "publish": "keep the results of finished runs with the documentation",
    "index": "write experiments/README.md anew",
}
"""Besides the experiments: a module of `core` each, with a `Config` and a `run`."""

RENAMED = {"photo_scoreboard": "scoreboard --source photographs"}

GONE = {"--image": "fitb-jax explain PHOTO"}
"""Options, with what is typed instead."""


def main(arguments: list[str]) -> int:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    for noisy in ("absl", "jax", "orbax"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0
    name, *rest = arguments
    try:
        _dispatch(name, rest)
    except KeyboardInterrupt:
        print(
            "stopped; the same command goes on from the blocks and networks that are done",
            file=sys.stderr,
        )
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def overview() -> str:
    """The experiments by chapter, with what they regenerate and about how long they take."""
    every = experiments()
    rows = [(one.name, one.regenerates, one.title, one.duration) for one in every.values()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for chapter, title in CHAPTERS.items():
        lines += ["", f"{title} ({chapter}/)"]
        for one, row in zip(every.values(), rows, strict=True):
            if one.chapter == chapter:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                lines.append(f"  {'  '.join(cells)}".rstrip())
    lines += [
        "",
        "All of them",
        *(f"  {name.ljust(widths[0])}  {COMMANDS[name]}" for name in COMMANDS),
    ]
    usage = "python -m experiments NAME --help   options; --smoke tiny, --full the paper's scale"
    return "\n".join([*lines[1:], "", f"Times are on 2 cores. {usage}"])


def _dispatch(name: str, arguments: list[str]) -> None:
    from tqdm.contrib.logging import logging_redirect_tqdm  # the list is there without it

    every = experiments()
    if name in COMMANDS:
        module = importlib.import_module(f"experiments.core.{name}")
        options = _parsed(module.Config, arguments, name)
        with logging_redirect_tqdm():
            module.run(options)
        return
    if name in RENAMED:
        raise ValueError(f"{name} is called {RENAMED[name]!r} since version 0.2.0")
    if name not in every:
        raise ValueError(f"experiment must be one of {[*every, *COMMANDS]}, got {name!r}")
    for option in [given.partition("=")[0] for given in arguments]:
        if option in GONE:
            raise ValueError(f"{name} has no {option} since version 0.2.0; use {GONE[option]!r}")
    experiment = load(every[name])
    default = experiment.default(smoke="--smoke" in arguments, full="--full" in arguments)
    options = _parsed(experiment.config, arguments, name, default=default)
    command = shlex.join(["python", "-m", "experiments", name, *arguments])
    from experiments.core.running import run  # `--help` has been answered without it

    with logging_redirect_tqdm():
        run(every[name], experiment, options, command=command)


def _parsed(config: type[Any], arguments: list[str], name: str, default: Any = None) -> Any:
    """Options given on the command line over those of the preset asked for."""
    import tyro

    prog = f"python -m experiments {name}"
    return tyro.cli(config, args=arguments, prog=prog, default=default or config())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
