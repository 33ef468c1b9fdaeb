"""Topics: what an error means and what to do about it."""

from __future__ import annotations

from scripts.demo.corpus.topic import topic

TOPICS = (
    topic(
        "notfound",
        it="""
            ([the error|the message|]) (model not found|no such model|"model not found"|unknown model|repository not
              found|model does not exist)
            (exit code|code|error code|status|return code) (3|three)
        """,
        ask="""
            (falcon|it|the tool) (says|tells me|claims|reports|complains) [that] (model not found|the model was not found|
              it cannot find the model|there is no such model|the model does not exist|it does not know the model|the
              model is unknown|the repository does not exist)
            why (is|was) (my|the|a) model not found?
            (falcon|it) (cannot|can't|does not|could not|fails to) find (my|the|a) model
            (the|my) model (cannot be found|could not be found|is not found|was not found|does not exist|is missing)
            what (do I do|now|should I do) (if|when) (a|the) model (is not found|cannot be found|does not exist)?
            I get (exit code 3|model not found|code 3|an error that the model is unknown)
            (exits|exited|ends|ended|quits|stopped|fails|failed) with (3|exit code 3|code 3|status 3)
        """,
        say="""
            The name is wrong or it is not on Hugging Face (exit code 3): check the name.
        """,
    ),
    topic(
        "gated",
        it="""
            ([the error|the message|]) (gated model|a gated model|gated repo|access denied|401 unauthorized|gated
              repository|restricted model|403 forbidden)
            (HF_TOKEN|gated models|a gated repository)
        """,
        do="""
            (use|download|load|get|open|access|run) a (gated|restricted|private|protected) model
            (log in|give my token|pass a token|use my token|authenticate|log in to Hugging Face|set a token)
        """,
        ask="""
            (the|my) model (is gated|needs a login|needs permission|is private|needs a token|is restricted|requires
              access|asks for a login|wants a token)
            (falcon|it|Hugging Face) (says|tells me|reports|complains) [that] (the model is gated|access is denied|I am
              not allowed|I have no access|I need to log in|it is a gated repo|unauthorized|access is restricted|I must
              log in)
            why (am I|was I) (denied|not allowed|refused) [access|access to a model|to download the model]?
            where (do|does) (I put|my|the) (my|) [Hugging Face] token [go]?
            (I have no access to|access denied for|not allowed to download|permission denied for) (a|the|this) model
        """,
        say="""
            The model is gated: log in with a token in `HF_TOKEN` (exit code 3).
        """,
    ),
    topic(
        "offlineerror",
        it="""
            ([the error|the message|]) (offline and not downloaded|not downloaded|the model is not in the cache|not in
              the cache and offline|not available offline)
        """,
        ask="""
            (falcon|it) (says|tells me|reports|complains) [that] (it is offline|the model is not downloaded|I am offline|
              the model is not in the cache|the model is not here and offline is set|it is not cached)
            why does --offline (fail|not work|give an error|not find the model|refuse)?
            --offline (fails|does not work|gives an error|cannot find my model|says not downloaded)
            (the|my) model (is not downloaded|was never downloaded|is not in the cache|is not cached|is not on my disk)
              [and I am offline]
            (offline|without network|with --offline) (it|falcon) (does not find|cannot load|cannot find|fails to load)
              (the|my) model
            (error|failure|problem|an error) (in|with) offline mode
        """,
        say="""
            The model is not on this machine: download it first, or leave out `--offline`.
        """,
    ),
    topic(
        "memoryerror",
        it="""
            ([the error|the message|]) (out of memory|"out of memory"|not enough memory|CUDA out of memory|OOM|memory
              exceeded|insufficient memory)
            (exit code|code|error code|status|return code) (4|four)
        """,
        ask="""
            (falcon|it|my GPU|the program|my machine|the GPU|my computer) (ran|runs|is) out of (memory|RAM|VRAM)
            (falcon|it) (says|tells me|reports) [that] (there is not enough memory|memory is short|it is out of memory|
              the memory is too small|there is too little memory)
            (I|we) (have|got) (too little|not enough) (memory|RAM|GPU memory) [for the model|for this model]
            why (do I|did I|does it) (run|get) out of memory?
            what (can|do|should) I do (about|against|when I run) (out of memory|out of memory errors|an out of memory
              error)?
            I get (exit code 4|code 4|an out of memory error|OOM|a memory error)
            (exits|exited|ends|ended|quits|stopped|fails|failed) with (4|exit code 4|code 4|status 4)
            (the|my) (memory|RAM|GPU memory) is full
            (the|my) model (does not fit|doesn't fit) in[to] (memory|RAM|my RAM)
        """,
        say="""
            Out of memory (exit code 4): take a smaller model, or a 4-bit one.
        """,
    ),
    topic(
        "usage",
        it="""
            (exit code|code|error code|status|return code) (2|two)
            ([the error|the message|]) (wrong usage|no such option|unknown option|invalid argument|usage error|missing
              argument|invalid value|bad option)
        """,
        ask="""
            I get (exit code 2|code 2|a usage error|no such option|wrong usage)
            (exits|exited|ends|ended|quits|stopped|fails|failed) with (2|exit code 2|code 2|status 2)
            (falcon|it) (says|tells me|reports|complains) [that] (there is no such option|the option is unknown|my usage
              is wrong|an argument is missing|the argument is invalid|an option is wrong)
            (falcon|it) (does not|doesn't) (know|accept|like|take|recognize) my (option|argument|flag|command)
        """,
        say="""
            Exit code 2 is wrong usage: an option or argument is wrong; see `--help`.
        """,
    ),
    topic(
        "code1",
        it="""
            (exit code|code|error code|status|return code) (1|one)
        """,
        ask="""
            I get (exit code 1|code 1)
            (exits|exited|ends|ended|quits|stopped|fails|failed) with (1|exit code 1|code 1|status 1)
        """,
        say="""
            Exit code 1 is a failure: something went wrong; `--debug` shows more.
        """,
    ),
    topic(
        "code130",
        it="""
            (exit code|code|error code|status|return code) 130
        """,
        ask="""
            I get (exit code 130|code 130)
            (exits|exited|ends|ended|quits|stopped|fails|failed) with (130|exit code 130|code 130|status 130)
            (which|what) exit code (do I get|comes|is returned|stands for|is it) (after|for|when I press|by) Ctrl-C?
        """,
        say="""
            Exit code 130: it was stopped by Ctrl-C.
        """,
    ),
    topic(
        "code74",
        it="""
            (exit code|code|error code|status|return code) 74
            ([the error|the message|]) (output could not be written|cannot write the output|disk full|write error)
        """,
        ask="""
            I get (exit code 74|code 74)
            (exits|exited|ends|ended|quits|stopped|fails|failed) with (74|exit code 74|code 74|status 74)
            (falcon|it) (could not|cannot) write (the|its|my) (output|file|answer)[, which exit code is that]
            (which|what) exit code (do I get|comes) (when|if) the (disk is full|output cannot be written)?
        """,
        say="""
            Exit code 74: the output could not be written.
        """,
    ),
    topic(
        "code6",
        it="""
            (exit code|code|error code|status|return code) (6|six)
            ([the error|the message|]) (bad model file|damaged model file|broken model file|corrupt file|a corrupt model|
              damaged checkpoint)
        """,
        ask="""
            I get (exit code 6|code 6|bad model file)
            (exits|exited|ends|ended|quits|stopped|fails|failed) with (6|exit code 6|code 6|status 6)
            (my|the) (model file|checkpoint|safetensors file|model) is (broken|damaged|corrupt|bad|incomplete)[, says
              falcon]
            (which|what) exit code (do I get|comes) (when|if|with) a (model file is bad|bad model file|damaged model)?
        """,
        say="""
            Exit code 6: bad model file; it is damaged or incomplete, so download it again.
        """,
    ),
    topic(
        "notemplate",
        it="""
            ([the error|the message|]) (no chat template|"no chat template"|the model has no chat template|missing chat
              template|chat template missing)
        """,
        ask="""
            (falcon|it) (says|tells me|reports|complains) [that] (there is no chat template|the model has no chat
              template|the chat template is missing|a template is missing|it needs a chat template)
            (my|the|this) model has no [chat] template
            what (can|do|should) I do (if|when) (a|the|my) model has no [chat] template?
            why (is there|do I get) no chat template?
            (chat template|the template|template) (is missing|not found|missing|error)
            (cannot|can't) chat with (a base model|my base model), no template
        """,
        say="""
            This model has no chat template: use `--raw`.
        """,
    ),
    topic(
        "positions",
        it="""
            ([the error|the message|]) (too many tokens|exceeds positions|prompt too long|too many positions|exceeds the
              positions|more tokens than positions|context length exceeded)
        """,
        ask="""
            (falcon|it) (says|tells me|reports|complains) [that] (there are too many tokens|my prompt is too long|the
              prompt exceeds the positions|the positions are exceeded|it is too long for the model|the text is longer
              than the positions)
            (my|the) (prompt|text|input|document|question) is too long [for the model|for Falcon-H1]
            why (is|was) my (prompt|text) (refused|too long|rejected)?
            what (can|do|should) I do (about|against|with|when I get) (too many tokens|a prompt that is too long|exceeded
              positions)?
            (exceeds|exceeded|over) (the|its) (positions|context|maximum length|limit of positions)
        """,
        say="""
            Falcon-H1 has a limit of positions: shorten the prompt.
        """,
    ),
    topic(
        "nan",
        it="""
            ([the error|the message|]) (NaN|nan|infinity|NaN or infinity|not a number|NaN in the logits|inf|infinite logits)
        """,
        ask="""
            (falcon|it|the model) (says|reports|tells me|gives|returns|produces|complains about|stops with|prints) (NaN|
              NaN or infinity|not a number|infinity|nan|NaNs|infinite numbers)
            why (do I|does it|does the model) (get|give|produce|return) (NaN|NaNs|infinity|nan)?
            (where|what) do NaNs come from?
            what (can|do|should) I do (about|against|when I get) (NaN|NaNs|infinity|nan)?
            (the|my) (logits|numbers|outputs|scores) are (NaN|infinite|not numbers|nan)
        """,
        say="""
            NaN or infinity means damaged weights or a too narrow dtype: try bfloat16 or float32.
        """,
    ),
)
