"""PyTorch modules as pure functions: torchax carries out their operations with JAX.

`torchax.extract_jax` does the same for whole modules. But it gives no layers, computes parametrised
weights only once, and refuses tensors that a module makes as it runs.
"""

import collections
import contextlib
import copy
import functools
import importlib.metadata
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import checks, extras
from fitb_jax.types import Array, Image, Logits

ChannelValues: TypeAlias = float | Sequence[float]
"""A number, or one value per channel."""

_MOST_PREFIX_TOKENS = 8
"""Class, distillation and register tokens: no known transformer has more before its patches."""

_COUNT = "num_batches_tracked"


def from_torch(
    model: Any, *, mean: ChannelValues | None = None, std: ChannelValues | None = None
) -> tuple["TorchNetwork", dict[str, Any]] | None:
    """A PyTorch module in evaluation mode; the one given is left as it is.

    Args:
        model: anything.
        mean: subtracted from the image before the first layer. Where `mean` and `std` are None,
            those of timm's `pretrained_cfg` are taken, or none where there is no such attribute.
        std: divides the difference; given with `mean`.

    Returns:
        A function `(tensors, image) -> logits`, and copies of its parameters, buffers and other
        tensors, nested as its parts are; None if it is no PyTorch module.

    Raises:
        ImportError: torchax is not installed, or is not for this version of PyTorch.
        TypeError: a scripted module.
        ValueError: a module without weights yet; a mean without a standard deviation, or numbers
            that cannot be one.
    """
    # Not imported: a module of it cannot exist before the caller has done so.
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return None
    module = _unwrapped(torch, model)
    normalisation = _normalisation(module, mean, std)
    torchax = _import_torchax(torch)
    tensors = _tensors(torch, module)
    if any(tensor.is_meta or torch.nn.parameter.is_lazy(tensor) for tensor in tensors.values()):
        raise ValueError(
            "model is a PyTorch module without weights yet (on the device meta, or lazy): load "
            "them, or call it on a batch first"
        )
    # Evaluation does not use counts of batches, which tell apart what is trained for longer.
    used = {name: value for name, value in tensors.items() if not name.endswith(_COUNT)}
    # Arrays may share the memory of what they are made of, which goes on being trained.
    arrays = jax.tree.map(jnp.array, torchax.default_env().t2j_copy(used))
    without_values = {id(tensor): _without_values(torch, tensor) for tensor in tensors.values()}
    evaluated = copy.deepcopy(module, without_values).eval()
    network = TorchNetwork(evaluated, _structure(torch, evaluated, {}), *normalisation)
    return network, _nested(arrays)


