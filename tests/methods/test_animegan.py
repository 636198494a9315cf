"""AnimeGAN's terms against an independent reading of the formulas, in numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tiny import TinyFeatures, common
from toonlab.engine.method import Images
from toonlab.losses.adversarial import Adversarial, CrossEntropy, LeastSquares
from toonlab.methods.animegan import AnimeGAN
from toonlab.networks.animegan import AnimeGeneratorV2
from toonlab.networks.discriminators import AnimeDiscriminator

GAIN = 7.0


def method(adversarial: Adversarial | None = None, gain: float = GAIN, colour: float = 1.0) -> AnimeGAN:
    torch.manual_seed(0)
    made = AnimeGAN(
        generator=AnimeGeneratorV2(width=2),
        discriminator=AnimeDiscriminator(norm="layer", width=4),
        features=TinyFeatures(),
        feature_gain=gain,
        colour_gain=colour,
        adversarial=adversarial or LeastSquares(),
        **common(
            weights=dict.fromkeys(("adversarial", "content", "style", "colour", "tv"), 1.0),
            discriminator_weights=dict.fromkeys(("real", "fake", "grey", "smooth"), 1.0),
        ),
    )
    return made.eval()  # a spectral norm's power iteration stands still


@pytest.fixture
def batch() -> Images:
    rng = torch.Generator().manual_seed(0)
    return {name: torch.rand(2, 3, 16, 16, generator=rng) * 2 - 1 for name in ("photo", "cartoon", "blurred")}


def views_of(batch: Images) -> Images:
    rng = torch.Generator().manual_seed(1)
    return {"cartoon": torch.rand(batch["photo"].shape, generator=rng) * 2 - 1}


def grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return torch.stack([0.299 * red + 0.587 * green + 0.114 * blue] * 3, dim=1)


def described(made: AnimeGAN, images: Tensor) -> np.ndarray:
    return GAIN * made.features(images)["only"].double().numpy()


def test_content_and_style_by_numpy(batch: Images) -> None:
    made, views = method(), views_of(batch)
    terms = made.generator_terms(batch, views)
    ours, photo = described(made, views["cartoon"]), described(made, batch["photo"])
    assert terms["content"]().item() == pytest.approx(np.abs(ours - photo).mean(), rel=1e-5)
    # One Gram matrix an image, over h * w * c, against the *grey* cartoon's.
    cartoon = described(made, grey(batch["cartoon"]))
    differences = [
        (np.einsum("ihw,jhw->ij", a, a) - np.einsum("ihw,jhw->ij", b, b)) / a.size
        for a, b in zip(ours, cartoon, strict=True)
    ]
    assert terms["style"]().item() == pytest.approx(np.abs(differences).mean(), rel=1e-5)


def test_the_gains_are_linear_but_for_style(batch: Images) -> None:
    views = views_of(batch)
    one, three = (method(gain=gain).generator_terms(batch, views) for gain in (1.0, 3.0))
    brighter = method(colour=5.0).generator_terms(batch, views)
    assert brighter["colour"]().item() == pytest.approx(5 * one["colour"]().item(), rel=1e-5)
    assert brighter["tv"]().item() == one["tv"]().item()
    assert three["content"]().item() == pytest.approx(3 * one["content"]().item(), rel=1e-5)
    assert three["style"]().item() == pytest.approx(9 * one["style"]().item(), rel=1e-5)
    assert three["colour"]().item() == one["colour"]().item()


def test_colour_looks_at_the_photo_and_tv_at_nothing_else(batch: Images) -> None:
    made, photo = method(), batch["photo"]
    terms = made.generator_terms(batch, {"cartoon": photo})
    assert terms["colour"]().item() == 0
    darker = made.generator_terms(batch, {"cartoon": photo - 0.2})
    assert darker["colour"]().item() == pytest.approx(0.1, abs=1e-6)  # luma of [0, 1] images; chromas keep
    ramp = torch.arange(16.0).expand(2, 3, 16, 16)
    flat = made.generator_terms(batch, {"cartoon": ramp})
    assert flat["tv"]().item() == pytest.approx(1.0)  # 1 across, 0 down; published: a half of it


def test_the_four_looks_of_the_discriminator(batch: Images) -> None:
    made, views = method(), views_of(batch)
    terms = made.discriminator_terms(batch, views)
    with torch.no_grad():
        scores = {
            "real": made.discriminator(batch["cartoon"]),
            "fake": made.discriminator(views["cartoon"]),
            "grey": made.discriminator(grey(batch["cartoon"])),
            "smooth": made.discriminator(grey(batch["blurred"])),
        }
    wanted = {name: score.square().mean().item() for name, score in scores.items()}
    wanted["real"] = (scores["real"] - 1).square().mean().item()
    assert {name: term().item() for name, term in terms.items()} == pytest.approx(wanted, rel=1e-5)
    assert len({round(value, 6) for value in wanted.values()}) == 4


def test_descent_raises_the_score_of_cartoons_and_lowers_the_three_others(batch: Images) -> None:
    adversarial = CrossEntropy()  # least squares would raise a fake's score from below 0
    views = views_of(batch)
    seen = {
        "real": batch["cartoon"],
        "fake": views["cartoon"],
        "grey": grey(batch["cartoon"]),
        "smooth": grey(batch["blurred"]),
    }
    for name, image in seen.items():
        made = method(adversarial)
        before = made.discriminator(image).mean().item()
        teach = torch.optim.SGD(made.discriminator.parameters(), lr=1e-3)
        for _ in range(3):
            teach.zero_grad()
            made.discriminator_terms(batch, views)[name]().backward()
            teach.step()
        after = made.discriminator(image).mean().item()
        assert after > before if name == "real" else after < before, name
    made = method(adversarial)
    cartoon = views["cartoon"].clone().requires_grad_()
    loss = made.generator_terms(batch, {"cartoon": cartoon})["adversarial"]()
    (gradient,) = torch.autograd.grad(loss, cartoon)
    with torch.no_grad():
        step = 1e-2 * gradient / gradient.norm()
        assert made.discriminator(cartoon - step).mean() > made.discriminator(cartoon).mean()


def test_colour_of_the_cartoons_never_reaches_the_generators_style(batch: Images) -> None:
    """Equal luma, other hue: the same style target."""
    made, views = method(), views_of(batch)
    hued = dict(batch)
    hued["cartoon"] = batch["cartoon"] + torch.tensor([0.587, -0.299, 0.0])[:, None, None]
    one, other = (made.generator_terms(b, views)["style"]().item() for b in (batch, hued))
    assert one == pytest.approx(other, rel=1e-4)
    seen = [made.discriminator_terms(b, views) for b in (batch, hued)]
    assert seen[0]["grey"]().item() == pytest.approx(seen[1]["grey"]().item(), rel=1e-4)
    assert seen[0]["real"]().item() != pytest.approx(seen[1]["real"]().item(), rel=1e-4)


def test_targets_have_no_gradient(batch: Images) -> None:
    made, views = method(), views_of(batch)
    wanted = {name: value.clone().requires_grad_() for name, value in batch.items()}
    cartoon = views["cartoon"].requires_grad_()
    for name in ("content", "style"):
        loss = made.generator_terms(wanted, {"cartoon": cartoon})[name]()
        gradients = torch.autograd.grad(loss, [cartoon, *wanted.values()], allow_unused=True)
        assert gradients[0] is not None
        assert all(g is None for g in gradients[1:])
