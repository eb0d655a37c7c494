"""Code in a page is code of the tree: a block of C++ stands, up to indentation, in the file that its title names, or
in any source file where it has no title."""
import os

from pages import ROOT, blocks, read, tree, without_indent

QUOTED = ("cpp", "cuda", "cmake")


def code_of_the_tree():
    return {p: without_indent(read(p)) for p in tree() if p.endswith((".cc", ".h", ".cu", ".cmake"))}


def wrong_quotes(path, page, code):
    bad = []
    for block in blocks(page):
        if block.language not in QUOTED and block.title is None:
            continue
        text = without_indent(block.text)
        if block.title is None:
            if not any(text in source for source in code.values()):
                bad.append("%s:%d: this block stands in no source file" % (path, block.line))
        elif not os.path.exists(os.path.join(ROOT, block.title)):
            bad.append("%s:%d: no file %s to quote" % (path, block.line, block.title))
        elif text not in (code.get(block.title) or without_indent(read(block.title))):
            bad.append("%s:%d: this block is not in %s" % (path, block.line, block.title))
    return bad
