"""Drawing: pictures of masks, updates and fills, and charts of numbers, from saved arrays.

Every function returns a `matplotlib.figure.Figure` or draws into an `Axes`; nothing touches
pyplot's global state, so that figures can be drawn in any process and order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

HIDDEN_GREY = 0.35
"""What a blank looks like: a grey that is neither the black of a digit's surround nor its ink."""

SHOWN_THROUGH = 0.35
"""Share of the image in what is seen of a map over it."""


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
        saliency: (h, w).
        largest: magnitude of full colour; by default the 99th percentile of the magnitudes, so that
            one pixel does not darken the rest.
        signed: whether 0 is white; by default where any value is negative.
        colours: name of Matplotlib's colours of a map that is not signed.
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
    values: Float[np.ndarray, "rows columns"],
    *,
    row_labels: Sequence[Any],
    column_labels: Sequence[Any],
    title: str,
    limits: tuple[float, float] | None = None,
) -> None:
    """A table of numbers as coloured cells with the numbers in them.

    Args:
        axis: where to draw.
        values: (rows, columns).
        row_labels: one per row.
        column_labels: one per column.
        title: above the cells.
        limits: values at the ends of the colour scale; by default those of the data.
    """
    low, high = limits or (float(np.nanmin(values)), float(np.nanmax(values)))
    drawn = axis.imshow(values, vmin=low, vmax=high, cmap="viridis", aspect="auto")
    axis.set_xticks(range(len(column_labels)), [str(label) for label in column_labels])
    axis.set_yticks(range(len(row_labels)), [str(label) for label in row_labels])
    axis.set_title(title, fontsize=9)
    for (row, column), value in np.ndenumerate(values):
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
    values: Float[np.ndarray, "groups bars 3"],
    *,
    group_labels: Sequence[str],
    bar_labels: Sequence[str],
    title: str,
) -> None:
    """Points with intervals, grouped.

    Args:
        axis: where to draw.
        values: (groups, bars, 3): estimate, lower and upper end.
        group_labels: under each group.
        bar_labels: in the legend.
        title: above the chart.
    """
    groups, bars, _ = values.shape
    for bar in range(bars):
        at = np.arange(groups) + (bar - (bars - 1) / 2) * 0.8 / bars
        estimate, low, high = values[:, bar].T
        axis.errorbar(
            at,
            estimate,
            yerr=np.clip([estimate - low, high - estimate], 0, None),
            fmt="o",
            markersize=4,
            capsize=2,
            label=bar_labels[bar],
        )
    axis.set_xticks(range(groups), group_labels, fontsize=8)
    axis.set_title(title, fontsize=9)
    axis.grid(axis="y", alpha=0.3)


def band(
    axis: Axes,
    places: Float[np.ndarray, "n"],
    values: Float[np.ndarray, "n 3"],
    *,
    label: str,
    control: Float[np.ndarray, "n"],
) -> None:
    """A curve with its band, and a dashed one of the same colour for a control.

    Args:
        axis: where to draw.
        places: on the horizontal axis, (n,).
        values: estimate, lower and upper end, (n, 3).
        label: in the legend.
        control: values without a band, (n,).
    """
    (line,) = axis.plot(places, values[:, 0], marker="o", markersize=3, label=label)
    axis.fill_between(places, values[:, 1], values[:, 2], alpha=0.2, color=line.get_color())
    axis.plot(places, control, linestyle="--", linewidth=0.9, color=line.get_color())
    axis.grid(alpha=0.3)


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
