"""The tool's topics as people bring them up: a situation, a complaint, half a sentence, a roundabout way to ask."""

from __future__ import annotations

MORE: dict[str, str] = {
    "falcon": """
        (what|which) (purpose|use) (does|has) (falcon|this tool|this program) (have|serve|)?
        (why|what for) (was|is) (falcon|this tool) (made|written|built)?
        (tell|explain to) (me|a beginner) (what|) (this falcon thing|falcon|this command-line tool) (is|is about|does)
        what (have I got|do I have) (here|in front of me)?
        (I found|somebody installed|I came across|there is) (a command|a program|something|this thing) (called falcon|
          named falcon)(, what is it|, what does it do|. What for|)?
        (in one sentence|briefly|in short), what (does|is) falcon [do|for]?
        (describe|summarize|introduce|sketch) (falcon|this program|the tool|this command-line tool) [for me|in a sentence]
        what (job|task|work) does (falcon|this software|the falcon command) do?
        what would I (want|need|install|get) falcon for?
        (is falcon|is this) (a chat program|a language model|an app|a website|a library|a bird|a server)?
        who is falcon (for|made for)?
    """,
    "real": """
        (can|could|may) I (talk|chat|speak) (to|with) (the big ones|a real one|a proper model|someone smarter|your big
          brother|a serious model)?
        (what|which) (command|line) (gets|gives|brings|downloads|starts) [me|] (a real model|a proper model|a better
          model|a real one)?
        (which|what) (one|model|command) gives (better|proper|serious|sensible) answers?
        I (need|want|expected|was hoping for) (something|an assistant|a model|answers) (more serious|more powerful|that
          really works|that knows more|with more brains|that is actually useful|of better quality)
        (okay|fine|enough playing|enough of the demo), (give me|how do I get|I want|show me) the real (thing|deal|stuff)
        (upgrade|move on|graduate|switch) (from the demo|to a proper model|to something real|to a real one)
        (you are|this demo is) too (small|weak|tiny|simple)(, what now|, what else is there|, what should I run|, is
          there more)?
        (what|which model) do you (recommend|suggest|advise) [instead|for real work]?
        where is the (grown-up|full|proper|serious|actual) version?
        for (real|serious|actual) (work|tasks|questions|use), what should I (run|use|start|take)?
        (is there|do you have) (a|any) (better|smarter|cleverer|more capable) (model|version|sibling|one) [than you|
          somewhere|around]?
    """,
    "seven": """
        (take|give|bring|get) me (to|) the (7B|biggest|large|7 billion) (model|one|FalconMamba)
        what is the (biggest|largest) (model|FalconMamba) I can (chat with|run|try|get|start)?
        my machine is (big|strong|powerful|huge)(, what can it run|, give me the big model|, which model suits it)
        (the 7B|7B|seven billion|the full size|the big brother|the large one), (please|how|how do I get it)
        how (do|can|would) I (try|chat with|launch|run|start) the (7B|7 billion|big|large|full-size) [instruct] (version|
          model|one|FalconMamba)?
        something with (seven|7) billion (parameters|weights)
    """,
    "start": """
        I (want|would like) to (talk|have a conversation|chat|discuss something), (what do I type|where do I start|how)?
        (how|where) does (one|a conversation|a chat) (begin|start) (here|with falcon)?
        (what|which command) (opens|brings up|gets me into|takes me to) the (chat|prompt|conversation|interactive prompt)?
        (let us|let me|I'd like to) (chat|talk|converse) (with one of the models|with Falcon-H1|with a Falcon model|
          interactively)
        (going|getting) into (chat|interactive) mode
        how do I (get|make) a (model|Falcon model|Hugging Face model) to talk (to|with) me?
        what do I (type|enter) (in the terminal|at the shell|in my shell) (to chat|to talk|for a conversation|for chatting)?
    """,
    "leave": """
        (I've had enough|I have had enough|enough|enough for today|I am finished|that will do), how do I (get out|quit|
          leave|stop this|close this)?
        (how|where) do I (escape|get away|get my shell back|get my prompt back|return to the command line)?
        (get|let|take) me out [of here|of this]
        (what|which) (keystroke|key combination|word|keys|shortcut) (lets me out|ends this|quits|takes me back to the
          shell|gets me out)?
        (it|the chat|this thing) (won't let me go|will not close|does not close|keeps running|is still open)
        how do I (wind up|wrap up|finish up|end|conclude|break off|bring to an end) (this|our|the) (chat|session|
          conversation|talk)?
        I (would like|want) to (stop chatting|stop now|end this|finish|go back to work|close up)
        q, quit or exit?
    """,
    "slash": """
        which (words|things) with a (slash|/) (exist|work|can I use|do you understand|are understood)?
        (I forgot|remind me of|what were) (the|all the) [slash|chat] commands[ again]?
        (where|how) (do I find|can I see|is) (a|the) (list|overview|summary|cheat sheet) (of commands|of the commands|of
          what I can type)[ here| in the chat]?
        what are my (options|possibilities|choices) (here|in this chat|inside the chat)?
        (which|what) (other|further|more) commands (do you know|does this chat have|can I give|are there)?
        is there a (cheat sheet|command list|menu|help screen|list of shortcuts) [in here|in the chat]?
    """,
    "undo": """
        (that|what I just sent|my last message|this question) was (a mistake|wrong|silly|not what I meant|an accident|
          sent by accident)(, can it be taken back|, how do I remove it|, get rid of it|, please undo|)
        (can|could) (that|the last turn|my last line|it|the last message|the previous exchange) be (undone|taken back|
          removed|withdrawn|deleted|reverted)?
        (pretend|act as if) I (never|didn't|had not) (said|say|asked|ask|wrote|sent) (that|the last thing|it)
        (I|we) (want|need|would like) to go (one step|one turn|a step) back
        (oops|damn|whoops|argh|ouch), (wrong|that was wrong|I didn't mean that|I hit enter too soon|typo)[, how do I take
          it back|, undo|, go back]?
        how do I (unsend|rewind|roll back|get rid of|drop|withdraw) (that|the last message|a message|the last turn|my
          last question|the last exchange)?
        (I typed|I wrote|I said|I sent) (nonsense|something wrong|the wrong thing|rubbish|garbage|something silly)(, how
          do I take it back|, can it be removed|, can I go back|, undo)?
        (rewind|step back|back up) (one turn|a turn|by one|once)
        (is there|have you got) a (ctrl-z|back button|way back|rewind)?
    """,
    "retry": """
        (same|that) question, (but|and) (a|with a) (different|new|other|better) (answer|reply|outcome)
        (I am|I'm) not (happy|satisfied|pleased) with (that|the|your last|this) (answer|reply|response)(, try again|,
          another one please|, can I have another|)
        (once more|again|one more time|another try|another attempt), please
        (can|could|would) (you|it|the model) (give it another shot|have a second try|answer that differently|try that
          once more|produce a different answer|come up with something else)?
        (let's|let us) see (another|a different|an alternative) (version|answer|reply|take)
        (throw|toss|discard) (that|the) (answer|reply) (away and|and) (make|draw|write|give) (a new one|another)
        how (do|can) I (get|have|see|make) (a second|a different|a fresh|another) (opinion|answer|reply|version|take|
          attempt)?
        how do I (ask for|request|force|trigger) (a new|another|a different|a fresh) (answer|reply|response|attempt)?
        (regenerate|redo|reroll|respin)
    """,
    "clear": """
        (forget|drop|dismiss|never mind|ignore) (all that|all of that|the whole thing|all this talk|what we talked about|
          what we said|everything so far)
        (new|fresh|different) (topic|subject|start|page), (how do I reset|please|clear everything|how)?
        how do I (reset|start with|get|begin) (a|an) (empty|blank|clean|new) (page|memory|chat|conversation|slate)?
        (our|the) (talk|conversation|chat|history) (has become too long|is a mess|went wrong|got confusing)(, how do I
          reset it|, can I begin anew|, start over)
        (can|could) (we|I) (begin|start) (from zero|from the top|again from nothing|with nothing in memory|all over)?
        how do I (wipe|erase|throw away|dump|reset|flush) (your memory|what you know about me|all we said|the context|
          this conversation)?
        (clean|wipe|clear) (up|out|it all|the board|the table)
    """,
    "system": """
        (during|inside|within|in the middle of) (a|the|this) chat, (can I|how do I|I want to) (change|swap|set|replace)
          (the|its|your) (system prompt|instructions|role|persona)
        (from now on|starting now), (be a pirate|speak like a teacher|behave differently|use another system prompt|act as
          a poet)(, how do I set that|)
        (I want|I would like|can I get|how do I get) (you|the model|it) to (play|act|be|speak as|pretend to be) (a pirate|
          another character|a strict teacher|somebody else|a role) [in this chat]
        (can|may|how can) I (give|set|write|swap|update|rewrite|change) (the|your) (instructions|standing orders|general
          instructions|system text|system message|system prompt) (now|here|in mid chat|during the chat|while we talk|in
          the chat)?
        how do I (instruct|tell) the model (in general|for the whole chat|how to behave|to always answer in French|to be
          brief in all answers)?
        (new|another|different|other) system (prompt|message|instruction) (here|now|please|in this chat)
        which (slash command|command of the chat) is for the (system prompt|system message|instructions)?
    """,
    "set": """
        (can|may) (the|a) (temperature|parameter|sampling) be (changed|adjusted|set|altered|modified) (here|now|while
          chatting|in the chat|on the fly|during a chat|without restarting)?
        I (want|need|would like) (a higher|a lower|another|a different) (temperature|top-p|top-k|setting) (in this chat|
          from now on|for this conversation|here)
        how do I (turn up|turn down|raise|lower|tweak|change) (the temperature|a parameter|top-p|the sampling) (in the
          chat|in here|while chatting|during our chat|without leaving)?
        (temperature|top-p|sampling|parameters) (in the chat|while chatting|mid conversation), how (do I change it|can it
          be changed|to set)?
        which (slash command|command in the chat) (is for|changes|sets) (parameters|the temperature|sampling parameters|a
          value)?
    """,
    "show": """
        (which|what) (values|settings|parameters|sampling values) (does this chat use|am I using|are you using|apply here|
          does the chat have) [at the moment|right now|currently]?
        (let me|can I|may I|could I|I'd like to) (see|look at|inspect|check) (the parameters|the sampling parameters|the
          state|the template|the model's state|the chat template|your state|its state)
        (where|how) (can|do) I (see|look up|check|read) (the current|the present|your|this chat's) (parameters|state|
          template|temperature|sampling values)?
        how (full|big|large) is (your|the) (state|memory) (now|at the moment|at present|by now)?
        how (do|can) I (inspect|see|view|look into) the (state|recurrent state|memory) (of this chat|of the model|in the
          chat|here)?
        show me (the state|the parameters|the template|what is set)
    """,
    "stats": """
        (on|from) the command line, (how do I see|can I see|show me|I want) (how fast it was|the speed|token counts|
          tokens per second|timings)
        (add|print|append|show) (speed|timing|token counts|statistics|figures) (to|after|below|at the end of|under) (the
          answer|the output|each answer|generate)
        (tokens per second|how many tokens|speed figures) (with|for|in) (generate|falcon generate|a single call|one run)
        (was|is) that (fast|slow|quick), (and how many tokens|in tokens per second|how do I see it)?
        (I want|I would like|I'd like) to (see|know) (the speed|how quick it was|the numbers|token counts|the timing|some
          figures|how many tokens were used) [after each answer|after an answer|of the last turn|of this chat]
        (which|what) (option|flag|command) (prints|shows|reports|displays) (the speed|token counts|statistics|timing|
          stats|how fast it was|tokens per second) [after an answer|of an answer|on the command line|in the chat|at the
          end]?
        how (can|do) I (tell|see|find out) how (long|many tokens) (an answer|my question|the last turn|it) (took|had|
          needed)?
        (speed|token count|tokens per second|timing|statistics) (of|for|after) (the last answer|an answer|this chat|the
          turn|a run)
    """,
    "stop": """
        (it|the model|this answer|the reply) (rambles|rambles on|keeps rambling|talks too much|just goes on|is endless|
          babbles|won't shut up)(, how do I cut it off|, how do I end it|, what can I press|)
        (what|will anything|is something|does the text|is the half) (happens to|lost from|remain of|written so far) (the
          unfinished|the half-finished|the partial) (answer|reply|text) [when I interrupt|if I stop it|lost]?
        (what|which) (do I press|can I press|key is it|button) (to stop|to interrupt|in the middle of|while it writes|
          when it talks too long|to make it stop) [an answer|it]?
        (can|may|could) I (interrupt|cut short|stop|break into|cut off) (an answer|it|the model|a reply|you) (halfway|in
          the middle|before the end|while it is talking|early)?
        (hold on|halt|wait|stop it|enough), (how do I stop the answer|make it stop|too long)
        do I (keep|lose) (the text|what was written|the half answer|what it wrote|the beginning of the answer) (when|if)
          I (stop|interrupt|cancel|press Ctrl-C)?
    """,
    "lines": """
        (my message|my question|my text) has (two|several|many|three) (lines|paragraphs)(, how do I type it|, how do I
          enter it|)
        (pressing|hitting|when I press|whenever I hit) (enter|return) (sends it|sends my message|submits it) (already|too
          soon|before I am done)
        how (do|can) I (go|get|move|jump) to the next line (without sending|in my message|while typing)?
        (which|what) (keys|key combination|shortcut) (is for|makes|starts|inserts|gives) (a line break|a new line|another
          line|the next line)?
        I want to (paste|write|type) (a poem|code|a paragraph|a list) (with line breaks|over several lines|of several lines)
    """,
    "generate": """
        (I'd like|I want|I need|can I have) (a single|one|just one|a quick) (completion|answer|reply) (from|in|on) (the
          shell|the terminal|the command line|a script)
        (what|which) (is|command is) (the counterpart of chat|for non-interactive use|used when I do not want to chat|
          there besides chat) [for one prompt|]?
        (ask|prompt|query) (the model|it) (straight|directly) (from|on) (the shell|the command line|the terminal)
        (without|instead of) (opening|starting|entering) (a|the) chat, (how do I get an answer|answer one question|ask
          something)
        (how|what command) (do I|to) (use|run|call|ask) (the model|it|falcon) (just once|only once|for a single answer|
          once and be done|from a shell script|in a one-liner)?
        (I do not|I don't) (want|need) a (conversation|chat), (just|only) (one answer|a single answer|one reply|some text)
        (one|a single|just one) (shot|answer|prompt|question|reply) (and exit|and done|from the shell|please|without
          chatting)
        (which|what) (subcommand|command) (takes|accepts|answers|is for) (a|one|a single) prompt?
        how can a (script|program|cron job) (ask the model something|get an answer|use falcon)?
    """,
    "model": """
        (which|what) (option|flag|argument|switch) (names|sets|selects|picks|changes|is for|determines) the model?
        how do I (tell it|say|indicate|specify|choose) (which|what) (model|checkpoint|weights) (to use|I mean|to load|
          should answer)?
        I have (a model|weights|a checkpoint) (in a folder|on my disk|in a directory|stored locally)(, how do I load it|,
          how do I use it|, can falcon take it|)
        (I want|I would like) (another|a different|some other|my own) model (than the default|to answer|for this prompt|
          instead|with generate)
        (different|other|another|custom) model (please|with generate|for generate|option)
        (can|does) (generate|falcon generate) (use|take|run|accept) (a particular|a certain|another|a local) model?
    """,
    "file": """
        (my|the) (prompt|question|text) is (long|very long|huge|saved|written) (and stands in a file|in a file|in
          prompt.txt|in a text file)(, can falcon read it|, how do I hand it over|)
        (can|may|could) (the|a) prompt (be|come|be read|be taken) [from|in] a (file|text file|document)?
        (how|can) (do I|I) (hand over|supply|pass|feed in|give it|load) (a file|a text file|notes.txt|prompt.txt|the
          contents of a file) (as the prompt|as input|as my question)?
        (instead of typing|rather than typing) (the|my) prompt, (read|take|use) (it from a file|a file)
        (file|document) as (prompt|input|question)
    """,
    "pipe": """
        (cat|grep|ls|git diff|curl|another command) (output|'s output|prints text)(, can I send that to falcon|, how do I
          get it into falcon|, falcon should sum it up|)
        (what|how) (does|do|would) (a pipeline|a pipe|a shell pipeline) (look like|with falcon look|look) [with falcon|]?
        (does|can|will) (generate|falcon generate|falcon) (read|take|listen to|accept) (stdin|piped text|standard input|
          from a pipe|what I pipe)?
        (can|may|could) I (feed|send|push|stream|pass) (the output of|text from|something from) (another program|a
          command|cat|grep|a log|another command) (into|to) (falcon|it|the model)?
        how do I (summarize|sum up|condense|process|translate) (a log|a log file|a document|a report|the output of a
          command|a text file) (on the command line|with falcon|in the shell)?
        (is it possible|how) to (combine|chain|connect|link) falcon (with other tools|with grep|with a unix pipe|with
          shell commands|in a pipeline)?
        (stdin|standard input|a pipe|the pipe symbol)(, does that work|, can I use it|, how)?
        (text|input) (through|from|over|via) (a pipe|stdin|standard input)
    """,
    "output": """
        (keep|have|put|get) (a copy of|) (the|each|every) (answer|reply|result|text) (on disk|in a text file|in my folder|
          in a document)
        (generated|finished|whole) (text|answer|story) (into|to|in) (story.txt|a file|a text file|out.txt)
        (where|how) (can|do) I (put|keep|store|get) (what it writes|what the model says|the reply|the result|the
          generated text|the answer) (in a file|into a file|on disk|to a file)?
        I (want|need|would like) (the answer|the result|the text|the reply|the output) (in|written to|saved as|stored in)
          (a file|answer.txt|a text file|a document)
        (which|what) (option|flag|switch) (writes|puts|sends|saves|is for) (the answer|the result|output|the text|the
          reply) (to|into|in) (a file|disk)?
        (answer|result|output|reply|text) (to|into) (file|a file|disk|answer.txt)
        (don't|do not) print (it|the answer), (save it|write it to a file|put it in a file)
    """,
    "json": """
        (my|a|another) (program|script|tool|app) (has to|must|should|needs to|will) (read|parse|process|understand) the
          (answer|result|output|reply)
        I (want|need|would like) (the result|the answer|the output) (as a JSON object|in JSON|machine readable|in a
          structured form|for a program|as structured data)
        (which|what) (option|flag|format) (do I use|is there|is good) for (programs|a program|machine-readable results|
          structured results|scripts that parse the answer)?
        (structured|machine readable|JSON|parseable) (result|answer|output|reply) (please|option|flag|for a program)
        (how|can) (do I|I) (get|make|have) (a single|one) JSON (object|document) (with the answer|out of falcon|as a
          result)?
    """,
    "jsonl": """
        (I want|I need|how do I get) (each|every|all) (event|token|step|piece) (on its own line|on a line of its own|as a
          line|as it happens|live as JSON|as a separate JSON line)
        (stream|streaming|a stream of) (tokens|events|JSON|pieces) (to a program|for a program|to my program|line by line|
          one per line)
        (events|tokens) as (they come|they happen|separate lines|JSON lines)
        (watch|read|follow) (the generation|the answer|tokens) (live|as it is made|as they arrive) (from a program|in my
          script|in JSON)
        what is the difference between --json and --jsonl?
    """,
    "raw": """
        (leave|keep) (my|the) (text|prompt) (alone|untouched|as it is), no (template|chat markup)
        (bypass|skip) the (chat format|template) (altogether|completely|entirely)
        (my model|the model|it) is (a base model|not a chat model|no chat model|only a completion model)(, how do I
          prompt it|, what option|, how do I use it)
        (just|simply|only) (continue|complete|extend|go on with) (my text|this text|the text|what I wrote) [without any
          template|and no chat]
        (I do not|I don't) want (the|a|any) (chat template|template|chat format|chat markup|special tokens) [around my
          text|around the prompt]
        (send|give|feed|pass) (the|my) (prompt|text) (unchanged|exactly as it is|verbatim|without wrapping|as is|literally)
        (plain|pure|bare) (text|completion|continuation|prompt), (no|without) (chat|template|formatting)
    """,
    "length": """
        (the|its|your) (texts|answers|replies|responses) (get|are|become|come out) (much|far|way|) too (long|lengthy|
          wordy)(, how do I cap them|, can I set a limit|)
        (how|what) (can|do|must) I (set|do|use) (so that|to make sure) (the answer|it|the reply) (has at most|stays under|
          does not exceed|stops after) (200|50|100|a few hundred|so many|forty) tokens?
        (upper|maximum|hard|token) (limit|bound) (for|on|of) (the answer|a reply|generation|output|generated tokens)
        (no more|not more) than (20|50|64|100|128|500) tokens
        (I want|I need|give me|I would like) (only|just|at most|no more than|short answers of) (a few|fifty|50|100|30|
          twenty) (tokens|words)
        (the|its|your) (answer|reply|output) (should|must|may) (not be longer than|have at most|stop after|not exceed|be
          at most) (50|100|a hundred|twenty|200) tokens
        (cap|bound|limit|restrict|constrain|cut) (it|the reply|the generation|the answer|what it writes) (at|to) (100|50|
          a hundred|a few|200|300) (tokens|words)
        (it|the model|falcon) (writes|talks|generates|prints) (too much|far too much|for too long|pages and pages)(, can
          I limit it|, how do I limit that|, how do I get less)
        (shorter|longer|brief|short) (answers|replies|outputs|texts) (please|how|option|from generate)
        how (much|long) (will|does|may) (it|the model|falcon) (write|generate) at most(, and can I change it|)?
    """,
    "seed": """
        (I want|I need|how do I get) (the same|exactly the same|an identical) (text|answer|output|sample) (tomorrow|again|
          on another day|on each call|from the same prompt|when I run it again)
        (make|keep) (sampling|the randomness|random answers|the sampling|random choices) (repeatable|reproducible|the
          same|under control)
        (random|randomness|sampling) (but|and yet|yet) (repeatable|reproducible|the same every time)
        (yesterday|earlier|before) I got (a nice|a good|another|a different) answer(, how do I get it again|, can I get
          it back|)
        (I run|when I run|if I run) the same (prompt|command|question) twice (and get|, I get|. Why do I get) (different
          answers|two answers|something else)
        (for|in) (a test|an experiment|a paper|my tests|science), (I need|the answer must be|it has to be) (the same|
          repeatable|reproducible|identical) (result|every time|each time|)
        (can|could) (the|an) answer be (reproduced|repeated|made reproducible|made the same again|fixed)?
        (same|identical|equal) (prompt|input|question), same (answer|output|result)
        (random|changing|varying) (answers|results)(, how do I fix them|, how do I pin them down|, can I make them
          repeatable)
    """,
    "greedy": """
        (I want|give me|I need) the (single|one|very) (most probable|likeliest|best|most likely) (answer|continuation|
          token|word) (always|each time|every time|at every step)
        (switch|turn) (randomness|chance|sampling|the dice|the random choice) off
        (no|without|zero|remove all) (dice|chance|luck|random choice|random numbers|randomness)
        (never|do not|don't) (roll dice|sample|choose at random|draw at random), (take|pick|use) the (top|best|likeliest|
          most probable) (token|word)
        (which|what) (flag|option) (disables|turns off|avoids|stops) (sampling|randomness|random choice)?
        argmax (decoding|please|at each step)
    """,
    "freer": """
        (I want|I'd like|give me|how do I get) (wilder|more surprising|more original|livelier|crazier|more adventurous|
          bolder|looser|more inventive) (answers|texts|stories|replies|ideas|poems|output)
        (it|the model|everything|each story) (sounds|is) (so dull|always the same|too tame|too stiff|lifeless|too safe|
          too predictable|flat)
        (more|some more|extra|a bit more) (fantasy|imagination|spice|creativity|variation|variety|freedom|surprise)
          (please|in the answers|in the output|from the model)
        (let|make) (it|the model) (be|get) (more creative|more adventurous|bolder|wilder|more playful|inventive)
    """,
    "surer": """
        (I want|I'd like|give me|how do I get) (more sober|more careful|safer|more cautious|tamer|calmer|steadier|drier|
          more consistent|less adventurous) (answers|texts|replies|output)
        (it|the model|the output) (sounds|is|gets) (too crazy|too wild|too random|incoherent|erratic|a bit mad|too loose|
          chaotic|unpredictable)
        (less|a bit less|fewer|not so much) (fantasy|imagination|surprises|creativity|variation|randomness|risk|wildness)
          (please|in the answers|in the output|from the model)
        (let|make) (it|the model) (be|get) (more careful|more cautious|more sober|calmer|tamer|more serious|more factual)
        (keep|hold) (it|the model) (on track|to the point|on a short leash|from wandering off)
    """,
    "stopping": """
        (as soon as|when|once|the moment) (it writes|the word|the model writes|a blank line|"END"|a certain word)
          (appears|comes|it should stop|stop|is reached), (stop|it should end|how|it should stop)?
        (can|could) (generation|the answer|it|the output) (end|stop|be cut|be ended) (at|before|when it reaches) (a
          marker|a word I choose|the word END|a certain string|a full stop|the first line break|a keyword)?
        (I want|I need) (the answer|it|the text) to (end|stop) (at|before|with) (a certain phrase|the first blank line|
          the word done|a marker|a keyword|"###")
        (stop|end|cut) (at|on|after|before) (a word|a marker|this string|the text|a phrase)
    """,
    "extract": """
        (answer|reply|output) (is|has|comes with) (a code block|code in it|python code|code with comments around)(, I
          want only that|, how do I print only that|)
        (print|give me|keep|output|return) (the code block|the code|the program|the snippet) (and|but) (leave out|drop|
          not|skip) (the rest|the text|explanations|everything else)
        (just|only) (the|) (snippet|code block|source code|fenced code|program text)
        (I only|I just) (care about|want|need) the (code|program|script|function|snippet)(, not the talk|, not the
          explanations|, skip the rest|)
        (how do I|can I) (strip|drop|lose|get rid of|throw away|cut) (the explanation|the explanations|the prose|all the
          talking|everything but the code|the words around the code)?
        (the|an) answer (contains|has) (code and text|a code block|code)(, can I get just the code|, how do I keep only
          the code|)
        (code|code block|program|script) (only|alone|without text|without explanation|and nothing else)
        (write|put|save) (only|just) the code (to|into|in) (a file|main.py)
    """,
    "systemoption": """
        (with|in|for) (falcon generate|generate|a single call|one call), (how|where) do I (give|set|put|pass) (a|the)
          system (prompt|message|instruction)?
        (a|one) (call|run|prompt) with (its own|a special|another) (system prompt|system message|instruction)
        (which|what) (flag|option) (carries|holds|takes|is for) the system (prompt|message|instruction)?
        (how|where) do I (put|give|pass|specify|write) (the|a) system (prompt|message|instruction) (outside the chat|with
          generate|when I use generate|on the command line|in a single call|for one run|in a shell script)?
        (can|could) (one call|a single call|generate|a single prompt|falcon generate) have (its own|a|another) system
          (prompt|message|instruction)?
        (system prompt|system message|system instruction|role) (for|with|in) (generate|one call|a single prompt|falcon
          generate|one run)
        (tell|instruct) the model (in|for) (one call|a single call|generate) (to be brief|how to behave|what role it has)
    """,
    "thinking": """
        (reasoning|thinking|thought) (models|blocks|parts) (annoy me|clutter the screen|are long|take space)(, can they
          be hidden|, hide them|)
        (the model|it|this reasoning model) (prints|shows|writes|outputs) (all|a lot of|too much|lots of) (its thoughts|
          thinking|reasoning|thinking before the answer)
        (I do not|I don't) (need|want|care about) (the|all the|its) (thinking|thoughts|reasoning|inner monologue|
          deliberation|chain of thought)
        (answer|result|final answer) (only|without) (no thoughts|the thinking|thinking|reasoning|the thoughts)
        (skip|omit|fold away|cut out|conceal|leave out) (the|its|all) (thinking|thoughts|reasoning|deliberations|think tags)
        what is inside the think tags, and can I hide it?
    """,
    "quiet": """
        (falcon|it|the program) (prints|shows|writes|says) too (many|much) (notices|messages|besides the answer|other
          stuff|extra lines|information)
        (I want|give me|print) (only|just|nothing but|purely) the (answer|reply|text|result)(, no extra lines|, no
          progress bar|, no notices|, no messages|)
        (stop|keep it from|prevent it from) (showing|printing|displaying) (progress|notices|messages|the progress bar|
          extra lines|hints)
        (less|no) (noise|chatter|output|messages|talk) (around the answer|on the screen|on stderr|from falcon|please)
        (progress bar|notices|messages|hints) (off|away|disturb me|annoy me|in my script)
    """,
    "quantize": """
        (my|the) (laptop|computer|GPU|card|machine|server) has (only|just) (8|4|6|16|12|little) (GB|gigabytes|memory)(,
          can the model be made smaller|, how do I fit a model|, what can I do|, how do I shrink it)
        (the|this|my) (model|checkpoint) (takes|needs|uses|eats|wants) too much (memory|space|RAM|room|disk)(, can it be
          smaller|, what can I do|, how do I reduce it|)
        (can|could) (a|the|this) model be (made smaller|shrunk|compressed|squeezed|reduced|stored in fewer bits|stored in
          four bits|packed|cut down)?
        (fewer|less|only four|4) (bits|bits per weight|memory|bytes per weight)(, how|, please|)
        how do I (get|produce|end up with|obtain|write) a (4-bit|smaller|compact|quantized|lighter|reduced) (checkpoint|
          file|copy|version) [of my model]?
        I want (the|a) 7B (model|) (on my laptop|on a small GPU|in less memory|to fit|to take less room)
    """,
    "nf4": """
        (the docs|the manual|they|falcon|the help) (mention|mentions|says|say) (nf4|NF4)(, what is that|, which means|.
          What is it|)?
        (four|4) bits (a|per|for each) weight(, what is that called|, what is that|, which format)?
        (is|are) nf4 (a file|a model|a format|numbers|four bits|smaller than bfloat16)?
        how does nf4 (compare|relate) to bfloat16?
    """,
    "quality": """
        (will|would|does) (my|the|a) (model|answers|answer) (get|become|be|suffer) (worse|stupid|dumber|less good|bad)
          (in 4-bit|by quantizing|when shrunk|when I quantize it|from quantization|after shrinking)?
        (what|how much) (do I pay|is the price|does it cost|suffers|gets lost) (for|when|by|through) (the smaller size|
          quantizing|4-bit|shrinking a model|fewer bits|compression)?
        (can|how can|how do) I (measure|check|see|verify) (the damage|what was lost|whether the quantized model is still
          good|how much worse it got|the loss)?
        is (4-bit|nf4|the small version|the shrunken model|a quantized model) (any good|still accurate|usable|worth it|as
          clever|reliable|noticeably worse)?
        (accuracy|quality) (after|under|of|with) (quantization|4-bit|nf4|quantizing|shrinking)
    """,
    "nf4memory": """
        (will|would|does|can) (the|a) 7B [model] (fit|run|work) (on|in|with) (my laptop|8 GB|6 GB|a small GPU|my card|5
          GB|16 GB|eight gigabytes) (in 4-bit|when quantized|with nf4|as nf4|after quantization|)?
        (14 GB|fourteen gigabytes|14 gigabytes) is too much(, how much is it in nf4|, what about 4-bit|, how small does
          it get|)
        how many (gigabytes|GB|gigs) (is|are|does|has|will|needs) (a|the) (quantized|4-bit|nf4|7B) (model|7B|one) [have|
          need|take]?
        (before and after|by what factor|what factor|what fraction|what share) (quantizing|does it shrink|is saved|
          remains of the size|of the memory is left)?
        what is the (memory|size|footprint) (of|for) (a 7B|the 7B|a 7B model) (in nf4|in 4-bit|after quantizing|quantized)?
    """,
    "bench": """
        (I want|I'd like|I need) (numbers|figures|to know how fast it is|a speed measurement|to measure tokens per second|
          performance figures|to time it|timings)
        (how|what) (quick|many tokens per second|fast|speed) (is|does|can|will) (my machine|my GPU|this model|falcon|my
          computer|my laptop) (make|reach|do|manage|have|get)?
        (time|clock|gauge|rate|test) (the model|my machine|falcon|my hardware|generation|how fast this is)
        (is there|do you have) a (speed test|benchmark|stopwatch|performance test|built-in benchmark)?
        (speed|performance|throughput) (measurement|test|check|figures|numbers) [please|of my machine]
    """,
    "benchshows": """
        (after|when) (running|I run) (falcon bench|the benchmark|bench), (what do I see|what comes out|which numbers
          appear|what does it print|what do I learn)?
        (does|will) (bench|falcon bench|the benchmark) (show|report|tell|include|measure) (memory|latency|time to first
          token|tokens per second|the first token) [too|as well|also]?
        (what|which) (information|measurements|columns|quantities|things) (are|does|do I get) (in|from|out of|by) (the
          bench table|bench|falcon bench|the benchmark) [give|contain|report]?
        what (exactly|all) (is measured|gets measured|does bench measure|does falcon bench measure)?
    """,
    "against": """
        (how much|is it|by how much|are you) (faster|quicker|slower) (is falcon|are you|is it|) [than|compared to|
          compared with] [the] (transformers library|transformers|Hugging Face library)?
        (I want|I'd like|can I get) a (comparison|race|duel|side by side) (with|against|of falcon and|between falcon and)
          transformers
        (falcon|this) (against|versus|or|beside|next to) transformers
        (does|will) (transformers|Hugging Face transformers) (run|generate) (faster|slower) than (this|falcon)?
        prove that (falcon|it) is (faster|not slower) than transformers
    """,
    "doctor": """
        (find|tell me|show me) (out|) (why|what makes) (it|my model|falcon|everything|generation) (run|runs|is|be|are) so
          (slow|slowly|sluggish)
        (only|just) (two|three|a few) tokens per second(, why|, what is wrong|, is that normal|)
        (my|the) (setup|environment|installation|system|machine) (needs a check|should be checked|may be broken|is it
          fine|all right)[?]
        (what|which) (tool|command) (finds|shows|tells me) (the cause|the reason|problems|what is wrong|faults) [of
          slowness|with my installation|]?
        (something|falcon|it|my setup) (seems|is|must be) (wrong|broken|off|misconfigured|badly installed|not right)(,
          how do I check|, what can I run|, where do I look|)
        (generation|it|everything|the model) (crawls|takes forever|takes ages|is sluggish|drags|lags|is slower than I
          expected|is awfully slow)(, why|, what is going on|, what do I check|)
        (did I|have I|is it) (install|installed) (it|everything|this|falcon) (correctly|properly|right|well)?
        (are|is) (the fast|the right|the triton|my) (kernels|kernel|GPU) (running|working|being used|found|there)?
        (which|what) (code|kernel|backend|implementation|path) (runs|is used|computes|does the work) (on my GPU|on my
          machine|here|underneath)?
        (health check|self-test|diagnosis|check-up|diagnostics|sanity check) [of the installation|for falcon|please]
    """,
    "config": """
        (a|the) (flag|option|variable|environment variable) and (config.toml|the config file|a variable) (disagree|say
          different things|contradict each other)(, which wins|, who wins|, which counts|)
        (if|when) (I give a flag|both are set|a flag and the file differ|the variable and the file differ), (which|what|
          who) (wins|counts|is used|applies|takes over)?
        (priority|order|precedence|hierarchy) (of|among|between) (settings|flags|flags, variables and files|configuration
          sources)
        (what|which) (counts|wins|has priority|is stronger|comes first|takes precedence), (the flag|flags|the config file|
          a variable|config.toml|an environment variable) (or|and then) (the config file|config.toml|a variable|a flag)?
        (where|in which file) (do|can|does|are) (I|falcon|my|the) (set|keep|store|write|put|look up|find) (my|its|the|)
          (defaults|preferences|settings|configuration)?
        (falcon|it) (uses|takes|has) (a strange|a wrong|another|a) (setting|value|default), (where does it come from|how
          do I see why|how do I find it)?
        (my|the) (settings|configuration|configured values|preferences|defaults)(, how do I see them|, where are they|,
          please|)
        (how|where) (can|do) I (look at|see|find|check|get a list of) (what is configured|my configuration|all settings|
          the active settings|my defaults)?
    """,
    "completion": """
        (my|the) (shell|bash|zsh|fish|terminal) (should|could|does not|can't) (complete|finish|suggest) (falcon commands|
          the commands|options|what I type)
        (I want|I'd like) (tab|the tab key) to (complete|finish|suggest) (commands|options|falcon's options|words)
        (pressing|hitting) tab (does nothing|should complete the command|does not complete)(, how do I fix that|)
        how do I (teach|tell|get) (my shell|zsh|bash|fish) (falcon's commands|to complete falcon|to know the options|to
          autocomplete)?
        (tab completion|autocomplete|completions|completion script) (for|in|under|on) (zsh|bash|fish|powershell|my shell)
    """,
    "help": """
        (I am|I'm) (lost|stuck|helpless|confused)(, where is help|, where do I read more|, where is the manual|)
        (what|which) (flags|options|switches|arguments) (does|has|can) (this|that|the|a) command (have|take|accept|know)?
        (where|how) (can|do) I (read|learn|find out) more (about|on) (a command|sampling|a topic|the options|an option|
          everything)?
        (show|give|open) me (the manual|the documentation|some help|a help page|the help)
        (explain|describe) (all the|the|your) (options|flags|commands) (of falcon|of generate|on the command line)
        (is there|have you) (any|some) (documentation|built-in help|explanation of the options|help text)?
    """,
    "exitcodes": """
        (my|a|the) script (checks|needs|wants|looks at|tests) the (exit code|return code|exit status)(, which are there|,
          what do they mean|, where are they listed|)
        (where|how) (are|do I find|can I look up|is) (the|a|all) (exit codes|list of exit codes|return codes|table of
          exit codes|meaning of exit codes)?
        (which|what) number (means|stands for|says|signals) (success|that all went well|everything is fine|it worked|no
          error)?
        (what|which) (does|code) (it|falcon) (return|exit with|give back|come) (when|if|after) (all is well|everything
          works|it succeeds|it worked|nothing went wrong)?
    """,
    "offline": """
        (on a plane|on the train|in the mountains|at sea|in a bunker|without wifi|behind a firewall|in a closed lab),
          (can I|will it|does falcon|can I still) (use falcon|work|chat|run it)?
        (the|our|my) (internet|network|wifi|connection) (is down|is gone|is off|does not work|is cut)(, can I still use
          falcon|, does it work|, what now)
        (does|will|can) (falcon|it) (phone home|go online|need the internet|use the network|download anything|connect to
          a server|send anything)?
        (keep|stop|prevent) (it|falcon) (from|) (going online|using the network|downloading|connecting|touching the network)
        (no|without|zero) (internet|network|connection|downloads|online access)
    """,
    "cache": """
        (my|the) disk is (full|filling up|almost full)(, where are the models|, where do models lie|, can I move the
          models|)
        (I want|how|I'd like) to (move|put|keep|place|relocate) (the models|downloaded models|the cache|the weights|model
          files) (to|on|in|onto) (another drive|a bigger disk|another folder|an external disk|somewhere else)
        (where|in which directory|in what folder) (did|does|do|are) (falcon|it|the weights|the files|the downloaded files|
          downloads) (put|end up|save|land|stored|go|keep) [the model|my models|it]?
        (location|folder|directory|path|place|storage) of (the|downloaded|my|all) (models|weights|downloads|model files)
        (can|may) I (delete|remove|find|see) (downloaded|old) (models|weights)(, where are they|)
    """,
    "device": """
        (it|falcon|the model) (runs|is running|computes|works) on the (CPU|processor|wrong device)(, I want the GPU|, how
          do I change that|, but I have a GPU|)
        (use|take|not|leave) (my graphics card|the GPU|my GPU|the GPU free|the CPU only|the processor only), (how|please|
          which option)?
        (where|how) do I (say|tell it|decide|specify) (whether|if) it (runs|computes|works) on (the GPU or the CPU|CPU or
          GPU|the graphics card)?
        (which|what) (flag|option|switch) (puts|runs|sends|moves|makes) (it|the model|the work|everything) [run] (on|onto|
          to|on to) the (GPU|CPU|graphics card|processor)?
        (GPU|CPU|cuda|graphics card) (please|instead|only|option|flag)
    """,
    "devicemap": """
        (one|a single|my) (GPU|card) (is not enough|is too small|does not suffice|cannot hold it)(, but I have two|, can
          I use several|, I have more of them|)
        (all|both|four|two|several) (of my GPUs|GPUs|cards|graphics cards) (at once|together|at the same time|in parallel|
          for one model)
        (layers|parts) (on|over|across) (different|several|two) (GPUs|devices|cards)
        (I have|we have|my server has|there are) (two|four|eight|several|a couple of|2|4) (cards|GPUs|graphics cards|
          accelerators)(, can falcon use all|, how do I use them together|, does it use both|)
        (the|this|my) model is (bigger|larger) than (my card|one card|the memory of my GPU|a single GPU|one GPU)(, what
          can I do|, can it be split|, how do I load it|)
        (can|could) (one|a|the) model be (split|spread|shared|divided|distributed) (over|across|between|among) (cards|
          GPUs|several GPUs|two GPUs|devices)?
        (share|divide|split) the (work|layers|weights|load) (among|between|over|across) (my GPUs|several cards|two GPUs|
          all devices)
        (34B|a huge model|the largest model) on (two|several|four|many) (GPUs|cards)
    """,
    "dtype": """
        (I want|how do I get|I'd like|can I have) (full|more|higher|better|32-bit|single|half|16-bit) (precision|accuracy
          of numbers|floats|floating point)
        (can|could|how can) (it|the model|falcon) (be loaded|run|compute|calculate|work) (in|with) (float32|bfloat16|32
          bits|full precision|single precision|another type)?
        (float32|bfloat16|32-bit floats|another dtype|other precision) (please|instead|option|how|for the weights)
        (which|what) (flag|option|switch) (is for|controls|selects) (the precision|the dtype|the data type|the number
          format|float32)?
        (change|switch|pick) (from bfloat16|to float32|the numeric type|the type of numbers)
    """,
    "install": """
        (how|where) do I (get|obtain|download|fetch|find) (falcon|it|this tool|the program) (for|on|onto) (my machine|
          another computer|my laptop|a new machine|my server)?
        (I want|I'd like) (falcon|it|this) (on|at|for) (my other computer|work|home|my laptop|another machine)(, how|)
        (setup|set-up|installing|installation|deploy) (instructions|steps|guide|how|on a new machine)
        (does|is) (the installation|installing|setup|it) (difficult|hard|complicated|need a compiler|take long|need CUDA|
          require compiling|easy)?
        (with|by) (what|which) (command|tool|package manager) (do I|can I) (install|get) (it|falcon)?
        (pip|conda|docker|brew|apt)(, how do I install it|, which one installs it|)?
    """,
    "gpu": """
        (is|will|would) (a|the|my) (CPU|processor|laptop|notebook|mini PC|raspberry|office PC) (enough|sufficient|do|fast
          enough|good enough) [for this|for falcon|]?
        (nothing but|only|just) (a CPU|a processor|an office laptop|an old PC)(, can I use falcon|, does it work|, will
          it run|)
        (am I|are people) (lost|stuck|out) without a (GPU|graphics card)?
        (my|this) (laptop|computer|machine|PC) (has no|lacks a|is without a|does not have a) (GPU|graphics card|NVIDIA
          card|video card)(, is that a problem|, can I still use it|, will it work|)
        (will|would|does|can) (it|falcon|a model) (run|work|be usable) (on|with) (an ordinary|a normal|a plain|an old|a
          cheap|just a) (computer|laptop|CPU|PC|processor)?
        (must|do) I (buy|own|have|rent|get) (a|an) (GPU|graphics card|NVIDIA card|expensive card)?
        (CPU|processor) (only|alone|enough|is that enough|will do)?
        what (hardware|machine|computer) (do I need|is needed|is required|does it need)?
    """,
    "unsupported": """
        (I have|there is|I downloaded|I own) (a|an|some) (LoRA|adapter|GGUF file|image|picture|photo|GGUF model|llama.cpp
          file|fine-tuned adapter)(, can I use it|, can falcon load it|, how do I load it|, what do I do with it)
        (can|could|does|will) (it|falcon|the tool) (handle|process|describe|open|do|work with|take) (images|vision|photos|
          adapters|GGUF|LoRA weights|multimodal input|pictures)?
        (vision|multimodal|image|picture|photo|GGUF|LoRA|adapter) (input|support|models|files|loading)?
        (is there|any) (support|way|chance) for (LoRA|GGUF|images|adapters|pictures|photos)?
        (fine-tune|finetune|train|adapt) (a model|with LoRA|an adapter) [with falcon|here]
    """,
    "licence": """
        (does it|do I have to|must I|is there a|does falcon) (cost|pay|fee|pay anything|price) [money|for it|for falcon|
          anything]?
        (am I|are we|is my company|is a company) (allowed|permitted|free) to (use|ship|sell|bundle|redistribute|modify)
          (it|this|falcon|the code) [in our product|commercially|at work]?
        (what|which) (rights|legal terms|terms|conditions|permissions) (do I have|apply|are there|come with it|cover this
          software)?
        (legal|lawyer|legally|copyright) (question|asks|speaking)[: what is the licence|, under which licence is it|, may
          I use it]?
        (open source|free software|proprietary)(, or not|, is it|)?
    """,
    "debug": """
        (falcon|it|the program) (crashed|fell over|died|threw an error|failed|stopped with an error|misbehaves)(, how do
          I learn more|, what do I send you|, how do I report that|, how can I see what happened|)
        (the|an|this) error (message|) (is too short|says too little|tells me nothing|is not enough)(, can I see more|,
          where is the rest|, how do I get details|)
        (I want|how do I|where can I) (to file|file|to report|report|to send|send) (a bug|an issue|a problem|a defect|a
          fault) [to the developers|with details|]?
        (show|give|print) me (the whole|the full|the complete|more of the|the python) (traceback|error|stack trace|story
          of the error|details)
        (developers|the developers|maintainers) (want|need|ask for) (a traceback|the traceback|details|the stack trace)(,
          how do I get it|)
    """,
}
