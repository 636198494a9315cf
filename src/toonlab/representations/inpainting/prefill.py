"""A first guess at what is missing, so that a network sees a whole picture.

Without it InstanceNorm's statistics include the hole: a black block shifts every feature of the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from toonlab import images
from toonlab.errors import check_choice
from toonlab.representations.inpainting.biharmonic import biharmonic, scattered

_OPENCV = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}
WAYS = (*_OPENCV, "mean", "biharmonic", "auto")


def prefill(photos: Tensor, known: Tensor, how: str = "telea", *, radius: float = 3.0) -> Tensor:
    """Fill the unknown pixels of `(B, 3, H, W)` in [-1, 1]; known ones are returned bit by bit.

    Args:
        photos: what they hold in the hole is not looked at, NaN included.
        known: `(B, 1, H, W)`, 1 = known, 0 = missing.
        how: `telea` (Telea 2004) or `ns` (Navier-Stokes, Bertalmio et al. 2001) by OpenCV, to 8 bits; or
            `mean`: each photo's mean colour; `biharmonic`: the smoothest surface; `auto`: that where single
            pixels are missing, else `ns`. Where nothing is known, mid-grey.
        radius: pixels around a point that OpenCV looks at.

    Raises:
        UsageError: no such way.
    """
    check_choice("prefill", how, WAYS)
    is_known = known > 0.5
    filled = [_fill(photo, mask, how, radius) for photo, mask in zip(photos, is_known, strict=True)]
    return torch.where(is_known, photos, torch.stack(filled))


def _fill(photo: Tensor, known: Tensor, how: str, radius: float) -> Tensor:
    if not known.any():
        return torch.zeros_like(photo)
    if known.all():
        return photo
    visible = torch.where(known, photo, torch.zeros_like(photo))
    if how == "auto":
        how = "biharmonic" if scattered(known[0].cpu().numpy()) else "ns"
    if how == "biharmonic":
        smooth = biharmonic(visible.detach().cpu().numpy(), known[0].cpu().numpy())
        return torch.from_numpy(smooth).clamp(-1, 1).to(photo)
    if how == "mean":
        mean = visible.double().sum(dim=(1, 2)) / known.sum()
        return mean.to(photo.dtype)[:, None, None].expand_as(photo)
    missing = (~known[0]).to(torch.uint8).cpu().numpy()
    guess = cv2.inpaint(np.ascontiguousarray(images.to_array(visible)), missing, radius, _OPENCV[how])
    return images.from_uint8(torch.from_numpy(guess).permute(2, 0, 1)).to(photo)
