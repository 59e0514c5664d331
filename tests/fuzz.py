"""Whatever a file holds, its reader answers or refuses it: `python -m tests.fuzz --seconds 30`, or `--inputs N`.

Sound files are damaged at random, as bytes and as trees of JSON, and given to the readers. An input fails where a
reader raises anything but an error of the suite, takes over 5 seconds or 1 GiB, or lets a control character through
to the terminal; it is kept below build/fuzz and its reader, number and error are printed. `--seed` and `--first`
repeat it.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import signal
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from inspect import unwrap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from repro.errors import ReproError

ROOT = Path(__file__).parents[1]
SECONDS, BYTES = 5, 2**30
TOKENS = (
    "[", "]", "{", "}", '"', ",", ":", "null", "NaN", "1e999", "-0", "9" * 5000, "٣", "²", "\x00", "\x1b[31m", "\u202e",
    "[/bold]", "\\[", "=HYPERLINK(1)", "](http://a.example)", "<table>", "<td ", "</tr>", "<!--", " " * 500, "|" * 50,
    "\n", "\r", "TrainingArguments(", "learning_rate=", "**", "(" * 300, "0x", "'", "#", "---\n", "Epoch", "True",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1e308, "", "x" * 10_000, "\x1b[2J", "٣", [], {}, [[]], [None], {"a": {}}, "1,5", "99%",
)  # fmt: skip


def damaged_bytes(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return the content with one to four spans cut, repeated, flipped, or replaced, also by part of another file."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 8, 200)))
        part = rng.randrange(len(other) + 1)
        data[start:end] = rng.choice(
            (
                b"",
                bytes(data[start:end]) * rng.choice((2, 50)),
                bytes(byte ^ (1 << rng.randrange(8)) for byte in data[start:end]),
                rng.choice(TOKENS).encode(),
                other[part : part + rng.choice((1, 30, 1000))],
            )
        )
    return bytes(data[: rng.randrange(len(data))] if data and rng.random() < 0.05 else data)


def damaged_tree(content: bytes, rng: random.Random) -> bytes:
    """Return JSON with one to three of its nodes replaced by a value, by another node, or taken away."""
    tree = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        places = [
            (node, key) for node in _nodes(tree) for key in (node if isinstance(node, dict) else range(len(node)))
        ]
        if not places:
            break
        (node, key), (other, its_key) = rng.choice(places), rng.choice(places)
        if rng.random() < 0.2:
            del node[key]
        else:  # a copy: a node that holds itself is no JSON, and VALUES stay as they are
            node[key] = json.loads(json.dumps(rng.choice((*VALUES, other[its_key]))))
    return json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode()


def _nodes(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        yield tree
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from _nodes(child)


def diagnosed(path: Path) -> None:
    """Diagnose a file as the command does."""
    from repro.commands.diagnose import Course, Figures, diagnose

    unwrap(diagnose)(path, figures=Figures(), course=Course())


def repaired(path: Path) -> None:
    """Repair a notebook as the command does, and name what its cells read and write."""
    from repro.commands.audit import repair
    from repro.notebooks.reading import names_in, read_notebook

    output = path.with_name("repaired.ipynb")
    output.unlink(missing_ok=True)
    repair(path, output)
    for cell in read_notebook(output):
        names_in(cell.source)


def tour(path: Path) -> None:
    """Read the tour's letter out of a notebook."""
    from repro.assets.notebook import tour_texts

    tour_texts(path, rehearsal=False)


def record(path: Path) -> None:
    """Read a record, and judge the claims on it."""
    from repro.claims.catalogue import load_catalogue
    from repro.claims.judge import judge_all
    from repro.records.store import read_record

    read = read_record(path)
    for verdict in judge_all(load_catalogue("seminar"), [read], [read.experiment]):
        sys.stdout.write(f"{verdict.why}\n")


def benchmarks(path: Path) -> None:
    """Read pytest-benchmark's files."""
    from repro.benchfiles import read_benchmarks

    for benchmark in read_benchmarks(path.parent):
        repr(benchmark)


def catalogue(path: Path) -> None:
    """Read a catalogue's claims."""
    from repro.claims.catalogue import load_catalogue

    folder = ROOT / "repro" / "catalogues" / "minilm"
    for name in ("catalogue.toml", "claims.toml"):
        if not (path.parent / name).exists():
            (path.parent / name).symlink_to(folder / name)
    load_catalogue(str(path.parent))


def corpus(path: Path) -> None:
    """Read a corpus' folder."""
    from repro.assets.corpus import read_folder

    read_folder(path.parent)


Target = tuple[str, Callable[[Path], None], Callable[[], Sequence[bytes]]]  # the file's name, its reader, sound content


