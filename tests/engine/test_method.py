"""ToonMethod: alternation, names, warm-up, accumulation, clipping, EMA."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tiny import quiet_trainer, tiny_cartoongan, tiny_whitebox
from toonlab.engine.ema import Ema
from toonlab.engine.gradients import term_gradients
from toonlab.engine.method import Images, ToonMethod
from toonlab.errors import UsageError
from toonlab.methods.whitebox import OutputFilter
from toonlab.networks.frozen import Features

Make = Callable[..., ToonMethod]


def train(method: ToonMethod, batches: list[Images], **settings: Any) -> ToonMethod:
    trainer = quiet_trainer(**settings)
    trainer.fit(method, DataLoader(batches, batch_size=None))
    return method


def sgd(**changes: Any) -> dict[str, Any]:
    # SGD: Adam's sign-like step would hide a wrong scale.
    make = {"optimizer": lambda p: torch.optim.SGD(p, lr=0.1)}
    return make | {"discriminator_optimizer": make["optimizer"]} | changes


def halves(batch: Images) -> list[Images]:
    return [{name: value[i : i + 2] for name, value in batch.items()} for i in (0, 2)]


def parameters(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def test_each_side_steps_with_only_its_own_gradients(tiny: Make, batch: Images) -> None:
    method, seen = tiny(), []

    def look(optimizer: torch.optim.Optimizer) -> None:
        generator = [p.grad is not None for p in method.generator.parameters()]
        judges = [p.grad is not None for d in method.discriminators() for p in d.parameters()]
        seen.append((all(generator), any(generator), all(judges), any(judges)))

    method.on_before_optimizer_step = look
    train(method, [batch])
    assert seen == [(True, True, False, False), (False, False, True, True)]


def test_every_term_reaches_the_generator_and_no_frozen_network(tiny: Make, batch: Images) -> None:
    method = tiny()
    views = method.render(batch)
    generator = list(method.generator.parameters())
    for name, term in method.generator_terms(batch, views).items():
        gradients = torch.autograd.grad(term(), generator, retain_graph=True, allow_unused=True)
        assert all(g is not None for g in gradients), name
        assert sum(g.abs().sum() for g in gradients) > 0, name
    features = [m for m in method.modules() if isinstance(m, Features)]
    assert features
    assert not [p for m in features for p in m.parameters()]
    assert not [key for key in method.state_dict() if "features" in key]


def test_every_discriminator_term_reaches_a_discriminator_and_not_the_generator(
    tiny: Make, batch: Images
) -> None:
    method = tiny()
    views = {name: view.detach() for name, view in method.render(batch).items()}
    judges = [p for d in method.discriminators() for p in d.parameters()]
    for name, term in method.discriminator_terms(batch, views).items():
        value = term()
        assert any(
            g is not None for g in torch.autograd.grad(value, judges, retain_graph=True, allow_unused=True)
        )
        generator = torch.autograd.grad(value, list(method.generator.parameters()), allow_unused=True)
        assert all(g is None for g in generator), name


def test_accumulated_halves_equal_one_batch(batch: Images) -> None:
    # tv and content are means over the batch, so two halves average to the whole; the discriminator likewise.
    weights = {"adversarial": 1.0, "content": 1.0, "colour": 0.0}
    whole = train(tiny_cartoongan(**sgd(weights=weights)), [batch]).double()
    parts = train(tiny_cartoongan(**sgd(weights=weights, accumulate=2)), halves(batch)).double()
    assert whole.iteration == parts.iteration == 1
    for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)
    for name, value in whole.latest.items():
        torch.testing.assert_close(parts.latest[name], value, atol=1e-6, rtol=1e-5)


def test_warm_up_trains_the_generator_alone_on_its_own_weights(batch: Images) -> None:
    method = tiny_whitebox(warmup_iterations=2, warmup_weights={"reconstruction": 1.0})
    before = [parameters(d) for d in method.discriminators()]
    train(method, [batch, batch])
    assert set(method.latest) == {"generator/reconstruction", "generator/total"}
    for old, judge in zip(before, method.discriminators(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(old, judge.parameters(), strict=True))
    train(method, [batch])
    assert "discriminator/surface" in method.latest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weights": {"adversarial": 1.0, "contnt": 1.0, "colour": 0.0}},
            r"method\.weights\.contnt.*did you mean 'content'",
        ),
        ({"weights": {"adversarial": 1.0, "colour": 0.0}}, r"method\.weights: no weight for \['content'\]"),
        (
            {"discriminator_weights": {"real": 1.0, "fake": 1.0, "blured": 1.0}},
            r"method\.discriminator_weights\.blured.*did you mean 'blurred'",
        ),
        (
            {"warmup_weights": {"kontent": 1.0}, "warmup_iterations": 5},
            r"method\.warmup_weights\.kontent.*did you mean 'content'",
        ),
        (
            {"weights": dict.fromkeys(("adversarial", "content", "colour"), 0.0)},
            r"every weight of .* zero at iteration 0",
        ),
    ],
)
def test_a_wrong_name_stops_at_the_first_batch_even_in_the_warm_up(
    batch: Images, changes: dict[str, Any], message: str
) -> None:
    warm = {"warmup_iterations": 100, "warmup_weights": {"content": 1.0}} if "zero" not in message else {}
    with pytest.raises(UsageError, match=message):
        train(tiny_cartoongan(**(warm | changes)), [batch])


def only(name: str) -> dict[str, float]:
    """White-box's weights with all but one switched off."""
    terms = ("surface", "texture", "structure", "content", "tv", "reconstruction", "colour")
    return {term: float(term == name) for term in terms}


