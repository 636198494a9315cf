"""Discriminators: images to maps of raw scores, one score a patch; sigmoids belong to the losses."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from toonlab.networks.layers import initialise, instance_norm, leaky


class PatchDiscriminator(nn.Module):
    """A body and a last convolution; subclasses fill `body` and `last`."""

    body: nn.Sequential
    last: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """Activations before the last convolution."""
        activations: Tensor = self.body(images)
        return activations

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.last(self.features(images))
        return scores


class EdgeDiscriminator(PatchDiscriminator):
    """CartoonGAN's discriminator: `(B, 3, H, W)` to `(B, 1, H/4, W/4)`, receptive field 37 px.

    Chen et al. 2018, figure 2; 1,129,665 parameters at width 32.
    """

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(3, width),
            leaky(),
            _conv(width, 2 * width, 2),
            leaky(),
            _conv(2 * width, 4 * width),
            instance_norm(4 * width),
            leaky(),
            _conv(4 * width, 4 * width, 2),
            leaky(),
            _conv(4 * width, 8 * width),
            instance_norm(8 * width),
            leaky(),
            _conv(8 * width, 8 * width),
            instance_norm(8 * width),
            leaky(),
        )
        self.last = _conv(8 * width, 1)
        initialise(self, "normal")


class SpectralPatch(PatchDiscriminator):
    """White-box's discriminator: `(B, channels, H, W)` to `(B, 1, H/8, W/8)`, receptive field 43 px.

    Wang & Yu 2020: three pairs of spectrally normalised 3x3 convolutions, the first of each with stride 2,
    then 1x1. 287,137 parameters for 3 channels, 286,561 for 1.
    """

    def __init__(self, *, channels: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for outputs in (width, 2 * width, 4 * width):
            layers += [_conv(inputs, outputs, 2), leaky(), _conv(outputs, outputs), leaky()]
            inputs = outputs
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(inputs, 1, 1)
        initialise(self, "xavier")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                spectral_norm(module)


class PatchGAN(PatchDiscriminator):
    """CycleGAN's discriminator: `(B, 3, H, W)` to `(B, 1, H/8 - 2, W/8 - 2)`, receptive field 70 px.

    Isola et al. 2017; Zhu et al. 2017, section 7.2: 4x4 convolutions, instance norm without affine parameters
    but after the first. 2,764,737 parameters at width 64. Source 004's discriminator #1.
    """

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, padding=1), leaky()]
        for inputs, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [
                nn.Conv2d(inputs, 2 * inputs, 4, stride, padding=1),
                nn.InstanceNorm2d(2 * inputs),
                leaky(),
            ]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(8 * width, 1, 4, padding=1)
        initialise(self, "normal")


class ResidualDiscriminator(PatchDiscriminator):
    """Skip connections after StyleGAN2: `(B, 3, H, W)` to `(B, 1, H/8, W/8)`, receptive field 47 px.

    Source 004's discriminator #2, of which only "residual" is published; our reading of it has
    2,502,209 parameters at width 64.
    """

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        halvings = (_ResidualDown(factor * width) for factor in (1, 2, 4))
        self.body = nn.Sequential(_conv(3, width), leaky(), *halvings)
        self.last = _conv(8 * width, 1)
        initialise(self, "xavier")


class _ResidualDown(nn.Module):
    """Half the size, twice the channels; the sum of two branches is scaled back to the variance of one."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(inputs, inputs), leaky(), _conv(inputs, 2 * inputs, 2), leaky())
        self.skip = nn.Conv2d(inputs, 2 * inputs, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = (self.body(x) + self.skip(x)) / math.sqrt(2)
        return total


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    # Zero padding, unlike the generators': a discriminator may know where the border is.
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)
