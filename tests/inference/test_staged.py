"""Networks with norms in tiles: what comes out is what painting at once gives, whatever the network."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.errors import UsageError
from toonlab.inference import staged
from toonlab.inference.canvas import Canvas
from toonlab.inference.graphs import NotLocalError, graph_of, takes_statistics
from toonlab.inference.moments import Moments
from toonlab.inference.pixels import Pixels
from toonlab.inference.stages import stages
from toonlab.inference.stylizer import OutputFilter, Stylizer
from toonlab.inference.windows import Window
from toonlab.networks.adapters import Adapted
from toonlab.networks.animegan import AnimeGeneratorV1, AnimeGeneratorV2
from toonlab.networks.cycle_resnet import CycleResnet
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet

CPU = torch.device("cpu")
LEVEL = 1 / 127.5


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    """Dark on one side, light on the other, with fine noise: tiles' own statistics would differ much."""
    rng = torch.Generator().manual_seed(seed)
    shapes = F.interpolate(torch.rand(1, 3, 4, 5, generator=rng) - 0.5, size=(height, width), mode="bicubic")
    ramp = torch.linspace(-0.6, 0.6, width)
    return (shapes + ramp + torch.randn(1, 3, height, width, generator=rng) * 0.1).clamp(-1, 1)


def folded() -> nn.Module:
    """A style of an adapted trunk, as `stylize` paints with it."""
    network = Adapted(trunk=ResnetGenerator(width=4, blocks=1), domains=["a"], kind="series")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)) * 0.02)
    return network.fold("a")


def residual() -> nn.Module:
    """A generator that adds to its photo, as after training: its last convolution is not zero any more."""
    network = ResnetGenerator(width=4, blocks=1, learn_residual=True)
    nn.init.normal_(network.decoder[-2].weight, 0.0, 0.02)
    return network


GENERATORS = {
    "cartoongan_residual": residual,
    "cartoongan": lambda: ResnetGenerator(width=4, blocks=2),
    "cartoongan_published": lambda: ResnetGenerator(
        width=4, blocks=1, upsampling="deconv", scaling_padding="zeros", norm_eps=1e-9
    ),
    "cyclegan": lambda: CycleResnet(width=4, blocks=2),
    "cyclegan_resize": lambda: CycleResnet(width=4, blocks=1, upsampling="resize"),
    "animegan_v1": lambda: AnimeGeneratorV1(width=2),
    "animegan_v2": lambda: AnimeGeneratorV2(width=2),
    "style": folded,
    "unet": lambda: UNet(width=4, blocks=1),
    "unet_published": lambda: UNet(width=4, blocks=1, padding="same_zeros", upsampling="legacy_bilinear"),
}


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().eval()


@pytest.mark.parametrize("name", GENERATORS)
def test_tiles_are_the_whole_for_every_generator(name: str) -> None:
    network = seeded(GENERATORS[name])
    picture = photo(151, 210)
    by = OutputFilter(radius=1, eps=5e-3)
    tiles: list[tuple[int, int]] = []
    whole = Stylizer(network, multiple=4, output_filter=by, tile=None).paint(picture)
    tiled = Stylizer(network, multiple=4, output_filter=by, tile=140).paint(
        picture, lambda *at: tiles.append(at)
    )
    assert tiles[-1][0] == tiles[-1][1] == len(tiles) > 3
    # A tenth of a level: AnimeGAN's 35 untrained norms magnify rounding; the others stay at a thousandth.
    bound = 0.1 if name == "animegan_v1" else 0.01
    assert (tiled - whole).abs().max() < bound * LEVEL


def test_the_test_above_sees_wrong_statistics_and_short_halos(monkeypatch: pytest.MonkeyPatch) -> None:
    network, picture = seeded(GENERATORS["cartoongan"]), photo(151, 210)
    whole = Stylizer(network, multiple=4, output_filter=None, tile=None).paint(picture)
    sampled = Stylizer(network, multiple=4, output_filter=None, tile=140, tiles="sampled").paint(picture)
    assert (sampled - whole).abs().max() > LEVEL
    grid = staged.grid
    monkeypatch.setattr(staged, "grid", lambda *size, halo, **more: grid(*size, halo=0, **more))
    short = Stylizer(network, multiple=4, output_filter=None, tile=140).paint(picture)
    assert (short - whole).abs().max() > LEVEL