def test_whitebox_colour_holds_the_hue_and_lets_the_texture_go(batch: Images) -> None:
    method = tiny_whitebox(weights=only("colour"))
    photo = batch["photo"]
    noisy = photo + 0.2 * (torch.rand(photo.shape, generator=torch.Generator().manual_seed(0)) - 0.5)
    tinted = (photo + torch.tensor([0.1, 0.0, 0.0])[:, None, None]).requires_grad_()

    def colour(cartoon: Tensor) -> Tensor:
        return method.generator_terms(batch, {"raw": cartoon, "cartoon": cartoon})["colour"]()

    assert colour(photo) == 0
    torch.testing.assert_close(colour(tinted), torch.tensor(0.1 / 3), rtol=1e-3, atol=0)
    assert colour(noisy) < 0.5 * (noisy - photo).abs().mean()
    (gradient,) = torch.autograd.grad(colour(tinted), tinted)
    assert gradient[:, 0].sum() > 0  # a step against it takes the red away


def test_whitebox_without_an_output_filter_paints_what_the_network_says(batch: Images) -> None:
    method = tiny_whitebox(output_filter=OutputFilter(radius=0, eps=1e-2, painting_eps=5e-3))
    views = method.render(batch)
    assert views["cartoon"] is views["raw"]
    assert torch.equal(method.paint_raw(batch["photo"]), views["raw"].clamp(-1, 1))
    assert method.painting() == {}
    assert tiny_whitebox().painting() == {"output_filter": {"radius": 1, "eps": 5e-3}}


def test_a_term_of_weight_zero_is_never_evaluated(batch: Images) -> None:
    method = tiny_whitebox(weights=only("tv"))
    method.structure = method.features = None  # would raise if anyone called them
    train(method, [batch])
    assert set(method.latest) == {
        "generator/tv",
        "generator/total",
        "discriminator/surface",
        "discriminator/texture",
        "discriminator/total",
    }


def test_total_is_the_weighted_sum(batch: Images) -> None:
    method = train(tiny_cartoongan(weights={"adversarial": 3.0, "content": 0.5, "colour": 0.0}), [batch])
    expected = 3 * method.latest["generator/adversarial"] + 0.5 * method.latest["generator/content"]
    torch.testing.assert_close(method.latest["generator/total"], expected)


def test_clipping_bounds_the_step(batch: Images) -> None:
    method = tiny_cartoongan(**sgd(clip_norm=1e-3))
    before = parameters(method.generator)
    train(method, [batch])
    moved = torch.stack(
        [(a - b).norm() for a, b in zip(before, method.generator.parameters(), strict=True)]
    ).norm()
    assert moved.item() == pytest.approx(0.1 * 1e-3, rel=1e-3)  # lr times the clipped norm


def test_learning_rate_follows_its_schedule(batch: Images) -> None:
    method = tiny_cartoongan(lr=lambda iteration: 0.5**iteration)
    train(method, [batch] * 3)
    for optimizer in method.trainer.optimizers:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.25)


