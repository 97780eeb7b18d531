"""Files of weights from the Hugging Face hub, by its own client."""

from collections.abc import Callable
from pathlib import Path

from fitb_jax import extras

PREFIX = "hf://"
_USUAL = ("model.safetensors", "pytorch_model.bin")


def fetch(reference: str) -> Path:
    """Fetch a file of the hub, from the client's cache or the network.

    Args:
        reference: "hf://OWNER/REPOSITORY/FILE", or "hf://OWNER/REPOSITORY" for its
            `model.safetensors` or else its `pytorch_model.bin`.

    Returns:
        The path of the file on this machine.

    Raises:
        ImportError: the client is not installed.
        ValueError: `reference` is no such name.
        FileNotFoundError: the repository has no such file.
        OSError: there is no network, no such repository, or no permission.
    """
    owner, _, rest = reference.removeprefix(PREFIX).partition("/")
    repository, _, file = rest.partition("/")
    if not reference.startswith(PREFIX) or not owner or not repository:
        raise ValueError(
            f"weights must be hf://OWNER/REPOSITORY or hf://OWNER/REPOSITORY/FILE, got {reference}"
        )
    with extras.needed(f'models.load(weights="{reference}")', extra="hub"):
        import huggingface_hub
        from huggingface_hub import errors
    download: Callable[..., str] = huggingface_hub.hf_hub_download
    wanted = (file,) if file else _USUAL
    for name in wanted:
        try:
            return Path(download(f"{owner}/{repository}", name))
        except errors.LocalEntryNotFoundError as error:
            raise OSError(
                f"{reference} cannot be fetched: {owner}/{repository} is not in the cache, and the "
                f"hub is out of reach: {error}"
            ) from error
        except errors.EntryNotFoundError:
            continue
        except OSError as error:
            raise OSError(f"{reference} cannot be fetched: {error}") from error
    raise FileNotFoundError(f"{owner}/{repository} on the hub has no {' and no '.join(wanted)}")
