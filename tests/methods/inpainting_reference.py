"""Latent inpainting's losses written a second time, from methods.md section 8 and the docstrings.

Plain torch, places by loops where the method has pooling or a transform. The networks, the bank's photos,
the first guess and the drawn holes are the method's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toonlab import keyed
from toonlab.representations.inpainting.prefill import prefill

Values = dict[str, Tensor]


def latent_inpainting(m: Any, batch: Values) -> tuple[Values, Values]:
    return searched(m, batch["photo"]) if m.searching else learned(m, batch["photo"])


def learned(m: Any, photo: Tensor) -> tuple[Values, Values]:
    """Two corrections, scaled by the doubt about each place; against the whole photo and its cartoon."""
    rng, stride = m.rng("holes"), m.painter.multiple
    known = m.masks.batch(photo, rng)
    way = m.prefills[int(torch.randint(len(m.prefills), (1,), generator=rng))]
    networks = m.completion
    doubt = (distance_to_known(known) / networks.deep).clamp(max=1)

    first = prefill(photo, known, way)
    corrected = networks.picture(cells_of(torch.cat([first, known], dim=1), networks.fine))
    refined = first + doubt * pixels_of(corrected, networks.fine)

    clean = m.painter.encode(photo)
    n = clean[:, 0].numel()
    mean = clean.sum((0, 2, 3), keepdim=True) / n
    unit = (((clean - mean) ** 2).sum((0, 2, 3), keepdim=True) / (n - 1)).sqrt().clamp(min=1e-3)
    start = m.painter.encode(refined)
    seen = torch.cat([start / unit, cells_of(torch.cat([refined, known], dim=1), stride)], dim=1)
    latent = start + share(doubt, stride) * unit * networks.latent(seen)
    cartoon, wanted = m.painter.decode(latent), m.painter.decode(clean)

    missing = 1 - known
    generator = {
        "photo": each_hole(refined - photo, missing),
        "photo_content": looks(m, refined, photo, missing),
        "latent": each_hole((latent - clean) / unit, share(missing, stride)),
        "pixel": each_hole(cartoon - wanted, missing),
        "content": looks(m, cartoon, wanted, missing),
        "adversarial": ((m.discriminator(cartoon) - 1) ** 2).mean(),
    }
    return generator, {
        "real": ((m.discriminator(wanted) - 1) ** 2).mean(),
        "fake": (m.discriminator(cartoon) ** 2).mean(),
    }


def searched(m: Any, photo: Tensor) -> tuple[Values, Values]:
    """Section 8's L = L_ctx + λ_p·L_prior + λ_b·‖(1 - M_z)⊙(z - z⁰)/σ_c‖² + λ_tv·TV, term by term."""
    known = m.masks.batch(photo, keyed.generator(m.seed, "holes"))
    filled = prefill(photo, known, m.prefills[0])
    encoded, stride = m.painter.encode(filled), m.painter.multiple
    cells = whole_cells(known, stride, m.search.erode)
    maps = m.bank.maps(torch.arange(len(m.bank)))
    nearest = []
    for z, mask in zip(encoded, cells, strict=True):
        mask = mask if mask.any() else torch.ones_like(mask)
        distances = [float(((each - z) ** 2 * mask).sum() / mask.sum()) for each in maps]
        nearest.append(maps[distances.index(min(distances))])
    start = cells * encoded + (1 - cells) * torch.stack(nearest)
    latent = start + (1 - cells) * m.completion.value
    target, cartoon = m.painter.decode(encoded), m.painter.decode(latent)

    weights, missing = towards_the_hole(known, m.search.window), 1 - known
    flat = maps.transpose(0, 1).flatten(1).double()
    deviation = ((flat - flat.mean(1, keepdim=True)) ** 2).mean(1).sqrt().float()[:, None, None]
    changed = ((latent - start) / deviation) ** 2 * (1 - cells)
    generator = {
        "context": ((cartoon - target).abs() * weights).sum() / weights.sum() / 3,
        "prior": -torch.sigmoid(m.discriminator(cartoon)).log().mean(),
        "bank": changed.sum() / ((1 - cells).sum() * latent.shape[1]).clamp(min=1),
        "tv": sum((steps(cartoon, missing, dim) for dim in (2, 3)), torch.zeros(())),
    }
    chosen = torch.randint(len(m.bank), (len(photo),), generator=m.rng("bank"))
    real = m.discriminator(m.painter.decode(maps[chosen]))
    return generator, {
        "real": -torch.sigmoid(real).log().mean(),
        "fake": -(1 - torch.sigmoid(m.discriminator(cartoon))).log().mean(),
    }


