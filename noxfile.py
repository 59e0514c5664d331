"""What there is to run: `nox -l` lists it, `nox -s NAME -- OPTIONS` passes options on.

Every session installs from a lock of locks/: the versions of constraints.txt, each file by its hash. Those that need
torch share one environment, .nox/suite, which is made once and again only when pyproject.toml or its locks change;
REPRO_PYTHON names an interpreter to use as it is instead (a machine that brings its own GPU build of torch).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
BUILD = ROOT / "build"  # where what is measured goes unless --publish is among the options
SMOKE = BUILD / "smoke"
SMOKE_BASELINE = ROOT / "results" / "smoke-baseline"  # the smoke run of the last change that was meant to move it
LOCKS = ROOT / "locks"
NO_HUB = "-k=not tour and not published"  # whose checkpoints are the Hub's alone, gigabytes of them
shared = nox.session(venv_backend="none")


def suite_python(session: nox.Session) -> str:
    """Return the interpreter of the shared environment, which holds the suite and all that its sessions need."""
    if named := os.environ.get("REPRO_PYTHON"):
        return named
    folder = ROOT / ".nox" / "suite"
    files = (
        ROOT / "pyproject.toml",
        *(LOCKS / f"{lock}.txt" for lock in ("base", "train", "suite", "torch", "torch-cpu")),
    )
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    stamp = folder / "made-from"
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return interpreter(folder)
    session.log("making the environment that all sessions share; this takes minutes once")
    python = make_environment(session, folder, "--editable", ".")
    stamp.write_text(wanted.hexdigest())
    return python


def make_environment(session: nox.Session, folder: Path, *project: str) -> str:
    """Make an environment with the locked libraries and the project, and return its interpreter."""
    session.run(sys.executable, "-m", "venv", "--clear", str(folder), external=True)
    python = interpreter(folder)
    cpu_build = re.findall(r"^torch==(\S+)", (LOCKS / "torch-cpu.txt").read_text(), re.MULTILINE)[0]
    offered = str(session.run(python, "-m", "pip", "index", "versions", "torch", external=True, silent=True))
    install(session, "torch-cpu" if cpu_build in offered else "torch", python=python)
    install(session, "suite", *project, python=python)
    return python


def install(session: nox.Session, lock: str, *project: str, python: str = "python") -> None:
    """Install a lock, which holds all that its packages need, and then the project, built by the locked backend."""
    pip = python, "-m", "pip", "install", "--quiet", "--no-deps"
    hashed = "--require-hashes", "--requirement", str(LOCKS / f"{lock}.txt")
    session.run(*pip, *hashed, external=True)
    if project:
        session.run(*pip, "--no-build-isolation", *project, external=True)


def interpreter(environment: Path) -> str:
    """Return the interpreter of a virtual environment."""
    return str(environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


def run_suite(session: nox.Session, *arguments: str, success_codes: tuple[int, ...] = (0,), **options: Any) -> None:
    """Run `python -m ARGUMENTS` in the shared environment."""
    session.run(suite_python(session), "-m", *arguments, external=True, success_codes=list(success_codes), **options)


def results_folder(session: nox.Session, default: Path) -> tuple[str, list[str]]:
    """Return where a session writes, and its other options.

    That is results/ with `--publish` among the options, else what `--results` or REPRO_RESULTS names, else the
    default: a try changes nothing that is committed.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--results")
    parser.add_argument("--publish", action="store_true")
    named, others = parser.parse_known_args(session.posargs)
    if named.publish and named.results:
        session.error("--publish writes results/, --results another folder: give one of them")
    folder = RESULTS if named.publish else named.results or os.environ.get("REPRO_RESULTS") or default
    return str(folder), others


