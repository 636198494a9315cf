"""Completing latents: what training starts from, what it may touch, what the search descends on."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import distributed
from torch.utils.data import DataLoader

from shipped import batch_for, shipped
from tiny import quiet_trainer, same
from toonlab.errors import UsageError
from toonlab.methods.latent_inpainting import LatentInpainting
from toonlab.methods.latent_search import LatentSearch, Offsets, Start, mixture
from toonlab.representations.inpainting.bank import LatentBank
from toonlab.representations.inpainting.biharmonic import depth
from toonlab.representations.inpainting.draws import solid
from toonlab.representations.inpainting.holes import hole
from toonlab.representations.inpainting.prefill import prefill

SEARCH = ("completion=search", "data.batch_size=2", "data.size=32", "method.search.steps=40")


def learned(*, asleep: bool = False) -> LatentInpainting:
    method = shipped("latent_inpainting")
    if asleep:  # as it is before training
        for network in (method.completion.picture, method.completion.latent):
            torch.nn.init.zeros_(network.last[-1].weight)
    return method.eval().requires_grad_(False)


def bank_of(method: LatentInpainting) -> LatentBank:
    rng = torch.Generator().manual_seed(5)
    photos = torch.nn.functional.interpolate(torch.rand(6, 3, 8, 8, generator=rng) * 2 - 1, size=32)
    with torch.no_grad():
        return LatentBank.of(method.painter.encode(photos))


def searching(*more: str) -> LatentInpainting:
    method = shipped("latent_inpainting", *SEARCH, *more)
    method.bank = bank_of(method)
    return method


def damaged(kind: str = "box", size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    photos = batch_for(shipped("latent_inpainting"), size=size)["photo"]
    known = hole(kind, size, size, torch.Generator().manual_seed(1))
    return photos, known[None].expand(len(photos), -1, -1, -1).contiguous()


@pytest.mark.parametrize("kind", ["box", "blocks", "random", "half", "grid"])
def test_untrained_it_is_prefill_then_cartoonize_bit_by_bit(kind: str) -> None:
    method = learned(asleep=True)
    photos, known = damaged(kind)
    guess = method.guesses(photos, known, 1, None)[0]
    plain = method.generator(prefill(photos, known, "auto"))
    assert torch.equal(guess.inside, plain)
    assert torch.equal(guess.outside, plain)


def test_known_pixels_and_cells_are_untouched_by_trained_networks() -> None:
    method = learned()
    photos, known = damaged()
    refined = method.completion.refine(prefill(photos, known, "ns"), known)
    there = known.expand_as(photos) > 0
    assert torch.equal(refined[there], photos[there])
    assert not torch.equal(refined[~there], prefill(photos, known, "ns")[~there])
    start = method.painter.encode(refined)
    completed = method.completion.complete(start, refined, known)
    cells = (torch.nn.functional.avg_pool2d(known, 4) == 1).expand_as(start)
    assert torch.equal(completed[cells], start[cells])
    assert (completed[~cells] != start[~cells]).float().mean() > 0.9


def test_the_result_is_the_known_cartoon_outside_the_hole_and_blended_inside() -> None:
    method = learned()
    photos, known = damaged("half")
    guess = method.guesses(photos, known, 1, None)[0]
    completion = method.complete(photos, known, candidates=1)
    there = (solid(known, 5) > 0).expand_as(photos)
    assert torch.equal(completion.result[there], guess.outside.clamp(-1, 1)[there])
    assert not torch.equal(completion.result[~there], guess.outside[~there])
    assert completion.candidates.shape == (2, 1, 3, 32, 32)
    assert completion.result.abs().max() <= 1


def test_what_the_hole_holds_is_never_looked_at() -> None:
    method = learned()
    photos, known = damaged("blocks")
    rubbish = torch.where(known > 0, photos, torch.full_like(photos, float("nan")))
    expected = method.complete(photos, known, candidates=2)
    found = method.complete(rubbish, known, candidates=2)
    assert torch.equal(expected.result, found.result)
    assert torch.equal(expected.scores, found.scores)


def test_the_best_score_is_the_result_and_several_candidates_differ() -> None:
    method, told = learned(), []
    photos, known = damaged()
    completion = method.complete(photos, known, candidates=4, on_step=lambda *at: told.append(at))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert completion.scores.shape == (2, 4)
    for i, best in enumerate(completion.scores.argmin(dim=1)):
        assert torch.equal(completion.result[i], completion.candidates[i, best])
    first = completion.candidates[:, 0]
    assert all(not torch.equal(first, completion.candidates[:, k]) for k in range(1, 4))


def test_nothing_missing_gives_the_plain_cartoon_and_nothing_known_is_refused() -> None:
    photos, known = damaged()
    for method in (learned(), searching("method.search.steps=2").eval()):
        whole = method.complete(photos, torch.ones_like(known), candidates=1)
        assert torch.equal(whole.result, method(photos))
        with pytest.raises(UsageError, match="covers the whole photo"):
            method.complete(photos, torch.zeros_like(known), candidates=1)


def test_only_the_completion_and_the_discriminator_learn(tmp_path: Path) -> None:
    method = shipped("latent_inpainting")
    before = {name: value.clone() for name, value in method.state_dict().items()}
    batches = [batch_for(method, seed=i) for i in range(2)]
    quiet_trainer().fit(method, DataLoader(batches, batch_size=None))
    moved = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.partition(".")[0] for name in moved} == {"completion", "discriminator"}
    assert {name.split(".")[1] for name in moved if name.startswith("completion")} == {
        *("picture", "latent", "spread")
    }


def test_the_warm_up_leaves_the_generator_and_the_latent_alone() -> None:
    method = shipped("latent_inpainting", "method.warmup_iterations=5")
    method.generator.forward = None  # any pass would fail
    method.generator.encode = None
    batch = batch_for(method)
    views = method.render(batch)
    assert views.keys() == {"known", "refined"}
    loss = sum(method.generator_terms(batch, views)[term]() for term in method.warmup_weights)
    reached = [
        n
        for n, p in method.completion.named_parameters()
        if torch.autograd.grad(loss, p, retain_graph=True, allow_unused=True)[0] is not None
    ]
    assert reached
    assert all(name.startswith("picture.") for name in reached)


def test_latents_are_measured_in_the_deviation_of_clean_ones() -> None:
    method = shipped("latent_inpainting")
    batch = batch_for(method)
    views = method.render(batch)
    clean = method.painter.encode(batch["photo"]).detach()
    assert torch.allclose(method.completion.spread, clean.std(dim=(0, 2, 3)), atol=1e-6)
    missing = torch.nn.functional.avg_pool2d(1 - views["known"], 4)
    by_hand = []
    for i in range(len(clean)):
        difference = (views["latent"][i] - clean[i]).abs() / method.completion.spread[:, None, None]
        by_hand.append((difference * missing[i]).sum() / (missing[i].sum() * len(difference)))
    value = method.generator_terms(batch, views)["latent"]()
    assert float(value.detach()) == pytest.approx(float(torch.stack(by_hand).mean().detach()), rel=1e-5)


def test_processes_agree_on_the_mean_of_their_units(monkeypatch: pytest.MonkeyPatch) -> None:
    method, others = shipped("latent_inpainting").completion, torch.full((16,), 3.0)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda spread: spread.add_(others))
    clean = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    method.measure(clean)
    torch.testing.assert_close(method.spread, (clean.std(dim=(0, 2, 3)) + 3) / 2)
    monkeypatch.setattr(distributed, "all_reduce", None)  # measured once
    method.measure(clean)


# Search


def test_a_search_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LatentInpainting, "trainer", SimpleNamespace(world_size=2))
    learned().on_fit_start()
    with pytest.raises(UsageError, match=r"trainer\.devices=2: completion=search moves one batch"):
        searching().on_fit_start()


def test_the_searchs_terms_by_hand() -> None:
    search = LatentSearch(starts=1, erode=0, window=3, steps=1, lr=0.1, mask_aware=False)
    start = Start(
        latent=torch.zeros(1, 2, 1, 2),
        target=torch.zeros(1, 1, 2, 2),
        weights=torch.tensor([[[[0.5, 0.0], [0.25, 0.0]]]]),
        cells=torch.tensor([[[[1.0, 0.0]]]]),
        missing=torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]),
    )
    latent = torch.tensor([[[[9.0, 3.0]], [[9.0, 4.0]]]])
    cartoon = torch.tensor([[[[0.2, 1.0], [-0.4, 1.0]]]])
    terms = search.terms(start, latent, cartoon, torch.tensor([1.0, 2.0]), lambda: torch.tensor(7.0))
    values = {name: float(term()) for name, term in terms.items()}
    # Σ W|Dec(z) - T| / ΣW; (z - z⁰)/σ squared over the unknown cell alone; steps that touch the hole.
    assert values == pytest.approx(
        {
            "context": (0.5 * 0.2 + 0.25 * 0.4) / 0.75,
            "prior": 7.0,
            "bank": (3.0**2 + (4 / 2) ** 2) / 2,
            "tv": 0.0 + (0.8**2 + 1.4**2) / 2,
        }
    )
    assert float(search.terms(start, latent, cartoon, torch.ones(2), None)["prior"]()) == 0


def test_a_bank_gives_further_candidates_of_what_was_learned() -> None:
    method, told = learned(), []
    photos, known = damaged()
    plain = method.complete(photos, known, candidates=2)
    method.bank = bank_of(method)
    found = method.complete(photos, known, candidates=4, on_step=lambda *at: told.append(at))
    assert told[-1] == (4, 4)
    assert torch.equal(found.candidates[:, :2], plain.candidates)
    refined = method.completion.refine(prefill(photos, known, "auto"), known)
    start = method.search.begin(method.painter, method.bank, refined, known, 2)[1]
    completed = method.painter.decode(method.completion.complete(start.latent, refined, known))
    assert torch.equal(method.guesses(photos, known, 4, None)[3].inside, completed)
    assert not torch.equal(found.candidates[:, 2], found.candidates[:, 3])


def test_a_search_starts_from_the_banks_nearest_and_descends() -> None:
    method = searching().eval()
    photos, known = damaged()
    seen = []
    zero, found = (
        searching(f"method.search.steps={steps}")
        .eval()
        .complete(photos, known, candidates=1, on_step=lambda *at: seen.append(at))
        for steps in (0, 40)
    )
    assert seen[-1] == (40, 40)
    assert (found.scores < zero.scores).all()
    start = method.search.begin(method.painter, method.bank, prefill(photos, known, "auto"), known, 1)[0]
    latent = method.painter.encode(prefill(photos, known, "auto"))
    there = (start.cells > 0).expand_as(latent)
    assert torch.equal(start.latent[there], latent[there])
    _, nearest = method.bank.nearest(latent, start.cells, 1)
    assert torch.equal(start.latent[~there], method.bank.maps(nearest[:, 0])[~there])


def test_while_it_trains_a_search_shows_samples_of_a_few_steps_at_use_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = searching("method.preview_steps=3").eval()
    photos, known = damaged()
    told: list[tuple[int, int]] = []

    def steps() -> int:
        told.clear()
        method.guesses(photos, known, 1, lambda done, total: told.append((done, total)))
        assert told[-1] == (told[-1][1], len(told))
        return len(told)

    assert steps() == 40
    monkeypatch.setattr(method, "_trainer", SimpleNamespace(world_size=1))
    method.on_fit_start()
    assert steps() == 3
    method.on_fit_end()
    assert steps() == 40


def test_the_last_start_mixes_the_nearest_ones_the_nearest_most() -> None:
    maps = [torch.full((2, 1, 1, 1), value) for value in (0.0, 1.0, 5.0)]
    distances = torch.tensor([[1.0, 1.0, 3.0], [0.5, 0.7, 50.0]])
    mixed = mixture(maps, distances, 1.0).flatten()
    e = math.e
    assert mixed[0] == pytest.approx((1 / e + 5 / e**3) / (2 / e + 1 / e**3), rel=1e-5)
    assert mixed[1] == pytest.approx(e**-1.4 / (e**-1 + e**-1.4), rel=1e-5)
    method = searching().eval()
    photos, known = damaged()
    starts = method.search.begin(method.painter, method.bank, photos, known, 4)
    away = (starts[0].cells == 0).expand_as(starts[0].latent)
    with torch.no_grad():
        latent = method.painter.encode(photos)
    nearest = method.bank.nearest(latent, starts[0].cells, 4)[1]
    single = [method.bank.maps(rank) for rank in nearest.T]
    for start, alone in zip(starts[:3], single[:3], strict=True):
        assert torch.equal(start.latent[away], alone[away])
    assert not torch.equal(starts[3].latent[away], single[3][away])


@pytest.mark.parametrize("wrong", ["erode=-1", "window=28", "starts=0", "temperature=0"])
def test_numbers_of_a_search_that_make_no_sense_are_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong.partition("=")[0]):
        searching(f"method.search.{wrong}")


@pytest.mark.parametrize("side", [31, 64])
def test_depth_is_the_distance_to_the_nearest_known_pixel(side: int) -> None:
    known = hole("blocks", side, side, torch.Generator().manual_seed(3))[0].numpy() > 0.5
    places = np.argwhere(known)
    brute = [[np.sqrt(((places - (y, x)) ** 2).sum(1).min()) for x in range(side)] for y in range(side)]
    assert np.allclose(depth(known), brute, atol=1e-6)
    assert len({depth(known).tobytes() for _ in range(50)}) == 1  # a run repeats itself to the bit


def test_offsets_move_unknown_cells_alone() -> None:
    cells, unused = torch.tensor([[[[1.0, 0.0]]]]), torch.zeros(1)
    start = Start(torch.ones(1, 2, 1, 2), target=unused, weights=unused, cells=cells, missing=unused)
    offsets = Offsets(1, 2, 1, 2)
    assert torch.equal(offsets(start), start.latent)
    torch.nn.init.constant_(offsets.value, 3.0)
    assert offsets(start)[..., 0].eq(1).all()
    assert offsets(start)[..., 1].eq(4).all()


def test_an_iteration_of_training_is_a_step_of_the_search_and_resumes(tmp_path: Path) -> None:
    batches = [batch_for(shipped("latent_inpainting"))] * 6

    def fit(method: LatentInpainting, few: list, ckpt: str | None = None):
        trainer = quiet_trainer()
        trainer.fit(method, DataLoader(few, batch_size=None), ckpt_path=ckpt, weights_only=bool(ckpt))
        return trainer

    whole, first, second = (searching() for _ in range(3))
    before = whole.generator_terms(batches[0], whole.render(batches[0]))["context"]().item()
    fit(whole, batches)
    assert whole.generator_terms(batches[0], whole.render(batches[0]))["context"]().item() < before
    fit(first, batches[:2]).save_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    fit(second, batches[2:], str(tmp_path / "a.ckpt"))
    assert second.iteration == 6
    same(dict(whole.state_dict()), dict(second.state_dict()))


def test_a_search_without_a_bank_says_what_to_name() -> None:
    method = shipped("latent_inpainting", *SEARCH).eval()
    with pytest.raises(UsageError, match="bank=DIR"):
        method.complete(*damaged(), candidates=1)
