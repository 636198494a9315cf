"""The history of generated images."""

import pytest
import torch

from toonlab.engine.pool import ImagePool


def numbered(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_fills_with_what_it_returns() -> None:
    pool = ImagePool(3)
    assert torch.equal(pool.query(numbered(1, 2), rng(0)), numbered(1, 2))
    assert torch.equal(pool.query(numbered(3), rng(1)), numbered(3))
    assert torch.equal(torch.stack(pool.kept), numbered(1, 2, 3))


def test_then_swaps_half_of_the_images_for_older_ones_and_keeps_the_new() -> None:
    pool = ImagePool(5)
    pool.query(numbered(*range(5)), rng(0))
    older = 0
    for i in range(5, 2005):
        before = {int(image[0, 0, 0]) for image in pool.kept}
        given = int(pool.query(numbered(i), rng(i))[0, 0, 0, 0])
        after = {int(image[0, 0, 0]) for image in pool.kept}
        assert len(after) == 5
        if given == i:
            assert after == before
        else:
            older += 1
            assert given in before
            assert after == before - {given} | {i}
    assert older == pytest.approx(1000, abs=100)  # 4.5 standard deviations


def test_gives_no_graph_and_keeps_what_was_when_images_change_later() -> None:
    pool, image = ImagePool(1), numbered(1).requires_grad_()
    assert not pool.query(image, rng(0)).requires_grad
    with torch.no_grad():
        image.zero_()
    assert torch.equal(pool.kept[0], numbered(1)[0])


def test_size_0_is_off_and_below_is_refused() -> None:
    images = numbered(1, 2).requires_grad_()
    assert ImagePool(0).query(images, rng(0)) is images
    with pytest.raises(ValueError, match="pool_size=-1"):
        ImagePool(-1)


@pytest.mark.parametrize("held", [0, 2, 4])
def test_its_state_travels(held: int) -> None:
    one, two = ImagePool(4), ImagePool(4)
    if held:
        one.query(numbered(*range(held)), rng(0))
    two.load_state_dict(one.state_dict())
    for i in range(10, 20):
        assert torch.equal(one.query(numbered(i), rng(i)), two.query(numbered(i), rng(i)))
