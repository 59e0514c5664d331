"""The built-in `rehearsal` corpus: small English sentences with six emotion labels, made by a grammar.

It stands in for a real emotion corpus where nothing may be downloaded: 600/150/150 lower-case, tweet-like
sentences in the class proportions of that corpus.  Most sentences name two feelings: one that is over, denied
or merely expected, which is never the label, and the present one, which is the label.  Around them
stand everyday episodes drawn without regard to the label.  An encoder read without training mixes both
feelings and the episode into one vector; a trained one can learn which feeling counts.  A tenth of the
sentences name no clear present feeling, so that no classifier reaches every label.
"""

import random
import tomllib
from pathlib import Path

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
FEELINGS: list[list[str]] = [words.replace("\n", " ").strip().split(", ") for words in WORDS["feelings"].values()]
WHO, DID, WHERE, WHEN = (words.replace("\n", " ").strip().split(", ") for words in WORDS["episodes"].values())
UNCLEAR = ("strange", "different", "odd", "all sorts of things", "it deeply", "a lot", "something new")
INTENSIFIERS = ("", "so ", "really ", "quite ", "truly ")
OVER = (
    "i used to feel {} but now",
    "i thought i would feel {} but",
    "i do not feel {} any more but",
    "i no longer feel {} and instead",
    "i felt {} for a while but today",
)
LINKS = ("because", "since", "when")
SEED = 20
COMMON_SHARE = 0.75
UNCLEAR_SHARE = 0.1
OVER_SHARE = 0.9
PLACE_SHARE = TIME_SHARE = 0.4


def rehearsal_rows() -> dict[str, list[tuple[str, int]]]:
    """Return {"train": [(text, label), ...] (600 rows), "validation": (150 rows), "test": (150 rows)}.

    Every call gives the same rows; no text occurs twice, within a split or across splits.
    """
    rng = random.Random(SEED)
    taken: set[str] = set()
    splits: dict[str, list[tuple[str, int]]] = {}
    for split, counts in WORDS["counts"].items():
        rows: list[tuple[str, int]] = []
        for label in (label for label, count in enumerate(counts) for _ in range(count)):
            while (text := _sentence(rng, label)) in taken:
                pass
            taken.add(text)
            rows.append((text, label))
        splits[split] = rng.sample(rows, len(rows))
    return splits


def _sentence(rng: random.Random, label: int) -> str:
    unclear = rng.random() < UNCLEAR_SHARE
    text = "i feel " + (rng.choice(UNCLEAR) if unclear else _feeling(rng, label))
    episodes = rng.choice((0, 1, 1))
    if rng.random() < OVER_SHARE:
        other = rng.choice([candidate for candidate in range(len(FEELINGS)) if candidate != label])
        text = rng.choice(OVER).format(_feeling(rng, other)) + " " + text
    else:
        episodes = 2  # a single feeling leaves room for a second one, and without any the text would be too short
    if episodes == 2 or (episodes == 1 and rng.random() < 0.5):
        text = f"{_episode(rng)} and {text}"
        episodes -= 1
    return f"{text} {rng.choice(LINKS)} {_episode(rng)}" if episodes else text


def _feeling(rng: random.Random, label: int) -> str:
    common, *others = FEELINGS[label]
    return rng.choice(INTENSIFIERS) + (common if rng.random() < COMMON_SHARE else rng.choice(others))


def _episode(rng: random.Random) -> str:
    words = [rng.choice(WHO), rng.choice(DID)]
    words += [rng.choice(WHERE)] if rng.random() < PLACE_SHARE else []
    words += [rng.choice(WHEN)] if rng.random() < TIME_SHARE else []
    return " ".join(words)
