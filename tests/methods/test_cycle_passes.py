"""CycleGAN draws and judges two batches in one pass: the same pictures and scores, fewer passes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from shipped import batch_for, shipped
from toonlab.engine.gradients import term_gradients
from toonlab.methods.cycle import CycleGAN


@contextmanager
def counted(*networks: nn.Module) -> Iterator[list[int]]:
    """Images in each pass through any of the networks."""
    images: list[int] = []
    handles = [n.register_forward_hook(lambda _m, given, _o: images.append(len(given[0]))) for n in networks]
    yield images
    for handle in handles:
        handle.remove()


def cyclegan(**changes: object) -> CycleGAN:
    method = shipped("cyclegan", pool_size=0, **changes)
    assert isinstance(method, CycleGAN)
    return method


def test_a_pass_over_both_gives_what_two_passes_give() -> None:
    method = cyclegan()
    batch = batch_for(method)
    x, y = batch[method.source], batch[method.target]
    x[0] *= 0.1  # very unlike: a norm over the batch would show
    views = method.render(batch)
    alone = {
        "target": method.generator(x),
        "source": method.inverse_generator(y),
        "same_target": method.generator(y),
        "same_source": method.inverse_generator(x),
    }
    assert views.keys() == alone.keys()
    for name, picture in alone.items():
        torch.testing.assert_close(views[name], picture, rtol=1e-4, atol=1e-5, msg=name)


def test_no_pass_is_made_for_a_weight_of_nothing() -> None:
    method = cyclegan()
    batch = batch_for(method)
    count = len(batch["photo"])
    with counted(*method.generators()) as images:
        method.render(batch)
    assert images == [2 * count, 2 * count]
    method.weights["identity"] = lambda iteration: 1.0 - iteration  # 0 at iteration 1
    method.iteration = 1
    with counted(*method.generators()) as images:
        views = method.render(batch)
    assert images == [count, count]
    assert views.keys() == {"target", "source"}


def test_the_identity_is_the_same_number_when_its_weight_is_nothing() -> None:
    method = cyclegan()
    batch = batch_for(method)
    wanted = method.generator_terms(batch, method.render(batch))["identity"]()
    method.weights["identity"] = lambda _iteration: 0.0
    value = method.generator_terms(batch, method.render(batch))["identity"]()
    assert value.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_each_discriminator_judges_real_and_fake_in_one_pass() -> None:
    method = cyclegan()
    batch = batch_for(method)
    views = {name: view.detach() for name, view in method.render(batch).items()}
    with counted(*method.discriminators()) as images:
        for term in method.discriminator_terms(batch, views).values():
            term()
    assert images == [2 * len(batch["photo"])] * 2


def test_the_identitys_pull_on_the_picture_is_measured() -> None:
    method = cyclegan()
    assert term_gradients(method, batch_for(method))["identity"] > 0
