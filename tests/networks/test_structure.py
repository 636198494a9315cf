"""Published structure: parameter counts, strides, receptive fields."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from toonlab.networks.animegan import AnimeGeneratorV1, AnimeGeneratorV2
from toonlab.networks.cycle_resnet import CycleResnet
from toonlab.networks.discriminators import (
    AnimeDiscriminator,
    EdgeDiscriminator,
    PatchDiscriminator,
    PatchGAN,
    ResidualDiscriminator,
    SpectralPatch,
)
from toonlab.networks.layers import has_latent
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lambda: ResnetGenerator(), 11_129_667),
        (lambda: ResnetGenerator(upsampling="deconv"), 11_129_667),
        (lambda: UNet(), 1_467_075),
        (lambda: UNet(full_skip="concatenate"), 1_476_291),
        (lambda: AnimeGeneratorV1(), 3_956_096),
        (lambda: AnimeGeneratorV2(), 2_143_552),
        (lambda: EdgeDiscriminator(), 1_129_665),
        (lambda: AnimeDiscriminator(norm="instance"), 1_128_800),
        (lambda: AnimeDiscriminator(norm="layer"), 1_128_800),
        (lambda: SpectralPatch(channels=3), 287_137),
        (lambda: SpectralPatch(channels=1), 286_561),
        (lambda: CycleResnet(), 11_378_179),
        (lambda: CycleResnet(blocks=6), 7_837_699),
        (lambda: CycleResnet(upsampling="resize"), 11_378_179),
        (lambda: PatchGAN(), 2_764_737),
        (lambda: ResidualDiscriminator(), 2_502_209),
    ],
)
def test_parameter_counts_are_the_references(network, parameters: int) -> None:
    assert sum(p.numel() for p in network().parameters()) == parameters


@pytest.mark.parametrize(
    "generator",
    [
        UNet(width=4),
        UNet(width=4, full_skip="concatenate"),
        ResnetGenerator(width=4, blocks=1),
        CycleResnet(width=4, blocks=1),
        CycleResnet(width=4, blocks=1, upsampling="resize"),
        AnimeGeneratorV1(width=4),
        AnimeGeneratorV2(width=4),
    ],
    ids=["unet", "unet-concatenate", "resnet", "cycle", "cycle-resize", "animegan_v1", "animegan_v2"],
)
@pytest.mark.parametrize("size", [(16, 16), (20, 36), (52, 12)])
def test_generators_keep_the_shape_at_multiples_of_four(generator: nn.Module, size: tuple[int, int]) -> None:
    assert generator(torch.zeros(2, 3, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize(
    "generator",
    [
        ResnetGenerator(width=4, blocks=2),
        CycleResnet(width=4, blocks=2),
        AnimeGeneratorV1(width=4),
        AnimeGeneratorV2(width=4),
    ],
    ids=["resnet", "cycle", "animegan_v1", "animegan_v2"],
)
def test_latent_is_a_quarter_and_decodes_to_the_forward_pass(generator: nn.Module) -> None:
    photo = torch.rand(1, 3, 24, 32) * 2 - 1
    latent = generator.encode(photo)
    assert latent.shape == (1, 16, 6, 8)
    torch.testing.assert_close(generator.decode(latent), generator(photo), rtol=0, atol=0)


@pytest.mark.parametrize(
    "make",
    [partial(ResnetGenerator, blocks=2), partial(CycleResnet, blocks=2), AnimeGeneratorV1, AnimeGeneratorV2],
)
def test_a_residual_generator_begins_at_the_photo_and_learns_all_its_weights(make: Any) -> None:
    network = make(width=4, learn_residual=True)
    photo = torch.rand(2, 3, 20, 36) * 2 - 1
    torch.testing.assert_close(network(photo), photo, rtol=0, atol=0)
    assert has_latent(make(width=4))
    assert not has_latent(network)  # decoded, it is what the photo lacks

    wanted = photo.flip(3)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(3):
        loss = (network(photo) - wanted).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > losses[1] > losses[2]
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert first.weight.grad.abs().max() > 0
    torch.testing.assert_close(network(photo), photo + network.decode(network.encode(photo)), rtol=0, atol=0)


def receptive_field(discriminator: PatchDiscriminator, channels: int) -> int:
    """Width of the input that one score in the middle depends on."""
    for module in discriminator.modules():  # norms look at the whole image; the convolutions do not
        if isinstance(module, nn.InstanceNorm2d | nn.GroupNorm):
            module.forward = lambda x: x
    image = torch.rand(1, channels, 128, 128, requires_grad=True)
    scores = discriminator.eval()(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    columns = image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    return int(columns.max() - columns.min() + 1)


def test_receptive_fields_and_strides() -> None:
    edge, patch = EdgeDiscriminator(width=4), SpectralPatch(channels=1, width=4)
    assert edge(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 16, 16)
    assert patch(torch.zeros(1, 1, 64, 64)).shape == (1, 1, 8, 8)
    assert edge.features(torch.zeros(1, 3, 64, 64)).shape == (1, 32, 16, 16)
    assert receptive_field(edge, 3) == 37
    assert receptive_field(AnimeDiscriminator(norm="layer", width=4), 3) == 37
    assert receptive_field(patch, 1) == 43
    patchgan, residual = PatchGAN(width=4), ResidualDiscriminator(width=4)
    assert patchgan(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)
    assert residual(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 32, 32)
    assert patchgan.features(torch.zeros(1, 3, 64, 64)).shape == (1, 32, 7, 7)
    assert receptive_field(patchgan, 3) == 70
    assert receptive_field(residual, 3) == 47


@pytest.mark.parametrize(
    "patch",
    [
        SpectralPatch(channels=3, width=4),
        AnimeDiscriminator(norm="instance", width=4),
        AnimeDiscriminator(norm="layer", width=4),
    ],
    ids=["whitebox", "animegan_v1", "animegan_v2"],
)
def test_spectral_norm_bounds_every_convolution(patch: PatchDiscriminator) -> None:
    for _ in range(200):  # the power iteration converges over forward passes
        patch(torch.zeros(1, 3, 16, 16))
    convolutions = [m for m in patch.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 7
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=1e-3)


def test_no_activation_follows_the_residual_sum() -> None:
    generator = ResnetGenerator(width=4, blocks=1)
    assert (generator.encode(torch.randn(1, 3, 32, 32)) < 0).any()


def test_the_unets_tanh_head_bounds_what_the_linear_one_gives() -> None:
    linear, bounded = UNet(width=4, blocks=1), UNet(width=4, blocks=1, head="tanh")
    bounded.load_state_dict(linear.state_dict())  # no parameter more
    photo = torch.rand(1, 3, 16, 16) * 20 - 10
    with torch.no_grad():
        torch.testing.assert_close(bounded(photo), torch.tanh(linear(photo)))
