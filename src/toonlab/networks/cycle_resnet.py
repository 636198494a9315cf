"""CycleGAN's generator: one convolution to a halving, residual blocks, transposed convolutions."""

from __future__ import annotations

from typing import Literal

from torch import nn

from toonlab.errors import check_choice
from toonlab.networks.layers import LatentGenerator, Residual, check_counts, conv, upsample


class CycleResnet(LatentGenerator):
    """Image to image, `(B, 3, H, W)` to `(B, 3, H, W)` in [-1, 1]; H and W are multiples of 4.

    Zhu et al. 2017, section 7.2, and the authors' code (`resnet_9blocks`): instance norm without affine
    parameters, reflection everywhere but in the halvings, which pad with zeros. 11,378,179 parameters with 9
    blocks, 7,837,699 with 6.

    Args:
        width: channels at full resolution; doubled at each of two halvings.
        blocks: residual blocks at quarter resolution; the authors use 9 from 256 px on, 6 below.
        upsampling: `deconv` is published; `resize` has as many parameters and fewer checkerboards.
        learn_residual: paint what is added to the image; see `LatentGenerator`.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        blocks: int = 9,
        upsampling: Literal["deconv", "resize"] = "deconv",
        learn_residual: bool = False,
    ) -> None:
        super().__init__()
        check_counts(width=width, blocks=blocks)
        check_choice("upsampling", upsampling, ["deconv", "resize"])
        middle = 4 * width
        self.encoder = nn.Sequential(
            conv(3, width, 7),
            *_norm_relu(width),
            *_down(width),
            *_down(2 * width),
            *(_residual(middle) for _ in range(blocks)),
        )
        self.decoder = nn.Sequential(
            *_up(middle, upsampling), *_up(2 * width, upsampling), conv(width, 3, 7), nn.Tanh()
        )
        self.begin("normal", learn_residual=learn_residual)


def _norm_relu(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width), nn.ReLU()]


def _down(width: int) -> list[nn.Module]:
    return [nn.Conv2d(width, 2 * width, 3, 2, padding=1), *_norm_relu(2 * width)]


def _residual(width: int) -> Residual:
    return Residual(
        conv(width, width, 3), *_norm_relu(width), conv(width, width, 3), nn.InstanceNorm2d(width)
    )


def _up(width: int, upsampling: str) -> list[nn.Module]:
    half = width // 2
    layers: list[nn.Module] = (
        [nn.ConvTranspose2d(width, half, 3, 2, padding=1, output_padding=1)]
        if upsampling == "deconv"
        else [upsample(), conv(width, half, 3)]
    )
    return [*layers, *_norm_relu(half)]
