"""The comparison of adapted networks with single ones: what it trains, when it goes on, what it prints."""

import argparse
import json
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import adapter_styles as benchmark
from resumable import settle

from toonlab.app.cli import CONF, register_resolvers


@pytest.fixture
def options(tmp_path) -> argparse.Namespace:
    return argparse.Namespace(
        data=tmp_path / "data", output=tmp_path / "out", styles=["ink", "oil"], kinds=["parallel", "norm"],
        iterations=10, size=64, eval_size=64, batch=2, width=8, blocks=1, seed=3, overrides=["log_every=5"],
        fewer=True, start=None, rows=None,
    )  # fmt: skip


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, list[str]]]:
    made: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(benchmark, "call", lambda script, arguments: made.append((script, list(arguments))))
    return made


def test_the_sum_of_updates_is_equal_and_so_is_what_each_style_sees(options) -> None:
    updates: dict[str, list[int]] = {}
    for model in benchmark.models(options):
        updates.setdefault(model.row, []).append(model.iterations)
    assert updates == {"single": [10, 10], "parallel": [20], "norm": [20], "parallel, fewer": [10]}


def test_from_trained_weights_there_are_the_start_and_styles_added_to_it(options, tmp_path, calls) -> None:
    options.start = tmp_path / "start.ckpt"
    found = benchmark.models(options)
    rows = {model.row: 0 for model in found}
    for model in found:
        rows[model.row] += model.iterations
    added = {"parallel, added": 20, "norm, added": 20}
    assert rows == {"start": 0, "single": 20, "parallel": 20, "norm": 20, "parallel, fewer": 10, **added}
    for model in found:
        benchmark.train(model, options)
    assert len(calls) == len(found) - 2  # the start is there already
    for _, arguments in calls:
        assert f"ckpt={options.start}" in arguments
        assert not any("generator" in each for each in arguments)  # which are the checkpoint's
    options.rows = ["single"]
    assert {model.row for model in benchmark.models(options)} == {"single"}


def test_every_command_names_settings_that_there_are(options, calls) -> None:
    register_resolvers()
    for model in benchmark.models(options):
        benchmark.train(model, options)
    assert len(calls) == 5
    sizes = set()
    for script, arguments in calls:
        assert script == "train.py"
        overrides = [each for each in arguments if not each.startswith("hydra.")]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("train", overrides)  # refuses a name that it does not know
        painter = cfg.method.generator.get("trunk", cfg.method.generator)
        judge = cfg.method.discriminator.get("trunk", cfg.method.discriminator)
        sizes.add((painter.width, painter.blocks, judge.width, cfg.data.size, cfg.data.batch_size, cfg.seed))
        assert cfg.log_every == 5
    assert sizes == {(8, 1, 4, 64, 2, 3)}


def test_scores_are_of_all_that_was_held_out(options, calls) -> None:
    register_resolvers()
    for model in benchmark.models(options)[1:3]:
        with pytest.raises(FileNotFoundError):  # nothing was run
            benchmark.evaluate(model, options)
    photos, oil = f"{options.data}/photos/val", f"{options.data}/oil/val"
    both = {"ink": f"{options.data}/ink/val", "oil": oil}
    for (script, arguments), key, cartoons in zip(calls, ("cartoons", "domains"), (oil, both), strict=True):
        assert script == "eval.py"
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("eval", arguments)
        assert (cfg.data.photos, cfg.data[key], cfg.data.size) == (photos, cartoons, 64)


def test_scores_are_not_made_twice(options, calls) -> None:
    model = benchmark.models(options)[2]
    for style in model.styles:
        (model.folder / "scores" / style).mkdir(parents=True)
        (model.folder / "scores" / style / "report.json").write_text(f'"{style}"')
    assert benchmark.evaluate(model, options) == {"ink": "ink", "oil": "oil"}
    assert calls == []


def test_a_finished_run_is_not_repeated_and_a_broken_one_goes_on(options, calls) -> None:
    model = benchmark.models(options)[0]
    (model.folder / "checkpoints").mkdir(parents=True)
    benchmark.train(model, options)  # interrupted before its first checkpoint: anew, the rest is put aside
    assert "method=cartoongan" in calls.pop()[1]
    assert not model.folder.exists()
    assert len(list(options.output.glob("single_ink_broken_off_*"))) == 1

    (model.folder / "checkpoints").mkdir(parents=True)
    (model.folder / "checkpoints/last.ckpt").touch()
    benchmark.train(model, options)
    assert calls.pop() == ("train.py", [f"resume={model.folder}"])

    (model.folder / "result.json").write_text('{"status": "interrupted"}')
    benchmark.train(model, options)
    assert calls.pop() == ("train.py", [f"resume={model.folder}"])

    (model.folder / "result.json").write_text('{"status": "finished"}')
    benchmark.train(model, options)
    assert calls == []


def test_the_table_holds_scores_references_and_parameters(options, calls) -> None:
    found = benchmark.models(options)
    scores = {}
    for i, model in enumerate(found):
        model.folder.mkdir(parents=True)
        whole = {"generator_parameters": 1000 if len(model.styles) == 1 else 1200}
        if len(model.styles) > 1:
            whole["domains"] = {style: {"parameters": 100} for style in model.styles}
            whole["trunk_parameters"] = 1000
        (model.folder / "result.json").write_text(json.dumps(whole))
        score = {"real_vs_real": 0.0, "source_as_is": 0.5, "n": 7}
        scores[model.folder] = {
            style: {
                "scores": {
                    "kid_x": {**score, "value": i + j / 10},
                    "kid_std_x": {**score, "value": 0.25},
                    "edge_f1": score,
                }
            }
            for j, style in enumerate(model.styles)
        }
    text = benchmark.table(found, scores, options.styles)
    lines = text.splitlines()
    assert (
        "| | updates | ink (n = 7) | oil (n = 7) | mean | a style's own parameters | all generators |"
        in lines
    )
    assert "| cartoons against cartoons |  | 0 | 0 | 0 |  |  |" in lines
    assert "| photo as it is |  | 0.5 | 0.5 | 0.5 |  |  |" in lines
    assert "| single | 10 + 10 | 0 ± 0.25 | 1 ± 0.25 | 0.5 | 1,000 (100.00%) | 2,000 (2.00 x) |" in lines
    assert "| parallel | 20 | 2 ± 0.25 | 2.1 ± 0.25 | 2.05 | 100 (10.00%) | 1,200 (1.20 x) |" in lines
    assert "kid_std" not in text
    assert "edge" not in text


def test_a_folder_of_other_settings_is_refused(tmp_path) -> None:
    settle(tmp_path / "a", {"width": 8})
    settle(tmp_path / "a", {"width": 8})
    with pytest.raises(SystemExit, match=r"other settings.*--output"):
        settle(tmp_path / "a", {"width": 9})
