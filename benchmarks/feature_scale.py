"""Measure `scale` of conf/features: python benchmarks/feature_scale.py FOLDER [--photos N] [...].

For each network and tap, what `Features.calibrate` returns: for crops of the photographs in FOLDER at three
sizes, and for four photographs that ship in scikit-image. A network without weights says so in one line.
"""

import argparse
import platform
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from PIL import Image, ImageOps
from skimage import data
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from toonlab import images
from toonlab.errors import UsageError
from toonlab.networks.frozen import EfficientNetLite0, Features, ResNet50, Vgg16, Vgg19

SIZES = (96, 128, 256)  # pixels
# The tap of conf/features, then the usual combinations.
CHOICES: dict[type[Features], list[list[str]]] = {
    EfficientNetLite0: [["block4"], ["block2", "block4", "block10"]],
    Vgg19: [["conv4_4"]],
    Vgg16: [["conv4_3"]],
    ResNet50: [["layer2"]],
}


def crop(picture: Image.Image, size: int) -> Tensor:
    """Bring the centre square to 256 px, as the collection has it; cut `size` pixels out of its middle."""
    first = (256 - size) // 2
    square = ImageOps.fit(picture, (256, 256), Image.Resampling.BICUBIC)
    return images.to_tensor(square.crop((first, first, first + size, first + size)))


def box(size: int) -> Callable[[Tensor], Tensor]:
    half = size // 2
    return lambda photo: F.avg_pool2d(F.pad(photo, (half,) * 4, mode="reflect"), size, stride=1)


def edge_preserving(photo: Tensor) -> Tensor:
    array = cv2.edgePreservingFilter(images.to_array(photo[0]), flags=1, sigma_s=60, sigma_r=0.4)
    return images.to_tensor(Image.fromarray(array)).unsqueeze(0)


def noisy(photo: Tensor) -> Tensor:
    return photo + 0.05 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))


STATES = {
    "box blur 3": box(3),
    "box blur 5 (calibrate)": box(5),
    "box blur 9": box(9),
    "edge-preserving filter": edge_preserving,
    "contrast x 0.8": lambda photo: photo * 0.8,
    "noise, sigma 0.05": noisy,
}


def print_states(features: Features, photos: Tensor) -> None:
    """Print what scale other pictures than the blurred photo would ask for, by gradients and by values."""
    (tap,) = features.taps
    print(f"\n{features.name} {tap}, {len(photos)} photos at {photos.shape[-1]} px; pixel L1 over features")
    print(f"{'picture':24}{'by gradient':>14}{'by value':>14}{'pixel L1':>14}{'features':>14}")
    for name, change in STATES.items():
        sums = torch.zeros(4)
        for photo in photos.unsqueeze(1):
            x = change(photo).requires_grad_()
            losses = (x - photo).abs().mean(), (features(x)[tap] - features(photo)[tap]).abs().mean()
            norms = [torch.autograd.grad(loss, x)[0].norm() for loss in losses]
            sums += torch.stack([*norms, *losses]).detach()
        by_gradient, by_value = sums[0] / sums[1], sums[2] / sums[3]
        pixels, distance = sums[2:] / len(photos)
        print(f"{name:24}{by_gradient:14.5f}{by_value:14.5f}{pixels:14.4f}{distance:14.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of photographs")
    parser.add_argument("--photos", type=int, help="use this many of them, evenly spaced (default: all)")
    parser.add_argument("--every-tap", action="store_true", help="measure each tap alone, too")
    parser.add_argument("--states", action="store_true", help="compare other pictures than blurred ones")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    paths = sorted(p for p in arguments.folder.rglob("*") if p.suffix.lower() in images.EXTENSIONS)
    if not paths:
        parser.error(f"{arguments.folder}: no photographs")
    paths = (
        paths[:: max(len(paths) // arguments.photos, 1)][: arguments.photos] if arguments.photos else paths
    )
    pictures = [images.decode(path).rgb for path in paths]
    packaged = [Image.fromarray(load()) for load in (data.astronaut, data.chelsea, data.coffee, data.rocket)]
    sets = {f"{size} px": torch.stack([crop(p, size) for p in pictures]) for size in SIZES}
    sets["packaged 256 px"] = torch.stack([crop(p, 256) for p in packaged])

    print(f"{len(pictures)} photos of {arguments.folder}; torch {torch.__version__}, {platform.machine()}")
    print(f"{'network':18} {'taps':24}" + "".join(f"{name:>16}" for name in sets))
    for network, choices in CHOICES.items():
        singles = [[tap] for tap in network.TAPS if [tap] not in choices] if arguments.every_tap else []
        for taps in choices + singles:
            try:
                features = network(taps=taps)
            except UsageError as error:
                print(error)
                break
            row = [features.calibrate(photos) for photos in tqdm(sets.values(), leave=False, desc=taps[0])]
            print(f"{network.name:18} {'+'.join(taps):24}" + "".join(f"{scale:16.4g}" for scale in row))
    if arguments.states:
        print_states(EfficientNetLite0(taps=["block4"]), sets["256 px"])


if __name__ == "__main__":
    main()
