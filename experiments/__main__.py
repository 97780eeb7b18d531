"""`python -m experiments`: list the experiments, run one, or run all."""

import logging
import sys

import tyro
from tqdm.contrib.logging import logging_redirect_tqdm

from experiments.experiment import Experiment, Options, run
from experiments.registry import EXPERIMENTS
from experiments.reproduce import Config as ReproduceConfig
from experiments.reproduce import reproduce


def main(arguments: list[str]) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name.

    Returns:
        The exit status.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    for noisy in ("absl", "jax", "orbax"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0
    name, *rest = arguments
    try:
        with logging_redirect_tqdm():
            _dispatch(name, rest)
    except KeyboardInterrupt:
        print(
            "stopped; finished experiments, networks and blocks of grids are kept", file=sys.stderr
        )
        return 130
    except (ImportError, ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def overview() -> str:
    """The experiments with what they regenerate, what they need and about how long they take."""
    header = ("name", "regenerates", "shows", "needs", "2 cores")
    rows = [(e.name, e.regenerates, e.title, e.needs, e.duration) for e in EXPERIMENTS.values()]
    rows.append(("reproduce", "all", "everything, and results/index.html", "nothing", "15 min"))
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    usage = "\npython -m experiments NAME --help   options; --smoke tiny, --full the paper's scale"
    return "\n".join([*lines, usage])


def _dispatch(name: str, arguments: list[str]) -> None:
    if name == "reproduce":
        options = tyro.cli(ReproduceConfig, args=arguments, prog="python -m experiments reproduce")
        reproduce(options)
        return
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment must be one of {[*EXPERIMENTS, 'reproduce']}, got {name!r}")
    experiment = EXPERIMENTS[name]
    command = " ".join(["python -m experiments", name, *arguments])
    run(experiment, _options(experiment, arguments), command=command)


def _options(experiment: Experiment, arguments: list[str]) -> Options:
    """Options given on the command line over those of the preset asked for."""
    default = experiment.default(smoke="--smoke" in arguments, full="--full" in arguments)
    return tyro.cli(
        experiment.config,
        args=arguments,
        default=default,
        prog=f"python -m experiments {experiment.name}",
        description=experiment.title,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
