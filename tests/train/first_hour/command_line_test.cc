// The command line as a whole: help pages of all commands within 80 columns, what is generated from the same
// tables, units, and mistakes that are blamed on what made them.
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/config.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/commands/command_pages.h"
#include "train/config.h"

using namespace train;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using engine::Json;

namespace {

bool has_program(const std::string& name) { return run_shell("command -v " + name).code == 0; }

}  // namespace

TEST_CASE("help: every page of every command fits 80 columns and says what the command does") {
  const CommandPage root = command_pages(normlab_commands());
  const auto pages = all_pages(root);
  CHECK(pages.size() > 35);
  for (const CommandPage* page : pages) {
    INFO(page->program);
    CHECK_THAT(page->help, Contains("usage: " + page->program));
    CHECK_FALSE(page->summary.empty());
    std::istringstream lines(page->help);
    for (std::string line; std::getline(lines, line);) {
      INFO(line);
      CHECK((line.size() <= 80 || line.find(' ', line.find_first_not_of(' ')) == std::string::npos));
    }
  }
}

TEST_CASE("help: by words, bare, and for what does not exist") {
  CHECK(run_normlab("help train").output == run_normlab("train --help").output);
  CHECK(run_normlab("help tokenizer train").output == run_normlab("tokenizer train --help").output);
  CHECK(run_normlab("help").output == run_normlab("--help").output);
  CHECK(run_normlab("version").output == run_normlab("--version").output);
  for (const char* bare : {"", "bench", "tokenizer", "eval"}) {
    const ProgramEnd end = run_normlab(bare);
    CHECK(end.code == 2);
    CHECK_THAT(end.output, Contains("usage: normlab") && Contains("no command given"));
  }
  const ProgramEnd near = run_normlab("trian"), far = run_normlab("xylophone");
  CHECK_THAT(near.output, Contains("(nearest: train)"));
  CHECK_THAT(far.output,
             Contains("unknown command \"xylophone\"; see normlab --help") && !Contains("nearest"));
  CHECK_THAT(run_normlab("train --xylophone").output, !Contains("nearest"));
  CHECK_THAT(run_normlab("train --help=3").last_line(), Contains("--help takes no value"));
  CHECK(run_normlab("help tokenizer xylophone").code == 2);
}

TEST_CASE("help: a reader who has seen enough gets no error message") {
  const auto before = std::signal(SIGPIPE, SIG_DFL);  // which the program inherits
  for (const char* arguments :
       {"train --help", "prepare --help", "help", "help train", "completion bash", "presets"}) {
    const ProgramEnd end =
        run_shell("{ sleep 0.2; " BINARY_DIR "/normlab " + std::string(arguments) + "; } | true");
    INFO(arguments);
    CHECK(end.output.empty());
  }
  std::signal(SIGPIPE, before);
}

TEST_CASE("docs/reference.md is what the tables say") {
  CHECK(engine::read_file(SOURCE_DIR "/docs/reference.md") ==
        reference_markdown(command_pages(normlab_commands())));
}

TEST_CASE("every key of a model's config has a line of documentation") {
  std::set<std::string> documented;
  for (const models::ModelKey& key : models::model_keys()) {
    CHECK_FALSE(key.doc.empty());
    CHECK_NOTHROW([&] {
      try {
        models::check_model_key(key.name, Json(), "x");
      } catch (const engine::Error& e) {
        if (std::string(e.what()).find("unknown key") != std::string::npos) throw;
      }
    }());
    documented.insert(key.name);
  }
  // All keys: a config with each at a value of its own writes them all.
  for (const char* key : {"objective", "vocab_size", "norms", "rope_theta", "rope_width", "rope_scaling",
                          "experts", "adaptive", "bias", "classes", "class_names"})
    CHECK(documented.count(key) == 1);
  try {
    models::check_model_key("zzzz", Json(), "x");
  } catch (const engine::Error& e) {
    CHECK_THAT(e.what(), Contains("unknown key"));
  }
  CHECK_THAT(config_help(), Contains("model.ffn_width") && Contains("model.preset"));
}

