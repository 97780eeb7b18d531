"""The default place of data sets: the folder that an environment variable names."""

import os
from pathlib import Path

VARIABLE = "FITB_JAX_DATA"
"""The variable. Its folder has one sub-folder, of the same name, for each data set or layout."""


def folder_of(name: str) -> Path | None:
    """The default folder of a data set, where no `data_dir` is given.

    Args:
        name: as in `data.load` or `data.photographs`, such as "mnist" or "voc2007".

    Returns:
        The sub-folder of that name in the folder FITB_JAX_DATA, whether it is there or not; None
        where the variable is not set.
    """
    parent = os.environ.get(VARIABLE)
    return Path(parent).expanduser() / name if parent else None
