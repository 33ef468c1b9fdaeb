"""What a user may tell about himself: how it is told, how it is asked for, what is answered. `{v}` is the value.

Each fact has a phrase ("your name") that its answers share, so that what was understood of a telling is said aloud, and is
found again by the asking.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from scripts.demo.corpus import values, words
from scripts.demo.corpus.grammar import lines

Draw = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One kind of fact. `short` is for a sentence that tells several: "I am Bo and I live in Ulm"."""

    value: Draw
    tells: tuple[str, ...]
    short: tuple[str, ...]
    corrections: tuple[str, ...]
    asks: tuple[str, ...]
    noted: str
    answer: str
    missing: str


def _cased(draw: random.Random, words_: list[str]) -> str:
    """A word of a kind or any word; two of them now and then."""
    text = draw.choice(words_) if draw.random() < 0.25 else values.word(draw)
    if draw.random() < 0.12:
        text += " " + (draw.choice(words_) if draw.random() < 0.4 else values.word(draw))
    return text


def _colour(draw: random.Random) -> str:
    head = draw.choice(("dark ", "light ", "pale ", "deep ", "bright ")) if draw.random() < 0.15 else ""
    return head + _cased(draw, words.QUALITIES)


def _age(draw: random.Random) -> str:
    return str(draw.randint(1, 99)) if draw.random() < 0.85 else values.spoken(draw.randint(3, 99), draw)


def _item(draw: random.Random) -> str:
    return values.name(draw) if draw.random() < 0.3 else values.word(draw)


KINSHIP = """
    sister brother mother father wife husband son daughter friend best-friend boss teacher neighbour cousin uncle aunt
    girlfriend boyfriend grandmother grandfather colleague partner baby landlord doctor street school band boat car team
    company village hometown
""".replace("-", " ").split()
FAVOURITES = """
    drink animal season flower sport song book city number word game fruit day month film tree instrument subject band
    country bird dish dessert vegetable language hobby place letter toy tea metal planet writer
""".split()
THINGS_WITH_NUMBER = """
    phone house locker flight bus ticket order table gate platform seat account parking customer member pin bike train
    jersey apartment floor desk
""".split()
THINGS_WITH_CODE = "door wifi secret access safe login bike gate alarm discount launch".split()
PLACED = "keys key phone wallet glasses passport umbrella bike car money bag ticket book hat map letter".split()


