"""The blocks of a document are those that markdown-it finds in the whole of it, however it is cut into parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from types import ModuleType

from markdown_it import MarkdownIt
from markdown_it.token import Token

from falcon_cli.render.blocks import Blocks, Leaf

Found = tuple[str, str, str]  # the marks around a block, its kind, its text
TABLES = MarkdownIt("zero").enable("table")


def taken(parts: Iterable[str]) -> list[Leaf]:
    document = Blocks()
    for part in parts:
        document.take(part)
    document.end()
    return document.done


def ours(text: str) -> list[Found]:
    found = []
    for leaf in taken([text]):
        content = cells(TABLES.parse(leaf.text)) if leaf.kind == "table" else leaf.text
        found.append((leaf.indent, leaf.kind + "#" * leaf.level, stripped(content, leaf.kind)))
    return found


def theirs(text: str) -> list[Found]:
    """What markdown-it finds, in our words."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("reference")
    tokens = parser.parse("\n".join(line.expandtabs(4) for line in text.split("\n")))
    found: list[Found] = []
    marks, numbers, begun = list[str](), list[int](), list[int]()
    for at, token in enumerate(tokens):
        if token.type == "ordered_list_open":
            numbers.append(int(token.attrs.get("start", 1)))
        elif token.type == "ordered_list_close":
            numbers.pop()
        elif token.type == "list_item_open":
            begun.append(len(found))
            marks.append(" " * 3)
            if token.info:
                marks[-1] = " " * max(4, len(str(numbers[-1])) + 2)
                numbers[-1] += 1
        elif token.type == "blockquote_open":
            marks.append("▌ ")
        elif token.type in ("list_item_close", "blockquote_close"):
            if token.type == "list_item_close" and begun.pop() == len(found):
                found.append(("".join(marks), "paragraph", ""))  # an empty item
            marks.pop()
        elif leaf := block(tokens, at):
            found.append(("".join(marks), *leaf))
    return found


def block(tokens: Sequence[Token], at: int) -> tuple[str, str] | None:
    """Kind and text of the leaf that begins with this token."""
    token = tokens[at]
    if token.type in ("fence", "code_block"):
        return "code", stripped(token.content, "code")
    if token.type == "hr":
        return "rule", ""
    if token.type == "table_open":
        end = next(end for end in range(at, len(tokens)) if tokens[end].type == "table_close")
        return "table", stripped(cells(tokens[at:end]), "table")
    if token.type in ("paragraph_open", "heading_open"):
        kind = "paragraph" if token.tag == "p" else "heading" + "#" * int(token.tag[1])
        return kind, stripped(tokens[at + 1].content, kind)
    return None


def cells(tokens: Iterable[Token]) -> str:
    return "\n".join(token.content for token in tokens if token.type == "inline")


def stripped(text: str, kind: str) -> str:
    """The text without the white space that has no meaning."""
    lines = [line.rstrip() if kind == "code" else line.strip() for line in text.split("\n")]
    return "\n".join(lines).rstrip() if kind == "code" else "\n".join(lines).strip()


def test_the_documents_have_the_blocks_that_markdown_it_finds(document: str) -> None:
    text = document.replace("\r\n", "\n").replace("\r", "␍")
    if text.startswith("<think>"):  # with HTML left as text, definitions, too
        assert [kind for _, kind, _ in ours(text)] == ["paragraph"] * 4
    else:
        assert ours(text) == theirs(text)


BOXES = ["", "", "- ", "  ", "1. ", "   ", "> ", ">", "> - ", "      ", "* ", "7) ", "  - "]
LINES = [
    "word",
    "two words",
    "# h",
    "## h ##",
    "---",
    "===",
    "***",
    "```",
    "~~~ x",
    "-",
    "",
    "",
    "    code",
    "a|b",
    "4. x",
    "\tx",
    "+",
]


def test_marks_in_any_order_make_the_blocks_that_markdown_it_finds() -> None:
    kinds: dict[str, int] = {}
    for seed in range(1500):
        random = Random(seed)
        text = "\n".join(random.choice(BOXES) + random.choice(LINES) for _ in range(random.randint(1, 9))) + "\n"
        found = ours(text)
        assert found == theirs(text), (seed, text)
        for _, kind, _ in found:
            kinds[kind] = kinds.get(kind, 0) + 1
    assert min(kinds[kind] for kind in ("paragraph", "heading#", "heading##", "code", "rule")) > 100


def test_blocks_do_not_depend_on_the_parts(document: str, corpus: ModuleType) -> None:
    for seed in range(5):
        assert taken(corpus.split(document, Random(seed))) == taken([document])


def test_what_is_done_is_never_taken_back(document: str) -> None:
    """Each block is done as soon as its lines are there, and does not wait for the end of the document."""
    text = Blocks()
    done: list[Leaf] = []
    for sign in document:
        text.take(sign)
        assert text.done[: len(done)] == done
        done = [*text.done]
    ahead = text.preview()
    text.end()
    kinds = [leaf.kind for leaf in (*done, *ahead)]
    assert kinds == [leaf.kind for leaf in text.done][: len(kinds)]


def test_a_number_in_the_middle_of_a_paragraph_is_no_list() -> None:
    assert [leaf.kind for leaf in taken(["It was in\n1986. A year\n"])] == ["paragraph"]
    assert [leaf.lead for leaf in taken(["Steps:\n1. One\n1. Two\n"])] == ["", " 1. ", " 2. "]


def test_items_count_up_with_one_width_of_number() -> None:
    leads = [leaf.lead for leaf in taken(["".join(f"{n}. x\n" for n in range(98, 102)) + "1) other\n"])]
    assert leads == ["98. ", "99. ", "100. ", "101. ", " 1) "]


def test_a_gap_is_where_the_source_has_one_and_between_blocks() -> None:
    text = "a\n# b\n- c\n- d\n\n- e\n  - f\n\n    g\n\n> h\n>\n> i\n"
    assert [leaf.gap for leaf in taken([text])] == [None, "", "", None, "", None, "", "", "▌"]


def test_a_line_that_is_too_long_is_known_by_its_beginning() -> None:
    document = Blocks()
    document.take("- item " + "x " * 600)
    assert document.open is not None and document.open.size > 1100
    document.take("\n- next")
    document.end()
    assert [leaf.lead for leaf in document.done] == [" • ", " • "]
    long = "word " * 200
    assert [leaf.kind for leaf in taken([f"{long}\n---\n"])] == ["paragraph", "rule"]  # an underline is for a heading
    code = f"```\n{'y' * 700}\nz\n{'w' * 700}\n```\n"
    assert ours(code) == theirs(code)
    row = "| cell " * 200 + "|"
    assert [leaf.kind for leaf in taken([f"{row}\n{'|---' * 200}|\n{row}\n"])] == ["table"]


def test_a_line_of_marks_is_not_previewed() -> None:
    document = Blocks()
    document.take("A paragraph\n--")
    assert [(leaf.kind, leaf.text) for leaf in document.preview()] == [("paragraph", "A paragraph")]
    document.take("-")
    document.end()
    assert [leaf.kind for leaf in document.done] == ["heading"]
