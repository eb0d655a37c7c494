// Read first: text_pairs.h.
#include "data/text_pairs.h"

#include <algorithm>

#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

// The post-processor's tokens around two texts of one token each; the texts are no tokens that exist.
PairForm form_of_processor(const Tokenizer& tokenizer) {
  constexpr TokenId first[] = {no_token}, second[] = {no_token - 1};
  const std::vector<TokenId> row = tokenizer.with_special_tokens(first, second);
  const auto a = std::find(row.begin(), row.end(), first[0]), b = std::find(row.begin(), row.end(), second[0]);
  if (a >= b) return {};
  return {{row.begin(), a}, {a + 1, b}, {b + 1, row.end()}};
}

}  // namespace

PairForm pair_form(const Tokenizer& tokenizer, const std::string& what) {
  const SpecialRoles& roles = tokenizer.roles();
  PairForm form = form_of_processor(tokenizer);
  if (form.before.empty() || form.between.empty() || form.after.empty()) {
    check(roles.begin != no_token && roles.end != no_token, what,
          ": no special token ", roles.begin == no_token ? "begins" : "ends",
          " a text (<s> and </s>, or [CLS] and [SEP])");
    const bool bert = roles.end == tokenizer.special_id("[SEP]");
    form = {{roles.begin}, std::vector<TokenId>(bert ? 1 : 2, roles.end), {roles.end}};
  }
  check(roles.pad != no_token, what, ": no special token pads a row (<pad> or [PAD])");
  form.pad = roles.pad;
  return form;
}

PairLengths longest_first(int64_t n, int64_t m, int64_t room) {
  if (n + m <= room) return {n, m};
  int64_t shorter = std::min(n, m);
  int64_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = shorter + room % 2;
  }
  return n > m ? PairLengths{longer, shorter} : PairLengths{shorter, longer};
}

TextRow text_row(const PairForm& form, std::span<const TokenId> first, const std::vector<TokenId>* second,
                 int64_t most) {
  PairLengths kept{int64_t(first.size()), second ? int64_t(second->size()) : 0};
  if (most > 0) {
    const int64_t room = most - form.special(second != nullptr);
    check(room >= 0, "a row of ", most, " tokens has no room for ", form.special(second != nullptr),
          " special ones");
    kept = second ? longest_first(kept.first, kept.second, room)
                  : PairLengths{std::min(kept.first, room), 0};
  }
  TextRow row;
  const auto add = [&](auto begin, auto end) { row.ids.insert(row.ids.end(), begin, end); };
  add(form.before.begin(), form.before.end());
  add(first.begin(), first.begin() + kept.first);
  if (second) {
    add(form.between.begin(), form.between.end());
    row.second = int64_t(row.ids.size());
    add(second->begin(), second->begin() + kept.second);
  }
  add(form.after.begin(), form.after.end());
  return row;
}

}  // namespace data
