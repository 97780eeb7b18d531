"""Drawing: pictures of masks, updates and fills, and charts of numbers, from labelled results.

Every function returns a `matplotlib.figure.Figure` or draws into an `Axes`; nothing touches
pyplot's global state, so that figures can be drawn in any process and order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from fitb_jax.evaluation.ranking import ranks

HIDDEN_GREY = 0.35
"""Grey level of a blank: neither the black around a digit nor its ink."""

SHOWN_THROUGH = 0.35
"""Weight of the image where a map is drawn over it; the map has the rest."""


def as_rgb(image: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w 3"]:
    """A grey or colour image as colours.

    Args:
        image: (h, w, 1) or (h, w, 3), values in [0, 1]; others are clipped.

    Returns:
        (h, w, 3) in [0, 1].

    Raises:
        ValueError: neither one nor three channels.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"image must have shape (h, w, 1) or (h, w, 3), got {image.shape}")
    return np.clip(np.broadcast_to(image, (*image.shape[:2], 3)), 0, 1)


def masked(
    image: Float[np.ndarray, "h w c"], mask: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """An image with its blanks in grey.

    Args:
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.

    Returns:
        (h, w, 3) in [0, 1].

    Raises:
        ValueError: neither one nor three channels.
    """
    return mask[:, :, None] * as_rgb(image) + (1 - mask[:, :, None]) * HIDDEN_GREY


def overlay(
    image: Float[np.ndarray, "h w c"],
    mask: Float[np.ndarray, "h w"],
    update: Float[np.ndarray, "h w c"],
) -> Float[np.ndarray, "h w 3"]:
    """The hidden part of an update drawn over the masked image: red to add, blue to take away.

    Args:
        image: (h, w, c) in [0, 1].
        mask: (h, w), 1 = visible, 0 = blank.
        update: (h, w, c), summed over channels; full colour at the 99th percentile of its hidden
            magnitudes, so that one pixel does not darken the rest.

    Returns:
        (h, w, 3) in [0, 1].
    """
    strength = (1 - mask) * update.sum(-1)
    hidden = np.abs(strength[mask < 0.5])
    strength = strength / max(float(np.percentile(hidden, 99)) if hidden.size else 0.0, 1e-30)
    red, blue = np.clip(strength, 0, 1), np.clip(-strength, 0, 1)
    ink = np.stack([red, np.zeros_like(red), blue], axis=-1)
    return np.clip(masked(image, mask) * (1 - (red + blue))[:, :, None] + ink, 0, 1)


def heat(
    saliency: Float[np.ndarray, "h w"],
    *,
    largest: float | None = None,
    signed: bool | None = None,
    colours: str = "viridis",
    over: Float[np.ndarray, "h w c"] | None = None,
) -> Float[np.ndarray, "h w 3"]:
    """A map as colours: blue below 0 and red above where it is signed, else from dark to bright.

    Args:
        saliency: (h, w), of any finite values.
        largest: magnitude of full colour; by default the 99th percentile of the magnitudes, so that
            one pixel does not darken the rest.
        signed: whether 0 is white, between blue and red; by default where any value is negative.
        colours: name of the Matplotlib colormap for a map that is not signed.
        over: (h, w, c) in [0, 1], an image to show through, in grey.

    Returns:
        (h, w, 3) in [0, 1].
    """
    full = float(np.percentile(np.abs(saliency), 99)) if largest is None else largest
    scaled = saliency / max(full, 1e-30)
    if bool(saliency.min() < 0) if signed is None else signed:
        coloured = colormaps["bwr"](scaled / 2 + 0.5)[..., :3]
    else:
        coloured = colormaps[colours](scaled)[..., :3]
    if over is None:
        return coloured
    grey = as_rgb(over).mean(-1, keepdims=True)
    return SHOWN_THROUGH * grey + (1 - SHOWN_THROUGH) * coloured


def ranked_heat(
    saliency: Float[np.ndarray, "h w"], *, over: Float[np.ndarray, "h w c"]
) -> Float[np.ndarray, "h w 3"]:
    """A map as colours by the order of its pixels, which maps of any scale share, over the image.

    Args:
        saliency: (h, w), of at least two pixels; ties are ordered at random.
        over: (h, w, c) in [0, 1], shows through in grey.

    Returns:
        (h, w, 3) in [0, 1], from dark to bright.
    """
    place = np.asarray(ranks(jnp.asarray(saliency), key=jax.random.key(0)))
    return heat(1 - place / (place.size - 1), largest=1.0, colours="magma", over=over)


def image_grid(
    pictures: Sequence[Sequence[np.ndarray | None]],
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    size: float = 1.15,
) -> Figure:
    """Rows of pictures with titles and small captions.

    Args:
        pictures: rows of (h, w, 3) or (h, w, 1) images in [0, 1]; None leaves a gap.
        column_titles: above the first row.
        row_titles: beside each row.
        captions: under each picture.
        size: side of a picture in inches.

    Returns:
        The figure.
    """
    rows, columns = len(pictures), max(map(len, pictures))
    caption_room = 0.2 if captions else 0.0
    figure = Figure(
        figsize=(columns * size + 1.0, rows * (size + caption_room) + 0.5), layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        row, column = divmod(index, columns)
        picture = pictures[row][column] if column < len(pictures[row]) else None
        _blank(axis)
        if picture is not None:
            axis.imshow(as_rgb(picture), interpolation="nearest")
        if row == 0 and column < len(column_titles):
            axis.set_title(column_titles[column], fontsize=8)
        if column == 0 and row < len(row_titles):
            axis.set_ylabel(row_titles[row], fontsize=8, rotation=0, ha="right", va="center")
        if row < len(captions) and column < len(captions[row]):
            axis.set_xlabel(captions[row][column], fontsize=7, labelpad=2)
    return figure


def captioned_grid(
    cells: Sequence[Sequence[tuple[np.ndarray | None, str]]],
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    size: float = 1.15,
) -> Figure:
    """Rows of pictures, each with what is written under it.

    Args:
        cells: rows of (picture, caption), pictures as in `image_grid`.
        column_titles: above the first row.
        row_titles: beside each row.
        size: side of a picture in inches.

    Returns:
        The figure.
    """
    return image_grid(
        [[picture for picture, _ in row] for row in cells],
        captions=[[caption for _, caption in row] for row in cells],
        column_titles=column_titles,
        row_titles=row_titles,
        size=size,
    )


def signed_maps(
    rows: Sequence[Float[np.ndarray, "n h w c"]],
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    units: Sequence[str] = (),
    size: float = 1.0,
) -> Figure:
    """Rows of maps, each row with a colour bar: diverging about 0 if any value is negative.

    Args:
        rows: (n, h, w, c) each, averaged over channels; nan stays white.
        column_titles: above the first row.
        row_titles: beside each row.
        units: beside each row's colour bar.
        size: side of a map in inches.

    Returns:
        The figure.
    """
    columns = max(len(row) for row in rows)
    figure = Figure(
        figsize=(columns * size + 2.4, len(rows) * size * 1.12 + 0.4), layout="constrained"
    )
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for index, row in enumerate(rows):
        maps = row.mean(-1)
        norm, colours = _scale(maps)
        for column, axis in enumerate(axes[index]):
            _blank(axis)
            drawn = axis.imshow(maps[column], norm=norm, cmap=colours, interpolation="nearest")
            if index == 0 and column < len(column_titles):
                axis.set_title(column_titles[column], fontsize=8)
        if index < len(row_titles):
            axes[index, 0].set_ylabel(
                row_titles[index], fontsize=8, rotation=0, ha="right", va="center"
            )
        bar = figure.colorbar(drawn, ax=axes[index].tolist(), shrink=0.85, pad=0.01)
        bar.ax.tick_params(labelsize=6)
        if index < len(units):
            bar.set_label(units[index], fontsize=7)
    return figure


def heat_map(
    axis: Axes,
    values: xr.DataArray,
    *,
    rows: str,
    columns: str,
    title: str,
    limits: tuple[float, float] | None = None,
) -> None:
    """A table of numbers as coloured cells with the numbers in them.

    Args:
        axis: where to draw.
        values: of two dimensions.
        rows: dimension whose labels are the lines.
        columns: dimension whose labels are the columns.
        title: above the cells.
        limits: values at the ends of the colour scale; by default the range of the data.
    """
    cells = values.transpose(rows, columns).to_numpy()
    low, high = limits or (float(np.nanmin(cells)), float(np.nanmax(cells)))
    drawn = axis.imshow(cells, vmin=low, vmax=high, cmap="viridis", aspect="auto")
    axis.set_xticks(range(cells.shape[1]), _texts(values, columns))
    axis.set_yticks(range(cells.shape[0]), _texts(values, rows))
    axis.set_title(title, fontsize=9)
    for (row, column), value in np.ndenumerate(cells):
        dark = value < (low + high) / 2
        axis.text(
            column,
            row,
            f"{round(float(value), 2) + 0.0:.2f}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else "black",
        )
    colour_bar = axis.figure.colorbar(drawn, ax=axis)
    colour_bar.ax.tick_params(labelsize=7)


def interval_chart(
    axis: Axes,
    values: xr.DataArray,
    *,
    groups: str,
    bars: str | None = None,
    title: str = "",
    is_horizontal: bool = False,
    colours: Sequence[str] | None = None,
    spread: float | None = None,
) -> None:
    """Points with their intervals: groups side by side, or line by line from the top.

    Args:
        axis: where to draw.
        values: intervals, of the dimensions `groups`, `bars` and `interval` (estimate, low, high).
        groups: dimension whose labels stand on the axis.
        bars: dimension whose labels a legend shows, once `axis.legend()` is called; None where
            there is none.
        title: above the chart.
        is_horizontal: groups are lines, and values go to the right.
        colours: one for each of the bars; by default Matplotlib's own.
        spread: distance of the first from the last bar of a group; by default it fills the group.
    """
    labels = _texts(values, bars) if bars else [None]
    cells = values.transpose(groups, *([bars] if bars else []), "interval").to_numpy()
    cells = cells.reshape(cells.shape[0], len(labels), 3)
    between = 0.8 / len(labels) if spread is None else spread / max(len(labels) - 1, 1)
    for bar, label in enumerate(labels):
        places = np.arange(len(cells)) + (bar - (len(labels) - 1) / 2) * between
        estimate, low, high = cells[:, bar].T
        reach = np.nan_to_num(np.clip([estimate - low, high - estimate], 0, None))
        across, up = (estimate, places) if is_horizontal else (places, estimate)
        axis.errorbar(
            across,
            up,
            xerr=reach if is_horizontal else None,
            yerr=None if is_horizontal else reach,
            fmt="o",
            markersize=4,
            capsize=2,
            label=label,
            color=colours[bar] if colours else None,
        )
    axis.set_title(title, fontsize=9)
    if is_horizontal:
        axis.set_yticks(range(len(cells)), _texts(values, groups), fontsize=8)
        axis.set_ylim(len(cells) - 0.4, -0.6)
        axis.grid(axis="x", alpha=0.3)
    else:
        axis.set_xticks(range(len(cells)), _texts(values, groups), fontsize=8)
        axis.grid(axis="y", alpha=0.3)


def map_strips(
    maps: xr.DataArray,
    *,
    rows: str,
    columns: str,
    show: Callable[[np.ndarray], np.ndarray] = lambda picture: picture,
    row_titles: Sequence[str] | None = None,
    column_titles: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] = (),
    size: float = 1.15,
) -> Figure:
    """Strips of maps or images: a line for each label of one dimension.

    Args:
        maps: of `rows`, `columns` and, last, those of a picture: (h, w) or (h, w, c).
        rows: dimension of the lines.
        columns: dimension along a line.
        show: from a map to a picture (h, w, 3) or (h, w, 1) in [0, 1].
        row_titles: in place of the labels.
        column_titles: in place of the labels.
        captions: under each picture.
        size: side of a picture in inches.

    Returns:
        The figure.
    """
    picture = [name for name in maps.dims if name not in (rows, columns)]
    cells = maps.transpose(rows, columns, *picture).to_numpy()
    return image_grid(
        [[show(cell) for cell in line] for line in cells],
        row_titles=_texts(maps, rows) if row_titles is None else row_titles,
        column_titles=_texts(maps, columns) if column_titles is None else column_titles,
        captions=captions,
        size=size,
    )


def band(
    axis: Axes,
    values: xr.DataArray,
    *,
    along: str,
    label: str,
    control: xr.DataArray | None = None,
    **style: Any,
) -> None:
    """A curve with the band of its intervals, and a dashed curve of the same colour for a control.

    Args:
        axis: where to draw.
        values: intervals, of the dimensions `along` and `interval` (estimate, low, high).
        along: dimension whose labels are the places on the horizontal axis.
        label: in the legend.
        control: values without a band, of the dimension `along`.
        **style: of the line, see `matplotlib.lines.Line2D`.
    """
    places = values[along].to_numpy()
    estimate, low, high = values.transpose("interval", along).to_numpy()
    drawn = {"marker": "o", "markersize": 3, **style}
    (line,) = axis.plot(places, estimate, label=label, **drawn)
    axis.fill_between(places, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    if control is not None:
        axis.plot(places, control, linestyle="--", linewidth=0.9, color=line.get_color())
    axis.grid(alpha=0.3)


def dots(
    axis: Axes, values: xr.DataArray, *, groups: str, cases: str, bars: str, spread: float
) -> None:
    """All cases as dots, and their mean as a dash: groups side by side, a colour for each bar.

    Args:
        axis: where to draw.
        values: of the dimensions `groups`, `cases` and `bars`; nan is left out of the drawing.
        groups: dimension along the axis, at 0, 1, 2 and so on.
        cases: dimension of the dots.
        bars: dimension whose labels stand in the legend.
        spread: distance between two neighbouring bars of a group.
    """
    of_bars = values.transpose(bars, groups, cases).to_numpy()
    for bar, (label, each) in enumerate(zip(_texts(values, bars), of_bars, strict=True)):
        places = np.arange(len(each)) + (bar - (len(of_bars) - 1) / 2) * spread
        at = np.broadcast_to(places[:, None], each.shape)
        (drawn,) = axis.plot(at.ravel(), each.ravel(), ".", alpha=0.6, markersize=5)
        style: dict[str, Any] = {"markersize": 16, "markeredgewidth": 2, "label": label}
        axis.plot(places, each.mean(1), "_", color=drawn.get_color(), **style)
    axis.grid(axis="y", alpha=0.3)


def legend_below(figure: Figure, axis: Axes, *, columns: int) -> None:
    """The legend of one panel below all of them, where it hides nothing.

    Args:
        figure: with a constrained layout.
        axis: whose lines are named.
        columns: of the legend.
    """
    named = axis.get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=columns, fontsize=8)


def scatter(
    axis: Axes,
    points: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, "n"],
    names: Sequence[str],
    *,
    size: float = 10.0,
) -> None:
    """Points in the plane, coloured by class, with the name of each class at its median.

    Args:
        axis: where to draw; it has no ticks afterwards.
        points: (n, 2).
        labels: (n,), index into `names`.
        names: one per class; a class without points is left out.
        size: area of a point in square points.

    Raises:
        ValueError: a label that has no name.
    """
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(names)):
        raise ValueError(f"labels must lie in [0, {len(names)}), the number of names")
    for label, name in enumerate(names):
        own = points[labels == label]
        if not len(own):
            continue
        axis.scatter(own[:, 0], own[:, 1], s=size, alpha=0.6, linewidths=0, color=f"C{label % 10}")
        across, up = np.median(own, axis=0)
        axis.text(
            across,
            up,
            name,
            fontsize=12,
            fontweight="bold",
            ha="center",
            va="center",
            color=f"C{label % 10}",
            path_effects=[withStroke(linewidth=3, foreground="white")],
            # Above the points of later classes.
            zorder=3,
        )
    axis.set_xticks([])
    axis.set_yticks([])


