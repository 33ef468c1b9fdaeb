"""How well a model predicts a text, and how far it is from another one.

    perplexity  a text piece by piece through the model: log-probabilities of the tokens that count
    baseline    those of one model in a file, for another to be compared with
    divergence  the comparison, token by token

Method and words are llama-perplexity's: pieces of 512 tokens, each from an empty state, of which the second half counts.
"""
