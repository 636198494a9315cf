"""Extractors: what they feed the network, what they refuse, and that nobody saves them."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch import nn

from inception import random_inception
from metrics.metric_tiny import TinyNetwork, pictures, tiny_features
from toonlab import images as ranges
from toonlab.errors import UsageError
from toonlab.metrics import features as module
from toonlab.metrics.features import InceptionFeatures, MetricFeatures, prepare, weights_sha256


def test_features_are_the_average_over_positions() -> None:
    network = TinyNetwork()
    found = tiny_features(network)(pictures(2, 1))
    maps = network.eval()(prepare(pictures(2, 1), 32))["high"]
    assert found.shape == (2, 8)
    assert torch.allclose(found, maps.sum(dim=(2, 3)) / 64, atol=1e-6)


def test_scores_are_those_of_saved_files(tmp_path: Path) -> None:
    image = pictures(1, 1, size=50) * 1.3  # beyond [-1, 1] here and there, as an unbounded generator's
    ranges.save(ranges.to_picture(image[0]), tmp_path / "image.png")
    saved = ranges.to_tensor(ranges.decode(tmp_path / "image.png").rgb)[None]
    extract = tiny_features()
    assert not torch.equal(saved, image)
    assert torch.equal(extract(saved), extract(image))


def test_images_are_resized_with_antialias() -> None:
    # White stripes on black, one column in four: a quarter white. Plain bilinear reads columns 1 and 2 only.
    stripes = torch.full((1, 3, 128, 128), -1.0)
    stripes[..., ::4] = 1
    small = prepare(stripes, 32)
    assert small.shape == (1, 3, 32, 32)
    assert torch.allclose(small[..., 1:-1], torch.tensor(-0.5), atol=1e-5)


def test_the_trainers_precision_does_not_matter() -> None:
    extract, images = tiny_features(), pictures(2, 1)
    plain = extract(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extract(images), plain)
    assert torch.equal(extract(images.bfloat16().float()), extract(images.bfloat16()))


def test_features_are_of_an_eval_network_and_without_graph() -> None:
    extract, images = tiny_features(TinyNetwork().train()), pictures(2, 1).requires_grad_()
    assert torch.equal(extract(images), extract(images))  # no dropout
    assert not extract(images).requires_grad


def test_whoever_holds_an_extractor_does_not_save_it() -> None:
    owner = nn.Module()
    owner.features = tiny_features()  # type: ignore[assignment]
    assert not owner.state_dict()
    assert not list(owner.parameters())


def test_an_unknown_tap_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"metrics\.features\.tap: .* 'hihg' \(did you mean 'high'\?\)"):
        MetricFeatures(network=TinyNetwork(), tap="hihg", input_size=32, name="tiny")


def test_protocol_tells_weights_apart_but_not_their_names() -> None:
    first, other = TinyNetwork(), TinyNetwork()
    renamed = nn.ModuleDict({"b": other.high, "a": other.low})
    assert weights_sha256(first) == weights_sha256(renamed)
    with torch.no_grad():
        other.low.bias[0] += 1e-6
    assert weights_sha256(first) != weights_sha256(other)
    protocol = json.loads(json.dumps(tiny_features(first).protocol))
    assert protocol["weights_sha256"] == weights_sha256(first)
    assert "antialias to 32x32" in protocol["input"]


# Inception ----------------------------------------------------------------------


def assert_one_line(error: UsageError) -> None:
    assert "\n" not in str(error)
    assert "metrics=lite" in str(error)


def test_missing_inception_weights_name_file_source_and_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch_fidelity")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UsageError) as caught:
        InceptionFeatures()
    assert_one_line(caught.value)
    assert f"{tmp_path}/checkpoints/weights-inception-2015-12-05-6726825d.pth" in str(caught.value)
    assert module.INCEPTION_URL in str(caught.value)


def test_missing_inception_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(module, "version", missing)
    with pytest.raises(UsageError, match="pip install torch-fidelity") as caught:
        InceptionFeatures()
    assert_one_line(caught.value)


def test_other_weights_may_not_be_called_fid(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    (tmp_path / "other.pth").write_bytes(b"not Inception")
    with pytest.raises(UsageError, match=r"other\.pth is another file") as caught:
        InceptionFeatures(weights=str(tmp_path / "other.pth"))
    assert_one_line(caught.value)


def test_inception_reads_8_bit_images_at_299(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    random = random_inception(path, monkeypatch)
    extract = InceptionFeatures(weights=str(path))
    images = pictures(1, 1, size=40)
    # torch-fidelity's own forward resizes as TensorFlow 1 does.
    expected = random(ranges.to_uint8(images))[0]
    assert torch.allclose(extract(images), expected, atol=1e-4 * expected.abs().max().item())
    assert extract(images).shape == (1, 2048)
    json.dumps(extract.protocol)
