"""What an experiment declares: options, what is computed, and how it is shown."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import jax
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from fitb_jax import ablation, checks


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of every experiment.

    Attributes:
        results: folder that results are written to, one sub-folder per experiment.
        data_dir: folder with MNIST and Fashion-MNIST, as idx files or TFDS data sets.
        seed: of the network, the masks and every other random choice.
        smoke: a tiny run that only shows that everything works.
        full: the paper's scale.
        plot_only: redraw the figures from the results of the last run.
        progress: show progress bars.
        plan: print what the experiment's grids will do, and do nothing. No network is trained.
        strict: stop at the first point of a grid that fails or is not finite.
        photographs: layout of the photographs, see `data.photographs`.
        photo_dir: their folder; "skimage" needs none.
    """

    results: Path = Path("results")
    data_dir: Path | None = None
    seed: int = 0
    smoke: bool = False
    full: bool = False
    plot_only: bool = False
    progress: bool = True
    plan: bool = False
    strict: bool = False
    photographs: str = "skimage"
    photo_dir: Path | None = None

    ZERO_ALLOWED: ClassVar[frozenset[str]] = frozenset({"seed"})
    """Of the whole numbers among the options that a class adds; the others are at least 1."""

    ONLY_SHOWN: ClassVar[frozenset[str]] = frozenset()
    """Options that no point of a grid depends on: another value computes no point anew."""

    def __post_init__(self) -> None:
        """Refuse whole numbers that are too small, before anything is read or compiled."""
        parts = (vars(part).get("ZERO_ALLOWED", frozenset()) for part in type(self).__mro__)
        zero_allowed = frozenset().union(*parts)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and not isinstance(number, bool):
                    least = 0 if field.name in zero_allowed else 1
                    checks.check_count(field.name, number, least=least)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """A function of one point, and the grid that it is evaluated at.

    It is run, continued, planned and saved by the core; see `fitb_jax.ablation`.

    Attributes:
        point: the function, called with the axes, what is shared, and `key`.
        axes: by name.
        fields: what a point returns.
        key: of the run.
        key_axes: axes that a point's key depends on; None means all.
        shared: what no axis varies.
        about: variables of the result that are known before it is run, such as the class of each
            image: (dimensions, values) by name.
        name: follows the experiment's in that of the store, where an experiment has several.
        chunk: points evaluated at once.
        block: points that are lost at most when it is stopped; None means `ablation.run`'s.
        lanes: points vectorised together; None means all of a chunk.
        options: those that the store is found again by, where they are not the experiment's.
    """

    point: Callable[..., Any]
    axes: Mapping[str, ablation.Axis]
    fields: Mapping[str, ablation.Field]
    key: jax.Array
    key_axes: Sequence[str] | None = None
    shared: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    about: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    name: str = ""
    chunk: int | None = None
    block: int | None = None
    lanes: int | None = None
    options: Options | None = None

    def arguments(self) -> dict[str, Any]:
        """Those of `ablation.run` and `ablation.plan` besides the function and the axes."""
        sizes = {name: getattr(self, name) for name in ("chunk", "block", "lanes")}
        return {
            "key": self.key,
            "key_axes": self.key_axes,
            "shared": dict(self.shared),
            "fields": dict(self.fields),
            **{name: size for name, size in sizes.items() if size is not None},
        }


def method_sweep(
    point: Callable[..., Any],
    methods: Mapping[str, Any],
    images: Mapping[str, Any],
    names: Sequence[str],
    *,
    seed: int,
    fields: Mapping[str, ablation.Field],
    shared: Mapping[str, Any],
    chunk: int = 1,
    chunks_a_block: int = 1,
    **more: Any,
) -> Sweep:
    """Every method on every photograph; all methods have the same random keys."""
    return Sweep(
        point=point,
        axes={
            "method": ablation.static([*methods.values()], labels=[*methods]),
            "image": ablation.vmapped(dict(images), labels=names),
        },
        fields=fields,
        key=jax.random.key(seed),
        key_axes=("image",),
        shared=shared,
        chunk=chunk,
        block=chunks_a_block * chunk,
        # The masks and pixels of one photograph fill the cores.
        lanes=1,
        **more,
    )


Tables = dict[str, pd.DataFrame]


def only_swept(config: Any, net: Any, *swept: xr.Dataset) -> xr.Dataset:
    """What is saved where nothing is computed besides one sweep."""
    del config, net
    return swept[0]


def unless_asked(reason: str) -> Callable[[Any], str | None]:
    """For `Experiment.left_out`: `reproduce` leaves out all but tiny and full runs."""
    return lambda config: None if config.smoke or config.full else reason


def unless_given(reason: str) -> Callable[[Any], str | None]:
    """For `Experiment.left_out`: `reproduce` leaves out runs on the default photographs."""
    return lambda config: None if config.smoke or config.photographs != "skimage" else reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """One figure or table; what it shows, its command and its time are in its module's docstring.

    Attributes:
        config: dataclass of its options.
        load: from the options to networks and data; cheap where `config.plan` is set.
        sweep: from the options and what was loaded to the grids that are run; they may be made one
            after the other.
        compute: from the options, what was loaded and the results of the sweeps to all that is
            saved, with labels.
        tables: from the options and what was saved to tables by name; cells are intervals, numbers
            or text.
        draw: from the options and what was saved to figures by name.
        caption: what the figures show, and the one or two numbers that matter.
        numbers: from the options and what was saved to named results besides the tables.
        animate: from the options and what was saved to frames (n, h, w, 3) by name, for a GIF each.
        left_out: from the options to why `reproduce` must leave it out, or None.
        smoke: options that `--smoke` changes.
        full: options that `--full` changes.
    """

    config: type[Any]
    load: Callable[[Any], Any] = lambda config: None
    sweep: Callable[[Any, Any], Sweep | Iterable[Sweep]] = lambda config, net: ()
    compute: Callable[..., xr.Dataset] = only_swept
    tables: Callable[[Any, xr.Dataset], Tables] = lambda config, found: {}
    draw: Callable[[Any, xr.Dataset], dict[str, Figure]]
    caption: Callable[[Any, xr.Dataset], str]
    numbers: Callable[[Any, xr.Dataset], dict[str, Any]] = lambda config, found: {}
    animate: Callable[[Any, xr.Dataset], dict[str, np.ndarray]] = lambda config, found: {}
    left_out: Callable[[Any], str | None] = lambda config: None
    smoke: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    full: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, module: ModuleType) -> "Experiment":
        """What a module declares by these names; `Config`, `SMOKE` and `FULL` as here."""
        names = {"config": "Config", "smoke": "SMOKE", "full": "FULL"}
        fields = [field.name for field in dataclasses.fields(cls)]
        declared = {name: vars(module).get(names.get(name, name)) for name in fields}
        return cls(**{name: value for name, value in declared.items() if value is not None})

    def default(self, *, smoke: bool = False, full: bool = False) -> Any:
        """The options before any is given on the command line."""
        if smoke and full:
            raise ValueError("--smoke and --full exclude each other")
        changes = self.smoke if smoke else self.full if full else {}
        return dataclasses.replace(self.config(), **changes)

    def sweeps(self, config: Any, net: Any) -> Iterable[Sweep]:
        """Its grids, as many as there are."""
        found = self.sweep(config, net)
        return (found,) if isinstance(found, Sweep) else found
