"""One feature vector per image: what every distance between sets of images is made of.

An extractor is a plain object, no `nn.Module`: whoever holds it neither trains nor saves its network.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab import images as ranges
from toonlab.digests import file_sha256
from toonlab.errors import UsageError, did_you_mean

INCEPTION_URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class NoInceptionError(UsageError):
    """Inception's weights, or the package that reads them, are not at hand."""


class Extractor(Protocol):
    """What `MetricSuite` asks of a feature extractor."""

    @property
    def name(self) -> str:
        """Ends the names of the scores made with it."""

    @property
    def num_features(self) -> int:
        """Length of a feature vector."""

    @property
    def canonical(self) -> bool:
        """Whether its scores may be called `fid` and `kid`."""

    @property
    def protocol(self) -> dict[str, Any]:
        """All that must be equal before two scores are compared; JSON-able."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return `(B, num_features)` float32 for images in [-1, 1]."""


def prepare(images: Tensor, size: int) -> Tensor:
    """Round to 8 bits, as a saved PNG is, then resize to `size` x `size` pixels; [-1, 1] throughout.

    The sides are squashed, not cropped: all of an image counts.
    """
    saved = ranges.from_uint8(ranges.to_uint8(images))
    if saved.shape[-2:] == (size, size):
        return saved
    return F.interpolate(saved, size=(size, size), mode="bilinear", align_corners=False, antialias=True)


class MetricFeatures:
    """Globally averaged activations of one tap of a frozen network; its scores are not FID and say so."""

    canonical: ClassVar[bool] = False

    def __init__(self, *, network: nn.Module, tap: str, input_size: int, name: str) -> None:
        """Take the network and try it once.

        Args:
            network: images in [-1, 1] to `{tap: (B, C, H, W)}`, doing its own preprocessing.
            tap: which of its activations to average.
            input_size: side in pixels to which every image is resized.
            name: ends the names of the scores, `fd_<name>`.

        Raises:
            UsageError: the network does not return `tap`.
        """
        self.network, self.tap, self.input_size, self.name = network.eval(), tap, input_size, name
        with torch.inference_mode():
            found: dict[str, Tensor] = network(torch.zeros(1, 3, input_size, input_size))
        if tap not in found:
            raise UsageError(
                f"metrics.features.tap: the network returns no '{tap}'{did_you_mean(tap, found)}; "
                f"add it to metrics.features.network.taps, or take one of {', '.join(found)}"
            )
        self.num_features = found[tap].shape[1]
        self.protocol = {
            "extractor": name,
            "network": type(network).__name__,
            "tap": tap,
            "pooling": "global average",
            "num_features": self.num_features,
            "weights_sha256": weights_sha256(network),
            "input": f"8-bit RGB, bilinear with antialias to {input_size}x{input_size}",
            "versions": _versions(),
        }

    def __call__(self, images: Tensor) -> Tensor:
        """Return `(B, num_features)` float32 for images in [-1, 1] of any size."""
        network = self.network.to(images.device)
        # No autocast: a score must not depend on the precision that the trainer happens to use.
        with torch.inference_mode(), torch.autocast(images.device.type, enabled=False):
            activations: Tensor = network(prepare(images, self.input_size))[self.tap]
            return activations.float().mean(dim=(2, 3))


class InceptionFeatures:
    """Pool3 of TensorFlow's Inception of 2015, images resized as TensorFlow 1 did: the canonical FID."""

    canonical: ClassVar[bool] = True
    name: ClassVar[str] = "inception"
    num_features: ClassVar[int] = 2048

    def __init__(self, *, weights: str | None = None) -> None:
        """Load torch-fidelity's weights through torchmetrics.

        Args:
            weights: the file; None looks where torch.hub keeps its downloads.

        Raises:
            NoInceptionError: the package or the file is missing.
            UsageError: the file is another one.
        """
        avoid = "or use metrics=lite, which needs neither"
        try:
            from torchmetrics.image.fid import NoTrainInceptionV3

            versions = _versions("torch-fidelity", "torchmetrics")
        except ImportError as error:
            raise NoInceptionError(
                f"metrics=inception: a package is missing ({error}); pip install torch-fidelity, {avoid}"
            ) from error
        default = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_URL.rpartition("/")[2]
        path = Path(weights).expanduser() if weights else default
        if not path.is_file():
            raise NoInceptionError(
                f"metrics=inception: no weights at {path}; download {INCEPTION_URL} there, "
                f"or set metrics.features.weights=FILE, {avoid}"
            )
        # Not only honesty: torch-fidelity unpickles the file without `weights_only`.
        if (digest := file_sha256(path)) != INCEPTION_SHA256:
            raise UsageError(
                f"metrics=inception: {path} is another file, of SHA-256 {digest[:8]}…; "
                f"download {INCEPTION_URL} again, {avoid}"
            )
        self.network: nn.Module = NoTrainInceptionV3(
            name="inception-v3-compat",
            features_list=[str(self.num_features)],
            feature_extractor_weights_path=str(path),
            antialias=False,
        )
        self.protocol: dict[str, Any] = {
            "extractor": self.name,
            "network": "InceptionV3, TensorFlow 2015-12-05",
            "tap": "pool3",
            "pooling": "global average",
            "num_features": self.num_features,
            "weights_sha256": digest,
            "input": "8-bit RGB, TensorFlow 1 bilinear (no antialias) to 299x299",
            "versions": versions,
        }

    def __call__(self, images: Tensor) -> Tensor:
        """Return `(B, 2048)` float32 for images in [-1, 1] of any size."""
        network = self.network.to(images.device)
        with torch.inference_mode(), torch.autocast(images.device.type, enabled=False):
            features: Tensor = network(ranges.to_uint8(images))
            return features.float()


def weights_sha256(network: nn.Module) -> str:
    """Hash a network's values; independent of the names and the order of its layers."""
    values = [*network.parameters(), *network.buffers()]
    digests = sorted(hashlib.sha256(v.detach().cpu().numpy().tobytes()).digest() for v in values)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _versions(*packages: str) -> dict[str, str]:
    """Return versions of torch and others; `PackageNotFoundError`, an ImportError, if one is missing."""
    return {package: version(package) for package in ("torch", *packages)}
