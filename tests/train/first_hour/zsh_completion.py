"""Types command lines into a real zsh, with Tab behind them, and compares what stands there then.

    python3 zsh_completion.py SCRIPT        (SCRIPT: what `normlab completion zsh` writes)
"""
import os
import pty
import re
import select
import shutil
import sys
import tempfile
import time

LINES = {
    "normlab tr": "normlab train ",
    "normlab train --dry": "normlab train --dry-run ",
    "normlab forward --device cuda-": "normlab forward --device cuda-host ",
    "normlab train --set optim.mom": "normlab train --set optim.momentum=",
    "normlab train --set seed=1 optim.mom": "normlab train --set seed=1 optim.momentum=",
    "normlab presets s": "normlab presets sizes ",
    "normlab help gen": "normlab help generate ",
    "normlab bench tok": "normlab bench tokenizer ",
}
PATIENCE = 60  # seconds; a busy machine


class Zsh:
    def __init__(self, folder):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", PS1="", ZDOTDIR=folder)
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.seen = ""

    def write(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        """The match, which is taken out of what was seen, with all before it."""
        end = time.time() + PATIENCE
        while time.time() < end:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
        sys.exit("zsh: waited for %r, saw %r" % (pattern, self.seen[-400:]))


def main():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(sys.argv[1], os.path.join(folder, "_normlab"))
        zsh = Zsh(folder)
        # The line as it stands is printed by a key of its own.
        zsh.write("fpath=(%s $fpath); autoload -U compinit; compinit -u -D; stty columns 200; "
                  "show() { print; print -r -- \"<${BUFFER}>\"; BUFFER=; }; zle -N show; bindkey '^X' show; "
                  "print rea''dy\n" % folder)
        zsh.wait_for("ready")
        wrong = 0
        for line, expected in LINES.items():
            zsh.write(line + "\t\x18")
            got = zsh.wait_for(r"<([^>\r\n]*)>").group(1)
            if got != expected:
                print("%r became %r, expected %r" % (line, got, expected))
                wrong += 1
        zsh.write("exit\n")
        os.close(zsh.terminal)
        os.waitpid(zsh.pid, 0)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
