"""Photographs read when they are asked for, so that a data set may be larger than memory."""

import dataclasses
import logging
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, SupportsIndex, overload

import grain
import numpy as np
from jaxtyping import Bool, Integer

from fitb_jax import checks
from fitb_jax.data.corrupt import CorruptFileError
from fitb_jax.data.photos.photograph import Annotated, Objects, Photograph, to_square

OnCorrupt = Literal["raise", "skip"]

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A data set on disk, opened: which photographs there are, and how to read one of them.

    Attributes:
        names: of the photographs, all different.
        class_names: one name for each class; empty without classes.
        source: where the photographs are, as a sentence for people.
        read: reads the photograph at an index.
        read_objects: reads the labels of the photograph at an index without opening the picture,
            and its boxes where the layout keeps them apart from the picture.
    """

    names: Sequence[str]
    class_names: tuple[str, ...]
    source: str
    read: Callable[[int], Annotated]
    read_objects: Callable[[int], Objects]


@dataclasses.dataclass(frozen=True)
class Photographs:
    """A sequence of photographs in a fixed order, each read anew when it is asked for.

    `photographs[i]` reads one, and raises for a corrupt file whatever `on_corrupt` is.
    `photographs[a:b]` and `subset` read nothing. Iteration reads ahead in threads.

    Attributes:
        layout: the data set on disk.
        indices: of its photographs that are in the sequence, in this order.
        size: side of the square in pixels.
        fraction: side of the crop over the shorter side of the file.
        on_corrupt: whether iteration raises for a corrupt file ("raise"), or logs a warning with
            its name and what is wrong, and goes on ("skip").
        prefetch: largest number of photographs that are read ahead of the one in use.
        threads: number of threads that read ahead.
    """

    layout: Layout
    indices: Sequence[int]
    size: int
    fraction: float
    on_corrupt: OnCorrupt
    prefetch: int
    threads: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class; empty without classes."""
        return self.layout.class_names

    @property
    def source(self) -> str:
        """Where the photographs are, as a sentence for people."""
        return self.layout.source

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the photographs, in their order."""
        return tuple(self.layout.names[index] for index in self.indices)

    def __len__(self) -> int:
        """Number of photographs, corrupt ones included."""
        return len(self.indices)

    @overload
    def __getitem__(self, at: SupportsIndex) -> Photograph: ...

    @overload
    def __getitem__(self, at: slice) -> "Photographs": ...

    def __getitem__(self, at: SupportsIndex | slice) -> "Photograph | Photographs":
        """The photograph at an integer, or the `Photographs` of a slice.

        Args:
            at: an integer in [-len, len), or a slice.

        Returns:
            A `Photograph` or `Photographs`.

        Raises:
            TypeError: neither an integer nor a slice; `subset` takes several and booleans.
            IndexError: there is no such photograph.
            CorruptFileError: the file or its annotation is damaged.
        """
        if isinstance(at, slice):
            return dataclasses.replace(self, indices=self.indices[at])
        if isinstance(at, bool):
            raise TypeError("index must be an integer or a slice, got a bool; see data.subset")
        position = operator.index(at)
        if not -len(self) <= position < len(self):
            raise IndexError(f"index must lie in [{-len(self)}, {len(self)}), got {position}")
        index = self.indices[position]
        annotated = self.layout.read(index)
        name = self.layout.names[index]
        return to_square(annotated, name, size=self.size, fraction=self.fraction)

    def __iter__(self) -> Iterator[Photograph]:
        """All of them in order, read ahead by at most `prefetch`."""
        options = grain.ReadOptions(
            num_threads=min(self.threads, self.prefetch), prefetch_buffer_size=self.prefetch
        )
        positions = grain.MapDataset.range(len(self))
        # Grain leaves out what is None.
        stream = iter(positions.map(self._read_or_skip).to_iter_dataset(options))
        count = 0
        try:
            for photograph in stream:
                count += 1
                yield photograph
        finally:
            stream.close()
        if len(self) and not count:
            raise ValueError(f"all {len(self)} photographs of {self.source} are corrupt")

    def _read_or_skip(self, position: int) -> Photograph | None:
        try:
            return self[position]
        except CorruptFileError as error:
            if self.on_corrupt == "raise":
                raise
            _logger.warning("skipped %s", error)
            return None


def subset(
    photographs: Photographs,
    positions: Sequence[int] | Integer[np.ndarray, " n"] | Bool[np.ndarray, " n"],
) -> Photographs:
    """Some of the photographs, in the order given.

    Args:
        photographs: the whole.
        positions: integers in [-len, len), or one boolean for each photograph.

    Returns:
        The photographs at these positions, or those that are True. Nothing is read.

    Raises:
        TypeError: neither integers nor booleans.
        ValueError: not as many booleans as photographs.
        IndexError: there is no such photograph.
    """
    count = len(photographs)
    places = _places(positions, count)
    for place in places:
        if not -count <= place < count:
            raise IndexError(f"positions must lie in [{-count}, {count}), got {place}")
    return dataclasses.replace(
        photographs, indices=tuple(photographs.indices[place] for place in places)
    )


def _places(positions: Any, count: int) -> list[int]:
    each = np.asarray(positions).dtype.kind if hasattr(positions, "dtype") else ""
    kinds = {each} if each else {np.asarray(position).dtype.kind for position in positions}
    if not (kinds <= {"i", "u"} or kinds == {"b"}) or any(map(np.ndim, positions)):
        types = sorted({type(position).__name__ for position in positions})
        raise TypeError(
            f"positions must be integers, or one boolean for each of the {count} photographs, "
            f"got {', '.join(types)}"
        )
    if kinds != {"b"}:
        return [int(position) for position in positions]
    if len(positions) != count:
        raise ValueError(
            f"positions must be integers, or one boolean for each of the {count} photographs, "
            f"got {len(positions)} booleans"
        )
    return [place for place, is_wanted in enumerate(positions) if is_wanted]


def with_label(photographs: Photographs, label: int) -> Photographs:
    """The photographs with one class, found without opening a picture.

    Args:
        photographs: the whole.
        label: the class.

    Returns:
        Those that show the class somewhere, also outside of the crop. With `on_corrupt="skip"`, a
        corrupt annotation is left out with a warning.

    Raises:
        ValueError: there is no such class.
        CorruptFileError: an annotation is damaged, unless it is to be skipped.
    """
    checks.check_target(np.asarray(label), len(photographs.class_names), name="label")
    chosen = []
    for index in photographs.indices:
        try:
            labels = photographs.layout.read_objects(index).labels
        except CorruptFileError as error:
            if photographs.on_corrupt == "raise":
                raise
            _logger.warning("skipped %s", error)
            continue
        if label in labels:
            chosen.append(index)
    return dataclasses.replace(photographs, indices=tuple(chosen))
