"""Inception with random weights, which pass for those of 2015; the real ones are a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from toonlab.digests import file_sha256
from toonlab.metrics import features


def random_inception(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write such weights and have them taken for the real ones; return the network, or skip the test."""
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(fidelity, "load_state_dict_from_url", lambda *args, **kwargs: {})
    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "load_state_dict", lambda self, state: None)
        network = fidelity.FeatureExtractorInceptionV3("random", ["2048"])
    torch.save(network.state_dict(), path)
    monkeypatch.setattr(features, "INCEPTION_SHA256", file_sha256(path))
    return network
