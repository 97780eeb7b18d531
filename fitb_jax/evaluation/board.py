"""Should a method be believed? All checks of its maps, beside those of controls, in one call."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitb_jax import batching, checks, extras, masks
from fitb_jax.batching import chunked_vmap
from fitb_jax.callables import as_argument
from fitb_jax.evaluation.board_checks import CHECKS, ON_THE_BACKGROUND, judged
from fitb_jax.evaluation.cell_deletion import single_deletion
from fitb_jax.evaluation.control_methods import CONTROLS
from fitb_jax.evaluation.drop_and_gain import average_drop
from fitb_jax.evaluation.localisation import pointing_game, precision, relevance_rank
from fitb_jax.evaluation.map_scores import faithfulness_scores
from fitb_jax.evaluation.map_similarity import spearman, top_k_iou, unit_range
from fitb_jax.evaluation.ranking import top_weights
from fitb_jax.evaluation.robustness import infidelity, max_sensitivity
from fitb_jax.evaluation.sanity import random_other_class
from fitb_jax.objectives import (
    blank_has_class,
    chance_of,
    check_probability,
    is_class,
    is_predicted,
    prob,
    sigmoid_prob,
)
from fitb_jax.smoothing import gaussian_blur
from fitb_jax.types import (
    Array,
    Background,
    Bool,
    Float,
    Image,
    Int,
    Key,
    LogitsFn,
    Mask,
    Objective,
    SaliencyFn,
    Scalar,
    Target,
)

if TYPE_CHECKING:
    import xarray as xr

AREAS = (0.05, 0.1, 0.2, 0.4)
"""Shares of the image that masks of a map show."""

BLUR = 20 / 224
"""Standard deviation of the blurred background of masks, as a share of the longer side."""

AREA_OF_AGREEMENT = 0.1
"""Share of the image in the regions of largest values whose overlap says how two maps agree."""

TOLERANCE = 15 / 224
"""Distance from the object at which the largest value is still a hit, as a share of the longer
side: 15 pixels of a photograph, as in the published pointing game."""


def scoreboard(
    methods: Mapping[str, SaliencyFn],
    logits_fn: LogitsFn,
    images: Float[Array, "n h w c"],
    targets: Int[Array, "n"],
    *,
    key: Key,
    fresh_logits_fn: LogitsFn | None = None,
    labels_logits_fn: LogitsFn | None = None,
    shifted_logits_fn: LogitsFn | None = None,
    shift: float = 1.0,
    cells_logits_fn: LogitsFn | None = None,
    other_logits_fn: LogitsFn | None = None,
    truth: Bool[Array, "n h w"] | None = None,
    backgrounds: Float[Array, "b h w c"] | None = None,
    areas: Sequence[float] = AREAS,
    background: Background | Float[Array, "n h w c"] | None = None,
    colour: Background = 0.0,
    move: int | None = None,
    samples: int = 0,
    objective: Objective = prob,
    only: Sequence[str] | None = None,
    chunk: int = 8,
    progress: bool = True,
) -> "xr.Dataset":
    """Score methods by every check that the arguments allow, beside controls.

    For an image of 224 x 224 pixels, each method and each control takes some 800 images classified
    and four maps, more where networks and backgrounds are given. `only` makes fewer checks.

    Args:
        methods: saliency functions by name, such as from `fitb_jax.saliency.as_saliency`.
        logits_fn: the classifier that is explained.
        images: (n, h, w, c) in [0, 1]. An interval over fewer than ten images says little.
        targets: (n,), the class that is explained in each.
        key: random key of all draws, which are the same for all methods.
        fresh_logits_fn: the same network with random weights, for `random_network`.
        labels_logits_fn: the same network trained on random labels, for `random_labels`.
        shifted_logits_fn: the network for images to which `shift` is added, such as
            `models.shift_input(logits_fn, shift)`, for `input_shift`.
        shift: intensity that is added to the images, see `shifted_logits_fn`.
        cells_logits_fn: the same network trained with `models.TrainingConfig(deleted_cells=4)`,
            for `in_domain_deletion`.
        other_logits_fn: a network that was not explained, for `p_other_network`.
        truth: (n, h, w), where the object is, for `pointing`, `precision` and `relevance_rank`.
        backgrounds: (b, h, w, c), other images that no method has seen, for `kept`.
        areas: shares of the image that the masks of a map show: its largest values.
        background: what is seen where these masks hide the image, and where insertion starts: one
            for all images, or (n, h, w, c), one for each. None blurs the image. Give another where
            `p_blank` is large.
        colour: what deleted pixels show, such as the mean colour that the network subtracts.
        move: pixels by which the image is rolled to the lower right, for `moved`; by default 1/28
            of the longer side.
        samples: random images near each image, for `sensitivity`; 0 leaves it out.
        objective: a probability: `prob`, or `sigmoid_prob` for several labels.
        only: names of `CHECKS` to make; None makes all.
        chunk: images evaluated at once inside of a score.
        progress: whether to show a bar.

    Returns:
        A data set with the labels `method` (controls first), `image`, `area`, `check`, `control`
        and `interval`:

        - a variable for each check that was made, (method, image) or (method, image, area). Checks
          on the background are nan where it has the class by itself: there they say nothing;
        - `p_whole` and `p_blank`, p(target) of the whole image and of the background alone,
          (image,);
        - `mean`, (check, method, interval);
        - `difference`, (check, method, control, interval): how much better the method is than
          the control, paired over images;
        - `passed`, (check, method): 1, 0, or nan where there is no judgement.

        The rules of the checks are in `attrs` of the variables. `score_table` makes a table of it.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`.
        ImportError: xarray is not installed; names the extra.

    Examples:
        >>> mine = {"gradient": saliency.as_saliency(attribution.gradient_magnitude)}
        >>> few = {"only": ("random_logit", "deletion"), "progress": False}
        >>> board = evaluation.scoreboard(mine, logits_fn, images, targets, key=key, **few)
        >>> evaluation.score_table(board).index.tolist()
        ['random_logit', 'deletion', 'passed', 'telling', 'undecided', 'images', 'blank']
    """
    with extras.needed("evaluation.scoreboard", extra="grids"):
        import xarray as xr
    _check_arguments(methods, logits_fn, images, targets, truth, backgrounds, areas, key)
    checks.check_objective(logits_fn, objective)
    check_probability(objective)
    checks.check_background(colour, images.shape[1:], name="colour")
    if background is not None:
        if jnp.ndim(background) < images.ndim:
            checks.check_background(background, images.shape[1:])
        else:
            _check_like_images("background", background, images.shape)
        background = np.broadcast_to(np.asarray(background, images.dtype), images.shape)
    _check_move(move, images.shape[1:3])
    checks.check_count("chunk", chunk)
    checks.check_count("samples", samples, least=0)
    networks = {
        "logits_fn": logits_fn,
        "fresh_logits_fn": fresh_logits_fn,
        "labels_logits_fn": labels_logits_fn,
        "shifted_logits_fn": shifted_logits_fn,
        "cells_logits_fn": cells_logits_fn,
        "other_logits_fn": other_logits_fn,
    }
    _check_only(only, {**networks, "truth": truth, "backgrounds": backgrounds, "samples": samples})
    asked: dict[str, Any] = {
        **{name: as_argument(one) for name, one in networks.items() if one is not None},
        "shift": jnp.float32(shift),
        "colour": jnp.asarray(colour, images.dtype),
        "backgrounds": backgrounds,
    }
    keys = jax.random.split(key, len(images))
    # Numbers, since a key is no array of the host.
    places = np.arange(len(images))
    each: dict[str, Any] = {
        "image": np.asarray(images),
        "target": np.asarray(targets),
        "place": places,
    }
    if truth is not None:
        each["truth"] = np.asarray(truth)
    if background is not None:
        each["background"] = background
    settings: dict[str, Any] = {
        "areas": areas,
        "move": move,
        "samples": samples,
        "objective": objective,
        "only": None if only is None else tuple(only),
        "chunk": chunk,
    }

    def of_one(case: dict[str, Any], asked: dict[str, Any]) -> _Asked:
        place, given = case["place"], {n: v for n, v in case.items() if n != "place"}
        return _Asked(**asked, **given, key=keys[place], **settings)

    def maps_of(method: SaliencyFn, case: dict[str, Any], asked: dict[str, Any]) -> Any:
        return _maps_of_checks(method, of_one(case, asked))

    def scores_of(maps: Any, case: dict[str, Any], asked: dict[str, Any]) -> dict[str, Array]:
        return _scores_of_maps(maps, of_one(case, asked))

    # One program, whatever the method.
    score = jax.jit(jax.vmap(scores_of, in_axes=(0, 0, None)))
    found = {}
    for name, method in {**CONTROLS, **methods}.items():
        explain = jax.jit(jax.vmap(functools.partial(maps_of, method), in_axes=(0, None)))

        def ask(*rows: Array, name: str = name, explain: Callable = explain) -> dict[str, Array]:
            cases = dict(zip(each, rows, strict=True))
            try:
                maps = explain(cases, asked)
            except Exception as error:
                error.add_note(f"of method {name!r}; a method is traced: write it in jax.numpy")
                raise
            return score(maps, cases, asked)

        found[name] = batching.stream(ask, *each.values(), chunk=1, label=name, progress=progress)
    whole, blank = _whole_and_blank(logits_fn, images, targets, objective, background)
    classes = checks.count_classes(logits_fn, images[0])
    chance = chance_of(objective, classes)
    proves_nothing = blank_has_class(blank, whole, chance=chance)
    names = [*found]
    variables: dict[str, Any] = {}
    for name in sorted(found[names[0]], key=[*CHECKS].index):
        values = np.stack([found[method][name] for method in names])
        if name in ON_THE_BACKGROUND:
            values[:, proves_nothing] = np.nan
        dims = ("method", "image", "area")[: values.ndim]
        attributes = {"meaning": CHECKS[name].meaning, "rule": CHECKS[name].rule}
        variables[name] = (dims, values, attributes)
    board = xr.Dataset(
        {
            **variables,
            "p_whole": ("image", whole, {"meaning": "p(target) of the whole image"}),
            "p_blank": ("image", blank, {"meaning": "p(target) where nothing is shown"}),
        },
        {"method": names, "image": places, "area": list(areas)},
        {
            "image_shape": str(tuple(images.shape[1:])),
            "classes": classes,
            "labels": int(objective is sigmoid_prob),
            "proves_nothing": int(proves_nothing.sum()),
            "not_asked": ", ".join(
                name for name in CHECKS if only is None and name not in variables
            ),
        },
    )
    return judged(board)


def method_scores(
    method: SaliencyFn,
    logits_fn: LogitsFn,
    image: Image,
    target: Target,
    *,
    key: Key,
    fresh_logits_fn: LogitsFn | None = None,
    labels_logits_fn: LogitsFn | None = None,
    shifted_logits_fn: LogitsFn | None = None,
    shift: Scalar | float = 1.0,
    cells_logits_fn: LogitsFn | None = None,
    other_logits_fn: LogitsFn | None = None,
    truth: Bool[Array, "h w"] | None = None,
    backgrounds: Float[Array, "b h w c"] | None = None,
    areas: Sequence[float] = AREAS,
    background: Background | None = None,
    colour: Background = 0.0,
    move: int | None = None,
    samples: int = 0,
    objective: Objective = prob,
    only: Sequence[str] | None = None,
    chunk: int = 8,
) -> dict[str, Float[Array, "..."]]:
    """Every check of one method on one image: what `scoreboard` maps over images.

    Args:
        method: the saliency function that is judged.
        logits_fn: the classifier that is explained.
        image: (h, w, c) in [0, 1].
        target: the class that is explained, in [0, k).
        key: random key of all draws.
        fresh_logits_fn: the network with random weights, see `scoreboard`.
        labels_logits_fn: the network trained on random labels.
        shifted_logits_fn: the network for images to which `shift` is added.
        shift: intensity that is added.
        cells_logits_fn: the network trained with cells deleted.
        other_logits_fn: a network that was not explained.
        truth: (h, w), where the object is.
        backgrounds: (b, h, w, c), other images.
        areas: (a,), shares of the image that the masks of a map show.
        background: what is seen where masks hide the image; None blurs it.
        colour: what deleted pixels show.
        move: pixels by which the image is rolled, see `scoreboard`.
        samples: random images near the image.
        objective: a probability.
        only: names of `CHECKS` to make. Under `jax.jit` the scores of others are not computed.
        chunk: images evaluated at once inside of a score.

    Returns:
        A score for each check that the arguments allow, by the names of `CHECKS`: a scalar, or (a,)
        for a check of masks.

    Raises:
        TypeError, ValueError: a wrong shape, dtype, range or name; see `fitb_jax.checks`. Or `only`
            names a check that needs another argument.
    """
    checks.check_explained(logits_fn, image, target, objective)
    checks.check_key(key)
    check_probability(objective)
    _check_move(move, image.shape[:2])
    asked = _Asked(
        logits_fn,
        image,
        target,
        key,
        fresh_logits_fn=fresh_logits_fn,
        labels_logits_fn=labels_logits_fn,
        shifted_logits_fn=shifted_logits_fn,
        shift=shift,
        cells_logits_fn=cells_logits_fn,
        other_logits_fn=other_logits_fn,
        truth=truth,
        backgrounds=backgrounds,
        areas=areas,
        background=background,
        colour=colour,
        move=move,
        samples=samples,
        objective=objective,
        only=only,
        chunk=chunk,
    )
    _check_only(only, asked._asdict())
    return _scores_of_maps(_maps_of_checks(method, asked), asked)


class _Asked(NamedTuple):
    """One image, and what its checks may need; see `method_scores`."""

    logits_fn: LogitsFn
    image: Image
    target: Target
    key: Key
    fresh_logits_fn: LogitsFn | None = None
    labels_logits_fn: LogitsFn | None = None
    shifted_logits_fn: LogitsFn | None = None
    shift: Scalar | float = 1.0
    cells_logits_fn: LogitsFn | None = None
    other_logits_fn: LogitsFn | None = None
    truth: Bool[Array, "h w"] | None = None
    backgrounds: Float[Array, "b h w c"] | None = None
    areas: Sequence[float] = AREAS
    background: Background | None = None
    colour: Background = 0.0
    move: int | None = None
    samples: int = 0
    objective: Objective = prob
    only: Sequence[str] | None = None
    chunk: int = 8

    @property
    def moved_by(self) -> int:
        """Pixels."""
        return max(1, max(self.image.shape[:2]) // 28) if self.move is None else self.move


def _maps_of_checks(method: SaliencyFn, asked: _Asked) -> dict[str, Array]:
    """All that a method is asked: its maps by check, the map itself as "own", its sensitivity."""
    logits_fn, image, target = asked.logits_fn, asked.image, asked.target
    map_key, again_key, class_key, _, noise_key = jax.random.split(asked.key, 5)
    queries: dict[str, _Query] = {"own": (logits_fn, image, target, map_key)}
    classes = checks.count_classes(logits_fn, image)
    if asked.only is not None and "random_logit" in asked.only and classes == 1:
        raise ValueError("only must not name random_logit for a network of one class")
    if classes > 1:
        other = random_other_class(target, classes, key=class_key)
        queries["random_logit"] = (logits_fn, image, other, map_key)
    queries["two_keys"] = (logits_fn, image, target, again_key)
    queries["moved"] = (logits_fn, jnp.roll(image, asked.moved_by, (0, 1)), target, map_key)
    networks = {
        "random_network": asked.fresh_logits_fn,
        "random_labels": asked.labels_logits_fn,
        "in_domain_deletion": asked.cells_logits_fn,
    }
    for name, network in networks.items():
        if network is not None:
            queries[name] = (network, image, target, map_key)
    if asked.shifted_logits_fn is not None:
        queries["input_shift"] = (asked.shifted_logits_fn, image + asked.shift, target, map_key)
    if asked.only is not None:
        queries = {name: each for name, each in queries.items() if name in ("own", *asked.only)}
    maps = _maps(method, queries)
    if asked.samples and (asked.only is None or "sensitivity" in asked.only):
        near_key, draw_key = jax.random.split(jax.random.fold_in(noise_key, 1))
        maps["sensitivity"] = max_sensitivity(
            lambda near: method(logits_fn, near, target, key=draw_key),
            image,
            key=near_key,
            samples=asked.samples,
        ).relative
    return maps


def _scores_of_maps(maps: Mapping[str, Array], asked: _Asked) -> dict[str, Array]:
    """The scores of the maps of any method, which `_maps_of_checks` gives."""
    logits_fn, image, target = asked.logits_fn, asked.image, asked.target
    order_key, noise_key = jax.random.split(asked.key, 5)[3:]
    saliency = maps["own"]
    judge = (logits_fn, image, saliency, target)
    how: dict[str, Any] = {
        "background": asked.background,
        "colour": asked.colour,
        "chunk": asked.chunk,
        "key": order_key,
        "objective": asked.objective,
    }
    found: dict[str, Array] = faithfulness_scores(*judge, **how)
    for name in ("random_network", "random_labels", "random_logit", "input_shift"):
        if name in maps:
            is_network = name in ("random_network", "random_labels")
            found[name] = spearman(saliency, maps[name], absolute=is_network)
    for name, moved_by in (("two_keys", 0), ("moved", asked.moved_by)):
        if name in maps:
            again = jnp.roll(maps[name], -moved_by, axis=(0, 1))
            found[name] = top_k_iou(saliency, again, area=AREA_OF_AGREEMENT)
    effect = infidelity(*judge, key=noise_key, chunk=asked.chunk)
    # Of the effect of noise, what the map does not predict: 1 is a map of zeros.
    found["infidelity"] = effect.scaled / effect.variation
    if asked.only is None or "single_deletion" in asked.only:  # refuses images below 4 pixels
        found["single_deletion"] = single_deletion(
            *judge, background=asked.colour, chunk=asked.chunk
        )
    if asked.cells_logits_fn is not None and "in_domain_deletion" in maps:
        of_cells = (asked.cells_logits_fn, image, maps["in_domain_deletion"], target)
        found["in_domain_deletion"] = single_deletion(*of_cells)
    dimmed = average_drop(*judge, background=asked.colour, objective=asked.objective)
    found |= {
        "average_drop": dimmed.drop,
        "average_increase": dimmed.increase,
        "average_gain": dimmed.gain,
    }
    if "sensitivity" in maps:
        found["sensitivity"] = maps["sensitivity"]
    shown = jax.vmap(lambda area: top_weights(saliency, area))(jnp.asarray(asked.areas))
    blank = _blank(image, asked.background)

    def p_by(judge_fn: LogitsFn) -> Float[Array, "a"]:
        def through(mask: Mask) -> Scalar:
            return asked.objective(judge_fn(masks.apply(image, mask, blank)), target)

        return jax.lax.map(through, shown.astype(image.dtype))

    found["p_shown"] = p_by(logits_fn)
    if asked.other_logits_fn is not None:
        found["p_other_network"] = p_by(asked.other_logits_fn)
    if asked.backgrounds is not None:
        found["kept"] = _kept(shown, asked, asked.backgrounds)
    if (truth := asked.truth) is not None:
        at_areas = [precision(unit_range(saliency), truth, area=area) for area in asked.areas]
        tolerance = round(TOLERANCE * max(image.shape[:2]))
        found |= {
            "pointing": pointing_game(saliency, truth, tolerance=tolerance),
            "precision": jnp.stack(at_areas),
            "relevance_rank": relevance_rank(saliency, truth),
        }
    return found if asked.only is None else {name: found[name] for name in asked.only}


def _check_takes_key(name: str, method: SaliencyFn) -> None:
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # some callables have none
        return
    if "key" not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise TypeError(
            f"{name} must take key=...: give saliency.as_saliency(method), which takes a key "
            "whether the method draws or not"
        )


def _check_only(only: Sequence[str] | None, given: Mapping[str, Any]) -> None:
    if only is not None and not only:
        raise ValueError("only must name one check or more, or be None, got none")
    for name in only or ():
        checks.check_choice("only", name, CHECKS)
    needs = {name: CHECKS[name].needs for name in only or () if CHECKS[name].needs}
    missing = [f"{name} ({need})" for name, need in needs.items() if _is_missing(given.get(need))]
    if missing:
        raise ValueError(f"only asks for what needs another argument: {', '.join(missing)}")


def _is_missing(argument: Any) -> bool:
    return argument is None or (isinstance(argument, int | np.integer) and argument == 0)


def _check_move(move: int | None, shape: tuple[int, ...]) -> None:
    if move is None:
        return
    checks.check_count("move", move)
    if all(move % side == 0 for side in shape):
        raise ValueError(
            f"move must roll the image somewhere else, got {move} for {shape[0]} x {shape[1]} "
            "pixels"
        )


_Query = tuple[LogitsFn, Image, Target, Key]


def _maps(method: SaliencyFn, queries: Mapping[str, _Query]) -> dict[str, Float[Array, "h w"]]:
    """The map of each query; those of networks of one structure are one program, one by one."""
    alike: dict[Any, list[str]] = {}
    queries = {name: (as_argument(query[0]), *query[1:]) for name, query in queries.items()}
    for name, (network, *_) in queries.items():
        leaves, structure = jax.tree.flatten(network)
        shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        alike.setdefault((structure, shapes), []).append(name)
    found: dict[str, Array] = {}
    for names in alike.values():
        asked = [(n, i, jnp.asarray(t), k) for n, i, t, k in (queries[name] for name in names)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *asked)
        maps = jax.lax.map(lambda one: method(one[0], one[1], one[2], key=one[3]), stacked)
        found |= dict(zip(names, maps, strict=True))
    return found


def _kept(
    shown: Float[Array, "a h w"], asked: _Asked, backgrounds: Float[Array, "b h w c"]
) -> Float[Array, "a"]:
    """Share of the backgrounds on which each mask keeps the class."""
    image = asked.image

    def is_kept(mask: Mask, background: Image) -> Scalar:
        logits = asked.logits_fn(masks.apply(image, mask.astype(image.dtype), background))
        is_of_class = is_predicted(logits, asked.target, objective=asked.objective) == 1
        kept = is_of_class.astype(jnp.float32)
        return jnp.where(is_class(asked.target, logits.shape[0]), kept, jnp.nan)

    def share(mask: Mask) -> Scalar:
        behind = functools.partial(is_kept, mask)
        kept = chunked_vmap(behind, chunk=asked.chunk)(backgrounds).mean()
        return jnp.where(jnp.isnan(mask).any(), jnp.nan, kept)

    return jax.lax.map(share, shown)


def _whole_and_blank(
    logits_fn: LogitsFn,
    images: Any,
    targets: Any,
    objective: Objective,
    backgrounds: Any,
) -> tuple[np.ndarray, np.ndarray]:
    def look(image: Image, target: Array, background: Image | None) -> tuple[Scalar, Scalar]:
        seen = (image, _blank(image, background))
        whole, blank = (objective(logits_fn(each), target) for each in seen)
        return whole, blank

    every = jax.jit(lambda *rows: jax.lax.map(lambda row: look(*row), rows))
    whole, blank = every(images, targets, backgrounds)
    return np.asarray(whole), np.asarray(blank)


def _blank(image: Image, background: Background | None) -> Image:
    """What is seen where masks show nothing."""
    if background is None:
        return gaussian_blur(image, sigma=BLUR * max(image.shape[:2]))
    return jnp.broadcast_to(jnp.asarray(background, image.dtype), image.shape)


def _check_arguments(
    methods: Any,
    logits_fn: LogitsFn,
    images: Any,
    targets: Any,
    truth: Any,
    backgrounds: Any,
    areas: Any,
    key: Any,
) -> None:
    checks.check_key(key)
    if not isinstance(methods, Mapping):
        raise TypeError(
            'methods must be a dict of saliency functions by name, {"mine": method}, got '
            f"{checks.describe(methods)}"
        )
    if not methods:
        raise ValueError("methods must hold at least one method, got none")
    for name, method in methods.items():
        checks.check_callable(f"methods[{name!r}]", method)
        _check_takes_key(f"methods[{name!r}]", method)
        if name in CONTROLS:
            raise ValueError(f"methods must not be called as a control is, got {name!r}")
    checks.check_image(images, name="images", axes=("n", "h", "w", "c"))
    classes = checks.count_classes(logits_fn, images[0])
    checks.check_target(targets, classes, name="targets", shape=(len(images),))
    checks.check_areas(jnp.asarray(areas), name="areas")
    if truth is not None:
        checks.check_boolean("truth", truth, ("n", "h", "w"))
        if truth.shape != images.shape[:3]:
            raise ValueError(f"truth must have shape {images.shape[:3]}, got {truth.shape}")
    if backgrounds is not None:
        _check_like_images("backgrounds", backgrounds, images.shape[1:])


def _check_like_images(name: str, given: Any, shape: tuple[int, ...]) -> None:
    checks.check_image(given, name=name, axes=("b", "h", "w", "c"))
    if given.shape[-len(shape) :] != shape:
        raise ValueError(f"{name} must have the shape {shape} of images, got {given.shape}")
