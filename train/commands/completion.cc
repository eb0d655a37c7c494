// normlab completion: scripts that let a shell complete normlab's command line, generated from the tables
// that it is parsed by. Read first: command_pages.h.
#include <algorithm>
#include <cstdio>

#include "engine/base/check.h"
#include "train/commands/command_pages.h"
#include "train/commands/commands.h"
#include "train/config.h"

namespace train {
namespace {

const Usage usage = {
    "normlab completion",
    "completion of this command line for a shell, on standard output",
    {{"bash|zsh|fish", "the shell"}},
    {},
    "For one user:\n"
    "  normlab completion bash > ~/.local/share/bash-completion/completions/normlab\n"
    "  normlab completion zsh > ~/.zfunc/_normlab      (with fpath+=~/.zfunc before compinit)\n"
    "  normlab completion fish > ~/.config/fish/completions/normlab.fish\n"
    "`cmake --install` puts all three where the shells look.\n"};

enum class Values { none, files, keys, list, other };  // what follows a flag

Values values_of(const Flag& flag) {
  if (flag.value.empty()) return Values::none;
  if (flag.name == "set") return Values::keys;
  if (closed_list(flag.value).size() > 1) return Values::list;
  for (const char* hint : {"FILE", "DIR", "PATH", "RUN", "PAGE", "MODEL"})
    if (flag.value.find(hint) != std::string::npos) return Values::files;
  return Values::other;
}

std::string join(const std::vector<std::string>& words, const char* between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

std::string last_word(const CommandPage& page) { return page.program.substr(page.program.rfind(' ') + 1); }

std::vector<std::string> child_names(const CommandPage& page) {
  std::vector<std::string> names;
  for (const CommandPage& child : page.children) names.push_back(last_word(child));
  return names;
}

std::vector<std::string> config_keys() {
  std::vector<std::string> keys;
  for (const auto& [key, doc] : config_key_docs())
    if (key != "model") keys.push_back(key);
  return keys;
}

/// What the first positional may be, where that is a list of words.
std::vector<std::string> positional_words(const CommandPage& page, const CommandPage& root) {
  if (page.usage.positionals.empty()) return {};
  const std::string& name = page.usage.positionals.front().name;
  return name == "COMMAND" ? child_names(root) : closed_list(name);
}

std::string bash_script(const CommandPage& root) {
  std::vector<std::string> nested;
  std::string values, words;
  for (const CommandPage* page : all_pages(root)) {
    if (page != &root) nested.push_back("\"" + page->program + "\"");
    std::vector<std::string> offered = child_names(*page);
    for (const std::string& word : positional_words(*page, root)) offered.push_back(word);
    for (const Flag& flag : page->usage.flags) {
      offered.push_back("--" + flag.name);
      const std::string head = "    \"" + page->program + " --" + flag.name + "\") ";
      switch (values_of(flag)) {
        case Values::list:
          values += head + "COMPREPLY=($(compgen -W \"" + join(closed_list(flag.value)) +
                    "\" -- \"$cur\")); return ;;\n";
          break;
        case Values::files: values += head + "_normlab_files; return ;;\n"; break;
        case Values::keys:
          values +=
              head + "compopt -o nospace; COMPREPLY=($(compgen -S = -W \"$keys\" -- \"$cur\")); return ;;\n";
          break;
        case Values::other: values += head + "return ;;\n"; break;
        case Values::none: break;
      }
    }
    offered.push_back("--help");
    words += "    \"" + page->program + "\") words=\"" + join(offered) + "\" ;;\n";
  }
  // Only names of files are told to be such: else a folder `train` would make `train/` of the command.
  return "# bash completion for normlab, written by `normlab completion bash`.\n"
         "_normlab_files() {\n"
         "  compopt -o filenames\n"
         "  mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
         "}\n"
         "_normlab() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=normlab words= i\n"
         "  local keys=\"" +
         join(config_keys()) +
         "\"\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"$path ${COMP_WORDS[i]}\" in\n"
         "    " +
         join(nested, "|") +
         ") path=\"$path ${COMP_WORDS[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path $prev\" in\n" +
         values +
         "  esac\n"
         "  case \"$path\" in\n" +
         words +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  [[ ${#COMPREPLY[@]} -gt 0 || $cur == -* ]] || _normlab_files\n"
         "}\n"
         "complete -F _normlab normlab\n";
}

/// For single quotes of zsh and fish.
std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    out += c;
  }
  return out + "'";
}

/// zsh: brackets and colons of a description end it.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_function(const CommandPage& page) {
  std::string name = page_name(page);
  std::replace(name.begin(), name.end(), '-', '_');
  return "_" + name;
}

std::string zsh_script(const CommandPage& root) {
  std::string out = "#compdef normlab\n# Written by `normlab completion zsh`.\n";
  for (const CommandPage* page : all_pages(root)) {
    out += zsh_function(*page) + "() {\n";
    if (!page->children.empty()) {
      out +=
          "  local line state\n  _arguments -C '--help[this text]' '1: :->command' '*:: :->rest'\n  case "
          "$state in\n"
          "  command)\n    local -a commands=(";
      for (const CommandPage& child : page->children)
        out += "\n      " + shell_quoted(zsh_text(last_word(child)) + ":" + zsh_text(child.summary));
      out += ")\n    _describe command commands ;;\n  rest)\n    case $line[1] in\n";
      for (const CommandPage& child : page->children)
        out += "    " + last_word(child) + ") " + zsh_function(child) + " ;;\n";
      out += "    esac ;;\n  esac\n}\n";
      continue;
    }
    out += "  _arguments";
    for (const Flag& flag : page->usage.flags) {
      std::string spec =
          (flag.arity == Arity::repeated ? "*--" : "--") + flag.name + "[" + zsh_text(flag.help) + "]";
      switch (values_of(flag)) {
        case Values::list:
          spec += ":" + zsh_text(flag.name) + ":(" + join(closed_list(flag.value)) + ")";
          break;
        case Values::files: spec += ":file:_files"; break;
        case Values::keys: spec += ":*-*:key:{compadd -S \"\" - " + join(config_keys(), "= ") + "=}"; break;
        case Values::other: spec += ":" + zsh_text(flag.value) + ": "; break;
        case Values::none: break;
      }
      out += " \\\n    " + shell_quoted(spec);
    }
    out += " \\\n    '--help[this text]'";
    const std::vector<std::string> words = positional_words(*page, root);
    if (!words.empty())
      out += " \\\n    '*: :(" + join(words) + ")'";
    else if (!page->usage.positionals.empty())
      out += " \\\n    '*: :_files'";
    out += "\n}\n";
  }
  return out + "_normlab \"$@\"\n";
}

/// __normlab_at: whether the line begins with these words behind normlab; __normlab_only: and with nothing
/// else before the word that is being written.
constexpr const char* kFishFunctions =
    "function __normlab_at\n"
    "  set -l words (commandline -opc)\n"
    "  set -l last (math 1 + (count $argv))\n"
    "  test \"$words[2..$last]\" = \"$argv\"\n"
    "end\n"
    "function __normlab_only\n"
    "  set -l words (commandline -opc)\n"
    "  test \"$words[2..]\" = \"$argv\"\n"
    "end\n";

std::string fish_script(const CommandPage& root) {
  std::string out = "# fish completion for normlab, written by `normlab completion fish`.\n";
  out += kFishFunctions;
  for (const CommandPage* page : all_pages(root)) {
    const size_t space = page->program.find(' ');
    const std::string words = space == std::string::npos ? "" : page->program.substr(space);
    for (const CommandPage& child : page->children)
      out += "complete -c normlab -f -n '__normlab_only" + words + "' -a " + last_word(child) + " -d " +
             shell_quoted(child.summary) + "\n";
    for (const std::string& word : positional_words(*page, root))
      out += "complete -c normlab -f -n '__normlab_only" + words + "' -a " + word + "\n";
    for (const Flag& flag : page->usage.flags) {
      out += "complete -c normlab -n '__normlab_at" + words + "' -l " + flag.name + " -d " +
             shell_quoted(flag.help);
      switch (values_of(flag)) {
        case Values::list: out += " -x -a " + shell_quoted(join(closed_list(flag.value))); break;
        case Values::files: out += " -r -F"; break;
        case Values::keys: out += " -x -a " + shell_quoted(join(config_keys(), "= ") + "="); break;
        case Values::other: out += " -x"; break;
        case Values::none: break;
      }
      out += "\n";
    }
  }
  return out;
}

}  // namespace

int cmd_completion(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const std::string shell = args.positional(0);
  engine::check(shell == "bash" || shell == "zsh" || shell == "fish", "\"", shell,
                "\" is not bash, zsh or fish");
  const CommandPage root = command_pages(normlab_commands());
  std::fputs((shell == "bash"  ? bash_script(root)
              : shell == "zsh" ? zsh_script(root)
                               : fish_script(root))
                 .c_str(),
             stdout);
  return 0;
}

}  // namespace train
