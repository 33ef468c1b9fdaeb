"""Everyday words, by kind: what unknown questions are about, what is copied, told and remembered."""

from __future__ import annotations

ANIMALS = """
    cat dog horse cow pig sheep goat hen duck goose mouse rat rabbit hamster parrot canary turtle snake lizard frog spider
    bee ant wolf bear fox deer lion tiger elephant giraffe monkey camel whale dolphin shark trout salmon octopus crab snail
    owl eagle raven swan pigeon penguin ostrich kangaroo koala panda otter beaver badger hedgehog squirrel donkey pony
    budgie ferret gecko goldfish guinea-pig tortoise kitten puppy moth beetle wasp llama seal walrus bison moose crow
    sparrow heron
""".split()
FOODS = """
    bread butter cheese milk yoghurt egg rice pasta noodles soup stew salad potato tomato onion garlic carrot pepper cabbage
    spinach bean lentil mushroom apple pear plum peach cherry banana orange lemon melon grape berry mango fig date olive nut
    honey sugar salt cake pie biscuit pancake waffle pudding chocolate ice-cream jam tea coffee juice water beer wine cocoa
    sausage ham bacon chicken beef lamb fish tuna shrimp pizza burger sandwich curry sushi dumpling omelette risotto
    porridge toast muffin cracker popcorn pretzel gravy broth mustard vinegar basil mint ginger cinnamon
""".split()
JOBS = """
    baker teacher doctor nurse farmer driver pilot sailor soldier lawyer judge painter singer dancer actor writer poet
    plumber carpenter mason gardener butcher cook waiter tailor barber dentist vet engineer mechanic electrician programmer
    designer architect librarian translator student professor chemist biologist historian journalist photographer musician
    conductor postman fisherman hunter shepherd miner welder jeweller florist cleaner guard clerk banker cashier manager
    broker detective
""".split()
THINGS = """
    table chair bed lamp door window wall roof floor garden fence gate road bridge river lake sea island beach forest field
    hill mountain valley desert cloud rain snow storm wind sun moon star sky night morning summer winter spring autumn house
    castle tower church school shop market office factory station airport harbour train bus car bicycle boat ship plane
    rocket engine wheel clock watch key lock box bag basket bottle cup glass plate spoon fork knife pan oven fridge phone
    radio camera piano guitar violin drum flute book page letter pen pencil paper map picture mirror candle stove blanket
    pillow shirt coat hat shoe sock glove ring coin ticket ball doll kite puzzle hammer nail saw rope ladder bucket broom
    brush soap towel stone sand iron gold silver copper wood leaf flower tree root seed grass feather bone shell tax bank
    loan bill rent price job salary holiday journey wedding birthday party game song story film poem dream idea lesson exam
""".split()
TOPICS = """
    history geography chemistry biology physics astronomy music painting football tennis chess cooking gardening medicine
    law politics economics religion philosophy poetry grammar fashion cars trains films theatre sailing swimming skiing
    hiking photography mathematics algebra geometry calculus gravity electricity magnetism evolution photosynthesis
    inflation democracy feudalism capitalism climate volcanoes earthquakes dinosaurs vikings pharaohs knights planets comets
    galaxies atoms molecules genes vitamins viruses bacteria vaccines insurance mortgages pensions marriage love friendship
    happiness death war peace
""".split()
PLACES = """
    France Germany Spain Italy Portugal Greece Turkey Egypt Kenya Nigeria Morocco India China Japan Korea Vietnam Thailand
    Australia Canada Mexico Brazil Peru Chile Argentina Norway Sweden Finland Denmark Poland Russia Ukraine Hungary Austria
    Ireland Scotland England Iceland Cuba Iran Iraq Israel Paris London Berlin Madrid Rome Vienna Prague Moscow Cairo Delhi
    Tokyo Beijing Sydney Toronto Boston Chicago Lima Lagos Oslo Dublin Athens Lisbon Europe Africa Asia America Mars Jupiter
    Saturn Venus
""".split()
PEOPLE = """
    Shakespeare Einstein Newton Mozart Beethoven Bach Picasso Napoleon Caesar Cleopatra Columbus Darwin Galileo Gandhi
    Lincoln Washington Churchill Goethe Dante Homer Plato Aristotle Socrates Buddha Confucius Marx Freud Tesla Edison Elvis
    Madonna Chaplin Hitchcock Pele Kennedy Stalin Columbus Vermeer Rembrandt Chopin Vivaldi Tolstoy Dickens Austen Curie
    Turing
""".split()
QUALITIES = """
    red green blue yellow white black brown pink purple grey big small old new young long short high low hot cold warm wet
    dry clean dirty full empty heavy light hard soft loud quiet fast slow early late rich poor strong weak bright dark sweet
    sour bitter salty fresh stale sharp blunt smooth rough round square narrow wide deep shallow thick thin brave shy kind
    rude lazy busy happy sad angry calm proud clever foolish honest polite lonely hungry thirsty tired sick healthy famous
    secret strange common rare cheap expensive broken open closed wooden golden silent crimson scarlet amber violet teal
    olive ivory
""".split()
DEEDS = """
    bake boil fry cook clean wash paint draw build repair sell buy rent steal find lose hide break fix open close carry lift
    throw catch kick ride drive fly climb grow plant water cut sew knit weave write read translate learn teach study
    calculate count measure weigh solve prove invent discover cure treat feed train tame hunt fish sail row swim polish melt
    freeze burn decorate renovate print publish record film photograph edit compose play sing perform win lose defeat invite
    marry divorce impress persuade convince forgive hire fire promote insure tax invest save spend earn borrow lend donate
    start stop leave change delete remove choose use install run make get stop clear set show quantify compress shrink load
    pack unpack ship send receive
""".split()
VERBS_PAST = """
    opened closed found lost carried painted washed bought sold broke fixed followed watched heard forgot remembered liked
    wanted moved pushed pulled dropped lifted hid showed cleaned counted chased caught kept left took gave made drew
""".split()
ADVERBS = """
    slowly quickly today yesterday again twice never always often soon early late outside inside upstairs together alone
    quietly loudly carefully gladly here there nearby at noon
""".split()
CODE = """
    Python JavaScript Java C++ Rust Go HTML CSS SQL bash regex React Kotlin Swift Perl Haskell Excel Docker git Linux
    Windows
""".split()
TASKS = """sorts a list|reverses a string|finds prime numbers|computes factorials|reads a CSV file|sends an email|
downloads a page|plays a game|draws a circle|parses a date|counts words|removes duplicates|converts units|checks a password|
merges two lists|makes a web server""".replace("\n", "").split("|")

EVERYTHING = tuple(
    sorted({*ANIMALS, *FOODS, *JOBS, *THINGS, *TOPICS, *QUALITIES, *VERBS_PAST, *(word.lower() for word in PLACES)})
)
