"""Topics: the words of the field, one short definition each."""

from __future__ import annotations

from scripts.demo.corpus.topic import topic

TOPICS = (
    topic(
        "token",
        it="""
            (a token|tokens|token|the word token|one token)
        """,
        ask="""
            (is|are) (a token|tokens) (a word|words|a letter|letters|the same as a word|the same as words)?
            how (long|large|big) is a token?
            what are tokens made of?
        """,
        say="""
            A token is a piece of a word, often a few letters.
        """,
    ),
    topic(
        "tokenizer",
        it="""
            (a tokenizer|the tokenizer|tokenizers|tokenization|tokenizing|a tokeniser|the tokeniser)
        """,
        ask="""
            what does (a|the) tokenizer do?
            (how|what) (is text cut|cuts text|cuts a text|turns text|splits text) into tokens?
            (why|for what) do (I|models|we) need a tokenizer?
            what (turns|converts) (words|text) (to|into) (tokens|ids)?
        """,
        say="""
            A tokenizer cuts text into tokens.
        """,
    ),
    topic(
        "temperature",
        it="""
            (temperature|the temperature|sampling temperature|the sampling temperature|a temperature|the temperature
              parameter|the parameter temperature)
        """,
        ask="""
            what does (temperature|the temperature) (do|change|control|influence|affect)?
            what (happens|changes) (when|if) (the temperature is high|the temperature is low|I raise the temperature|
              temperature is higher)?
            (what effect|which effect|what influence) (has|does) (the temperature|temperature) [have]?
        """,
        say="""
            Temperature makes the choice of the next token freer (high) or surer (low).
        """,
    ),
    topic(
        "topp",
        it="""
            (top-p|top p|top_p|nucleus sampling|the top-p value|the parameter top-p|--top-p|topp)
        """,
        ask="""
            what does top-p (do|keep|mean|change|cut)?
            which tokens does top-p keep?
        """,
        say="""
            top-p keeps the likeliest tokens whose probabilities sum to p.
        """,
    ),
    topic(
        "topk",
        it="""
            (top-k|top k|top_k|top-k sampling|the top-k value|the parameter top-k|--top-k|topk)
        """,
        ask="""
            what does top-k (do|keep|mean|change|cut)?
            which tokens does top-k keep?
        """,
        say="""
            top-k keeps the k likeliest tokens.
        """,
    ),
    topic(
        "systemprompt",
        it="""
            (a system prompt|the system prompt|system prompts|a system message|the system message|system prompt)
        """,
        ask="""
            (why|for what) (do I need|would I use|is there|should I write) a system prompt?
            what (goes|belongs|do I write) (in|into) a system prompt?
        """,
        say="""
            A system prompt is an instruction given before the conversation.
        """,
    ),
    topic(
        "template",
        it="""
            (a chat template|the chat template|chat templates|chat template|a conversation template|ChatML)
        """,
        ask="""
            what does (a|the) chat template do?
            (why|for what) (do I need|does a model have|is there|does a model need) a chat template?
            how (are|do) (messages|the messages) (turned|become) into [the] text [that the model reads]?
        """,
        say="""
            A chat template turns messages into the text that the model reads.
        """,
    ),
    topic(
        "prefill",
        it="""
            (prefill|the prefill|prefilling|the prefill phase|the prefill step|pre-fill)
        """,
        ask="""
            what happens (during|in|at) (prefill|the prefill)?
            what is (reading the prompt|the reading of the prompt) called?
        """,
        say="""
            Prefill is reading the prompt.
        """,
    ),
    topic(
        "decode",
        it="""
            (decode|decoding|the decode phase|the decoding|the decode step|decode speed)
        """,
        ask="""
            what happens (during|in|at|while) (decode|decoding|the decode phase)?
            what is (writing token by token|writing the answer token by token) called?
        """,
        say="""
            Decoding is writing the answer token by token.
        """,
    ),
    topic(
        "phases",
        it="""
            (prefill and decode|prefill and decoding|prefill versus decode|the two phases|decode and prefill)
            the difference (between|of) (prefill and decode|prefill and decoding|decode and prefill)
        """,
        say="""
            Prefill is reading the prompt; decoding is writing the answer token by token.
        """,
    ),
    topic(
        "bfloat16",
        it="""
            (bfloat16|bf16|the bfloat16 format|brain float|bfloat 16|BF16|bfloat)
        """,
        ask="""
            how (large|big|many bytes|many bits) is (a bfloat16 number|bfloat16|a weight in bfloat16|bf16)?
            how many (bytes|bits) (has|does|are in) (bfloat16|a bfloat16 number|bf16) [have|take|need|use]?
        """,
        say="""
            bfloat16 is a 16-bit number format: two bytes a weight.
        """,
    ),
    topic(
        "prompt",
        it="""
            (a prompt|the prompt|prompts|the word prompt|prompt)
        """,
        say="""
            A prompt is the text that you give to the model.
        """,
    ),
    topic(
        "parameter",
        it="""
            (a parameter of a model|model parameters|a parameter|parameters|a weight|the weights|weights|the parameters
              of a model|a model's parameters)
        """,
        say="""
            A parameter is a number, also called a weight, that the model learned in training.
        """,
    ),
    topic(
        "layer",
        it="""
            (a layer|layers|the layers of a model|a layer of a model|layer|a block of a model|a model layer)
        """,
        say="""
            A layer is one step of the model's computation; a model is a stack of layers.
        """,
    ),
    topic(
        "greedyterm",
        it="""
            (greedy|greedy decoding|greedy search|greedy sampling|the word greedy|the greedy method|greedy choice)
        """,
        ask="""
            what does greedy mean?
            (when|why) is (decoding|a choice) (called|said to be) greedy?
        """,
        say="""
            Greedy means: always take the likeliest token. The option is `--greedy`.
        """,
    ),
    topic(
        "languagemodel",
        it="""
            (a language model|language models|an LLM|a large language model|LLMs|a model|models)
        """,
        say="""
            A language model predicts the next token of a text, again and again.
        """,
    ),
)
