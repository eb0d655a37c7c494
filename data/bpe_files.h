// The older files that byte-level BPE vocabularies come in: GPT-2's vocab.json + merges.txt (OpenAI's names:
// encoder.json, vocab.bpe), and fairseq's dictionary on top of those, which gives RoBERTa's ids. Read first:
// bpe.h, byte_alphabet.h.
#pragma once

#include "data/bpe.h"

namespace data {

/// Whose special tokens a vocabulary has: GPT-2's "<|endoftext|>", or RoBERTa's <s> <pad> </s> <unk> and
/// <mask>, which it must hold then. by_tokens: RoBERTa's where all five are there.
enum class GptFiles { by_tokens, gpt2, roberta };
BpeModel bpe_from_gpt2_files(const std::string& vocab_path, const std::string& merges_path,
                             GptFiles whose = GptFiles::by_tokens);
void save_gpt2_files(const BpeModel& model, const std::string& vocab_path, const std::string& merges_path);

/// RoBERTa's ids: <s> <pad> </s> <unk> are 0 … 3, line i of fairseq's dictionary (a GPT-2 id or a filler
/// word, and a count) is i + 4, <mask> comes last. `gpt2` is what the files above gave.
BpeModel with_fairseq_dictionary(const BpeModel& gpt2, const std::string& dictionary_path);

}  // namespace data
