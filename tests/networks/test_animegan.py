"""AnimeGAN's generators against a reading of the published code as plain functions."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.networks.animegan import AnimeGeneratorV1, AnimeGeneratorV2


def moved(network: nn.Module) -> nn.Module:
    """Give norms and biases values that show when they are left out or swapped."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape, generator=rng) * 0.1
    return network.double()


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def norm(x: Tensor, weights: Iterator[Tensor], dims: tuple[int, ...]) -> Tensor:
    mean, variance = x.mean(dims, keepdim=True), x.var(dims, correction=0, keepdim=True)
    gamma, beta = next(weights), next(weights)
    return (x - mean) / (variance + 1e-5).sqrt() * gamma[:, None, None] + beta[:, None, None]


def reference_v2(photo: Tensor, weights: Iterator[Tensor], *, corners: bool) -> Tensor:
    """bryandlee/animegan2-pytorch's model.py: blocks a to e and out_layer."""
    layer = (1, 2, 3)

    def block(x: Tensor, side: int = 1, stride: int = 1) -> Tensor:
        pad = (0, 1, 0, 1) if stride == 2 else (side,) * 4
        x = F.conv2d(F.pad(x, pad, mode="reflect"), next(weights), stride=stride)
        return leaky(norm(x, weights, layer))

    def inverted(x: Tensor) -> Tensor:
        y = leaky(norm(F.conv2d(x, next(weights)), weights, layer))
        kernel, bias = next(weights), next(weights)
        y = F.conv2d(F.pad(y, (1,) * 4, mode="reflect"), kernel, bias, groups=y.shape[1])
        y = leaky(norm(y, weights, layer))
        y = norm(F.conv2d(y, next(weights)), weights, layer)
        return x + y if x.shape == y.shape else y

    def double(x: Tensor) -> Tensor:
        size = [2 * n for n in x.shape[2:]]
        return F.interpolate(x, size, mode="bilinear", align_corners=corners)

    x = block(block(block(photo, 3), stride=2))
    x = block(block(block(x, stride=2)))
    for _ in range(4):
        x = inverted(x)
    x = double(block(x))
    x = double(block(block(x)))
    x = block(block(block(x)), 3)
    return torch.tanh(F.conv2d(x, next(weights)))


def reference_v1(photo: Tensor, weights: Iterator[Tensor]) -> Tensor:
    """The authors' net/generator.py, scopes b1 to u1, with today's bilinear resizing."""
    instance = (2, 3)

    def block(x: Tensor) -> Tensor:
        kernel = next(weights)
        side = kernel.shape[-1] // 2
        return leaky(norm(F.conv2d(F.pad(x, (side,) * 4, mode="reflect"), kernel), weights, instance))

    def depthwise(x: Tensor, stride: int) -> Tensor:
        pad = (0, 1, 0, 1) if stride == 2 else (1,) * 4
        return F.conv2d(F.pad(x, pad, mode="reflect"), next(weights), stride=stride, groups=x.shape[1])

    def separable(x: Tensor, stride: int = 1) -> Tensor:
        return leaky(norm(F.conv2d(depthwise(x, stride), next(weights)), weights, instance))

    def halve(x: Tensor) -> Tensor:
        strided = separable(x, 2)
        return strided + separable(F.avg_pool2d(x, 2))  # bilinear at half size is the mean of four

    def inverted(x: Tensor) -> Tensor:
        y = leaky(norm(depthwise(block(x), 1), weights, instance))
        return x + norm(F.conv2d(y, next(weights)), weights, instance)

    def double(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    x = halve(block(block(photo)))
    x = block(halve(separable(block(x))))
    for _ in range(8):
        x = inverted(x)
    x = block(separable(separable(double(block(x)))))
    x = block(block(separable(double(x))))
    return torch.tanh(F.conv2d(x, next(weights)))


@pytest.mark.parametrize("corners", [False, True])
def test_v2_computes_what_the_published_port_does(corners: bool) -> None:
    network = moved(AnimeGeneratorV2(width=4, align_corners=corners))
    photo = torch.rand(2, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    weights = iter(network.state_dict().values())
    with torch.no_grad():
        torch.testing.assert_close(network(photo), reference_v2(photo, weights, corners=corners))
    assert next(weights, None) is None


def test_v1_computes_what_the_authors_network_does() -> None:
    network = moved(AnimeGeneratorV1(width=4))
    photo = torch.rand(2, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    weights = iter(network.state_dict().values())
    with torch.no_grad():
        torch.testing.assert_close(network(photo), reference_v1(photo, weights))
    assert next(weights, None) is None


def test_v2s_state_dict_has_the_published_order() -> None:
    # Convolution, then its norm's scale and shift; a bias in the four depthwise convolutions alone.
    shapes = [tuple(value.shape) for value in AnimeGeneratorV2().state_dict().values()]
    assert shapes[:6] == [(32, 3, 7, 7), (32,), (32,), (64, 32, 3, 3), (64,), (64,)]
    assert shapes[18:28] == [
        *[(256, 128, 1, 1), (256,), (256,)],
        *[(256, 1, 3, 3), (256,), (256,), (256,)],
        *[(256, 256, 1, 1), (256,), (256,)],
    ]
    assert shapes[-1] == (3, 32, 1, 1)
