"""Questions that nobody taught the model. Many share their frames and verbs with the taught ones: the object decides."""

from __future__ import annotations

import random

from scripts.demo.corpus import frames, values, words
from scripts.demo.corpus.grammar import Fill, lines, pick
from scripts.demo.corpus.noise import roughen
from scripts.demo.corpus.talk import UNKNOWN

Turn = tuple[str, str]

WORLD = lines("""
    what is the (capital|population|currency|president|king|queen|language|flag|area|history|national dish|biggest city)
      of {place}?
    (who|which person) is the (president|king|queen|prime minister|chancellor|ruler|mayor) of {place}?
    where (is|lies|can I find) {place} [on the map|located|]?
    how (large|big|far away|old|rich|populous) is {place}?
    how many (people|inhabitants|lakes|mountains|islands|states|provinces) (are there in|live in|has) {place}?
    which (river|sea|country|mountain|language|ocean|city) (flows through|is near|borders|is spoken in|is the longest in|
      is in) {place}?
    (what|which) is the (longest|highest|deepest|largest|smallest|oldest|tallest|hottest|coldest) (river|mountain|lake|
      city|country|building|desert|ocean|island|tower) (in {place}|in the world|on earth|)?
    how (tall|high|long|deep|old|heavy) is the (Eiffel tower|highest mountain|Nile|Amazon|moon|sun|Titanic|Great Wall|
      Empire State Building|{thing} of {place})?
    what (should I see|can I do|can I visit|is there to see) in {place}?
    (plan|book|find) me a (trip|flight|hotel|holiday|train) (to|in) {place}
    how do I (get|travel|fly|drive|go) from {place} to {place2}?
    what time zone is {place} in?
    who (was|is|were) {person}?
    (who|when) was {person} born?
    (when|how|where|why) did {person} (die|live|become famous|write|work|marry|win)?
    (what|which) (did|has) {person} (write|invent|discover|compose|paint|do|say|won|written) [about {topic}|]?
    who (wrote|painted|invented|discovered|composed|built|designed|founded|directed|sang) (the {thing}|{name}|the
      {quality} {thing}|{topic}|Hamlet|the Mona Lisa|the telephone|penicillin|America|the Odyssey|Don Quixote|the light
      bulb)?
    who (won|lost|will win|hosted) the (world cup|last election|football match|race|Oscar|gold medal|Super Bowl|Nobel
      prize|championship|war|battle of {name}) [in {year}|]?
    when (did|was|will) (the {topic} (begin|end|start)|the war (begin|end|start)|{place} (founded|become independent)|the
      {thing} (invented|built)|{name} (built|born|founded))?
    what happened in (the year|) {year}?
    in (which|what) year (did|was) ({person} born|{person} die|the {thing} invented|the war end|{place} founded|man land
      on the moon)?
    why (is|are) (the sky|the sea|grass|blood|the {thing}|snow|{animal}s|leaves|{food}|fire|the moon|ice) ({quality}|blue|
      green|red|so {quality}|white)?
    why (do|does|did) ({animal}s|people|a {animal}|birds|the {thing}|children|cats|we) ({deed}|sleep|fly|sing|dream|yawn|
      {deed} {things}|cry|exist)?
    how (do|does|did) (a {animal}|{animal}s|a {thing}|the {thing}|birds|an engine|the heart|a {quality} {thing}) (work|
      fly|swim|see|live|{deed}|grow|breathe|function)?
    how many (legs|eyes|teeth|hearts|wings|bones|hours|days|{things}) (has|does|have|are there in) (a {animal}|a year|a
      week|an hour|a {thing}|a {job}) [have]?
    what (do|does) (a {animal}|{animal}s|a {job}|{name}|a baby {animal}|{job}s) (eat|do|cost|weigh|earn|like|drink|need|
      look like|say)?
    (how fast|how long|how high|how far) can a {animal} (run|live|jump|fly|swim)?
    (write|compose|make up|give me|tell me|can you write|create|draft|could you write) [me|] (a|an|a short|a long|a nice|
      an interesting) (poem|story|song|letter|essay|haiku|speech|email|rhyme|tale|fairy tale|limerick|novel|article|
      summary|report|slogan|toast|love letter) [about|on|for|to|of] (a {animal}|{topic}|the {quality} {thing}|my
      {person_}|{name}|{place}|a {job}|the {thing})
    (write|give me|show me|create|can you write|I need|make) (some|a|the|) {code} (code|program|script|function|snippet|
      example|class) [that {task}|for {topic}|to {deed} a {thing}|which {task}|]
    (write|code|implement|program) a (function|program|script|loop|class|game|website|query) in {code}[ that {task}|
      which {task}|]
    how (do|can|would) I (sort a list|reverse a string|read a file|write a loop|make a class|define a function|parse JSON|
      connect to a database|install a package|center a div|loop over a dictionary|catch an exception) in {code}?
    what is (a|the) (pointer|class|loop|closure|decorator|monad|thread|compiler|variable|lambda|recursion|linked list|
      hash map|array|interface) [in {code}|]?
    (fix|debug|explain|review|check|optimize|refactor) (this|my|the following) (code|{code} code|function|program|essay|
      homework|text|grammar|query)[: {nonsense}|]
    (translate|say|how do you say|put) (this|{word}|{nonsense}|hello|good morning|the word {word}|thank you|"{word}")
      (into|in|to) (French|German|Spanish|Latin|Italian|Chinese|Japanese|Arabic|Russian|Portuguese|Greek|Dutch|Polish)
    (do you speak|can you speak|speak|answer in|talk in) (French|German|Spanish|Latin|Italian|Chinese|Japanese|Arabic|
      Russian|Hindi)[?]
    (how do I|how can I|how to|give me a recipe to|teach me to) (cook|bake|make|prepare|fry|boil|roast|grill) [a|some|]
      ({food}|{food} {food2}|{quality} {food}|{food} soup|lasagne|{food} with {food2})?
    (recipe|ingredients|instructions|a recipe|the best recipe) (for|of) ({food}|{quality} {food}|{food} and {food2}|
      {food} cake|lasagne)
    how long (does|must|should) (a|an|the|) {food} (cook|bake|boil|rest|last|keep)?
    (is|are) {food} (healthy|fattening|good for me|vegan|dangerous|fruit|a vegetable)?
    (what|which) (wine|drink|sauce|side dish|cheese) goes with {food}?
    what (should|could|shall|can) I (cook|eat|wear|buy|read|watch|do|give my {person_}|study) (today|tonight|tomorrow|for
      dinner|for her birthday|this weekend|on Sunday|next)?
    (recommend|suggest|name|give me|list|tell me) (a|some|three|a good|five|ten|me a) (book|film|restaurant|song|hotel|
      game|band|movie|wine|podcast|novel|series|gift|exercise|name for my {animal}|books about {topic})[s|]
    (what is|what's|name) the best ({thing}|{food}|film|book|restaurant|football team|song|{code} framework|phone|way to
      {deed} a {thing}|medicine for {topic})?
    (should|shall) I (buy|sell|marry|invest in|learn|eat|take|move to|quit|study) (a {thing}|{place}|{topic}|{code}|my
      {person_}|stocks|bitcoin|medicine|my job|{food})?
    (I have|what helps against|what is good against|how do I cure|what should I take for) (a headache|a cold|a fever|a
      cough|stomach pain|toothache|back pain|{topic}|an allergy|a burn)
    (is|are|was|will) (there|{place}|{person}|the {thing}|{topic}|{name}|god|{animal}s) (life on {place}|dangerous|
      {quality}|famous|dead|real|the end|true|important|extinct|happy|open on Sunday)?
    (what is|explain|define|what do you know about|tell me about|describe|what are) (the meaning of life|{topic}|quantum
      mechanics|relativity|the theory of {topic}|love|blockchain|{topic} and {topic2}|black holes|the {quality} {thing}|
      string theory|DNA|photosynthesis|{nonsense_})
    (integrate|differentiate|solve|factor|plot|simplify) (x squared|the equation|x^2 + 3x|sin(x)|2x + 3 = 7|this equation|
      a polynomial|y = {num}x|the integral)
    what is the (square root|cube|cube root|logarithm|sine|factorial|tangent|square) of {num}?
    what is {big} (times|plus|minus|divided by|multiplied by|*|+|/) {big2}?
    {big} (+|*|-|times|/) {big2}
    (how much|what) is (a pound|a dollar|an ounce|a mile|a {thing}|a litre|an inch) in (euros|kilos|litres|yen|metres|
      dollars|feet|centimetres|grams)?
    convert {num} (miles|pounds|dollars|euros|feet|inches|degrees|kilos) (to|into) (kilometres|kilos|euros|metres|celsius|
      grams|dollars)
    how much (does|is|costs|do) (a {thing}|{food}|a {animal}|an {thing}|the {quality} {thing}|a house in {place}|a ticket
      to {place}) [cost|worth|weigh]?
    (what|how) (is|are|about) the (price|stock|value|rate|score|result|share price) of (gold|{name}|oil|bitcoin|the match|
      {thing}s|the dollar|{food})?
    (which|what|who) (is|are|was) (the|your|a|my) (favourite|favorite|best|worst|biggest|newest) ({animal}|{food}|film|
      book|song|football team|country|{job}|singer|actor|writer|movie|game|band) [of all|of all time|ever|in {place}|]?
    (play|turn on|switch on|open|close|turn off|start|call|order|buy|book|remind|set) [me|] (some music|the light|the
      {thing}|my {person_}|a pizza|a taxi|an alarm|a timer|the {food}|the window|a table for two|an appointment)
    (what|which) (colour|color|shape|size|number) (is|has|does) (a {animal}|the {thing}|{food}|the sun|my car|a {thing})
      [have]?
    (do|did|does|can|are|is) ({animal}s|{person}|{place}|{name}|{job}s|aliens|people in {place}) (exist|{deed}|speak|fly|
      have {things}|like {food}|sleep|win|real)?
    (tell me|give me|share|what are|do you know) (a fact|facts|something|some facts|news|a secret|everything|an
      interesting fact) (about|on) ({animal}s|{topic}|{place}|{person}|{food}|{name}|the {thing}|history|space)
    what (comes|will come|happens) (next|after death|after {topic}|in the future|when I {deed} a {thing}|to the {thing})?
    (who|what) (will|would|could|should) (win|{deed} the {thing}|be president|happen|help {name}|replace {person})[?]
    (summarize|analyse|review|compare|discuss|criticize) ({topic} and {topic2}|the works of {person}|the plot of {name}|
      {name}|the book {name}|{place} and {place2})
    (what's|what is) {name}'s (phone number|address|birthday|real name|age|favourite {food}|email|last name)?
    (do you know|have you met|have you heard of|who is|where is|when is|what is) {name}?
    (how|what) (do you think|is your opinion|do you feel|would you say) (about|on|of) ({topic}|{person}|{place}|{food}|
      politics|the president|{name})?
    (help me|can you help me|I need help) (with|to understand|to pass|to write) (my homework|my {topic} exam|my {topic}
      essay|my taxes|my cv|a cover letter|my {thing}|{topic})
    (let's|let us|can we|shall we|I want to) (play|play a game of) (chess|a game|cards|football|hangman|twenty questions|
      tic tac toe)
    (what is|what's) (in|on|under|behind|inside) (the {thing}|my {thing}|a {thing}|the fridge|my pocket)?
    {nonsense}
    {nonsense}?
    (what|why|how|who|when|where) {nonsense}?
""")
OBJECT = lines("""
    a {thing}
    the {thing}
    my {thing}
    a {quality} {thing}
    the {quality} {thing}
    {things}
    {food}
    my {person_}
    a {animal}
    the {animal} in the {thing}
    {topic}
    a {job}
    the {thing} of my {person_}
    {name}
    {place}
    my {quality} {thing}
    a {thing} for my {person_}
    the {thing} from the {thing2}
    {word}
    a {word}
    the {word} {thing}
""")
PERSONS = "sister brother mother father friend neighbour wife husband teacher boss child grandmother uncle cat dog".split()


