"""Small sums in digits and in words. The answer is always in digits."""

from __future__ import annotations

import random

from scripts.demo.corpus.grammar import lines, pick
from scripts.demo.corpus.noise import roughen
from scripts.demo.corpus.values import spoken

Turn = tuple[str, str]

AROUND = lines("""
    {x}
    {x}
    {x}?
    {x}=
    {x} = ?
    what is {x}?
    what's {x}?
    (what does|how much does) {x} (make|give|equal)?
    how much is {x}?
    (calculate|compute|work out|add up|solve|evaluate|find|do|give me|tell me|determine|figure out|reckon) {x}
    (can|could) you (calculate|compute|work out|tell me|add|do) {x}?
    what (do|will) (you|I) get for {x}?
    (the result|result|answer|value|outcome) of {x}?
    (what is|what's|tell me|give me) the (result|answer|value|outcome|total|solution) (of|for|to) {x}?
    {x} (is|makes|equals|equal|gives|is how much|is what|makes what|equals what)?
    I need [to know] {x}
    (do you know|please|quick,|help me with|let's see,) {x}
    (my|a|one) (sum|question|task|little sum|calculation): {x}
    {x}, (what do I get|what does that make|what is that|how much|what is it|how much is that|can you do that|please|right)?
    (would|could|can) you (do the sum|do this one|manage|solve|tell me the answer): {x}?
    (how would you|help me to) (work out|calculate|do|solve) {x}?
    (and|now|next|then) {x}?
    (quick|fast|mental arithmetic|maths|math|homework|test): {x}
    (the answer|the outcome|how much comes out) (to|of|for|if I take) {x}?
    (I wonder|I would like to know|I want to know|let me know|I can't work out|I forgot) (what|how much) {x} (is|makes|
      comes to|gives)
    what number (is|do you get from|results from|comes out of|is equal to) {x}?
""")
SUM = lines("""
    {a} + {b}
    {a}+{b}
    {a} plus {b}
    {a} and {b}
    {a} added to {b}
    the sum of {a} and {b}
    {a} plus {b} together
    the total of {a} and {b}
    {a} and then {b} more
    {a} and another {b}
    {a} with {b} added
    {a} with {b} on top
    {a} increased by {b}
    {a} together with {b}
""")
SUM_ASK = lines("""
    add {a} (and|to) {b}
    (add|put) {a} and {b} [together]
    what do I get if I add {a} (to|and) {b}?
    I have {a} (apples|coins|books|eggs|stamps|balls|nuts|pens) and (get|buy|find|am given) {b} more, how many do I have
      [now]?
    (there are|we have) {a} (birds|cars|people|trees) and {b} (come|are added|more come), how many are there?
    if I add {b} to {a}, what is it?
    sum {a} and {b}
    increase {a} by {b}
    how many are {a} and {b} [together]?
    {b} more than {a}(?| is what?)
    (what|how much) (do|does|will|would) {a} and {b} (make|come to|add up to|give|total|amount to) [together|in total|]?
    (I have|there are|she has|he has|we own) {a} (cats|marbles|euros|tickets|cards|sweets|chairs|points) and (another|
      also) {b}(, how many in all|, how many altogether|. How many is that|, what is the total)?
    (one|the first|a) (box|bag|shelf|room|team) has {a} and the other [has] {b}(, how many together|, what is the total|,
      how many in all)?
    (first|yesterday) {a}(, then|, today|, and then) {b}(: how many in all|, how much is that|, what is the total)?
    (put|throw|take|count|lump) {a} and {b} together(, what is it|, how much is that|, what do you have|)
    (go|start|begin) (at|from|with) {a} and (add|go up|count on|climb) {b}
    {b} (is added|gets added|are added) to {a}(, result|, what now|, how much|)?
    {a} (people|birds|children|cars|books) plus {b} (more|others), (how many|what is the total)?
    what (is|would be) {b} more than {a}?
    if you have {a} and (someone gives you|you find|you get) {b} more, (how many do you have|what do you have)?
""")
DIFFERENCE = lines("""
    {a} - {b}
    {a}-{b}
    {a} minus {b}
    {a} less {b}
    the difference of {a} and {b}
    the difference between {a} and {b}
    {a} take away {b}
    {a} without {b}
    {a} reduced by {b}
    {a} down by {b}
    {a} with {b} taken away
    {a} with {b} removed
""")
DIFFERENCE_ASK = lines("""
    (subtract|take|remove|take away) {b} from {a}
    what (is left|remains) (if|when) I take {b} from {a}?
    I have {a} (apples|coins|books|eggs|stamps|balls|nuts) and (lose|give away|eat|sell|spend) {b}, how many (are left|
      remain|do I have)?
    decrease {a} by {b}
    how much more is {a} than {b}?
    {b} less than {a}(?| is what?)
    what do I get if I subtract {b} from {a}?
    how many are left of {a} (without|after taking away) {b}?
    (there were|I had|we had|she had|out of) {a} (cookies|birds|euros|people|cards|sweets|pages|tickets)(, and| and then|
      ,) {b} (went away|flew off|are gone|were eaten|left|were sold|got lost|are missing)(, how many are left|, what
      remains|, how many now|)?
    (how far|how much|how many) is (it|there|missing) from {b} to {a}?
    how (many|much) (must|do) I add to {b} to get {a}?
    what (is left|remains) of {a} (after|without|minus|if I remove|when I spend|less) {b}?
    (go|start|begin) (at|from|with) {a} and (take off|go down|count back|remove|drop|give away) {b}
    (by how much is|how much larger is|how much bigger is) {a} (larger|more|) than {b}?
    {b} (is|are|gets) (taken|subtracted|removed|deducted) from {a}(, what is left|, result|, how much|)?
    take {a} and (remove|subtract|drop|lose) {b}
    what (is|would be) {b} less than {a}?
    if you have {a} and (lose|spend|give away) {b}, (what is left|how many do you have|how many remain)?
""")
PRODUCT = lines("""
    {a} * {b}
    {a}*{b}
    {a} x {b}
    {a} × {b}
    {a} times {b}
    {a} multiplied by {b}
    the product of {a} and {b}
    {a} by {b}
    {a} lots of {b}
    {a} groups of {b}
""")
PRODUCT_ASK = lines("""
    multiply {a} (by|with|and|times) {b}
    what do I get if I multiply {a} by {b}?
    {a} (boxes|bags|rows) of {b} (apples|eggs|chairs|coins) each, how many (are there|altogether|in all|is that)?
    (what|how much) (do|does|will) {a} times {b} (make|come to|give|equal)?
    (there are|I have|we have) {a} (boxes|shelves|teams|tables|bags|rows|weeks|packs) with {b} (books|players|chairs|eggs|
      seats|days|pens) (each|in each|apiece)(, how many in all|, how many altogether|. How many is that|, what is the
      total)?
    {b} (things|euros|eggs|coins) {a} times(, how many|, what is that|)?
    (what|which number) is the product of {a} and {b}?
    {a} (people|children|friends) (get|have|bring|each have|each bring) {b} (sweets|books|coins|pens) (each|), how many
      (is that|in all|altogether)?
    (take|add|count) {b} {a} times(, what is it|, how much is that|)
    (times table|multiplication): {a} and {b}
    how many is {a} (times|multiplied by|rows of|sets of|packs of) {b}?
""")
DOUBLE = lines("""
    (double|twice|two times|the double of) {a}
    what is (double|twice|the double of) {a}?
    (double|please double|can you double) {a}
    {a} doubled[?]
    (how much|what) is twice {a}?
    what do I get if I double {a}?
    {a} times two
    (what|how much) (does|is|do I get when) {a} (doubled|twice|twice over|make when doubled|plus itself|and {a} again)?
    (twice as much as|two lots of|a pair of|double of|2 times|2 x) {a}[?]
    (multiply|times) {a} by (2|two)
    if {a} is doubled, what is it?
    (make|have|get|take) {a} (twice as large|twice|two times|double)(, what is it|, how much|)
    give me the double of {a}
    what number is twice as (big|large|much) as {a}?
    I want twice {a}
    the double of {a}, please
""")
HALF = lines("""
    (half of|the half of|one half of|half) {a}
    what is (half|the half) of {a}?
    (halve|please halve|can you halve) {a}
    {a} halved[?]
    {a} divided by (2|two)
    {a} / 2
    what do I get if I (halve {a}|divide {a} by two|cut {a} in half)?
    (how much|what) is (half of|half) {a}?
    (what|how much) (is|does|do I get when) {a} (halved|cut in two|shared by two|split in half|divided by two|over two|
      shared between two people)[?]
    (split|share|divide|cut|break) {a} (in two|into two|in half|by two|by 2|between two|into halves|equally in two)(, how
      much is one part|, what is one half|, what is it|)
    (the|) fifty percent of {a}[?]
    half as much as {a}(, please|?|)
    (two|2) (people|children|friends) share {a} (coins|euros|sweets|apples)(, how many each|, how many does each get|)?
    {a} over 2
    (what number|which number) is half (of|as big as|as large as) {a}?
    a half of {a}
    I want half of {a}
""")
LARGER = lines("""
    (which|what) (is|number is|one is) (larger|bigger|greater|more|the larger one|higher), {a} or {b}?
    (is {a} or {b}|{a} or {b}, which is) (larger|bigger|greater|more|higher)[?]
    which of [the numbers] {a} and {b} is (larger|bigger|greater|the larger|the bigger|higher)?
    {a} or {b}: (which|what) is (larger|bigger|more|greater)?
    (tell me|find|name|give me) the (larger|bigger|greater|higher) [one|number] of {a} and {b}
    (what|which) is the (larger|bigger|greater) number, {a} or {b}?
    (compare {a} and {b}|the larger of {a} and {b}|the bigger of {a} and {b}|maximum of {a} and {b})
    what is (more|greater|bigger), {a} or {b}?
    (is|what is) {a} (larger|bigger|greater|more) than {b} or (smaller|the other way round|less|is it the other way)?
    (out of|between|among|from|of) {a} and {b}, (which|what|pick|name|choose|say) [is] the (larger|bigger|greater|higher)
      [one|number|]
    {a} (or|versus|vs|against) {b}(: which wins|, which is more|, who is bigger|, which is greater|: the larger please|,
      the bigger one please)?
    (pick|choose|take|say|show me|name) (the bigger|the larger|the greater|the higher) [number|one|]: {a} (or|,|and) {b}
    which (number|one|figure) is (higher|larger|greater|bigger|more)(:|,| -) {a} or {b}?
    who has more, (somebody|a man|I|she) with {a} or (somebody|a man|he|one) with {b}?
    would you rather have {a} or {b} (coins|euros|if more is better)?
""")
SMALLER = lines("""
    (which|what) (is|number is|one is) (smaller|less|lower|the smaller one), {a} or {b}?
    (is {a} or {b}|{a} or {b}, which is) (smaller|less|lower)[?]
    which of {a} and {b} is (smaller|less|the smaller|lower)?
    (tell me|find|name|give me) the smaller [one|number] of {a} and {b}
    (the smaller of {a} and {b}|minimum of {a} and {b})
""")
AFTER = lines("""
    (what|which number) (comes|is|follows|goes) [right|directly|] after {a}?
    (what|which number) follows {a}?
    (the|what is the) (number|next number) (after|following) {a}[?]
    (what is|name|tell me|give me) the (next number|number|one) after {a}
    what number is next after {a}?
    (after {a} comes|what comes next after {a}|count on from {a} by one|{a}, and then|one more than {a}|the successor of
      {a})[?]
    (I count|counting|count): {a}, and (next|then|now)?
    (what|which) (is|would be|comes) (one more than|one up from|next after|right behind|the successor of|one after|one
      above|next in line after) {a}?
    {a} plus one(, which number|)?
    (the|which|what|name the) (number|one) (that comes|that follows|coming|right|directly|just|) (after|behind|above) {a}[?]
    (next|following|succeeding) number [after|to|of]: {a}
    (if I|when I|when you|after I) (count on from|have counted to|say|reach|am at) {a}, (what comes next|what is next|
      which number follows|what do I say next)?
""")
BEFORE = lines("""
    (what|which number) (comes|is|goes|stands) [right|directly|just|] before {a}?
    (what|which number) precedes {a}?
    (the|what is the) number (before|preceding) {a}[?]
    (what is|name|tell me|give me) the (previous number|number|one) before {a}
    (before {a} comes|one less than {a}|the predecessor of {a}|what number is just before {a})[?]
    (counting|count|I count) (down|backwards) from {a}(, what comes next|, what is next|:)?
    (what|which) (is|would be|comes) (one less than|one down from|one below|right before|just before|the predecessor of|
      one before|immediately before) {a}?
    {a} minus one(, which number|)?
    (the|which|what|name the) (number|one) (that comes|that stands|that is|coming|right|directly|just|) (before|in front
      of|below|ahead of) {a}[?]
    (previous|preceding|prior) number [before|to|of]: {a}
    (which|what) number do I say before {a} when (counting|I count)?
""")
COUNT = lines("""
    count [up] to {a}
    (can|could|would) you count [up] to {a}?
    (please|) count from (1|one) (to|up to) {a}
    (list|say|name|write|give me|show me|tell me) (the|all|) numbers (from 1 to|up to|from one to) {a}
    (I want you to|let us|let's|let me hear you) count [up] to {a}
    count for me to {a}
    counting to {a}
    (say|give me|list|recite|write|name|type|enumerate|show me) (all|the|all the|) (numbers|whole numbers) from (1|one)
      (to|up to|through|till|until) {a}
    (the|) numbers (1|one) (to|through|up to|until) {a}(, please|)
    (start|begin) (at|with) (1|one) and (count|go|stop) [up] (to|at) {a}
    (I want|I'd like|I would like) to (hear|see) you count to {a}
    (show|prove) (that you can|me you can|you can) count to {a}
    counting [from one|from 1|] to {a}(, please|)
    one, two, ... up to {a}
    how do you count to {a}?
""")