TEST_CASE("values: units, lists, several words behind one flag") {
  const TrainConfig c = load_config("", {"budget.tokens=10M", "budget.steps=2k", "budget.seconds=1.5h",
                                         "checkpoint.seconds=90s", "optim.betas=0.8,0.99", "data.train=5k"});
  CHECK(c.budget.tokens == 10'000'000);
  CHECK(c.budget.steps == 2000);
  CHECK(c.budget.seconds == 5400);
  CHECK(c.checkpoint.seconds == 90);
  CHECK(c.optim.betas[1] == 0.99);
  CHECK(c.data.train == "5k");  // text stays text
  CHECK(parse_integer("10k", "n", 0, 20000) == 10000);
  CHECK(parse_integer("1.5M", "n", 0, 2000000) == 1500000);
  CHECK(parse_number("2G", "n", 0, 1e10) == 2e9);
  CHECK_THROWS_WITH(parse_integer("1.2345k", "n", 0, 9999), Contains("expected an integer"));
  CHECK_THROWS_WITH(parse_integer("10k", "n", 0, 99), Contains("outside"));
  CHECK_THROWS_WITH(parse_integer("k", "n", 0, 99), Contains("expected an integer"));
  CHECK_FALSE(number_with_unit("1h", false));
  CHECK_FALSE(number_with_unit("nank", false));
  CHECK(*number_with_unit("2d", true) == 172800);
  CHECK(load_config("", {"parallel.timeout=10m"}).parallel.timeout == 600);
  CHECK_THROWS_WITH(load_config("", {"log.tensorboard=yes"}), Contains("\"yes\" is not true or false"));
  CHECK_THROWS_WITH(load_config("", {"model.norms= "}), Contains("a model without norms"));
  CHECK_THROWS_WITH(load_config("", {"data.mask_probability=0"}), Contains("outside"));
  CHECK_THROWS_WITH(load_config("", {"budget.seconds=1w"}),
                    Contains("--set budget.seconds=1w") && Contains("1h"));
}

TEST_CASE("flags: mistakes of --set blame --set, whatever finds them") {
  CHECK_THROWS_WITH(load_config("", {"optim.lr=-1"}), Contains("--set optim.lr=-1: -1.0 is outside"));
  CHECK_THROWS_WITH(load_config("", {"precision=fp8"}), Contains("--set precision=fp8: \"fp8\" is not"));
  CHECK_THROWS_WITH(load_config("", {"model.wdith=3"}),
                    Contains("--set model.wdith=3: unknown key \"wdith\" (nearest valid key: \"width\")"));
  CHECK_THROWS_WITH(load_config("", {"model.width=wide"}), Contains("--set model.width=wide: "));
  CHECK_THROWS_WITH(load_config("", {"model.norms=prelnn"}), Contains("--set model.norms=prelnn: "));
  CHECK_THROWS_WITH(load_config("", {"steps=3"}), Contains("nearest valid key: \"budget.steps\""));
  CHECK_THROWS_WITH(load_config("", {"model.norms=attn{in=ln}", "ffn{in=ln}"}),
                    Contains("--set ffn{in=ln}: a part of a placement") && Contains("quote the whole"));
  CHECK_THROWS_WITH(load_config("", {"banana=3"}),
                    Contains("--set banana=3: unknown key") && !Contains("nearest"));
}

TEST_CASE("train: what is missing is said: a text or a config, the run of --resume") {
  const TemporaryFolder folder;
  for (const char* bare : {"train", "train --dry-run", "train --json"}) {
    const ProgramEnd end = run_normlab(bare + std::string(" --out ") + folder / "run");
    CHECK(end.code == 2);
    CHECK_THAT(end.last_line(), Contains("--text PATH") && Contains("--config FILE"));
  }
  const ProgramEnd end = run_normlab("train --resume --out " + folder / "run");
  CHECK(end.code == 2);
  CHECK_THAT(end.last_line(), Contains("run: no such folder, hence no run to go on with"));
  CHECK_FALSE(engine::file_exists(folder / "run"));
}

