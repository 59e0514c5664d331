"""`repro regress --against REV` on a small repository whose worker makes its seconds up: verdicts and bad input."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from repro.regression.verdict import MARGIN
from tests.conftest import CallRepro
from tests.files import git
from tests.running import cases

PROJECT = '[project]\nname = "toy"\nversion = "1"\ndependencies = []\n'
WORKER = """
import json, pathlib, random, sys
speed = json.loads(pathlib.Path("speed.json").read_text())
launches = pathlib.Path("build", "launches")  # so far, of this side: others each time, and the same in each session
launches.parent.mkdir(exist_ok=True)
with launches.open("a") as file:
    file.write(".")
noise = random.Random(f"{pathlib.Path('.git').is_dir()} {launches.stat().st_size}")
print(json.dumps({"protocol": 1, "benchmarks": list(speed)}), flush=True)  # as older workers do
for line in sys.stdin:
    request = json.loads(line)
    if "start" in request:
        seconds, rows, number = speed[request["start"]], speed.get("rows", 0), 0
        if seconds == "crash":
            sys.exit("the model does not load")
    if request.get("round"):
        number += 1
        time = seconds * (1 + number / 10) * noise.lognormvariate(0, 0.01)
        answer = {"seconds": time, "facts": {"rows": number + rows}, "peak_mib": 1}
    else:
        answer = {"done": True}
    print(json.dumps(answer), flush=True)
