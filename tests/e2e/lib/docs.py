"""Reads a page of the documentation: its code blocks, the words in backticks, its links and its anchors."""

import itertools
import os
import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^( *)(```+|~~~+) *(.*?) *$")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\]|!\[[^\]]*\]\([^)]*\))*\]\(([^()\s]+)\)|!\[[^\]]*\]\(([^()\s]+)\)")
HTML_LINK = re.compile(r'\b(?:src|srcset|href)="([^"\s]+)"')
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$")


@dataclass
class Block:
    """A fenced block: the word behind the fence is its class, a second one the file that the reader writes."""

    line: int
    kind: str
    file: str
    text: str


@dataclass
class Page:
    path: str
    blocks: list = field(default_factory=list)
    words: list = field(default_factory=list)  # (line, what stands in backticks)
    links: list = field(default_factory=list)  # (line, target)
    anchors: list = field(default_factory=list)
    faults: list = field(default_factory=list)  # what no page may have


def slug(heading):
    """The anchor that GitHub and others make of a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def parse(path, text):
    page = Page(path)
    fence, inside, start = None, [], 0
    before_was_empty = True
    for number, line in enumerate(text.split("\n"), start=1):
        mark = FENCE.match(line)
        if fence:
            if mark and mark.group(2) == fence.group(2) and not mark.group(3):
                indent = len(fence.group(1))
                kind, _, file = fence.group(3).partition(" ")
                body = "\n".join(part[indent:] if part[:indent].isspace() else part for part in inside)
                page.blocks.append(Block(start, kind, file.strip(), body + "\n"))
                fence = None
            else:
                inside.append(line)
            continue
        if mark:
            fence, inside, start = mark, [], number
            continue
        if line.startswith("    ") and before_was_empty and line.strip():
            page.faults.append(f"{path}:{number}: code that is only indented: nothing says what it is")
        before_was_empty = not line.strip()
        _read_prose(page, number, line)
    if fence:
        page.faults.append(f"{path}:{start}: a fence that is not closed")
    return page


def _read_prose(page, number, line):
    heading = HEADING.match(line)
    if heading:
        anchor = slug(heading.group(1))
        seen = sum(1 for other in page.anchors if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other))
        page.anchors.append(f"{anchor}-{seen}" if seen else anchor)
    page.words += [(number, word) for word in INLINE.findall(line)]
    plain = INLINE.sub("", line)
    for link in LINK.finditer(plain):
        page.links.append((number, link.group(1) or link.group(2)))
        if link.group(1) and "![" in link.group(0):  # a picture that is a link
            page.links += [(number, target) for target in re.findall(r"!\[[^\]]*\]\(([^()\s]+)\)", link.group(0))]
    page.links += [(number, target) for target in HTML_LINK.findall(plain)]


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        return parse(path, file.read())


def broken_links(top, pages):
    """Relative links whose file is not there, or whose page has no such heading."""
    anchors = {page.path: set(page.anchors) for page in pages}
    for page in pages:
        for number, target in page.links:
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(page.path), file)) if file else page.path
            if path != page.path and not os.path.exists(os.path.join(top, path)):
                yield f"{page.path}:{number}: {target}: there is no such file"
            elif anchor and anchor not in anchors.get(path, {anchor}):
                yield f"{page.path}:{number}: {target}: there is no such heading"


def command_lines(text):
    """The lines of a shell script, those that end with a backslash joined to the next."""
    return re.sub(r"\\\n\s*", " ", text).split("\n")


def prompts(text):
    """What a transcript of psql types, and what it shows: [(database, command, [columns, row...] or None)]."""
    found, lines = [], text.rstrip("\n").split("\n")
    for number, line in enumerate(lines):
        typed = re.match(r"(\w+)=[>#] (.*)$", line)
        if not typed:
            continue
        table = None
        if number + 2 < len(lines) and re.fullmatch(r"[-+]+", lines[number + 2].strip()):
            answer = itertools.takewhile(lambda row: row.strip() and not re.match(r"\w+=[>#] ", row), lines[number + 3 :])
            table = [[cell.strip() for cell in row.split("|")] for row in (lines[number + 1], *answer)]
        found.append((typed.group(1), typed.group(2), table))
    return found
