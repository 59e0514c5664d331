"""What comes with the suite: the rehearsal corpus and tiny models.

`rehearsal/` holds 600, 150 and 150 lower-case, tweet-like sentences in the class proportions of the real corpus, which
a grammar made once. Most name two feelings: one that is over, denied or merely expected, which is never the label, and
the present one, which is. An encoder read without training mixes both; a trained one can learn which counts. A tenth
name no clear present feeling, so that no classifier reaches every label.
"""