def _committed(pattern: str, most: int = 6) -> Callable[[], list[bytes]]:
    """Return the smallest committed files: what is damaged there is their shape, and small ones are read sooner."""
    return lambda: [p.read_bytes() for p in sorted(ROOT.glob(pattern), key=lambda path: path.stat().st_size)[:most]]


def _targets() -> list[Target]:
    claims, strangers = "repro/catalogues/minilm/", "tests/diagnosis/strangers/**/"
    notebooks, export = (
        _committed(strangers + "*.ipynb", 8),
        b"In [None]:\n\nimport os\n\nSome text.\n\nIn [None]:\n\nx = 1\n",
    )
    return [
        ("notebook.ipynb", diagnosed, notebooks),
        ("trainer_state.json", diagnosed, _committed(strangers + "*state*.json", 4)),
        ("README.md", diagnosed, _committed(strangers + "*.md", 6)),
        ("0001_run.json", diagnosed, _committed("results/runs/**/inference/*.json", 2)),
        ("notebook.ipynb", repaired, notebooks),
        ("notebook.txt", repaired, lambda: [export]),
        ("notebook.ipynb", tour, notebooks),
        ("record.json", record, _committed("results/runs/**/*.json", 40)),
        ("0001_benchmark.json", benchmarks, _committed("results/benchmarks/**/*.json", 3)),
        ("claims.toml", catalogue, _committed(claims + "claims.toml")),
        ("catalogue.toml", catalogue, _committed(claims + "catalogue.toml")),
        ("train.jsonl", corpus, lambda: [b'{"text": "i feel fine", "label": 1, "label_text": "joy"}\n' * 3]),
        ("train.txt", corpus, lambda: [b"i feel fine;joy\ni feel low;sadness\n"]),
    ]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where what is done takes longer."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"over {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def problem(read: Callable[[Path], None], path: Path) -> str | None:
    """Return what is wrong with a reader's answer to a file; None where it answers or refuses."""
    import typer

    answer = io.StringIO()
    try:
        with within(SECONDS), redirect_stdout(answer):
            read(path)
    except ReproError as error:
        answer.write(str(error) if error.exit_code != 70 else "\x1b")
    except typer.Exit:
        pass
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is a finding)
        return f"{type(error).__name__}: {str(error)[:200]}"
    control = {character for character in answer.getvalue() if unicodedata.category(character) in ("Cc", "Cs")} - {"\n"}
    return f"control characters {sorted(control)!r} reach the terminal" if control else None


def fuzz(*, inputs: int, seconds: float, seed: int, first: int = 0) -> list[str]:
    """Give the readers so many damaged files, or as many as the seconds allow; return a line a failure."""
    targets = [(name, read, list(seeds())) for name, read, seeds in _targets()]
    tried: Counter[str] = Counter()
    failures: list[str] = []
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        for number in range(first, first + inputs):
            if time.monotonic() - start > seconds:
                break
            rng = random.Random(f"{seed}-{number}")  # noqa: S311 (repeatable, no secret)
            place = rng.randrange(len(targets))
            name, read, seeds = targets[place]
            content, other = rng.choice(seeds), rng.choice(rng.choice(targets)[2])
            is_tree = name.endswith((".json", ".ipynb")) and rng.random() < 0.6
            path = Path(folder, str(place), name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(damaged_tree(content, rng) if is_tree else damaged_bytes(content, other, rng))
            tried[f"{read.__name__} {name}"] += 1
            if failure := problem(read, path):
                failures.append(f"{read.__name__} {name}, input {number}: {failure}")
                keep = ROOT / "build" / "fuzz" / f"{number}-{name}"
                keep.parent.mkdir(parents=True, exist_ok=True)
                keep.write_bytes(path.read_bytes())
    took = time.monotonic() - start
    sys.stdout.write("".join(f"{count:>9,} {what}\n" for what, count in sorted(tried.items())))
    sys.stdout.write(f"{tried.total():>9,} in all in {took:.0f} s, seed {seed}: {len(failures)} failed\n")
    return failures


def main() -> None:
    """Fuzz as the options say; exit 1 where an input failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=10**9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="Number of the first input: to repeat one.")
    given = parser.parse_args()
    with suppress(ValueError, OSError):  # a quarter beside what the interpreter and numpy take
        resource.setrlimit(resource.RLIMIT_DATA, (BYTES + BYTES // 4, resource.RLIM_INFINITY))
    failures = fuzz(inputs=given.inputs, seconds=given.seconds, seed=given.seed, first=given.first)
    sys.stdout.write("".join(f"{line}\n" for line in failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