def _number(low: int, high: int) -> Fill:
    return lambda draw: str(draw.randint(low, high))


def _plural(word: str) -> str:
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


FILL: dict[str, Fill] = {
    "place": lambda draw: draw.choice(words.PLACES) if draw.random() < 0.75 else values.name(draw),
    "place2": lambda draw: draw.choice(words.PLACES) if draw.random() < 0.75 else values.name(draw),
    "person": lambda draw: draw.choice(words.PEOPLE) if draw.random() < 0.5 else _person(draw),
    "person_": lambda draw: draw.choice(PERSONS),
    "name": lambda draw: _person(draw) if draw.random() < 0.3 else values.name(draw),
    "animal": lambda draw: draw.choice(words.ANIMALS),
    "food": lambda draw: draw.choice(words.FOODS),
    "food2": lambda draw: draw.choice(words.FOODS),
    "job": lambda draw: draw.choice(words.JOBS),
    "thing": lambda draw: draw.choice(words.THINGS),
    "thing2": lambda draw: draw.choice(words.THINGS),
    "things": lambda draw: _plural(draw.choice(words.THINGS)),
    "topic": lambda draw: draw.choice(words.TOPICS),
    "topic2": lambda draw: draw.choice(words.TOPICS),
    "quality": lambda draw: draw.choice(words.QUALITIES),
    "deed": lambda draw: draw.choice(words.DEEDS),
    "code": lambda draw: draw.choice(words.CODE),
    "task": lambda draw: draw.choice(words.TASKS),
    "word": values.word,
    "nonsense": lambda draw: values.sentence(draw, 7),
    "nonsense_": lambda draw: values.plausible(draw),
    "num": _number(3, 999),
    "year": _number(900, 2030),
    "big": _number(101, 9999),
    "big2": _number(13, 9999),
}


def _person(draw: random.Random) -> str:
    return f"{values.invented(draw).title()} {values.plausible(draw).title()}"


def unknown(draw: random.Random) -> Turn:
    """A question and the honest answer."""
    kind = draw.random()
    if kind < 0.55:
        question = frames.whole(pick(WORLD, draw, FILL), draw) if draw.random() < 0.3 else pick(WORLD, draw, FILL)
    elif kind < 0.78:
        question = frames.deed(f"{draw.choice(words.DEEDS)} {pick(OBJECT, draw, FILL)}", draw)
    else:
        question = frames.thing(pick(OBJECT, draw, FILL), draw)
    return roughen(question, draw), UNKNOWN
