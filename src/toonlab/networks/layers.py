"""The blocks that several networks share."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Init = Literal["normal", "xavier"]
Padding = Literal["reflect", "zeros"]


def check_counts(**counts: int) -> None:
    """Refuse sizes of a network that are no whole numbers from 1.

    Raises:
        ValueError: one is not.
    """
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name}={count}: a whole number, 1 or more")


def conv(
    inputs: int, outputs: int, kernel_size: int, stride: int = 1, padding: Padding = "reflect"
) -> nn.Conv2d:
    """A "same" convolution; the padding lives inside, so 1x1 branches line up with it."""
    return nn.Conv2d(
        inputs, outputs, kernel_size, stride, padding=kernel_size // 2, padding_mode=padding, bias=True
    )


class LatentGenerator(nn.Module):
    """Image to image, `(B, 3, H, W)` to `(B, 3, H, W)` in [-1, 1], with a latent to edit half-way.

    H and W are multiples of 4. Subclasses fill `encoder` and `decoder`, then call `begin`.

    With `learn_residual` (Kupyn et al. 2018, DeblurGAN) the decoder paints what is added to the image, at
    first nothing: training begins at the image itself, whose brightness and detail norms and halvings would
    lose. Residual blocks that end in an affine norm begin as nothing too (Goyal et al. 2017, 5.1): lines
    are learned sooner so. The sum leaves [-1, 1] a little and is clipped when painted. Such a latent says
    nothing by itself.
    """

    multiple = 4
    learn_residual = False
    encoder: nn.Sequential
    decoder: nn.Sequential

    def begin(self, how: Init, *, learn_residual: bool = False) -> None:
        """Set the weights that training starts from; see `initialise`."""
        initialise(self, how)
        self.learn_residual = learn_residual
        if learn_residual:
            head = [module for module in self.decoder if isinstance(module, nn.Conv2d)][-1]
            nn.init.zeros_(head.weight)  # its bias is zero or absent
            for block in self.modules():
                if isinstance(block, Residual) and isinstance(block.body[-1].weight, nn.Parameter):
                    nn.init.zeros_(block.body[-1].weight)

    def encode(self, images: Tensor) -> Tensor:
        """Return the latent `(B, C, H/4, W/4)` behind the last residual block."""
        latent: Tensor = self.encoder(images)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Paint a latent as `(B, 3, H, W)` in [-1, 1]; with `learn_residual`, what is added to the image."""
        painted: Tensor = self.decoder(latent)
        return painted

    def forward(self, images: Tensor) -> Tensor:
        painted = self.decode(self.encode(images))
        return images + painted if self.learn_residual else painted


def has_latent(network: nn.Module) -> bool:
    """Whether a generator's latent says all of its picture: then it can be completed and edited."""
    halves = hasattr(network, "encode") and hasattr(network, "decode")
    return halves and not getattr(network, "learn_residual", False)


@torch.no_grad()
def latent_channels(generator: LatentGenerator) -> int:
    """Return the channels of a generator's latent."""
    side = 8 * generator.multiple
    return int(generator.encode(torch.zeros(1, 3, side, side)).shape[1])


class SameConv(nn.Conv2d):
    """TensorFlow's SAME convolution: zeros around, one less at the top and left where their number is odd.

    At stride 2 and an even size that is a padding of the bottom and right alone.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True):
            missing = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads = [missing // 2, missing - missing // 2, *pads]
        return super().forward(F.pad(x, pads))


def instance_norm(channels: int, eps: float = 1e-5) -> nn.InstanceNorm2d:
    """Affine and without running statistics, as in CartoonGAN's released weights."""
    return nn.InstanceNorm2d(channels, eps=eps, affine=True, track_running_stats=False)


def leaky() -> nn.LeakyReLU:
    """Slope 0.2, the field's; torch's default is 0.01."""
    return nn.LeakyReLU(0.2)


class Residual(nn.Module):
    """`x + body(x)`, nothing after the sum."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.body(x)
        return total


def upsample() -> nn.Upsample:
    """Bilinear doubling; with a convolution behind it, free of the transposed convolution's checkerboard."""
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


class LegacyUpsample(nn.Module):
    """TensorFlow 1's bilinear doubling: old pixels at the even places, means of two neighbours between them.

    That is, without half-pixel centres; the last row and column are repeated. The picture lies half a pixel
    further up and left than with `upsample`.
    """

    def forward(self, x: Tensor) -> Tensor:
        for dim in (2, 3):
            size = x.shape[dim]
            after = torch.cat([x.narrow(dim, 1, size - 1), x.narrow(dim, size - 1, 1)], dim)
            x = torch.stack([x, (x + after) / 2], dim + 1).flatten(dim, dim + 1)
        return x


def initialise(network: nn.Module, how: Init) -> None:
    """Set convolution weights, and biases to zero.

    `normal` is N(0, 0.02), CycleGAN's choice, for networks with norms; `xavier` (uniform) is what White-box's
    norm-free networks started from. Norms keep weight 1 and bias 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if how == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02)
            else:
                nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