def _written(value: int, words: bool, draw: random.Random) -> str:
    return spoken(value, draw) if words else str(value)


def _operation(draw: random.Random) -> tuple[int, int, tuple[str, ...], tuple[str, ...], str]:
    kind = draw.choices("+-*", (5, 5, 4))[0]
    if kind == "*":
        a, b = draw.randint(0, 12), draw.randint(0, 12)
        return a, b, PRODUCT, PRODUCT_ASK, f"{a} × {b} = {a * b}."
    top = 20 if draw.random() < 0.25 else 99
    a, b = draw.randint(0, top), draw.randint(0, top)
    if kind == "+":
        return a, b, SUM, SUM_ASK, f"{a} + {b} = {a + b}."
    a, b = max(a, b), min(a, b)
    return a, b, DIFFERENCE, DIFFERENCE_ASK, f"{a} - {b} = {a - b}."


def _sum(draw: random.Random, words: bool) -> Turn:
    a, b, short, long, answer = _operation(draw)
    fill = {"a": lambda d: _written(a, words, d), "b": lambda d: _written(b, words, d)}
    if draw.random() < 0.3:
        return pick(long, draw, fill), answer
    return pick(AROUND, draw, {"x": lambda d: pick(short, d, fill)}), answer


def _single(draw: random.Random, words: bool) -> Turn:
    kind = draw.choice(("double", "half", "after", "before"))
    a = draw.randint(0, 99 if kind != "double" else 60)
    patterns, answer = {
        "double": (DOUBLE, f"Twice {a} is {2 * a}."),
        "half": (HALF, f"Half of {2 * (a // 2)} is {a // 2}."),
        "after": (AFTER, f"After {a} comes {a + 1}."),
        "before": (BEFORE, f"Before {a + 1} comes {a}."),
    }[kind]
    a = 2 * (a // 2) if kind == "half" else a + 1 if kind == "before" else a
    return pick(patterns, draw, {"a": lambda d: _written(a, words, d)}), answer


def _comparison(draw: random.Random, words: bool) -> Turn:
    a, b = draw.sample(range(100), 2)
    if draw.random() < 0.3:
        b = max(0, min(99, a + draw.choice((-10, -2, -1, 1, 2, 10))))
        b = b if b != a else a + 1
    fill = {"a": lambda d: _written(a, words, d), "b": lambda d: _written(b, words, d)}
    if draw.random() < 0.75:
        return pick(LARGER, draw, fill), f"{max(a, b)} is larger."
    return pick(SMALLER, draw, fill), f"{min(a, b)} is smaller."


def _count(draw: random.Random, words: bool) -> Turn:
    a = draw.randint(1, 10)
    return pick(COUNT, draw, {"a": lambda d: _written(a, words, d)}), ", ".join(map(str, range(1, a + 1))) + "."


def arithmetic(draw: random.Random) -> Turn:
    """A question and its answer."""
    kind = draw.choices((_sum, _single, _comparison, _count), (10, 4, 2, 1))[0]
    question, answer = kind(draw, draw.random() < 0.22)
    return roughen(question, draw) if draw.random() < 0.5 else question, answer
