"""The sanity check of the adapters on classification: its parts, and all of it in small."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import multidomain_classification as benchmark
from multidomain_data import FACES, NEW_FACES, Domain, Part, digits, glyphs, part, pictures
from multidomain_learning import WAYS, Learner, Model, Result, learn, pretrain, shifted, trunk
from multidomain_table import interval, table
from torch import nn

from toonlab.networks.adapters import Adapted


@pytest.fixture(scope="module")
def bars() -> Domain:
    """Bars, upright or lying, in noise: `name`, two classes."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 60, (120, 32, 32))
    labels = np.arange(120) % 2
    for image, label in zip(pixels, labels, strict=True):
        at = rng.integers(8, 24)
        (image if label else image.T)[at - 2 : at + 2] += 150
    return Domain("bars", 2, part(pixels[:80], labels[:80]), part(pixels[80:], labels[80:]))


@pytest.mark.parametrize("make", [digits, pictures])
def test_domains_that_need_no_further_package(make) -> None:
    domain = make()
    for images, labels in (domain.train, domain.test):
        assert images.shape[1:] == (3, 32, 32)
        assert set(labels.tolist()) == set(range(domain.classes))
        torch.testing.assert_close(images.mean((1, 2, 3)), torch.zeros(len(images)), atol=1e-3, rtol=0)
        assert float(images.std((1, 2, 3)).max()) < 1.001
    seen = {image.numpy().tobytes() for image in domain.train.images if image.std() > 0.5}
    assert not any(image.numpy().tobytes() in seen for image in domain.test.images)
    assert torch.equal(make().train.images, domain.train.images)


def test_glyphs_are_of_other_faces_where_they_are_tested() -> None:
    pytest.importorskip("matplotlib", reason="its fonts are drawn")
    assert not set(FACES) & set(NEW_FACES)
    drawn = glyphs("letters", "AB", 8, 4)
    assert drawn.classes == 2
    assert drawn.train.labels.tolist() == [0, 1] * 4
    assert len(drawn.test.labels) == 4


def test_shifts_stay_within_reach_and_repeat_the_border() -> None:
    images = torch.arange(36.0).view(1, 1, 6, 6)
    seen = {
        tuple(shifted(images, torch.Generator().manual_seed(s))[0, 0, 3, :2].tolist()) for s in range(200)
    }
    starts = {
        (6.0 * row + a, 6.0 * row + b) for row in range(1, 6) for a, b in ((0, 0), (0, 1), (1, 2), (2, 3))
    }
    assert seen == starts


def test_a_frozen_trunk_is_left_as_it_was_and_so_is_the_turn_that_never_came(bars) -> None:
    torch.manual_seed(0)
    other = bars._replace(name="other")
    body = Adapted(trunk=trunk(4), domains=["bars", "other"], kind="parallel", where="all")
    body.freeze_all_but("bars")
    model = Model(body, [bars, other], 16)
    before = copy.deepcopy(model.state_dict())
    Learner(iterations=6, batch=16).fit(model, {"bars": bars}, seed=0)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all("@bars" in key or key.startswith("heads.bars") for key in changed)
    assert any(key.endswith("adapter") for key in changed)
    assert any("running_mean" in key for key in changed)


def test_domains_take_turns_and_each_image_is_seen_once_before_any_is_seen_twice() -> None:
    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.seen = nn.Parameter(torch.zeros(())), []

        def forward(self, images, name):
            self.seen.append((name, images[:, 0, 16, 16].long().tolist()))
            return torch.zeros(len(images), 2) + self.weight

    images = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 32, 32)
    domain = Domain("a", 2, Part(images, torch.zeros(8, dtype=torch.long)), Part(images, torch.zeros(8)))
    spy = Spy()
    Learner(iterations=8, batch=4).fit(spy, {"a": domain, "b": domain}, seed=0)
    assert [name for name, _ in spy.seen] == ["a", "b"] * 4
    for turns in (spy.seen[0::2], spy.seen[1::2]):
        for epoch in (turns[:2], turns[2:]):
            assert sorted(epoch[0][1] + epoch[1][1]) == list(range(8))


