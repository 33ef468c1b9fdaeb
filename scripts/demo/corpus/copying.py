"""Copying and words: repeating, spelling, saying twice, the first or last of a list, upper case. `{x}` is what is copied."""

from __future__ import annotations

import random

from scripts.demo.corpus import values
from scripts.demo.corpus.grammar import expand, lines
from scripts.demo.corpus.noise import roughen

Turn = tuple[str, str]
HOLE = "\0"  # where the copied text goes once the question around it has been roughened

REPEAT = lines("""
    (repeat|say|copy|echo|write|print|type|output|reproduce|parrot|recite|quote): {x}
    (repeat|say|copy|echo|write|type|output) {x}
    (repeat|say|copy|echo|write|type) [the word|the text|this|the phrase|the following|exactly|just|back] {q}
    (repeat|say|echo|copy) after me: {x}
    (repeat|say) after me {q}
    (can|could|would|will) you (repeat|say|copy|echo|write|type) {q}?
    (can|could|would|will) you (repeat|say|copy|echo|write) [this|the following|back to me]: {x}
    (please|) (repeat|say|copy|echo|write|type) (this|the following|these words|exactly this|this back to me|back to me|
      the words|what follows|the sentence|the text|this sentence): {x}
    (please|) (repeat|copy|say|echo) {q} [exactly|word for word|for me|back|back to me|once more|verbatim]
    (I want you to|I would like you to|you should|your task is to|now) (repeat|say|echo|copy|write): {x}
    (I want you to|I would like you to|let me hear you) (repeat|say|echo|copy) {q}
    (give|send|read) me back: {x}
    (give me|say|tell me|write) {q} (back|again)
    (answer|reply|respond) (with|only with|just) [the word|the words] {q}
    (answer|reply|respond) (with|only with|just): {x}
    (repeat|copy|echo) the (code|string|key|number|word|phrase|sentence|line|text|password|serial number)[:] {x}
    (write|type|say|print|output|send) (exactly|only|just|nothing but|literally) {q}
    (my|the|this|a) (code|password|word|sentence|phrase|text|line) is {x}(, repeat it|; repeat it|. Repeat it|. Say it
      back|, say it back|. Copy it|. Echo it back)[.]
    {x} - (repeat|copy|say|echo) (that|this|it)
    (now|ok|next|so)[,] (repeat|copy|echo|say|write)[:] {x}
    (what I say|what I write), (you repeat|you copy|repeat)[:] {x}
    (parrot|mirror|echo back|say back|give back|return|send back|play back|read back) {q}
    (parrot|mirror|echo back|say back|give back|return|send back|play back|read back) (this|the following|these words|the
      code|the text|the phrase|the sentence|word for word|exactly)[:] {x}
    (word for word|letter for letter|exactly as I write it|verbatim|without changes)[,:] (repeat|copy|say|write)[:] {x}
    (can|could|would) you (echo|repeat|copy|say) (the code|the word|the sentence|the words|the phrase|this code|this
      sentence|exactly|back) {q} [for me|to me|please|]?
    (repeat|say|copy|write|echo) (the sentence|the code|the words|this sentence|this code|the phrase|the line) {q}
    (let me hear|let me see|I want to see|I want to hear|show me) {q} (again|once more|back|repeated)
    copy (the|this) (text|line|sentence|code|string) (unchanged|exactly|as it is|here)[:] {x}
    (just|please|simply|kindly) (echo|repeat|say|copy) {q}
""")
SPELL = lines("""
    spell {x}
    spell [the word|out|out the word|] {q}
    (how do|how would|can|could|would) you (spell|spell out) [the word|] {q}?
    how (is|do I spell|does one spell|do you spell) {q} [spelled|written|]?
    (please|) spell [out|for me|me|] [the word|] {x}
    (write|say|give me|read|show|tell me) {q} letter by letter
    (what are|name|list|give me|tell me|show me|which are) the letters (of|in) [the word|] {q}
    (which|what) letters (are in|make up|form) [the word|] {q}?
    (separate|split|break) [the word|] {q} into [its|single] letters
    spelling of {q}
    (what is|what's) the spelling of {q}?
    {x}: how is it spelled?
    (give|tell|show|send|list|write) me (all|) the letters of [the word|] {q} [one by one|in order|separately|]
    (letter by letter|one letter at a time|letters|letter for letter)[:,] {x}
    (which|what) are the (single|individual|) letters of {q}?
    (I need|I want|let me have|I'd like|may I have) [the word|] {q} (spelled|letter by letter|spelled out|in letters)
    (how|in what way) (should|can|must|would) (I|one|you) (spell|write) {q} [letter by letter|]?
    (take|pull|cut|divide|break) [the word|] {q} (apart|apart letter by letter|into letters|into its letters|up into
      letters)
    (please|) (spell|spell out|spell me|spell for me)[:] {x}
    (the|) spelling of [the word|] {q}(, please|?|)
    {q}, spelled out
""")
SPELL_SPACES = lines("""
    spell [the word|out|] {q} with spaces [between the letters|]
    (write|say|spell) {q} (letter by letter with spaces|with a space between the letters|with spaces between the letters|
      with blanks)
    put (spaces|a space|blanks) between the letters of [the word|] {q}
    (separate|split) the letters of {q} (with|by) spaces
""")
SPELL_HYPHENS = lines("""
    spell [the word|out|] {q} with (hyphens|dashes) [between the letters|]
    (write|say|spell) {q} (letter by letter with hyphens|with hyphens between the letters|with dashes between the letters)
    put (hyphens|a hyphen|dashes) between the letters of [the word|] {q}
    (separate|split|join) the letters of {q} (with|by) (hyphens|dashes)
""")
TWICE = lines("""
    (say|write|repeat|print|type|output|give me|tell me|echo) [the word|] {q} (twice|two times|2 times|double|once and
      once more|two times in a row|twice in a row)
    (twice|two times|double): {x}
    (can|could|would|will) you (say|write|repeat|type) {q} (twice|two times)?
    (please|) (say|write|repeat|type) (twice|two times)[:] {x}
    {q} two times[, please]
    (I want|I'd like) to (hear|see|read) {q} twice
    double the word {x}
    (say|write|repeat|give me|type|print|shout|put|let me hear) [the word|] {q} (and then again|once and then again|a
      second time as well|two times over|twice over|in duplicate|twice, please|two times, please)
    (repeat|say|write)[,] (twice|two times)[,:] [the word|] {q}
    (two|2) (copies|times|repetitions) of {q}
    (I need|I want) {q} (two times|twice|in double)
    double [it|up|]: {x}
    {x}, (twice|two times|and again)
""")
FIRST = lines("""
    (what|which) is the (first|first one|first word|first item|first thing) (of|in|among) [these|the list|this list|the
      words|the following|the series|][:] {l}?
    (say|name|give me|tell me|repeat|write|pick|take|print) the first [word|one|item|element] (of|in|from|out of) [these|
      the list|this list|the words|][:] {l}
    (first|the first) (of|word of|in|item of|one of)[:] {l}
    {l}: (which|what) (is|comes|was|stands) (the first|first|the first one|the first word)?
    (which|what) [word] comes first [in|]: {l}?
    of {l}, which is [the] first?
    from the list {l}, (take|name|say|give) the first
    (here is a list|a list|the list|my list|take the list|look at this list)[:] {l}(. What is|. Which is|. Name|; which
      is|; what is|. Tell me) the first [word|one|item|]?
    (which|what) (is at the beginning|is at the start|stands first|opens the list|leads|comes at the front) [in|of|]: {l}?
    (I have|there are|given|consider|we have)[:] {l}(. Which is first|. The first|; name the first|. Name the first one|.
      Which comes first)?
    (pick|take|give|choose|return|find) [me|] (the first|the first word|the first item|item one|number one) (of|from|in|
      out of)[:] {l}
    (the first|first) (item|word|name|one|entry|element) (of|in|from)[:] {l}?
""")
LAST = lines("""
    (what|which) is the (last|last one|last word|last item|final one|last thing) (of|in|among) [these|the list|this list|
      the words|the following|the series|][:] {l}?
    (say|name|give me|tell me|repeat|write|pick|take|print) the (last|final) [word|one|item|element] (of|in|from|out of)
      [these|the list|this list|the words|][:] {l}
    (last|the last|the final) (of|word of|in|item of|one of)[:] {l}
    {l}: (which|what) (is|comes|was|stands) (the last|last|the last one|the last word|at the end)?
    (which|what) [word] comes last [in|]: {l}?
    of {l}, which is [the] last?
    from the list {l}, (take|name|say|give) the last
    (here is a list|a list|the list|my list|take the list|look at this list)[:] {l}(. What is|. Which is|. Name|; which
      is|; what is|. Tell me) the last [word|one|item|]?
    (which|what) (is at the end|stands last|closes the list|comes at the end|is the final one) [in|of|]: {l}?
    (I have|there are|given|consider|we have)[:] {l}(. Which is last|. The last|; name the last|. Name the last one|.
      Which comes last)?
    (pick|take|give|choose|return|find) [me|] (the last|the last word|the last item|the final item|the final word) (of|
      from|in|out of)[:] {l}
    (the last|last|final) (item|word|name|one|entry|element) (of|in|from)[:] {l}?
""")
UPPER = lines("""
    (write|say|put|print|give me|type|show|spell|set|repeat) [the word|] {q} in (upper case|capitals|capital letters|
      uppercase|all caps|big letters|block letters|upper-case letters)
    (upper case|uppercase|capitalize|capitals|upper-case|all caps)[:] {x}
    (make|turn|convert|change|transform|put) [the word|] {q} (upper case|uppercase|to upper case|into capitals|to
      capitals|into upper case|to uppercase|into capital letters)
    (what is|how does|how do you write) {q} [look] in (upper case|capitals|capital letters|uppercase)?
    (can|could) you (write|put|say) {q} in (capitals|upper case|capital letters|uppercase)?
    {q} in (capitals|upper case|capital letters|uppercase)[, please]
    capitalize [all letters of|every letter of|the word] {x}
    shout [the word|] {q}
    (I need|I want|I'd like|give me|let me have|let me see) [the word|] {q} in (capitals|capital letters|upper case|big
      letters|uppercase letters|all capitals)
    (write|say|type|spell|print) {q} (big|all big|large|all in capitals|with capital letters|in large letters|all upper
      case|with all letters capital)
    (turn|change|make|switch|raise) [the word|] {q} (all caps|into all caps|to all capitals|all capitals|to block
      capitals|into big letters)
    (what|how) (is|would be|does) {q} (all caps|capitalized|in all capitals|look in all caps|in big letters)[ look like|]?
    (all|only|use|with) (capitals|capital letters|upper case)[, please|][:,] {x}
    (capital letters|capitals|all caps|upper case) (for|of|version of) [the word|] {q}
""")


