"""What a mask of pixels says about the cells of a latent, and how much a known pixel tells about the hole."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def known_cells(known: Tensor, stride: int, erode: int) -> Tensor:
    """Return which cells of a latent saw known pixels alone, `(B, 1, H / stride, W / stride)`.

    A cell is known if all of its own pixels are, and those of all cells up to `erode` away along both axes.
    An encoder's view is wider than any practical `erode` (CartoonGAN: 153 pixels, 19 cells to either side);
    2 to 4 cells leave out where it is shown most of the hole. Beyond the picture counts as known.

    Args:
        known: `(B, 1, H, W)`, 1 = known, 0 = missing.
        stride: pixels to a cell; H and W are multiples of it.
        erode: cells.

    Raises:
        ValueError: H or W is no multiple of `stride`.
    """
    height, width = known.shape[-2:]
    if height % stride or width % stride:
        raise ValueError(f"a mask of {width}x{height} pixels has no whole cells of {stride}: pad it first")
    missing = F.max_pool2d(1 - known, stride)
    if erode:
        missing = F.max_pool2d(missing, 2 * erode + 1, stride=1, padding=erode)
    return 1 - missing


def context_weights(known: Tensor, window: int) -> Tensor:
    """Weigh each known pixel by the share of its surroundings that is missing, `(B, 1, H, W)` in [0, 1].

    Yeh et al. 2017, W_i = M_i · Σ_{j in N(i)} (1 - M_j) / |N(i)|: zero in the hole and far from it, largest
    at its edge. The authors' code multiplies by the share that is *known*, the other way round.

    Args:
        known: `(B, 1, H, W)`, 1 = known, 0 = missing.
        window: side of N(i) in pixels, odd; at the border N(i) is what lies within the picture.

    Raises:
        ValueError: `window` is even.
    """
    if window % 2 == 0:
        raise ValueError(f"window={window}: an odd number of pixels, so that it has a middle")
    missing = F.avg_pool2d(1 - known, window, stride=1, padding=window // 2, count_include_pad=False)
    return known * missing
