import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from fitb_jax import plotting

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(size=(5, 6, 1)).astype(np.float32)
MASK = (RNG.uniform(size=(5, 6)) < 0.5).astype(np.float32)


def _pixels(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_red_adds_and_blue_takes_away_on_hidden_pixels_only() -> None:
    update = RNG.choice([-1.0, 1.0], size=(5, 6, 1)).astype(np.float32)
    drawn, base = plotting.overlay(IMAGE, MASK, update), plotting.masked(IMAGE, MASK)
    hidden = MASK == 0
    np.testing.assert_array_equal(drawn[~hidden], base[~hidden])
    adding, taking = hidden & (update[..., 0] > 0), hidden & (update[..., 0] < 0)
    np.testing.assert_allclose(drawn[adding], [[1, 0, 0]] * adding.sum())
    np.testing.assert_allclose(drawn[taking], [[0, 0, 1]] * taking.sum())


def test_no_update_shows_the_masked_image() -> None:
    drawn = plotting.overlay(IMAGE, MASK, np.zeros_like(IMAGE))
    np.testing.assert_array_equal(drawn, plotting.masked(IMAGE, MASK))
    whole = plotting.overlay(IMAGE, np.ones_like(MASK), IMAGE)
    np.testing.assert_allclose(whole, plotting.as_rgb(IMAGE))


def test_colour_images_stay_in_colour() -> None:
    colour = RNG.uniform(size=(5, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(plotting.as_rgb(colour), colour)
    with pytest.raises(ValueError, match=r"image must have shape"):
        plotting.as_rgb(RNG.uniform(size=(5, 6, 2)).astype(np.float32))


def test_figures_draw_what_they_are_given() -> None:
    grid = plotting.image_grid(
        [[IMAGE, None], [plotting.masked(IMAGE, MASK), IMAGE]],
        column_titles=["a", "b"],
        row_titles=["c", "d"],
        captions=[["1", ""], ["2", "3"]],
    )
    assert _pixels(grid).std() > 1
    maps = np.stack([IMAGE - 0.5, IMAGE])
    maps[0, 0, 0] = np.nan
    figure = plotting.signed_maps([maps, np.abs(maps)], units=["nats", "nats"])
    images = [axis.images[0] for axis in figure.axes if axis.images]
    assert images[0].norm.vmin == -images[0].norm.vmax
    assert images[-1].norm.vmin == 0
    assert _pixels(figure).std() > 1


def test_heat_map_prints_its_numbers_by_label() -> None:
    figure = Figure()
    axis = figure.subplots()
    cells = xr.DataArray(
        [[0.25, 0.75], [0.5, 1.0]], {"patch": [3, 4], "ratio": [0.1, 0.5]}, ("patch", "ratio")
    )
    plotting.heat_map(axis, cells, rows="ratio", columns="patch", title="t")
    texts = {text.get_position(): text.get_text() for text in axis.texts}
    assert texts == {(0, 0): "0.25", (1, 0): "0.50", (0, 1): "0.75", (1, 1): "1.00"}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0.1", "0.5"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["3", "4"]


INTERVALS = xr.DataArray(
    [[[0.5, 0.4, 0.7], [0.2, 0.1, np.nan]]],
    {"group": ["g"], "bar": ["b", "c"], "interval": ["estimate", "low", "high"]},
    ("group", "bar", "interval"),
)


@pytest.mark.parametrize("is_horizontal", [False, True])
def test_interval_chart_draws_the_interval(is_horizontal: bool) -> None:
    axis = Figure().subplots()
    plotting.interval_chart(
        axis, INTERVALS, groups="group", bars="bar", title="t", is_horizontal=is_horizontal
    )
    ends = axis.collections[0].get_segments()[0][:, 0 if is_horizontal else 1]
    np.testing.assert_allclose(ends, (0.4, 0.7))
    # An end that is not known is not drawn.
    unknown = axis.collections[1].get_segments()[0][:, 0 if is_horizontal else 1]
    np.testing.assert_allclose(unknown, (0.1, 0.2))
    labels = axis.get_yticklabels() if is_horizontal else axis.get_xticklabels()
    assert [label.get_text() for label in labels] == ["g"]
    assert axis.get_legend_handles_labels()[1] == ["b", "c"]


def test_a_band_goes_along_its_labels() -> None:
    axis = Figure().subplots()
    values = INTERVALS.isel(group=0).rename(bar="ratio").assign_coords(ratio=[0.25, 0.5])
    control = xr.DataArray([0.0, 0.1], {"ratio": [0.25, 0.5]}, ("ratio",))
    plotting.band(axis, values, along="ratio", label="ours", control=control)
    line, dashed = axis.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), [0.25, 0.5])
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 0.2])
    np.testing.assert_array_equal(dashed.get_ydata(), control)
    assert dashed.get_color() == line.get_color()


