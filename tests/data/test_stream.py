from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toonlab.data.stream import Draws, Files, Gallery, Stream
from toonlab.data.synthetic import ColourBlocks
from toonlab.errors import UsageError


class Levels:
    """Flat pictures whose level is their number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def picture(self, index: int) -> Image.Image:
        return Image.new("RGB", (8, 8), (index, index, index))


def draws(photos: int = 5, cartoons: int = 7, seed: int = 0) -> Draws:
    return Draws(
        photos=Levels(photos),
        cartoons=Levels(cartoons),
        size=8,
        zoom=(1.0, 1.0),
        flip=0.5,
        seed=seed,
        derived={"negative": torch.neg},
    )


def level(image: torch.Tensor) -> int:
    return round((image[0, 0, 0].item() + 1) * 127.5)


@given(
    first=st.integers(0, 50), batch_size=st.integers(1, 5), world=st.integers(1, 4), batches=st.integers(1, 5)
)
def test_ranks_cover_the_draws_without_overlap(first: int, batch_size: int, world: int, batches: int) -> None:
    taken = [
        draw
        for rank in range(world)
        for draw in islice(
            Stream(first_batch=first, batch_size=batch_size, rank=rank, world=world), batches * batch_size
        )
    ]
    start = first * world * batch_size
    assert sorted(taken) == list(range(start, start + batches * world * batch_size))


def test_two_ranks_draw_together_what_one_draws() -> None:
    one = list(islice(Stream(first_batch=3, batch_size=4), 4))
    two = [list(islice(Stream(first_batch=3, batch_size=2, rank=rank, world=2), 2)) for rank in (0, 1)]
    assert one == two[0] + two[1]


def test_overfit_repeats_batch_zero_wherever_it_starts() -> None:
    stream = Stream(first_batch=9, batch_size=2, rank=1, world=2, overfit=True)
    assert list(islice(stream, 6)) == [2, 3, 2, 3, 2, 3]


def test_each_epoch_shows_each_picture_once_in_a_new_order() -> None:
    data = draws()
    photos = [level(data[i]["photo"]) for i in range(15)]
    cartoons = [level(data[i]["cartoon"]) for i in range(14)]
    assert all(sorted(photos[e : e + 5]) == list(range(5)) for e in (0, 5, 10))
    assert all(sorted(cartoons[e : e + 7]) == list(range(7)) for e in (0, 7))
    assert len({tuple(photos[e : e + 5]) for e in (0, 5, 10)}) == 3
    assert [level(draws(seed=1)[i]["photo"]) for i in range(15)] != photos


def test_pairs_change_from_epoch_to_epoch() -> None:
    data = draws(4, 4)
    pairs = Counter((level(data[i]["photo"]), level(data[i]["cartoon"])) for i in range(40))
    assert len(pairs) > 8  # four if both were shuffled alike


def test_a_draw_is_the_same_in_any_order() -> None:
    blocks = [ColourBlocks(count=3, side=20, flat=flat, key="k") for flat in (False, True)]
    data, again = (
        Draws(photos=blocks[0], cartoons=blocks[1], size=8, zoom=(1.0, 2.0), flip=0.5, seed=0, derived={})
        for _ in range(2)
    )
    forward = {i: data[i] for i in range(12)}
    for i in reversed(range(12)):
        assert torch.equal(again[i]["photo"], forward[i]["photo"])
        assert torch.equal(again[i]["cartoon"], forward[i]["cartoon"])
    assert not torch.equal(forward[0]["photo"], forward[3]["photo"])


def test_a_picture_is_cropped_anew_each_time() -> None:
    blocks = ColourBlocks(count=1, side=64, flat=False, key="k")
    data = Draws(photos=blocks, cartoons=blocks, size=8, zoom=(2.0, 4.0), flip=0.5, seed=0, derived={})
    items = [data[i] for i in range(4)]
    crops = [item[domain] for item in items for domain in ("photo", "cartoon")]
    assert not any(torch.equal(a, b) for i, a in enumerate(crops) for b in crops[:i])


def test_derived_views_are_made_from_the_same_crop() -> None:
    item = draws()[3]
    assert item.keys() == {"photo", "cartoon", "negative"}
    assert torch.equal(item["negative"], -item["cartoon"])


def test_gallery_keeps_order() -> None:
    gallery = Gallery(Levels(9), [8, 0, 3], domain="cartoon", size=8)
    assert [level(gallery[i]["cartoon"]) for i in range(len(gallery))] == [8, 0, 3]


def test_files_are_laid_on_white_and_a_lost_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(path)
    source = Files([path])
    assert source.picture(0).getpixel((0, 0)) == (255, 255, 255)
    path.unlink()
    with pytest.raises(UsageError, match=r"a\.png was an image when the run began"):
        source.picture(0)


def test_colour_blocks_are_keyed_and_of_two_styles() -> None:
    photo, cartoon = (ColourBlocks(count=2, side=48, flat=flat, key="k") for flat in (False, True))
    assert photo.picture(0).tobytes() == photo.picture(0).tobytes()
    assert photo.picture(0).tobytes() != photo.picture(1).tobytes()
    assert len(cartoon.picture(0).getcolors(10**6) or ()) <= 36  # one colour a block, of 6 x 6
    assert len(photo.picture(0).getcolors(10**6) or ()) > 1000
