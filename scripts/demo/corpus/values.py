"""Open values: words that nobody can have learned by heart, numbers, codes, sentences."""

from __future__ import annotations

import random
from functools import cache

from scripts.demo.corpus import words

ONSETS = """
    b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gl gr kl kr ph pl pr qu sh sk sl sm sn sp st str th tr tw y x
""".split()
VOWELS = "a e i o u a e i o u ai au ay ea ee ei ia ie io oa oo ou ue y".split()
CODAS = ["", "", "", "", *"b ck d f g k l ll m n nd ng nn nt p r rd rk rn s sh ss st t th x z".split()]


def invented(draw: random.Random) -> str:
    """A word of one to four syllables that no list holds."""
    parts = []
    for _ in range(draw.choice((1, 2, 2, 2, 3, 3, 4))):
        parts.append(draw.choice(ONSETS) if draw.random() < 0.85 else "")
        parts.append(draw.choice(VOWELS))
        parts.append(draw.choice(CODAS) if draw.random() < 0.6 else "")
    word = "".join(parts)
    return word if len(word) > 1 else word + draw.choice("nrst")


@cache
def _followers() -> dict[str, str]:
    """After each two letters, the letters that follow in everyday words, as often as they do; "$" ends a word."""
    table: dict[str, list[str]] = {}
    for word in words.EVERYTHING:
        padded = "^^" + word + "$"
        for i in range(2, len(padded)):
            table.setdefault(padded[i - 2 : i], []).append(padded[i])
    return {key: "".join(letters) for key, letters in table.items()}


def plausible(draw: random.Random) -> str:
    """A word that could be English: each letter drawn by the two before it."""
    table, word = _followers(), "^^"
    while len(word) < 13:
        letter = draw.choice(table[word[-2:]])
        if letter == "$":
            if len(word) > 4:
                break
            continue
        word += letter
    return word[2:]


def letters(draw: random.Random) -> str:
    """Letters without any sense."""
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 7)))


def word(draw: random.Random) -> str:
    """Any word: an everyday one, one that could be, an invented one, or letters."""
    kind = draw.random()
    if kind < 0.35:
        return draw.choice(words.EVERYTHING)
    if kind < 0.62:
        return plausible(draw)
    return invented(draw) if kind < 0.96 else letters(draw)


def name(draw: random.Random) -> str:
    """What a person, an animal or a town may be called; in small letters now and then, as people type."""
    kind = draw.random()
    text = invented(draw) if kind < 0.5 else plausible(draw) if kind < 0.9 else draw.choice(words.EVERYTHING)
    if draw.random() < 0.06:
        text += draw.choice(" -") + invented(draw)
    return text if draw.random() < 0.12 else text.title()


def number(draw: random.Random) -> str:
    """A whole number of one to five digits."""
    return str(draw.randrange(10 ** draw.choice((1, 2, 2, 2, 3, 3, 4, 5))))


def code(draw: random.Random) -> str:
    """Letters and digits in groups, such as k7-x2."""
    signs = "abcdefghijklmnopqrstuvwxyz0123456789"
    if draw.random() < 0.3:
        signs = signs.upper()
    groups = ["".join(draw.choices(signs, k=draw.randint(1, 4))) for _ in range(draw.choice((1, 2, 2, 2, 3)))]
    return draw.choice("--_./ ").join(groups)


def sentence(draw: random.Random, longest: int = 8) -> str:
    """Up to `longest` words: a small sentence, or any words in a row."""
    if draw.random() < 0.5:
        text = " ".join(word(draw) for _ in range(draw.randint(2, longest)))
    else:
        parts = [
            draw.choice(("the", "a", "my", "our", "every", "no", "this", "his", "her")),
            draw.choice((*words.QUALITIES, plausible(draw))) if draw.random() < 0.6 else "",
            draw.choice((*words.ANIMALS, *words.JOBS, *words.THINGS, name(draw))),
            draw.choice((*words.VERBS_PAST, "is", "likes", "sees", "has", "wants")),
            draw.choice(("the", "a", "my", "some", "")),
            draw.choice((*words.THINGS, *words.FOODS, word(draw))),
            draw.choice(words.ADVERBS) if draw.random() < 0.4 else "",
        ]
        text = " ".join([part for part in parts if part][:longest])
    return text[0].upper() + text[1:] if draw.random() < 0.4 else text


SMALL = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen
""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def spoken(value: int, draw: random.Random) -> str:
    """A number below 1000 in words."""
    if value < 20:
        return SMALL[value]
    if value < 100:
        tens, ones = TENS[value // 10 - 2], value % 10
        return tens if not ones else tens + draw.choice("-- ") + SMALL[ones]
    rest = value % 100
    head = ("a" if value < 200 and draw.random() < 0.5 else SMALL[value // 100]) + " hundred"
    return head if not rest else f"{head} and {spoken(rest, draw)}"