def favourite(thing: str, value: Draw, *extra: str, asks: str = "") -> Fact:
    """A favourite something; British and American spelling."""
    f = "(favourite|favorite)"
    return Fact(
        value,
        lines(f"""
            my {f} {thing} is {{v}}
            my {f} {thing} is {{v}}
            {{v}} is my {f} {thing}
            the {thing} I (like best|love most|like most|prefer|love|like|adore) is {{v}}
            I (like|love) {{v}} [the] (best|most) of all {thing}s
            of all {thing}s, I (like|love) {{v}} (best|most)
            I (think|would say|guess|must say) my {f} {thing} is {{v}}
            (remember|note|know|keep in mind|don't forget|please remember|for your information) [that|,] my {f} {thing}
              is {{v}}
            {thing}: {{v}} is my favourite
            my {f} {thing}: {{v}}
            as for {thing}s, my {f} (is|one is) {{v}}
            there is no {thing} like {{v}}, it is my {f}
            (the|what's the) best {thing} (is|? For me it is) {{v}}
            if I had to (choose|pick|name) a {thing}, (I'd choose|I would take|I'd pick|it would be|I'd say) {{v}}
            (nothing|no {thing}) (beats|is better than|compares to|comes close to) {{v}}, (if you ask me|it is my {f}
              {thing}|as {thing}s go)
            my (best-loved|preferred|most loved|number one) {thing} is {{v}}
            (I am|I'm) (fond of|crazy about|very fond of|mad about|in love with) the {thing} {{v}}
            the {thing} {{v}} (is my {f}|is the one I like best|is what I like best|pleases me most)
            {{v}} is (the|a) {thing} (I like best|for me|I adore|I could never do without|that I prefer|that I love most)
            I have always (loved|liked|preferred) {{v}} as a {thing}
            when it comes to {thing}s, (I prefer|I like|I choose|give me|nothing beats) {{v}}
        """)
        + extra,
        lines(f"my {f} {thing} is {{v}}\nmy {f} {thing} is {{v}}\nI like {{v}} best of all {thing}s"),
        lines(f"""
            (actually|now|by now|no,|sorry,|wait,|today|these days|in fact), my {f} {thing} is [now] {{v}}
            I changed my mind: my {f} {thing} is [now] {{v}}
            my {f} {thing} is (no longer that, it is|now|not that any more but) {{v}}
            correction: my {f} {thing} is {{v}}
            (I was wrong|I made a mistake|I lied), my {f} {thing} is {{v}}
            make that {{v}} for my {f} {thing}
            {{v}} is my {f} {thing} now
            (forget|scratch|never mind) (that|what I said|the old one): my {f} {thing} is {{v}}
            I (have switched|switched|moved on|prefer) (to|now) {{v}} as my {f} {thing}
            (these days|lately|nowadays|from now on|by now), (I prefer|my {f} {thing} is|I like best) {{v}} [as a {thing}|]
            (oh wait|hang on|hold on|hm), (I meant|I mean|make it|it is) {{v}}, (my {f} {thing}|the {thing} I like best)
            (update|change|correct) my {f} {thing} to {{v}}
            my {f} {thing} (has changed|changed|is different now)(: it is|, it is|, now it is|. It is) {{v}} [now|]
            my (new|real|actual|true) {f} {thing} is {{v}}
            I (like|love|prefer) {{v}} (more|better|even more) [now|], (it is|so it is|that is) my {f} {thing} now
            (not|no longer) (that one|the old one), {{v}} is my {f} {thing}
            I (no longer like it|have a new {f} {thing}): {{v}}
        """),
        lines(f"""
            (what is|what's|which is|whats|tell me|do you remember|do you know|can you tell me|name|say|remind me of) my
              {f} {thing}?
            (which|what) {thing} (do I like best|do I like most|is my {f}|do I prefer|do I love|did I say I like best|do
              I like|was my {f})?
            what did I (say|tell you) (my {f} {thing} (is|was)|about my {f} {thing})?
            (do|can) you (remember|recall|still know) (my {f} {thing}|which {thing} I like best|what my {f} {thing} is)?
            my {f} {thing}[?| is what?| was?]
            (and|so) what [again|] is my {f} {thing}?
            which {thing} did I (name|mention|call my {f}|tell you)?
            (I forgot|remind me:|quick:) what (is|was) my {f} {thing}?
            (have I told you|did I tell you) my {f} {thing}?
            (which|what) (was|is) the {thing} (I like best|I like most|I prefer|I love|I told you about|I mentioned|that
              I like so much)[ again|]?
            (can|could) you (name|tell me|say|recall|repeat) (my {f} {thing}|the {thing} I like best|the {thing} I
              mentioned|which {thing} I prefer)?
            if you (had to give me|gave me|bought me) my {f} {thing}, what would it be?
            (name|say|tell me|repeat) the {thing} (I like best|I prefer|that I like most|I told you)
            (so|now|again), which {thing} (did I say I like|is it that I like|do I prefer|was it)?
            (is there|do you know) a {thing} (I like best|that I like|I am fond of|I prefer)?
        """)
        + lines(asks),
        f"I will remember that your favourite {thing} is {{v}}.",
        f"Your favourite {thing} is {{v}}.",
        f"You have not told me your favourite {thing}.",
    )


def possession(thing: str, value: Draw) -> Fact:
    """The name of somebody or something of the user's."""
    return Fact(
        value,
        lines(f"""
            my {thing} is (called|named) {{v}}
            my {thing}'s name is {{v}}
            the name of my {thing} is {{v}}
            {{v}} is (my {thing}'s name|the name of my {thing}|what my {thing} is called)
            I have a {thing} (called|named|whose name is|by the name of) {{v}}
            {{v}} is my {thing}
            (we|they|people) call my {thing} {{v}}
            (remember|note|know|please remember) that my {thing} is (called|named) {{v}}
            (this is|here is|meet) my {thing} {{v}}
        """),
        lines(f"my {thing} is called {{v}}\nmy {thing}'s name is {{v}}"),
        lines(f"""
            (actually|no|sorry|wait), my {thing} is (called|named) {{v}}
            (actually|no|sorry|wait), my {thing}'s name is {{v}}
            I was wrong: my {thing} is called {{v}}
            my {thing} is now called {{v}}
        """),
        lines(f"""
            (what is|what's|whats|tell me|do you remember|do you know|say|can you tell me) (my {thing}'s name|the name of
              my {thing})?
            (what|how) is my {thing} (called|named)?
            what do (I|we) call my {thing}?
            what did I (say|tell you) my {thing} (is|was) called?
            (what|which) name (has|does) my {thing} [have]?
            my {thing}'s name[?| is?]
            (who|what) is my {thing}?
            (do|can) you (remember|recall|still know) (my {thing}'s name|what my {thing} is called|the name of my {thing})?
        """),
        f"I will remember that your {thing} is called {{v}}.",
        f"Your {thing} is called {{v}}.",
        f"You have not told me the name of your {thing}.",
    )


