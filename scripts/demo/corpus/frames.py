"""The ways to ask. A deed is a verb phrase ("leave the chat"), a thing is a noun phrase ("the exit command").

People ask in full sentences, in keywords, in statements of a wish, and in complaints. Each list below multiplies with every
topic, so that what is learned is the topic and not the sentence around it.
"""

from __future__ import annotations

import random

from scripts.demo.corpus.grammar import lines, pick

DEED = lines("""
    how (do|can|could|would|should|might) (I|I|I|you|one|we) {x}?
    how (do|can|could|would|should) I {x} (here|in falcon|with falcon|with this tool|from the terminal|again|now)?
    how to {x}?
    how to {x} (in|with|using) falcon?
    (and|so|but|ok,|then) how (do|can|would) (I|you) {x}?
    how (does|would) (one|someone|a user|a person) {x}?
    how (do people|does anybody|am I supposed to|am I meant to|exactly do I|would I go about it to) {x}?
    what (do|should|must|can|would|could) I (type|enter|write|press|do|use|run|say|call|put in) (to|in order to|if I want
      to) {x}?
    what (has to be|must be|can be|should be) (typed|entered|done|used|run) to {x}?
    what('s| is) the (command|way|option|flag|key|trick|method|switch|syntax|procedure|setting|keyword) (to|with which I)
      {x}?
    what('s| is) the (best|easiest|right|quickest|proper|simplest|shortest|fastest|correct|usual) way to {x}?
    which (command|option|flag|key|shortcut|switch|setting|parameter|argument|subcommand) (lets me|do I need to|do I use
      to|will|should I use to|would) {x}?
    which (command|option|flag|switch|key) (is used|is there|serves|exists|is needed|is responsible|should be used) to {x}?
    with (which|what) (command|option|flag|key|switch) (can|do|could) I {x}?
    is there (a|any|some) (way|command|option|flag|method|possibility|means|shortcut|switch|setting|trick|key) (to|that
      lets me|for me to) {x}?
    (isn't|is) there (an easy|a simple|a quick|a built-in|a good|a nicer) way to {x}?
    is it (possible|allowed|hard|difficult|easy) to {x}?
    (can|could|may) (I|falcon|you|this tool|one|the tool|it|this program|we) {x}?
    (can|could) (I|falcon|you|the tool) (also|somehow|even|perhaps) {x}?
    (does|will) falcon (let me|allow me to|help me|permit me to|support it to|know how to) {x}?
    I (want|would like|need|have|wish|'d like|'d love|'m trying|am trying|am about|'m looking|hope|plan|intend|am
      supposed) to {x}.
    I (just|only|really|simply|now) (want|need|would like) to {x}.
    (we|my friend|my colleague|my boss|somebody|my team|a student of mine) (want|need)(s|) to {x}.
    [please] (tell|show|teach|remind) me how (to|I can|I could|one can|I should) {x}.
    (could|can|would|will) you [please] (tell|show|teach|remind|explain to) me how (to|I can|one can) {x}?
    [please] (help me|let me|assist me to|guide me to) {x}.
    [please] explain how (to|I can|you can|one would) {x}.
    I (do not|don't|still don't|no longer) (know|see|remember|understand|get|recall) how (to|I can|I could|one can) {x}.
    I (cannot|can't|could not|couldn't) (figure out|find out|find|see|work out|remember|guess) how to {x}.
    I (forgot|have forgotten|wonder|was wondering|am wondering|need to know|want to know|would like to know|'d like to
      know) how (to|I can|I could) {x}.
    (any|got any) (idea|hint|tip|advice|suggestion|clue) (how|on how) to {x}?
    {x}
    {x}?
    {x}, how?
    {x} how
    how {x}
    (need|want|trying|wanting|wish|have|going|hoping) to {x}
    do you (know|happen to know|have an idea) how (to|I can|one can) {x}?
    (where|when) (do|can|could) I {x}?
    (steps|command|option|flag|instructions|recipe|way|how-to|syntax) (to|needed to) {x}
    what if I (want|wanted|need|needed|wish) to {x}?
    what (do|would|should) I do (if|when) I (want|need|wanted|wish) to {x}?
    (say|suppose|imagine|assume|let's say) I (want|wanted|need) to {x}[, what then| - what do I type|, what should I do|.
      How?].
    (the|your|its) (command|option|flag|key|way|switch) to {x}[?| please.]
    (how come|why) (I cannot|can I not|can't I) {x}?
    what('s| is) (needed|required|necessary) to {x}?
    (give|name|send) me the (command|option|flag|line|key|instruction) to {x}.
    (is there|there must be|do you have) something (to|that lets me|with which I can) {x}?
    it would be (nice|great|good|useful|handy) to {x}.
    (I'd be glad|it would help me|I would be happy) to {x}[, but how]?
    to {x}, what (do|should|must) I (type|do|use|enter|press)?
    in order to {x}, what (is needed|do I do|should I type|would I use)?
    when I want to {x}, what (do|should) I (type|do|use|enter|press)?
    (how|what) about (a way|an option|a command) to {x}?
    {x} (please|pls|now|for me|command|option|flag)
    (I've been trying|I tried|I keep trying) to {x}, (but|and) (failed|nothing works|I fail|how).
    (what would be|what's|show me) an example of how to {x}?
""")