@dataclass(frozen=True, eq=False, repr=False)
class TorchNetwork:
    """A PyTorch module without its tensors, for `jax.jit` to recognise: equal modules are equal.

    Attributes:
        module: in evaluation mode, its tensors without values.
        structure: what is compared for equality.
        mean: subtracted from the image: no value, one, or one for each channel.
        std: divides the difference; as many values.
    """

    module: Any
    structure: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def name(self) -> str:
        """The class of the module."""
        return type(self.module).__name__

    def __call__(self, tensors: Any, image: Image) -> Logits:
        """Logits of one image.

        Args:
            tensors: nested as the parts of the module.
            image: (h, w, c) in [0, 1].

        Returns:
            The logits, (k,).
        """
        return self._run(tensors, image, contextlib.nullcontext())

    def features(
        self, tensors: Any, image: Image, perturbations: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """What each part returns, by its name in `named_modules()`.

        A part that is called several times has a layer for each call, `NAME:1`, `NAME:2` and so on.
        Channels are last, and tokens of an image lie on their grid (class tokens are left out).

        Args:
            tensors: as in the call.
            image: (h, w, c) in [0, 1].
            perturbations: by the name of a layer, what is added to it.

        Returns:
            The layers in the order in which they are computed, and the logits.

        Raises:
            ValueError: a perturbation whose name is not that of a layer.
        """
        watch = _Watch(image.shape, perturbations or {})
        logits = self._run(tensors, image, watch.on(self.module))
        layers = watch.layers()
        if unknown := sorted(set(perturbations or {}) - {*layers, "logits"}):
            raise ValueError(
                f"perturbations must name layers of {self.name}, got "
                f"{', '.join(unknown[:3])}: a part that is called twice has NAME:1 and NAME:2"
            )
        added = (perturbations or {}).get("logits", jnp.zeros((), logits.dtype))
        return {**layers, "logits": logits + jnp.broadcast_to(added, logits.shape)}

    def _run(self, tensors: Any, image: Image, context: Any) -> Logits:
        torch, torchax = sys.modules["torch"], sys.modules["torchax"]
        named = _flat(tensors)
        pixels = self._normalised(jnp.asarray(image)).transpose(2, 0, 1)[None]
        first = next((name for name, _ in self.module.named_parameters() if name in named), None)
        dtype = named[first].dtype if first else pixels.dtype

        def call(named: Any, images: Any) -> Any:
            # What the module itself makes, such as positions, is to be of the same kind.
            with torch.device("jax"), context:
                output = torch.func.functional_call(self.module, named, (images,))
            return _logits_of(torch, self.module, output)

        # Random numbers would be drawn from a state that is shared with the caller's program.
        with torchax.default_env().override_property(prng=jax.random.key(0)):
            try:
                logits = torchax.interop.call_torch(call, named, pixels.astype(dtype))
            except AssertionError as error:
                if "mixed math" not in str(error):
                    raise
                raise TypeError(
                    f"{self.name} uses tensors that are neither its parameters "
                    "nor its buffers nor attributes, such as those in a list: use register_buffer"
                ) from error
        return checks.check_outputs(logits[0].astype(pixels.dtype), name="model")

    def _normalised(self, image: Image) -> Image:
        if not self.mean:
            return image
        if len(self.mean) not in (1, image.shape[2]):
            raise ValueError(
                f"mean and std must be numbers or have one value for each of {image.shape[2]} "
                f"channels of the image, got {len(self.mean)}"
            )
        mean, std = (jnp.asarray(each, image.dtype)[None, None] for each in (self.mean, self.std))
        return (image - mean) / std

    def __eq__(self, other: object) -> bool:
        """Whether both do the same with the same tensors; False where that cannot be told."""
        if self is other or not isinstance(other, TorchNetwork):
            return self is other
        same_numbers = (self.mean, self.std) == (other.mean, other.std)
        return same_numbers and self.structure == other.structure

    def __hash__(self) -> int:
        """Of what equal ones share."""
        return hash((type(self.module), self.mean, self.std))


class _Watch:
    """What the parts of a module return, noted and perturbed while it runs."""

    def __init__(self, shape: tuple[int, ...], perturbations: Mapping[str, Array]) -> None:
        self._shape = shape
        self._perturbations = perturbations
        self._calls: dict[str, list[int]] = collections.defaultdict(list)
        self._found: list[Array] = []

    @contextlib.contextmanager
    def on(self, module: Any) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for name, part in module.named_modules():
                if name:
                    handle = part.register_forward_hook(functools.partial(self._note, name))
                    stack.callback(handle.remove)
            yield

    def layers(self) -> dict[str, Array]:
        names = [""] * len(self._found)
        for name, places in self._calls.items():
            for call, place in enumerate(places, 1):
                names[place] = f"{name}:{call}" if len(places) > 1 else name
        return dict(zip(names, self._found, strict=True))

    def _note(self, name: str, part: Any, inputs: Any, output: Any) -> Any:
        view: Any = sys.modules["torchax"].interop
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, sys.modules["torch"].Tensor):
            return None
        # An array, as what follows may change the tensor in its place.
        values = view.jax_view(first)
        if values.ndim < 2 or len(values) != 1 or not _is_floating(values):
            return None
        calls = self._calls[name]
        calls.append(len(self._found))
        to_layer = layer_view(values.shape[1:], self._shape)
        layer = to_layer(values)
        self._found.append(layer)
        names = (f"{name}:{len(calls)}", *([name] if len(calls) == 1 else []))
        added = next((self._perturbations[n] for n in names if n in self._perturbations), None)
        if added is None:
            return None
        added = jnp.broadcast_to(added, layer.shape).astype(layer.dtype)
        self._found[-1] = layer + added
        (laid_back,) = jax.linear_transpose(to_layer, values)(added)
        perturbed = view.torch_view(values + laid_back)
        return (perturbed, *output[1:]) if isinstance(output, tuple) else perturbed


