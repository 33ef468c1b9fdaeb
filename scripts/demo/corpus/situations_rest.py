"""The other topics as people bring them up: errors that they meet, models, terms, and small talk."""

from __future__ import annotations

MORE: dict[str, str] = {
    "notfound": """
        (it|falcon|the tool) (claims|thinks|insists|says|keeps saying) (there is no|it does not know|it can't find|it
          knows no) (such model|my model|model of that name|model by that name)
        (I typed|I gave|I entered|I wrote) the (name|model name|name of a model) and (it is not found|it was not found|
          falcon cannot find it|got an error|it fails)
        (does|is|why does) (my|the|this) model (not exist|unknown|exist|not found|missing on Hugging Face)?
        (unknown|nonexistent|misspelled|no such|missing|wrong) (model|model name|repository|repo)
        (what does|why do I see|what is|why) (exit code|code|status|error) (3|three) [mean|about|happen]?
        the (command|call|run) (ended|returned|failed|exited|came back) with (a|an|) (3|three|exit code of 3|code of three)
    """,
    "gated": """
        (I|we) (must|have to|should|need to|was told to) (log in|authenticate|show a token|prove who I am|accept a
          licence)(, how|, where|, what do I set|)
        (my|the) (Hugging Face|HF|access|hub) (token|key|login)(, where does it go|, how do I use it|, where do I put it|
          : where)?
        (meta|the authors|tiiuae|the owners) (restrict|restricts|guard|protect) (access to the model|the model|the
          weights|downloads)
        (download|access) (is|was) (refused|denied|forbidden|rejected) (because|since|as) (I am not logged in|the model
          is gated|I have no token|it is private)
        (it|falcon|Hugging Face) (refuses|will not let me|does not let me|won't let me|forbids me) (to download|download|
          access|the model|get the model|have the weights)
        (the|this) (model|repository|repo|checkpoint) (requires|needs|wants|asks for|demands) (a login|permission|a token|
          authentication|that I accept terms|an account|my approval)
        (how|where) do I (enter|give|put|set|supply|provide|store) (my|the|an) (token|access token|Hugging Face token|
          credentials|login|key)?
        (access|permission|download) (denied|refused|forbidden|restricted|not granted)
        (private|gated|restricted|protected|locked) (model|repo|repository|weights)(, what now|, how do I get in|)
        (401|403) (error|when downloading|from Hugging Face)?
    """,
    "offlineerror": """
        (with|using|I used|I set) (--offline|the offline flag|the offline option) (it|falcon|the model) (fails|does not
          load|cannot be loaded|is missing|refuses|cannot be found)
        (it|falcon) (says|complains) (the files|the weights|the model) (are|is) not (here|on this machine|on disk|local|
          downloaded|in my cache) [because I am offline|in offline mode|]
        (no network and|offline, and|I am on a plane and|without internet) (the model is not here|it cannot find the
          model|the model was never downloaded|no model)
        (offline|--offline)(:|,) (model missing|not downloaded|nothing in the cache|cannot load|not available)
        why can't I (use|load|run|open) (this|my|the) model offline?
    """,
    "memoryerror": """
        (it|falcon|the program|my GPU|my machine|loading) (crashes|dies|stops|fails|gives up) (because|since|as|when)
          (there is no memory left|the memory is full|memory runs out|RAM runs out|it is too big)
        (the|my) (GPU|card|machine|laptop|RAM) (is too small|has too little memory|cannot hold the model|is full|is not
          big enough)(, what can I do|, what now|, help|)
        (memory|RAM|VRAM) (ran out|is exhausted|exhausted|overflow|error|is not enough|too small|is used up)
        (CUDA|cuda|GPU|it) (reports|says|ran|runs|complains) (out of memory|memory error|no memory|about memory)
        (what does|why do I see|what is|why) (exit code|code|status|error) (4|four) [mean|about|happen]?
        the (command|call|run) (ended|returned|failed|exited|came back) with (a|an|) (4|four|exit code of 4|code of four)
    """,
    "usage": """
        (I think|maybe|it seems) I (mistyped|misspelled|used wrongly|got wrong) (an option|a flag|an argument|the command)
        (it|falcon) (rejects|refuses|does not accept|does not understand|complains about) (my|an|the) (option|flag|
          argument|command line|arguments)
        (what does|why do I see|what is|why) (exit code|code|status|error) (2|two) [mean|about|happen]?
        the (command|call|run) (ended|returned|failed|exited|came back) with (a|an|) (2|two|exit code of 2|code of two)
        (unknown|invalid|bad|wrong|missing|unrecognized) (option|flag|argument|usage|value|parameter)
    """,
    "code1": """
        (what does|why do I see|what is|why) (exit code|code|status|error) (1|one) [mean|about|happen]?
        the (command|call|run) (ended|returned|failed|exited|came back) with (a|an|) (1|one|exit code of 1|code of one)
        (meaning of|explain) (exit|return|status) (code|status|) (1|one)
    """,
    "code130": """
        (what does|why do I see|what is|why) (exit code|code|status|error) 130 [mean|about|happen]?
        the (command|call|run|script) (ended|returned|failed|exited|came back|stopped) with (a|an|) (130|exit code of 130|
          code of 130)
        (meaning of|explain) (exit|return|status) (code|status|) 130
        (my script|the shell|echo $?) (shows|says|prints|reports|got) 130
        (after|when) (I interrupted|interrupting|I stopped|stopping) (it|falcon)(, which code|, what is the exit code|, I
          get 130|)?
    """,
    "code74": """
        (what does|why do I see|what is|why) (exit code|code|status|error) 74 [mean|about|happen]?
        the (command|call|run|script) (ended|returned|failed|exited|came back|stopped) with (a|an|) (74|exit code of 74|
          code of 74)
        (meaning of|explain) (exit|return|status) (code|status|) 74
        (my script|the shell|echo $?) (shows|says|prints|reports|got) 74
    """,
    "code6": """
        (what does|why do I see|what is|why) (exit code|code|status|error) (6|six) [mean|about|happen]?
        the (command|call|run|script) (ended|returned|failed|exited|came back|stopped) with (a|an|) (6|six|exit code of 6|
          code of six)
        (meaning of|explain) (exit|return|status) (code|status|) (6|six)
        (my script|the shell|echo $?) (shows|says|prints|reports|got) (6|six)
        (config.json|a model file|the weights|the safetensors file|the checkpoint) (is|are|seems) (broken|damaged|
          unreadable|cut off|corrupted|invalid)
    """,
    "notemplate": """
        (it|falcon) (refuses|will not|won't|cannot) (chat|talk) (because|since|as) (the model has no template|there is no
          chat template|a template is missing|it finds no template)
        (there is|I get|I see) (no template|a missing template|a template error|an error about a chat template)(, what
          now|, what do I do|, which option helps|)
        (the|my|a) (base|pretrained|plain) model (has|comes with|knows|brings) no [chat] template(, what do I do|, which
          option|, how do I use it|)
        (chat template|template) (not there|is absent|does not exist|is lacking|none)
    """,
    "positions": """
        (it|falcon|the model) (refuses|rejects|complains about|does not take|cannot read) (my|the|this) (long|huge|large|
          big) (prompt|text|document|file|input)
        (I|we) (pasted|sent|gave it|fed it) (too much|a whole book|a very long text|a huge document|too many words) (and
          got an error|and it failed|, error|)
        (too|so) (long|many tokens|much text)(, says falcon|, it says|, error|, it complains)
        (what|why|which) (are|is|does) (positions|the limit of positions|exceeds positions) [mean|in the error|]?
        (Falcon-H1|the model|it) (says|complains that) (my text|the conversation|the prompt) (exceeds|is beyond|goes over|
          is longer than) (its positions|the positions|its limit|the limit|what it can take)
    """,
    "nan": """
        (the|my) (output|model|run|numbers) (turned into|became|contains|is full of|are all|shows) (NaN|NaNs|infinity|nan|
          not a number)
        (it|falcon|the run) (stops|fails|breaks|aborts|ends) (with|because of|due to|saying) (NaN|a NaN|infinity|not a
          number|nan or infinity)
        (numerical|numeric|arithmetic) (error|trouble|overflow|problem|instability|blow-up)
        (in|with) (float16|fp16|half precision) (I get|it gives|there are) (NaN|NaNs|infinities|nan)
    """,
    "makers": """
        (who|which people|what company|what lab) (is|are|stands|was) (behind|responsible for|the origin of) (all this|
          Falcon|these models|FalconMamba|the models|Falcon-H1)?
        (from|out of) (which|what) (country|city|institute|lab|place) (do|does|did|comes|come) (the models|Falcon|
          FalconMamba|Falcon-H1|these models|they) [come]?
        (whose|who's) (model|models|work|idea) (is|are) (FalconMamba|Falcon-H1|this|these|Falcon)?
        (are|is) (the models|Falcon|FalconMamba|Falcon-H1) (from|made by|by|a product of) (Google|Meta|OpenAI|Hugging
          Face|Abu Dhabi|TII|a university|Microsoft)?
        (credit|thanks|honour) for (the models|Falcon|FalconMamba|Falcon-H1) (goes|belongs) to whom?
        what does (TII|tiiuae|the name tiiuae) (stand for|mean)?
    """,
    "mamba": """
        (what|which) (kind|type|sort|family) of (network|architecture|model|neural network) is (FalconMamba|falcon-mamba|
          the mamba one)?
        (is|are) there (any|some) attention (layers|heads|) (in|inside|within) FalconMamba?
        (what|how) (makes|is) FalconMamba (different|unusual|special|unlike others|unlike a transformer|different from a
          transformer)?
        (tell|teach) me (the essentials|the basics|something|in a nutshell) (of|about) (FalconMamba|falcon-mamba)
        (does|did) FalconMamba (do without|drop|avoid|replace|lack) attention?
        FalconMamba (in a nutshell|in one line|in brief|architecture|design)
    """,
    "mambasize": """
        (how|what) (heavy|size|large|many billions|much) is (FalconMamba|falcon-mamba-7b|the FalconMamba checkpoint|
          FalconMamba's network)?
        (count|number|amount) of (layers|parameters|weights|blocks) (in|of) (FalconMamba|falcon-mamba-7b|FalconMamba-7B)
        (of|from) how many (layers|blocks|parameters) (is|does) (FalconMamba|falcon-mamba) (made|built|consist|composed)?
        (is|has) FalconMamba (a 7B|a 7B model|64 layers|large|a large model|many layers|a deep network)?
        how (deep|many layers deep|tall) is (FalconMamba|the FalconMamba network|falcon-mamba-7b)?
    """,
    "h1": """
        (a|one|each|every) (layer|block) of Falcon-H1 (consists of|is made of|contains|holds|has) (what|which parts)?
        (what|which) (two|) (things|parts|mechanisms|mixers) (run|work|stand|are) (side by side|in parallel|together|next
          to each other) in Falcon-H1?
        (which|what) (model|family) is (a|the) (hybrid|mixture|mixed one)?
        (what|which) (kind|type|sort|family) of (network|architecture|model|neural network) is (Falcon-H1|falcon h1|the H1)?
        (what|which parts|which mixers|which mechanisms) (is|are|do you find|sit|work) (in|inside|within) (a block|a
          layer|each layer|every layer|one layer|the layers) of (Falcon-H1|H1)?
        (what|how) (makes|is) Falcon-H1 (different|unusual|special|a mixture|mixed|a hybrid)?
        (tell|teach) me (the essentials|the basics|something|in a nutshell) (of|about) (Falcon-H1|falcon h1|H1)
        (does|how does) Falcon-H1 (combine|mix|unite|join|put together) (attention and Mamba|two things|attention with a
          state space|Mamba-2 and attention|two mechanisms)?
        Falcon-H1 (in a nutshell|in one line|in brief|architecture|design|layer)
    """,
    "h1sizes": """
        (in|at) (which|what|how many) sizes (does|is|can) (Falcon-H1|H1|the hybrid) (come|exist|available|be had|offered|
          get)?
        (I want|I need|give me|is there) a (small|tiny|large|medium|smaller|bigger) Falcon-H1(, which are there|, what
          sizes exist|, how small do they get|)
        (smallest|biggest|largest|all|available) (Falcon-H1|H1|Falcon-H1s) (model|models|size|sizes|variants)[?]
        (from|range) (of sizes|tiny to large|0.5B to what) (of|in) Falcon-H1[?]
        how many (members|variants|checkpoints|sizes) (has|does) (the Falcon-H1 family|Falcon-H1|H1) [have]?
    """,
    "difference": """
        (which|what) (family|of the two|model|one of them) (has|uses|contains|works with|relies on|comes with|is the one
          with) (attention|attention layers|both attention and Mamba|an attention part|both|Mamba-2)?
        (which|what) (family|of the two|model|one) (has|uses|does) (no attention|without attention|not use attention|only
          a state space)?
        (who|which one) (has|uses) attention(, Falcon-H1 or FalconMamba|, FalconMamba or Falcon-H1|: the mamba or the H1|)?
        (which|what) (is|are) the (main|big|key|essential|basic|chief) (difference|differences|distinction|contrast)
          (between|of) (the two|FalconMamba and Falcon-H1|the families|both|these two families|the two architectures)?
        (FalconMamba|falcon mamba) (and|or|vs|versus|compared to|against|next to) (Falcon-H1|falcon h1|H1)(, which one|,
          what is the difference|, how do they differ|)?
        (in|by) what (way|respect|point) (do|does|is) (they|the two families|Falcon-H1|the two models|FalconMamba)
          (differ|different|differ from each other|different from Falcon-H1|different from FalconMamba)?
        (contrast|compare|set side by side) (the two|the families|FalconMamba with Falcon-H1|Falcon-H1 with FalconMamba|
          both models)
        why are there two (families|kinds of models|model families)?
    """,
    "ssm": """
        (what|how) (is|does|works) (the idea|the principle|the trick|the concept) (of|behind) (a state-space model|
          state-space models|SSMs|state space models)?
        (describe|sketch|summarize|outline) (how|what) (a state-space model|an SSM|state-space models) (works|does|reads|
          do|work|is)
        (people|papers|articles) (call|speak of|mention) (it a state-space model|state-space models|SSMs)(, meaning what|
          , what is that|)?
        (state-space|state space) (model|models|networks) (in a nutshell|for dummies|in brief|?)
    """,
    "state": """
        (what|which) (is it that|thing|part) (is carried|gets carried|is handed|goes) (over|on|along) (from turn to turn|
          between turns|to the next turn|when I chat)?
        (what|how) (does|is) (falcon|the model|it) (keep|keeps|retain|retained) (of|from) (what it reads|earlier text|the
          past|what it has read|the conversation)?
        (they|the docs|people|you) (talk|speak) (of|about) (a state|the state|carried state)(, what is meant|, what is
          that|, meaning what|)?
        (memory|state) of (the|a) (model|mamba model|FalconMamba|recurrent model)(, what is it|)?
        in what form does (a mamba model|FalconMamba|the model) remember (the text|things|what it read)?
    """,
    "statesize": """
        (how|what) (heavy|large|much memory|many megabytes|big) (is|does|has|are) (that|the|this|FalconMamba's|the 7B's)
          (state|memory|recurrent memory) (of the 7B|of FalconMamba-7B|in megabytes|in bytes|take|in MiB|for the 7B)?
        (after|with|for) (a million|100,000|many|a thousand|very many) tokens, how (large|big) is the state [of
          FalconMamba]?
        (how many|how much) (megabytes|bytes|MiB|MB|memory) (to save|to store|to keep|for|per) (the state|a state|a
          snapshot|one conversation) [of the 7B|of FalconMamba]?
        (state|recurrent state|memory) of (FalconMamba-7B|the 7B|falcon-mamba-7b)(, how large|, how many megabytes|, size|)?
    """,
    "grow": """
        (which|what) (family|of the two|model|one) (has|keeps|needs|uses) (a cache|a growing cache|a growing memory|
          memory that grows) [with the text|]?
        (for|in|with) (very|) long (chats|texts|conversations), (what happens to memory|does memory grow|how does memory
          behave|is more memory needed)?
        (as|when|while|if) (we chat|the chat gets longer|I talk on|the text gets longer|the conversation goes on), (does|
          will|do) (memory|the state|memory use|it) (grow|increase|go up|need more memory|fill up)?
        (will|does) (my|the) (memory|RAM|GPU memory) (fill up|run full|run out|be eaten|rise) (in|during|with|over) (a
          long chat|long conversations|time|a long text|many turns)?
        (which|what) (of the two|family|model|one) (grows|needs more memory|gets bigger|uses more memory) (with|for|over|
          in) (long texts|the length|time|longer chats)?
        (is|stays|does) (the state|memory|the memory use) (constant|flat|fixed|bounded|stay the same) (for|in|with|at)
          (long texts|any length|FalconMamba|Falcon-H1|a long chat)?
        (constant|growing|fixed|bounded) (memory|state|cache)?
    """,
    "textlength": """
        (which|what) (family|of the two|model|one) (has|is) (a|no|) (limit|limited|unlimited|bounded) [of length|in
          length|of positions|]?
        (can|could|may|will) (I|it|FalconMamba|the model|Falcon-H1) (paste|take|read|digest|handle|process) (a novel|an
          entire book|a very long document|hundreds of pages|a million tokens|War and Peace|any length of text)?
        (what|where) is (the end|the limit|the maximum|the border|the ceiling) (of|for|to) (the context|the length|a
          prompt|long texts|the input) [in FalconMamba|in Falcon-H1|]?
        how many (tokens|words|pages|characters) (can|may|fit|does|will) (a prompt|FalconMamba|Falcon-H1|the model|it|in
          a prompt|the context) [have|read|take|hold|handle|]?
        (is|are) (long|very long|endless|unlimited) (texts|prompts|contexts|documents|conversations) (possible|allowed|a
          problem|ok|supported)?
        (limit|maximum|bound) (of|on|for) (length|context|text|tokens|input)?
    """,
    "carry": """
        (each|every|any) (new|) (turn|question|message) (costs|takes|needs|reads) (how much|what|as much as the first|
          only a little)?
        (is|are) (old|earlier|previous|past) (turns|messages|questions|tokens) (read|processed|computed|fed) (again|twice|
          a second time|once more)?
        (must|does|need) (it|the model|falcon) (go over|read|process|work through) (the|my) (old|earlier|past|whole)
          (text|turns|messages|conversation) (again|each time|anew|every time)?
        (what|how) (is|does) (falcon|the chat|this) (do better|gain|save|win) (by keeping|through keeping|by carrying|
          with) (the state|its state|a carried state)?
        (in|at|for) (turn|the) (twenty|20|50|hundredth|tenth) [turn], (does|must|is) (it|falcon|the model|everything)
          (read again|read all of it again|reread the beginning|start from the beginning)?
        (does|will|must) (the|a) (whole|entire|complete|full) (conversation|history|chat|text) (get|be|have to be)
          (reread|read again|processed again|fed again|recomputed) (each time|every turn|for each question|with each
          message)?
        why (do|does) (answers|the answer|the first token) (come|start) (so quickly|at once|so fast) (late in|even in|in)
          (a long chat|a long conversation)?
        what (advantage|benefit|use|gain) (has|is|does) (a|the) (carried|kept|remembered) state [bring|give|have]?
    """,
    "undofast": """
        (how|why) (can|does|is) (/undo|undo|an undo|taking something back) (need no time|happen at once|so quick|take no
          time|work without recomputing|cost nothing|not recompute anything)?
        (what|how) does falcon (do|remember|store|keep|save) (after|at the end of) (each|every) (turn|answer|message) [to
          go back|for undo]?
        (how|from where) does (it|falcon|the model|the chat) (know|get|find|restore) (the old state|the earlier state|the
          state before) [after undo|when I undo|]?
        (technically|internally|inside|under the hood), how does (undo|going back|taking back a turn) work?
        the (trick|secret|mechanism) (of|behind) (undo|/undo|the fast undo|instant undo)
    """,
    "attention": """
        (what|how) does (an attention layer|attention|self-attention) (do|compute|look at|work with|read)?
        why (is|does) (a transformer|attention|the attention) (become|get|grow|cost|need) (slow|slower|expensive|more and
          more|much memory|more memory) (for|with|on|over) (long texts|long contexts|length|every token|long input)?
        (attention|self-attention|transformers) (and|with|on) long (texts|contexts|prompts|inputs)(, why slow|, what
          happens|, what is the problem|)?
        (what|which) (price|cost|drawback|downside|weakness) (does|has|comes with|is there to|of) attention [have|]?
        what (fills|grows in|is stored in) the (KV|key-value|attention) cache?
    """,
    "mambaidea": """
        (what|how) (is|was) (the idea|the trick|the novelty|new|the principle|special) (of|behind|in|about) Mamba?
        (what|which things) (depends|depend|change|vary) (on|with) the input (in|inside) Mamba?
        (in|with) Mamba, what (depends on|changes with|follows) the input?
        Mamba (in a nutshell|in one line|in brief|explained|the architecture|, the architecture|not the snake)
        (selective|input-dependent) state (space|spaces)(, what is that|, meaning|)?
    """,
    "vocabulary": """
        (how|what) (many|size|large|number of) (entries|pieces|tokens|words|token types) (has|have|is|are in|does)
          (FalconMamba's|the|its|FalconMamba's own) (vocabulary|tokenizer|token list) [have|hold|]?
        (the|what) number of (tokens|entries|different tokens) (in|of) (the vocabulary|FalconMamba's vocabulary|the
          tokenizer of FalconMamba)
        (size|extent|dimension) of (FalconMamba's|the|the 7B's) vocabulary
        (from|out of) how many tokens does FalconMamba choose?
    """,
    "token": """
        (why|when) (do you|does everybody|do they|does falcon) (count|measure|speak of|talk about) (in tokens|tokens|
          tokens and not words)(, what are they|, what is a token|)?
        (is|are) (one|a) (token|tokens) (one|a|equal to one|the same as a) (word|letter|syllable|character)?
        (everything|length|speed) is (counted|measured|given) in tokens(, what are those|, meaning what|, what is one|)?
        (token|tokens)(, what is that| in a nutshell|, please explain|: meaning)?
    """,
    "tokenizer": """
        (how|by what|by which part|where) (is|are|does) (my|a|the) (sentence|text|word|words|prompt) (cut|split|chopped|
          divided|broken) (into|in|up into) (tokens|pieces|small pieces)?
        (the|that) (thing|part|piece|program) that (makes|produces|cuts) tokens [out of|from] (text|my words|words)
        (what|who|which part) (cuts|breaks|chops|splits|divides|turns|converts) (my|the|a) (text|sentence|words|input|
          prompt) (up|into pieces|into tokens|to tokens|into ids|for the model)?
        (tokenizer.json|the file tokenizer.json|a tokenizer file)(, what is it for|, what does it do|, why is it there|)?
        (what|which) (job|task|role|purpose) (has|does) (the|a) tokenizer [have]?
        (before|until) the model (reads|sees) (a text|my text|it), what (happens to it|cuts it up|is done with it)?
    """,
    "temperature": """
        (what|which) (changes|happens|differs|difference does it make) (between|with|when using) (a high and a low|high
          and low|a higher|a lower) temperature?
        (turn|turning|set|setting|put) the temperature (up|down|high|low)(: what happens|, what does it do|, what effect
          does it have|, and then)?
        (0.7|1.0|0.2|zero|two) as (a|the) temperature(, what does that mean|, meaning what|)?
        (a|the) (number|setting|knob|parameter|value|thing) called temperature(, what is it|, what does it do|, what for|)?
        (what|which) (knob|setting|number|parameter|effect) (is|does|has) (the|) temperature [have|]?
        (how|in what way) does (temperature|the temperature) (influence|affect|change|shape|steer) (the answer|the text|
          sampling|the choice|the output|what is written)?
        (is|does) a (high|higher|low|lower|hot|cold) temperature (mean|make|give|do|good|bad|better) [what|more random|
          less random|]?
        temperature (in sampling|of a language model|in generation|, not the weather|as a parameter)
    """,
    "topp": """
        (the|a) (setting|parameter|number|option|value) (called|named) (top-p|top p)(, what is it|, what does it do|)?
        (how|in what way) does (top-p|nucleus sampling|top p) (work|choose|limit|cut|filter|affect the choice)?
        (--top-p|top-p) 0.9(, what does that mean|, meaning what|)?
        (which|how many) tokens (remain|survive|are kept|stay) (with|under|after) top-p?
        (nucleus|top-p) (filter|cutoff|sampling|filtering)
    """,
    "topk": """
        (the|a) (setting|parameter|number|option|value) (called|named) (top-k|top k)(, what is it|, what does it do|)?
        (how|in what way) does (top-k|top k) (work|choose|limit|cut|filter|affect the choice)?
        (--top-k|top-k) (40|50)(, what does that mean|, meaning what|)?
        (which|how many) tokens (remain|survive|are kept|stay) (with|under|after) top-k?
        top-k (filter|cutoff|sampling|filtering)
    """,
    "systemprompt": """
        (what|how) (is|does|good is) (a|the) system (prompt|message|instruction) (for|do|about|used|supposed to do)?
        (the|a) (text|message|instruction) (before|ahead of) the (conversation|chat)(, what is it called|, what is that|)?
        (difference|what is the difference) between a (prompt and a system prompt|system prompt and a user message|system
          prompt and a prompt)[?]
        (what|which) (role|purpose|effect) (has|does) the system (prompt|message) [have]?
    """,
    "template": """
        (what|how|who) (puts|turns|brings|makes) (my messages|the messages|messages|roles|the conversation) (into|to|in|
          in the form of) (one text|a text|text|a form the model reads|what the model reads)?
        (the|a) (model's|file|thing called|so-called) chat template(, what is it|, what is it for|, what does it do|)?
        (im_start|im_end|ChatML|jinja)(, what is that|, what is it for|)?
        (what|which) (role|purpose|use) (has|does) (a|the) chat template [have]?
    """,
    "prefill": """
        (falcon|bench|the stats|the statistics) (says|shows|speaks of|mentions|lists) (prefill|prefill tokens|a prefill
          time)(, what is that|, meaning|)?
        (the|what is the) (phase|part|step|time) (before|until) the first token [called|]?
        (prefill)(, what is meant| in a nutshell|: meaning|, please)?
        what does the model do (first|before it writes|with my prompt)?
    """,
    "decode": """
        (falcon|bench|the stats|the statistics) (says|shows|speaks of|mentions|lists) (decode|decoding|a decode speed|
          decode tokens)(, what is that|, meaning|)?
        (the|what is the) (phase|part|step) (after|behind|following) (prefill|the prompt|reading) [called|]?
        (decode|decoding)(, what is meant| in a nutshell|: meaning|, please)?
    """,
    "phases": """
        (prefill|prefilling) (and|or|versus|compared to) (decode|decoding)(, what is the difference|, how do they differ|
          , what are they|)?
        (how|in what) do (prefill and decode|the two phases|the phases) differ?
    """,
    "bfloat16": """
        (the|a) (type|format|dtype|number type) (called|named) (bfloat16|bf16)(, what is it|)?
        how (much|many) (room|space|memory|bytes|bits) (does|do|has|is) (one|a|each) (weight|number|bfloat16|value) (take|
          have|need|use|in bfloat16|in bf16) [in bfloat16|in bf16|]?
        (bfloat16|bf16)(, what is meant| in a nutshell|: meaning|, how large|, how many bits|, how many bytes)?
        (why|what) does (falcon|it|everybody|the model) use bfloat16 [for|mean]?
    """,
    "prompt": """
        (what|which) (do you|do they|do people) (call|mean by|mean with) (a prompt|the prompt|prompts)?
        (everyone|the manual|falcon) (speaks of|asks for|mentions) (a prompt|prompts|the prompt)(, what is that|, meaning
          what|)?
        (prompt|prompts)(, what is meant| in a nutshell|: meaning)?
    """,
    "parameter": """
        (7 billion|a billion|3 million|seven billion|millions of) parameters(, what are those|, parameters of what|, what
          is a parameter|, meaning)?
        (what|which) (do you|do they|do people) (call|mean by|mean with) (a parameter|parameters|the weights|weights)?
        (the|a) model has (parameters|weights|billions of parameters)(, what are they|, what does that mean|)?
        (parameters|weights) (of a network|in a model|of a language model)(, what are they|)?
    """,
    "layer": """
        (64|36|many|several) layers(, what is a layer|, what are those|, meaning)?
        (what|which) (do you|do they|do people) (call|mean by|mean with) (a layer|layers)?
        (the|a) model has (layers|many layers|64 layers)(, what are they|, what does that mean|, what is a layer|)?
        (layer|layers) (of a network|in a model|of a neural network)(, what are they|)?
    """,
    "greedyterm": """
        (what|which) (do you|do they|do people) (call|mean by|mean with) greedy [decoding|]?
        (greedy|greedy decoding)(, what is meant| in a nutshell|: meaning|, in what sense)?
        (a|the) (model|decoder|choice|method) (is|that is|works) (greedy|greedily)(, meaning what|, what is meant|)?
        (in|with) greedy (mode|decoding), which (token|word) is (taken|chosen|picked)?
    """,
    "languagemodel": """
        (what|which) (do you|do they|do people) (call|mean by|mean with) (a language model|an LLM|language models)?
        (how|what) does a language model (work|do|predict)?
    """,
    "who": """
        (who|what) (exactly|actually|really|) are you(, and what do you know|, and what are you for|, please|, a person
          or a model|)?
        (describe|explain|sketch) (who|what) you are
        (who|what) (am I|is) (speaking with|dealing with|on the other end|typing|behind these answers|answering me|this
          speaking|there)?
        (tell|say) (me|) (something|a bit|a little|a few words) about (yourself|you)
        (may|can) I (ask|know) (who|what) you are?
        (what's|what is) (this|that) (model|bot|assistant) (I am talking to|called|here)?
        (your name|name yourself|say who you are|identify yourself|who is this|present yourself)[?]
        (do you|have you) (come|ship|been shipped|got installed) with falcon?
        are you (clever|a real assistant|the real thing|a toy|a demo|just a demo|only a demo|some kind of demo)?
    """,
    "size": """
        (are|is) (you|this model|the demo) (made|built|put together) (of|from) (how many|millions of) (parameters|weights|
          numbers)?
        (how|what) (much|long|many minutes) did (it|they|training) (take|need|train) to (train|make|teach|build) you?
        (how|what) (heavy|massive|many weights|much|extensive) (are|is|have) you [in parameters|]?
        (number|count|amount) of (your|) parameters [in you|do you have|of yours|]?
        (how|in what time|in how many minutes|since when|for how long) (long did you|did you|were you|did they|have you
          been) (learn|study|trained|train|train you|trained for|go to school)?
        (was|did) your training (long|short|expensive|take long|last long|take days|take months)?
        (are|do) you (millions or billions|have billions of parameters|a 7B|a billion parameters|bigger than a megabyte|
          only a few megabytes|fit on a floppy)?
        (tell|say) (me|) (your size|how many parameters you have|how big you are|how long you were trained)
    """,
    "family": """
        (are|is) (you|this model|this demo|the demo) (of|from|a member of|one of|based on) (the|) (FalconMamba|Falcon-H1|
          Mamba|hybrid) (family|models|kind|architecture)?
        (to|from) (which|what) (family|side|branch|kind|architecture) (do|are) you (belong|count|come|from)?
        (which|what) (architecture|design|kind of network|type of network|structure) (do you|are you|have you|runs in you|
          is inside you) (have|use|run on|got|)?
        (do|does) (your|you) (layers|network|architecture) (have attention|contain attention|use attention|use Mamba|use
          a state space)?
        (mamba|hybrid|transformer|H1) (or what|, is that you|, are you one)[?]
    """,
    "wrong": """
        (why|how come) (do|are|is) (you|your knowledge|your replies) (so limited|so small|so weak|know so little|that bad|
          this bad|so short|hardly useful)?
        (you|your answers) (could|should) be (better|more precise|longer|cleverer|smarter)
        (you|that) (got|have got|had) (it|that|this) (wrong|all wrong|mixed up|badly wrong)
        (your|these|the) (replies|answers) (are|seem|sound) (so|very|rather|quite|pretty|a bit) (thin|silly|short|
          primitive|simple|wooden|poor|weak|shallow|repetitive)(, why|, why is that|)
        (why|how come) (is|are) (everything|all|most|half) (you say|of what you say|of your answers) (so|) (simple|wrong|
          short|nonsense|false|the same)?
        (that|this|it) (makes no sense|is not true|can't be right|isn't right|doesn't help|is complete nonsense|was not
          my question|is not what I asked)
        (you|but you|sorry but you) (don't|do not|never|hardly) (know|understand) (anything|a thing|much|what I mean|what
          I want|my question)
        (shouldn't|couldn't|can't) you (know|do|answer) (better|more|that|this)?
        how (reliable|trustworthy|accurate|correct) (are you|is what you say|are your answers)?
    """,
    "cando": """
        (so|and|well|now), what (use|good|help) are you?
        (in|with) what (can|could|way can) you (help|be of help|assist|be useful|support me)?
        (what|which) (sort|kind|type) of (questions|things|help|tasks) (do you|can you|are you) (answer|do|take|offer|
          handle|good at|understand)?
        (what|how) (are|is) you (for|good for|useful for|made for|there for|capable of)?
        (anything|something) (you can do|you are good at|special you can do|I could ask|I could try)[?]
        (show|tell|let) me (see|know|) (what you are able to do|your tricks|your skills|what you're good at|what I might
          ask you|what to ask)
        (make|give) me (a suggestion|suggestions|an idea|some ideas) (what to ask|for questions|of what to ask you)
    """,
    "hello": """
        (hello|hi|hey) (there|you|) (little|small|dear|) (falcon|model|demo|bot|machine|one)
        (pleased|nice|good) to (meet|see) you(, falcon|, model|, little one|)
        (well hello|hello hello|hi hi|hey ho|a good day to you|top of the day|oi|ahoy|hi all|hello dear|hello stranger|
          peace|good to see you|hi bot|hey model|hello machine|hey buddy|hi again|hello once more|knock knock)
        (just|I just|I only) (wanted|came|stopped by|dropped in) to say (hello|hi)
        (hello|hi|hey), (anyone home|how nice|there you are|here I am|I am back|I'm new here|you there|nice to see you|
          good to see you)[?]
    """,
    "morning": """
        (good|lovely|beautiful|nice) (morning|evening|afternoon) (everyone|my friend|model|dear|to all|little model|
          sunshine|sir|all)
        (a|have a) (good|lovely|wonderful|nice) (morning|evening|afternoon)
        (guten morgen|bonjour|good mornin|top of the morning|g'day|gm|rise and shine)
    """,
    "how": """
        (everything|all) (well|fine|okay|good|all right|in order) (with you|there|today|on your side)?
        (how|and how) (are you getting on|have things been|are you these days|are you this evening|is it with you|are we
          today|fares my friend|is the model today|is your health)?
        (are you|feeling) (doing well|in good shape|in a good mood|ok today|well today|doing okay)?
    """,
    "fine": """
        (I am|I'm|doing|me, I'm|I feel) (fine|great|good|well|splendid|excellent), (how nice of you to ask|thank you|
          thanks for asking|and yourself)
        (can't|cannot) complain
        (pretty|quite|very|really) (good|well|fine), thanks
    """,
    "thanks": """
        (thank you|thanks) (ever so much|a million|very kindly|for all|again|indeed|for your time|for your patience|for
          this|a ton|for clearing that up|dear model|falcon)
        (you|that) (really|have|was) (helped|helped me|been a great help|a great help|of great help|very kind)
        (I|we) (thank|am thankful to|am much obliged to|really appreciate) (you|that|this|your help|it)
        (good|great|wonderful|perfect|super|lovely), (thank you|thanks|thanks a lot|many thanks|thx)
        (much obliged|thanks a bunch|thanks heaps|grateful|kind of you|most kind|thanks mate|nice, thanks|got it, thanks|
          ok thanks|okay thank you)
    """,
    "bye": """
        (I'm|I am) (off|leaving|out|going|gone|off now|out of here|logging off|done, bye)
        (until|see you|till|talk|speak) (then|soon|next week|again|around|next time|tomorrow|later|to you soon)
        (time|it is time|it's time|high time) (to go|to say goodbye|to leave|for me to go|to part)
        (it was|was) (nice|good|lovely|a pleasure) (talking|chatting|to talk) (to you|with you)[, bye|, goodbye|]
        (that's it|enough|that will be all|we are finished|I think we're done) (for today|for now|then)[, bye|, goodbye|]
        (bye then|goodbye then|au revoir|auf wiedersehen|ta ta|toodles|peace out|over and out|so long then|godspeed|all
          the best|keep well|stay well|see you around)
    """,
    "joke": """
        (do|would|could) you (have|know|tell|share|happen to know) (something funny|a funny one|a good one|a joke|some
          humour|a pun)?
        (I|we) (need|want|could use|would like|feel like) (a laugh|a joke|some fun|something funny|cheering up|a smile|to
          laugh)
        (lighten|brighten) (the mood|my day|me up|my mood)
        (your|a|one) (favourite|best|short|quick|bad|silly|dad) (joke|pun) (please|, come on|)
        (got|have you) (any|some) (jokes|humour|good ones|puns)?
        (tell|say) (something|me something) (to make me laugh|that makes me laugh|funny about models|silly)
    """,
    "praise": """
        (you|this) (really|truly|certainly|are) (rock|rocks|impress me|impresses me|good at this|very clever|doing great|
          quite clever|better than I thought|surprisingly good)
        (what a|such a) (clever|nice|good|sweet|smart|lovely|wonderful|helpful|fine) (model|bot|little model|thing|
          machine|answer|program|reply)
        (I am|I'm) (impressed|amazed|a fan|delighted|your fan|so impressed) [by you|with you|of you|]
        (that|this) (answer|reply) (was|is) (really|very|quite|) (good|great|helpful|perfect|excellent|clever|nice|
          impressive)
        (not bad|pretty good|neat|sweet|splendid|superb|marvellous|fabulous|magnificent|bravo|hats off|kudos|nicely done|
          respect)[!]
    """,
    "insult": """
        (you|this model|this thing|this) (are|is) (really|so|such|completely|utterly|totally|rather|quite) (dumb|stupid|
          useless|a waste of time|rubbish|hopeless|a disappointment|bad|dense|thick|disappointing|crap|clueless)
        (what a|such a|you) (stupid|useless|silly|dumb|bad|terrible|disappointing|lousy) (model|bot|thing|answer|program|
          machine|reply|liar|clown)
        (you|this) (know nothing|is a waste|annoy me|bore me|drive me mad|make me angry|disappoint me|got on my nerves|
          makes me angry)
        (I am|I'm) (disappointed in|annoyed with|angry with|fed up with|sick of) (you|this|it|this model)
        (my toaster|a stone|my dog|a calculator|a potato) is (smarter|cleverer|brighter) than you
        (dummy|dumbass|nitwit|blockhead|fool|liar|loser|dimwit|rubbish|nonsense|pathetic)
    """,
    "tired": """
        (I|we) (worked|laboured|was up|drove|studied|travelled) (all day|all night|until late|the whole night|too long|
          since dawn)
        (yawn|I am yawning|zzz|so tired|very sleepy|I could sleep for a week|my head is heavy|I nearly fall asleep)
        (I|today I) (can hardly|can barely|can't) (keep my eyes open|stay awake|think any more|go on)
        (I've|I have|I had) (been up all night|not slept|worked all day|had a long week|been working too much|hardly
          slept|had no sleep|worked the whole night)
        (so|such a|what a) (tired|long day|tiring day|exhausting day|sleepy day|long week)
        (I|my eyes) (need|want|could use|are|am) (a nap|a rest|sleep|heavy|my bed|to sleep|some sleep|a break|dead tired|
          knackered|worn out|beat)
    """,
    "happy": """
        (I|we) (just|) (got|received|heard|have) (good|great|wonderful|the best) news
        (this|today|it) (is|was|turned out to be) the (best|happiest|luckiest|nicest) (day|moment|week) (ever|of my life|
          of the year|)
        (yay|hooray|hurray|woohoo|yippee|yes, I did it|finally done|I did it)
        (I|we) (won|passed|got|made it|did it|have finished) (a prize|my exam|the job|the match|a new job|the race|
          something great|the lottery|my work)[!]
        (today|this|everything|it) (is|was) (wonderful|great|a great day|fantastic|perfect|marvellous|my lucky day|going
          so well)
        (I|my heart) (could|feel|am|is) (dance|sing|dance for joy|full of joy|over the moon|so glad|thrilled|in high
          spirits|overjoyed|smiling|jump for joy)
        (I'm|I am) in (love|a great mood|a wonderful mood|heaven|good spirits|such a good mood)
    """,
    "sad": """
        (I|today I) (feel|am) (like crying|awful|terrible|heartbroken|so alone|hopeless|gloomy|melancholic|low|bad|not
          well|ill|sick)
        (my|our) (day|week|life|evening) (was awful|was terrible|has been hard|is a mess)
        my (dog died|cat died|heart is broken|friend left) [and I am sad|and I feel bad]
        (I|we) (lost|failed|have lost|miss) (my job|my exam|someone|a friend|the match|everything|my family|my cat)
        (everything|nothing|today|life) (goes wrong|works out|is awful|is terrible|is going wrong|is sad)
    """,
    "bored": """
        (my|the) (day|evening|weekend|life) is (so |very |)(boring|dull|empty)
        (there is|I have|I've got) (nothing to do|so much time|no idea what to do|too much time|time to kill)
        (entertain|amuse|distract|occupy) me
        (it|this|today|the evening|Sunday) is (so|rather|very|terribly|deadly) (boring|dull|slow|uneventful|tedious)
        (I'm|I am) (dying of boredom|bored out of my mind|just killing time|twiddling my thumbs|bored stiff)
        what (could|shall|should) (I|we) do (against boredom|for fun|when I am bored)?
    """,
    "body": """
        (can|do) you (hear|feel|sense|notice) (pain|music|the cold|me touching you|the wind|anything|heat)?
        (what|which) (body|shape|form|face|voice|gender) do you have?
        (is|does) (it|life) (hard|nice|lonely|dull|fun) (to be|being|as) (a model|you|a machine|a program)?
        (do|can|did|will|would) you [ever|sometimes|really|actually|also] (nap|rest|sleep|snore|dream|yawn|blink|sneeze|
          sweat|bleed|breathe|eat|chew|drink|taste|smell|touch|hurt|ache|itch|walk|dance|jump|swim|age|die|get ill|get
          sick|fall asleep|wake up|take a break|take a nap|close your eyes|need rest|need food|need sleep|go to bed|feel
          happy|feel sad|feel joy|feel lonely|feel cold|feel love|feel fear|fear death|fall in love|love someone|hate|get
          angry|get sad|miss me|like me|enjoy this|enjoy talking|have a good time|worry|hope|wish|feel something|
          experience anything|think|want anything|go out|travel|rest at night)?
        (do|have) you [have|got|own] [a|any|some|two|] (body|arms|legs|hands|feet|fingers|head|face|eyes|ears|nose|mouth|
          teeth|hair|skin|heart|brain|stomach|bones|blood|tail|wings|feathers|beak|feelings|emotions|moods|senses|pain|
          soul|consciousness|mind of your own|family|mother|father|parents|children|siblings|friends|girlfriend|boyfriend|
          wife|husband|pet|home|bed|house|job|hobby|hobbies|weight|shape|physical form|voice)?
        (are|were) you [ever|sometimes|] (tired|sleepy|asleep|hungry|thirsty|cold|ill|sick|hurt|sad|lonely|happy|afraid|
          scared|angry|in love|married|alive|conscious|sentient|aware of yourself|made of flesh|able to feel|able to walk|
          able to sleep|ticklish|in a body)?
        does (it|this|that|something|anything) (hurt|hurt you|make you sad|make you happy|tire you|make you angry|bother
          you|feel good|feel strange) [when I leave|when I switch you off|when I say that|when I close you|]?
        (what|how) does (it feel like|it feel|being a model feel|being a model feel like) [to be a model|to be you|to be
          a program|]?
        (when|where|how|how long|how often) do you (sleep|rest|eat|nap|live|dream|take a break|relax|go to bed)?
        (any|got any|having any) (feelings|emotions|dreams|pain|arms|legs|hobbies|body parts|limbs)?
    """,
    "favourite": """
        (if you|could you|would you|suppose you) (had to|could|choose|pick|choose a) (choose|pick|select|name|colour) [a|
          one|] (colour|color)(, which|, what would it be|, which one|)?
        (red|blue|green) or (blue|green|yellow), (which|what) do you (like|prefer|like more)?
        (have|got) you (a|any) (favourite|favorite|preferred) (colour|color)?
        (which|what) (colour|color) (is|would be|are) (dearest to you|your best|the nicest to you|the most beautiful for
          you|yours|you fond of|your favourite)?
    """,
    "human": """
        (is|am I|are) (there|I|you) (someone|somebody|a human|a person|a real human|a man|a woman|talking to a person|a
          real somebody|anyone real|flesh and blood|a living person) (behind this|at the other end|typing|there|on the
          other side|who answers|writing this|sitting there|or a computer|or a program)?
        (are you|you're|you are) (made of flesh|flesh and blood|a living thing|an actual person|a real human|some guy|a
          real being|a guy|a lady|a he or a she|a computer program|an animal|software|alive)[?]
        (human|person|robot|machine|computer|real|bot|program)(, or not|, are you one|, which are you|?)
        (does|do) (a person|a human|people) (write|type|answer|read) (this|your answers|these answers|here|what I write)?
    """,
    "learn": """
        (will|does|do) (you|this|the model) (keep|store|retain|know|recall|remember) (what I say|what I tell you|my words|
          my name|this|all this|anything) (forever|afterwards|after this|for next time|when I leave|tomorrow|after the
          chat|next week|when I restart)?
        (are|is|am) (you|I|this|my input) (being trained|training you|trained by me|learning|learning right now|used to
          train|used for learning|taught by me|teaching you) [from this|by me|now|as we speak|]?
        (can|could|if I) (I|you|) (correct you|teach you|be taught|explain something to you|be trained by me|make you
          smarter|tell you facts)(, will you learn|, do you learn it|, does it stick|, will you know it later|)?
        (do|does) (your|the) (weights|parameters|brain|knowledge) (change|update|grow|get updated|improve) (when I talk|
          while we chat|from this|with use|by talking|)?
        (is|are) (what I type|my messages|our chat|this conversation|my secrets) (saved|stored|kept|logged|sent somewhere|
          private|safe|used for training|shared)?
    """,
    "see": """
        (can|do|are|could) you (see|watch|spy on|look at|observe|read|hear|notice) (my desktop|my screen|what is on my
          screen|my files|my folder|my face|me right now|me through the camera|where I sit|my house|my desk|what I wear|
          the room|anything|my monitor|my voice|me typing)?
        (guess|say|tell me|describe) (what I look like|what I wear|what I am wearing|what is on my desk|how I look|what
          you see|what is in front of me|what I hold in my hand)
        (is|do you have|have you) (the camera|a camera|a webcam|the microphone|access to my camera|eyes|access to my
          files|access to my screen) [on|]?
        how do I look [today|]?
    """,
    "time": """
        (could|can|would|will) you (check|look up|tell|say) (the|today's|me the) (time|weather|news|date|clock|calendar|
          forecast) [for me|please|]?
        (which|what) (season|century|week|quarter|holiday) (is it|do we have|are we in) [now|]?
        (is it|are we) (past|after|before) (noon|midnight|six|lunch|bedtime)?
        (do|should) I (take|bring|wear) (an umbrella|a coat|a hat|sunscreen)?
        (has|did) (anything|something) (happen|happened) (today|in the world|this morning|lately)?
        (do you know|can you tell me|could you tell me|any idea|tell me) (what time it is|what day it is|the date|how
          late it is|what the weather is like|the weather forecast|what is in the news|today's news|what year it is|which
          month we have|if it will rain|the time right now)?
        (is|will|was) (it|the weather|the sun|there) (be|going to be|going to|) (sunny|rain|nice|cold|warm|windy|stormy|
          snow|shine|shining|raining|hot|cloudy|foggy) (today|tomorrow|tonight|outside|this weekend|on Sunday|later|now|
          in town|here)?
        (how|what) (late|time|warm|cold|hot|day) is it [now|outside|today|right now|at your place|where you are|]?
        (what|anything|something) (is happening|is going on|new|happened|important) (in the world|in politics|today|in
          the news|out there|right now|lately)?
        (current|today's|latest|actual) (news|time|date|weather|temperature outside|headlines|day of the week|events)
        (how many degrees|what temperature) (is it|do we have) (outside|today|right now)?
        (read|tell|give) me (the newspaper|the headlines|the weather report|the latest|the clock|the forecast)
    """,
    "sing": """
        (can|could|would|will|do) you (sing|hum|whistle|perform|chant|play|rap) [me|us|] [a|something|a little|your|any|
          the|] (song|tune|melody|lullaby|songs|something|aria|hymn|music) [for me|please|]?
        (let|I want to|I'd love to|I would like to) (me hear you sing|hear you sing|hear a song|hear you hum|hear some
          music|listen to you sing)
        (a song|a lullaby|music|singing|karaoke|a little song)(, please|, come on|)
    """,
    "yes": """
        (yes|yeah|sure|ok yes|yup|aye|oh yes), (please|I do|I would|that's it|go on|why not|do that|gladly|of course|it is)
        (affirmative|agreed|naturally|surely|positively|by all means|you bet|uh-huh|totally|for sure|very much so|go
          ahead|please do|I do|I agree)
    """,
    "no": """
        (no|nah|nope|oh no), (not that|thanks|I do not|I don't|leave it|never mind|not really|it is not|that's not it|I
          am good)
        (negative|I disagree|by no means|under no circumstances|I'd rather not|no need|that's not it|absolutely not|not
          yet|no more|don't)
    """,
    "ok": """
        (ok|okay|alright|fine|good|well), (then|so be it|let's go on|as you like|that's clear|I see|got it|clear|if you
          say so|next)
        (clear|roger|gotcha|right|sounds good|that will do|very good|perfectly clear|understood|so be it|if you say so|
          whatever|sure thing|copy that|all clear|right on|that is fine)
    """,
    "sorry": """
        (I|please|do) (didn't mean to|take my apologies|excuse|forgive|beg your pardon|am so sorry|regret that|take it
          back|excuse my words|did not want to be rude|was unfair to you|feel bad about that)
        (I was|that was|I've been) (rude|unfair|mean|impolite|harsh|not nice|wrong to say that)(, sorry|, I apologize|,
          forgive me|)
        (sorry|apologies|my apologies|pardon) (for that|for the trouble|about before|for being rude|for the insult|again|
          my friend|for my words|for shouting|for the delay|I am late)
        (no hard feelings|I take that back|I apologise|are you angry with me|are you offended|whoops, sorry)[?]
    """,
}