def numbered(thing: str, value: Draw) -> Fact:
    """A number or code of something of the user's: `thing` such as "room number"."""
    return Fact(
        value,
        lines(f"""
            my {thing} is {{v}}
            the {thing} is {{v}}
            {{v}} is (my|the) {thing}
            I (have|got|was given) [the] {thing} {{v}}
            my {thing}: {{v}}
            (remember|note|keep|write down|please remember|don't forget|memorize) [that|] my {thing} (is|:) {{v}}
            (remember|note|keep|please remember) (the|my|this) {thing}: {{v}}
            (here is|this is) my {thing}: {{v}}
            they gave me [the] {thing} {{v}}
            (just so you know|by the way|for later|a note), my {thing} is {{v}}
            the {thing} (I was given|I have|I use|I chose|of mine|they told me|that I got) is {{v}}
            {{v}} (is|was) the {thing} (I got|they gave me|I have|I was given|I chose|of mine)
            (I am|I'm|we are) (staying in|using|under|on) {thing} {{v}}
            (store|save|keep|retain|hold on to) [this|] for me: my {thing} is {{v}}
            (it's|it is) {{v}}, my {thing}
        """),
        lines(f"my {thing} is {{v}}"),
        lines(f"""
            (actually|now|no|sorry|wait), my {thing} is [now] {{v}}
            my {thing} (changed to|has changed, it is now|is now) {{v}}
            (correction:|I was wrong,) my {thing} is {{v}}
            I have a new {thing}: {{v}}
            (update|change|correct) my {thing} to {{v}}
            my (new|real|actual) {thing} is {{v}}
            they (changed|moved me, now) my {thing} (to|is) {{v}}
            (oh wait|hang on|hold on|hm), (I meant|I mean|make it|it is) {{v}}, my {thing}
            (not|no longer) that (one|number|), my {thing} is {{v}}
            they gave me (another|a different|a new) {thing}: {{v}}
            (forget|scratch|never mind) (that|the old one): my {thing} is {{v}}
        """),
        lines(f"""
            (what is|what's|whats|which is|tell me|do you remember|do you know|can you tell me|remind me of|give me) (my|
              the) {thing}?
            what did I (say|tell you) (my|the) {thing} (is|was)?
            (which|what) {thing} (do I have|have I got|did I tell you|did I say|did I give you|is mine|was it)?
            (do|can) you (remember|recall|still know) my {thing}?
            my {thing}[?| was?| again?]
            (I forgot|remind me,) what (is|was) my {thing}?
            (which|what) was (the|my) {thing} (I told you|I mentioned|I gave you|they gave me|again|I have)?
            (can|could) you (repeat|tell me|give me|say|recall|read back) my {thing} [again|please|]?
            (say|repeat|name|give) (me|) my {thing} [again|once more|please|]
            (under|with|at) (which|what) {thing} (am I|was it|do I find it)?
            (I lost|I can't remember|I have forgotten|I no longer know) my {thing}(, what was it|, can you help|. What
              was it|, do you know it|)?
        """),
        f"I will remember that your {thing} is {{v}}.",
        f"Your {thing} is {{v}}.",
        f"You have not told me your {thing}.",
    )