def name_points(
    axis: Axes,
    points: Float[np.ndarray, "n 2"],
    names: Sequence[str],
    *,
    most: int,
    taken: Float[np.ndarray, "m 2"],
    seed: int = 0,
) -> None:
    """Write names beside points in random order, except where a name would overlap another.

    Args:
        axis: where to draw; its limits hold all points.
        points: (n, 2).
        names: one for each point.
        most: how many points are named at most.
        taken: (m, 2), places where other names stand already.
        seed: of the random order.
    """
    lowest, extent = points.min(0), np.ptp(points, axis=0)
    places = [*((taken - lowest) / extent)]
    room = most + len(places)
    for index in np.random.default_rng(seed).permutation(len(points)):
        place = (points[index] - lowest) / extent
        apart = np.abs(np.reshape(places, (-1, 2)) - place)
        if len(places) == room or ((apart[:, 0] < 0.22) & (apart[:, 1] < 0.03)).any():
            continue
        places.append(place)
        is_at_edge = place[0] > 0.8
        axis.plot(*points[index], "k.", markersize=3)
        axis.annotate(
            names[index],
            points[index],
            xytext=(-2 if is_at_edge else 2, 2),
            textcoords="offset points",
            ha="right" if is_at_edge else "left",
            fontsize=7,
        )


def _texts(values: xr.DataArray, dimension: str) -> list[str]:
    """The labels of a dimension as they are written on an axis."""
    labels = values[dimension].to_numpy().tolist()
    return [f"{label:g}" if isinstance(label, float) else str(label) for label in labels]


def _scale(maps: np.ndarray) -> tuple[Normalize, str]:
    finite = maps[np.isfinite(maps)]
    largest = float(np.abs(finite).max(initial=1e-30))
    if finite.min(initial=0) < 0:
        return TwoSlopeNorm(0, -largest, largest), "bwr"
    return Normalize(0, largest), "viridis"


def _blank(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
