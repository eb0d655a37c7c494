"""Every term of the glossary is explained before its second use.

A page explains a term where it stands in bold. The order is that of the chapters, the tour first; words count that are
neither code, nor formulas, nor headings."""
import re

from pages import plain

TOUR = "docs/00-tour.md"  # explains in a line what chapters explain at length


def glossary(page):
    """[(term, other forms, chapter that explains it)] from the rows of the glossary's table."""
    terms = []
    for row in re.findall(r"^\| \*\*(.+?)\*\* \|(.*?)\| \[[^\]]*\]\(([^)#]*)[^)]*\) \|$", page, re.M):
        names = [n.strip() for n in row[0].split(",")]
        terms.append((names, "docs/" + row[2]))
    return terms


def uses(text, names):
    """Of each use of a term, plurals included: whether it is the whole of what stands in bold, hence explained."""
    words = "(?:%s)(?:s|es)?" % "|".join(re.escape(n).replace(r"\ ", r"\s+") for n in sorted(names, key=len, reverse=True))
    found = re.finditer(r"(\*\*)?(?<![\w-])%s(?![\w-])(\*\*)?" % words, text, re.I)
    return [m.group(1) is not None and m.group(2) is not None for m in found]


def late_terms(chapters, glossary_page):
    """`chapters`: path to text in the order of reading."""
    words = {p: re.sub(r"^#.*$", "", plain(t), flags=re.M) for p, t in chapters.items()}
    bad = []
    for names, where in glossary(glossary_page):
        before, explained = 0, None
        for path, text in words.items():
            for bold in uses(text, names):
                if bold:
                    explained = path
                    break
                before += 1
            if explained:
                break
        if not any(uses(words.get(where, ""), names)):
            bad.append("docs/glossary.md: %s does not explain **%s**" % (where, names[0]))
        elif explained != where and explained != TOUR:
            bad.append("docs/glossary.md: **%s** is explained in %s, before %s" % (names[0], explained, where))
        elif before > 1:
            bad.append("%s: **%s** is explained at its use number %d" % (explained, names[0], before + 1))
    return bad
