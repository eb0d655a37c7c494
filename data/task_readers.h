// One reader for each multiple-choice task: a file to items. Read first: tasks.h, task_records.h.
#pragma once

#include "data/tasks.h"

namespace data {

using TaskReader = std::vector<ChoiceItem> (*)(const std::string& path, Protocol protocol);

std::vector<ChoiceItem> read_arc(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_boolq(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_copa(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_hellaswag(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_openbookqa(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_piqa(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_sciq(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_storycloze(const std::string& path, Protocol protocol);
std::vector<ChoiceItem> read_winogrande(const std::string& path, Protocol protocol);

}  // namespace data