def _asked(patterns: tuple[str, ...], payload: str, draw: random.Random) -> str:
    """A pattern roughened with a hole in it, and then filled: what is to be copied must arrive whole."""
    quote = draw.choice(("", "", "", '"', '"', "'", "“"))
    quoted = quote + HOLE + ("”" if quote == "“" else quote)
    listed = HOLE
    fill = {"x": lambda _: HOLE, "q": lambda _: quoted, "l": lambda _: listed}
    text = roughen(expand(patterns[draw.randrange(len(patterns))], draw, fill), draw, ends=False)
    return text.replace(HOLE, payload)


def _repeat(draw: random.Random) -> Turn:
    kind = draw.random()
    if kind < 0.3:
        payload = values.word(draw)
    elif kind < 0.45:
        payload = values.code(draw)
    elif kind < 0.52:
        payload = values.number(draw)
    else:
        payload = values.sentence(draw)
    if draw.random() < 0.2:
        payload = payload[0].upper() + payload[1:]
    return _asked(REPEAT, payload, draw), payload


def _short(draw: random.Random) -> str:
    word = values.word(draw)
    while not 2 <= len(word) <= 9 or not word.isalpha():
        word = values.word(draw)
    return word.capitalize() if draw.random() < 0.12 else word


def _spell(draw: random.Random) -> Turn:
    word = _short(draw)
    kind = draw.random()
    if kind < 0.2:
        return _asked(SPELL_SPACES, word, draw), " ".join(word)
    return _asked(SPELL if kind < 0.85 else SPELL_HYPHENS, word, draw), "-".join(word)


def _twice(draw: random.Random) -> Turn:
    word = values.word(draw)
    return _asked(TWICE, word, draw), f"{word} {word}"


def _upper(draw: random.Random) -> Turn:
    word = _short(draw)
    return _asked(UPPER, word, draw), word.upper()


def _end_of_list(draw: random.Random) -> Turn:
    words = [values.word(draw) for _ in range(draw.choice((2, 3, 3, 3, 4, 4)))]
    listed = draw.choice((", ", ", ", ", ", " ", "; ")).join(words)
    if draw.random() < 0.3:
        listed = ", ".join(words[:-1]) + draw.choice((" and ", ", and ")) + words[-1]
    first = draw.random() < 0.5
    return _asked(FIRST if first else LAST, listed, draw), words[0] if first else words[-1]


def copying(draw: random.Random) -> Turn:
    """A question and its answer."""
    return draw.choices((_repeat, _spell, _twice, _end_of_list, _upper), (10, 6, 2, 4, 3))[0](draw)
