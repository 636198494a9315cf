"""Published generators read as plain functions of their arrays, independent of ours; random arrays for them.

Photos and results are `(B, 3, H, W)` in [-1, 1] in the network's own channel order.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Arrays = Mapping[str, Tensor]


def drawn(shapes: Mapping[str, tuple[int, ...]], spread: float = 0.15) -> dict[str, Tensor]:
    """Random arrays as fp16 files keep them; a norm's scales near one."""
    rng = torch.Generator().manual_seed(0)
    arrays = {name: torch.randn(shape, generator=rng) * spread for name, shape in shapes.items()}
    return {
        name: (1 + v if v.ndim == 1 and name.endswith(("scale", "weight")) else v).half()
        for name, v in arrays.items()
    }


# White-box, test_code/network.py, as TensorFlow 1 runs it.


def whitebox_shapes(width: int, blocks: int) -> dict[str, tuple[int, ...]]:
    one, two, four = width, 2 * width, 4 * width
    sizes = {"Conv": (one, 7, 3), "Conv_1": (one, 3, one), "Conv_2": (two, 3, one), "Conv_3": (two, 3, two),
             "Conv_4": (four, 3, two), "Conv_5": (two, 3, four), "Conv_6": (two, 3, two),
             "Conv_7": (one, 3, two), "Conv_8": (one, 3, one), "Conv_9": (3, 7, one)}  # fmt: skip
    sizes |= {f"block_{i}/conv{j}": (four, 3, four) for i in range(blocks) for j in (1, 2)}
    kernels = {f"generator/{k}/weight_OHWI": (o, side, side, i) for k, (o, side, i) in sizes.items()}
    return kernels | {f"generator/{name}/bias": (size[0],) for name, size in sizes.items()}


