"""`python -m benchmarks NAME`: run one benchmark and print its table."""

from collections.abc import Callable

import jax
import tyro

from benchmarks import ablation, attribution, fill, first, inr, models, roar
from benchmarks.timing import Row

BENCHMARKS: dict[str, Callable[..., list[Row]]] = {
    "attribution": attribution.run,
    "first": first.run,
    "fill": fill.run,
    "ablation": ablation.run,
    "models": models.run,
    "inr": inr.run,
    "roar": roar.run,
}


def main() -> None:
    """Run the command line."""
    rows: list[Row] = tyro.extras.subcommand_cli_from_dict(
        BENCHMARKS, prog="python -m benchmarks", description=__doc__
    )
    device = jax.devices()[0]
    print(f"\ndevice: {device.device_kind} ({device.platform}), jax {jax.__version__}\n")
    print("| what | measured | wanted |\n|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.value} | {row.required} |")


if __name__ == "__main__":
    main()