"""


class Toy:
    """A git repository whose commits differ in the speed of its benchmarks, and `repro regress` called in it."""

    def __init__(self, folder: Path, regress: CallRepro) -> None:
        self.folder, self.regress = folder, regress
        (folder / "benchmarks").mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / ".gitignore").write_text("build/\n")
        (folder / "pyproject.toml").write_text(PROJECT)

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)

    def write(self, speed: object, worker: str = WORKER) -> None:
        (self.folder / "benchmarks" / "worker.py").write_text(worker)
        (self.folder / "speed.json").write_text(json.dumps(speed))

    def commit(self, *speeds: object, worker: str = WORKER) -> None:
        """Commit each speed; nothing is there to measure in one that is None."""
        for speed in speeds:
            if speed is not None:
                self.write(speed, worker)
            self.git("add", "--all")
            self.git("commit", "--quiet", "--allow-empty", "--message", "change")

    @property
    def leftovers(self) -> list[str]:
        worktrees = self.git("worktree", "list").splitlines()[1:]
        return [*worktrees, *(str(path) for path in self.folder.glob("build/regress-*"))]


@pytest.fixture
def toy(regress: CallRepro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path / "toy", regress)
    monkeypatch.chdir(made.folder)
    return made


STEP = {"step": 1.0}
CASES = cases("regression/sessions.csv")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_a_change_beside_its_first_parent(case: dict[str, str], toy: Toy) -> None:
    toy.commit(*(json.loads(case[side]) for side in ("before", "after")))
    code, out, err = toy.regress("--quick", *case["options"].split())
    assert code == int(case["code"]), out + err
    assert case["said"] in out + err
    assert not (code in {2, 6} and out)
    assert toy.leftovers == []


def test_what_is_accused_is_measured_again_and_all_rounds_are_written(toy: Toy) -> None:
    toy.commit({"step": 1.0, "predict": 0.1}, {"step": 1.2, "predict": 0.1})
    code, out, err = toy.regress("--rounds", "rounds.json")
    assert code == 1
    assert "6 launches a side, 6 rounds each; 2 benchmarks" in out and "false alarms over all at most 5%" in out
    assert "accused, measured again: step" in err
    assert re.search(r"measured twice: × 1\.(1[89]|2[012])", out), out
    rounds = json.loads(Path("rounds.json").read_text())
    assert [len(rounds[part]["step"]) for part in ("first", "again")] == [6, 6]
    assert len(rounds["first"]["step"][0]) == 6
    assert "predict" not in rounds["again"]
    assert rounds["margin"] == MARGIN == 0.05


def test_uncommitted_changes_are_measured_and_named(toy: Toy) -> None:
    toy.commit(STEP)
    assert "HEAD has no parent" in toy.regress()[2]
    toy.write({"step": 1.3})
    code, out, _ = toy.regress("--against", "HEAD", "--quick")
    assert (code, "with uncommitted changes" in out) == (1, True)


def test_junit_summary_and_json_name_the_failure_first(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.commit({"aaa": 1.0, "step": 1.0}, {"aaa": 1.0, "step": 1.3})
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    code, out, _ = toy.regress("--quick", "--json", "--junit", "junit.xml")
    assert code == 1
    assert {c["name"]: c["answer"] for c in json.loads(out)["comparisons"]} == {"aaa": "holds", "step": "regression"}
    summary = Path("summary.md").read_text()
    assert summary.index("step") < summary.index("<details><summary>1 hold") < summary.index("aaa")
    assert 'failures="1"' in Path("junit.xml").read_text()


def test_a_machine_without_git_exits_2(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, _, err = toy.regress("--against", "HEAD")
    assert (code, "git is not installed" in err) == (2, True)


def test_a_shallow_clone_without_a_parent_says_how_to_fetch_it(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.commit(STEP, STEP)
    toy.git("clone", "--quiet", "--depth=1", toy.folder.as_uri(), "../shallow")
    monkeypatch.chdir(toy.folder.parent / "shallow")
    code, _, err = toy.regress()
    assert code == 2
    assert "shallow" in err and "fetch-depth: 0" in err


def test_a_baseline_that_does_not_install_exits_6_and_leaves_nothing(toy: Toy) -> None:
    project = toy.folder / "pyproject.toml"
    project.write_text(PROJECT.replace("[]", '["toy-that-cannot-be @ file:///nowhere"]'))
    toy.commit(STEP)
    project.write_text(PROJECT)
    toy.commit(STEP)
    code, _, err = toy.regress("--quick")
    assert (code, "does not install" in err) == (6, True)
    assert toy.leftovers == []


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The line of a lock for a library that pip can get from a folder alone."""
    about = {"METADATA": "Metadata-Version: 2.1\nName: toylib\nVersion: 1\n", "RECORD": ""}
    about["WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    wheel = tmp_path / "toylib-1-py3-none-any.whl"
    with ZipFile(wheel, "w") as file:
        file.writestr("toylib.py", "")
        for name, text in about.items():
            file.writestr(f"toylib-1.dist-info/{name}", text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return f"toylib==1 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.mark.parametrize(("tampered", "code", "said"), [(False, 0, "1 hold"), (True, 6, "does not install")])
def test_a_baseline_of_other_dependencies_is_installed_from_its_own_lock(
    toy: Toy, library: str, tampered: bool, code: int, said: str
) -> None:
    project, locks = toy.folder / "pyproject.toml", toy.folder / "locks"
    project.write_text(PROJECT.replace("[]", '["toylib"]'))
    locks.mkdir()
    for name in ("torch", "torch-cpu"):
        (locks / f"{name}.txt").write_text("--only-binary :all:\n")
    (locks / "base.txt").write_text(library.replace("sha256:", "sha256:0")[:-2] + "\n" if tampered else library)
    (locks / "train.txt").write_text("-r base.txt\n")
    toy.commit(STEP, worker=f"import toylib\n{WORKER}")
    project.write_text(PROJECT)
    toy.commit(STEP)
    answer, out, err = toy.regress("--quick")
    assert (answer, said in out + err) == (code, True), out + err
    assert toy.leftovers == []


def test_a_terminated_session_leaves_no_worktree(toy: Toy) -> None:
    toy.commit(STEP, worker=WORKER.replace("number += 1", "number += 1; import time; time.sleep(60)"))
    session = subprocess.Popen(
        [sys.executable, "-m", "repro", "regress", "--against", "HEAD"], cwd=toy.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert session.stderr is not None
    assert any("launch 1" in line for line in session.stderr)
    session.terminate()
    _, err = session.communicate(timeout=60)
    assert session.returncode == 143
    assert "Worktree and environment are removed" in err
    assert toy.leftovers == []


def test_a_disk_that_takes_nothing_is_one_line_and_leaves_nothing(toy: Toy) -> None:
    toy.commit(STEP)
    (toy.folder / "build").write_text("a file where the folder should be")
    code, out, err = toy.regress("--against", "HEAD")
    assert (code, out) == (2, "")
    assert "cannot write to" in err
    assert toy.git("worktree", "list").count("\n") == 0
