"""A letter, a question and a reply of our own: the tour's texts for the rehearsal, where no seminar is verified."""

LETTER = (
    "Dear Lantern Books, three weeks ago I ordered a globe of Saturn from your shop in Rotterdam. "
    "When Theodora opened the parcel at last, she found a globe of Jupiter with a dent near the pole! "
    "We keep one shelf for planets with rings, so a Jupiter is of no use to us. "
    "I ask for a refund of the postage and a globe of Saturn without dents. "
    "A copy of the bill is in the parcel that I send back today. "
    "I look forward to your answer before the summer ends. Yours, Ambrosius."
)
QUESTION = "What does the writer ask for?"
REPLY = "Dear Ambrosius, we are sorry that the wrong planet came to your door."
REPLY_HEAD = "\n\nCustomer service response:\n"
