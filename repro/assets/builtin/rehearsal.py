"""The built-in `rehearsal` corpus: small English sentences with six emotion labels, made by a grammar.

It stands in for a real emotion corpus where nothing may be downloaded: 600/150/150 lower-case, tweet-like
sentences in the class proportions of that corpus.  Most sentences name two feelings: one that is over, denied
or merely expected, which is never the label, and the present one, which is the label.  Around them
stand everyday episodes drawn without regard to the label.  An encoder read without training mixes both
feelings and the episode into one vector; a trained one can learn which feeling counts.  A tenth of the
sentences name no clear present feeling, so that no classifier reaches every label.
"""

import random

# Rows of each label in the order of FEELINGS: the real corpus's proportions, by largest remainder.
COUNTS = {
    "train": (175, 201, 49, 81, 73, 21),
    "validation": (41, 53, 13, 21, 16, 6),
    "test": (43, 52, 12, 21, 17, 5),
}
SEED = 20

# Sadness, joy, love, anger, fear, surprise.  The first word of a class is its common one (COMMON_SHARE), so
# that a few optimiser steps meet it often; the rare others keep the held-out splits from being trivial.
FEELINGS = tuple(
    words.split(", ")
    for words in (
        "sad, lonely, miserable, gloomy, heartbroken, unhappy, hopeless, disappointed, rejected, homesick, tearful, "
        "discouraged, ashamed, abandoned, defeated, guilty, ignored",
        "happy, glad, joyful, cheerful, delighted, thrilled, pleased, hopeful, proud, content, excited, relaxed, "
        "lucky, optimistic, peaceful, satisfied, confident, energetic",
        "loving, tender, affectionate, adored, devoted, romantic, cherished, passionate, caring, compassionate, "
        "sympathetic, fond of everyone, sentimental, beloved, smitten",
        "angry, furious, annoyed, mad, irritated, resentful, bitter, outraged, grumpy, hostile, offended, insulted, "
        "cranky, enraged, jealous, impatient, frustrated, bad tempered",
        "afraid, scared, anxious, frightened, nervous, terrified, worried, uneasy, threatened, insecure, fearful, "
        "apprehensive, timid, unsafe, jittery, panicky, shaky",
        "surprised, amazed, astonished, shocked, stunned, startled, dazed, speechless, curious, bewildered, astounded, "
        "taken aback, dumbfounded, full of wonder, caught off guard",
    )
)
UNCLEAR = ("strange", "different", "odd", "all sorts of things", "it deeply", "a lot", "something new")
INTENSIFIERS = ("", "so ", "really ", "quite ", "truly ")
OVER = (
    "i used to feel {} but now",
    "i thought i would feel {} but",
    "i do not feel {} any more but",
    "i no longer feel {} and instead",
    "i felt {} for a while but today",
)
WHO, DID, WHERE, WHEN = (
    words.split(", ")
    for words in (
        "my brother, the neighbours, our teacher, my boss, the kids, a colleague, my cousin, the plumber, my best "
        "friend, the doctor, our coach, my aunt, a stranger, the landlord, my flatmate, the band, my grandmother, the "
        "new student, our guide, the baker",
        "painted the shed, sent a long letter, cooked a pot of soup, moved to a new office, talked about the budget, "
        "left a box of books, planned a trip to the coast, fixed the old car, cancelled the meeting, watched a film "
        "about pirates, wrote a post about gardening, ran ten miles, forgot the keys, ordered a pizza, sold the piano, "
        "baked a loaf of bread, explained the homework, bought two tickets, took the dog out, asked about my knee, "
        "found a red umbrella, played the drums, read the whole report, called about the rent, cleaned the windows, "
        "told a story about the sea",
        "at the bus stop, in the kitchen, by the river, near the station, at school, in the garden, on the second "
        "floor, at the airport, in the library, outside the bank, at the gym, on the beach, at the hospital, at the "
        "market, in a small village",
        "this morning, on monday, after lunch, last night, before the exam, two weeks ago, around midnight, during the "
        "storm, on my birthday, in the summer, over the weekend",
    )
)
LINKS = ("because", "since", "when")

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
    for split, counts in COUNTS.items():
        rows: list[tuple[str, int]] = []
        for label, count in enumerate(counts):
            for _ in range(count):
                text = _sentence(rng, label)
                while text in taken:
                    text = _sentence(rng, label)
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
        # A single feeling leaves room for a second episode, and without any the text would be too short.
        episodes = 2
    if episodes == 2 or (episodes == 1 and rng.random() < 0.5):
        text = f"{_episode(rng)} and {text}"
        episodes -= 1
    if episodes:
        text = f"{text} {rng.choice(LINKS)} {_episode(rng)}"
    return text


def _feeling(rng: random.Random, label: int) -> str:
    common, *others = FEELINGS[label]
    return rng.choice(INTENSIFIERS) + (common if rng.random() < COMMON_SHARE else rng.choice(others))


def _episode(rng: random.Random) -> str:
    words = [rng.choice(WHO), rng.choice(DID)]
    if rng.random() < PLACE_SHARE:
        words.append(rng.choice(WHERE))
    if rng.random() < TIME_SHARE:
        words.append(rng.choice(WHEN))
    return " ".join(words)
