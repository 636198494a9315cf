"""Hydra's words as a search understands them, and the searches in conf/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from hydra_plugins.toonlab_search.sweeper import _made
from shipped import DISTINCT, LEARNING
from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.space import space_of
from toonlab.app.sweeps import check_sweep, methods_of, varied
from toonlab.errors import UsageError
from toonlab.search.space import Space

LOADER = ConfigLoaderImpl(create_config_search_path(str(CONF)))
SEARCHES = sorted(path.stem for path in (CONF / "search").glob("*.yaml"))


def space(*words: str, **params: Any) -> Space:
    return space_of(params, words, LOADER)


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("x=interval(0,2)", FloatDistribution(0, 2)),
        ("x=tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
        ("x=int(interval(1,8))", IntDistribution(1, 8)),
        ("x=tag(log,int(interval(1,128)))", IntDistribution(1, 128, log=True)),
        ("x=range(1,9)", IntDistribution(1, 8)),
        ("x=range(1,10,3)", IntDistribution(1, 7, step=3)),
        ("x=range(0.0,1.0,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("x=1,2.5,a", CategoricalDistribution(["1", "2.5", "a"])),
        ("x=true,null", CategoricalDistribution(["True", "null"])),
        ("x=[1,2],[3]", CategoricalDistribution(["[1,2]", "[3]"])),
        ("x='a,b','c d'", CategoricalDistribution(["'a,b'", "'c d'"])),
        ("method=glob(flow_*)", CategoricalDistribution(["flow_ink", "flow_pencil", "flow_soft"])),
    ],
)
def test_a_word_is_a_distribution(word: str, distribution: Any) -> None:
    found = space(word)
    assert found.distributions == {word.partition("=")[0]: distribution}


def test_what_is_typed_has_the_last_word_and_what_stands_stays() -> None:
    found = space("++method.x=interval(0,1)", "seed=3", y="interval(0,5)", z="1,2", seed="interval(0,9)")
    assert list(found.fixed) == ["seed=3"]
    assert list(found.distributions) == ["y", "z", "method.x"]
    words = found.words({"y": 0.1 + 0.2, "z": "2", "method.x": 1e-7})
    assert words == ["seed=3", "y=0.30000000000000004", "z=2", "++method.x=1e-07"]
    assert found.shown({"y": 0.1 + 0.2, "z": "2", "method.x": 1e-7}) == ["y=0.3", "z=2", "method.x=1e-07"]
    assert found.combinations() is None


def test_a_grid_is_counted_and_listed() -> None:
    found = space("a=1,2", "b=range(0.0,0.3,0.1)", "c=range(1,4)")
    assert found.combinations() == 2 * 3 * 3 == len(list(found.grid()))
    assert next(iter(found.grid())) == found.corner() == {"a": "1", "b": 0.0, "c": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=1"], r"nothing to search for; vary a value: KEY=interval\(a,b\)"),
        (["x=interval(2,1)"], r"x=interval\(2,1\): no values to choose from"),
        (["x=tag(log,interval(0,1))"], "no values to choose from"),
        (["x=range(3,3)"], "no values to choose from"),
        (["x=tag(log,range(1,9))"], r"equal steps; for a logarithm tag\(log,interval\(a,b\)\)"),
    ],
)
def test_a_range_without_values_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        space(*words)


def test_the_old_plugins_form_is_refused() -> None:
    with pytest.raises(UsageError, match=r"hydra\.sweeper\.params\.x: write interval"):
        space(x={"type": "float", "low": 0.0, "high": 1.0})


@pytest.mark.parametrize("name", SEARCHES)
def test_a_shipped_search_holds_its_methods_own_values(name: str) -> None:
    lines = (CONF / "search" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# methods: ")
    assert lines[2].startswith(("# How", "# Which"))
    methods = methods_of(name, [CONF], "search") or []
    assert methods
    assert set(methods) <= set(LEARNING)
    register_resolvers()
    argv = ["train.py", f"+search={name}", "-m"]
    found = space(**varied(argv, CONF))
    for method in set(methods) & set(DISTINCT):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("train", [f"method={method}", f"+search={name}"], return_hydra_config=True)
        assert cfg.hydra.sweeper._target_.endswith("OptunaSweeper")
        for key, each in found.distributions.items():
            assert isinstance(each, FloatDistribution)
            assert each.low < OmegaConf.select(cfg, key) < each.high, (method, key)


MADE = sorted(path.relative_to(CONF) for path in (CONF / "hydra" / "sweeper").glob("*/*.yaml"))


@pytest.mark.parametrize("path", MADE, ids=[f"{path.parent.name}-{path.stem}" for path in MADE])
def test_every_sampler_and_pruner_can_be_made(path: Path) -> None:
    kind, name = path.parent.name, path.stem
    register_resolvers()
    words = ["hydra/sweeper=optuna", f"hydra/sweeper/{kind}={name}", "iterations=500"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose("train", words, return_hydra_config=True).hydra.sweeper[kind]
    plain: Any = OmegaConf.to_container(node, resolve=True)
    made = _made(kind, node)
    assert isinstance(made, BaseSampler if kind == "sampler" else BasePruner)
    if name == "median":
        assert made._n_warmup_steps == 125  # type: ignore[union-attr]
    if name == "hyperband":
        assert made._max_resource == 500  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=f"hydra/sweeper/{kind}: optuna.* cannot be made .*surplus"):
        _made(kind, OmegaConf.create({**plain, "surplus": 1}))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "method=cartoongan +search=loss_weights -m",
            ["for method=whitebox or", "+search=content"],
        ),
        ("+search=learning_rate", ["+search=learning_rate: a search is several runs; add -m"]),
        ("hydra/sweeper=optuna", ["hydra/sweeper=optuna: a search is several runs; add -m"]),
        ("search=learning_rate -m", ["write +search=learning_rate -m"]),
        ("-m +search=learning_rate,loss_weights", ["one search a command"]),
    ],
)
def test_a_wrong_pair_is_refused_with_the_right_one(
    arguments: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOONLAB_SWEEP", raising=False)
    with pytest.raises(UsageError) as caught:
        check_sweep(["train.py", *arguments.split()], CONF)
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_sets_what_no_job_would_get_is_refused(tmp_path: Any) -> None:
    (tmp_path / "search").mkdir()
    own = tmp_path / "search" / "mine.yaml"
    own.write_text("# @package _global_\niterations: 5\nhydra: {}\n")
    argv = ["train.py", "-m", f"hydra.searchpath=[file://{tmp_path}]", "+search=mine"]
    with pytest.raises(UsageError, match=r"mine\.yaml: sets iterations, which no job would get"):
        check_sweep(argv, CONF)
    own.write_text("# @package _global_\nhydra: {}\n")
    check_sweep(argv, CONF)