def test_ema_half_life_and_ramp() -> None:
    source = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(source.weight)
    ema = Ema(source, half_life=4, ramp=1.0)
    torch.nn.init.ones_(source.weight)
    for _ in range(4):
        ema.update(source, iteration=1000)
    assert ema.average.weight.item() == pytest.approx(0.5)  # after one half-life, half of the old is gone
    early = Ema(source, half_life=4, ramp=0.5)
    torch.nn.init.constant_(source.weight, 3.0)
    early.update(source, iteration=2)  # half-life 0.5 * 2 = 1
    assert early.average.weight.item() == pytest.approx(2.0)
    assert not any(p.requires_grad for p in ema.parameters())


def test_forward_paints_with_the_average_within_range(tiny: Make, batch: Images) -> None:
    method = tiny()
    torch.nn.init.constant_(next(iter(method.ema.average.parameters())), 5.0)
    painted = method(batch["photo"])
    assert painted.abs().max() <= 1
    assert not torch.equal(painted, method.paint_raw(batch["photo"]))


def test_draws_repeat_within_a_batch_and_change_between_batches(tiny: Make, batch: Images) -> None:
    method = train(tiny(), [batch])
    first = torch.rand(3, generator=method.rng("a"))
    assert torch.equal(first, torch.rand(3, generator=method.rng("a")))
    assert not torch.equal(first, torch.rand(3, generator=method.rng("b")))
    method.iteration += 1
    assert not torch.equal(first, torch.rand(3, generator=method.rng("a")))


def test_gradient_norms_match_autograd_and_disturb_nothing(batch: Images) -> None:
    method = train(tiny_whitebox(), [batch])
    state = {name: value.clone() for name, value in method.state_dict().items()}
    norms = term_gradients(method, batch)
    raw = method.generator(batch["photo"]).detach().requires_grad_()
    (gradient,) = torch.autograd.grad((raw - batch["photo"]).abs().mean(), raw)
    assert norms["reconstruction"] == pytest.approx(gradient.norm().item(), rel=1e-4)
    assert norms.keys() == method.weights.keys()
    assert all(torch.equal(state[name], value) for name, value in method.state_dict().items())
    assert all(p.grad is None for p in method.parameters())
    assert method.training


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_trains_in_fp32_weights(tiny: Make, batch: Images, precision: str) -> None:
    small = {name: value[:1] for name, value in batch.items()}
    method = train(tiny(), [small], precision=precision)
    assert all(p.dtype == torch.float32 for p in method.parameters())
    assert all(torch.isfinite(value) for value in method.latest.values())


def test_channels_last_is_another_layout_of_the_same_training(tiny: Make, batch: Images) -> None:
    plain, laid_out = (train(tiny(**sgd(channels_last=on)), [batch] * 2) for on in (False, True))
    kernels = [p for p in laid_out.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    for name, value in plain.latest.items():
        assert laid_out.latest[name].item() == pytest.approx(value.item(), rel=5e-3, abs=1e-4), name


def test_generator_learns_to_reconstruct(batch: Images) -> None:
    method = tiny_whitebox(
        warmup_iterations=10_000,
        warmup_weights={"reconstruction": 1.0},
        optimizer=lambda p: torch.optim.Adam(p, lr=5e-3),
    )
    train(method, [batch])
    first = method.latest["generator/total"].item()
    train(method, [batch] * 300)
    assert method.latest["generator/total"].item() < first / 10


def test_discriminator_learns_and_generator_can_fool(batch: Images) -> None:
    method = tiny_cartoongan()
    reals, fakes = batch["cartoon"], batch["photo"]
    optimizer = torch.optim.Adam(method.discriminator.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        (
            method.adversarial.real(method.discriminator(reals), method.rng("r"))
            + method.adversarial.fake(method.discriminator(fakes), method.rng("f"))
        ).backward()
        optimizer.step()
    assert method.discriminator(reals).mean() > 0.8
    assert method.discriminator(fakes).mean() < 0.2
    before = method.discriminator(method.generator(fakes)).mean().item()
    steps = torch.optim.Adam(method.generator.parameters(), lr=1e-3)
    for _ in range(30):
        steps.zero_grad()
        method.adversarial.fool(method.discriminator(method.generator(fakes))).backward()
        steps.step()
    assert method.discriminator(method.generator(fakes)).mean().item() > before + 0.1