def tf1_doubled(x: np.ndarray, axis: int) -> np.ndarray:
    """tf.image.resize_bilinear without align_corners: the source of place i is i / 2."""
    places = np.arange(2 * x.shape[axis]) / 2
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    share = (places - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share


def whitebox(photo: Tensor, arrays: Arrays) -> Tensor:
    def layer(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = torch.einsum("ohwi->oihw", arrays[f"generator/{name}/weight_OHWI"].to(x))
        # SAME pads k - s zeros in all at sizes that s divides, the odd one behind.
        missing = kernel.shape[-1] - stride
        before, after = missing // 2, missing - missing // 2
        return F.conv2d(
            F.pad(x, (before, after, before, after)), kernel, arrays[f"generator/{name}/bias"].to(x), stride
        )

    def double(x: Tensor) -> Tensor:
        return torch.from_numpy(tf1_doubled(tf1_doubled(x.numpy(), 2), 3)).to(x)

    def active(x: Tensor) -> Tensor:
        return torch.maximum(x, 0.2 * x)

    full = active(layer(photo, "Conv"))
    half = active(layer(active(layer(full, "Conv_1", 2)), "Conv_2"))
    x = active(layer(active(layer(half, "Conv_3", 2)), "Conv_4"))
    for i in range(sum(name.endswith("/conv1/bias") for name in arrays)):
        x = x + layer(active(layer(x, f"block_{i}/conv1")), f"block_{i}/conv2")
    x = double(active(layer(x, "Conv_5"))) + half
    x = double(active(layer(active(layer(x, "Conv_6")), "Conv_7"))) + full
    return layer(active(layer(x, "Conv_8")), "Conv_9")


# CartoonGAN, network/Transformer.py of Yijunmaverick/CartoonGAN-Test-Pytorch-Torch.


def cartoongan_shapes(width: int) -> dict[str, tuple[int, ...]]:
    one, two, four = width, 2 * width, 4 * width
    kernels = {"conv01_1": (one, 3, 7, 7), "conv02_1": (two, one, 3, 3), "conv02_2": (two, two, 3, 3),
               "conv03_1": (four, two, 3, 3), "conv03_2": (four, four, 3, 3),
               **{f"conv{i:02}_{j}": (four, four, 3, 3) for i in range(4, 12) for j in (1, 2)},
               "deconv01_1": (four, two, 3, 3), "deconv01_2": (two, two, 3, 3),
               "deconv02_1": (two, one, 3, 3), "deconv02_2": (one, one, 3, 3),
               "deconv03_1": (3, one, 7, 7)}  # fmt: skip
    norms = {"in01_1": one, "in02_1": two, "in03_1": four, "in12_1": two, "in13_1": one}
    norms |= {f"in{i:02}_{j}": four for i in range(4, 12) for j in (1, 2)}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in kernels.items():
        outputs = shape[1] if name in ("deconv01_1", "deconv02_1") else shape[0]
        shapes |= {f"{name}.weight": shape, f"{name}.bias": (outputs,)}
    return shapes | {f"{n}.{what}": (size,) for n, size in norms.items() for what in ("scale", "shift")}


def cartoongan(photo: Tensor, arrays: Arrays, eps: float = 1e-9) -> Tensor:
    def of(name: str) -> tuple[Tensor, Tensor]:
        return arrays[f"{name}.weight"].to(photo), arrays[f"{name}.bias"].to(photo)

    def reflected(x: Tensor, name: str) -> Tensor:
        kernel, bias = of(name)
        return F.conv2d(F.pad(x, (kernel.shape[-1] // 2,) * 4, mode="reflect"), kernel, bias)

    def zeros(x: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.conv2d(x, *of(name), stride=stride, padding=1)

    def up(x: Tensor, name: str) -> Tensor:
        return F.conv_transpose2d(x, *of(name), stride=2, padding=1, output_padding=1)

    def norm(x: Tensor, name: str) -> Tensor:
        scale, shift = (arrays[f"{name}.{what}"].to(x)[:, None, None] for what in ("scale", "shift"))
        centred = x - x.mean((2, 3), keepdim=True)
        return centred / (centred.square().mean((2, 3), keepdim=True) + eps).sqrt() * scale + shift

    x = norm(reflected(photo, "conv01_1"), "in01_1").relu()
    for i in ("02", "03"):
        x = norm(zeros(zeros(x, f"conv{i}_1", 2), f"conv{i}_2"), f"in{i}_1").relu()
    for i in range(4, 12):
        y = norm(reflected(x, f"conv{i:02}_1"), f"in{i:02}_1").relu()
        x = x + norm(reflected(y, f"conv{i:02}_2"), f"in{i:02}_2")
    for i, j in (("01", "12"), ("02", "13")):
        x = norm(zeros(up(x, f"deconv{i}_1"), f"deconv{i}_2"), f"in{j}_1").relu()
    return reflected(x, "deconv03_1").tanh()


# CycleGAN, models/networks.py of junyanz/pytorch-CycleGAN-and-pix2pix: places in a Sequential are names.


class CycleGAN(nn.Module):
    def __init__(self, width: int, blocks: int, *, statistics: bool = False) -> None:
        super().__init__()

        def norm(channels: int) -> nn.InstanceNorm2d:
            return nn.InstanceNorm2d(channels, affine=False, track_running_stats=statistics)

        layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), norm(width), nn.ReLU()]
        for c in (width, 2 * width):
            layers += [nn.Conv2d(c, 2 * c, 3, stride=2, padding=1), norm(2 * c), nn.ReLU()]
        layers += [_Block(4 * width, norm) for _ in range(blocks)]
        for c in (4 * width, 2 * width):
            deconv = nn.ConvTranspose2d(c, c // 2, 3, stride=2, padding=1, output_padding=1)
            layers += [deconv, norm(c // 2), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())

    def forward(self, photo: Tensor) -> Tensor:
        return self.model(photo)


class _Block(nn.Module):
    def __init__(self, c: int, norm) -> None:
        super().__init__()
        first = [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), norm(c), nn.ReLU()]
        self.conv_block = nn.Sequential(*first, nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), norm(c))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


# AnimeGANv2, model.py of bryandlee/animegan2-pytorch.


def animegan_v2_shapes(width: int) -> dict[str, tuple[int, ...]]:
    one, two, four, eight = width, 2 * width, 4 * width, 8 * width
    shapes: dict[str, tuple[int, ...]] = {}

    def block(name: str, inputs: int, outputs: int, side: int = 3) -> None:
        shapes.update({f"{name}.1.weight": (outputs, inputs, side, side)})
        shapes.update({f"{name}.2.{what}": (outputs,) for what in ("weight", "bias")})

    for place, inputs, outputs, side in (
        ("a.0", 3, one, 7), ("a.1", one, two, 3), ("a.2", two, two, 3), ("b.0", two, four, 3),
        ("b.1", four, four, 3), ("c.0", four, four, 3), ("c.5", eight, four, 3), ("d.0", four, four, 3),
        ("d.1", four, four, 3), ("e.0", four, two, 3), ("e.1", two, two, 3), ("e.2", two, one, 7),
    ):  # fmt: skip
        block(f"block_{place}", inputs, outputs, side)
    for i, inputs in enumerate((four, eight, eight, eight), start=1):
        layers = f"block_c.{i}.layers"
        block(f"{layers}.0", inputs, 2 * inputs, 1)
        shapes |= {f"{layers}.1.1.weight": (2 * inputs, 1, 3, 3), f"{layers}.1.1.bias": (2 * inputs,)}
        shapes |= {f"{layers}.1.2.{what}": (2 * inputs,) for what in ("weight", "bias")}
        shapes |= {f"{layers}.2.weight": (eight, 2 * inputs, 1, 1)}
        shapes |= {f"{layers}.3.{what}": (eight,) for what in ("weight", "bias")}
    return shapes | {"out_layer.0.weight": (3, one, 1, 1)}


def animegan_v2(photo: Tensor, arrays: Arrays, *, align_corners: bool) -> Tensor:
    def of(name: str) -> Tensor:
        return arrays[name].to(photo)

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean((1, 2, 3), keepdim=True)
        x = centred / (centred.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return x * of(f"{name}.weight")[:, None, None] + of(f"{name}.bias")[:, None, None]

    def block(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = of(f"{name}.1.weight")
        side = kernel.shape[-1] // 2
        x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (side,) * 4, mode="reflect")
        bias = of(f"{name}.1.bias") if groups > 1 else None
        return F.leaky_relu(norm(F.conv2d(x, kernel, bias, stride, groups=groups), f"{name}.2"), 0.2)

    def double(x: Tensor) -> Tensor:
        size = (2 * x.shape[2], 2 * x.shape[3])
        return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)

    x = block(block(block(photo, "block_a.0"), "block_a.1", 2), "block_a.2")
    x = block(block(block(x, "block_b.0", 2), "block_b.1"), "block_c.0")
    for i in range(1, 5):
        name = f"block_c.{i}.layers"
        y = block(x, f"{name}.0")
        y = block(y, f"{name}.1", groups=y.shape[1])
        y = norm(F.conv2d(y, of(f"{name}.2.weight")), f"{name}.3")
        x = x + y if x.shape == y.shape else y
    x = double(block(x, "block_c.5"))
    x = double(block(block(x, "block_d.0"), "block_d.1"))
    x = block(block(block(x, "block_e.0"), "block_e.1"), "block_e.2")
    return F.conv2d(x, of("out_layer.0.weight")).tanh()
