"""The guided filter against He et al.'s equations in float64, at its borders and at its limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.filters import guided_blur
from torch import Tensor

from toonlab.representations.surface import Surface, _filter, guided_filter

Mean = Callable[[np.ndarray, int], np.ndarray]
RADII = st.integers(1, 6)


def mean_by_pixel(values: np.ndarray, radius: int) -> np.ndarray:
    """A loop over pixels and windows cut at the border."""
    out = np.empty_like(values)
    for i, j in np.ndindex(values.shape):
        window = values[max(i - radius, 0) : i + radius + 1, max(j - radius, 0) : j + radius + 1]
        out[i, j] = window.mean()
    return out


def mean_by_offset(values: np.ndarray, radius: int) -> np.ndarray:
    """The same, a loop over the window's offsets: quick enough for large images."""
    height, width = values.shape
    padded, inside = np.pad(values, radius), np.pad(np.ones_like(values), radius)
    total, count = np.zeros_like(values), np.zeros_like(values)
    for i, j in np.ndindex(2 * radius + 1, 2 * radius + 1):
        total += padded[i : i + height, j : j + width]
        count += inside[i : i + height, j : j + width]
    return total / count


def reference(
    guide: np.ndarray, image: np.ndarray, radius: int, eps: float, mean=mean_by_offset
) -> np.ndarray:
    """He et al.'s equations, channel by channel, in float64."""
    filtered = []
    for x, y in zip(guide.astype(np.float64), image.astype(np.float64), strict=True):
        mean_x, mean_y = mean(x, radius), mean(y, radius)
        covariance = mean(x * y, radius) - mean_x * mean_y
        slope = covariance / (mean(x * x, radius) - mean_x**2 + eps)
        filtered.append(mean(slope, radius) * x + mean(mean_y - slope * mean_x, radius))
    return np.stack(filtered)


def picture(kind: str, height: int, width: int, seed: int) -> np.ndarray:
    """`(3, H, W)` float32 in [-1, 1]."""
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return rng.uniform(-1, 1, (3, height, width)).astype(np.float32)
    image = np.full((3, height, width), rng.uniform(-1, 1), dtype=np.float32)
    if kind == "line":  # one pixel wide, of the other sign
        image[:, rng.integers(height)] *= -1
    return image


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 12), width=st.integers(1, 12), radius=RADII, seed=st.integers(0, 99))
def test_is_the_definition_at_any_small_size(height: int, width: int, radius: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    guide, image = rng.uniform(-1, 1, (2, 3, height, width))
    ours = guided_filter(torch.tensor(guide)[None], torch.tensor(image)[None], radius, 0.2)[0]
    theirs = reference(guide, image, radius, 0.2, mean_by_pixel)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
    np.testing.assert_allclose(reference(guide, image, radius, 0.2), theirs, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 257),
    width=st.integers(1, 389),
    radius=RADII,
    eps=st.sampled_from([0.2, 1e-2, 5e-3]),
    kinds=st.tuples(*[st.sampled_from(["noise", "flat", "line"])] * 2),
    seed=st.integers(0, 99),
)
def test_is_the_definition_at_any_size_and_on_any_picture(
    height: int, width: int, radius: int, eps: float, kinds: tuple[str, str], seed: int
) -> None:
    guide, image = (picture(kind, height, width, seed + i) for i, kind in enumerate(kinds))
    batch = torch.from_numpy(np.stack([guide, image]))
    ours = guided_filter(batch[:1], batch[1:], radius, eps)[0]
    np.testing.assert_allclose(ours.numpy(), reference(guide, image, radius, eps), atol=1e-5)
    ours = guided_filter(batch, batch, radius, eps)[0]  # one tensor twice takes a shorter way
    np.testing.assert_allclose(ours.numpy(), reference(guide, guide, radius, eps), atol=1e-5)


@pytest.mark.parametrize("shape", [(257, 389), (1, 389), (257, 1), (1, 1)])
def test_is_the_definition_at_the_extremes(shape: tuple[int, int]) -> None:
    image = picture("noise", *shape, seed=3)
    ours = Surface()(torch.from_numpy(image)[None])[0]
    np.testing.assert_allclose(ours.numpy(), reference(image, image, 5, 0.2), atol=1e-5)