def measure(session: nox.Session, selected: str, folder: Path, *options: str) -> None:
    """Run benchmarks under pytest-benchmark, then judge and report; a claim that deviates fails nothing."""
    results, others = results_folder(session, folder)
    if session.interactive and "CI" not in os.environ:
        options = ("--capture=no", *options)  # so that the progress bars reach the terminal
    run_suite(
        session, "pytest", f"benchmarks/test_{selected}", "-q", f"--results={results}",
        f"--benchmark-storage=file://{results}/benchmarks", "--benchmark-autosave", "--benchmark-save-data",
        *options, *others,
    )  # fmt: skip
    run_suite(session, "repro", "verify", "--results", results, success_codes=(0, 1))
    run_suite(session, "repro", "report", "--results", results)
    session.log(f"read {results}/REPORT.md")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@shared
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly: the suite, its tests, benchmarks and this file."""
    run_suite(session, "mypy", *session.posargs)


@shared
def tests(session: nox.Session) -> None:
    """Run the tests, those named or all, these side by side: no Hub, no accelerator, no corpus."""
    side_by_side = () if session.posargs else ("--numprocesses=logical", "--maxprocesses=4", "--dist=loadfile")
    run_suite(session, "pytest", "tests", *side_by_side, *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def light(session: nox.Session) -> None:
    """Build the wheel, check it, install it alone, and type what people type where torch is not installed."""
    folder = BUILD / "light"
    shutil.rmtree(folder, ignore_errors=True)
    install(session, "wheel")
    session.run("python", "-m", "build", "--no-isolation", "--outdir", str(folder))
    session.run("twine", "check", "--strict", *map(str, folder.iterdir()))
    session.run(sys.executable, "-m", "venv", str(folder / "environment"), external=True)
    python = interpreter(folder / "environment")
    install(session, "base", str(next(folder.glob("*.whl"))), python=python)
    session.run(python, "-m", "pip", "check", external=True, silent=True)  # the lock holds what the wheel asks for
    without_torch = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is not None)"
    session.run(python, "-c", without_torch, external=True)
    # each command must give the answer that stands beside it; docs/answers.md is a copy of this page
    page = str(folder / "answers.md")
    session.run(python, str(ROOT / "tests" / "answers.py"), page, external=True, silent=True)


@shared
def fuzz(session: nox.Session) -> None:
    """Give randomly damaged files to every reader for half a minute; `-- --inputs 1000000` for the record."""
    run_suite(session, "tests.fuzz", *(session.posargs or ("--seconds", "30")))


@nox.session
def audit(session: nox.Session) -> None:
    """Compare every pinned version with PyPI's known vulnerabilities, and say so where they cannot be asked for."""
    install(session, "audit")
    output = ROOT / "build" / "audit.json"
    output.parent.mkdir(exist_ok=True)
    output.unlink(missing_ok=True)
    session.run(
        "pip-audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip", "--progress-spinner=off",
        "--format=json", f"--output={output}", *session.posargs, success_codes=[0, 1],
    )  # fmt: skip
    # 1 is also the code of a service that cannot be reached: then there is no file
    conclude_audit(session, *(read_audit(output) if output.exists() else (0, ["any"], [])))


def read_audit(report: Path) -> tuple[int, list[str], list[str]]:
    """Return how many packages pip-audit looked up, the names of those it could not, and a line a vulnerability."""
    packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    vulnerabilities = [
        f"{package['name']} {package['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'none'}"
        for package in packages
        for known in package.get("vulns", [])
    ]
    return len(packages) - len(unknown), unknown, vulnerabilities


def conclude_audit(session: nox.Session, audited: int, unknown: list[str], vulnerabilities: list[str]) -> None:
    """Say what an audit came to; a vulnerability fails it, and on main of the repository a package not looked up."""
    if vulnerabilities:
        session.error("\n".join([*vulnerabilities, "known vulnerabilities in pinned packages: raise their pins"]))
    session.log(f"{audited} pinned packages audited, no known vulnerability" if audited else "NOT AUDITED")
    if unknown:
        answer = f"no vulnerability data, not audited: {', '.join(unknown)}"
        if os.environ.get("GITHUB_REF") == "refs/heads/main":
            session.error(answer)
        session.log(answer)


@nox.session
def lock(session: nox.Session) -> None:
    """Make locks/ again where constraints.txt or pyproject.toml changed; it asks PyPI for the hashes."""
    install(session, "lock")
    session.run("python", "docs/lock.py")


@nox.session
def page(session: nox.Session) -> None:
    """Open report.html in a headless Chromium: reading, filters, themes, phone, print, keyboard, hostile text."""
    install(session, "page", ".")
    session.run("pytest", "tests/page", "--confcutdir=tests/page", *session.posargs, env={"PYTHONPATH": str(ROOT)})


@shared
def cpu_smoke(session: nox.Session) -> None:
    """Train all-MiniLM-L6-v2 on the rehearsal corpus; fails unless its figures match the suite's own runs."""
    options = "--recipe=minilm", "--corpus=rehearsal", "--device=cpu", "--precision=fp32", "--epochs=6"
    measure(session, "reproduction.py", SMOKE, *options, NO_HUB)
    results, _ = results_folder(session, SMOKE)
    run_suite(session, "repro", "verify", "--results", results, "--catalogue", "rehearsal")