@given(height=st.integers(1, 260), width=st.integers(1, 260))
@settings(max_examples=5, deadline=None)
def test_any_size_in_tiles(height: int, width: int) -> None:
    network = seeded(lambda: ResnetGenerator(width=2, blocks=1))
    picture = photo(height, width, seed=height * 1000 + width)
    whole = Stylizer(network, multiple=4, output_filter=None, tile=None).paint(picture)
    tiled = Stylizer(network, multiple=4, output_filter=None, tile=112).paint(picture)
    assert tiled.shape == picture.shape
    assert (tiled - whole).abs().max() < 0.05 * LEVEL


@pytest.mark.parametrize("size", [(3, 5000), (2500, 1)])
def test_strips_in_tiles(size: tuple[int, int]) -> None:
    for make in (GENERATORS["cartoongan"], GENERATORS["unet"]):
        network, picture = seeded(make), photo(*size)
        by = OutputFilter(radius=1, eps=5e-3)
        whole = Stylizer(network, multiple=4, output_filter=by, tile=None).paint(picture)
        tiled = Stylizer(network, multiple=4, output_filter=by, tile=200).paint(picture)
        assert (tiled - whole).abs().max() < 0.01 * LEVEL


@pytest.mark.parametrize("budget", [0, 24, 1e9])
def test_what_is_kept_and_what_is_computed_again_is_the_same(budget: float) -> None:
    network, picture = seeded(GENERATORS["cartoongan"]), photo(100, 120)
    graph = graph_of(network, 4, CPU)
    plan = stages(graph, budget)
    painted = torch.zeros_like(picture)

    def put(window: Window, tile: Tensor) -> None:
        rows, columns = window.inside()
        painted[..., window.kept[0], window.kept[1]] = tile[..., rows, columns]

    with torch.inference_mode():
        whole = network(picture)
        staged.paint_staged(
            graph,
            plan,
            lambda rows, columns: picture[..., rows, columns],
            (100, 120),
            tile=200,
            multiple=4,
            margin=0,
            device=CPU,
            on_cartoon=put,
        )
    assert (painted - whole).abs().max() < 0.01 * LEVEL
    kept = sum(len(stage.kept) for stage in plan)
    assert (kept == 0) == (budget == 0)
    assert len(plan) == 1 + sum(map(takes_statistics, network.modules()))


def test_norms_are_as_before_even_after_an_interrupt() -> None:
    network, picture = seeded(GENERATORS["cartoongan"]), photo(100, 120)
    stylizer = Stylizer(network, multiple=4, output_filter=None, tile=100)
    before = network(picture)

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.paint(picture, interrupt)
    assert torch.equal(network(picture), before)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    features = torch.randn(1, 6, 40, 50, generator=torch.Generator().manual_seed(0)) * 3 + 1000
    moments = Moments()
    for rows in (slice(0, 7), slice(7, 30), slice(30, 40)):
        for columns in (slice(0, 50),) if rows.start else (slice(0, 13), slice(13, 50)):
            moments.add(features[..., rows, columns])
    exact = features.double()
    for groups in (1, 2, 6):
        mean, variance = moments.shared(groups)
        grouped = exact.reshape(groups, -1)
        by_hand = [x.repeat_interleave(6 // groups) for x in (grouped.mean(1), grouped.var(1, correction=0))]
        torch.testing.assert_close(mean.double(), by_hand[0], rtol=1e-6, atol=0)
        torch.testing.assert_close(variance.double(), by_hand[1], rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_canvas_in_a_file_is_one_in_memory(dtype: torch.dtype) -> None:
    features = torch.randn(1, 5, 9, 14, generator=torch.Generator().manual_seed(0)).to(dtype)
    windows = [
        (slice(0, 4), slice(0, 14)),
        (slice(4, 9), slice(6, 14)),
        (slice(4, 9), slice(0, 6)),
    ]
    for in_memory in (0, 2**20):
        canvas = Canvas(9, 14, 5, dtype, in_memory=in_memory)
        assert (canvas.file is None) == bool(in_memory)
        for rows, columns in windows:
            canvas.write(rows, columns, features[..., rows, columns])
        assert torch.equal(canvas.read(slice(2, 8), slice(3, 11), CPU), features[..., 2:8, 3:11])
        canvas.close()


def test_a_window_that_was_never_written_is_an_error() -> None:
    canvas = Canvas(9, 14, 5, torch.float32, in_memory=0)
    canvas.write(slice(0, 1), slice(0, 14), torch.zeros(1, 5, 1, 14))
    with pytest.raises(EOFError, match="before it was written"):
        canvas.read(slice(3, 8), slice(3, 11), CPU)


class Mixes(nn.Module):
    """Looks at everything outside any norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x) - x.mean(dim=(2, 3), keepdim=True)


class Branches(nn.Module):
    """Decides by values, which torch.fx cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x) if x.mean() < 9 else x


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Mixes(), "how far its step mean"),
        (Branches(), "torch.fx cannot follow"),
        (AnimeGeneratorV2(width=2, align_corners=True), "resizes by the picture's size or corners"),
        (nn.AdaptiveAvgPool2d(8), "how far its step adaptive_avg_pool2d"),
    ],
)
def test_what_is_not_known_to_be_local_is_refused(network: nn.Module, words: str) -> None:
    with pytest.raises(NotLocalError, match=words):
        graph_of(network.eval(), 4, CPU)


