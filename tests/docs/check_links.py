"""Every link of a page leads to a file of the tree, and to a heading of it where it names one."""
import os
import re

from pages import ROOT, anchors, prose, read


def broken_links(path, page):
    """Messages of the links of `page`, which lies at `path`, that lead nowhere."""
    bad = []
    text = re.sub(r"(`+)[^\n]*?[^`]\1", lambda m: " " * len(m.group(0)), prose(page))
    targets = [(m.group(1), m.start()) for m in re.finditer(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", text)]
    targets += [(m.group(1), m.start()) for m in re.finditer(r'<(?:img|source)[^>]* src(?:set)?="([^"]+)"', text)]
    for target, at in targets:
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        where = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        line = text[:at].count("\n") + 1
        if where != path and not os.path.exists(os.path.join(ROOT, where)):
            bad.append("%s:%d: no file %s" % (path, line, target))
        elif anchor and where.endswith(".md") and anchor not in anchors(page if where == path else read(where)):
            bad.append("%s:%d: %s has no heading #%s" % (path, line, where, anchor))
    return bad