@shared
def cpu_bench(session: nox.Session) -> None:
    """Run the main job on the CPU: `-- --corpus DIR --recipe minilm --seeds 0-2`, and `--publish` to write results/."""
    measure(session, "reproduction.py", BUILD / "cpu_bench", "--device=cpu")


@shared
def gpu_bench(session: nox.Session) -> None:
    """Run the seminar's own recipe on a CUDA GPU, five seeds, then time its steps; `-- --publish` writes results/."""
    if not shutil.which("nvidia-smi"):
        session.error(
            "no NVIDIA GPU was detected (nvidia-smi is missing). Run it on a machine with one, or: nox -s cpu_bench"
        )
    measure(session, "reproduction.py", BUILD / "gpu_bench", "--device=cuda", "--precision=auto", "--seeds=0-4")
    measure(session, "speed.py", BUILD / "gpu_bench", "--device=cuda", "-k=test_step or test_two_epochs")


@shared
def speed(session: nox.Session) -> None:
    """Time ours beside the Trainer and the notebook: `-- --corpus DIR --recipe minilm`, an hour."""
    measure(session, "speed.py", BUILD / "speed", "--device=cpu")


@shared
def faults(session: nox.Session) -> None:
    """Kill, damage and starve runs, resume them, and tally what was lost: under 15 minutes."""
    results, others = results_folder(session, BUILD / "faults")
    run_suite(session, "pytest", "tests/faults", "-q", f"--results={results}", *others)
    if results == str(RESULTS):
        run_suite(session, "repro", "report", "--results", results)


@shared
def processes(session: nox.Session) -> None:
    """Train on 1, 2 and 4 processes, kill one, resume, and compare."""
    run_suite(session, "pytest", "tests/training/test_processes.py", "-q", *session.posargs)


@shared
def regress(session: nox.Session) -> None:
    """Time this tree and a baseline in turns: `-- --against REV` (default: HEAD's first parent); under 5 minutes."""
    output = ROOT / "build" / "regress-report"
    files = "--rounds", f"{output}/rounds.json", "--junit", f"{output}/junit.xml"
    # in CI a parent that can't be compared (older than the gate, other rows) is said above and stops no change
    codes = (0, 6) if "CI" in os.environ and "--against" not in " ".join(session.posargs) else (0,)
    run_suite(session, "repro", "regress", *files, *session.posargs, success_codes=codes)


@shared
def smoke_gate(session: nox.Session) -> None:
    """Compare the smoke run's scores and rows with the committed baseline of the rehearsal corpus."""
    folders = str(SMOKE_BASELINE), str(SMOKE)
    run_suite(session, "repro", "regress", *folders, "--catalogue=rehearsal", "--junit", f"{SMOKE}/junit.xml")


@shared
def stacks(session: nox.Session) -> None:
    """Compare the pinned libraries with others: `-- --with transformers==5.0.0` (no ==: the newest); 15 minutes."""
    wanted = [value for name, value in pairwise(session.posargs) if name == "--with"]
    if not wanted:
        session.error("name what differs: nox -s stacks -- --with transformers==5.0.0")
    output = ROOT / "build" / "stacks"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    other = make_environment(session, ROOT / ".nox" / "stacks", ".")
    session.run(other, "-m", "pip", "install", "--quiet", "--upgrade", *wanted, external=True)  # and what these need
    for name, python in (("pinned", suite_python(session)), ("other", other)):
        session.run(
            python, "-m", "repro", "run", "api", "linear", "baselines", "finetune", "--recipe=minilm",
            "--corpus=rehearsal", "--device=cpu", "--precision=fp32", "--epochs=6", f"--results={output / name}",
            external=True, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    run_suite(
        session, "repro", "regress", "--against=HEAD", f"--python={other}", f"--rounds={output}/rounds.json",
        success_codes=(0, 1),
    )  # fmt: skip
    run_suite(session, "benchmarks.stacks", str(output), success_codes=(0, 1))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages of docs/ to build/site; a link that leads nowhere fails."""
    install(session, "docs")
    session.run("mkdocs", "build", "--quiet", *session.posargs)


@shared
def report(session: nox.Session) -> None:
    """Make results/ and the README's table again from the committed records."""
    results, _ = results_folder(session, Path("results"))
    run_suite(session, "repro", "report", "--results", results, "--readme", "README.md")
