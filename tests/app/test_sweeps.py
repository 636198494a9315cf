"""`+sweep=NAME`: every job of every sweep is a run, and a sweep for other methods is refused before any."""

from itertools import cycle, islice
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from commands import Cli
from shipped import DISTINCT, LEARNING, SMALL, shrink
from toonlab.app import train
from toonlab.app.cli import CONF, with_forced_keys
from toonlab.app.sweeps import SWEEP, check_sweep, methods_of, varied
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError

SWEEPS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))


def jobs(*argv: str) -> list[list[str]]:
    """The jobs that Hydra's own sweeper makes of a command line."""
    given = [argument for argument in argv if not argument.startswith(("+sweep=", "-"))]
    params = [f"{key}={value}" for key, value in varied(["train.py", *argv], CONF).items()]
    (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(params + given), None)
    return [list(job) for job in batch]


def pairs() -> list[tuple[str, str, tuple[str, ...]]]:
    """Each job of a sweep with a method and each method of it with a job."""
    found = []
    for sweep in SWEEPS:
        its = jobs(f"+sweep={sweep}")
        methods = [method for method in methods_of(sweep, [CONF]) or [] if method in DISTINCT]
        if "method" in varied(["train.py", f"+sweep={sweep}"], CONF):
            found += [(sweep, "", tuple(job)) for job in its]
            continue
        number = max(len(its), len(methods))
        found += [
            (sweep, method, tuple(job))
            for method, job in islice(zip(cycle(methods), cycle(its), strict=False), number)
        ]
    return found


PAIRS = pairs()


@pytest.mark.parametrize(("sweep", "method", "job"), PAIRS, ids=["-".join([s, m, *j]) for s, m, j in PAIRS])
def test_every_job_is_a_run_with_the_values_it_is_for(composed, sweep: str, method: str, job) -> None:
    chosen = [f"method={method}"] if method else []
    cfg = composed(f"+sweep={sweep}", *chosen, *job)
    for key, _, value in (override.partition("=") for override in job):
        if key not in ("method", "preset"):
            assert OmegaConf.select(cfg, key) == pytest.approx(float(value))
        elif key == "preset":
            assert cfg.preset.name == value
    shrink(cfg.method, SMALL)
    built = train.make(cfg, "method")
    assert isinstance(built, ToonMethod)
    for key, _, value in (override.partition("=") for override in job):
        if key.startswith("method.weights."):
            assert built.weights[key.rpartition(".")[2]](0) == pytest.approx(float(value))


def test_every_sweep_is_among_the_pairs() -> None:
    assert {sweep for sweep, *_ in PAIRS} == set(SWEEPS)
    assert {m for s, m, _ in PAIRS if s == "seeds"} == set(DISTINCT)
    numbers = {sweep: len(jobs(f"+sweep={sweep}")) for sweep in SWEEPS}
    assert numbers == {
        "ablation": 4,
        "content_weight": 5,
        "cyclegan_ladder": 7,
        "learning_rate": 9,
        "loss_weights": 8,
        "seeds": 5,
    }


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_first_line_names_the_methods_and_the_next_says_what_one_learns(sweep: str) -> None:
    lines = (CONF / "sweep" / f"{sweep}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# methods: ")
    assert lines[2].startswith(("# How", "# What", "# Which"))
    assert set(methods_of(sweep, [CONF]) or []) <= set(LEARNING)


@pytest.mark.parametrize("sweep", ["loss_weights", "content_weight", "learning_rate"])
def test_a_methods_own_values_lie_in_its_grid(composed, sweep: str) -> None:
    for method in set(methods_of(sweep, [CONF]) or []) & set(DISTINCT):
        cfg = composed(f"method={method}")
        for key, values in varied(["train.py", f"+sweep={sweep}"], CONF).items():
            own, grid = OmegaConf.select(cfg, key), [float(value) for value in values.split(",")]
            if sweep == "learning_rate":
                assert min(grid) < own < max(grid), method
            else:
                assert own in grid, method


