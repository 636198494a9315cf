"""What README tells a user to type exists and is understood."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = sorted({line for line in LINES if line.startswith("python src/")})
# Groups and keys named in the text and the tables.
MENTIONS = sorted(
    set(re.findall(r"`((?:method|experiment|features|metrics|debug|trainer|logger)=\w+)`", README))
)


def test_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 6
    assert len(MENTIONS) >= 12
    assert README.index("make demo") < README.index("make test") < README.index("## ")


def composes(*arguments: str) -> None:
    script, *rest = arguments
    result = subprocess.run(
        [sys.executable, script, *rest, "--cfg", "job"], cwd=PROJECT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command: str) -> None:
    _, script, *arguments = shlex.split(command)
    # A resume needs a real run; tests/app/test_resume.py has some. Of a sweep, the first job.
    sweep = "-m" in arguments
    arguments = [a.split(",")[0] if sweep else a for a in arguments if a != "-m"]
    composes(script, *[a for a in arguments if not a.startswith("resume=")])


def test_every_option_mentioned_exists() -> None:
    for mention in MENTIONS:
        group, _, option = mention.partition("=")
        assert (PROJECT / "conf" / group / f"{option}.yaml").is_file(), mention


def test_every_make_target_and_file_mentioned_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for target in set(re.findall(r"^make (\w+)", README, re.MULTILINE)):
        assert f"\n{target}:" in makefile, target
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (PROJECT / link).exists(), link


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (PROJECT / ".ci" / "run").read_text()
