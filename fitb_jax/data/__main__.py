"""Command line: `python -m fitb_jax.data prepare mnist --from DIR [--data-dir OUT]`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from fitb_jax import extras
from fitb_jax.data.digits.preparation import prepare

with extras.needed("python -m fitb_jax.data", extra="tfds"):
    import tyro


def prepare_command(
    name: Annotated[Literal["mnist", "fashion_mnist"], tyro.conf.Positional],
    source_dir: Annotated[Path, tyro.conf.arg(name="from")],
    data_dir: Path | None = None,
) -> None:
    """Write idx files as the TFDS data set that `tfds.data_source(NAME)` reads.

    Args:
        name: data set to write.
        source_dir: folder with the four idx files, plain or gzipped.
        data_dir: TFDS directory to write to (default: TFDS_DATA_DIR, or ~/tensorflow_datasets).
    """
    try:
        prepared = prepare(name, source_dir, data_dir)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"error: {error}")
    if prepared.is_new:
        print(f"wrote {prepared.path}")
    else:
        print(f"{prepared.path} is already a complete data set; left as it is")


def main(args: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: arguments after the program name; default: those of the process.
    """
    tyro.extras.subcommand_cli_from_dict(
        {"prepare": prepare_command},
        prog="python -m fitb_jax.data",
        description="Prepare data sets.",
        args=args,
    )


if __name__ == "__main__":
    main()