TEST_CASE("flags: --input takes several files, as a shell's pattern gives them") {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b", "c"})
    engine::write_file(folder / (std::string(name) + ".txt"), std::string(500, name[0]) + "\n");
  const std::string tok = folder / "tok";
  REQUIRE(run_normlab("tokenizer train --kind char --input " + folder.path + "/*.txt --out " + tok).code ==
          0);
  const ProgramEnd end = run_normlab("prepare --tokenizer " + tok + " --input " + folder.path +
                                     "/*.txt --out " + folder / "tokens" + " --json --quiet");
  INFO(end.output);
  REQUIRE(end.code == 0);
  const Json sets = Json::parse(end.output);
  CHECK(sets["sets"][0]["tokens"] == 3 * 501 + 3);
}

TEST_CASE("flags: --json is one object on standard output from each command that makes something") {
  const TemporaryFolder folder;
  engine::write_file(folder / "t.txt", std::string(3000, 'x') + "\n" + std::string(3000, 'y') + "\n");
  const auto json = [&](const std::string& arguments) {
    const ProgramEnd end = run_normlab(arguments + " --json --quiet");
    INFO(arguments << "\n" << end.output);
    REQUIRE(end.code == 0);
    return Json::parse(end.output);
  };
  CHECK(json("corpus " + folder / "t.txt --out " + folder / "corpus")["files"].size() == 3);
  CHECK(json("tokenizer train --kind byte --out " + folder / "tok")["tokens"] == 256);
  CHECK(json("presets")["norms"].size() > 60);
  CHECK(json("inspect tiny-clm")["tokens_per_second"].get<double>() > 0);
}

TEST_CASE("presets: three lists, or one of them") {
  const ProgramEnd all = run_normlab("presets");
  CHECK(all.code == 0);
  CHECK_THAT(all.output, Contains("normformer") && Contains("gpt-125m") && Contains("megatron"));
  CHECK_THAT(run_normlab("presets sizes").output, Contains("gpt-125m") && !Contains("megatron"));
  CHECK(run_normlab("presets banana").code == 2);
}

TEST_CASE("NORMLAB_THREADS: a number of threads, or one line") {
  for (const char* bad : {"0", "-1", "two", "2x", "99999"})
    for (const std::string command : {"bench gemm --repeats 1", "bench ops --repeats 1"}) {
      ::setenv("NORMLAB_THREADS", bad, 1);
      const ProgramEnd end = run_normlab(command);
      ::unsetenv("NORMLAB_THREADS");
      INFO(bad << ": " << end.output);
      CHECK(end.code == 2);
      CHECK_THAT(end.last_line(), Contains("NORMLAB_THREADS=" + std::string(bad)));
    }
}

TEST_CASE("report --out and --svg: what runs and models live by is not written over") {
  const TemporaryFolder folder;
  engine::write_file(folder / "config.json", "{}");
  engine::write_file(folder / "metrics.jsonl", "{\"step\":1,\"loss\":2}\n");
  for (const char* name : {"config.json", "metrics.jsonl"})
    for (const char* flag : {" --out ", " --svg "}) {
      const std::string before = engine::read_file(folder / name);
      const ProgramEnd end = run_normlab("report " + folder.path + flag + folder / name);
      CHECK(end.code == 2);
      CHECK_THAT(end.last_line(), Contains("part of a model, a run or a data set"));
      CHECK(engine::read_file(folder / name) == before);
    }
  CHECK_THAT(run_normlab("report " + folder.path + " --out " + folder.path).last_line(),
             Contains("a folder"));
  CHECK_THAT(run_normlab("report " + folder.path + " --svg -").output, Contains("<svg"));
  for (int i = 0; i < 2; ++i)  // a page in a page's place is what it is for
    CHECK(run_normlab("report " + folder.path + " --out " + folder / "page.html").code == 0);
  CHECK_THAT(run_normlab("generate --model " + folder.path + " --prompt x").last_line(),
             Contains("has no checkpoint yet"));
}

