"""Figures: well-formed SVG of a few kB that follows light and dark, shown by a page beside the command that makes
it."""
import os
import re
import sys
import xml.etree.ElementTree

from pages import ROOT, prose, read

LARGEST = 16 * 1024


def figures():
    folder = os.path.join(ROOT, "docs", "figures")
    return sorted(f for f in os.listdir(folder) if f.endswith(".svg"))


def wrong_figure(name, svg, pages):
    """`pages`: path to text of all pages."""
    bad = []
    try:
        root = xml.etree.ElementTree.fromstring(svg)
        if not root.tag.endswith("svg") or root.get("viewBox") is None:
            bad.append("%s: no svg with a viewBox" % name)
    except xml.etree.ElementTree.ParseError as error:
        return ["%s: %s" % (name, error)]
    if len(svg.encode()) > LARGEST:
        bad.append("%s: %d bytes, at most %d" % (name, len(svg.encode()), LARGEST))
    if "prefers-color-scheme: dark" not in svg:
        bad.append("%s: no colours for the dark" % name)
    shown = [text for text in pages.values() if "figures/%s)" % name in text]
    if not shown:
        bad.append("%s: no page shows it" % name)
    command = "docs/study/page.py docs/study" if name.startswith("study-") else "docs/figures/make.py %s" % name[:-len(".svg")]
    if not any(command in text or "--svg %s" % name in text for text in shown):
        bad.append("%s: its page does not say `%s`" % (name, command))
    return bad


def outdated():
    """Drawn figures whose file is not what drawings.py draws now."""
    sys.path.insert(0, os.path.join(ROOT, "docs", "figures"))
    import drawings
    return ["docs/figures/%s.svg: `docs/figures/make.py %s` draws another one" % (name, name)
            for name, draw in drawings.FIGURES.items() if draw() != read("docs/figures/%s.svg" % name)]


def chapters_without_figure(chapters):
    return ["%s: no figure" % p for p, t in chapters.items() if not re.search(r"\]\(figures/[\w-]+\.svg\)", prose(t))]
