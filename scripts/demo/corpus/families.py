"""Topics: the two families of models, and the state that they carry."""

from __future__ import annotations

from scripts.demo.corpus.topic import topic

TOPICS = (
    topic(
        "makers",
        it="""
            (TII|the Technology Innovation Institute|tiiuae)
        """,
        ask="""
            who (made|built|created|trained|developed|published|designed|invented|released|wrote|is behind|makes|owns|
              produced) (the models|FalconMamba|Falcon-H1|them|these models|the Falcon models|the falcon models|Falcon|
              falcon mamba|falcon h1)?
            (where|from where|which country|what country) (do|does|are|is) (the models|FalconMamba|Falcon-H1|the Falcon
              models|they|it) (come from|from|made|developed)?
            (which|what) (company|institute|lab|group|team|organization|people|country) (made|built|is behind|trained|
              created|developed|released) (the models|FalconMamba|Falcon-H1|these models|the Falcon models|them)?
            (who is|who are|name) the (maker|makers|author|authors|creator|creators|developer|developers) of (FalconMamba|
              Falcon-H1|the models|the Falcon models|these models)[?]
            where was (FalconMamba|Falcon-H1|Falcon) (made|trained|developed|built)?
        """,
        say="""
            TII made them, the Technology Innovation Institute in Abu Dhabi.
        """,
    ),
    topic(
        "mamba",
        it="""
            (FalconMamba|falcon mamba|falcon-mamba|Falcon Mamba|the FalconMamba model|FalconMamba models|falconmamba|a
              FalconMamba)
        """,
        ask="""
            (does|has) FalconMamba (have|use|contain|any|need|work with) [any] attention?
            (is|does) FalconMamba (a transformer|a state-space model|a Mamba model|a hybrid|use attention)?
            what (is special about|sort of model is|architecture has|kind of model is|is the architecture of|makes up|
              type of model is) FalconMamba [special|made of|]?
            how is FalconMamba (built|made|designed|constructed)?
        """,
        say="""
            FalconMamba is a pure state-space model (Mamba), with no attention.
        """,
    ),
    topic(
        "mambasize",
        it="""
            the (size|number of layers|number of parameters|depth|parameter count|layer count) of (FalconMamba|falcon
              mamba|falcon-mamba-7b|FalconMamba 7B)
        """,
        ask="""
            how (large|big|deep|huge|many parameters big) is (FalconMamba|falcon mamba|falcon-mamba-7b|the FalconMamba
              model)?
            how many (layers|parameters|weights|blocks|billion parameters|billions) (has|does|are in|are there in)
              (FalconMamba|falcon-mamba-7b|falcon mamba) [have]?
            (which|what) size(s|) (has|is|does|of) FalconMamba [have|come in|there]?
            FalconMamba (size|layers|parameters|how big|how many layers|parameter count)
        """,
        say="""
            FalconMamba has 7 billion parameters and 64 layers.
        """,
    ),
    topic(
        "h1",
        it="""
            (Falcon-H1|falcon h1|falcon-h1|Falcon H1|the Falcon-H1 models|Falcon-H1 models|a Falcon-H1|the H1 family|H1)
            (a hybrid model|hybrid models|the hybrid|a hybrid architecture)
        """,
        ask="""
            (does|has) Falcon-H1 (have|use|contain|any|need) [any] attention?
            (is|does) Falcon-H1 (a transformer|a state-space model|a Mamba model|a hybrid|use attention|use Mamba)?
            what (is special about|sort of model is|architecture has|kind of model is|is the architecture of|is in a
              layer of|is inside|type of model is) Falcon-H1?
            how is (Falcon-H1|a layer of Falcon-H1) (built|made|designed|constructed)?
            why is Falcon-H1 called (a hybrid|hybrid)?
        """,
        say="""
            Falcon-H1 is a hybrid: attention and Mamba-2 side by side in each layer.
        """,
    ),
    topic(
        "h1sizes",
        it="""
            the (sizes|size|smallest|largest|biggest) [of|of the|model of] (Falcon-H1|falcon h1|Falcon-H1 models)
        """,
        ask="""
            (which|what|how many) (sizes|versions|variants|models) (of Falcon-H1 are there|does Falcon-H1 have|does
              Falcon-H1 come in|of Falcon-H1 exist|are there of Falcon-H1|has Falcon-H1|are in the H1 family)?
            how (large|big|small) (is|are|can) (Falcon-H1|the Falcon-H1 models) [be|get]?
            (what is|which is|what's|name) the (smallest|largest|biggest) Falcon-H1 [model]?
            how many parameters (has|does|do) Falcon-H1 [models] [have]?
            Falcon-H1 (sizes|size|versions|parameters|how big|how many parameters)
            (list|name|tell me) (the|all) (sizes|Falcon-H1 models|versions of Falcon-H1|sizes of Falcon-H1)
        """,
        say="""
            Falcon-H1 comes in 0.5B, 1.5B, 1.5B-Deep, 3B, 7B and 34B.
        """,
    ),
    topic(
        "difference",
        do="""
            (choose|decide) between (FalconMamba and Falcon-H1|the two families|the two models)
            (compare|tell apart|distinguish) (FalconMamba and Falcon-H1|the two families|the two models|Falcon-H1 and
              FalconMamba)
        """,
        it="""
            the (difference|differences) (between|of) (FalconMamba and Falcon-H1|the two families|the two models|
              Falcon-H1 and FalconMamba|the two|both families|both models)
            (FalconMamba versus Falcon-H1|Falcon-H1 vs FalconMamba|FalconMamba or Falcon-H1)
        """,
        ask="""
            how (do|does|are) (FalconMamba and Falcon-H1|the two families|the two models|they|FalconMamba) differ [from
              Falcon-H1|from each other|]?
            what (distinguishes|separates|sets apart) (FalconMamba from Falcon-H1|the two families|the two models|
              Falcon-H1 from FalconMamba)?
            (is|are) (FalconMamba and Falcon-H1|they|both) (the same|alike|similar|identical)?
            (which|what) (one|model|family) (has|uses) attention, (FalconMamba or Falcon-H1|and which has not|and which
              doesn't)?
            what (has|does) Falcon-H1 [have] that FalconMamba (has not|lacks|does not have|doesn't)?
        """,
        say="""
            FalconMamba has no attention; Falcon-H1 has both, attention and Mamba-2.
        """,
    ),
    topic(
        "ssm",
        it="""
            (a state-space model|state-space models|a state space model|state space models|an SSM|SSMs|SSM|the
              state-space idea|ssm)
        """,
        ask="""
            how does a (state-space model|state space model|SSM) (work|read|remember|function|process a text)?
            what does a (state-space model|state space model|SSM) do [with a text|with its input|when it reads]?
        """,
        say="""
            A state-space model reads a sequence and keeps a state of fixed size.
        """,
    ),
    topic(
        "state",
        it="""
            (the|a) (state|recurrent state|hidden state|model's state|state of a model|state of the model)
            (state|the word state|the carried state)
        """,
        ask="""
            (what|which things) (is|are) (kept|stored|held|remembered|saved) in the state?
            (how|where) (does|do) (the model|a model|it|FalconMamba) (remember|store|keep) (what it read|the conversation|
              what was said|the text|everything)?
            what does the state (hold|contain|store|remember|keep)?
            what is the memory of (the|a) model?
            (does|has) the state (have|a|always have) (a|the same|fixed|) [fixed] size?
        """,
        say="""
            The state is the memory of all that was read; it is of fixed size.
        """,
    ),
    topic(
        "statesize",
        it="""
            the (size|memory|amount of memory) of (the state|the state of FalconMamba|FalconMamba's state|the
              FalconMamba-7B state|the 7B's state)
        """,
        ask="""
            how (large|big|small|many bytes|many MiB|many megabytes|much memory) (is|does|has|takes) (the state|
              FalconMamba's state|the state of FalconMamba|the state of FalconMamba-7B|the state of the 7B|the 7B state)
              [of the 7B|of FalconMamba|take|need|occupy]?
            how much (memory|RAM|room|space) does (the state|FalconMamba's state|the state of FalconMamba|the state of
              the 7B model) (take|need|use|occupy|require)?
            (size|bytes|megabytes) of (the|FalconMamba's) state
            (state size|size of the state) (of|in|for) (FalconMamba|the 7B|FalconMamba-7B)
            (does|how does) the size of the state depend on the length?
        """,
        say="""
            The state of FalconMamba-7B takes 36 MiB, at any length of text.
        """,
    ),
    topic(
        "grow",
        ask="""
            (does|will|can) (the|its|a|FalconMamba's) (state|memory|memory use) (grow|get larger|become larger|increase|
              get bigger|swell|expand|stay the same|remain constant) [with the text|with time|over a long chat|as we chat|
              with the length|with the conversation|in a long conversation]?
            (does|will) (a long chat|a long conversation|a longer text|chatting on|more text) (need|take|use|cost|require|
              consume) more (memory|RAM|room)?
            (does|will) (Falcon-H1|falcon h1|the H1) (need|use|take|keep) (more|a growing|growing) (memory|cache) [for
              long texts|with the length]?
            (is|does) the (memory|state|state size) (constant|fixed|stay constant|the same|stay the same|stay fixed) [in
              a long chat|all the time|however long the text is]?
            how does (the memory|memory use|the state) (grow|change|develop) [with the length|in a long chat|over time]?
            what (grows|gets larger|becomes bigger) (with|in) a long (text|conversation|chat)?
            (state|memory) growth
        """,
        say="""
            FalconMamba's state does not grow; Falcon-H1 has a small cache that grows with the text.
        """,
    ),
    topic(
        "textlength",
        ask="""
            how long (may|can|could|is|should|might) (a text|a prompt|a conversation|the text|my text|a chat|the input|
              the prompt|a document) (be|become|get|grow|maximally be|be at most) [for FalconMamba|for Falcon-H1|with
              falcon]?
            (is there|do you have|does FalconMamba have|does the model have|does Falcon-H1 have|has FalconMamba) a (limit|
              maximum|length limit|context limit|limit of length|maximum length|maximal length) [of|to|for|on] [the
              length|the text|the context|the prompt|the conversation]?
            what is the (longest|maximum|maximal) (text|prompt|context|length|context length|input|document) [FalconMamba
              can read|that fits|Falcon-H1 can take|of a text|for the models]?
            (can|could|will) (FalconMamba|Falcon-H1|a model|it) read (a whole book|a book|very long texts|a novel|endless
              text|a long document|any length)?
            how (long|large|big) is the context [of FalconMamba|of Falcon-H1|window|length]?
            (context length|context window|maximum context|context size|the context window|maximum length)
        """,
        say="""
            FalconMamba has no limit; Falcon-H1 is limited to its positions.
        """,
    ),
    topic(
        "carry",
        it="""
            (carrying the state|the carried state|carrying state over turns|keeping the state|state carrying|state
              carry-over)
        """,
        ask="""
            why (does|is) (carrying|keeping|it good to carry|it important to keep|it useful to carry) the state [matter|
              good|important|useful|over turns|a good thing]?
            (what|which) (is the use|is the advantage|is the benefit|good is it|do I gain|is the point|advantage) (of|
              from|by|to|has) (carrying|keeping|carry) the state [over turns|between turns]?
            (does|must|will) (falcon|the model|it) (read|reread|process|go through) (everything|the whole conversation|
              all|old turns|the history|earlier turns) again [in each turn|at each turn|for every turn|every time|each
              time]?
            why is (a new turn|the next turn|a late turn|the second turn|a follow-up question) (so fast|fast|quick|as
              fast as the first|not slower)?
            how (does|is) falcon (so fast|fast|quick) (in long chats|at new turns|with a long history)?
            (what|how much) (is read|does it read|must be read|is processed) (in|for|at) a new turn?
            what happens (at|in|with) (a new|the next) turn?
        """,
        say="""
            A new turn reads only its own tokens; nothing is read twice.
        """,
    ),
    topic(
        "undofast",
        ask="""
            how (is|can|does|come) (undo|/undo|taking back a turn|going back|the undo) (instant|be instant|so fast|be so
              fast|so quick|work so fast|immediate|work at once|take no time)?
            why is (undo|/undo|taking back a turn|the undo) (instant|so fast|so quick|fast|immediate|that fast|free)?
            what makes (undo|/undo|taking back a turn) (instant|so fast|fast|quick|cheap)?
            how (does|is) (undo|/undo) (work inside|implemented|done inside|done internally|work internally|work under
              the hood|done technically|realized)?
            (does|must) (undo|/undo) (read|reread|compute|recompute) (everything|the conversation|it all|anything) again?
            how does falcon (go back|return|jump back) to an (earlier|older) (state|turn)?
            (what|which) is a snapshot [of the state]?
            (snapshots|state snapshots|a snapshot)
        """,
        say="""
            A snapshot of the state is kept after each turn, so undo is instant.
        """,
    ),
    topic(
        "attention",
        it="""
            (attention|the attention mechanism|an attention layer|self-attention|attention layers)
        """,
        ask="""
            why is attention (slow|expensive|costly|slower|bad for long texts|so slow|slow on long texts)?
            what (makes|is it that makes) attention (slow|expensive|costly)?
            (what|which) (disadvantage|drawback|problem|cost|price) (has|does|is there with) attention [have]?
            how does attention work?
            why (do|does) (transformers|a transformer|attention) get (slow|slower) with (length|long texts|the length|
              longer texts)?
            (what is|why is there) (a|the) (cache|KV cache|key value cache) [of attention|in attention|in Falcon-H1]?
        """,
        say="""
            In attention each token looks at all before it; its cache grows with the length, which makes it slow.
        """,
    ),
    topic(
        "mambaidea",
        it="""
            (Mamba|mamba|the Mamba architecture|Mamba layers|the idea of Mamba|a Mamba|a Mamba layer|Mamba-1)
        """,
        ask="""
            (what is special about|what is new in|what makes) Mamba [special|different|new]?
            how does Mamba (work|differ|differ from older state-space models)?
            on what do the parameters of Mamba depend?
        """,
        say="""
            Mamba is a state-space model whose parameters depend on the input.
        """,
    ),
    topic(
        "vocabulary",
        it="""
            the (vocabulary|vocabulary size|vocab|vocab size|size of the vocabulary) [of FalconMamba|of the 7B|of falcon
              mamba]
            (vocabulary size|vocab size|a vocabulary)
        """,
        ask="""
            how (large|big) is the (vocabulary|vocab) [of FalconMamba|of the 7B|of falcon-mamba-7b]?
            how many (tokens|words|different tokens|entries) (does FalconMamba know|are in the vocabulary|has the
              vocabulary|are in the vocabulary of FalconMamba|does the 7B know|has FalconMamba's vocabulary)?
        """,
        say="""
            FalconMamba has a vocabulary of 65024 tokens.
        """,
    ),
)
