// Every command of the normlab binary, one line each, alphabetical; each lives in NAME.cc. command_table.cc
// has the table.
#pragma once

namespace train {

int cmd_bench(int argc, char** argv);
int cmd_compare(int argc, char** argv);
int cmd_completion(int argc, char** argv);
int cmd_convert(int argc, char** argv);
int cmd_corpus(int argc, char** argv);
int cmd_eval(int argc, char** argv);
int eval_task(int argc, char** argv);  // `eval TASK`, the task's name in argv[0]
int cmd_fill_mask(int argc, char** argv);
int cmd_forward(int argc, char** argv);
int cmd_generate(int argc, char** argv);
int cmd_gradcheck(int argc, char** argv);
int cmd_help(int argc, char** argv);
int cmd_inspect(int argc, char** argv);
int cmd_prepare(int argc, char** argv);
int cmd_presets(int argc, char** argv);
int cmd_probe(int argc, char** argv);
int cmd_report(int argc, char** argv);
int cmd_tokenizer(int argc, char** argv);
int cmd_train(int argc, char** argv);

}  // namespace train
