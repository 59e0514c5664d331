"""The built-in `rehearsal` corpus: small English sentences with six emotion labels, made by a grammar.

It stands in for a real emotion corpus where nothing may be downloaded: 600/150/150 lower-case, tweet-like
sentences in the class proportions of that corpus.  A sentence is a narrator's circumstances, drawn without
regard to the label, around one short expression of feeling, which alone carries the label.  Circumstances
make up most of the words, some sentences deny or leave behind a feeling of another class first, and some
expressions belong to two classes: an encoder read without training then sees chiefly the topic, a trained
one can learn to look for the present feeling, and neither reaches every label.
"""

import random
from collections.abc import Sequence

CLASSES = ("sadness", "joy", "love", "anger", "fear", "surprise")

# Labels of the real corpus, per split, in the order of CLASSES; the rehearsal splits keep their proportions.
REFERENCE_COUNTS = {
    "train": (4666, 5362, 1304, 2159, 1937, 572),
    "validation": (550, 704, 178, 275, 212, 81),
    "test": (581, 695, 159, 275, 224, 66),
}
SPLIT_SIZES = {"train": 600, "validation": 150, "test": 150}
SEED = 20240229

# Each expression completes "i feel ...", "i was feeling ..." and "it leaves me feeling ...".
FEELINGS: tuple[tuple[str, ...], ...] = (
    (
        "sad", "miserable", "gloomy", "heartbroken", "so lonely", "a bit blue", "down", "rather low", "hopeless",
        "unhappy", "defeated", "empty inside", "rotten", "disappointed", "discouraged", "homesick", "ashamed",
        "guilty", "abandoned", "unwanted", "dull and dreary", "like crying", "like a failure", "drained",
        "let down", "close to tears", "forlorn", "sorry for myself", "full of regret", "rejected", "ignored",
        "useless", "humiliated", "weepy", "full of grief", "as if nothing matters",
    ),
    (
        "happy", "glad", "cheerful", "delighted", "content", "joyful", "so proud", "thrilled", "excited",
        "on top of the world", "hopeful", "optimistic", "relaxed", "peaceful", "full of energy", "confident",
        "lucky", "pleased", "satisfied", "great", "like singing", "like dancing", "wonderful", "jolly", "relieved",
        "festive", "calm and rested", "brave and strong", "very merry", "bright and sunny", "in high spirits",
        "triumphant", "refreshed", "playful", "quite fantastic", "over the moon",
    ),
    (
        "loving", "tender", "adored", "in love", "affectionate", "so fond of everyone", "cherished", "romantic",
        "devoted", "caring", "full of love", "warm and tender", "passionate", "beloved", "compassionate",
        "sympathetic", "gentle and loving", "like hugging everyone", "like sending kisses", "smitten",
        "deeply attached", "full of affection", "loyal and loving", "sentimental", "like a sweetheart",
    ),
    (
        "angry", "furious", "annoyed", "irritated", "mad", "outraged", "bitter", "resentful", "cross", "enraged",
        "so grumpy", "hostile", "fed up and snappy", "like shouting", "like slamming doors", "offended",
        "insulted", "cranky", "livid", "full of rage", "bad tempered", "jealous", "spiteful", "impatient",
        "frustrated", "greedy and rude", "disgusted", "violent inside", "ready for a quarrel", "aggravated",
    ),
    (
        "afraid", "scared", "frightened", "terrified", "anxious", "nervous", "worried", "panicky", "uneasy",
        "threatened", "shaky", "so insecure", "tense with dread", "like hiding", "like running away", "fearful",
        "apprehensive", "timid", "full of dread", "unsafe", "jittery", "paranoid", "vulnerable", "alarmed",
        "petrified", "intimidated", "on edge", "unsure and wary", "sick with nerves", "haunted",
    ),
    (
        "surprised", "amazed", "astonished", "stunned", "shocked", "startled", "speechless", "dazed",
        "caught off guard", "taken aback", "so curious", "bewildered", "impressed beyond words", "dumbfounded",
        "full of wonder", "astounded", "like rubbing my eyes", "amazed and a little dazed", "thunderstruck",
    ),
)
# Expressions that two classes share, so that no reader can tell the label from the text.
SHARED = ((("overwhelmed", 4, 5), ("restless", 3, 4), ("blessed", 1, 2), ("hurt", 0, 3), ("strange", 4, 5)))
MAIN = ("i feel {f}", "i am feeling {f}", "i just feel {f}", "i feel really {f}")
