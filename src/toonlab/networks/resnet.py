"""CartoonGAN's generator: down, residual blocks, up; its middle is a latent one can edit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import nn

from toonlab.errors import check_choice
from toonlab.networks.layers import (
    LatentGenerator,
    Padding,
    Residual,
    check_counts,
    conv,
    instance_norm,
    upsample,
)

Make = Callable[..., nn.Module]


class ResnetGenerator(LatentGenerator):
    """Photo to cartoon, `(B, 3, H, W)` to `(B, 3, H, W)` in [-1, 1]; H and W are multiples of 4.

    Chen et al. 2018, figure 2: 7x7 at `width`, two halvings that double the width, `blocks` residual
    blocks, two doublings, 7x7 and tanh. 11,129,667 parameters at the paper's size.

    Args:
        width: channels at full resolution; doubled at each of two halvings.
        blocks: residual blocks at quarter resolution.
        upsampling: `deconv` is the authors'; `resize` has as many parameters and fewer checkerboards.
        scaling_padding: of the convolutions at the halvings and doublings; the others reflect.
        norm_eps: added to the variance by every norm. The published weights want `deconv`, `zeros`, 1e-9.
        learn_residual: paint what is added to the photo; see `LatentGenerator`.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        blocks: int = 8,
        upsampling: Literal["resize", "deconv"] = "resize",
        scaling_padding: Padding = "reflect",
        norm_eps: float = 1e-5,
        learn_residual: bool = False,
    ) -> None:
        super().__init__()
        check_counts(width=width, blocks=blocks)
        check_choice("upsampling", upsampling, ["resize", "deconv"])
        check_choice("scaling_padding", scaling_padding, ["reflect", "zeros"])
        middle = 4 * width
        norm = partial(instance_norm, eps=norm_eps)
        scaling = partial(conv, kernel_size=3, padding=scaling_padding)
        self.encoder = nn.Sequential(
            conv(3, width, 7),
            norm(width),
            nn.ReLU(),
            *_down(width, scaling, norm),
            *_down(2 * width, scaling, norm),
            *(_residual(middle, norm) for _ in range(blocks)),
        )
        self.decoder = nn.Sequential(
            *_up(middle, upsampling, scaling, norm),
            *_up(2 * width, upsampling, scaling, norm),
            conv(width, 3, 7),
            nn.Tanh(),
        )
        self.begin("normal", learn_residual=learn_residual)


def _down(width: int, scaling: Make, norm: Make) -> list[nn.Module]:
    # No norm or activation between the two convolutions: so the paper, so the authors' code.
    return [scaling(width, 2 * width, stride=2), scaling(2 * width, 2 * width), norm(2 * width), nn.ReLU()]


def _residual(width: int, norm: Make) -> Residual:
    return Residual(conv(width, width, 3), norm(width), nn.ReLU(), conv(width, width, 3), norm(width))


def _up(width: int, upsampling: str, scaling: Make, norm: Make) -> list[nn.Module]:
    half = width // 2
    # Authors: transposed convolutions; ours by default: resize, then convolve (fewer checkerboards).
    first: list[nn.Module] = (
        [nn.ConvTranspose2d(width, half, 3, 2, padding=1, output_padding=1)]
        if upsampling == "deconv"
        else [upsample(), scaling(width, half)]
    )
    return [*first, scaling(half, half), norm(half), nn.ReLU()]
