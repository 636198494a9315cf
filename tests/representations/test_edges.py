"""Edge smoothing against its definition, and the batched way against OpenCV's."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from toonlab import images as im
from toonlab.representations.canny import canny, luma
from toonlab.representations.edges import EdgeSmooth


def disc() -> torch.Tensor:
    """A bright disc on faint noise, off the middle; on the 8-bit grid, as crops are."""
    y, x = np.mgrid[:40, :48]
    array = np.random.default_rng(0).integers(40, 52, (40, 48, 3), np.uint8)
    array[(x - 30) ** 2 + (y - 12) ** 2 < 81] += np.array([150, 100, 170], np.uint8)
    return im.from_uint8(torch.from_numpy(array).permute(2, 0, 1))


def around(y: int, x: int, radius: int) -> Iterator[tuple[int, int]]:
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            yield y + dy, x + dx


def mirrored(i: int, n: int) -> int:
    i = abs(i)
    return min(i, 2 * (n - 1) - i)


def test_equals_the_slow_definition() -> None:
    image = disc()
    array = im.to_array(image).astype(int)
    height, width, _ = array.shape
    edges = cv2.Canny(cv2.cvtColor(array.astype(np.uint8), cv2.COLOR_RGB2GRAY), 100, 200)
    taps = [1, 4, 6, 4, 1]
    expected = array.copy()
    for y in range(height):
        for x in range(width):
            near = [(v, u) for v, u in around(y, x, 2) if 0 <= v < height and 0 <= u < width]
            if any(edges[v, u] for v, u in near):
                total = np.zeros(3, dtype=int)
                for v, u in around(y, x, 2):
                    weight = taps[v - y + 2] * taps[u - x + 2]
                    total += weight * array[mirrored(v, height), mirrored(u, width)]
                expected[y, x] = np.floor(total / 256 + 0.5)
    assert 100 < (expected != array).any(-1).sum() < height * width / 2
    assert np.array_equal(im.to_array(EdgeSmooth()(image)), expected)


def test_step_edge_is_blurred_along_a_band_and_unchanged_elsewhere() -> None:
    image = torch.full((3, 20, 20), -1.0)
    image[..., 10:] = 1.0
    changed = (EdgeSmooth()(image) != image).any(0)
    # A Gaussian of radius 2 alters the two columns on either side of the step, no others.
    assert changed.any(0).nonzero().flatten().tolist() == [8, 9, 10, 11]


def test_flat_image_and_faint_steps_are_unchanged() -> None:
    flat = torch.rand(3, 1, 1).expand(3, 24, 24)
    assert torch.equal(EdgeSmooth()(flat), flat)
    faint = im.from_uint8(torch.full((3, 24, 24), 100, dtype=torch.uint8))
    faint[..., 12:] = 110 / 127.5 - 1  # a Sobel response of 4 * 10, under the lower threshold
    assert torch.equal(EdgeSmooth()(faint), faint)
    assert not torch.equal(EdgeSmooth(low=20, high=30)(faint), faint)


def test_edges_are_those_of_luminance() -> None:
    """A step of 180 is 54 grey levels in red (Sobel 215, an edge) and 21 in blue (82, none)."""
    for channel, is_edge in ((0, True), (2, False)):
        image = torch.full((3, 20, 20), -1.0)
        image[channel, :, 10:] = 180 / 127.5 - 1
        assert torch.equal(EdgeSmooth()(image), image) != is_edge


def test_feather_mixes_image_and_blur() -> None:
    image = disc()
    hard, soft = EdgeSmooth()(image), EdgeSmooth(feather=2)(image)
    blurred = torch.from_numpy(cv2.GaussianBlur(im.to_array(image), (5, 5), 0)).permute(2, 0, 1)
    low, high = torch.minimum(image, im.from_uint8(blurred)), torch.maximum(image, im.from_uint8(blurred))
    assert ((soft >= low - 1e-6) & (soft <= high + 1e-6)).all()
    assert not torch.equal(hard, soft)
    assert torch.equal(soft[:, 35:, :10], image[:, 35:, :10])  # far from the disc


def test_the_input_is_left_alone_and_bad_arguments_are_refused() -> None:
    image = disc()
    copy = image.clone()
    EdgeSmooth()(image)
    assert torch.equal(image, copy)
    with pytest.raises(ValueError, match="odd kernel"):
        EdgeSmooth(kernel=4)
    for bad in ({"feather": -1}, {"backend": "opencl"}):
        with pytest.raises(ValueError, match=r"feather >= 0|backend=opencl"):
            EdgeSmooth(**bad)


BACKENDS = pytest.mark.parametrize("backend", ["opencv", "torch"])


@BACKENDS
def test_nan_and_other_shapes_are_refused(backend: str) -> None:
    smooth, image = EdgeSmooth(backend=backend), disc()
    for shape in ((40, 48), (1, 40, 48), (2, 1, 40, 48), (1, 2, 3, 8, 8), (0, 3, 8, 8)):
        with pytest.raises(ValueError, match=r"needs \(3, H, W\)"):
            smooth(torch.zeros(shape))
    image[1, 5, 7] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        smooth(image)
    with pytest.raises(ValueError, match="NaN"):
        smooth(torch.stack([disc(), image]))


@BACKENDS
def test_a_batch_is_its_images(backend: str) -> None:
    smooth = EdgeSmooth(backend=backend, feather=1)
    batch = torch.stack([disc(), disc().flip(-1), -disc()])
    assert torch.equal(smooth(batch), torch.stack([smooth(image) for image in batch]))


def photographs() -> list[torch.Tensor]:
    """Crops of scikit-image's own pictures, 256 pixels and `(3, H, W)`."""
    pictures = [data.astronaut(), data.coffee(), data.chelsea()]
    crops = [picture[20:276, 150:406] for picture in pictures]
    return [im.from_uint8(torch.from_numpy(crop.copy()).permute(2, 0, 1)) for crop in crops]