NAME = Fact(
    values.name,
    lines("""
        my name is {v}
        my name is {v}
        my name's {v}
        I am {v}
        I'm {v}
        im {v}
        call me {v}
        (you can|you may|please|just|you should) call me {v}
        (people|my friends|they|everybody|friends|folks|most people) call me {v}
        I am (called|named|known as) {v}
        I go by [the name of|the name|] {v}
        {v} is my name
        {v} is what (people|they|my friends) call me
        (this is|it is|it's me,|here is) {v} [speaking|here|writing|]
        (hi|hello|hey|good morning|greetings), (I am|I'm|my name is|this is|it's|here is) {v}
        (hi|hello|hey), {v} here
        {v} here
        the name is {v}
        the name's {v}
        (they|my parents) (named|called) me {v}
        (let me introduce myself:|may I introduce myself?) (I am|my name is|I'm) {v}
        (remember|note|keep in mind|please remember|know|don't forget) [that] my name is {v}
        my first name is {v}
        I was (named|christened|baptized) {v}
        you are (talking|speaking) to {v}
        (just so you know|by the way|first of all|before we start|to begin with|for the record), (my name is|I am|I'm
          called|I go by|people call me) {v}
        (most people|friends|my family|everyone|my colleagues|folks) (know me as|call me|say) {v}
        I (answer to|listen to|respond to) (the name|the name of|) {v}
        (the person|the one|whoever is) (typing|talking to you|in front of you|writing this) is (called|named) {v}
        (let's|let us|shall we) (introduce ourselves|get acquainted|begin politely): I am {v}
        (nice to meet you|pleased to meet you|how do you do)[,.] (I'm|I am|my name is) {v}
        {v}, that's me
        {v} (is the name|at your service|speaking|is who I am)
        (on paper|officially|at home|in my passport) (I am|my name is|I am called) {v}
    """),
    lines("""
        my name is {v}
        I am {v}
        I'm {v}
        I am called {v}
    """),
    lines("""
        (actually|no|sorry|wait|in fact|oh), my name is {v}
        (actually|no|sorry|wait|in fact), I am [called] {v}
        (actually|from now on|please|no,|rather), call me {v} [instead|from now on|]
        my name is not that, it is {v}
        I changed my name to {v}
        I lied, my name is {v}
        correction: my name is {v}
        I made a mistake, my name is {v}
        my name is now {v}
        I was joking, (I am|my name is) {v}
        (forget|scratch|never mind) (that|the old name|what I said): (I am|my name is|call me) {v}
        I (would rather|prefer to) be called {v}
        (since|from) (today|yesterday|my wedding) [on|] my name is {v}
        (that was a slip|that was wrong|not quite): (my name is|I am|it is) {v}
        it is {v}, not what I said before, that is my name
        (oh wait|hang on|hold on|hm), I (meant|mean) {v}, that is my name
        (my real|my actual|my true|my new|my proper) name is {v} [actually|though|]
        (you|I) (got|had) my name wrong(, it is|: it is|; I am called) {v}
        (please|) (change|update|correct) my name to {v}
        (not|no longer) that name (any more|now), (I am|call me|it is) {v}
    """),
    lines("""
        (what is|what's|whats|tell me|do you remember|do you know|say|can you tell me|can you say|do you still know|
          repeat) my name?
        who am I?
        what am I called?
        (what|how) (do|does) (people|my friends|one) call me?
        how am I called?
        what (should|do|will|can) you call me?
        what did I (say|tell you) my name (is|was)?
        what name did I (give|tell|give you|tell you|mention)?
        (do|can) you (remember|recall|still know) (my name|who I am|what I am called|me|what my name is)?
        (which|what) is my name[ again]?
        my name[?| is?| was?| please]
        (have you forgotten|did you forget|have you kept|do you recall) my name?
        (I forgot|remind me|quick): what is my name?
        (and|so), what (is|was) my name [again|]?
        (address|greet) me by [my] name
        (whom|who) are you (talking|speaking) (to|with)?
        (have I told you|did I tell you) my name?
        (by|under) what name do I go?
        (what|which) name (do I go by|am I known by|have I got|did I introduce myself with|belongs to me)?
        (how|by what name) (did I|have I) (introduce|introduced) myself?
        (could|can|would) you (tell me|repeat|remind me of|recall|say) (my name|what I am called|who I am|what my name was)?
        (does my name ring a bell|any idea who I am|guess who I am|remember who I am|still know who I am)?
        how do (my friends|people|others) (address|call|name) me?
        (write|spell|type|use) my name
        (do|can) you (still|) (know|remember|recall|tell|guess) who (I am|is talking to you|you are talking to|is typing|
          is speaking|am I)?
        (tell|say|show) [me|] (who I am|who is talking to you|whom you are talking to|how I am called)
        (with|to) whom (are you|do you|have you been) (talking|speaking|talk|speak|chatting)?
        (I am|so I am|and I am)... (who|what was my name|what)?
        (me|my person|the user), what is (my|the|his or her) name?
        (so|and|now|ok), who am I [again|then|to you|]?
        what (did I|do I) (call myself|say I am called|introduce myself as)?
        (have you got|do you have|did you note|did you keep) my name?
        (by the way|quick check|a test|memory test)[,:] (my name|what is my name|who am I)?
    """),
    "Nice to meet you! I will remember that your name is {v}.",
    "Your name is {v}.",
    "You have not told me your name.",
)
HOME = Fact(
    values.name,
    lines("""
        I live in {v}
        I live in {v}
        I am living in {v}
        I'm living in {v}
        my home is [in] {v}
        I (reside|dwell|stay) in {v}
        {v} is (where I live|my home|my home town|where my home is)
        I have lived in {v} (for years|for ten years|all my life|since last year)
        (my house|my flat|my apartment) is in {v}
        (remember|note|please remember|know) that I live in {v}
        the (town|city|place|village) (I live in|where I live) is [called] {v}
        I am (at home|based|settled) in {v}
        (these days|at present|currently|for years now|since last spring|nowadays) (I live|I am living|my home is|I am
          based) in {v}
        (you will find me|you can find me|I can be found) in {v}, (that is where I live|where I live|at home)
        I have (a house|a flat|a small house|an apartment|a room|my home) in {v}
        (the town|the village|the city|the place) where I (live|am at home|have my house) is {v}
        (we|my family and I|my wife and I) live in {v}
        {v} is (the town|the city|the village|the place) (I live in|where I live|I call home)
        I (call|consider) {v} (home|my home)
        I (share|rent|own) a (flat|house) in {v}
    """),
    lines("""
        I live in {v}
        I am living in {v}
        my home is in {v}
    """),
    lines("""
        (actually|no|now|sorry|wait|in fact), I live in {v} [now|]
        I [have|] (moved|just moved|moved house) to {v}
        I no longer live there, I live in {v}
        now I live in {v}
        I was wrong, I live in {v}
        my new home is [in] {v}
        (last week|yesterday|recently|meanwhile|by now|since then) I [have|] moved to {v}
        (forget|scratch|never mind) (that|what I said): I live in {v}
        I (have|) (left|packed my things) and (live|am living|moved) [now|] (in|to) {v}
        (update|change|correct) (my home|where I live|my town) to {v}
        (oh wait|hang on|hold on|hm), I (meant|mean) {v}, that is where I live
        (since|as of) (then|last week|yesterday|today|this month) I (have moved to|moved to|live in|have been living in) {v}
        (I do not live there|we don't live there|that was long ago|that is not right)(, I live in|, we moved to|; now I
          live in|, my home is in) {v}
        my (new|real|actual|present) home is [in|] {v}
        we have moved: (our|my) (new house|new home|flat) is in {v}
        I am (moving|relocating) to {v}, (and live there now|that is my home now|so I live there)
        my address has changed: {v} is where I live now
    """),
    lines("""
        where do I live?
        (tell me|do you remember|do you know|can you tell me|do you recall|say) where I live?
        (in which|which|what) (city|town|place|village|country) do I live [in]?
        where (is my home|am I living|is my house|is my flat|am I at home|do I reside)?
        what did I (say|tell you) about where I live?
        where did I (say|tell you) (I live|that I live|my home is)?
        (what is|what's) (my home|my home town|the place where I live|the name of my town|my place of residence|my address)?
        what (town|city|place) (is my home|do I call home)?
        (and|so) where do I live?
        (where|in which place|in what town) (have I got my home|do I have my home|is it that I live|would you find me|can
          I be found|am I based|am I settled)?
        (which|what) (town|place|city|village) did I (say I live in|name as my home|tell you I live in|move to|mention as
          my home)?
        (name|tell me|say|repeat) (my home town|the place I live in|the town where I live|where my home is|where I live)
        (if you sent me a letter|to visit me), where (would it go|would you go|must you go)?
    """),
    "I will remember that you live in {v}.",
    "You live in {v}.",
    "You have not told me where you live.",
)
ORIGIN = Fact(
    values.name,
    lines("""
        I come from {v}
        I am from {v}
        I'm from {v}
        I was born in {v}
        I grew up in {v}
        {v} is where I (come from|am from|was born|grew up)
        my (birthplace|family comes from|roots are in|home country is|native town is|home town is) {v}
        I (originally|) come from {v} [originally|]
        (remember|note|please remember) that I (come from|am from) {v}
        greetings from {v}, that is where I am from
        (my people|my parents|my family|my ancestors|all of us) (come|are) from {v}
        (originally|by birth|as a child|in my youth), I (come|was|am) from {v}
        I (spent my childhood|first saw the light|went to school|was raised) in {v}, that is where I (come from|am from)
        {v} is (my place of birth|my birthplace|my native town|where my roots are|the place I am from|the town I come from)
        I am a native of {v}
        I hail from {v}
    """),
    lines("""
        I come from {v}
        I am from {v}
        I'm from {v}
    """),
    lines("""
        (actually|no|sorry|wait|in fact), I (come from|am from) {v}
        I was wrong, I come from {v}
        I lied: I am from {v}
        (oh wait|hang on|hold on|hm), I (meant|mean) {v}, that is where I am from
        (forget|scratch|never mind) (that|what I said): I (come|am) from {v}
        (in truth|to be honest|really), I (come|am) from {v}
        (update|change|correct) (my origin|where I come from) to {v}
    """),
    lines("""
        where do I come from?
        where am I from?
        (tell me|do you remember|do you know|can you tell me|do you recall|say) where I (come from|am from)?
        (from which|which|what) (city|town|place|village|country) (do I come|am I) [from]?
        where (was I born|did I grow up)?
        what is my (origin|birthplace|home country|native town)?
        where did I (say|tell you) I (come from|am from|was born|grew up)?
        (and|so) where am I from?
        (what|which) (town|place|country|city) (am I a native of|do I hail from|did I say I am from|did I mention as my
          origin|are my roots in)?
        where (do I hail from|are my roots|did my life begin|is my family from|was it that I come from|did I say I come
          from)?
        (name|tell me|say|repeat) (my birthplace|the place I come from|where I am from|my place of birth|where I was born|
          the town I come from)
    """),
    "I will remember that you come from {v}.",
    "You come from {v}.",
    "You have not told me where you come from.",
)
JOB = Fact(
    lambda draw: _cased(draw, words.JOBS),
    lines("""
        I am a {v} by (profession|trade|training)
        I work as a {v}
        I work as a {v}
        I work as {v}
        my (job|profession|occupation|trade) is {v}
        I am a {v}
        I'm a {v}
        I earn my (living|money) as a {v}
        (by profession|by trade|professionally), I am a {v}
        {v} is my (job|profession|occupation)
        I have a job as a {v}
        (remember|note|please remember) that I (work as|am) a {v}
        I am employed as a {v}
        I make a living as a {v}
        (for a living|for my living|during the week|on weekdays|at work|these days), I (work as a|am a|earn my bread as
          a) {v}
        (they|my company|a firm) (pay|pays|employ|employs|hired) me (as a|to work as a) {v}
        I (trained|studied|was trained) to be a {v}, and that is my job
        I have (worked|been working) as a {v} (for years|since last year|for ten years|all my life)
        working as a {v} is (what I do|my job|how I earn my money|what I do for a living)
        my (daily work|line of work|work|career|trade) is (that of a|being a) {v}
    """),
    lines("""
        I work as a {v}
        I am a {v}
        my job is {v}
        I'm a {v}
    """),
    lines("""
        (actually|no|now|sorry|wait|in fact), I work as a {v} [now|]
        I changed jobs: I am a {v} now
        I have a new job as a {v}
        now I am a {v}
        I quit and became a {v}
        my new job is {v}
        (they promoted me|I got promoted|I retrained|I changed my career): now I (am|work as) a {v}
        (forget|scratch|never mind) (that|what I said): I (am|work as) a {v}
        (update|change|correct) my (job|profession) to {v}
        (oh wait|hang on|hold on|hm), I (meant|mean) {v}, that is my job
        my (new|real|actual) (job|profession) is {v}
        they (made|have made) me a {v} (now|last week|today|), that is my job now
        I no longer do that, I work as a {v}
    """),
    lines("""
        what is my (job|profession|occupation|trade|work)?
        what's my (job|profession|occupation|trade)?
        what do I do [for a living|for work|professionally|as a job]?
        what do I work as?
        (tell me|do you remember|do you know|can you tell me|do you recall) (my job|what I do|what my job is|my
          profession|what I do for a living|what I work as)?
        (which|what) (job|profession|occupation) do I have?
        what did I (say|tell you) (I do|my job is|my job was|about my job|I do for a living|I work as)?
        how do I (earn|make) my (money|living)?
        my (job|profession)[?| is?]
        as what do I work?
        (and|so) what do I do for a living?
        (what|which) (kind of work|line of work|trade|work) (do I do|am I in|is mine|do I have|did I say I do)?
        (how|with what|by what) do I (earn my bread|earn a living|make ends meet|pay my bills|spend my working days)?
        (name|tell me|say|repeat) (my job|my profession|what I do for a living|my trade|my line of work|what I work as)
        (for|as) what (am I paid|am I employed|was I hired|do they pay me)?
        what did I (train|study) to be?
    """),
    "I will remember that your job is {v}.",
    "Your job is {v}.",
    "You have not told me your job.",
)
AGE = Fact(
    _age,
    lines("""
        I am {v} years old
        I'm {v} years old
        I am {v}
        I'm {v}
        my age is {v}
        I (just|) turned {v} [today|last week|yesterday|]
        {v} is my age
        I am {v} years of age
        I have (lived|been alive) for {v} years
        (remember|note|please remember) that I am {v} [years old]
        I will be {v} (soon|tomorrow|this year)
        (on my last birthday|last month|this year|this spring) I (turned|became) {v}
        (there were|I had) {v} candles on my [birthday|] cake
        I have {v} (years|birthdays) behind me
        at {v} years of age[, I am still learning|, I feel fine|, here I am]
        (by the way|for the record|you should know), I am {v} years old
    """),
    lines("""
        I am {v} years old
        I am {v}
        my age is {v}
        I'm {v}
    """),
    lines("""
        (actually|no|now|sorry|wait|in fact), I am {v} [years old|now|]
        today I turned {v}
        I had a birthday, I am {v} now
        I lied about my age, I am {v}
        I was wrong, I am {v} years old
    """),
    lines("""
        how old am I?
        (what is|what's|whats) my age?
        (tell me|do you remember|do you know|can you tell me|do you recall) (my age|how old I am)?
        what age (am I|did I tell you|do I have)?
        how old did I say I am?
        how many years (old am I|have I lived)?
        what did I (say|tell you) about my age?
        my age[?| is?]
        (and|so) how old am I?
        (how many|what number of) (candles|years|birthdays) (were on my cake|have I had|do I have behind me|am I old|have
          I)?
        (what|which) age (did I mention|did I give|am I at|have I reached|was it)?
        (name|tell me|say|repeat|guess) (my age|how old I am|what age I am)
        (can|could) you (recall|tell me|say|repeat) (my age|how old I am)?
    """),
    "I will remember that you are {v} years old.",
    "You are {v} years old.",
    "You have not told me your age.",
)
FOOD = favourite(
    "food",
    lambda draw: _cased(draw, words.FOODS),
    *lines("""
        I (like|love|enjoy|prefer) to eat {v} [most|best of all|more than anything]
        I love [eating] {v}
        (there is nothing|nothing is) (better|tastier) than {v}
        I could eat {v} (every day|all day|all the time)
        my (favourite|favorite) (dish|meal) is {v}
        what I like to eat best is {v}
        {v} is what I like to eat (most|best)
        (for dinner|on Sundays|at home|for lunch|if I may choose), I (always have|like to eat|love to eat|eat) {v}(, my
          favourite|, it is my favourite food|, I like it best)
        (give me|serve me|cook me|bring me) {v} (any day|and I am happy), it is my favourite food
        (the dish|the meal|what) I (like|love|enjoy) (best|most) is {v}
        I (adore|am crazy about|am mad about|cannot resist|can't get enough of) {v}
        {v} is (my favourite thing to eat|delicious, my favourite food|the best thing to eat|what I like to eat most of
          all|the food for me)
    """),
    asks="""
        what do I (like|love|prefer|enjoy) to eat [most|best]?
        what is my (favourite|favorite) (dish|meal|thing to eat)?
        what (dish|meal) do I like [best]?
        what could I eat every day?
        what do I (love|like) eating?
        what (should|would|could) you (cook|serve|make) (for me|me) [to make me happy|]?
        what (would|do) I (order|eat|like) (best|most|in a restaurant|if I could choose|for dinner)?
        which (dish|food|meal) (am I crazy about|can't I resist|makes me happy|did I say I love)?
    """,
)
COLOUR = favourite(
    "(colour|color)",
    _colour,
    *lines("""
        I like {v} best, as a (colour|color)
        {v} is the (colour|color) I (like best|love|prefer)
        I love the (colour|color) {v}
        I like the (colour|color) {v} (best|most)
        the (colour|color) {v} is my favourite
    """),
)