def test_such_a_network_is_painted_by_samples_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    stylizer = Stylizer(Branches(), multiple=4, output_filter=None, tile=64)
    with caplog.at_level(logging.WARNING):
        painted = stylizer.paint(photo(100, 120))
        stylizer.paint(photo(100, 120))
    assert painted.shape == (1, 3, 100, 120)
    assert [r.message.split(":")[0] for r in caplog.records] == ["tiles=exact is not to be had for Branches"]


def test_a_tile_too_small_names_one_that_is_large_enough() -> None:
    network, picture = seeded(GENERATORS["cartoongan"]), photo(120, 160)
    with pytest.raises(UsageError, match=r"tile=\d+ is too small .* use tile=(\d+) or more") as caught:
        Stylizer(network, multiple=4, output_filter=None, tile=32).paint(picture)
    enough = int(str(caught.value).split("use tile=")[1].split()[0])
    Stylizer(network, multiple=4, output_filter=None, tile=enough).paint(picture)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    rows=st.tuples(st.integers(0, 39), st.integers(1, 30)),
    columns=st.tuples(st.integers(0, 39), st.integers(1, 30)),
)
@settings(max_examples=60, deadline=None)
def test_windows_beyond_the_picture_are_those_of_the_padded_picture(
    height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    picture = torch.rand(3, height, width) * 2 - 1
    seen = [
        slice(min(start, n - 1), min(start, n - 1) + more)
        for (start, more), n in ((rows, height), (columns, width))
    ]
    whole = picture[None]
    for axis, (window, length) in enumerate(zip(seen, (height, width), strict=True)):
        beyond = max(window.stop - length, 0)
        pads = (0, 0, 0, beyond) if axis == 0 else (0, beyond, 0, 0)
        whole = F.pad(whole, pads, mode="reflect" if beyond < length else "replicate")
    assert torch.equal(Pixels(picture).read(*seen, CPU), whole[..., seen[0], seen[1]])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_whole_numbers_survive_reading_and_writing(dtype: str) -> None:
    import numpy as np

    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)[:, None, None].repeat(3, 2)
    target = np.zeros_like(values)
    everything = slice(0, len(values)), slice(0, 1)
    numbers = Pixels(values).read(*everything, CPU)
    assert (numbers.min(), numbers.max()) == (-1, 1)
    Pixels(target).write(*everything, numbers)
    assert np.array_equal(target, values)
    Pixels(target).write(*everything, numbers * 3)  # clipped, not wrapped
    assert (target[0, 0, 0], target[-1, 0, 0]) == (0, np.iinfo(dtype).max)
