"""Where TFDS keeps data sets, found without importing TFDS."""

import json
import os
from pathlib import Path

FILE_FORMAT = "array_record"
"""The format of TFDS with random access, which needs no TensorFlow to be read or written."""


def default_data_dir() -> Path:
    """Directory in which TFDS keeps data sets when told nothing else.

    Returns:
        The environment variable TFDS_DATA_DIR if set, else `~/tensorflow_datasets`.
    """
    return Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def prepared_versions(data_dir: Path, name: str) -> dict[str, str]:
    """Versions in which a data set without configs is prepared.

    Args:
        data_dir: TFDS directory; may be absent.
        name: of the data set.

    Returns:
        Version -> file format, newest version first, for example {"3.0.1": "array_record"}.
    """
    infos = (data_dir / name).glob("*.*.*/dataset_info.json")
    formats = {info.parent.name: _file_format(info) for info in infos if _version(info.parent)}
    newest_first = sorted(formats, key=lambda version: _version(Path(version)), reverse=True)
    return {version: formats[version] for version in newest_first}


def _version(folder: Path) -> tuple[int, ...]:
    numbers = folder.name.split(".")
    # What TFDS has not finished is in folders named incomplete.XXXXXX_3.0.1.
    return tuple(map(int, numbers)) if all(map(str.isdecimal, numbers)) else ()


def _file_format(info: Path) -> str:
    try:
        # Data sets from before TFDS had a choice name no format.
        return str(json.loads(info.read_bytes()).get("fileFormat", "tfrecord"))
    except (ValueError, AttributeError, RecursionError):
        return f"unknown ({info} is damaged)"