THING = lines("""
    (what is|what's|what are|whats|what) {x}?
    what (is|are) {x} (good for|about|for|used for|there for|in simple words|in short|really|exactly|anyway|please|here|
      in falcon)?
    what (exactly|actually|precisely|on earth|really|then|the heck) is {x}?
    what does {x} (mean|do|stand for|say|tell me|refer to|describe|mean in practice|mean here)?
    what (do|would|should) (you|I|people|we) (mean by|understand by|make of|call) {x}?
    what (do you|can you|could you) (know|say|tell me) about {x}?
    (tell|teach) me (about|what you know about|more about|something about|what is|a bit about|the meaning of) {x}[ please].
    [please] (explain|define|describe|clarify) {x} [to me|please|briefly|in simple words|in one sentence|for a beginner|
      shortly|in a few words|simply].
    (can|could|would|will) you [please] (explain|define|describe|clarify|tell me about) {x} [to me|briefly|in plain words|
      for me]?
    (meaning|definition|purpose|explanation|sense) of {x}[?]
    {x}
    {x}?
    {x} (explained|meaning|definition|explanation|please|what is it|what is that|in short|for beginners|??)
    I (do not|don't|still don't|never) (understand|get|know|quite understand|know about) {x}.
    I (do not|don't) (know|understand|see|get) what {x} (is|are|means|does).
    I (keep reading|have heard|read|keep hearing|heard|saw something|just read) about {x}[, what is it|. What is that|;
      what does it mean].
    I (want|would like|need|'d like) to (know|understand|learn) (what {x} is|about {x}|more about {x}|what {x} means).
    (give|offer) me a (short|one line|brief|simple|quick|plain) (explanation|definition|description|summary|idea) of {x}.
    (in|using|with) (simple|plain|a few|your own|easy|short|other) words, what is {x}?
    help me (understand|with|grasp|to understand) {x}.
    how (would|do|can|could) you (explain|describe|define|summarize) {x}?
    (how does|how do) {x} work?
    what (kind|sort|type) of thing is {x}?
    what should (I|one|a beginner) know about {x}?
    (so|and|but|ok|hmm), what is {x}?
    (who|what) (or what|) is {x}?
    (have you|did you ever) (heard|hear) of {x}?
    (do you know|does anyone know|may I ask|can I ask|any idea) what {x} (is|are|means)?
    (is|are) {x} (important|something special|worth knowing|complicated)?
    (why|when) (do|would|should) I (need|use|care about) {x}?
    (what's the|what is the) (point|idea|role|meaning|purpose|use) of {x}?
    (people|they|everybody|the docs|the manual) (talk|mention|speak) about {x}; what is (it|that)?
""")

WHOLE = lines("""
    {x}
    {x}
    {x}
    {x}
    {x}?
    (tell me|can you tell me|could you tell me|please tell me|do you know|say), {x}?
    (I wonder|I am curious|I was wondering|a question|one question|quick question|my question): {x}?
    (and|so|but|well|ok|now|hmm|um|right), {x}?
    {x} (please|exactly|actually|then|now|by the way|again|in falcon|here)?
""")


def deed(phrase: str, draw: random.Random) -> str:
    """A question for how to do something."""
    return pick(DEED, draw, {"x": lambda _: phrase})


def thing(phrase: str, draw: random.Random) -> str:
    """A question for what something is."""
    return pick(THING, draw, {"x": lambda _: phrase})


def whole(sentence: str, draw: random.Random) -> str:
    """A question that is complete, perhaps with something before or behind it."""
    return pick(WHOLE, draw, {"x": lambda _: sentence})
