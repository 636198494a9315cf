"""What a smaller export loses: PSNR, levels and a perceptual distance from the checkpoint's own pictures."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from toonlab import images
from toonlab.app.painter import stylizer
from toonlab.engine.checkpoint import Loaded
from toonlab.errors import UsageError
from toonlab.inference.onnx_file import session_of
from toonlab.inference.sample_photos import sample_photos
from toonlab.metrics.content import map_distance
from toonlab.metrics.features import prepare
from toonlab.networks.frozen import EfficientNetLite0

log = logging.getLogger(__name__)

MOST = 16
"""Photos taken of `photos=DIR`, evenly spread over its names."""
LONGEST = 512
"""Pixels; larger photos are reduced for the comparison."""


def photos_of(cfg: DictConfig) -> list[Tensor]:
    """Return the pictures of `cfg.photos`, or scikit-image's, `(3, H, W)` in [-1, 1].

    Raises:
        UsageError: the folder is not there, or has fewer than two pictures.
    """
    if cfg.photos is None:
        return sample_photos()
    folder = Path(cfg.photos).expanduser()
    if not folder.is_dir():
        raise UsageError(f"photos={folder}: no such folder")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in images.EXTENSIONS and p.is_file())
    files = [files[i * len(files) // MOST] for i in range(MOST)] if len(files) > MOST else files
    found = []
    for file in files:
        try:
            picture = images.decode(file).rgb
        except images.BadImageError as error:
            log.warning("%s: left out (%s)", file, error)
            continue
        picture.thumbnail((LONGEST, LONGEST))
        if min(picture.size) >= 16:
            found.append(images.to_tensor(picture))
    if len(found) < 2:
        raise UsageError(
            f"photos={folder}: {len(found)} usable pictures; give two or more, half for int8's ranges and "
            "half to measure the loss on, or leave it out for scikit-image's"
        )
    return found


def judged(cfg: DictConfig, loaded: Loaded, photos: Sequence[Tensor]) -> Callable[[Path], Mapping[str, str]]:
    """Return what measures a written file's loss on `photos` and refuses one below `cfg.least_psnr`."""

    def judge(path: Path) -> Mapping[str, str]:
        found = loss(path, loaded, photos)
        line = (
            f"PSNR {found['psnr']:.1f} dB, {found['levels']:.2f} of 255 levels on average, perceptual "
            f"distance {found['distance']:.4f}"
        )
        log.info("precision=%s against PyTorch on %d photos: %s", cfg.precision, len(photos), line)
        if found["psnr"] < cfg.least_psnr:
            raise UsageError(
                f"output={cfg.output}: not written: precision={cfg.precision} loses too much of this "
                f"{type(loaded.generator).__name__}: {line}; least_psnr={cfg.least_psnr:g} is asked. Use "
                "precision=fp16, or least_psnr=0 to have it all the same"
            )
        return {"quality": json.dumps({key: round(value, 5) for key, value in found.items()})}

    return judge


def loss(path: Path, loaded: Loaded, photos: Sequence[Tensor]) -> dict[str, float]:
    """Compare an ONNX file's pictures with the checkpoint's.

    Returns:
        `psnr` in dB of the mean squared error over all of them, `levels`, the mean absolute difference on the
        0..255 scale, `distance`, LPIPS with EfficientNet-Lite0 and no learnt weights (see metrics.md),
        `distance_of_photo`, the same between photo and cartoon, to compare it with; `photos`, their number.
    """
    session = session_of(path, wanted_by=f"precision of {path}")
    own = loaded._replace(generator=copy.deepcopy(loaded.generator))
    reference = stylizer(own, device=torch.device("cpu"), tile=None, quality="full")  # as the file paints
    network = EfficientNetLite0(taps=["block2", "block4", "block10"], scale=1.0).eval()
    squares, levels, distances, scale = [], [], [], []
    for photo in photos:
        wanted = reference.paint(photo[None])
        ours = torch.from_numpy(session.run(["cartoon"], {"photo": photo[None].numpy()})[0])
        error = (ours - wanted) / 2
        squares.append(float(error.square().mean()))
        levels.append(float(error.abs().mean()) * 255)
        with torch.inference_mode():
            a, b, c = (network(prepare(image, 224)) for image in (ours, wanted, photo[None]))
        distances.append(sum(float(map_distance(a[tap], b[tap])) for tap in a) / len(a))
        scale.append(sum(float(map_distance(c[tap], b[tap])) for tap in b) / len(b))
    mean = sum(squares) / len(squares)
    return {
        "psnr": -10 * torch.tensor(max(mean, 1e-12)).log10().item(),
        "levels": sum(levels) / len(levels),
        "distance": sum(distances) / len(distances),
        "distance_of_photo": sum(scale) / len(scale),
        "photos": float(len(photos)),
    }
