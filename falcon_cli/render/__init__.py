"""How an answer is shown.

    reply      what shows an answer, whatever it is shown on; the plain one
    markdown   Markdown on a terminal, while it comes: nothing flickers, and what has gone up is never touched again
      blocks   text ─▶ the blocks of the document, line by line
      page     blocks ─▶ rows
        prose  emphasis, code and links
        table  columns
        wrap   where a row ends
      ink      styled text ─▶ the codes of a terminal
      tail     the last rows of the screen, drawn again in place

markdown-it parses what is in a block, rich draws it. Only `markdown` imports them, so it is imported when there is a terminal.
"""

from falcon_cli.render.reply import PlainReply, Reply, reply_for

__all__ = ["PlainReply", "Reply", "reply_for"]