def _colour_fact() -> Fact:
    """The colour with one spelling in what the model says."""
    fixed = [text.replace("(colour|color)", "colour") for text in (COLOUR.noted, COLOUR.answer, COLOUR.missing)]
    return Fact(COLOUR.value, COLOUR.tells, COLOUR.short, COLOUR.corrections, COLOUR.asks, *fixed)


@dataclass(frozen=True, slots=True)
class Pet:
    """A pet has two values, its kind {k} and its name {v}, and is asked for either."""

    tells: tuple[str, ...]
    corrections: tuple[str, ...]
    asks_name: tuple[str, ...]
    asks_kind: tuple[str, ...]


PET = Pet(
    lines("""
        I have a {k} (called|named|whose name is|by the name of) {v}
        I have a {k} (called|named) {v}
        I have a {k}, (its|his|her) name is {v}
        I (own|keep|got|live with) a {k} (called|named) {v}
        my {k} is (called|named) {v}
        my {k}'s name is {v}
        the name of my {k} is {v}
        {v} is (my {k}|my {k}'s name|the name of my {k}|what I call my {k})
        my pet is a {k} (called|named) {v}
        my pet is a {k} and (its|his|her) name is {v}
        (we|they) call (our|my) {k} {v}
        (we|my family and I) have a {k} (called|named) {v}
        (this is|meet|here is) my {k} {v}
        my pet {v} is a {k}
        (remember|note|please remember) that my {k} is called {v}
        there is a {k} (called|named) {v} (in my house|at home|living with me)
        (at home|in my house|in the garden) I (have|keep) a {k}(; its name is|. We call it|, and it is called|, named|,
          called) {v}
        my (little|old|big|young|lovely|dear|black|white|clever) {k} is (called|named) {v}
        I (share my home|live|walk every day|play) with (a|my) {k} (called|named) {v}
        {v} is (a {k} and lives with me|the name of the {k} I have|my beloved {k}|my {k}, in case you wonder)
        (we|I) (got|adopted|bought|found|have) a {k} (last year|recently|) and (named|called) (it|him|her) {v}
        (as a pet|for company) I (have|keep) a {k} (called|named) {v}
        I look after a {k}, {v} (by name|is its name)
    """),
    lines("""
        (actually|no|sorry|wait), my {k} is (called|named) {v}
        (actually|no|sorry|wait), I have a {k} (called|named) {v}
        I was wrong: my {k} is called {v}
        (I gave my {k} a new name: {v}|my new {k} is called {v}|now I have a {k} called {v})
    """),
    lines("""
        (what is|what's|whats|tell me|do you remember|do you know|say) (my {k}'s|my pet's) name?
        (what is|what's|whats|tell me|do you remember) the name of my ({k}|pet)?
        (what|how) is my ({k}|pet|animal) (called|named)?
        what do I call my ({k}|pet)?
        what did I (say|tell you) my ({k}|pet) (is|was) called?
        my ({k}|pet)'s name[?| is?]
        (do|can) you (remember|recall|still know) (my ({k}|pet)'s name|what my ({k}|pet) is called)?
        which name (has|does) my ({k}|pet) [have]?
        (by|under) what name (does|do) (my {k}|my pet|I call my pet) (go|answer|) [to|]?
        (which|what) name (did I give|belongs to|has) my ({k}|pet|animal)?
        (name|tell me|say|repeat|recall) (my {k}'s name|my pet's name|the name of my {k}|the name of my pet|what my {k}
          is called)
        (how|what) (do I|should I|would I) (call|shout for) my ({k}|pet|animal)?
        who is my ({k}|pet)?
        what name did I give my ({k}|pet)?
    """),
    lines("""
        (what|which) (pet|animal|kind of pet|kind of animal|sort of pet|type of pet) (do I have|have I|do I own|have I
          got|do I keep|lives with me)?
        what [kind of] (animal|pet) is my pet?
        what is my pet?
        (do|can) you (remember|recall|know) (what|which) (pet|animal) I have?
        (do I have a pet|have I got a pet|do I have an animal)?
        what did I (say|tell you) about my pet?
        what (kind of|) (animal|creature|pet) is {v}?
        who is {v}?
        (which|what) (animal|creature|beast) (do I share my home with|lives with me|do I keep at home|is it that I have|
          did I mention|do I look after|did I tell you about)?
        (name|tell me|say) (what animal I have|which pet I have|what kind of animal {v} is|what {v} is)
        (is|was) {v} (a cat or a dog|an animal|a person|a {k}|my pet)?
        what (sort|kind|species) of (animal|pet) is {v}?
        have I (got|told you about) (a pet|an animal|any pets)?
    """),
)