def test_strips_show_a_line_for_each_label() -> None:
    maps = xr.DataArray(
        RNG.random((2, 3, 4, 5)),
        {"method": ["a", "b"], "case": ["x", "y", "z"]},
        ("method", "case", "row", "column"),
    )
    figure = plotting.map_strips(
        maps.transpose("case", "method", ...), rows="method", columns="case", show=plotting.heat
    )
    assert [axis.get_title() for axis in figure.axes] == ["x", "y", "z", "", "", ""]
    assert [axis.get_ylabel() for axis in figure.axes] == ["a", "", "", "b", "", ""]
    shown = figure.axes[3].images[0].get_array()
    np.testing.assert_allclose(shown, plotting.heat(maps.values[1, 0]))


def test_scatter_names_classes_at_their_medians() -> None:
    axis = Figure().subplots()
    points = np.array([[0.0, 0.0], [1.0, 2.0], [9.0, 4.0], [5.0, 5.0]])
    plotting.scatter(axis, points, np.array([0, 0, 0, 2]), ["a", "absent", "c"])
    assert {text.get_text(): text.get_position() for text in axis.texts} == {
        "a": (1.0, 2.0),
        "c": (5.0, 5.0),
    }
    drawn = [np.asarray(each.get_offsets()) for each in axis.collections]
    np.testing.assert_array_equal(np.concatenate(drawn), points)
    first, last = (tuple(each.get_facecolor()[0]) for each in axis.collections)
    assert first != last
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\)"):
        plotting.scatter(axis, points, np.array([0, 0, 0, 1]), ["a"])


def test_heat_is_white_at_0_of_a_signed_map_and_dark_at_0_of_another() -> None:
    signed = plotting.heat(np.array([[-1.0, 0.0], [0.5, 1.0]]), largest=1.0)
    np.testing.assert_allclose(signed[0], [[0, 0, 1], [1, 1, 1]], atol=0.01)
    assert signed[1, 1, 0] == 1
    unsigned = plotting.heat(np.array([[0.0, 1.0], [2.0, 4.0]]))
    assert (np.diff(unsigned.sum(-1).ravel()) > 0).all()
    assert plotting.heat(np.zeros((2, 2))).shape == (2, 2, 3)


def test_heat_shows_the_image_that_it_is_over_in_grey() -> None:
    values, image = np.zeros((2, 2)), np.zeros((2, 2, 3))
    image[0, 0] = (0.9, 0.0, 0.0)
    difference = plotting.heat(values, over=image) - plotting.heat(values, over=0 * image)
    np.testing.assert_allclose(difference[0, 0], plotting.SHOWN_THROUGH * 0.3)
    np.testing.assert_array_equal(difference[1], 0)


def test_captions_stand_under_their_pictures() -> None:
    figure = plotting.captioned_grid([[(IMAGE, "a"), (None, "")], [(IMAGE, "b")]])
    assert [axis.get_xlabel() for axis in figure.axes] == ["a", "", "b", ""]
    assert [len(axis.images) for axis in figure.axes] == [1, 0, 1, 0]


def test_names_are_not_written_over_one_another() -> None:
    points = np.array([[0.0, 0.0], [0.01, 0.001], [1.0, 1.0], [0.5, 0.5]])
    axis = Figure().subplots()
    taken = np.array([[0.5, 0.51]])
    plotting.name_points(axis, points, ["a", "b", "c", "d"], most=9, taken=taken)
    names = {text.get_text() for text in axis.texts}
    assert "c" in names
    assert len(names & {"a", "b"}) == 1
    assert "d" not in names
    few = Figure().subplots()
    plotting.name_points(few, points, ["a", "b", "c", "d"], most=1, taken=taken)
    assert len(few.texts) == 1


def test_ranked_heat_knows_no_scale() -> None:
    saliency = RNG.normal(size=(5, 6)).astype(np.float32)
    found = plotting.ranked_heat(saliency, over=IMAGE)
    np.testing.assert_allclose(plotting.ranked_heat(saliency**3, over=IMAGE), found)


def test_dots_are_the_cases_and_dashes_their_means() -> None:
    values = xr.DataArray(
        [[[0.0, 1.0], [2.0, 4.0]]],
        {"image": ["a"], "method": ["ours", "theirs"], "seen": ["one", "two"]},
        ("image", "method", "seen"),
    )
    values = xr.concat([values, values + 1], "image")
    axis = Figure().subplots()
    plotting.dots(axis, values, groups="seen", cases="image", bars="method", spread=0.2)
    ours, mean, theirs, _ = axis.get_lines()
    np.testing.assert_allclose(ours.get_xdata(), [-0.1, -0.1, 0.9, 0.9])
    np.testing.assert_allclose(ours.get_ydata(), [0, 1, 1, 2])
    np.testing.assert_allclose(mean.get_ydata(), [0.5, 1.5])
    np.testing.assert_allclose(theirs.get_xdata(), [0.1, 0.1, 1.1, 1.1])
    assert mean.get_color() == ours.get_color() != theirs.get_color()
    assert axis.get_legend_handles_labels()[1] == ["ours", "theirs"]


def test_the_legend_below_names_the_lines_of_a_panel() -> None:
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], label="a line")
    right.plot([0, 1], label="another")
    plotting.legend_below(figure, left, columns=2)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a line"]