def test_ablation_takes_away_one_term_and_nothing_else(composed) -> None:
    plain = composed("method=anime_scene")
    for job in jobs("+sweep=ablation"):
        gone = job[0].removeprefix("preset=without_")
        cfg = composed("method=anime_scene", "+sweep=ablation", *job)
        for key in ("weights", "discriminator_weights"):
            expected = {name: 0.0 if name == gone else plain.method[key][name] for name in plain.method[key]}
            assert dict(cfg.method[key]) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("method=cartoongan +sweep=loss_weights -m", ["for method=whitebox or method=anime_scene, not for"]),
        ("method=cartoongan +sweep=loss_weights -m", ["not for method=cartoongan", "+sweep=content_weight"]),
        ("-m method=whitebox,cyclegan +sweep=loss_weights", ["not for method=cyclegan", "=cyclegan_ladder"]),
        ("-m method=choice(whitebox,gan_v1) +sweep=ablation", ["not for method=gan_v1"]),
        ("-m method=glob(anime*) +sweep=content_weight", ["not for method=anime_scene", "loss_weights"]),
        ("-m +sweep=content_weight", ["not for method=whitebox"]),  # train.yaml's own
        ("-m experiment=cartoongan_paper +sweep=ablation", ["not for method=cartoongan"]),
        ("-m experiment=demo,cyclegan_paper +sweep=ablation", ["not for method=cyclegan"]),
        ("-m +sweep=[seeds,content_weight] method=gan_v1", ["+sweep=content_weight is for"]),
        ("-m +sweep=cyclegan_ladder method=whitebox", ["for method=gan_v1 or", "not for method=whitebox"]),
        (
            "-m +sweep=seeds method=flow",
            ["for methods that learn, not for method=flow, which learns nothing"],
        ),
        ("-m +sweep=seeds,ablation", ["one sweep a command; '+sweep=[seeds,ablation]'"]),
        ("+sweep=seeds", ["+sweep=seeds: a sweep is several runs; add -m"]),
        ("sweep=seeds -m", ["write +sweep=seeds -m"]),
    ],
)
def test_a_wrong_pair_is_refused_with_the_right_one(arguments: str, words: list[str], monkeypatch) -> None:
    monkeypatch.delenv(SWEEP, raising=False)
    with pytest.raises(UsageError) as caught:
        check_sweep(["train.py", *arguments.split()], CONF)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        "method=whitebox +sweep=loss_weights -m",
        "-m method=whitebox,anime_scene +sweep=[loss_weights,seeds]",
        "--multirun method=glob(animegan*) +sweep=content_weight",
        "-m +sweep=cyclegan_ladder",
        "-m +sweep=cyclegan_ladder method=glob(cyclegan*)",
        "-m experiment=cartoongan_paper +sweep=content_weight",
        "-m experiment=cartoongan_paper method=whitebox +sweep=ablation",
        "+sweep=seeds --cfg job",
        "-m +sweep=nonsense",  # Hydra names the nearest
        "-m +sweep=ablation method=whitebx",
        "method=flow +method.x=[",
        "-m method=cartoongan,cyclegan",
    ],
)
def test_other_command_lines_pass(arguments: str) -> None:
    check_sweep(["train.py", *arguments.split()], CONF)


def test_a_sweeps_own_job_needs_no_m(monkeypatch) -> None:
    monkeypatch.setenv(SWEEP, "2026-11-22_x")
    check_sweep(["train.py", "+sweep=seeds", "seed=3"], CONF)


def test_a_sweep_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text("defaults: [whitebox]\n")
    (tmp_path / "sweep" / "widths.yaml").write_text("# @package _global_\n# methods: mine\n")
    (tmp_path / "sweep" / "free.yaml").write_text("# @package _global_\nhydra: {}\n")
    argv = ["train.py", "-m", f"hydra.searchpath=[file://{tmp_path}]"]
    check_sweep([*argv, "method=mine", "+sweep=widths"], CONF)
    check_sweep([*argv, "method=mine", "+sweep=seeds"], CONF)
    check_sweep([*argv, "method=whitebox", "+sweep=free"], CONF)
    with pytest.raises(UsageError, match="widths is for method=mine, not for method=whitebox"):
        check_sweep([*argv, "method=whitebox", "+sweep=widths"], CONF)
    with pytest.raises(UsageError, match=r"not for method=mine, which has .*\+sweep=widths"):
        check_sweep([*argv, "method=mine", "+sweep=ablation"], CONF)


def test_a_typed_value_takes_the_place_of_the_sweeps() -> None:
    typed = ["-m", "method=whitebox,anime_scene", "+sweep=loss_weights", "method.weights.texture=2"]
    forced = with_forced_keys(["train.py", *typed])[1:]
    assert forced == typed
    made = jobs(*forced)
    assert len(made) == 2 * 2 * 2
    assert len({tuple(job) for job in made}) == len(made)
    assert all("method.weights.texture=2" in job for job in made)


def test_a_key_that_the_default_method_lacks_reaches_the_ladders_jobs() -> None:
    typed = ["train.py", "-m", "+sweep=cyclegan_ladder", "method.discriminator.width=4", "data.size=32"]
    assert with_forced_keys(typed) == [*typed[:3], "++method.discriminator.width=4", typed[4]]


def test_no_job_of_a_wrong_pair_starts(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", "method=cartoongan", "+sweep=loss_weights", "-m")
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: +sweep=loss_weights is for")
    assert not (tmp_path / "outputs").exists()
