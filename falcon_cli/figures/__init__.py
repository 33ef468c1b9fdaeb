"""The results of `falcon bench`, as programs and people want them.

figures     writes them as they come, in one form
rows        one flat object each: llama-bench's field names, and ours
tables      Markdown, and tables that fit a terminal; `numbers` says how a number looks
verdicts    rows beside those of an earlier run: faster, slower, or within the noise
series      which of them make a curve; `picture` draws with matplotlib, `sketch` with plotext
"""
