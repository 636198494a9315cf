"""The methods' losses written a second time, from the papers, with nothing of toonlab's losses.

Each function takes a method and a batch and returns what `generator_terms` and `discriminator_terms` must
be, by name. Networks, feature extractors and representations are the method's: they have their own tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from methods.inpainting_reference import latent_inpainting

Values = dict[str, Tensor]


def square(scores: Tensor, label: Tensor | float) -> Tensor:
    """LSGAN."""
    return torch.sum((scores - label) ** 2) / scores.numel()


def l1(one: Tensor, two: Tensor) -> Tensor:
    return torch.sum(torch.abs(one - two)) / one.numel()


def l2(one: Tensor, two: Tensor) -> Tensor:
    return torch.sum((one - two) ** 2) / one.numel()


def labels(method: Any, scores: Tensor, purpose: str, real: bool) -> Tensor | float:
    """Soft labels: of each image its own, the same for all its patches."""
    width = method.adversarial.soft
    if not width:
        return float(real)
    draws = torch.rand(len(scores), generator=method.rng(purpose)) * width
    return (1 - draws if real else draws).reshape(-1, 1, 1, 1)


def judged(method: Any, judge: Any, real: Tensor, fake: Tensor, what: str) -> Tensor:
    good, bad = judge(real), judge(fake)
    suffix = f"-{what}" if what else ""
    return square(good, labels(method, good, f"real{suffix}", real=True)) + square(
        bad, labels(method, bad, f"fake{suffix}", real=False)
    )


def features(method: Any, one: Tensor, two: Tensor) -> Tensor:
    first, second = method.features(one), method.features(two)
    return sum((l1(first[tap], second[tap]) for tap in first), torch.zeros(())) / len(first)


def cycle(m: Any, batch: Values) -> tuple[Values, Values]:
    """Source 004, eq. 1 to 8."""
    x, y = batch[m.source], batch[m.target]
    g, f, dx, dy = m.generator, m.inverse_generator, m.d_source, m.d_target
    fake_y, fake_x = g(x), f(y)
    there_and_back, back_and_there = f(fake_y), g(fake_x)
    identity = {"mse_loss": l2, "l1_loss": l1}[m.identity_norm.__name__]
    generator = {
        "adversarial": square(dy(fake_y), 1) + square(dx(fake_x), 1),
        "paired": l2(fake_y, y) + l2(fake_x, x),
        "score_match": l1(dy(y), dy(fake_y)) + l1(dx(x), dx(fake_x)),
        "cycle_pixel": l1(there_and_back, x) + l1(back_and_there, y),
        "cycle_feature": l1(dx.body(there_and_back), dx.body(x)) + l1(dy.body(back_and_there), dy.body(y)),
        "identity": identity(g(y), y) + identity(f(x), x),
    }
    return generator, {
        "source": judged(m, dx, x, fake_x, "source"),
        "target": judged(m, dy, y, fake_y, "target"),
    }


def paired(m: Any, batch: Values) -> tuple[Values, Values]:
    """Source 004, eq. 1, 3 and 5 to 7."""
    x, y = batch[m.source], batch[m.target]
    fake, d = m.generator(x), m.discriminator
    generator = {
        "adversarial": square(d(fake), 1),
        "paired": l2(fake, y),
        "score_match": l1(d(y), d(fake)),
        "identity": l2(m.generator(y), y),
    }
    return generator, {"target": judged(m, d, y, fake, "")}


def cartoongan(m: Any, batch: Values) -> tuple[Values, Values]:
    """Chen et al. 2018, eq. 3 and 4; each batch in its own style, if there are several."""
    style = (m.trained[int(batch["domain"][0])],) if m.trained else ()
    fake = m.generator(batch["photo"], *style)

    def judge(images: Tensor) -> Tensor:
        return m.discriminator(images, *style)

    generator = {
        "adversarial": square(judge(fake), 1),
        "content": features(m, fake, batch["photo"]),
        "flow_pixel": l1(fake, batch["drawn"]),
        "flow_content": features(m, fake, batch["drawn"]),
        "colour": l1(m.surface(fake), m.surface(batch["photo"])),
    }
    return generator, {
        "real": square(judge(batch["cartoon"]), 1),
        "fake": square(judge(fake), 0),
        "blurred": square(judge(batch["blurred"]), 0),
    }


def chroma(one: Tensor, other: Tensor) -> Tensor:
    """Blue and red less luma, scaled as BT.601 does."""
    r, g, b = ((one - other) / 2).unbind(1)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return (0.436 / 0.886 * (b - luma)).abs().mean() + (0.615 / 0.701 * (r - luma)).abs().mean()


def whitebox(m: Any, batch: Values) -> tuple[Values, Values]:
    """Wang & Yu 2020, section 3."""
    from toonlab.representations.surface import guided_filter

    photo = batch["photo"]
    raw = m.generator(photo)
    fake = guided_filter(photo, raw, m.output_filter.radius, m.output_filter.eps)

    def grey(images: Tensor) -> Tensor:
        return m.texture(images, m.rng("texture"))

    down, right = fake[..., 1:, :] - fake[..., :-1, :], fake[..., 1:] - fake[..., :-1]
    generator = {
        "surface": square(m.d_surface(m.surface(fake)), 1),
        "texture": square(m.d_texture(grey(fake)), 1),
        "structure": features(m, fake, m.structure(fake)),
        "content": features(m, fake, photo),
        "tv": torch.sum(down**2) / down.numel() + torch.sum(right**2) / right.numel(),
        "reconstruction": l1(raw, photo),
        "colour": l1(m.surface(fake), m.surface(photo)),
        "chroma": chroma(m.surface(fake), m.surface(photo)),
    }
    real = batch["cartoon"]
    return generator, {
        "surface": square(m.d_surface(m.surface(real)), 1) + square(m.d_surface(m.surface(fake)), 0),
        "texture": square(m.d_texture(grey(real)), 1) + square(m.d_texture(grey(fake)), 0),
    }


def animegan(m: Any, batch: Values) -> tuple[Values, Values]:
    """Chen et al. 2019, eq. 3 to 6 and 9; v2's TV."""
    photo, real = batch["photo"], batch["cartoon"]
    fake = m.generator(photo)

    def grey(images: Tensor) -> Tensor:
        luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None] * images
        return luma.sum(1, keepdim=True).repeat(1, 3, 1, 1)

    def gram(x: Tensor) -> Tensor:
        return torch.einsum("bihw,bjhw->bij", x, x) / (x.shape[1] * x.shape[2] * x.shape[3])

    def style(one: Tensor, two: Tensor) -> Tensor:
        first, second = m.features(one), m.features(two)
        return sum((l1(gram(first[t]), gram(second[t])) for t in first), torch.zeros(())) / len(first)

    def yuv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        red, _, blue = ((images + 1) / 2).unbind(1)
        y = (grey(images)[:, 0] + 1) / 2
        return y, 0.492111 * (blue - y), 0.877283 * (red - y)

    (y, u, v), (y2, u2, v2) = yuv(fake), yuv(photo)  # chromas differ by less than Huber's 1
    down, right = fake[..., 1:, :] - fake[..., :-1, :], fake[..., 1:] - fake[..., :-1]
    generator = {
        "adversarial": square(m.discriminator(fake), 1),
        "content": m.feature_gain * features(m, fake, photo),
        "style": m.feature_gain**2 * style(fake, grey(real)),
        "colour": m.colour_gain * (l1(y, y2) + l2(u, u2) / 2 + l2(v, v2) / 2),
        "tv": torch.sum(down**2) / down.numel() + torch.sum(right**2) / right.numel(),
    }
    return generator, {
        "real": square(m.discriminator(real), 1),
        "fake": square(m.discriminator(fake), 0),
        "grey": square(m.discriminator(grey(real)), 0),
        "smooth": square(m.discriminator(grey(batch["blurred"])), 0),
    }


