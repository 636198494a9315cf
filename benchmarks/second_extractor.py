"""KID against a style, by features that have nothing to do with those that judged in training.

    pip download --no-deps nudenet==3.4.2 && unzip nudenet-3.4.2-*.whl nudenet/320n.onnx
    python benchmarks/second_extractor.py nudenet/320n.onnx PHOTOS CARTOONS NETWORK [NETWORK …]

The backbone of a YOLOv8n detector, which comes inside a package: its features at strides 8, 16 and 32,
averaged over places, each channel standardised over photos and cartoons together. A network is a checkpoint,
a bundle's folder or the name of one that comes with toonlab. Printed is its KID (unbiased, degree 3, the
whole of both sets) over that of the photos as they are. Needs `pip install -e '.[export]'`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import torch
from onnx.utils import extract_model
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from toonlab import images
from toonlab.app.painter import stylizer
from toonlab.engine.checkpoint import load_generator

STRIDES = {f"/model.{layer}/cv2/act/Mul_output_0": stride for layer, stride in ((4, 8), (6, 16), (9, 32))}


def backbone(model: Path) -> Callable[[Tensor], list[Tensor]]:
    """Return features of `(1, 3, H, W)` in [-1, 1], a vector for each stride."""
    first = onnx.load(model).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "backbone.onnx"
        extract_model(model, part, [first], list(STRIDES))
        session = onnxruntime.InferenceSession(part, providers=["CPUExecutionProvider"])

    def features(image: Tensor) -> list[Tensor]:
        small = F.interpolate(image, size=(320, 320), mode="bilinear", antialias=True)
        maps = session.run(list(STRIDES), {first: ((small + 1) / 2).clamp(0, 1).numpy()})
        return [torch.from_numpy(each).double().mean(dim=(0, 2, 3)) for each in maps]

    return features


def kid(x: Tensor, y: Tensor) -> float:
    """Return the unbiased estimate over all pairs of different vectors, `(n, d)` and `(m, d)`."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    within = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(sum(within) - 2 * kernel(x, y).mean())


def ratios(painted: list[Tensor], photos: list[Tensor], cartoons: list[Tensor]) -> list[float]:
    found = []
    for sets in zip(painted, photos, cartoons, strict=True):
        both = torch.cat(sets[1:])
        ours, before, style = ((each - both.mean(0)) / (both.std(0) + 1e-9) for each in sets)
        found.append(kid(ours, style) / kid(before, style))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("cartoons", type=Path)
    parser.add_argument("networks", nargs="+", type=Path)
    asked = parser.parse_args()
    features = backbone(asked.model)

    def described(folder: Path, paint: Callable[[Tensor], Tensor]) -> list[Tensor]:
        rows = []
        for path in sorted(folder.glob("*.[jp][pn]g")):
            with Image.open(path) as file:
                rows.append(
                    features(paint(images.to_tensor(ImageOps.fit(file.convert("RGB"), (256, 256)))[None]))
                )
        return [torch.stack(column) for column in zip(*rows, strict=True)]

    photos, cartoons = (described(folder, lambda image: image) for folder in (asked.photos, asked.cartoons))
    print(f"| network | {' | '.join(f'stride {stride}' for stride in STRIDES.values())} |")
    print("|---" * (1 + len(STRIDES)) + "|")
    for path in asked.networks:
        paint = stylizer(load_generator(path), device=torch.device("cpu"), tile=None).paint
        found = ratios(described(asked.photos, paint), photos, cartoons)
        print(f"| {path} | {' | '.join(f'{ratio:.2f}' for ratio in found)} |", flush=True)


if __name__ == "__main__":
    main()
