"""What holds for every `conf/method/*.yaml`, whatever its losses: run on each without being told its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from shipped import DISTINCT, batch_for, batches_for, judge_parameters, painter_parameters, shipped
from tiny import quiet_trainer, same
from toonlab.engine.method import Images, ToonMethod
from toonlab.losses.adversarial import Adversarial
from toonlab.networks.frozen import Features

pytestmark = pytest.mark.parametrize("name", DISTINCT)

SIDES = ("real", "fake", "fool")


@contextmanager
def spied(method: ToonMethod) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the scores that the method's adversarial loss is asked about."""
    seen: dict[str, list[Tensor]] = {side: [] for side in SIDES}
    loss = next(value for value in vars(method).values() if isinstance(value, Adversarial))

    def watch(side: str):
        original = getattr(loss, side)

        def ask(scores: Tensor, *rest: torch.Generator) -> Tensor:
            seen[side].append(scores)
            return original(scores, *rest)

        return ask

    for side in SIDES:
        setattr(loss, side, watch(side))
    try:
        yield seen
    finally:
        for side in SIDES:
            delattr(loss, side)


def fit(method: ToonMethod, batches: list[Images], ckpt: str | None = None) -> Trainer:
    trainer = quiet_trainer()
    trainer.fit(method, DataLoader(batches, batch_size=None), ckpt_path=ckpt, weights_only=bool(ckpt))
    return trainer


def depends(value: Tensor, on: list[torch.nn.Parameter]) -> bool:
    gradients = torch.autograd.grad(value, on, retain_graph=True, allow_unused=True)
    return any(g is not None and bool((g != 0).any()) for g in gradients)


def test_every_term_has_a_finite_value_and_reaches_a_generator(name: str) -> None:
    method = shipped(name)
    batch = batch_for(method)
    views = method.render(batch)
    for term, value in method.generator_terms(batch, views).items():
        loss = value()
        assert loss.ndim == 0, term
        assert torch.isfinite(loss), term
        assert depends(loss, painter_parameters(method)), term


def test_every_generator_is_reached_by_a_term_with_weight(name: str) -> None:
    method = shipped(name)
    values = []
    for batch in batches_for(method):
        terms = method.generator_terms(batch, method.render(batch))
        values += [terms[term]() for term, weight in method.weights.items() if weight(50)]
    total = torch.stack(values).sum()
    for generator in method.generators():
        gradients = torch.autograd.grad(total, list(generator.parameters()), retain_graph=True)
        assert all(torch.isfinite(g).all() for g in gradients)
        assert all(bool((g != 0).any()) for g in gradients if g.ndim > 1)  # a bias before a norm has none


def test_a_discriminator_learns_from_data_and_never_teaches_a_generator_in_its_own_step(name: str) -> None:
    method = shipped(name)
    batch = batch_for(method)
    views = {key: view.detach() for key, view in method.render(batch).items()}
    for term, value in method.discriminator_terms(batch, views).items():
        assert depends(value(), judge_parameters(method)), term
        gradients = torch.autograd.grad(value(), painter_parameters(method), allow_unused=True)
        assert all(g is None for g in gradients), term
    trained = set(map(id, judge_parameters(method)))
    assert not trained & set(map(id, painter_parameters(method)))
    for features in (m for m in method.modules() if isinstance(m, Features)):
        assert not list(features.parameters())


def test_real_scores_are_of_given_images_and_fake_ones_of_generated_or_altered_ones(name: str) -> None:
    """Provenance by autograd: which images do the scores called real, fake and fooling depend on?"""
    method = shipped(name, pool_size=0)
    batch = batch_for(method)
    rendered = method.render(batch)
    views = {key: view.detach().requires_grad_() for key, view in rendered.items()}
    pictures = {key: value.clone().requires_grad_() for key, value in batch.items() if value.ndim == 4}
    given = batch | pictures
    with spied(method) as seen:
        for value in method.discriminator_terms(given, views).values():
            value()
    generated, altered = (
        list(views.values()),
        [picture for view, picture in pictures.items() if view not in ("photo", "cartoon")],
    )

    def source(scores: Tensor, images: list[Tensor]) -> bool:
        gradients = torch.autograd.grad(scores.sum(), images, retain_graph=True, allow_unused=True)
        return any(g is not None and bool(g.any()) for g in gradients)  # 0 to a neighbour in the same pass

    assert seen["real"]
    assert not seen["fool"]
    for scores in seen["real"]:
        assert not source(scores, generated)
        assert source(scores, [given["photo"], given["cartoon"]])
    assert any(source(scores, generated) for scores in seen["fake"])
    for scores in seen["fake"]:
        assert source(scores, [*generated, *altered, given["cartoon"]])
    with spied(method) as seen:
        for value in method.generator_terms(batch, rendered).values():
            value()
    assert seen["fool"]
    assert not seen["real"]
    assert not seen["fake"]
    for scores in seen["fool"]:
        assert depends(scores.sum(), painter_parameters(method))


