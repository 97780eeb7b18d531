"""`python -m benchmarks NAME`: run one benchmark and print its table."""

import argparse
import json
from pathlib import Path

import jax

from benchmarks import fill

BENCHMARKS = {"fill": fill.run}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=30, help="timings of each side")
    parser.add_argument("--batch", type=int, default=256, help="images per call")
    parser.add_argument("--output", type=Path, help="also write the numbers to this JSON file")
    arguments = parser.parse_args()
    rows = BENCHMARKS[arguments.name](rounds=arguments.rounds, batch=arguments.batch)
    device = jax.devices()[0]
    print(f"\ndevice: {device.device_kind} ({device.platform}), jax {jax.__version__}\n")
    print("| what | value | required |\n|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.value} | {row.required} |")
    if arguments.output:
        content = {"device": device.device_kind, "rows": [row._asdict() for row in rows]}
        arguments.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