FIXED: dict[str, Fact] = {
    "name": NAME,
    "colour": _colour_fact(),
    "home": HOME,
    "origin": ORIGIN,
    "job": JOB,
    "age": AGE,
    "food": FOOD,
    "lucky": numbered("lucky number", values.number),
    "room": numbered("room number", values.number),
}
FAVOURITE_FACTS = [(f"favourite {thing}", favourite(thing, _item)) for thing in FAVOURITES]
NUMBER_FACTS = [(f"{thing} number", numbered(f"{thing} number", values.number)) for thing in THINGS_WITH_NUMBER]
CODE_FACTS = [(f"{thing} code", numbered(f"{thing} code", values.code)) for thing in THINGS_WITH_CODE]
NAMED_FACTS = [(thing, possession(thing, values.name)) for thing in KINSHIP]


def any_fact(draw: random.Random) -> tuple[str, Fact]:
    """A kind of fact: most often one of the usual ones."""
    kind = draw.random()
    if kind < 0.64:
        return draw.choice(list(FIXED.items()))
    if kind < 0.78:
        return draw.choice(FAVOURITE_FACTS)
    if kind < 0.88:
        return draw.choice(NAMED_FACTS)
    return draw.choice(NUMBER_FACTS if kind < 0.95 else CODE_FACTS)
