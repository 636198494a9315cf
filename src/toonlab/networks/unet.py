"""White-box cartoonization's generator: a small UNet without norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from toonlab.errors import check_choice
from toonlab.networks.layers import (
    LegacyUpsample,
    Residual,
    SameConv,
    check_counts,
    initialise,
    leaky,
    upsample,
)
from toonlab.networks.layers import conv as reflecting


class UNet(nn.Module):
    """Photo to cartoon, `(B, 3, H, W)` to `(B, 3, H, W)`; H and W are multiples of 4.

    Wang & Yu 2020, supplement, and the authors' code: additive skips, LeakyReLU after every convolution
    but the blocks' ends and the output. The head is linear: values leave [-1, 1] a little and are clipped
    when painted, so that the guided output filter sees them whole. 1,467,075 parameters at width 32.

    Args:
        width: channels at full resolution; doubled at each of two halvings.
        blocks: residual blocks at quarter resolution.
        full_skip: how the full-resolution skip joins; `concatenate` gives the anime-scene generator's
            1,476,291 parameters.
        head: `tanh` bounds the output instead.
        padding: `reflect`, or `same_zeros` as TensorFlow pads: halvings at the bottom and right alone.
        upsampling: `bilinear`, or TensorFlow 1's `legacy_bilinear`, half a pixel up and left of it.
            The published weights want `same_zeros` and `legacy_bilinear`.
    """

    multiple = 4

    def __init__(
        self,
        *,
        width: int = 32,
        blocks: int = 4,
        full_skip: Literal["add", "concatenate"] = "add",
        head: Literal["linear", "tanh"] = "linear",
        padding: Literal["reflect", "same_zeros"] = "reflect",
        upsampling: Literal["bilinear", "legacy_bilinear"] = "bilinear",
    ) -> None:
        super().__init__()
        check_counts(width=width, blocks=blocks)
        check_choice("full_skip", full_skip, ["add", "concatenate"])
        check_choice("head", head, ["linear", "tanh"])
        check_choice("padding", padding, ["reflect", "same_zeros"])
        check_choice("upsampling", upsampling, ["bilinear", "legacy_bilinear"])
        conv: Callable[..., nn.Conv2d] = SameConv if padding == "same_zeros" else reflecting
        double: Callable[[], nn.Module] = LegacyUpsample if upsampling == "legacy_bilinear" else upsample
        self.full_skip = full_skip
        self.stem = nn.Sequential(conv(3, width, 7), leaky())
        self.to_half = nn.Sequential(conv(width, width, 3, 2), leaky(), conv(width, 2 * width, 3), leaky())
        self.to_quarter = nn.Sequential(
            conv(2 * width, 2 * width, 3, 2),
            leaky(),
            conv(2 * width, 4 * width, 3),
            leaky(),
            *(
                Residual(conv(4 * width, 4 * width, 3), leaky(), conv(4 * width, 4 * width, 3))
                for _ in range(blocks)
            ),
            conv(4 * width, 2 * width, 3),
            leaky(),
            double(),
        )
        self.up = nn.Sequential(
            conv(2 * width, 2 * width, 3), leaky(), conv(2 * width, width, 3), leaky(), double()
        )
        joined = 2 * width if full_skip == "concatenate" else width
        squash = nn.Tanh() if head == "tanh" else nn.Identity()
        self.head = nn.Sequential(conv(joined, width, 3), leaky(), conv(width, 3, 7), squash)
        initialise(self, "xavier")

    def forward(self, photo: Tensor) -> Tensor:
        full = self.stem(photo)
        half = self.to_half(full)
        up = self.up(self.to_quarter(half) + half)
        joined = torch.cat([up, full], dim=1) if self.full_skip == "concatenate" else up + full
        del full, half, up  # a third of the memory that painting takes at its peak
        cartoon: Tensor = self.head(joined)
        return cartoon
