"""The blocks that several networks share."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Init = Literal["normal", "xavier"]


def conv(inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """A "same" convolution with reflection; the padding lives inside, so 1x1 branches line up with it."""
    return nn.Conv2d(
        inputs, outputs, kernel_size, stride, padding=kernel_size // 2, padding_mode="reflect", bias=True
    )


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Affine and without running statistics, as in CartoonGAN's released weights."""
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)


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
