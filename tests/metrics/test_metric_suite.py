"""The suite end to end on a tiny extractor, and the report it hands out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from metrics.metric_tiny import TinyNetwork, pictures, tiny_content, tiny_features, tiny_suite
from toonlab import keyed
from toonlab.errors import UsageError
from toonlab.metrics.distances import frechet_distance
from toonlab.metrics.report import Report, Score
from toonlab.metrics.suite import MetricSuite

BETWEEN_SETS = [
    "kid",
    "kid_std",
    "fd",
    "mmd",
    "mmd2_biased",
    "mmd2_unbiased",
    "nn1",
    "nn1_real",
    "nn1_fake",
    "nn1_p",
]  # in the table's order


def filled(photos: int = 6, cartoons: int = 14, shift: float = 0.4, **changes: object) -> MetricSuite:
    """Cartoons are brighter than photos by `shift`; the network makes a photo brighter by half of that."""
    suite = tiny_suite(**changes)
    photo = pictures(photos, 1)
    for batch in photo.split(4):
        suite.add_painted(batch + shift / 2, batch)
    suite.add_targets(pictures(cartoons, 2, shift))
    return suite


def test_every_score_has_its_baselines_and_n() -> None:
    report = filled().compute()
    assert list(report.scores) == [f"{name}_tiny" for name in BETWEEN_SETS] + ["content_tiny", "edge_f1"]
    for name in BETWEEN_SETS:
        score = report.scores[f"{name}_tiny"]
        assert score.n == 6  # min(6, 14 // 2)
        assert score.real_vs_real is not None
        assert score.source_as_is is not None
    content = report.scores["content_tiny"]
    assert (content.source_as_is, report.scores["edge_f1"].source_as_is) == (0, 1)
    assert content.unrelated is not None
    assert 0 < content.value < content.unrelated


def test_painted_lies_between_photo_and_cartoons() -> None:
    score = filled(photos=40, cartoons=80).compute().scores["kid_tiny"]
    assert score.real_vs_real is not None
    assert score.source_as_is is not None
    assert score.real_vs_real < score.value < score.source_as_is


def test_values_are_the_distances_between_the_drawn_sets() -> None:
    extract, photo, cartoons = tiny_features(), pictures(6, 1), pictures(14, 2, 0.4)
    order = keyed.permutation(14, 0, "halves")
    reference, held_out = extract(cartoons[order[:6]]), extract(cartoons[order[6:12]])
    score = filled().compute().scores["fd_tiny"]
    assert score.value == pytest.approx(frechet_distance(reference, extract(photo + 0.2)), rel=1e-3)
    assert score.real_vs_real == pytest.approx(frechet_distance(reference, held_out), rel=1e-3)
    assert score.source_as_is == pytest.approx(frechet_distance(reference, extract(photo)), rel=1e-3)


@pytest.mark.parametrize(("photos", "cartoons", "n"), [(5, 40, 5), (20, 13, 6), (4, 8, 4)])
def test_n_is_equal_everywhere(photos: int, cartoons: int, n: int) -> None:
    report = filled(photos, cartoons).compute()
    assert {report.scores[f"{name}_tiny"].n for name in BETWEEN_SETS} == {n}
    assert report.protocol["images"] == {"n": n, "sources": photos, "targets": cartoons}
    assert report.protocol["kid"]["subset_size"] == n // 2
    assert report.scores["content_tiny"].n == photos


@pytest.mark.parametrize(
    ("photos", "cartoons", "missing"), [(3, 20, "add images to paint"), (9, 7, "add images of the target")]
)
def test_too_few_images_are_named(photos: int, cartoons: int, missing: str) -> None:
    suite = tiny_suite()
    suite.add_painted(pictures(photos, 1), pictures(photos, 1))
    suite.add_targets(pictures(cartoons, 2))
    with pytest.raises(UsageError, match=f"found {photos} and {cartoons}; {missing}") as caught:
        suite.compute()
    assert "\n" not in str(caught.value)


def test_no_images_at_all_are_named_too() -> None:
    with pytest.raises(UsageError, match="found 0 and 0"):
        tiny_suite().compute()


def test_each_image_meets_the_feature_network_once() -> None:
    network = TinyNetwork()
    suite = filled(features=tiny_features(network))
    suite.compute()
    assert sum(len(images) for images in network.seen) == 1 + 6 + 6 + 14  # 1: the trial at construction


def test_scores_repeat_and_leave_the_global_generator() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = filled().compute()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert filled().compute() == first


def test_reset_forgets() -> None:
    suite = filled()
    suite.reset()
    suite.add_painted(pictures(5, 7), pictures(5, 8))
    suite.add_targets(pictures(10, 9))
    fresh = tiny_suite()
    fresh.add_painted(pictures(5, 7), pictures(5, 8))
    fresh.add_targets(pictures(10, 9))
    assert suite.compute() == fresh.compute()


def test_the_batches_do_not_matter() -> None:
    suite, photo, cartoons = tiny_suite(), pictures(6, 1), pictures(14, 2, 0.4)
    for i in range(6):
        suite.add_painted(photo[i : i + 1] + 0.2, photo[i : i + 1])
    for batch in cartoons.split(5):
        suite.add_targets(batch)
    assert suite.compute().scalars() == pytest.approx(filled().compute().scalars(), abs=1e-4)


def test_rank_zero_may_score_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(*args: object, **kwargs: object) -> None:
        raise AssertionError("a collective: the other ranks are not here, so this hangs")

    monkeypatch.setattr(torch.distributed, "is_available", lambda: True)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr("torchmetrics.metric.gather_all_tensors", gather)
    assert filled().compute().scores["kid_tiny"].n == 6


def test_a_diverged_generator_is_told() -> None:
    photo = pictures(2, 1)
    painted = photo.clone()
    painted[1, 0, 3, 3] = torch.nan
    with pytest.raises(UsageError, match="diverged"):
        tiny_suite().add_painted(painted, photo)


def test_whoever_holds_a_suite_does_not_save_it() -> None:
    owner = nn.Module()
    owner.suite = filled()  # type: ignore[assignment]
    assert not owner.state_dict()
    assert not list(owner.parameters())


def test_only_inception_may_say_fid() -> None:
    class Canonical:
        name, num_features, canonical, protocol = "inception", 8, True, tiny_features().protocol
        __call__ = staticmethod(tiny_features())

    names = filled(features=Canonical(), monitor="kid").compute().scores
    assert list(names)[:4] == ["kid", "kid_std", "fid", "mmd_inception"]
    assert not {"fid", "kid"} & set(filled().compute().scores)


def test_monitor_must_be_a_score_with_a_direction() -> None:
    assert tiny_suite(monitor="content_tiny").monitor == "content_tiny"
    with pytest.raises(UsageError, match=r"metrics\.monitor=kid_tny .* \(did you mean 'kid_tiny'\?\)"):
        tiny_suite(monitor="kid_tny")
    with pytest.raises(UsageError, match="nn1_tiny is no score to pick"):
        tiny_suite(monitor="nn1_tiny")


# The report ------------------------------------------------------------------------


def test_json_says_all_that_the_report_says(tmp_path: Path) -> None:
    report = filled().compute()
    path = tmp_path / "new" / "report.json"
    report.to_json(path, about={"checkpoint": "last.ckpt"})
    read = json.loads(path.read_text())
    scores = {name: Score(**score) for name, score in read["scores"].items()}
    assert Report(scores=scores, protocol=read["protocol"]) == report
    assert read["about"] == {"checkpoint": "last.ckpt"}
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]


def test_a_score_that_json_cannot_say_leaves_the_old_file(tmp_path: Path) -> None:
    report = filled().compute()
    report.to_json(tmp_path / "report.json")
    before = (tmp_path / "report.json").read_text()
    broken = dataclasses.replace(report.scores["edge_f1"], value=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        Report(scores={"edge_f1": broken}, protocol={}).to_json(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text() == before


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        filled().compute().to_json(tmp_path / "report.json")
    assert not list(tmp_path.iterdir())


def test_scalars_are_flat_and_leave_out_what_is_not_there() -> None:
    score = Score(value=0.5, real_vs_real=None, source_as_is=0.0, unrelated=2.0, n=4, better="lower")
    assert Report(scores={"content": score}, protocol={}).scalars() == {
        "content": 0.5,
        "content_source_as_is": 0.0,
        "content_unrelated": 2.0,
    }


def test_table_is_aligned_and_names_its_protocol() -> None:
    lines = filled().compute().table().splitlines()
    kid = next(line for line in lines if line.startswith("kid_tiny "))
    column = lines[0].index("real vs real") + len("real vs real")  # numbers end where their heading ends
    assert kid[column - 1].isdigit()
    assert kid[column] == " "
    text = "\n".join(lines)
    for fact in (
        "n = 6 each",
        "6 painted and 14 of the target domain",
        "tiny, 8 numbers",
        "32x32",
        "5 subsets of 3",
    ):
        assert fact in text
    assert tiny_content().protocol["edges"]["tolerance_pixels"] == 2