TEST_CASE("completion: the shells accept the scripts and complete with them") {
  const TemporaryFolder folder;
  const std::string binary = BINARY_DIR "/normlab";
  for (const char* name : {"bash", "zsh", "fish"}) {
    CHECK(run_shell(binary + " completion " + name + " > " + folder / name).code == 0);
    if (!has_program(name)) continue;
    const ProgramEnd end = run_shell(std::string(name) + " -n " + folder / name);
    INFO(name << ": " << end.output);
    CHECK(end.code == 0);
  }
  CHECK(run_normlab("completion csh").code == 2);
  if (has_program("fish")) {
    const auto offered = [&](const std::string& line) {
      return run_shell("fish --no-config -c \"source " + folder / "fish" + "; complete -C '" + line + "'\"")
          .output;
    };
    CHECK(offered("normlab tr") == "train\tpretrain a causal or masked language model\n");
    CHECK(offered("normlab train --dry").starts_with("--dry-run\t"));
    CHECK_THAT(offered("normlab forward --device cuda-"),
               StartsWith("cuda-host\t") || StartsWith("cuda-host\n"));
    CHECK_THAT(offered("normlab train --set optim.mom"), StartsWith("optim.momentum="));
    CHECK(offered("normlab presets s") == "sizes\n");
    CHECK(offered("normlab help gen") == "generate\n");
    CHECK_THAT(offered("normlab report train --"), !Contains("--dry-run"));  // a run of that name
  }
  for (const std::string shell : {"zsh", "bash"}) {
    if (!has_program(shell) || !has_program("python3")) continue;
    const ProgramEnd end = run_shell("python3 " SOURCE_DIR "/tests/train/first_hour/shell_completion.py " +
                                     shell + " " + folder / shell);
    INFO(shell << ": " << end.output);
    CHECK(end.code == 0);
  }
  if (!has_program("bash")) return;
  const auto complete = [&](const std::string& words) {
    engine::write_file(folder / "run.sh",
                       "source " + folder / "bash" + "\nCOMP_WORDS=(" + words +
                           ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\ncompopt() { :; }\n_normlab\n"
                           "echo \"${COMPREPLY[@]}\"\n");
    return run_shell("bash " + folder / "run.sh").output;
  };
  CHECK(complete("normlab tr") == "train\n");
  CHECK(complete("normlab train --dry") == "--dry-run\n");
  CHECK(complete("normlab forward --device cuda-") == "cuda-host\n");
  CHECK(complete("normlab train --set optim.mom") == "optim.momentum=\n");
  CHECK_THAT(complete("normlab bench ''"), Contains("gemm") && Contains("tokenizer"));
  CHECK(complete("normlab bench tok") == "tokenizer\n");
  CHECK(complete("normlab presets s") == "sizes\n");
  CHECK(complete("normlab help gen") == "generate\n");
}

TEST_CASE("man pages: one for each command, in roff that man accepts") {
  const TemporaryFolder folder;
  REQUIRE(run_normlab("help --man-pages " + folder / "man1").code == 0);
  const CommandPage root = command_pages(normlab_commands());
  for (const CommandPage* page : all_pages(root)) {
    const std::string text = engine::read_file(folder / "man1/" + page_name(*page) + ".1");
    INFO(page->program);
    CHECK_THAT(text, Catch::Matchers::StartsWith(".TH NORMLAB") && Contains(".SH SYNOPSIS"));
  }
  CHECK(run_normlab("help train --man").output == engine::read_file(folder / "man1/normlab-train.1"));
  if (!has_program("groff")) return;
  const ProgramEnd end = run_shell("groff -man -ww -Tutf8 " + folder / "man1/normlab-train.1 >/dev/null");
  CHECK(end.code == 0);
  CHECK(end.output.empty());
}
