"""CartoonGAN's generator: down, residual blocks, up; its middle is a latent one can edit."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from toonlab.errors import check_choice
from toonlab.networks.layers import Residual, conv, initialise, instance_norm, upsample


class ResnetGenerator(nn.Module):
    """Photo to cartoon, `(B, 3, H, W)` to `(B, 3, H, W)` in [-1, 1]; H and W are multiples of 4.

    Chen et al. 2018, figure 2: 7x7 at `width`, two halvings that double the width, `blocks` residual
    blocks, two doublings, 7x7 and tanh. 11,129,667 parameters at the paper's size.
    """

    multiple = 4

    def __init__(
        self, *, width: int = 64, blocks: int = 8, upsampling: Literal["resize", "deconv"] = "resize"
    ) -> None:
        super().__init__()
        check_choice("upsampling", upsampling, ["resize", "deconv"])
        middle = 4 * width
        self.encoder = nn.Sequential(
            conv(3, width, 7),
            instance_norm(width),
            nn.ReLU(),
            *_down(width),
            *_down(2 * width),
            *(_residual(middle) for _ in range(blocks)),
        )
        self.decoder = nn.Sequential(
            *_up(middle, upsampling), *_up(2 * width, upsampling), conv(width, 3, 7), nn.Tanh()
        )
        initialise(self, "normal")

    def encode(self, photo: Tensor) -> Tensor:
        """Return the latent `(B, 4·width, H/4, W/4)` behind the last residual block."""
        latent: Tensor = self.encoder(photo)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Paint a latent `(B, 4·width, H/4, W/4)` as `(B, 3, H, W)` in [-1, 1]."""
        cartoon: Tensor = self.decoder(latent)
        return cartoon

    def forward(self, photo: Tensor) -> Tensor:
        return self.decode(self.encode(photo))


def _down(width: int) -> list[nn.Module]:
    # No norm or activation between the two convolutions: so the paper, so the authors' code.
    return [conv(width, 2 * width, 3, 2), conv(2 * width, 2 * width, 3), instance_norm(2 * width), nn.ReLU()]


def _residual(width: int) -> Residual:
    return Residual(
        conv(width, width, 3), instance_norm(width), nn.ReLU(), conv(width, width, 3), instance_norm(width)
    )


def _up(width: int, upsampling: str) -> list[nn.Module]:
    half = width // 2
    # Authors: transposed convolutions; ours by default: resize, then convolve (fewer checkerboards).
    first: list[nn.Module] = (
        [nn.ConvTranspose2d(width, half, 3, 2, padding=1, output_padding=1)]
        if upsampling == "deconv"
        else [upsample(), conv(width, half, 3)]
    )
    return [*first, conv(half, half, 3), instance_norm(half), nn.ReLU()]
