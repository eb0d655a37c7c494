"""Names in backticks exist: files in the tree, flags in the --help of a command, functions, types and keys in the
sources. foreign_names.txt lists the names of other programs that pages speak of."""
import fnmatch
import os
import re
import subprocess

from pages import ROOT, SOURCES, blocks, code_names, read, tree

FOLDERS = ("cmake/", "data/", "docs/", "engine/", "models/", "nn/", "tests/", "train/")
FILE = re.compile(r"^[\w./*-]+\.(h|cc|cu|py|md|cmake|svg|proto|css|js|html)$")
NAME = re.compile(r"^[A-Za-z_][\w]*((::|\.|->)[A-Za-z_]\w*)*(\(\))?$")


class Vocabulary:
    def __init__(self, normlab=None):
        self.files = tree()
        self.words = set()
        for path in self.files + ["CMakeLists.txt", "Makefile"]:
            if path.endswith(SOURCES) or os.path.basename(path) in ("CMakeLists.txt", "Makefile"):
                if not (path.startswith("tests/docs/") and path.endswith((".py", ".txt"))):
                    self.words |= set(re.findall(r"[A-Za-z_]\w*", read(path)))
        self.makefile = read("Makefile")  # names what it makes
        self.foreign = {line.split()[0] for line in read("tests/docs/foreign_names.txt").split("\n") if line.strip()}
        self.flags = flags_of(normlab, []) if normlab else None

    def has_file(self, name):
        if name.startswith(FOLDERS):
            return os.path.isdir(os.path.join(ROOT, name)) or bool(fnmatch.filter(self.files, name))
        base = name.split("/")[-1]
        return name in ("README.md", "CMakeLists.txt", "Makefile", "LICENSE") or name in self.makefile or any(
            fnmatch.fnmatch(p, "*/" + name) or fnmatch.fnmatch(os.path.basename(p), base) for p in self.files)


def flags_of(normlab, command):
    """{"train": {"--config", ...}, "probe gains": ..., "": {...}} from the program's own help."""
    help_text = subprocess.run([normlab, *command, "--help"], capture_output=True, text=True, check=True).stdout
    found = {" ".join(command): set(re.findall(r"--[a-z][a-z0-9-]*", help_text))}
    if re.search(r"usage: normlab[\w -]* COMMAND \[ARGUMENTS\]", help_text):
        for name in re.findall(r"^  ([a-z][a-z-]*) {2,}", help_text, re.M):
            found.update(flags_of(normlab, [*command, name]))
    return found


def command_lines(page):
    """The lines of shell blocks that begin with normlab, continued lines joined."""
    for block in blocks(page):
        if block.language in ("", "sh", "bash", "console"):
            for line in block.text.replace("\\\n", " ").split("\n"):
                line = re.sub(r"^\$ ", "", line.strip())
                if re.match(r"(build/)?normlab ", line) and not re.match(r"normlab [\w-]+:", line):
                    yield block.line, re.sub(r"'[^']*'", "X", re.sub(r" #.*| \|.*", "", line))


def wrong_flags(path, page, flags):
    bad = []
    for at, line in command_lines(page):
        words = line.split()[1:]
        command = ""
        while words and (command + " " + words[0]).strip() in flags:
            command = (command + " " + words.pop(0)).strip()
        if not command:
            bad.append("%s:%d: no command `normlab %s`" % (path, at, words[0] if words else ""))
        for word in words:
            if word.startswith("--") and word.split("=")[0] not in flags.get(command, set()) | {"--help"}:
                bad.append("%s:%d: `normlab %s` has no flag %s" % (path, at, command, word))
    return bad


def unknown_names(path, page, vocabulary):
    bad = []
    every_flag = set().union(*vocabulary.flags.values()) if vocabulary.flags else None
    for name, line in code_names(page):
        where = "%s:%d: " % (path, line)
        if name in vocabulary.foreign:
            continue
        if re.search(r"(^|/)(?!README|LICENSE)[A-Z]{3,}(\.|/|$)", name):
            continue  # RUN/config.json: a word in place of a name
        if FILE.match(name):
            if not vocabulary.has_file(name):
                bad.append(where + "no file `%s`" % name)
        elif name.startswith(FOLDERS) and re.match(r"^[\w./*-]+$", name):
            if not vocabulary.has_file(name):
                bad.append(where + "no folder `%s`" % name)
        elif re.match(r"^--[a-z][a-z0-9-]*$", name):
            if every_flag is not None and name not in every_flag:
                bad.append(where + "no command has the flag `%s`" % name)
        elif NAME.match(name):
            for part in re.findall(r"[A-Za-z_]\w*", name):
                if part not in vocabulary.words and part not in vocabulary.foreign:
                    bad.append(where + "`%s` is nowhere in the sources" % name)
                    break
    return bad