@pytest.mark.parametrize(("kernel", "feather"), [(3, 0), (5, 0), (5, 2), (9, 1)])
def test_torch_gives_opencvs_picture(kernel: int, feather: int) -> None:
    for image in photographs():
        ours = EdgeSmooth(kernel=kernel, feather=feather, backend="torch")(image)
        theirs = EdgeSmooth(kernel=kernel, feather=feather, backend="opencv")(image)
        changed = (theirs != image).any(0)
        assert 0.1 < changed.float().mean() < 0.9
        if feather:  # a mean of ones and zeros, rounded in another order
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
        else:
            assert torch.equal(ours, theirs)


def test_a_wide_gaussian_is_within_one_grey_level() -> None:
    """From 11 pixels on OpenCV rounds the kernel itself to 1/256."""
    image = photographs()[0]
    ours, theirs = (EdgeSmooth(kernel=13, backend=backend)(image) for backend in ("torch", "opencv"))
    assert (ours - theirs).abs().max() < 1.01 / 127.5


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 257),
    width=st.integers(1, 389),
    kind=st.sampled_from(["noise", "soft", "steps", "flat", "line"]),
    low=st.floats(0, 500),
    more=st.floats(0, 500),
    seed=st.integers(0, 99),
)
def test_edges_are_opencvs_pixel_for_pixel(
    height: int, width: int, kind: str, low: float, more: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    if kind == "soft":
        picture = cv2.GaussianBlur(picture, (7, 7), 0)
    if kind == "steps":  # many equal neighbours
        picture = picture // 64 * 64
    if kind in ("flat", "line"):
        picture[:] = rng.integers(0, 256, 3)
    if kind == "line":
        picture[rng.integers(height)] = 255
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    ours = luma(torch.from_numpy(picture).permute(2, 0, 1)[None].int())
    assert np.array_equal(ours[0].numpy(), grey)
    assert np.array_equal(canny(ours, low, low + more)[0].numpy(), cv2.Canny(grey, low, low + more) > 0)


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    feather=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_backends_agree_on_images_smaller_than_the_kernel_too(
    height: int, width: int, feather: int, seed: int
) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (3, height, width), np.uint8)
    image = im.from_uint8(torch.from_numpy(levels))
    ours, theirs = (EdgeSmooth(feather=feather, backend=backend)(image) for backend in ("torch", "opencv"))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_hysteresis_follows_a_chain_of_any_length() -> None:
    """A line that fades: strong at one end alone, weak for 300 pixels, and all of it an edge."""
    grey = np.zeros((9, 310), np.uint8)
    grey[4:] = np.linspace(60, 30, 310).astype(np.uint8)  # Sobel: 240 down to 120
    edges = canny(torch.from_numpy(grey)[None].int(), 100, 235)[0]
    assert np.array_equal(edges.numpy(), cv2.Canny(grey, 100, 235) > 0)
    assert edges.any(0).all()


def test_half_precision_keeps_its_type() -> None:
    image = disc().half()
    for backend in ("opencv", "torch"):
        assert EdgeSmooth(backend=backend)(image).dtype == torch.float16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_batch_stays_there_and_gets_the_same_edges() -> None:
    batch = torch.stack(photographs())
    with torch.autocast("cuda", dtype=torch.bfloat16):
        ours = EdgeSmooth()(batch.cuda())
    assert ours.is_cuda
    torch.testing.assert_close(ours.cpu(), EdgeSmooth()(batch), atol=1e-6, rtol=0)
