"""State dicts from files of PyTorch and of safetensors, told apart by what is in them."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from fitb_jax import extras
from fitb_jax.models.weights.tensor_pickle import WeightsError
from fitb_jax.models.weights.torch_files import find_entry, read_torch

_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_HALF = (np.float16, ml_dtypes.bfloat16)


def read_weights(path: str | Path, *, entry: str | None = None) -> dict[str, np.ndarray]:
    """Read the state dict in a file of PyTorch or safetensors; its content says which of the two.

    Args:
        path: the file, such as `.pth`, `.pt`, `.bin` or `.safetensors`.
        entry: where the state dict is in a checkpoint of a training, or a prefix of its names, such
            as "ema"; see `read_torch`.

    Returns:
        Tensors by name; float16 and bfloat16 as float32.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it is damaged, or there is no state dict or no such entry in it.
        ImportError: it is a file of safetensors, and the package is not installed.
    """
    path = Path(path)
    with path.open("rb") as file:
        # The length of a JSON object, then the object.
        is_safetensors = file.read(9)[8:] == b"{"
    if is_safetensors:
        tensors = find_entry(_read_safetensors(path), entry or "")
    else:
        tensors = read_torch(path, entry=entry)
    return {
        name: values.astype(np.float32) if values.dtype in _HALF else values
        for name, values in tensors.items()
    }


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    with extras.needed("models.read_weights", extra="weights"):
        import safetensors
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path} is damaged: {error}") from error
    others = sorted({entry["dtype"] for _, entry in entries} - _DTYPES.keys())
    if others:
        raise WeightsError(
            f"{path} cannot be read: it has numbers of type {', '.join(others)}, "
            f"which is none of {', '.join(_DTYPES)}"
        )
    return {
        name: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in entries
    }
