"""A run cut before each of its calls on files: what the disk may hold then, and whether the run can be finished.

Only what was synced is sure to be there. So each cut leaves four folders: `killed` (the process alone: all is there),
`torn` (what was not synced of a file is its first half), `undone` (names and contents are as they were last synced)
and `removed` (as undone, but removals did reach the disk).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from repro.records.durable import digest_of
from repro.training.resume.state import NAME, STATES
from tests.faults.histories import Reference, losses, words_of
from tests.faults.launch import Place
from tests.faults.stepped import FOLDERS, LOG, Note, Stepped, notes_of, stopping
from tests.faults.trial import Case, Outcome

LEFT = ("killed", "torn", "undone", "removed")
Files = dict[Path, bytes | None]  # None: a folder


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Inodes by path, now; contents by inode, None for a folder's; and both as they were last synced, by inode."""

    paths: Mapping[Path, int]
    contents: Mapping[int, bytes | None]
    synced_names: Mapping[int, Mapping[str, int]]
    synced_contents: Mapping[int, bytes | None]

    @classmethod
    def read(cls, folder: Path, opened: dict[int, int], known: dict[tuple[int, int, int], bytes]) -> Disk:
        """Read it, all taken as synced; what is opened keeps its inode, so that no other file gets the same."""
        paths, contents = {Path(): folder.stat().st_ino}, dict[int, bytes | None]()
        for path in sorted(path for name in FOLDERS for path in (folder / name, *(folder / name).rglob("*"))):
            if path.exists():
                stat = path.stat()
                paths[path.relative_to(folder)] = inode = stat.st_ino
                version = (inode, stat.st_size, stat.st_mtime_ns)
                if not path.is_dir() and version not in known:
                    known[version] = path.read_bytes()
                contents[inode] = None if path.is_dir() else known[version]
                opened[inode] = opened.get(inode) or os.open(path, os.O_RDONLY)
        disk = cls(paths=paths, contents=contents, synced_names={}, synced_contents=contents)
        folders = ((path, inode) for path, inode in paths.items() if contents.get(inode) is None)
        return replace(disk, synced_names={inode: disk.names_in(path) for path, inode in folders})

    def names_in(self, folder: Path) -> dict[str, int]:
        return {path.name: inode for path, inode in self.paths.items() if path.parent == folder and path != folder}

    def after(self, earlier: Disk, note: Note) -> Disk:
        """Return this disk with what was synced earlier, and by the call that was noted."""
        folders = {inode: None for inode, content in self.contents.items() if content is None}
        names, contents = {**earlier.synced_names}, {**earlier.synced_contents, **folders}
        if note.what == "synced" and self.contents.get(note.number) is None:
            names[note.number] = self.names_in(Path(note.path))
        elif note.what == "synced":
            contents[note.number] = self.contents[note.number]
        return replace(self, synced_names=names, synced_contents=contents)

    def left(self, how: str) -> Files:
        """Return what is there after the cut."""
        if how in ("undone", "removed"):
            return dict(self._synced(Path(), self.paths[Path()], how == "removed"))
        files = {path: self.contents[inode] for path, inode in self.paths.items() if path != Path()}
        for path, content in list(files.items()):
            if how == "torn" and content is not None and self.synced_contents.get(self.paths[path]) != content:
                files[path] = content[: len(content) // 2]
        return files

    def _synced(self, folder: Path, inode: int, removed: bool) -> Iterator[tuple[Path, bytes | None]]:
        for name, inner in self.synced_names.get(inode, {}).items():
            if not (removed and inner not in self.contents):
                yield folder / name, self.synced_contents.get(inner, b"")
                yield from self._synced(folder / name, inner, removed)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What may be left where a run is cut before its `call`-th call, and what it had noted until then."""

    call: int
    how: str
    files: Files
    notes: list[Note]


def words_in(place: Place, recipe: str, again: bool) -> tuple[str, ...]:
    few = ("--save-every", "1", "--epochs", "1" if recipe == "minilm" else "2")
    return (*words_of(place, "finetune", recipe=recipe), *few, *["--again"] * again)


@cache
def cuts_of(recipe: str, again: bool) -> tuple[Reference, list[Cut]]:
    """Run to the end; return that run, and in an order of chance what each cut may leave, each folder once."""
    with TemporaryDirectory(prefix="cuts-") as folder:
        place, opened, known = Place(Path(folder)), dict[int, int](), dict[tuple[int, int, int], bytes]()
        cuts = dict[frozenset[tuple[Path, int]], Cut]()
        if again:
            assert place.run(*words_in(place, recipe, False), plant=stopping(place, stops=False)).code == 0
        run = Stepped(place, words_in(place, recipe, again), stopping(place))
        disk = Disk.read(place.folder, opened, known)
        while run.ended is None:
            run.go()
            notes = notes_of(place)
            disk = Disk.read(place.folder, opened, known).after(disk, notes[-1])
            for how in LEFT:
                files = disk.left(how)
                named = frozenset((path, hash(content)) for path, content in files.items())
                cuts[named] = Cut(call=run.calls, how=how, files=files, notes=notes)
        for descriptor in opened.values():
            os.close(descriptor)
        assert run.ended.code == 0, run.ended.err
        return Reference.of(place), Random(0).sample(list(cuts.values()), len(cuts))  # noqa: S311 (no secret)


def cut(case: Case, *, recipe: str = "tiny", again: bool = False) -> Outcome | None:
    """Write what a cut left and finish the run; None where there are fewer cuts."""
    reference, cuts = cuts_of(recipe, again)
    if case.number >= len(cuts):
        return None
    chosen, place, saved, most = cuts[case.number], case.place, 0, 3 if again else 1
    place.folder.mkdir(parents=True)
    for path, content in chosen.files.items():
        if content is None:
            (place.folder / path).mkdir()
        else:
            (place.folder / path).write_bytes(content)
    done = [note for note in chosen.notes if note.what in ("saved", "recorded", "completed")]
    (place.folder / LOG).write_text("".join(json.dumps(note) + "\n" for note in done), encoding="utf-8")
    wrong = [f"at the cut: {line}" for line in reference.differing(place, "results", most)]
    for note in done:
        saved = saved + 1 if note.what == "saved" else 0
    names = ((path, NAME.fullmatch(path.name)) for path in chosen.files)
    whole = [path for path, name in names if name and digest_of(place.folder / path) == name[2]]
    ended = place.run(*words_in(place, recipe, again), plant=stopping(place, stops=False))
    lost = list(losses(place, notes_of(place)))
    lost += [f"{saved} states were saved, {len(whole)} are whole"] * (len(whole) < min(saved, STATES))
    wrong += [f"it ended with {ended.code}: {ended.err[-600:]}"] * (ended.code != 0)
    wrong += reference.differing(place, "results", most)
    rest = [*place.models.glob(".*"), *place.results.glob("unfinished/*/step-*")]
    wrong += [f"left: {path.name}" for path in rest if path.suffix != ".lock"]
    wrong += ["no record"] * (not list(place.results.glob("runs/**/*.json")))
    where = f"{chosen.how}, before call {chosen.call}, {chosen.notes[-1]}"
    remarks = tuple(f"{where}: {place.shown(line)}" for line in (*lost, *wrong))
    if not remarks:
        shutil.rmtree(place.folder)  # a state of MiniLM has 270 MB
    return Outcome(
        lost=len(lost), wrong=len(wrong), identical=not remarks, line=place.shown(ended.line), remarks=remarks
    )
