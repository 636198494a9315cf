"""Small stand-ins: networks of width 4, features that need no weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from lightning.pytorch import Trainer
from torch import nn

from toonlab.engine.method import ToonMethod
from toonlab.losses.adversarial import LeastSquares
from toonlab.methods.cartoongan import CartoonGAN
from toonlab.methods.whitebox import OutputFilter, WhiteBox
from toonlab.networks.discriminators import EdgeDiscriminator, SpectralPatch
from toonlab.networks.frozen import Features, Tap
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet
from toonlab.representations.structure import Superpixels
from toonlab.representations.surface import Surface
from toonlab.representations.texture import ColourShift


class TinyFeatures(Features):
    """A seeded random convolution in place of an ImageNet network: says nothing of looks."""

    name = "tiny"
    TAPS: ClassVar[Mapping[str, Tap]] = {"only": Tap(stride=2, channels=4)}

    def __init__(self) -> None:
        super().__init__(taps=["only"], scale=1.0)
        conv = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        with torch.no_grad():
            conv.weight.normal_(generator=torch.Generator().manual_seed(0))
        self.mount({"only": conv})


def common(**changes: Any) -> dict[str, Any]:
    """What every method takes, with plain SGD-free defaults of the configs."""
    arguments: dict[str, Any] = {
        "optimizer": lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.5, 0.99)),
        "discriminator_optimizer": lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.5, 0.99)),
        "lr": 1.0,
        "ema_half_life": 10.0,
        "ema_ramp": 0.1,
        "accumulate": 1,
        "clip_norm": None,
        "warmup_iterations": 0,
        "warmup_weights": {},
        "seed": 0,
    }
    return arguments | changes


def tiny_whitebox(**changes: Any) -> WhiteBox:
    torch.manual_seed(0)
    weights = {
        "surface": 0.1,
        "texture": 1.0,
        "structure": 0.5,
        "content": 0.5,
        "tv": 0.05,
        "reconstruction": 0.1,
        "colour": 0.1,
        "chroma": 0.1,
    }
    arguments = common(weights=weights, discriminator_weights={"surface": 0.5, "texture": 0.5})
    arguments |= {"output_filter": OutputFilter(radius=1, eps=1e-2, painting_eps=5e-3)} | changes
    return WhiteBox(
        generator=UNet(width=4, blocks=1),
        d_surface=SpectralPatch(channels=3, width=4),
        d_texture=SpectralPatch(channels=1, width=4),
        surface=Surface(radius=2, eps=0.2),
        texture=ColourShift(),
        structure=Superpixels(segments=16),
        features=TinyFeatures(),
        adversarial=LeastSquares(),
        **arguments,
    )


def tiny_cartoongan(**changes: Any) -> CartoonGAN:
    torch.manual_seed(0)
    arguments = (
        common(
            weights={"adversarial": 1.0, "content": 1.0, "colour": 0.1},
            discriminator_weights={"real": 1.0, "fake": 1.0, "blurred": 1.0},
        )
        | changes
    )
    arguments["weights"] = {"flow_pixel": 0.0, "flow_content": 0.0} | arguments["weights"]
    init = {"init": "content", "init_weights": {"content": arguments.pop("warmup_weights")}}
    return CartoonGAN(
        **init,
        generator=ResnetGenerator(width=4, blocks=1),
        discriminator=EdgeDiscriminator(width=4),
        surface=Surface(radius=2, eps=0.2),
        features=TinyFeatures(),
        adversarial=LeastSquares(),
        **arguments,
    )


TINY: dict[str, Callable[..., ToonMethod]] = {"whitebox": tiny_whitebox, "cartoongan": tiny_cartoongan}


def quiet_trainer(**settings: Any) -> Trainer:
    """One epoch on the processor, nothing written, nothing shown."""
    return Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def same(one: Any, two: Any, where: str = "") -> None:
    """Compare nested states tensor by tensor, bit by bit."""
    assert type(one) is type(two), where
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            same(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(two), where
        for i, pair in enumerate(zip(one, two, strict=True)):
            same(*pair, f"{where}[{i}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, two), where
    else:
        assert one == two, where