def test_the_discriminators_learn_to_tell_and_the_generators_learn_to_fool(name: str) -> None:
    method = shipped(name, pool_size=0)
    batch = batch_for(method)
    views = {key: view.detach() for key, view in method.render(batch).items()}

    def told() -> tuple[float, float]:
        with torch.no_grad(), spied(method) as seen:
            for value in method.discriminator_terms(batch, views).values():
                value()
        return tuple(float(torch.stack([s.mean() for s in seen[side]]).mean()) for side in ("real", "fake"))

    def fooled() -> float:
        with torch.no_grad(), spied(method) as seen:
            for value in method.generator_terms(batch, method.render(batch)).values():
                value()
        return float(torch.stack([scores.mean() for scores in seen["fool"]]).mean())

    real, fake = told()
    teach = torch.optim.Adam(judge_parameters(method), lr=2e-3)
    for i in range(200):  # layer norm and spectral norm together are slow to begin; most need 40
        teach.zero_grad()
        torch.stack([v() for v in method.discriminator_terms(batch, views).values()]).sum().backward()
        teach.step()
        learnt_real, learnt_fake = told() if i % 40 == 39 else (real, fake)
        if learnt_real - learnt_fake > real - fake + 0.1:
            break
    assert learnt_real - learnt_fake > real - fake + 0.1
    before = fooled()
    paint = torch.optim.Adam(painter_parameters(method), lr=2e-3)
    for _ in range(25):
        paint.zero_grad()
        rendered = method.render(batch)
        with spied(method) as seen:
            values = {key: v() for key, v in method.generator_terms(batch, rendered).items()}
        del seen
        adversarial = [values[key] for key in adversarial_terms(method, batch)]
        torch.stack(adversarial).sum().backward()
        paint.step()
    assert fooled() > before


def adversarial_terms(method: ToonMethod, batch: Images) -> list[str]:
    """Names of the terms that ask whether a discriminator is fooled."""
    found = []
    terms = method.generator_terms(batch, method.render(batch))
    for key, value in terms.items():
        with torch.no_grad(), spied(method) as seen:
            value()
        found += [key] * bool(seen["fool"])
    return found


def test_a_step_down_each_terms_gradient_lowers_it(name: str) -> None:
    """A wrong sign, a target with gradient or a detached output would not."""
    for term in shipped(name).weights:
        method = shipped(name)
        batch = batch_for(method)

        def value(method: ToonMethod = method, batch: Images = batch, term: str = term) -> Tensor:
            return method.generator_terms(batch, method.render(batch))[term]()

        before = value()
        gradients = torch.autograd.grad(before, painter_parameters(method), allow_unused=True)
        square = sum(g.square().sum() for g in gradients if g is not None)
        lowest = before.item()
        for step in (3e-4, 3e-3, 3e-2):  # of the loss, to first order
            moved = shipped(name)
            with torch.no_grad():
                for p, g in zip(painter_parameters(moved), gradients, strict=True):
                    if g is not None:
                        p -= step * before.item() / square * g
                lowest = min(lowest, value(moved).item())
        assert lowest < before.item(), term


def test_one_batch_can_be_learnt_by_heart(name: str) -> None:
    """All terms that no discriminator has a say in, together, from their own config's optimiser."""
    method = shipped(name)
    batch = batch_for(method)
    terms = method.generator_terms(batch, method.render(batch))
    free = [term for term, value in terms.items() if not depends(value(), judge_parameters(method))]
    free = [term for term in free if term != "structure"]  # its target follows the output
    assert free
    optimizer = torch.optim.Adam(painter_parameters(method), lr=5e-3)
    history = []
    for _ in range(60):
        optimizer.zero_grad()
        terms = method.generator_terms(batch, method.render(batch))
        loss = torch.stack([terms[term]() for term in free]).sum()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert min(history[-5:]) < 0.75 * history[0]


def test_training_in_two_goes_equals_training_in_one(name: str, tmp_path) -> None:
    changes = ["method.ema_half_life=5"]
    if shipped(name).warmup_weights:
        changes.append("method.warmup_iterations=1")
    batches = [batch_for(shipped(name), seed=i) for i in range(5)]
    whole = shipped(name, *changes, pool_size=3)
    fit(whole, batches)
    first = shipped(name, *changes, pool_size=3)
    fit(first, batches[:3]).save_checkpoint(tmp_path / "half.ckpt", weights_only=False)
    second = shipped(name, *changes, pool_size=3)
    fit(second, batches[3:], str(tmp_path / "half.ckpt"))
    assert second.iteration == whole.iteration == 5
    assert all(torch.isfinite(value) for value in whole.latest.values())
    same(dict(whole.state_dict()), dict(second.state_dict()))


def test_the_terms_and_the_weights_have_the_same_names(name: str) -> None:
    method = shipped(name)
    batch = batch_for(method)
    views = method.render(batch)
    assert method.generator_terms(batch, views).keys() == method.weights.keys()
    assert method.discriminator_terms(batch, views).keys() == method.discriminator_weights.keys()


def test_sizes_that_are_not_square_keep_their_shape(name: str) -> None:
    method = shipped(name).eval()
    multiple = getattr(method.generator, "multiple", 1)
    photo = torch.rand(1, 3, 8 * multiple, 11 * multiple) * 2 - 1
    with torch.no_grad():
        painted = method(photo, *method.domains[:1])
    assert painted.shape == photo.shape
    assert painted.abs().max() <= 1
