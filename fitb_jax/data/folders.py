"""Where data sets are when nobody says where: in the folder that one environment variable names."""

import os
from pathlib import Path

VARIABLE = "FITB_JAX_DATA"
"""Names a folder with one sub-folder for each data set or layout of photographs, called like it."""


def folder_of(name: str) -> Path | None:
    """The folder of a data set, for whoever gives no `data_dir`.

    Args:
        name: as in `data.load` or `data.photographs`, such as "mnist" or "voc2007".

    Returns:
        The sub-folder of that name in the folder FITB_JAX_DATA, whether it is there or not; None
        where the variable is not set.
    """
    parent = os.environ.get(VARIABLE)
    return Path(parent).expanduser() / name if parent else None
