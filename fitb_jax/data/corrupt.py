"""The error that all readers raise for a damaged file."""

from pathlib import Path

_LONGEST = 300
"""Characters of what was found: a file may hold anything instead of a name or a number."""


class CorruptFileError(ValueError):
    """A data file does not hold what its name or its header says."""

    def __init__(self, path: Path, *, found: str, expected: str) -> None:
        """Name the file and the contradiction.

        Args:
            path: the file.
            found: what is in it.
            expected: what should be.
        """
        shown = found if len(found) <= _LONGEST else f"{found[:_LONGEST]} ..."
        super().__init__(f"{path}: found {shown}; expected {expected}")
