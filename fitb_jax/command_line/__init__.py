"""The command `fitb-jax`: explanations for people who do not write code."""

import os
import sys
from collections.abc import Sequence

from fitb_jax.command_line import arguments as _arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: after the name of the program; by default those of the process.

    Returns:
        The exit status: 0, or 1 where something could not be explained, 2 for wrong arguments, 130
        for Ctrl-C.
    """
    try:
        options = _arguments.parse(sys.argv[1:] if arguments is None else arguments)
        # XLA takes hints of its own for features that the CPU lacks: a screenful for each program
        # that was kept.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # JAX and all that needs it, seconds to import: after the arguments have been checked.
        from fitb_jax.command_line.running import run

        return run(options)
    except _arguments.WrongArgumentsError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; photographs that were finished are kept", file=sys.stderr)
        return 130
