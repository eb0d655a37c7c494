"""Every term of the glossary is explained before its second use.

A page explains a term where it stands in bold. The order is that of the chapters, the tour first; words count that are
neither code, nor formulas, nor headings."""
import re

from pages import plain


def glossary(page):
    """[(term, other forms, chapter that explains it)] from the rows of the glossary's table."""
    terms = []
    for row in re.findall(r"^\| \*\*(.+?)\*\* \|(.*?)\| \[[^\]]*\]\(([^)#]*)[^)]*\) \|$", page, re.M):
        names = [n.strip() for n in row[0].split(",")]
        terms.append((names, "docs/" + row[2]))
    return terms


def uses(text, names):
    """[(position, in bold?)] of a term in plain text, plurals included."""
    words = "|".join(re.escape(n).replace(r"\ ", r"[\s]+") for n in sorted(names, key=len, reverse=True))
    found = []
    for m in re.finditer(r"(?<![\w-])(%s)(?:s|es)?(?![\w-])" % words, text, re.I):
        found.append((m.start(), re.match(r"\*\*[^*\n]*$", text[text.rfind("**", 0, m.start()):m.start()] or "x") is not None
                      and text[:m.start()].count("**") % 2 == 1))
    return found


def late_terms(chapters, glossary_page):
    """`chapters`: path to text in the order of reading."""
    words = {p: re.sub(r"^#.*$", "", plain(t), flags=re.M) for p, t in chapters.items()}
    bad = []
    for names, where in glossary(glossary_page):
        before, explained = 0, None
        for path, text in words.items():
            for _, bold in uses(text, names):
                if bold:
                    explained = path
                    break
                before += 1
            if explained:
                break
        if not explained:
            bad.append("docs/glossary.md: no chapter explains **%s**" % names[0])
        elif explained != where:
            bad.append("docs/glossary.md: **%s** is explained in %s, not in %s" % (names[0], explained, where))
        elif before > 1:
            bad.append("%s: **%s** is explained at its use number %d" % (explained, names[0], before + 1))
    return bad