def layer_view(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Make the function that turns the output of a part of a module into a layer, channels last.

    PyTorch does not say which axes are spatial. They are guessed from the proportions of the image.

    Args:
        shape: of the output for one image, without the batch axis.
        image_shape: (h, w, c).

    Returns:
        A linear function: channels come last, and tokens that make a grid of the image's
        proportions lie on it, without those before them.
    """
    height, width, _ = image_shape

    def skew(rows: int, columns: int) -> float:
        return abs(math.log(rows * width / (columns * height)))

    if len(shape) == 3 and 0 not in shape:
        channels_are_last = skew(*shape[:2]) < skew(*shape[1:])
        return lambda values: values[0] if channels_are_last else values[0].transpose(1, 2, 0)
    are_tokens = len(shape) == 2 and shape[1] > 1
    for prefix in range(min(_MOST_PREFIX_TOKENS + 1, shape[0]) if are_tokens else 0):
        count = shape[0] - prefix
        rows = math.isqrt(count * height // width)
        columns = count // max(rows, 1)
        if min(rows, columns) > 1 and rows * columns == count and rows * width == columns * height:
            grid = (rows, columns, shape[1])
            return lambda values: values[0, prefix:].reshape(grid)
    return lambda values: values[0]


def _logits_of(torch: Any, module: Any, output: Any) -> Any:
    """The logits (1, k) in what a module returned; image classifiers of transformers name them."""
    logits = getattr(output, "logits", output)
    if isinstance(logits, torch.Tensor) and logits.ndim == 2:
        return logits
    name = type(module).__name__
    if isinstance(logits, torch.Tensor):
        raise ValueError(
            f"model must return logits (n, k) for n images, and {name} returned "
            f"{tuple(logits.shape)} for one"
        )
    keys = [*output] if isinstance(output, Mapping) else []
    size = f" of {len(output)}" if isinstance(output, tuple | list) else ""
    holds = f" of {', '.join(map(repr, keys))}"[:200] if keys else size
    raise TypeError(
        f"model must return logits (n, k), and {name} returned a {type(output).__name__}"
        f"{holds}: wrap it in a torch.nn.Module that takes them "
        "out, such as with `def forward(self, images): "
        f"return self.model(images)[{keys[0] if keys else 0!r}]`"
    )


def _import_torchax(torch: Any) -> Any:
    needs = "models.as_logits_fn of a PyTorch module"
    with extras.needed(needs, extra="torch"):
        try:
            import torchax
            import torchax.interop
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "torchax":
                raise
            raise ImportError(
                f"{needs} needs torchax, and the one installed, "
                f"{importlib.metadata.version('torchax')}, does not work with torch "
                f"{torch.__version__}:\npip install 'fitb_jax[torch]' has a pair that does "
                "(torchax 0.0.13 with torch before 2.13); name torchvision or timm in the same "
                "command, if you use them, so that pip finds one that fits"
            ) from error
    return torchax


def _unwrapped(torch: Any, model: Any) -> Any:
    """The module inside of what compiles it or spreads it over devices."""
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, torch.jit.ScriptModule):
            raise TypeError(
                "model is a scripted PyTorch module, whose operations cannot be seen: give the "
                "torch.nn.Module that it was made of"
            )
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif isinstance(model, parallel):
            model = model.module
        else:
            return model


def _normalisation(
    module: Any, mean: ChannelValues | None, std: ChannelValues | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if (mean is None) != (std is None):
        raise ValueError(f"mean and std must be given both or neither, got {mean!r} and {std!r}")
    if mean is None:
        told = getattr(module, "pretrained_cfg", None)
        told = told if isinstance(told, Mapping) else {}
        mean, std = told.get("mean"), told.get("std")
    if mean is None or std is None:
        return (), ()
    found = []
    for name, values, least in (("mean", mean, -math.inf), ("std", std, 0.0)):
        listed: list[Any] = np.ravel(np.asarray(values)).tolist()
        for value in listed:
            checks.check_number(name, value, least=least, open_least=True)
        found.append(tuple(float(value) for value in listed))
    most = max(len(each) for each in found)
    if not all(len(each) in (1, most) for each in found):
        raise ValueError(
            f"mean and std must have as many values, got {len(found[0])} and {len(found[1])}"
        )
    first, second = (each * most if len(each) == 1 else each for each in found)
    return first, second


def _tensors(torch: Any, module: Any) -> dict[str, Any]:
    """By name: parameters, buffers, and tensors that are plain attributes."""
    found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for prefix, part in module.named_modules():
        plain = {key: value for key, value in vars(part).items() if isinstance(value, torch.Tensor)}
        found |= {f"{prefix}.{key}".removeprefix("."): value for key, value in plain.items()}
    return found


def _without_values(torch: Any, tensor: Any) -> Any:
    empty = tensor.detach().to("meta")
    is_parameter = isinstance(tensor, torch.nn.Parameter)
    return torch.nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty


def _structure(torch: Any, value: Any, modules: dict[int, int]) -> Any:
    """What two modules that do the same share: all but the values of tensors.

    Args:
        torch: the package.
        value: a module, or something in one.
        modules: the place of each module met so far, by its id, as one may hold what holds it.

    Returns:
        Tuples that are equal for equal structures, and unequal where that cannot be told.
    """
    inner = functools.partial(_structure, torch, modules=modules)
    kind = type(value)
    if isinstance(value, torch.nn.Module):
        # A parametrised module has a class of its own, and hooks for saving and loading.
        kind = torch.nn.utils.parametrize.type_before_parametrizations(value)
        if id(value) in modules:
            return kind, modules[id(value)]
        modules[id(value)] = len(modules)
        kept = {name: each for name, each in vars(value).items() if "state_dict" not in name}
        return kind, inner(kept)
    if isinstance(value, torch.Tensor) and value.is_meta:
        return kind
    if isinstance(value, functools.partial):
        return kind, inner((value.func, value.args, value.keywords))
    if isinstance(value, dict):
        return kind, [*value], [inner(each) for each in value.values()]
    if isinstance(value, list | tuple):
        return kind, [inner(each) for each in value]
    # Arrays are not compared to one truth value.
    return kind, id(value) if hasattr(value, "__array__") else value


def _nested(named: Mapping[str, Any]) -> dict[str, Any]:
    """Names with dots as dictionaries of dictionaries: parts of parts."""
    tree: dict[str, Any] = {}
    for name, value in named.items():
        *parts, last = name.split(".")
        branch = tree
        for part in parts:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner = (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
        flat |= inner
    return flat


def _is_floating(values: Any) -> bool:
    return jnp.issubdtype(values.dtype, jnp.floating)