def test_a_window_beyond_the_image_is_the_whole_image() -> None:
    image = noise(1, 3, 4, 6)
    torch.testing.assert_close(guided_filter(image, image, 5, 0.2), guided_filter(image, image, 99, 0.2))


def test_is_kornias_inside_when_channels_are_apart() -> None:
    images = noise(2, 3, 40, 40)
    flat = images.flatten(0, 1).unsqueeze(1)
    theirs = guided_blur(flat, flat, 11, 0.2).reshape_as(images)
    inside = (..., slice(10, -10), slice(10, -10))
    torch.testing.assert_close(Surface()(images)[inside], theirs[inside], atol=1e-5, rtol=0)


def test_limits() -> None:
    image = noise(1, 3, 16, 16)
    torch.testing.assert_close(guided_filter(image, image, 2, 1e-9), image, atol=1e-4, rtol=0)
    torch.testing.assert_close(guided_filter(image, image, 0, 0.2), image, atol=1e-6, rtol=0)
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(guided_filter(flat, flat, 2, 0.2), flat, atol=1e-6, rtol=0)


def test_leaves_autocast_forward_and_backward() -> None:
    image = noise(1, 3, 16, 16).requires_grad_()
    exact = guided_filter(image, image, 5, 0.2)
    exact.square().sum().backward()
    wanted, image.grad = image.grad, None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = guided_filter(image, image, 5, 0.2)
        assert ours.dtype == torch.float32
        assert torch.equal(ours, exact)
        ours.square().sum().backward()
    assert torch.equal(image.grad, wanted)


def test_halves_are_filtered_in_single_precision() -> None:
    half = noise(1, 3, 16, 16).bfloat16()
    assert torch.equal(guided_filter(half, half, 5, 1e-4), guided_filter(half.float(), half.float(), 5, 1e-4))


@pytest.mark.parametrize(("height", "width", "radius"), [(7, 6, 2), (5, 9, 3), (3, 2, 5), (1, 1, 1)])
def test_gradients_in_float64(height: int, width: int, radius: int) -> None:
    """Of the arithmetic itself, which keeps its input's precision; the public function only casts."""
    x, y = (noise(2, height, width).double().requires_grad_() for _ in range(2))
    y = (y.detach() * 0.7 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: _filter(x, y, radius, 0.1), (x, y))
    assert torch.autograd.gradcheck(lambda x: _filter(x, x, radius, 0.1), x)
    assert torch.autograd.gradgradcheck(lambda x: _filter(x, x, radius, 0.1), x)


def test_public_gradients_are_those_of_float64() -> None:
    guide, image = noise(1, 3, 20, 24), noise(2, 3, 20, 24)[1:]
    weights = noise(3, 3, 20, 24)[2:]
    pairs = []
    for dtype in (torch.float32, torch.float64):
        x, y = (t.to(dtype).requires_grad_() for t in (guide, image))
        # The inner function, because the public one turns float64 into float32.
        filtered = (
            guided_filter(x, y, 5, 0.2) if dtype == torch.float32 else _filter(x[0], y[0], 5, 0.2)[None]
        )
        pairs.append(torch.autograd.grad((filtered * weights).sum(), (x, y)))
    for ours, exact in zip(*pairs, strict=True):
        torch.testing.assert_close(ours.double(), exact, atol=1e-5, rtol=0)


def test_nan_stays_within_two_windows() -> None:
    image = noise(1, 1, 40, 50)
    image[..., 20, 30] = torch.nan
    spoilt = guided_filter(image, image, 2, 0.2).isnan()[0, 0].nonzero()
    assert spoilt.min(dim=0).values.tolist() == [16, 26]
    assert spoilt.max(dim=0).values.tolist() == [24, 34]
    assert len(spoilt) == 81


def test_refuses_what_it_would_broadcast() -> None:
    image = noise(1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"one shape .*\(1, 1, 8, 8\), \(1, 3, 8, 8\)"):
        guided_filter(image[:, :1], image, 2, 0.2)
    with pytest.raises(ValueError, match="one shape"):
        guided_filter(image[0], image[0], 2, 0.2)
    with pytest.raises(ValueError, match="radius >= 0"):
        guided_filter(image, image, -1, 0.2)
