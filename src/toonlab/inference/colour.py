"""A photo's own colours on its cartoon."""

from __future__ import annotations

from torch import Tensor

LUMA = 0.299, 0.587, 0.114
"""Of R, G and B in Y of YCbCr (ITU-R BT.601, as JPEG has it)."""


def keep_colour(cartoons: Tensor, photos: Tensor, share: float) -> Tensor:
    """Give cartoons `share` of their photos' chroma, and leave their luma alone.

    Gatys et al. 2016 ("Preserving color in neural artistic style transfer", luminance-only transfer): Y of
    the painting, the other two channels of the photo, here Cb and Cr. Both are multiples of B - Y and R - Y,
    so mixing them is the same as adding `share · ((photo - Y_photo) - (cartoon - Y_cartoon))` to R, G and B.
    Y stays what it was until the result is clipped.

    Args:
        cartoons: `(B, 3, H, W)` RGB in [-1, 1].
        photos: the same shape.
        share: 0 leaves the cartoons as they are, 1 takes all chroma from the photos.
    """
    difference = photos - cartoons
    red, green, blue = (weight * difference[:, i] for i, weight in enumerate(LUMA))
    return cartoons + share * (difference - (red + green + blue)[:, None])