def projected_whitebox(m: Any, batch: Values) -> tuple[Values, Values]:
    """Sauer et al. 2021, eq. 2, with least squares, beside White-box's own terms."""
    generator, discriminator = whitebox(m, batch)
    fake = m.render(batch)["cartoon"]

    def judge(images: Tensor) -> Tensor:
        read = m.projected(images)
        maps = [m.d_projected.judges[tap](read[tap]) for tap in read]
        side = min(each.shape[-1] for each in maps)
        return torch.stack(
            [
                each.reshape(*each.shape[:2], side, -1, side, each.shape[-1] // side).mean((3, 5))
                for each in maps
            ]
        )

    generator["projected"] = square(judge(fake), 1)
    generator["flow_pixel"] = l1(fake, batch["drawn"])
    generator["flow_content"] = features(m, fake, batch["drawn"])
    discriminator["projected"] = square(judge(batch["cartoon"]), 1) + square(judge(fake), 0)
    return generator, discriminator


REFERENCES: dict[str, Callable[[Any, Values], tuple[Values, Values]]] = {
    "CycleGAN": cycle,
    "PairedGAN": paired,
    "CartoonGAN": cartoongan,
    "AdaptedCartoonGAN": cartoongan,
    "LatentInpainting": latent_inpainting,
    "WhiteBox": whitebox,
    "ProjectedWhiteBox": projected_whitebox,
    "AnimeGAN": animegan,
}
"""By class name."""
