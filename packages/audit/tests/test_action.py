"""The GitHub Action: its steps, run as a runner does, in a scratch folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import torchdropout_audit
from _sources import copy_sources
from torchdropout_audit.command import audit

yaml = pytest.importorskip("yaml")
if shutil.which("bash") is None:
    pytest.skip("needs bash", allow_module_level=True)

ROOT = Path(__file__).parents[3]
SOURCE = str(Path(torchdropout_audit.__file__).parents[1])
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
BAD = "from torch import nn\n\ndrop = nn.Dropout(1.5)\n"

# In place of Python: makes an environment whose pip writes down what it is given, and whose audit
# is that of these sources.
PYTHON = f"""#!/bin/bash
set -e
[ "$1 $2 $3" = "-I -m venv" ]
mkdir -p "$4/bin"
cat >"$4/bin/python" <<'END'
#!/bin/bash
if [ "$1 $2 $3" = "-I -m torchdropout_audit" ]; then
    PYTHONPATH='{SOURCE}' exec '{sys.executable}' "${{@:2}}"
fi
printf '%s\\n' "$@" >"$INSTALLED"
END
chmod +x "$4"/bin/*
"""


class Runner:
    """Runs the steps of the action with some inputs, in a scratch folder."""

    def __init__(self, tmp_path, action_path):
        self.folder = tmp_path / "work space"
        self.folder.mkdir()
        self.temporary = tmp_path / "runner temp"
        self.temporary.mkdir()
        self.installed = tmp_path / "installed"
        self.repository = "them/action"
        left_out = ("GITHUB_", "PIP_", "PYTHON")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        self.environment = kept | {
            "GITHUB_ACTION_PATH": str(action_path),
            "RUNNER_TEMP": str(self.temporary),
            "INSTALLED": str(self.installed),
            "TORCHDROPOUT_CACHE": str(tmp_path / "cache"),
        }

    def __call__(self, **inputs):
        """Returns the exit code and the output of the last step that ran."""
        assert inputs.keys() <= ACTION["inputs"].keys()
        values = {f"inputs.{k}": v["default"] for k, v in ACTION["inputs"].items()}
        values |= {f"inputs.{k}": v for k, v in inputs.items()}
        values["github.server_url"] = "https://example.org"
        values["github.action_repository || github.repository"] = self.repository
        outputs = self.temporary / "outputs"
        for step in ACTION["runs"]["steps"]:
            outputs.write_text("")
            assert step["shell"] == "bash"
            assert "${{" not in step["run"]  # an input there would be run as a program
            filled = {
                name: re.sub(r"\$\{\{ (.*?) \}\}", lambda match: values[match[1]], text)
                for name, text in step["env"].items()
            }
            script = self.temporary / "step.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-euo", "pipefail", script],
                env=self.environment | filled | {"GITHUB_OUTPUT": str(outputs)},
                cwd=self.folder, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                break
            for line in outputs.read_text().splitlines():
                name, _, value = line.partition("=")
                values[f"steps.{step['id']}.outputs.{name}"] = value
        return done.returncode, done.stdout + done.stderr

    def put(self, name, text=BAD):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def runner(tmp_path):
    made = Runner(tmp_path, "/the action")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "python3").write_text(PYTHON)
    (binaries / "python3").chmod(0o755)
    made.environment["PATH"] = f"{binaries}{os.pathsep}{made.environment['PATH']}"
    return made


def test_its_parts():
    assert set(ACTION["inputs"]) == {"paths", "args", "version"}
    assert ACTION["runs"]["using"] == "composite"
    for given in ACTION["inputs"].values():
        assert given["default"] == ""
        assert given["description"]
    options = set(re.findall(r"--[\w-]+", str(ACTION)))
    known = {option for parameter in audit.params for option in parameter.opts}
    assert options - {"--disable-pip-version-check"} <= known


def test_everything_is_audited_and_an_error_fails_the_job(runner):
    runner.put("a.py")
    runner.put("sub/b.py")
    code, said = runner()
    assert code == 1
    assert "::error file=a.py,line=3," in said
    assert "::error file=sub/b.py,line=3," in said
    runner.put("a.py", "x = 1\n")
    runner.put("sub/b.py", "x = 1\n")
    code, said = runner()
    assert code == 0
    assert "::notice title=torchdropout audit::no errors in 2 files" in said


def test_paths_one_on_each_line(runner):
    for name in ("a.py", "b c/d.py", "-e.py", "no.py"):
        runner.put(name)
    code, said = runner(paths="\n  b c\n-e.py\n")
    assert code == 1
    assert set(re.findall(r"file=(.*?),", said)) == {"b c/d.py", "-e.py"}
    code, said = runner(paths="$(touch ran); `touch ran`")
    assert code == 2
    assert not (runner.folder / "ran").exists()


@pytest.mark.integration
def test_options(runner):
    runner.put("a.py")
    code, said = runner(args=" --exit-zero\n --select  p-one ")
    assert (code, "no errors in 1 file" in said) == (0, True)
    code, said = runner(args="--format=sarif --output out.sarif")
    assert code == 1
    assert "TD122" in (runner.folder / "out.sarif").read_text()
    assert runner(args="--diff")[0] == 0
    code, said = runner(args="*.py; echo ran")
    assert code == 2
    assert "\nran" not in said


@pytest.mark.parametrize(
    ("version", "source"),
    [
        ("", "/the action/"),
        ("v1.2", "torchdropout-audit @ git+https://example.org/them/action@v1.2#subdirectory="),
    ],
)
def test_what_is_installed(runner, version, source):
    assert runner(version=version)[0] == 2  # there is nothing to audit
    assert runner.installed.read_text().splitlines() == [
        "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        f"{source}packages/audit",
    ]  # fmt: skip


def test_an_installation_that_fails_fails_the_job(runner):
    (runner.temporary / "torchdropout-audit").write_text("in the way")
    runner.put("a.py", "x = 1\n")
    code, _ = runner()
    assert code not in (0, 2)


def test_the_page_shows_how(runner):
    [shown] = (
        text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S) if "uses: OWNER/" in text
    )
    [_, step] = yaml.safe_load(shown)
    assert step["uses"] == "OWNER/torchdropout@REVISION"
    runner.put("src/new.py")
    runner.put("tests/new.py")
    runner.put("docs/new.py")
    code, said = runner(**step["with"])
    assert code == 1
    assert re.findall(r"file=(.*?),", said) == ["src/new.py", "tests/new.py"]


def repository(folder, branch):
    """Makes a folder a repository with one commit."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgSign=false"]
    for command in (["init", "-q", "-b", branch], ["add", "."], [*who, "commit", "-qm", "m"]):
        subprocess.run(["git", "-C", folder, *command], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["", "release"])
def test_it_installs_the_audit_and_no_torch(tmp_path, version):
    clone = tmp_path / "server" / "them" / "action"
    copy_sources(clone)
    runner = Runner(tmp_path, clone)
    if version:
        repository(clone, version)
        runner.environment |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{clone.parents[1].as_uri()}/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://example.org/",
        }
    runner.put("a.py")
    runner.environment["PYTHONPATH"] = "src"
    text = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    for name in (
        "venv",
        "pip",
        "runpy",
        "click",
        "torchdropout_audit",
        "src/sitecustomize",
        "src/rich",
    ):
        runner.put(f"{name}.py", text)
    code, said = runner(version=version)
    assert code == 1, said
    assert not (tmp_path / "ran").exists()
    assert "::error file=a.py,line=3," in said
    packages = {p.name for p in runner.temporary.glob("torchdropout-audit/lib/*/site-packages/*")}
    assert "torchdropout_audit" in packages
    assert not {"torch", "numpy"} & packages
