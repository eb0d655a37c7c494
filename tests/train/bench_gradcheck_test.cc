// normlab gradcheck and normlab bench: exit codes, messages, and the JSON that other programs read.
#include <catch2/catch.hpp>
#include <cstdio>
#include <regex>

#include "engine/autograd/tape.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/commands/commands.h"

namespace {

/// Standard output alone.
ProgramEnd run(const std::string& arguments) { return run_normlab(arguments + " 2>/dev/null"); }

}  // namespace

TEST_CASE("gradcheck of one op as a table and as JSON") {
  const ProgramEnd table = run("gradcheck --op rope");
  CHECK(table.code == 0);
  CHECK(table.output.find("rope [2, 5, 3x8] from 0") != std::string::npos);
  CHECK(table.output.find("FAILED") == std::string::npos);
  const ProgramEnd json = run("gradcheck --op rope --json");
  CHECK(json.code == 0);
  const engine::Json result = engine::parse_json(json.output, "gradcheck");
  CHECK(result["ok"] == true);
  CHECK(result["results"][0]["op"] == "rope");
  CHECK(result["results"][0]["inputs"][0]["name"] == "x");
  CHECK(result["results"][0]["inputs"][0]["checked"] == 240);
  CHECK(result["results"][0]["worst"] < 1);
}

TEST_CASE("gradcheck --help names ops that exist") {
  const std::string page = run("gradcheck --help").output;
  std::smatch names;
  REQUIRE(std::regex_search(page, names, std::regex("such as ([a-z_]+) or ([a-z_]+)")));
  for (const int i : {1, 2}) CHECK(run("gradcheck --op " + names[i].str()).code == 0);
}

TEST_CASE("gradcheck exits with 1 when a gradient is wrong, and with 2 for an unknown op") {
  std::string words[] = {"gradcheck", "--op", "rope", "--json"};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data()};
  {
    const engine::BackwardMutation mutation("rope", 1.01);
    CHECK(train::cmd_gradcheck(4, argv) == 1);
  }
  CHECK(train::cmd_gradcheck(4, argv) == 0);
  const ProgramEnd unknown = run_normlab("gradcheck --op ropes");
  CHECK(unknown.code == 2);
  CHECK(unknown.output.find("no op 'ropes'; the nearest is 'rope'") != std::string::npos);
}

TEST_CASE("bench step prints speed, parts of the step and memory") {
  const ProgramEnd out = run("bench step tiny --steps 2 --precision bf16 --norms normformer --json");
  REQUIRE(out.code == 0);
  const engine::Json results = engine::parse_json(out.output, "bench")["results"];
  REQUIRE(results.size() == 7);
  CHECK(results[0]["name"].get<std::string>() == "tiny bf16 normformer tokens/s");
  for (const auto& row : results) {
    CHECK(row["value"].get<double>() > 0);
    CHECK(row["fraction"].get<double>() > 0);
  }
  double parts = 0;
  for (int i = 1; i <= 3; ++i) parts += results[size_t(i)]["fraction"].get<double>();
  CHECK(parts == Approx(1).margin(0.5));  // medians of three parts

  const ProgramEnd pair = run("bench step tiny --steps 2 --against normformer --json");
  REQUIRE(pair.code == 0);
  const engine::Json last = engine::parse_json(pair.output, "bench")["results"].back();
  CHECK(last["name"].get<std::string>() == "a step, against normformer's in turn");
  CHECK(last["fraction"].get<double>() > 0);

  CHECK(run_normlab("bench step gpt-b5").code == 2);
  CHECK(run_normlab("bench step gpt-b5").output.find("nearest valid: \"gpt-b4\"") != std::string::npos);
}

#if defined(ENGINE_HAS_cuda_host)
TEST_CASE("bench step counts a step's traffic and predicts its time", "[medium]") {
  const ProgramEnd out =
      run("bench step tiny --device cuda-host --traffic --precision bf16 --layers 3 --json");
  REQUIRE(out.code == 0);
  const engine::Json counted = engine::parse_json(out.output, "bench");
  const engine::Json& step = counted["step"];
  double seconds = 0, flop = 0;
  for (const auto& row : counted["traffic"]) {
    seconds += row["predicted_seconds"].get<double>();
    flop += row["matrix_flop"].get<double>();
  }
  CHECK(step["predicted_seconds"].get<double>() == Approx(seconds));
  CHECK(step["predicted_seconds"].get<double>() > counted["floor_seconds"].get<double>());
  // Products of a step: those of the formula behind MFU, and what attention's tiles of 64 do beyond rows
  // of 32.
  const double formula = counted["floor_seconds"].get<double>() * 798e12;
  CHECK(flop > formula);
  CHECK(flop < 1.5 * formula);
  CHECK(step["conflict_factor"].get<double>() <= 1.1);
  const ProgramEnd elsewhere = run_normlab("bench step tiny --traffic");
  CHECK(elsewhere.code == 2);
  CHECK(elsewhere.output.find("give --device cuda-host") != std::string::npos);
}
#endif

TEST_CASE("bench ops prints the machine and its figures as JSON") {
  const ProgramEnd out = run("bench ops head_scale --repeats 1 --threads 2 --json");
  REQUIRE(out.code == 0);
  const engine::Json result = engine::parse_json(out.output, "bench");
  CHECK(result["machine"]["threads"] == 2);
  REQUIRE(result["results"].size() == 2);
  for (const char* key : {"name", "value", "unit", "ceiling", "fraction"})
    CHECK(result["results"][0].contains(key));
  CHECK(result["results"][0]["name"] == "head_scale forward f32 [8192, 768]");
  CHECK(run_normlab("bench ops nothing").code == 2);
  CHECK(run_normlab("bench nothing").code == 2);
}

TEST_CASE("bench ladder: a rung, on all processors unless it is told") {
  const ProgramEnd out = run("bench ladder engine --repeats 1 --json");
  INFO(out.output);
  REQUIRE(out.code == 0);
  CHECK(engine::parse_json(out.output, "bench")["results"].size() >= 1);
  CHECK(run_normlab("bench ladder engine --threads 0").code == 2);
}

TEST_CASE("bench tokenizer prints learning, encoding and decoding") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "word" + std::to_string(i % 97) + " and ";
  engine::write_file(folder / "text", text);
  REQUIRE(
      run("tokenizer train --input " + folder / "text" + " --vocab-size 300 --out " + folder / "tok")
          .code == 0);
  const ProgramEnd out = run("bench tokenizer " + folder / "text" + " --tokenizer " + folder / "tok" +
                                " --vocab-size 300 --repeats 1 --threads 2 --json");
  REQUIRE(out.code == 0);
  const engine::Json results = engine::parse_json(out.output, "bench")["results"];
  REQUIRE(results.size() == 4);
  CHECK(results[0]["name"] == "train 300 tokens on 2 threads");
  CHECK(results[1]["name"] == "encode on 2 threads");
  CHECK(results[3]["name"] == "decode");
  for (const auto& row : results) CHECK(row["value"].get<double>() > 0);
  CHECK(run_normlab("bench tokenizer " + folder / "text").output.find("nothing to do") !=
        std::string::npos);
  CHECK(run("bench tokenizer " + folder / "none" + " --vocab-size 300").code == 2);
}