# Of a batch: each picture's hole counts alike in what is learnt, each place in a search.


def each_hole(difference: Tensor, missing: Tensor) -> Tensor:
    """Mean |difference| over each picture's hole and channels, then over pictures."""
    means = [(d.abs() * w).sum() / (w.sum() * len(d)) for d, w in zip(difference, missing, strict=True)]
    return torch.stack(means).mean()


def looks(m: Any, ours: Tensor, theirs: Tensor, missing: Tensor) -> Tensor:
    """Root of the mean squared distance of features' directions in each hole, taps alike; over pictures."""
    one, two = m.features(ours), m.features(theirs)
    pictures = []
    for i in range(len(ours)):
        taps = []
        for tap in one:
            a, b = (f[i] / f[i].square().sum(0, keepdim=True).sqrt() for f in (one[tap], two[tap]))
            weight = share(missing[i : i + 1], missing.shape[-1] // a.shape[-1])[0]
            taps.append((((a - b) ** 2).sum(0, keepdim=True) * weight).sum() / weight.sum())
        pictures.append((sum(taps, torch.zeros(())) / len(taps)).sqrt())
    return torch.stack(pictures).mean()


def steps(cartoon: Tensor, missing: Tensor, dim: int) -> Tensor:
    """Mean squared step along a dimension, of pairs that touch the hole."""
    n = cartoon.shape[dim] - 1
    total, pairs = torch.zeros(()), 0.0
    for i in range(n):
        step = (cartoon.select(dim, i + 1) - cartoon.select(dim, i)) ** 2
        touches = ((missing.select(dim, i + 1) + missing.select(dim, i)) > 0).float()
        total, pairs = total + (step * touches).sum(), pairs + float(touches.sum()) * cartoon.shape[1]
    return total / pairs


# Places


def distance_to_known(known: Tensor) -> Tensor:
    """Each pixel's distance to the nearest known one, from all pairs of them."""
    height, width = known.shape[2:]
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()
    apart = torch.cdist(places, places)
    nearest = [apart[:, mask.flatten() > 0.5].min(dim=1).values for mask in known]
    return torch.stack(nearest).view_as(known).float()


def cells_of(pixels: Tensor, side: int) -> Tensor:
    """Stack the pixels of each cell as channels, row by row."""
    grid = [pixels[:, :, y::side, x::side] for y in range(side) for x in range(side)]
    return torch.stack(grid, dim=2).flatten(1, 2)


def pixels_of(cells: Tensor, side: int) -> Tensor:
    """Lay them out again."""
    count, channels, height, width = cells.shape
    pixels = torch.empty(count, channels // side**2, height * side, width * side)
    for i in range(side**2):
        pixels[:, :, i // side :: side, i % side :: side] = cells[:, i :: side**2]
    return pixels


def share(mask: Tensor, side: int) -> Tensor:
    """Mean of each cell's pixels."""
    return cells_of(mask, side).mean(dim=1, keepdim=True)


def whole_cells(known: Tensor, side: int, erode: int) -> Tensor:
    """Cells all of whose pixels, and all pixels of whose neighbours up to `erode` away, are known."""
    whole = cells_of(known, side).amin(dim=1, keepdim=True)
    eroded = torch.empty_like(whole)
    for y in range(whole.shape[2]):
        for x in range(whole.shape[3]):
            around = whole[:, :, max(0, y - erode) : y + erode + 1, max(0, x - erode) : x + erode + 1]
            eroded[:, :, y, x] = around.amin(dim=(2, 3))
    return eroded


def towards_the_hole(known: Tensor, window: int) -> Tensor:
    """W_i = M_i·Σ_{j in N(i)} (1 - M_j) / |N(i)|."""
    weights, half = torch.empty_like(known), window // 2
    for y in range(known.shape[2]):
        for x in range(known.shape[3]):
            around = known[:, :, max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
            weights[:, :, y, x] = known[:, :, y, x] * (1 - around).mean(dim=(2, 3))
    return weights
