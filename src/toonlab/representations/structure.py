"""Flat colour regions: superpixels filled with their mean (White-box, section 3.2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from skimage.color import label2rgb
from skimage.segmentation import slic
from torch import Tensor

from toonlab import images as im


class Superpixels:
    """Map `(B, 3, H, W)` in [-1, 1] to the same shape, each superpixel painted with its mean colour.

    A target, not a layer: nothing flows back, so it takes detached images (and detaches them). The
    authors' default path: SLIC in Lab with mean colours; their adaptive colouring is called unstable by
    themselves.

    Args:
        segments: superpixels asked for in each image.
        compactness: SLIC's balance of nearness in space against nearness in colour.
        sigma: pixels; smoothing before the segmentation.
        workers: threads; SLIC leaves the interpreter lock while it works.
    """

    def __init__(
        self, *, segments: int = 200, compactness: float = 10.0, sigma: float = 1.0, workers: int = 2
    ) -> None:
        self.segments, self.compactness, self.sigma, self.workers = segments, compactness, sigma, workers

    def __call__(self, images: Tensor) -> Tensor:
        pictures = [im.to_array(image) for image in images.detach()]
        # A pool for each call: threads start in microseconds, and none is left to fork or to pickle.
        with ThreadPoolExecutor(self.workers) as pool:
            flat = list(pool.map(self._flatten, pictures))
        return im.from_uint8(torch.from_numpy(np.stack(flat)).permute(0, 3, 1, 2)).to(images)

    def _flatten(self, picture: np.ndarray) -> np.ndarray:
        labels = slic(
            picture,
            n_segments=self.segments,
            compactness=self.compactness,
            sigma=self.sigma,
            convert2lab=True,
            start_label=0,
        )
        # bg_label: without it, region 0 is taken for background and turns black.
        flat: np.ndarray = label2rgb(labels, picture, kind="avg", bg_label=-1)  # type: ignore[no-untyped-call]
        return flat.astype(np.uint8)
