"""Which task a command line names, and what `--help` says of each."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.tasks import help_of, task_of
from toonlab.errors import UsageError

TASKS = sorted(path.stem.removeprefix("prepare_") for path in CONF.glob("prepare_*.yaml"))


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A task more than we ship, put there without editing anything."""
    shutil.copytree(CONF / "method", tmp_path / "conf" / "method")
    for path in CONF.glob("prepare*.yaml"):
        shutil.copy(path, tmp_path / "conf")
    text = """# Turn pictures.
# python src/prepare.py turn source=DIR
#
# By any angle.
defaults:
  - prepare
  - _self_

source: ???    # a folder

angle: 90      # degrees
hydra:
  run: {dir: elsewhere}
"""
    (tmp_path / "conf" / "prepare_turn.yaml").write_text(text)
    return tmp_path / "conf"


@pytest.mark.parametrize(
    ("line", "task", "rest"),
    [
        ("p turn source=a angle=5", "turn", "p source=a angle=5"),
        ("p flow photos=a", "draw", "p method=flow photos=a"),
        ("p flow_ink photos=a", "draw", "p method=flow_ink photos=a"),
        ("p method=flow photos=a", "draw", "p method=flow photos=a"),
        ("p mine hydra.searchpath=[file:///x]", "draw", "p method=mine hydra.searchpath=[file:///x]"),
    ],
)
def test_the_first_word_names_a_task_or_a_method(conf: Path, line: str, task: str, rest: str) -> None:
    assert task_of(line.split(), conf) == (task, rest.split())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("p trun source=a", r"trun: .*did you mean 'turn'\?\); there are .*turn, and to draw photos flow, "),
        ("p flwo photos=a", r"did you mean 'flow'\?"),
        ("p draw photos=a", r"draw: no such task"),
        ("p photos=a", r"the first word says what to do: .*turn, or, to draw photos, flow, "),
        ("p", r"the first word says what to do"),
    ],
)
def test_no_word_or_a_wrong_one_is_told_all_words(conf: Path, line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        task_of(line.split(), conf)


def test_help_lists_tasks_and_settings_with_their_comments(conf: Path) -> None:
    listed = help_of(["p", "--help"], conf)
    assert listed is not None
    assert re.search(r"turn +Turn pictures\.\n +python src/prepare.py turn source=DIR\n", listed)
    assert "flow_pencil" in listed
    told = help_of(["p", "turn", "--help"], conf)
    assert told == (
        "Turn pictures.\npython src/prepare.py turn source=DIR\n\nBy any angle.\n\n"
        "Settings (change with key=value):\n\nsource: ???    # a folder\n\nangle: 90      # degrees\n"
    )
    assert help_of(["p", "flow", "--help"], conf) is None  # Hydra composes the method's settings
    assert help_of(["p", "turn", "source=a"], conf) is None


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_a_module_a_config_and_a_line_of_help(task: str) -> None:
    assert find_spec(f"toonlab.app.prepare.{task}")
    what, example = (CONF / f"prepare_{task}.yaml").read_text().splitlines()[:2]
    assert re.match(r"# [A-Z].{20,}\.$", what)
    assert example.startswith("# python src/prepare.py ")
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        OmegaConf.to_container(compose(f"prepare_{task}"), resolve=True)


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_of_a_task_has_a_comment(task: str) -> None:
    lines = (CONF / f"prepare_{task}.yaml").read_text().splitlines()
    hidden = False
    for line in lines:
        if re.match(r"\w", line):
            hidden = line.startswith(("defaults:", "hydra:"))
        if not hidden and re.match(r"\s*\w+:", line) and not re.match(r"\s*\w+:$", line):
            assert "  # " in line, line
