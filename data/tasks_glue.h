// GLUE (Wang et al., ICLR 2019) in its original files: tab-separated, no quoting, each task with columns of
// its own. Hugging Face's copy is read as JSON Lines; it numbers the classes in another order than ours,
// which the reader puts right.
#pragma once

#include <string>
#include <vector>

namespace data {

struct GlueItem {
  std::string first, second;  // second: "" in tasks of one sentence
  double label = -1;          // the class, or the score (STS-B); -1: a test set
  std::string index = {};     // the row's number as the file has it; "": it has none
  std::string where = {};     // "train.tsv:17", for messages
};

enum class GlueMetric { accuracy, matthews, accuracy_and_f1, pearson_and_spearman };

struct GlueTask {
  std::string name;                  // "cola" "sst2" "mrpc" "rte" "qnli" "qqp" "mnli" "stsb" "wnli"
  std::vector<std::string> classes;  // as the files write them; empty: regression
  GlueMetric metric;
  std::vector<std::string> words =
      {};                            // what Hugging Face's copy calls classes that the files write as 0 and 1
  bool one_text = false;             // "cola" and "sst2"
};

const std::vector<GlueTask>& glue_tasks();
const GlueTask& glue_task(const std::string& name);

/// The file of a split ("train", "dev", "test"; MNLI also "dev_mm" and "test_mm") in the task's folder, by
/// the names that GLUE and the tasks' authors use; "" when there is none.
std::string glue_file(const std::string& task, const std::string& folder, const std::string& split);

/// ignored: of rows to answer. What their label column holds is not looked at, and no row is left out: their
/// answers are told apart by number.
enum class GlueLabels { wanted, ignored };

/// Reads one file. Rows of MNLI whose annotators did not agree ("-") are left out, as everybody does; so are
/// rows of QQP with another number of fields, with a warning that counts them.
std::vector<GlueItem> read_glue(const std::string& task, const std::string& path,
                                GlueLabels labels = GlueLabels::wanted);

}  // namespace data
