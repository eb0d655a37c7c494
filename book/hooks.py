"""What the site needs beside docs/: the README as its first page, a page for every source file that a page links to, the
chapters that exist, and KaTeX from Debian's libjs-katex."""
import glob
import os
import posixpath
import re

from mkdocs.structure.files import File, InclusionLevel

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KATEX = "/usr/share/javascript/katex"
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
LANGUAGES = {".h": "cpp", ".cc": "cpp", ".cu": "cuda", ".py": "python", ".json": "json"}
STYLE = """.md-grid{max-width:64rem}.md-typeset img{display:block;margin:auto;width:42rem;max-width:100%}
.md-typeset details{font-size:inherit}.md-typeset table:not([class]){font-size:.68rem}.md-typeset div.arithmatex{margin-top:0;margin-bottom:0}
.katex-display{overflow-x:auto;overflow-y:hidden;padding:.2em 0;margin:.6em 0!important}
@media(max-width:30em){.md-typeset table:not([class]) td:last-child{min-width:13rem}}
"""
RENDER = """document.addEventListener("DOMContentLoaded", () => renderMathInElement(document.body, {
  delimiters: [{left: "\\\\(", right: "\\\\)", display: false}, {left: "\\\\[", right: "\\\\]", display: true}]}));
"""


def target_of(page, link):
    """The path in the tree that a link of a page means, or None for addresses."""
    if re.match(r"[a-z]+:", link):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def rewritten(page, text, linked):
    """Links of a page at `page` (a path in the tree) as the site has them; outside files are noted in `linked`."""
    def replace(match):
        target = target_of(page, match.group(2))
        if target is None:
            return match.group(0)
        if os.path.isfile(os.path.join(ROOT, target, "README.md")):
            target += "/README.md"  # a folder that has a page
        if target.startswith("docs/") and os.path.isfile(os.path.join(ROOT, target)) and not target.endswith(".json"):
            return match.group(1) + target[len("docs/"):] + match.group(3)
        if target == "README.md":
            return match.group(1) + "index.md" + match.group(3)
        if os.path.isfile(os.path.join(ROOT, target)):
            linked.add(target)
            return match.group(1) + "source/" + target + ".md" + match.group(3)
        return match.group(0) if not os.path.exists(os.path.join(ROOT, target)) else match.group(1) + "index.md" + match.group(3)
    return LINK.sub(replace, text)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def on_config(config):
    """Chapters that the list does not know yet stand where their number puts them."""
    chapters = next(part["Chapters"] for part in config["nav"] if "Chapters" in part)
    chapters[:] = sorted(os.path.basename(p) for p in glob.glob(os.path.join(ROOT, "docs", "[0-9][0-9]-*.md")))
    return config


def on_files(files, config):
    linked = set()
    files.append(File.generated(config, "index.md", content=rewritten("README.md", read("README.md"), linked)))
    for page in glob.glob(os.path.join(ROOT, "docs", "*.md")):
        path = os.path.relpath(page, ROOT)
        rewritten(path, read(path), linked)
    for path in sorted(linked):
        language = LANGUAGES.get(os.path.splitext(path)[1], "text")
        text = "---\nsearch:\n  exclude: true\nhide: [navigation, toc]\n---\n# %s\n\n~~~~ {.%s linenums=\"1\"}\n%s\n~~~~\n" % (
            path, language, read(path).rstrip())
        files.append(File.generated(config, "source/" + path + ".md", content=text,
                                    inclusion=InclusionLevel.NOT_IN_NAV))
    for name in ("katex.min.css", "katex.min.js", "contrib/auto-render.js"):
        files.append(File.generated(config, "katex/" + name, abs_src_path=os.path.realpath(os.path.join(KATEX, name))))
    for font in glob.glob(KATEX + "/fonts/*.woff2"):
        files.append(File.generated(config, "katex/fonts/" + os.path.basename(font), abs_src_path=os.path.realpath(font)))
    files.append(File.generated(config, "book.css", content=STYLE))
    files.append(File.generated(config, "formulas.js", content=RENDER))
    return files


def on_page_markdown(markdown, page, config, files):
    if page.file.src_uri.startswith("source/") or page.file.src_uri == "index.md":
        return markdown
    return rewritten("docs/" + page.file.src_uri, markdown, set())
