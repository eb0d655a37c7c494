"""Types command lines into a real shell, with Tab behind them, and compares what stands there then. The folder that it
types in holds a folder `train`, as the repository does, and a file whose name needs quoting.

    python3 shell_completion.py zsh|bash SCRIPT        (SCRIPT: what `normlab completion SHELL` writes)
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
    "normlab train --config tr": "normlab train --config train/",
    "normlab train --config my": "normlab train --config my\\ config.json ",
    "normlab report tr": "normlab report train/",
    "normlab forward --device cuda-": "normlab forward --device cuda-host ",
    "normlab train --set optim.mom": "normlab train --set optim.momentum=",
    "normlab presets s": "normlab presets sizes ",
    "normlab help gen": "normlab help generate ",
    "normlab bench tok": "normlab bench tokenizer ",
}
ZSH_LINES = {"normlab train --set seed=1 optim.mom": "normlab train --set seed=1 optim.momentum="}
# The shell without a user's settings, and what makes Ctrl-T print the line as it stands. SCRIPT stands in the folder
# that is typed in, as _normlab.
SHELLS = {
    "zsh": (["zsh", "-f", "-i"],
            "fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; "
            "show() { print; print -r -- \"<${BUFFER}>\"; BUFFER=; }; zle -N show; bindkey '^T' show; "),
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             "source ./_normlab; "
             "show() { echo; echo \"<$READLINE_LINE>\"; READLINE_LINE=; READLINE_POINT=0; }; "
             "bind -x '\"\\C-t\": show'; "),
}
PATIENCE = 60  # seconds; a busy machine


class Shell:
    def __init__(self, words, folder):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update(TERM="dumb", PS1="", ZDOTDIR=folder, INPUTRC="/dev/null")
            os.execvp(words[0], words)
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
        sys.exit("waited for %r, saw %r" % (pattern, self.seen[-400:]))


def main():
    name, script = sys.argv[1:]
    words, setting = SHELLS[name]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(script, os.path.join(folder, "_normlab"))
        os.mkdir(os.path.join(folder, "train"))
        open(os.path.join(folder, "my config.json"), "w").close()
        shell = Shell(words, folder)
        shell.write(setting + "stty columns 200; echo rea''dy\n")
        shell.wait_for("ready")
        wrong = 0
        for line, expected in {**LINES, **(ZSH_LINES if name == "zsh" else {})}.items():
            shell.write(line + "\t\x14")
            got = shell.wait_for(r"<([^>\r\n]*)>").group(1)
            if got != expected:
                print("%r became %r, expected %r" % (line, got, expected))
                wrong += 1
        shell.write("exit\n")
        os.close(shell.terminal)
        os.waitpid(shell.pid, 0)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
