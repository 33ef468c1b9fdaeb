"""Documents as models write them, and as they should not."""

from __future__ import annotations

from itertools import pairwise
from random import Random

FAMILY, FLAG, THUMB = "👩\u200d👩\u200d👧", "🇩🇪", "👍🏽"

DOCUMENTS: dict[str, str] = {
    "plain": "Just a sentence without any Markdown, long enough to be broken into rows.\nAnd another line.\n\nA second one.",
    "inline": """\
Some **bold text**, some *italic text*, `code with * and **`, ~~gone~~ and ***both at once*** in one sentence. 2 * 3 * 4
is snake_case_name, not emphasis; **this is never closed, and `neither is this.
""",
    "headings": """\
# First *heading*
## Second ##
Text right below.

### Third
Underlined
==========

Also
underlined
---
"""
    + "A heading that goes on for long. " * 11
    + "\n===\nEnd",
    "lists": """\
Steps:

1. **First**: do this.
   - nested one
   - nested two, which is long enough to need another row
     - deeper
       1. deepest
2. Second

   A paragraph of its own.

   ```sh
   make all

   make test
   ```
3. Third

- a
- b
* another list
+ and another
- [ ] to do
- [x] done
""",
    "numbers": "".join(f"{n}. item {n}\n" for n in range(7, 13)) + "\n1. one\n1. two\n\n99) ninety-nine\n100) a hundred\n",
    "table": """\
Before.

| Name | Value | Note |
|:-----|------:|:----:|
| one | 1 | `code` |
| two | 22 | **bold** text in a cell |
| three | 333 | a very long cell that has to be broken into rows |

After.
Name | Wert
--- | ---
a \\| b | 日本語
""",
    "wide table": "|"
    + "|".join(f" column {n} " for n in range(9))
    + "|\n"
    + "|---" * 9
    + "|\n"
    + "| cell and more text " * 9
    + "|\n",
    "quotes": """\
> A quote
goes on lazily.
>
> - with a list
>   in it
>
>> and a quote in the quote

Text.
> Another
""",
    "fence": "Look:\n```python\ndef f(x):\n\treturn x  # a\ttab\n\n\nprint('" + "long " * 20 + "')\n```\nDone.",
    "fences": """\
~~~
```
not closed by the other sign
~~~~
````md
```
inner
```
````
```
never closed
  at all""",
    "indented": "Text\n\n    code by indent\n\n      more of it\n\n\nText again\n",
    "rules": "a\n\n---\n\n***\n_ _ _\nb\n",
    "links": """\
See [the docs](https://example.org/a_b_c), <https://example.org/%1b%5B2J>, [a title](https://x.y 'title (x)') and
![a picture](p.png).
A reference [as written][1], and [another].

[1]: https://example.org/one
[another]: <https://example.org/two>
""",
    "html": "<think>\nNot <b>hidden</b>, but shown.\n</think>\n\n<div>\n\n*text*\n\n</div>\n&amp; &lt; &copy; &#x1b; &#x202e;",
    "scripts": f"""\
中文没有空格，所以在任何地方都可以换行。「引号」也要注意。

日本語のテキストは、**太字**と`コード`を含む。

한국어는 띄어쓰기가 있다.

emoji {FAMILY} {FLAG} {THUMB} ❤\ufe0f 🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂 e\u0301cole nai\u0308ve עברית

- 列表{FAMILY}项目
- ｆｕｌｌ　ｗｉｄｔｈ
""",
    "long words": f"{'a' * 100} {'b' * 7} https://example.org/{'path/' * 30}end **{'c' * 50}** `{'d' * 60}`\n\n- {'e' * 90}\n",
    "line ends": """\
CR LF\r
line ends,\r
\r
- as in\r
- other systems\r
\r
```\r
code\r
```\r
and a lone\rreturn\r""",
    "escapes": """\
\\*not emphasis\\* \\# \\[x\\]
\\- no list
\x1b[2Jred \x1b[31m \x9b1A \x07 \x7f \u202e `\x1b]0;t\x07`

```
\x1b[H
```
""",
    "blank": "\n\n   \n\n\ttabbed\tcode\n\n\n",
    "empty": "",
    "marks": "-\n\n#\n\n>\n\n1.\n\n**\n\n```",
}

_WORDS = """\
lorem ipsum dolor **sit amet** *consectetur* `adipiscing elit` sed [do](http://x.y/z_a) eiusmod 2*3 a_b 中文字 tempor
""".split()


def prose(length: int, seed: int = 1) -> str:
    """About `length` characters of one paragraph on one line, with the marks that models use."""
    random = Random(seed)
    text = ""
    while len(text) < length:
        text += random.choice(_WORDS) + random.choice("    \n,")
    return text.strip().replace("\n", " ")


LONG: dict[str, str] = {
    "paragraph": prose(5500),
    "lines": prose(5500, 2).replace(", ", "\n"),
    "open": "a *star, a `tick and a [bracket " + prose(5500, 3),
    "word": "x" * 5500,
    "chinese": "的一是不了人我在有他这为之大来以个中上们，" * 220,
    "item": "- " + prose(4000, 4) + "\n- b",
    "quote": "> " + prose(4500, 5).replace(", ", "\n> "),
    "piped": "a | b " + prose(5000, 6) + "\nc | d\n",
    "code line": "```\n" + "y中" * 3000 + "\n```",
}


def soup(random: Random) -> str:
    """Marks and words in any order."""
    inline = [
        "a",
        "word",
        " ",
        " ",
        "**",
        "*",
        "`",
        "[a](b)",
        "中文",
        "。",
        FAMILY,
        "é",
        "long" * 9,
        "~~",
        "_",
        "\x1b[2J",
        "\t",
        "|",
        "\\",
    ]
    starts = ["", "", "", "- ", "  - ", "  ", "1. ", "> ", "> - ", "   ", "# ", "    ", "| a | b |", "|---|---|", "\t"]
    lines: list[str] = []
    for _ in range(random.randint(1, 12)):
        lines.append(random.choice(starts) + "".join(random.choice(inline) for _ in range(random.choice([0, 0, 3, 9, 30]))))
        if random.random() < 0.2:
            lines.append(random.choice(["```", "~~~", "---", "", "", "==="]))
    return random.choice(["\n", "\r\n"]).join(lines)


def split(text: str, random: Random, mean: int | None = None) -> list[str]:
    """`text` in parts of about `mean` characters."""
    mean = mean or random.choice([2, 5, 12, 60])
    count = min(len(text) // mean, max(0, len(text) - 1))
    cuts = [0, *sorted(random.sample(range(1, max(1, len(text))), count)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]
