"""The flow and what follows it, against definitions written out pixel by pixel."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import flow_reference as reference
from toonlab import images as im
from toonlab.representations.flow import EdgeTangentFlow, FlowAbstraction, FlowBilateral, FlowLines, Tones
from toonlab.representations.flow.walks import gaussian

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


def photo(name: str, top: int = 0, left: int = 0, size: int = 100_000) -> np.ndarray:
    rgb = np.asarray(im.decode(Path(skimage.__file__).parent / "data" / name).rgb)
    return rgb[top : top + size, left : left + size].astype(np.float32)


def grey(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def drawing(**changes) -> FlowAbstraction:
    parts = {"field": EdgeTangentFlow(), "lines": FlowLines(), "colours": FlowBilateral(), "tones": Tones()}
    return FlowAbstraction(**parts | changes)


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between directions, where there are any."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    cross = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    return np.degrees(np.arctan2(cross, np.abs((a * b).sum(-1))))[(a != 0).any(-1)]


@pytest.mark.parametrize("weight", ["linear", "tanh"])
@pytest.mark.parametrize("method", ["full", "separable"])
def test_an_iteration_is_its_definition(weight: str, method: str) -> None:
    patch = grey(photo("coffee.png", 150, 200, 26))[:, :22]
    start = EdgeTangentFlow(iterations=0)(patch)
    blurred = cv2.GaussianBlur(patch, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
    gradient = [cv2.Sobel(blurred, cv2.CV_32F, *d, borderType=cv2.BORDER_REPLICATE) for d in ((1, 0), (0, 1))]
    magnitude = np.hypot(*gradient).astype(np.float64)
    wanted = reference.edge_tangent_flow(start.astype(np.float64), magnitude / magnitude.max(), 5, weight)
    ours = EdgeTangentFlow(iterations=1, weight=weight, method=method)(patch)
    assert angles(wanted, ours).max() < 0.2


@pytest.mark.parametrize("weight", ["linear", "tanh"])
@pytest.mark.parametrize("name", PHOTOS)
def test_the_separable_short_cut_is_within_a_third_of_a_degree(weight: str, name: str) -> None:
    picture = grey(photo(name))
    exact = EdgeTangentFlow(weight=weight, method="full")(picture)
    assert np.percentile(angles(exact, EdgeTangentFlow(weight=weight)(picture)), 99.9) <= 0.3


def test_tangents_run_along_edges() -> None:
    picture = np.zeros((40, 40), np.float32)
    picture[20:] = 200
    tangents = EdgeTangentFlow()(picture)
    assert np.abs(tangents[18:22, :, 0]).min() > 0.999
    assert not tangents[:5].any()  # flat: no direction
    length = np.hypot(tangents[..., 0], tangents[..., 1])
    assert np.allclose(length[length > 0], 1, atol=1e-5)


def test_supports_end_where_the_papers_program_ends_them() -> None:
    assert [len(gaussian(sigma)) - 1 for sigma in (1.0, 1.6, 3.0)] == [4, 6, 10]
    assert gaussian(2.0)[3] == pytest.approx(reference.normal(3, 2.0))


@pytest.mark.parametrize(
    ("name", "top", "left"),
    [("astronaut.png", 60, 180), pytest.param("coffee.png", 100, 250, marks=pytest.mark.slow)],
)
def test_lines_and_smoothing_are_their_definitions(name: str, top: int, left: int) -> None:
    rgb = photo(name, top, left, 72)
    picture, tangents = grey(rgb), EdgeTangentFlow()(grey(rgb))
    exact_flow = tangents.astype(np.float64)
    response = reference.line_response(picture.astype(np.float64), exact_flow)
    wanted = np.where((response < 0) & (1 + np.tanh(response) < 0.5), 0.0, 1.0)
    lines = FlowLines(anti_alias=False)(picture, tangents)
    assert 0.01 < (wanted == 0).mean() < 0.9
    assert (lines == wanted).mean() >= 0.99
    assert np.abs(FlowLines().response(picture, tangents) - response).mean() < 0.01

    smooth = FlowBilateral(iterations=1)(rgb, tangents)
    across = reference.bilateral(rgb.astype(np.float64), exact_flow, 2.0, 10.0, follow=False)
    exact = reference.bilateral(across, exact_flow, 2.0, 50.0, follow=True)
    assert np.abs(smooth - exact).mean() < 0.05
    assert np.percentile(np.abs(smooth - exact), 99.9) < 1


def test_later_passes_close_gaps_and_erase_nothing() -> None:
    picture = grey(photo("astronaut.png"))
    tangents = EdgeTangentFlow()(picture)
    once, thrice = (FlowLines(passes=n, anti_alias=False)(picture, tangents) for n in (1, 3))
    assert (thrice <= once).all()
    assert (once == 0).mean() < (thrice == 0).mean() < 2.5 * (once == 0).mean()


def test_tones_by_hand() -> None:
    tones = Tones(bins=8, sharpness=3.0)
    lightness = np.array([[0.0, 6.25, 10.0, 100.0]], np.float32)
    by_hand = [
        6.25 + 6.25 * np.tanh(-3),
        6.25,
        6.25 + 6.25 * np.tanh(3 * 3.75 / 6.25),
        93.75 + 6.25 * np.tanh(3),
    ]
    assert np.allclose(tones.quantised(lightness), [by_hand], atol=1e-4)
    ramp = tones.quantised(np.linspace(0, 100, 100_001, dtype=np.float32)[None])[0]
    assert np.diff(ramp).min() > -1e-3  # never darker where the photo is lighter
    assert np.diff(ramp).max() < 0.005 * 12.5 + 0.01  # and the step at a border is 0.5 % of a bin


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_gets_lines_but_is_not_covered_by_them(name: str) -> None:
    rgb = photo(name)
    lines = FlowLines(anti_alias=False)(grey(rgb), EdgeTangentFlow()(grey(rgb)))
    assert 0.01 < (lines == 0).mean() < 0.35  # tau is for 0..255: on [0, 1] the map would be empty


@pytest.mark.parametrize("show", ["cartoon", "lines", "field", "bilateral", "tones"])
def test_zero_to_one_and_minus_one_to_one_callers_get_one_picture(show: str) -> None:
    unit = torch.from_numpy(photo("chelsea.png", 50, 100, 160) / 255).permute(2, 0, 1)[None]
    ours = drawing(show=show)(unit * 2 - 1)
    theirs = drawing(show=show, black=0.0)(unit)
    assert theirs.min() >= 0
    assert ((ours + 1) / 2 - theirs).abs().mean() < 1e-3


def test_threads_batches_and_repeats_change_nothing() -> None:
    rgb = photo("coffee.png", 0, 0, 200)
    image = torch.from_numpy(rgb / 127.5 - 1).permute(2, 0, 1)
    batch = torch.stack([image, image.flip(-1)])
    one = drawing(threads=1)(batch)
    assert torch.equal(one, drawing(threads=2)(batch))
    assert torch.equal(one[1:], drawing(threads=1)(batch[1:]))


def test_grey_pictures_are_grey_colour_pictures() -> None:
    luma = torch.from_numpy(grey(photo("chelsea.png", 50, 100, 96)) / 127.5 - 1)[None, None]
    drawn = drawing()(luma)
    assert drawn.shape == luma.shape
    assert torch.allclose(drawn, drawing()(luma.expand(-1, 3, -1, -1)).mean(1, keepdim=True), atol=1e-5)


def test_a_large_photo_is_drawn_as_its_small_copy() -> None:
    small = photo("astronaut.png", 0, 0, 256)
    large = cv2.resize(small, (768, 768), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    as_tensors = [torch.from_numpy(p / 127.5 - 1).permute(2, 0, 1)[None] for p in (small, large)]
    a, b = (drawing(show="lines", reference_side=256)(image) for image in as_tensors)
    b = torch.nn.functional.avg_pool2d(b, 3)
    native = drawing(show="lines", reference_side=None)(as_tensors[1])
    native = torch.nn.functional.avg_pool2d(native, 3)
    assert (a - b).abs().mean() < 0.75 * (a - native).abs().mean()
    assert abs((a < 0).float().mean() - (b < 0).float().mean()) < 0.05


def test_line_strength_darkens_lines_only() -> None:
    image = torch.from_numpy(photo("astronaut.png", 0, 100, 128) / 127.5 - 1).permute(2, 0, 1)[None]
    none, half, full = (drawing(line_strength=s)(image) for s in (0.0, 0.5, 1.0))
    on_line = (drawing(show="lines")(image) < -0.99).all(1, keepdim=True).expand_as(image)
    assert on_line.any()
    assert torch.allclose(full[on_line], torch.tensor(-1.0), atol=0.02)
    assert torch.allclose(half, (none + full) / 2, atol=1e-4)
    assert torch.equal(none, drawing(show="tones")(image))


SIZES = st.tuples(st.integers(1, 257), st.integers(1, 389)) | st.sampled_from([(1, 1), (1, 389), (257, 1)])


@settings(max_examples=25, deadline=None)
@given(size=SIZES, kind=st.sampled_from(["noise", "constant", "line"]), seed=st.integers(0, 9))
def test_any_size_and_any_picture(size: tuple[int, int], kind: str, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, *size, generator=rng) * 2 - 1
    if kind != "noise":
        image = image[..., :1, :1].expand(-1, -1, *size).clone()
    if kind == "line":
        image[..., size[0] // 2, :] = -1
    for show in ("cartoon", "lines", "field"):
        drawn = drawing(show=show)(image)
        assert drawn.shape == image.shape
        assert torch.isfinite(drawn).all()
        assert drawn.min() >= -1.001
        assert drawn.max() <= 1.001
        if kind == "constant" and show == "lines":
            assert (drawn == 1).all()


def test_a_dark_hair_on_white_becomes_a_line() -> None:
    image = torch.ones(1, 3, 41, 60)
    image[..., 20, :] = -1
    lines = drawing(show="lines")(image)
    assert (lines[..., 20, :] <= 0).all()  # the 3x3 Gaussian leaves half of a line one pixel wide
    assert (lines[..., :16, :] == 1).all()


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 2, 8, 8), (0, 3, 8, 8), (1, 3, 0, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="FlowAbstraction needs"):
        drawing()(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        drawing()(image)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EdgeTangentFlow(weight="linaer"), "did you mean 'linear'"),
        (lambda: EdgeTangentFlow(radius=0), "radius=0"),
        (lambda: FlowLines(tau=0), "tau=0"),
        (lambda: FlowLines(sigma_c=0), "sigma"),
        (lambda: FlowBilateral(range_g=0), "range_g=0"),
        (lambda: Tones(bins=-1), "bins=-1"),
        (lambda: drawing(show="line"), "did you mean 'lines'"),
        (lambda: drawing(line_strength=2), "line_strength=2"),
    ],
)
def test_wrong_parameters_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
