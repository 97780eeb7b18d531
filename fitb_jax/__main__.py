"""`python -m fitb_jax`: the same as the command `fitb-jax`."""

import sys

from fitb_jax.command_line import main

if __name__ == "__main__":
    sys.exit(main())
