"""AnimeGAN's two generators: separable convolutions and inverted residuals keep them small.

No convolution has a bias, but where said otherwise; all pad by reflection. Pictures are 8 pixels or more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.networks.layers import LatentGenerator, Residual, instance_norm, leaky, upsample

Norm = Callable[[int], nn.Module]


class AnimeGeneratorV1(LatentGenerator):
    """AnimeGAN's generator (Chen, Liu & Chen 2019): 3,956,096 parameters at width 64.

    After the authors' `net/generator.py`, which is 128 wide where the paper's figure has 64 channels. Both
    halvings add a strided separable convolution to one of the halved picture. TensorFlow's old bilinear
    resizing, a shift by a quarter or half a pixel, is not imitated. `learn_residual`: see `LatentGenerator`.
    """

    def __init__(self, *, width: int = 64, learn_residual: bool = False) -> None:
        super().__init__()
        two, four = 2 * width, 4 * width
        self.encoder = nn.Sequential(
            *_block(3, width, instance_norm),
            *_block(width, width, instance_norm),
            _Halve(width, two),
            *_block(two, two, instance_norm),
            *_separable(two, two),
            _Halve(two, four),
            *_block(four, four, instance_norm),
            *(Residual(*_inverted(four, four, instance_norm, bias=False)) for _ in range(8)),
            *_block(four, four, instance_norm),
        )
        self.decoder = nn.Sequential(
            upsample(),
            *_separable(four, two),
            *_separable(two, two),
            *_block(two, two, instance_norm),
            upsample(),
            *_separable(two, two),
            *_block(two, width, instance_norm),
            *_block(width, width, instance_norm),
            nn.Conv2d(width, 3, 1, bias=False),
            nn.Tanh(),
        )
        self.begin("xavier", learn_residual=learn_residual)  # TensorFlow's default


class AnimeGeneratorV2(LatentGenerator):
    """AnimeGANv2's generator: 2,143,552 parameters at width 32; its norms span channels as well.

    Computes what bryandlee's `animegan2-pytorch` does, from parameters in the same order.

    Args:
        width: channels at full resolution.
        align_corners: of both doublings. False is shift-invariant, so large pictures can be painted in
            tiles; the published PyTorch weights were mostly shown with True.
        learn_residual: paint what is added to the photo; see `LatentGenerator`.
    """

    def __init__(self, *, width: int = 32, align_corners: bool = False, learn_residual: bool = False) -> None:
        super().__init__()
        two, four, eight = 2 * width, 4 * width, 8 * width
        doubled = partial(nn.Upsample, scale_factor=2, mode="bilinear", align_corners=align_corners)
        self.encoder = nn.Sequential(
            *_block(3, width, _layer_norm, 7),
            *_halving(width, two),
            *_block(two, two, _layer_norm),
            *_halving(two, four),
            *_block(four, four, _layer_norm),
            *_block(four, four, _layer_norm),
            nn.Sequential(*_inverted(four, eight, _layer_norm, bias=True)),  # wider behind it: no sum
            *(Residual(*_inverted(eight, eight, _layer_norm, bias=True)) for _ in range(3)),
            *_block(eight, four, _layer_norm),
        )
        self.decoder = nn.Sequential(
            doubled(),
            *_block(four, four, _layer_norm),
            *_block(four, four, _layer_norm),
            doubled(),
            *_block(four, two, _layer_norm),
            *_block(two, two, _layer_norm),
            *_block(two, width, _layer_norm, 7),
            nn.Conv2d(width, 3, 1, bias=False),
            nn.Tanh(),
        )
        self.begin("xavier", learn_residual=learn_residual)


class _Halve(nn.Module):
    """Half the size, by a strided convolution plus a convolution of the resized picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.strided = nn.Sequential(*_separable(inputs, outputs, stride=2))
        self.resized = nn.Sequential(*_separable(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        small = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
        total: Tensor = self.strided(x) + self.resized(small)
        return total


def _layer_norm(channels: int) -> nn.GroupNorm:
    """One mean and one variance over channels and places, an affine map per channel."""
    return nn.GroupNorm(1, channels)


def _conv(
    inputs: int, outputs: int, kernel_size: int = 3, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    padding = kernel_size // 2
    return nn.Conv2d(
        inputs, outputs, kernel_size, padding=padding, padding_mode="reflect", groups=groups, bias=bias
    )


def _before_stride() -> nn.ReflectionPad2d:
    # At the bottom and right alone, for a 3x3 convolution with stride 2.
    return nn.ReflectionPad2d((0, 1, 0, 1))


def _block(inputs: int, outputs: int, norm: Norm, kernel_size: int = 3) -> list[nn.Module]:
    return [_conv(inputs, outputs, kernel_size), norm(outputs), leaky()]


def _halving(inputs: int, outputs: int) -> list[nn.Module]:
    strided = nn.Conv2d(inputs, outputs, 3, stride=2, bias=False)
    return [_before_stride(), strided, _layer_norm(outputs), leaky()]


def _separable(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """Filter each channel, then mix them; one norm behind both."""
    filters: list[nn.Module] = (
        [_conv(inputs, inputs, groups=inputs)]
        if stride == 1
        else [_before_stride(), nn.Conv2d(inputs, inputs, 3, stride, groups=inputs, bias=False)]
    )
    return [*filters, nn.Conv2d(inputs, outputs, 1, bias=False), instance_norm(outputs), leaky()]


def _inverted(inputs: int, outputs: int, norm: Norm, *, bias: bool) -> list[nn.Module]:
    """Expand twofold, filter each channel (`bias` is this convolution's), project; no last activation."""
    inner = 2 * inputs
    return [
        *_block(inputs, inner, norm, 1),
        _conv(inner, inner, groups=inner, bias=bias),
        norm(inner),
        leaky(),
        nn.Conv2d(inner, outputs, 1, bias=False),
        norm(outputs),
    ]
