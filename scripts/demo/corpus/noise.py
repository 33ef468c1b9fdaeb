"""How people really type: with a greeting, in lower case, without a question mark, in haste, with a slip of the finger."""

from __future__ import annotations

import random
import re

from scripts.demo.corpus.grammar import lines, pick

BEFORE = lines("""
    (please|pls|hey|hi|hello|hey there|sorry|excuse me|ok|okay|so|well|um|hmm|right|now|yo|alright|good|thanks|great|cool|
      and|also|next),
    (quick|short|simple|stupid|another|one more|last|next|small|silly) question:
    (hi|hey|hello)(!|.|,) (quick question|I have a question|a question):
    (I am|I'm) (new|a beginner|a newcomer|not an expert|just starting) [here|to this|with falcon]:
    (I am|I'm) (curious|confused|lost|stuck|unsure|wondering):
    (just|one) (curious|wondering|thing):
    (sorry to bother you|if you can|if I may ask|if possible|by the way|out of curiosity|for my notes|dumb question|
      honestly|seriously),
    (tell me|say|listen|look|help|friend|falcon|dear falcon|model),
""")
AFTER = lines("""
    , please
    , (thanks|thank you|thx|cheers|many thanks)
    (in the terminal|on my machine|on my laptop|on Linux|on a Mac|right now|today|again|here|at all|somehow|quickly|
      easily|exactly)
    , (I forgot|if any|if possible|if you know|do you know|any idea|right|ok|or not|if I may ask|by any chance)
""")
SYNONYMS = {
    "chat": ("conversation", "session", "dialogue", "talk"),
    "conversation": ("chat", "talk", "discussion"),
    "answer": ("reply", "response", "output"),
    "reply": ("answer", "response"),
    "command": ("cmd", "instruction"),
    "option": ("flag", "switch", "parameter"),
    "model": ("LLM", "network", "checkpoint"),
    "computer": ("machine", "laptop", "PC"),
    "machine": ("computer", "PC", "box"),
    "show": ("display", "print", "list", "see"),
    "change": ("alter", "modify", "adjust", "switch"),
    "delete": ("remove", "erase"),
    "start": ("begin", "launch", "open"),
    "use": ("employ", "work with"),
    "big": ("large", "huge"),
    "large": ("big", "huge"),
    "small": ("little", "tiny"),
    "fast": ("quick", "speedy"),
    "tell": ("inform", "explain to"),
    "do": ("do", "do"),
    "text": ("text", "string", "input"),
    "file": ("document", "text file"),
    "mean": ("signify", "say"),
    "means": ("signifies", "says"),
    "need": ("require", "want"),
    "want": ("wish", "need"),
    "picture": ("image", "photo"),
    "question": ("query", "request"),
    "error": ("failure", "problem", "message"),
}
CONTEXTS = lines("""
    (I am|I'm) (writing a report|working on a project|a student|a teacher|a programmer|in a hurry|at work|at home|on the
      road|testing this|
     learning|preparing a talk|helping a friend|trying things out|using falcon for the first time|an old man|reading the
       manual).
    (My boss|A friend|My colleague|My daughter|Somebody|My teacher|A user) (is waiting|asked me|wants to know|told me to
      ask you|is curious).
    (I have|I've got|we have|there is) (a question|a problem|an old laptop|a new computer|a small machine|no time|a big
      project|a deadline).
    (I tried everything|I read the help|I searched for it|nothing works|this is confusing|I can't find it|it is late|
      maybe you know).
    (I just installed this|I started today|I have been chatting for a while|we talked about this|I asked this before|I am
      back).
""")
FILLERS = """
    just really actually please now maybe perhaps somehow simply quickly easily also again still ever only even directly
      exactly
    silly nice good little big whole current new old own certain given same other long short simple whole damn poor dear big
    my this that the a some any here there today tonight please kindly properly correctly well too rather quite very much
""".split()
DROPPED = frozenset("a an the to do of is it this that in my me i please can you with for are does".split())
_WORD = re.compile(r"[A-Za-z]+")


def roughen(text: str, draw: random.Random, *, ends: bool = True) -> str:
    """A question as somebody may have typed it. About half come through as they were, but for the capital letter.

    `ends` False leaves the end of the text alone: it may be something to copy.
    """
    if draw.random() < 0.16:
        text = f"{pick(BEFORE, draw)} {text}"
    if ends and draw.random() < 0.10:
        body, mark = (text[:-1], text[-1]) if text[-1:] in "?.!" else (text, "")
        after = pick(AFTER, draw)
        text = body + ("" if after.startswith(",") else " ") + after + mark
    if draw.random() < 0.25:
        text = _reword(text, draw)
    if draw.random() < 0.10:
        text = _drop_words(text, draw)
    if ends and draw.random() < 0.12:
        text = _fill_in(text, draw)
    for _ in range(draw.choice((0, 0, 0, 0, 0, 0, 0, 1, 1, 2))):
        text = _slip(text, draw)
    if ends and draw.random() < 0.05:
        text = f"{pick(CONTEXTS, draw)} {text}"
    return _dress(text, draw, ends)


def _reword(text: str, draw: random.Random) -> str:
    """Another word of the same meaning here and there; commands, which stand between signs, are left alone."""
    words = text.split(" ")
    for i, word in enumerate(words):
        others = SYNONYMS.get(word.rstrip("?.,!"))
        if others and draw.random() < 0.5:
            bare = word.rstrip("?.,!")
            words[i] = draw.choice(others) + word[len(bare) :]
    return " ".join(words)


def _drop_words(text: str, draw: random.Random) -> str:
    """Telegram style: some of the little words are missing."""
    words = [word for word in text.split(" ") if word.lower() not in DROPPED or draw.random() < 0.5]
    return " ".join(words) or text


def _fill_in(text: str, draw: random.Random) -> str:
    """A little word or two more than needed, somewhere between the others."""
    words = text.split(" ")
    for _ in range(draw.choice((1, 1, 2))):
        words.insert(draw.randrange(len(words) + 1), draw.choice(FILLERS))
    return " ".join(words)


def _slip(text: str, draw: random.Random) -> str:
    """One slip of the finger in one longer word: a letter lost, doubled or swapped with its neighbour."""
    found = [match for match in _WORD.finditer(text) if len(match.group()) > 3]
    if not found:
        return text
    match = draw.choice(found)
    at = draw.randrange(match.start() + 1, match.end() - 1)
    kind = draw.randrange(3)
    middle = ("", text[at] * 2, text[at + 1] + text[at])[kind]
    return text[:at] + middle + text[at + (2 if kind == 2 else 1) :]


def _dress(text: str, draw: random.Random, ends: bool) -> str:
    """Capital or not, and what stands at the end."""
    style = draw.random()
    if style < 0.25:
        text = text.lower()
    elif style < 0.85:
        text = text[:1].upper() + text[1:]
    elif style < 0.86:
        text = text.upper()
    if not ends:
        return text
    ending = draw.random()
    if ending < 0.28:
        text = text.rstrip("?.! ")
    elif ending < 0.34:
        text = text.rstrip("?.! ") + draw.choice(("??", "!", "...", " ?", "?!", " :)"))
    elif ending < 0.40:
        text = text.rstrip("?.! ") + "?"
    return text or "?"
