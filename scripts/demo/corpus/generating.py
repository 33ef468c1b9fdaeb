"""Topics: `falcon generate` and the options of an answer."""

from __future__ import annotations

from scripts.demo.corpus.topic import topic

TOPICS = (
    topic(
        "generate",
        do="""
            (generate|create|produce|write|make|get) (text|an answer|a text|an answer|a completion|some text|one answer)
             [from (a|one|a single) prompt|from the command line|in one go|without a chat|in a script|non-interactively]
            (ask|put) (one|a single|just one) question (from the shell|on the command line|without starting a chat|
              without a chat|in a script)
            (run|complete|answer|send) (a|one|a single) prompt [from the command line|without chatting|once]
            (use|run|call) (falcon|it|the tool) (in a script|from a script|in a shell script|non-interactively|without a
              chat|for one question only)
        """,
        it="""
            [the] (falcon generate|generate) [command]
            the generate command
            (one-shot|single-shot|one-off) (generation|prompting|use|answers)
        """,
        ask="""
            (which|what) command (generates|writes|produces|makes) (text|an answer|a completion|one answer) [from a prompt]?
            I (want|need) (one|a single|just one|only one) answer (and no|without a) chat
            how do I use falcon (without|outside) the chat?
        """,
        say="""
            `falcon generate "..."` answers one prompt.
            Use `falcon generate "..."` with your prompt between the quotes.
        """,
    ),
    topic(
        "model",
        do="""
            (choose|select|pick|change|specify|set|name|switch|use|take|load|swap) (the|a|another|a different|which|my
              own|a certain|some other) model
            (use|load|run|open|try) (a|my|some) (local model|model folder|local folder|model from a folder|local
              checkpoint|model on my disk|downloaded model)
            (tell|say to) falcon which model (to use|it should use|to load|I want)
            (run|use|try) (falcon|it) with another model
            point falcon (to|at) (a|my) (model|folder|model folder)
        """,
        it="""
            [the] (-m|--model) [option|flag]
            the model option
        """,
        ask="""
            (which|what) option (chooses|selects|sets|names|picks) the model?
            where do I (say|put|write|give|enter) (the model|the model's name|which model I want)?
            how does falcon know which model (to use|I want)?
        """,
        say="""
            `-m` or `--model` chooses the model: a name or a folder.
            Use `-m` (or `--model`) with the name of a model or a folder.
        """,
    ),
    topic(
        "file",
        do="""
            (read|take|load|get|use|feed|give|pass) (the|a|my) (prompt|question|input|instruction) (from|in|out of) a
              [text] file
            (use|give|pass|send|submit|feed) (a|my|the contents of a|a whole) [text] file (as|for) [the|a] (prompt|input|
              question)
            (put|keep|store|save|write) my prompt in a file
            let (falcon|it) read (a file|my prompt from a file)
        """,
        it="""
            [the] -f [option|flag|FILE]
            (a|the) prompt (from|in) a file
            (prompt files|file prompts)
        """,
        ask="""
            my prompt is (in|stored in|saved in) a (file|text file)(, how do I use it|, how do I pass it|)?
            (which|what) option reads (a|the) prompt from a file?
            the prompt is too long to type, can it (be in|come from) a file?
        """,
        say="""
            `-f FILE` takes the prompt from a file; you can also pipe it in.
            Use `-f FILE`, or pipe the file in.
        """,
    ),
    topic(
        "pipe",
        do="""
            pipe (text|a file|something|data|input|the output of a command|a document|a log) (in|into falcon|into it|to
              falcon|to the model|into falcon generate)
            (use|read from|feed|take text from) (a pipe|standard input|stdin) [with falcon]
            (use|run|put|combine) falcon (in a pipe|in a pipeline|with pipes|with other commands|with cat|behind a pipe)
            (summarize|sum up|process|send in|translate|shorten) (a|my|the output of a|the text of a) (file|log|command|
              document|long file) [with falcon]
            (redirect|send) (the output of another command|stdin|text) (into|to) falcon
        """,
        it="""
            (pipes|piping|stdin|standard input|a pipe|pipelines) [in falcon|with falcon]
            piping (text|a file) (in|into falcon)
        """,
        ask="""
            does falcon (read|accept|take) (stdin|standard input|pipes|piped input|piped text)?
            (can|does) (it|falcon) work (in a pipe|in pipelines|with cat|behind a pipe)?
        """,
        say="""
            Pipe it in: `cat file | falcon generate "Sum this up."`
        """,
    ),
    topic(
        "output",
        do="""
            (save|write|store|put|send|redirect|keep|dump|record|export) (the|an|your|its) (answer|output|reply|result|
              response|generated text|text)
             (to|in|into|in|as) (a|my|some|another) (file|text file|disk|document)
            (save|store|keep|export) (the|an|its) (answer|output|reply|result|response) [somewhere|on disk|for later]
            get the (answer|output|result) (in|into|as) a file
            (have|let) falcon write (to|into) a file
        """,
        it="""
            [the] (-o|-o FILE|--output) [option|flag]
            the output file
            (saving|storing|writing) (the answer|an answer|the output|results) (to|in) a file
        """,
        ask="""
            (which|what) option (saves|writes|stores) the (answer|output|result) [to a file]?
            where (can|do) I (save|store) the (answer|output|result)?
        """,
        say="""
            `-o FILE` saves the answer to a file.
            Use `-o FILE`: the answer is written to that file.
        """,
    ),
    topic(
        "json",
        do="""
            (get|have|print|receive|see|produce|return|output|write) [the] (JSON|json|JSON output|the answer as JSON|the
              result as JSON|machine-readable output|structured output|a JSON object)
            (format|return|output|write) (the|an) (answer|output|result|reply) (as|in) JSON
            (parse|read) the (answer|output|result) (with|in|from) (a program|another program|a script|jq|Python)
            make falcon (print|output|speak|write|emit) JSON
        """,
        it="""
            [the] --json [option|flag]
            JSON output
            (machine-readable|machine readable) output
        """,
        ask="""
            (is there|do you have|does it have) (JSON|json|machine-readable|structured) output?
            (can|does) (falcon|it) (speak|print|output|write|do) JSON?
            (which|what) option (gives|prints|makes|produces) JSON?
        """,
        say="""
            `--json` prints the result as JSON.
            Add `--json` to get JSON output.
        """,
    ),
    topic(
        "jsonl",
        do="""
            (get|see|print|receive|stream|have|read|output) (the|all|each of the|) (events|tokens|tokens as events) (line
              by line|one per line|as JSON lines|as a stream of JSON lines|one line each|as they come in JSON)
            (stream|get|print|output|write) (JSON lines|jsonl|JSONL|a JSON stream|an event stream|events|
              newline-delimited JSON)
            (follow|process|watch) (the answer|an answer|the events|generation) (event by event|token by token|line by
              line) (in|from) (a program|a script)
        """,
        it="""
            [the] --jsonl [option|flag]
            (JSON lines|JSONL|jsonl) [output]
            (the event stream|a stream of events|streamed JSON)
        """,
        ask="""
            (is there|do you have) (a|an) (event stream|JSONL mode|streaming JSON|streaming output for programs|JSON
              stream)?
            one JSON (event|object) (per|for each|for every) (line|token)?
            (which|what) option (prints|gives|writes) (events|one event a line|JSON lines)?
        """,
        say="""
            `--jsonl` prints the events line by line, each as JSON.
            Use `--jsonl`: one event a line.
        """,
    ),
    topic(
        "raw",
        do="""
            (generate|write|work|run|prompt|complete text) without (a|the|any) chat template
            (skip|turn off|disable|leave out|omit|avoid|bypass|switch off|not use|remove|drop|ignore) (the|a|any) [chat]
              template
            (give|pass|feed|send) (raw|plain|unformatted|bare) text [to the model|as it is]
            (continue|complete) (a|plain|some|my) text (as it is|word for word|as it stands|without a template)
            use a base model (as it is|without chat|for plain completion)
        """,
        it="""
            [the] --raw [option|flag]
            raw (mode|prompts|text|completion)
            (no chat template|plain completion)
        """,
        ask="""
            (which|what) option (skips|turns off|disables|leaves out) the (chat template|template)?
            (can|does) (falcon|it) (take|continue|complete) plain text?
            no template, please
        """,
        say="""
            `--raw` uses no chat template: the model continues the text as it is.
            Add `--raw`; then no chat template is used.
        """,
    ),
    topic(
        "length",
        do="""
            (limit|restrict|set|bound|cap|cut|shorten|control|reduce|change) (the|your|its|an) (length|size|number of
              tokens|maximum length|token count) [of an answer|of the answer|of the output|of a reply|of the response]
            (make|get|have) (the answer|answers|replies|the output|the reply|responses) (shorter|longer|not so long|brief|
              of at most 50 tokens|at most 100 tokens long)
            (get|have) (a|only a) (short|shorter|longer|long) (answer|reply|output|response)
            (allow|generate|write|get|set|print) (at most|no more than|up to|a maximum of|only) (50|20|100|200|1000|ten|a
              hundred|so many|some) (tokens|words)
            (set|change|raise|increase|lower) the (maximum|max|limit of|number of) (tokens|new tokens)
            stop (the model|it|falcon) after (50|20|100|a hundred|a number of|some) tokens
        """,
        it="""
            [the] (-n|--max-tokens) [option|flag]
            (max tokens|max-tokens|the maximum number of tokens|the length limit|a length limit|the token limit of an
              answer)
        """,
        ask="""
            (the|your|its) (answers|replies|outputs) are too (long|short)(, what can I do|, how do I change that|)?
            (which|what) option (limits|sets|restricts|caps) the (length|number of tokens)?
            how (long|many tokens) (may|can|will) an answer (be|become|get|have)[, and how do I change it]?
            the answer (ends|is cut off|stops) too (early|soon)
        """,
        say="""
            `-n` or `--max-tokens` limits the length of the answer in tokens.
            Use `-n` (or `--max-tokens`) with a number of tokens.
        """,
    ),
    topic(
        "seed",
        do="""
            (make|get|have) (an answer|the answer|answers|results|the output|my results) (repeatable|reproducible|the
              same each time|deterministic with sampling|come out the same)
            (repeat|reproduce|get back|replay) (an answer|the same answer|a result|the exact same output|an earlier
              answer|a run|my results) [exactly|later]
            (get|have) (the same|identical|exactly the same|equal) (answer|output|result|reply|text) (each time|every
              time|again|twice|on every run|always)
            (set|fix|choose|pass|give|use) (a|the) (seed|random seed)
            (control|fix|pin|freeze) the randomness
        """,
        it="""
            [the] (--seed|seed) [option|flag]
            (the|a) (seed|random seed)
            (reproducibility|repeatable answers|reproducible output)
        """,
        ask="""
            (why|how come) (is|do I get) (each answer different|another answer each time|a different answer every time|
              different results every time)[, and how do I avoid that]?
            (which|what) option makes (an answer|answers|results|it) (repeatable|reproducible)?
            I (need|want) (reproducible|repeatable|the same) (results|answers|output)
        """,
        say="""
            `--seed` with a number makes an answer repeatable.
            Use `--seed`: the same seed gives the same answer.
        """,
    ),
    topic(
        "greedy",
        do="""
            (always|) (take|get|choose|pick|use|draw|select|have) (always|only|) the (likeliest|most likely|most probable|
              best|top|single best) (token|word|next token|next word) [each time|always|at each step]
            (turn off|disable|switch off|avoid|stop|do without|get rid of) (sampling|randomness|random sampling|all
              randomness|chance|the dice)
            (decode|generate|sample|answer|run) (greedily|without sampling|without randomness|deterministically|in greedy
              mode|without any randomness)
            use greedy (decoding|mode|sampling|search)
            (set|use) temperature (0|zero)
            (get|have) (fully|completely|) deterministic (answers|output|decoding)
        """,
        it="""
            [the] --greedy [option|flag]
            (--temperature 0|temperature 0|temperature zero|a temperature of zero)
        """,
        ask="""
            (which|what) option (always takes|takes|chooses|picks) the (likeliest|most likely|most probable) token?
            (no|without) (sampling|randomness|random choice), please
            (I want|is there) no randomness at all
        """,
        say="""
            `--greedy` or `--temperature 0` always takes the likeliest token.
            Use `--greedy`, which is the same as `--temperature 0`.
        """,
    ),
    topic(
        "freer",
        do="""
            (make|get|have) (answers|the answer|the model|it|the output|you|replies|the text) (freer|more creative|wilder|
              more random|more varied|more diverse|less boring|more colourful|more surprising|more imaginative|less
              predictable)
            (increase|raise|get more) (the creativity|creativity|the variety|the randomness|diversity|the temperature|
              randomness)
            (get|have|see) more (creative|varied|random|surprising|diverse|original) (answers|output|texts|stories|results)
        """,
        ask="""
            (the|your|its) answers are (too boring|too dull|always alike|boring|dull|monotonous|too predictable|so
              repetitive)(, what can I do|, how do I change that|)?
            I (want|need|would like) more (creativity|variety|randomness|imagination|surprise)
        """,
        say="""
            Raise `--temperature`: a higher value makes answers freer.
        """,
    ),
    topic(
        "surer",
        do="""
            (make|get|have) (answers|the answer|the model|it|the output|you|replies|the text) (surer|safer|less random|
              more focused|more precise|more conservative|less wild|more predictable|less crazy|more reliable|more sober|
              more stable|more careful)
            (decrease|lower|reduce|get less) (the creativity|the randomness|the variety|randomness|the temperature|
              creativity)
            (get|have) (safer|surer|more focused|more careful|less random|more predictable) (answers|output|results|replies)
        """,
        ask="""
            (the|your|its) answers are (too wild|too random|nonsense|crazy|all over the place|too chaotic|too creative)(,
              what can I do|, how do I change that|)?
            I (want|need|would like) less (creativity|variety|randomness|chaos)
        """,
        say="""
            Lower `--temperature`: a smaller value makes answers surer.
        """,
    ),
    topic(
        "stopping",
        do="""
            (end|stop|finish|cut|halt) (an answer|the answer|generation|the output|the generation|the text) (at|when it
              meets|before|as soon as it reaches|after|on|upon|when it writes) (a|a certain|a given|some|a particular|a
              special) (text|word|string|phrase|marker|sequence|line|character)
            (set|use|give|define|add|pass|specify) (a|some|my own) (stop string|stop word|stop text|stop sequence|
              stopping text|end marker|stop phrase|stop marker)
            (stop|end) (the model|it) (at|before|when it writes) (a certain word|a word|a blank line|a string|"END"|a
              keyword|the word stop)
        """,
        it="""
            [the] --stop [option|flag]
            (a stop string|stop strings|stop words|a stop sequence|stop sequences)
        """,
        ask="""
            (which|what) option (ends|stops) (the answer|generation|it) at a (text|word|string)?
            does falcon (have|support|know) stop (strings|words|sequences)?
        """,
        say="""
            `--stop` with a text ends the answer where that text appears.
            Use `--stop`: the answer ends at the text you give.
        """,
    ),
    topic(
        "extract",
        do="""
            (get|print|extract|keep|show|output|save|have|return|pull out|see|copy) (only|just|nothing but) the (code|
              code block|program|source code|code part) [of an answer|of the answer|out of the answer|without the text
              around it]
            (extract|cut out|take|isolate|pull) (the|a) code [block] [from the answer|out of the answer|from an answer|
              from a reply]
            (leave out|drop|skip|remove|strip) (the text|everything|the explanation|the words|the chatter|the prose)
              (around|except|besides|but) the code
        """,
        it="""
            [the] (-x|--extract) [option|flag]
            (extracting code|code extraction|only the code block)
        """,
        ask="""
            I (want|need) (only|just) the code [block|, no explanation|and nothing else|without explanations]
            (which|what) option (extracts|prints|gives|keeps) (only the code|the code block|just the code|the code)?
        """,
        say="""
            `-x` or `--extract` gives only the code block of the answer.
            Use `-x` (or `--extract`): only the code block is printed.
        """,
    ),
    topic(
        "systemoption",
        do="""
            (set|give|use|pass|add|specify|provide) (a|the) system prompt (for one call|for a single call|on the command
              line|for generate|with generate|in one call|with falcon generate|as an option|when generating|for one
              prompt|from the shell|at the start|for a single prompt)
            (give|pass) (an instruction|a role) (for one call|on the command line|with generate|to falcon generate)
        """,
        it="""
            [the] --system [option|flag]
            the system (option|flag)
        """,
        ask="""
            (which|what) option (sets|gives|passes) the system prompt [of one call|on the command line|for one call]?
            (does|can) falcon generate (take|have|use) a system prompt?
        """,
        say="""
            `--system` with a text sets the system prompt of one call.
            Use `--system` and the text of the system prompt.
        """,
    ),
    topic(
        "thinking",
        do="""
            (hide|suppress|leave out|not show|skip|turn off|remove|omit|get rid of|not see|switch off|drop|strip) (the|a
              model's|its|the model's|all the|the long) (thinking|thoughts|reasoning|think block|thinking part|chain of
              thought|inner monologue|reasoning part)
            (see|get|print|show|have) (only|just) the (answer|final answer|result) (and not the thinking|without the
              thinking|without thoughts|without the reasoning|of a thinking model|of a reasoning model)
        """,
        it="""
            [the] --hide-thinking [option|flag]
            (the thinking|hidden thinking|thoughts) [of a model]
        """,
        ask="""
            (the model|it) (thinks|reasons) too (long|much|loud)(, can I hide that|, how to hide it|)
            (which|what) option hides (the thinking|the thoughts|the reasoning|thoughts)?
            I (do not|don't) want to (see|read) (the thinking|its thoughts|the thoughts|the reasoning)
        """,
        say="""
            `--hide-thinking` hides the thinking of a model.
            Add `--hide-thinking`; then only the answer is shown.
        """,
    ),
    topic(
        "quiet",
        do="""
            (suppress|hide|turn off|silence|switch off|avoid|remove|get rid of|disable|mute|not see) (the|all|any|those|
              these) (notices|progress|messages|notes|warnings|progress bars|progress bar|chatter|notifications|hints|
              status messages|noise)
            (make|keep|have) falcon (quiet|silent|be quiet|say nothing but the answer|less talkative|less chatty|shut up
              about itself|less verbose)
            (see|get|print|have) (nothing but|only) the answer[, no notices|, no progress|, without notices]
            run (quietly|silently|in silence)
        """,
        it="""
            [the] --quiet [option|flag]
            quiet mode
        """,
        ask="""
            (no|without) (notices|progress|messages|progress bars|notifications)(, please|)
            (which|what) option (hides|suppresses|silences|turns off) (notices|the notices|progress|messages)?
            (is there|do you have) a (quiet|silent) (mode|option|flag)?
        """,
        say="""
            `--quiet` leaves out notices and progress.
            Add `--quiet`: no notices, no progress.
        """,
    ),
)
