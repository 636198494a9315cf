"""Several styles in one stream: whose turn it is, which cartoons that shows, and a user's mistakes."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toonlab.data.domains import check_known, named
from toonlab.data.modules import MultiDomainData, SyntheticData, UnpairedData
from toonlab.data.stream import DomainDraws, Draws, Stream
from toonlab.data.turns import Turns
from toonlab.errors import UsageError

COMMON = {
    "size": 8,
    "batch_size": 2,
    "eval_batch_size": 4,
    "workers": 0,
    "seed": 0,
    "zoom": (1.0, 1.0),
    "flip": 0.0,
}
FOLDERS = {"val_fraction": 0.2, "test_fraction": 0.2, "min_side": 4}


class Levels:
    """Flat pictures whose level is `base` plus their number."""

    def __init__(self, count: int, base: int = 0) -> None:
        self.count, self.base = count, base

    def __len__(self) -> int:
        return self.count

    def picture(self, index: int) -> Image.Image:
        return Image.new("RGB", (8, 8), (self.base + index,) * 3)


def level(image: torch.Tensor) -> int:
    return round((image[0, 0, 0].item() + 1) * 127.5)


def folder(root: Path, *parts: str, levels: range) -> str:
    place = root.joinpath(*parts)
    place.mkdir(parents=True)
    for i in levels:
        Image.new("RGB", (8, 8), (i, i, i)).save(place / f"{i:03}.png")
    return str(place)


# Names ---------------------------------------------------------------------------


def test_folders_are_named_by_keys_or_by_themselves() -> None:
    assert named({"a": "/x/one", "b": "/x/one"}) == {"a": "/x/one", "b": "/x/one"}
    assert named(["/x/one", "/y/two/train", "/z/val"]) == {
        "one": "/x/one",
        "two": "/y/two/train",
        "z": "/z/val",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "domains=None: name folders"),
        ([], "name folders of cartoons"),
        ("/x/one", "name folders of cartoons"),
        (
            ["/x/one", "/y/one/train"],
            "/x/one and /y/one/train are both called one; name them: domains={NAME: /x",
        ),
        ({"a b": "/x"}, "'a b' is no name for a domain"),
        (["/x/my style"], "'my style' is no name .* domains={NAME: /x/my style"),
        ({"a": None}, "domains.a=None: a folder"),
        ({"a": 3}, "domains.a=3: a folder"),
    ],
)
def test_names_that_cannot_be(given, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        named(given)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"val_domains.wesnot: no such domain \(did you mean 'wesnoth'\?\)"):
        check_known({"wesnot": 1}, ["wesnoth", "bbb"], "val_domains")


# Turns ---------------------------------------------------------------------------


def order(weights: dict[str, float], batches: int) -> str:
    turns = Turns(weights)
    return "".join(turns.at(batch).domain for batch in range(batches))


def test_equal_weights_are_round_robin() -> None:
    assert order({"a": 1, "b": 1, "c": 1}, 7) == "abcabca"
    assert order({"a": 0.5, "b": 0.5}, 4) == "abab"


def test_weights_are_ratios_and_spread_evenly() -> None:
    assert order({"a": 2, "b": 1}, 6) == "abaaba"
    assert order({"a": 0.75, "b": 0.25}, 8) == "aabaaaba"  # behind by 3, 2, then b by 2, a by 1


@given(
    weights=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    batch=st.integers(0, 10**9),
)
def test_a_turn_counts_those_before_it(weights: dict[str, int], batch: int) -> None:
    turns = Turns(weights)
    assert sum(turns.period.values()) * max(weights.values()) == sum(weights.values()) * max(
        turns.period.values()
    )  # the ratio
    one, had = turns.at(batch), Counter(turns.at(i).domain for i in range(2 * sum(turns.period.values())))
    assert had == {name: 2 * count for name, count in turns.period.items()}  # exact in every period
    rounds, place = divmod(batch, sum(turns.period.values()))
    before = sum(turns.at(i).domain == one.domain for i in range(place))
    assert one.before == rounds * turns.period[one.domain] + before


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), "2", True])
def test_a_weight_that_cannot_be(weight) -> None:
    with pytest.raises(UsageError, match=r"data\.domain_weights\.b=.*a number above 0"):
        Turns({"a": 1, "b": weight})


def test_a_ratio_of_needless_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="ratio 33333:66667 takes 100000 batches"):
        Turns({"a": 0.33333, "b": 0.66667})


# Draws ---------------------------------------------------------------------------


def draws(turns: Turns, batch_images: int, sizes: dict[str, int]) -> DomainDraws:
    domains = {name: Levels(size, 50 * (i + 1)) for i, (name, size) in enumerate(sizes.items())}
    return DomainDraws(
        photos=Levels(5),
        domains=domains,
        turns=turns,
        batch_images=batch_images,
        size=8,
        zoom=(1.0, 1.0),
        flip=0.0,
        seed=0,
        derived={"negative": torch.neg},
    )


@given(
    weights=st.sampled_from([{"a": 1, "b": 1, "c": 1}, {"a": 3, "b": 1, "c": 2}]),
    batch_size=st.integers(1, 4),
    world=st.integers(1, 3),
    first=st.integers(0, 30),
)
@settings(deadline=None)
def test_ranks_agree_on_the_domain_and_each_cartoon_is_seen_once_an_epoch(
    weights: dict[str, int], batch_size: int, world: int, first: int
) -> None:
    turns, sizes, batches = Turns(weights), {"a": 7, "b": 4, "c": 9}, 24
    items = draws(turns, batch_size * world, sizes)
    streams = [Stream(first_batch=0, batch_size=batch_size, rank=rank, world=world) for rank in range(world)]
    seen: dict[str, list[int]] = {name: [] for name in sizes}
    numbers = [list(islice(stream, batches * batch_size)) for stream in streams]
    for batch in range(batches):
        domain = turns.at(batch).domain
        for taken in numbers:  # rank by rank
            for draw in taken[batch * batch_size : (batch + 1) * batch_size]:
                item = items[draw]
                assert list(sizes)[int(item["domain"])] == domain
                assert torch.equal(item["negative"], -item["cartoon"])
                seen[domain].append(level(item["cartoon"]))
    for i, (name, size) in enumerate(sizes.items()):
        whole = range(50 * (i + 1), 50 * (i + 1) + size)
        epochs = [seen[name][k : k + size] for k in range(0, len(seen[name]), size)]
        assert all(sorted(epoch) == list(whole) for epoch in epochs if len(epoch) == size)
        assert all(len(set(epoch)) == len(epoch) for epoch in epochs)
    again = Stream(first_batch=first, batch_size=batch_size, world=world)  # resumed: nothing has a state
    some = next(iter(again))
    assert some == first * world * batch_size
    fresh = draws(turns, batch_size * world, sizes)
    assert all(torch.equal(fresh[some][key], items[some][key]) for key in items[some])


def test_photos_know_nothing_of_domains() -> None:
    plain = Draws(photos=Levels(5), cartoons=Levels(3), size=8, zoom=(1.0, 1.0), flip=0.0, seed=0, derived={})
    items = draws(Turns({"a": 1, "b": 2}), 2, {"a": 7, "b": 4})
    assert all(torch.equal(plain[i]["photo"], items[i]["photo"]) for i in range(20))


# Data modules --------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, object]:
    return {
        "photos": folder(tmp_path, "photos", levels=range(10)),
        "domains": {
            "a": folder(tmp_path, "a", levels=range(50, 60)),
            "b": folder(tmp_path, "b", levels=range(100, 105)),
        },
    }


def multidomain(folders, extras=("domain",), **changes) -> MultiDomainData:
    return MultiDomainData(**{**COMMON, **FOLDERS, **folders, "extras": extras, **changes})


def levels(batch, view: str = "cartoon") -> list[int]:
    return [level(image) for image in batch[view]]


def test_batches_are_of_one_domain_in_turn(folders) -> None:
    loader = multidomain(folders, domain_weights={"b": 2}).train_dataloader()
    batches = list(islice(loader, 9))
    assert [set(batch["domain"].tolist()) for batch in batches] == [{1}, {0}, {1}] * 3
    for batch in batches:
        assert set(levels(batch)) <= set(range(50, 56) if batch["domain"][0] == 0 else range(100, 103))
    assert {n for batch in batches for n in levels(batch, "photo")} <= set(range(6))


def test_a_resumed_stream_goes_on_where_it_was(folders) -> None:
    data = multidomain(folders)
    data.trainer = SimpleNamespace(
        lightning_module=SimpleNamespace(batches_consumed=5), global_rank=0, world_size=1
    )
    gone_on, whole = (
        next(iter(data.train_dataloader())),
        list(islice(multidomain(folders).train_dataloader(), 6)),
    )
    assert all(torch.equal(gone_on[view], whole[5][view]) for view in gone_on)


def test_each_domain_holds_out_blocks_of_its_own(folders, tmp_path: Path) -> None:
    data = multidomain(folders)
    assert [levels(batch) for batch in data.val_dataloader("a")[1]] == [[56, 57]]
    assert [levels(batch) for batch in data.test_dataloader("b")[1]] == [[104]]
    assert [levels(batch, "photo") for batch in data.val_dataloader("b")[0]] == [[6, 7]]
    held_out = {"b": folder(tmp_path, "held", levels=range(200, 204))}
    data = multidomain(folders, val_domains=held_out)
    assert [levels(batch) for batch in data.val_dataloader("a")[1]] == [[56, 57]]
    assert [levels(batch) for batch in data.val_dataloader("b")[1]] == [[200, 201]]
    assert level(data.panel(1, "cartoon", "b")[0]) == 200
    assert len(multidomain(folders, split="all").test_dataloader("a")[1].dataset) == 10


def test_what_is_skipped_is_reported_with_the_domains_name(folders, caplog) -> None:
    Path(folders["domains"]["b"], "broken.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        multidomain(folders).setup()
    assert "domains.b: skipped 1 of 6 files" in caplog.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"domains": None}, "domains=None: name folders"),
        ({"domains": {"a": "/nowhere"}}, r"domains\.a=/nowhere does not exist"),
        ({"domain_weights": {"c": 2}}, r"data\.domain_weights\.c: no such domain; there are a, b"),
        ({"val_domains": {"c": "/x"}}, r"val_domains\.c: no such domain"),
        ({"photos": None}, "no folder of photos given; pass photos=DIR"),
    ],
)
def test_mistakes_are_answered_in_a_line(folders, changes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        multidomain(folders, **changes).setup()


def test_data_of_one_style_refuses_a_method_of_several(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use data=multidomain photos=DIR domains="):
        UnpairedData(photos="x", cartoons="y", extras=("domain",), **COMMON, **FOLDERS)


def test_synthetic_styles_differ_and_leave_the_plain_ones_as_they_were() -> None:
    def colours(data: SyntheticData, *domain: str) -> int:
        source = data._source("cartoon", "train", *domain)
        return len({value for i in range(len(source)) for value in source.picture(i).tobytes()})

    data = SyntheticData(count=8, domains=["two", "three"], extras=("domain",), **COMMON)
    assert [colours(data, name) for name in data.domains] == [2, 3]
    plain = SyntheticData(count=8, domains=["two", "three"], **COMMON)
    assert plain.domains == ()
    assert colours(plain) == 4
    assert "domain" not in next(iter(plain.train_dataloader()))
