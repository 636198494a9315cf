"""Flat colour regions: pictures cut into regions, each painted with one colour (White-box, section 3.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from skimage.segmentation import slic
from torch import Tensor

from toonlab import images as im
from toonlab.errors import UsageError
from toonlab.representations.colouring import check_colouring, colour_regions
from toonlab.representations.felzenszwalb import felzenszwalb
from toonlab.representations.selective_search import merge_regions

Array = np.ndarray[Any, Any]


class Structure(ABC):
    """Map `(B, 3, H, W)` in [-1, 1] to the same shape, each region painted with one colour.

    A target, not a layer: nothing flows back, so it takes detached images (and detaches them). Any size from
    1x1 will do.

    Args:
        colouring: `mean`, `median` or `adaptive`: the mean of calm regions, the median of varied ones
            (`colour_regions`). The authors use the mean, and call adaptive colouring unstable.
        low: standard deviation on the 0..255 scale up to which a region counts as calm, adaptive only.
        high: likewise, from which it counts as varied.
        power: exponent of the colours in [0, 1]; the paper's 1.2 darkens every target.
        workers: threads for a batch. What takes long leaves the interpreter lock, and nothing is pickled.

    Raises:
        ValueError: settings out of range; when called: images of another shape, or with NaN or infinity.
    """

    def __init__(
        self,
        *,
        colouring: str = "mean",
        low: float = 20.0,
        high: float = 40.0,
        power: float = 1.0,
        workers: int = 2,
    ) -> None:
        check_colouring(colouring, low, high, power)
        if workers < 1:
            raise ValueError(f"{type(self).__name__} needs workers >= 1, got {workers}")
        self.colouring, self.low, self.high, self.power = colouring, low, high, power
        self.workers = workers

    def __call__(self, images: Tensor) -> Tensor:
        flat = self._map(self._flatten, images)
        return im.from_uint8(torch.from_numpy(np.stack(flat)).permute(0, 3, 1, 2)).to(images)

    def labels(self, images: Tensor) -> Tensor:
        """Return the regions themselves: `(B, H, W)` int64, numbered from 0 in each image."""
        labels = np.stack(self._map(self.segment, images))
        return torch.from_numpy(labels.astype(np.int64)).to(images.device)

    @abstractmethod
    def segment(self, picture: Array) -> Array:
        """Cut one `(H, W, 3)` uint8 picture into regions: `(H, W)` integers from 0."""

    def _flatten(self, picture: Array) -> Array:
        return colour_regions(
            picture, self.segment(picture), self.colouring, low=self.low, high=self.high, power=self.power
        )

    def _map(self, function: Callable[[Array], Array], images: Tensor) -> list[Array]:
        if images.ndim != 4 or images.shape[1] != 3 or images.numel() == 0:
            raise ValueError(f"{type(self).__name__} needs images (B, 3, H, W), got {tuple(images.shape)}")
        if not torch.isfinite(images).all():
            raise UsageError(
                f"{type(self).__name__} cannot segment images with NaN or infinite values; a generator that "
                "paints them has diverged: lower method.optimizer.lr or set method.clip_norm=1"
            )
        pictures = im.to_uint8(images.detach()).permute(0, 2, 3, 1).cpu().contiguous().numpy()
        # A pool for each call: threads start in microseconds, and none is left to fork or to pickle.
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(function, pictures))


class Superpixels(Structure):
    """SLIC superpixels in Lab; with mean colours, the default of the authors' code.

    Args:
        segments: superpixels asked for in each image.
        compactness: SLIC's balance of nearness in space against nearness in colour.
        sigma: pixels; smoothing before the segmentation.
        colouring: see `Structure`, likewise `low`, `high`, `power` and `workers`.
    """

    def __init__(
        self, *, segments: int = 200, compactness: float = 10.0, sigma: float = 1.0, **common: Any
    ) -> None:
        super().__init__(**common)
        if segments < 1 or compactness <= 0 or sigma < 0:
            raise ValueError(
                f"Superpixels needs segments >= 1, compactness > 0 and sigma >= 0, "
                f"got {segments}, {compactness} and {sigma}"
            )
        self.segments, self.compactness, self.sigma = segments, compactness, sigma

    def segment(self, picture: Array) -> Array:
        labels: Array = slic(
            picture,
            n_segments=self.segments,
            compactness=self.compactness,
            sigma=self.sigma,
            convert2lab=True,
            start_label=0,
        )
        return labels


class SelectiveSearch(Structure):
    """The paper's regions: Felzenszwalb's, the most similar neighbours merged until few are left.

    Args:
        regions: how many to leave. The paper says about 200; the authors' code counts neighbouring pairs
            instead, and 200 of those leave 82 to 93 regions at 256 px. With the `min_size` below there are
            110 to 190 before merging, so 200 would merge none.
        scale: Felzenszwalb's, for pictures in [0, 1]; 5 is the authors' 10 for pictures in [-1, 1].
        sigma: pixels; smoothing before the segmentation.
        min_size: pixels; smaller regions are joined to a neighbour before merging.
        colouring: see `Structure`, likewise `low`, `high`, `power` and `workers`.
    """

    def __init__(
        self,
        *,
        regions: int = 85,
        scale: float = 5.0,
        sigma: float = 0.8,
        min_size: int = 100,
        colouring: str = "adaptive",
        **common: Any,
    ) -> None:
        super().__init__(colouring=colouring, **common)
        if regions < 1 or scale < 0 or sigma < 0 or min_size < 0:
            raise ValueError(
                f"SelectiveSearch needs regions >= 1 and scale, sigma, min_size >= 0, "
                f"got {regions}, {scale}, {sigma} and {min_size}"
            )
        self.regions, self.scale, self.sigma, self.min_size = regions, scale, sigma, min_size

    def segment(self, picture: Array) -> Array:
        return merge_regions(
            picture, felzenszwalb(picture, self.scale, self.sigma, self.min_size), self.regions
        )