def test_every_way_learns_and_leaves_the_trunk_to_the_next(bars) -> None:
    torch.set_num_threads(1)
    learner = Learner(iterations=40, batch=16)
    bodies = {prepared: pretrain(bars, 4, learner, 0, prepared)[0] for prepared in (False, True)}
    states = {prepared: copy.deepcopy(body.state_dict()) for prepared, body in bodies.items()}
    other = bars._replace(name="other", train=bars.train._replace(labels=1 - bars.train.labels))
    other = other._replace(test=bars.test._replace(labels=1 - bars.test.labels))
    own = {}
    for way in WAYS:
        result = learn(way, bodies["prepared" in way], other, 4, 2, learner, 0)
        assert np.mean(result.right) > 0.7, way
        own[way] = result.parameters
    assert own["frozen trunk"] == 0 < own["norms"] < own["low rank"] < own["parallel"] < own["series"]
    assert own["separate"] == own["from scratch"] == sum(p.numel() for p in trunk(4).parameters())
    for prepared, body in bodies.items():
        for key, value in body.state_dict().items():
            assert torch.equal(value, states[prepared][key]), key


def test_intervals_against_the_binomial_and_without_any_doubt() -> None:
    assert interval([np.ones((2, 50)), np.zeros((2, 30))]) == pytest.approx((50, 50, 50))
    mean, low, high = interval([np.tile([[0.0, 1.0]], (1, 200))])
    half = 196 * (0.25 / 400) ** 0.5
    assert mean == 50.0
    assert low == pytest.approx(50 - half, abs=0.5)
    assert high == pytest.approx(50 + half, abs=0.5)
    _, low, high = interval([np.stack([np.zeros(400), np.ones(400)])])  # two runs that disagree on all of it
    assert (low, high) == (0.0, 100.0)


def test_the_table_says_what_each_way_costs() -> None:
    results = [Result("trunk's own task", "first", 0, [True] * 10, 1000)]
    costs = {"frozen trunk": 0, "norms": 10, "low rank": 30, "parallel": 100, "series": 120}
    costs |= {"separate": 1000, "from scratch": 1000, "series, prepared trunk": 120, "joint, parallel": 100}
    for way, parameters in costs.items():
        for domain in ("one", "two"):
            rightly = 4 if way == "frozen trunk" else 6
            right = [True] * rightly + [False] * (10 - rightly)
            results.append(Result(way, domain, 0, right, parameters))
    for way in ("series, prepared trunk", "joint, parallel"):
        results.append(Result(way, "first", 0, [True] * 10, 100))
    rows = {line.split(" | ")[0].strip("| "): line for line in table(results).splitlines()}
    assert "| 40.0 (" in rows["frozen trunk"]
    assert rows["frozen trunk"].endswith("| 0.00% | 1.00 x |")
    assert "**60.0**" in rows["parallel"]
    assert "+20.0" in rows["parallel"]
    assert rows["parallel"].endswith("| 10.00% | 1.20 x |")
    assert rows["joint, parallel"].endswith("| 10.00% | 1.30 x |")
    assert rows["separate"].endswith("| 100.00% | 3.00 x |")


def test_all_of_it_in_small_once_and_never_twice(tmp_path, monkeypatch, capsys) -> None:
    command = ["--quick", "--workers", "0", "--output", str(tmp_path)]
    text = benchmark.main(command)
    assert all(f"| {way} |" in text for way in (*WAYS, "joint, parallel"))
    assert text in capsys.readouterr().out
    (tmp_path / "0 joint.json").unlink()  # as after an interruption
    done, real = [], benchmark.do
    monkeypatch.setattr(benchmark, "do", lambda job, options: (done.append(job), real(job, options)))
    assert benchmark.main(command) == text
    assert done == [(0, "joint")]
    with pytest.raises(SystemExit, match="other settings"):
        benchmark.main(["--workers", "0", "--output", str(tmp_path)])
