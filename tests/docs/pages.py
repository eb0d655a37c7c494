"""The pages of docs/ as the checks see them: code blocks, names in backticks, links, headings, exercises."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GENERATED = {"docs/norm-book.md"}  # `normlab inspect --diagram-book` writes it; a test of its own compares
SKIPPED = {".git", "node_modules"}
SOURCES = (".cc", ".h", ".cu", ".py", ".cmake", ".txt", ".json", ".proto", ".js", ".css", ".html", ".sh", ".mk")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def tree():
    """Every file of the tree, relative to its root, builds left out."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in SKIPPED and not f.startswith("build") and f != "__pycache__"]
        if folder == ROOT:  # what runs and demos leave behind is no part of the tree
            folders[:] = [f for f in folders if f in ("book", "cmake", "data", "docs", "engine", "models", "nn", "tests", "train")]
        found += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted(found)


def pages():
    """Path to text of every page of docs/ and of README.md, generated ones left out."""
    return {p: read(p) for p in tree()
            if (p.startswith("docs/") or p == "README.md") and p.endswith(".md") and p not in GENERATED}


def chapters(found=None):
    """The numbered pages in the order in which they are read."""
    found = pages() if found is None else found
    return {p: found[p] for p in sorted(found) if re.match(r"docs/\d\d-", p)}


class Block:
    """A fenced block: its language, the file that its title names, its text, the line where it begins."""

    def __init__(self, info, text, line):
        words = info.split()
        self.language = words[0] if words else ""
        title = re.search(r'title="([^"]*)"', info)
        self.title = title.group(1) if title else None
        self.text = text
        self.line = line


FENCE = re.compile(r"^( *)(```+)([^\n`]*)\n(.*?)^\1\2[ \t]*$", re.M | re.S)


def blocks(page):
    return [Block(m.group(3).strip(), m.group(4), page[:m.start()].count("\n") + 1) for m in FENCE.finditer(page)]


def prose(page):
    """The page without its fenced blocks, lines kept."""
    return FENCE.sub(lambda m: "\n" * m.group(0).count("\n"), page)


def code_names(page):
    """What stands in single backticks, with its line."""
    text = prose(page)
    return [(m.group(2), text[:m.start()].count("\n") + 1)
            for m in re.finditer(r"(?<!`)(`+)(?!`)([^\n]*?[^`\n])\1(?!`)", text)]


def plain(page):
    """Words alone: no blocks, no code, no formulas, no addresses of links, no HTML."""
    text = prose(page)
    text = re.sub(r"(`+)[^\n]*?[^`]\1", " ", text)
    text = re.sub(r"\$[^$\n]+\$", " ", text)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)
    return re.sub(r"<[^>\n]+>", " ", text)


def without_indent(text):
    """Lines without indentation, runs of blanks taken as one: clang-format aligns comments."""
    return "\n".join(re.sub(r" +", " ", line.strip()) for line in text.strip("\n").split("\n"))


def anchors(page):
    """Ids that a link may name: GitHub's of the headings, and those set by hand."""
    found, seen = set(), {}
    for heading in re.findall(r"^#{1,6} +(.*?) *$", prose(page), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(slug if slug not in seen else "%s-%d" % (slug, seen[slug]))
        seen[slug] = seen.get(slug, 0) + 1
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', page))
