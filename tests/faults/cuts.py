"""A run cut before each of its calls on files: what the disk may hold then, and whether the run can be finished.

Only what was synced is sure to be there. So each cut leaves four folders: `killed` (the process alone: all is there),
`torn` (what was not synced of a file is its first half), `undone` (names and contents are as they were last synced)
and `removed` (as undone, but removals did reach the disk).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from repro.records.seal import digest_of
from repro.training.resume.state import NAME, STATES
from tests.faults.histories import Reference, lost
from tests.faults.launch import Place
from tests.faults.stepped import FOLDERS, LOG, Note, Stepped, notes_of, stopping

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
    def read(cls, folder: Path, opened: dict[int, int], blobs: dict[bytes, bytes]) -> Disk:
        """Read it, all taken as synced; what is opened keeps its inode, so that no other file gets the same."""
        paths, contents = {Path(): folder.stat().st_ino}, dict[int, bytes | None]()
        for path in sorted(path for name in FOLDERS for path in (folder / name, *(folder / name).rglob("*"))):
            if path.exists():
                paths[path.relative_to(folder)] = inode = path.stat().st_ino
                contents[inode] = None if path.is_dir() else blobs.setdefault(content := path.read_bytes(), content)
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
        if note.what == "synced" and note.number in folders:
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


def cuts_of(place: Place, words: tuple[str, ...]) -> Iterator[tuple[Disk, list[Note]]]:
    """Run to the end, and yield the disk and what was noted before each call, and at the end."""
    opened, blobs, run = dict[int, int](), dict[bytes, bytes](), Stepped(place, words, stopping(place))
    disk = Disk.read(place.folder, opened, blobs)
    while run.ended is None:
        run.go()
        notes = notes_of(place)
        disk = Disk.read(place.folder, opened, blobs).after(disk, notes[-1])
        yield disk, notes
    for descriptor in opened.values():
        os.close(descriptor)
    assert run.ended.code == 0, run.ended.err


def losses(place: Place, files: Files, notes: list[Note], words: tuple[str, ...], reference: Reference) -> list[str]:
    """Write what a cut left, finish the run, and return what was lost or is not the uninterrupted run's."""
    place.folder.mkdir(parents=True)
    for path, content in files.items():
        if content is None:
            (place.folder / path).mkdir()
        else:
            (place.folder / path).write_bytes(content)
    done, saved, most = [note for note in notes if note.what in ("saved", "recorded", "completed")], 0, 3
    (place.folder / LOG).write_text("".join(json.dumps(note) + "\n" for note in done), encoding="utf-8")
    wrong = [f"at the cut: {line}" for line in reference.differing(place, "results", most)]
    for note in done:
        saved = saved + 1 if note.what == "saved" else 0
    whole = [p for p in files if (name := NAME.fullmatch(p.name)) and digest_of(place.folder / p) == name[2]]
    if len(whole) < min(saved, STATES):
        wrong.append(f"{saved} states were saved, {len(whole)} are whole")
    ended = place.run(*words, plant=stopping(place, stops=False))
    wrong += [f"it ended with {ended.code}: {ended.err[-600:]}"] * (ended.code != 0)
    wrong += reference.differing(place, "results", most if "--again" in words else 1)
    wrong += lost(place, notes_of(place))
    rest = [*place.models.glob(".*"), *place.results.glob("unfinished/*/step-*")]
    wrong += [f"left: {path.name}" for path in rest if path.suffix != ".lock"]
    return wrong if list(place.results.glob("runs/**/*.json")) else [*wrong, "no record"]
