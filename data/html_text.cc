// Read first: html_text.h.
#include "data/html_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <vector>

namespace data {
namespace {

using std::string_view;

/// What an element does to the text around it.
enum class Effect { inline_text, block, skip, preformatted, cell };

constexpr std::pair<string_view, Effect> kElements[] = {
    {"address", Effect::block}, {"article", Effect::block}, {"blockquote", Effect::block},
    {"br", Effect::block},      {"dd", Effect::block},      {"div", Effect::block},
    {"dl", Effect::block},      {"dt", Effect::block},      {"figcaption", Effect::block},
    {"footer", Effect::skip},   {"form", Effect::skip},     {"h1", Effect::block},
    {"h2", Effect::block},      {"h3", Effect::block},      {"h4", Effect::block},
    {"h5", Effect::block},      {"h6", Effect::block},      {"head", Effect::skip},
    {"hr", Effect::block},      {"li", Effect::block},      {"nav", Effect::skip},
    {"ol", Effect::block},      {"p", Effect::block},       {"pre", Effect::preformatted},
    {"script", Effect::skip},   {"section", Effect::block}, {"style", Effect::skip},
    {"svg", Effect::skip},      {"table", Effect::block},   {"td", Effect::cell},
    {"template", Effect::skip}, {"th", Effect::cell},       {"tr", Effect::block},
    {"ul", Effect::block}};

/// Elements without content: they have no end tag.
constexpr string_view kVoid[] = {"area",  "base", "br",   "col",   "embed",  "hr",    "img",
                                 "input", "link", "meta", "param", "source", "track", "wbr"};

/// Navigation of DocBook and Sphinx pages, by class.
constexpr string_view kSkippedClasses[] = {"navheader", "navfooter", "toc",    "headerlink",
                                           "indexterm", "related",   "footer", "sphinxsidebar",
                                           "contents",  "linenos"};

constexpr std::pair<string_view, string_view> kEntities[] = {
    {"amp", "&"},   {"lt", "<"},    {"gt", ">"},    {"quot", "\""},  {"apos", "'"},  {"nbsp", " "},
    {"copy", "©"},  {"mdash", "—"}, {"ndash", "–"}, {"hellip", "…"}, {"lsquo", "‘"}, {"rsquo", "’"},
    {"ldquo", "“"}, {"rdquo", "”"}, {"times", "×"}, {"reg", "®"},    {"para", "¶"},  {"rarr", "→"}};

// Both limits keep the work on hostile pages proportional to their size.
constexpr size_t kLongestEntity = 11;  // "&", a name or number, ";"
constexpr size_t kDeepest = 512;       // open elements, as in browsers; deeper ones leave no mark

Effect effect_of(string_view name) {
  const auto* found = std::find_if(std::begin(kElements), std::end(kElements),
                                   [&](const auto& e) { return e.first == name; });
  return found == std::end(kElements) ? Effect::inline_text : found->second;
}

struct Tag {
  std::string name;
  bool closing = false, empty = false;
  string_view attributes;
};

/// The value of an attribute as it is written; "" without it.
string_view attribute(string_view attributes, string_view name) {
  for (size_t at = attributes.find(name); at != string_view::npos; at = attributes.find(name, at + 1)) {
    const bool starts = at == 0 || std::isspace(static_cast<unsigned char>(attributes[at - 1]));
    string_view rest = attributes.substr(at + name.size());
    if (!starts || !rest.starts_with('=') || rest.size() < 2) continue;
    const char quote = rest[1];
    if (quote != '"' && quote != '\'') return rest.substr(1, rest.find_first_of(" \t\n>", 1) - 1);
    return rest.substr(2, rest.find(quote, 2) - 2);
  }
  return {};
}

bool has_skipped_class(string_view attributes) {
  string_view classes = attribute(attributes, "class");
  while (!classes.empty()) {
    const size_t end = std::min(classes.find(' '), classes.size());
    if (std::find(std::begin(kSkippedClasses), std::end(kSkippedClasses), classes.substr(0, end)) !=
        std::end(kSkippedClasses))
      return true;
    classes.remove_prefix(std::min(end + 1, classes.size()));
  }
  return false;
}

/// Reads the tag at html[at] == '<' and moves `at` behind it; false when that is no tag.
bool read_tag(string_view html, size_t& at, Tag& tag) {
  size_t p = at + 1;
  tag = {};
  if (p < html.size() && html[p] == '/') tag.closing = true, ++p;
  while (p < html.size() && (std::isalnum(static_cast<unsigned char>(html[p])) || html[p] == '-'))
    tag.name += char(std::tolower(static_cast<unsigned char>(html[p++])));
  if (tag.name.empty()) return false;
  const size_t attributes = p;
  // A quotation opens behind = alone; `before`: the last character but white space.
  char quote = 0, before = 0;
  for (; p < html.size() && (quote != 0 || html[p] != '>'); ++p) {
    if (quote != 0)
      quote = html[p] == quote ? 0 : quote;
    else if ((html[p] == '"' || html[p] == '\'') && before == '=')
      quote = html[p];
    if (!std::isspace(uint8_t(html[p]))) before = html[p];
  }
  tag.attributes = html.substr(attributes, p - attributes);
  tag.empty = tag.attributes.ends_with('/') ||
              std::find(std::begin(kVoid), std::end(kVoid), tag.name) != std::end(kVoid);
  at = std::min(p + 1, html.size());
  return true;
}

/// Where the end tag of an element begins, at or behind `at`: its `name` in any case. The end without one.
size_t end_tag(string_view html, size_t at, string_view name) {
  const auto same = [](char written, char lower) { return std::tolower(uint8_t(written)) == lower; };
  for (at = html.find("</", at); at != string_view::npos; at = html.find("</", at + 2)) {
    const string_view found = html.substr(at + 2, name.size());
    if (std::equal(found.begin(), found.end(), name.begin(), name.end(), same)) return at;
  }
  return html.size();
}

/// Collects text: runs of white space become one space, blocks become paragraphs.
class Writer {
 public:
  void text(string_view raw, bool preformatted) {
    const std::string decoded = decode_entities(raw);
    if (preformatted) {
      out_ += decoded;
      return;
    }
    for (const char c : decoded) {
      const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
      if (!space)
        out_ += c;
      else if (!out_.empty() && out_.back() != ' ' && out_.back() != '\n')
        out_ += ' ';
    }
  }
  void paragraph() {
    while (!out_.empty() && (out_.back() == ' ' || out_.back() == '\n')) out_.pop_back();
    if (!out_.empty()) out_ += "\n\n";
  }
  void cell() {
    if (!out_.empty() && out_.back() != '\n') out_ += " | ";
  }
  std::string finish() {
    paragraph();
    if (out_.ends_with("\n\n")) out_.pop_back();
    return std::move(out_);
  }

 private:
  std::string out_;
};

struct Open {
  std::string name;
  Effect effect;
};

std::string text_of(string_view html) {
  Writer out;
  std::vector<Open> open;
  int skipping = 0, preformatted = 0;
  const auto close_last = [&] {
    skipping -= open.back().effect == Effect::skip;
    preformatted -= open.back().effect == Effect::preformatted;
    if (skipping == 0 && (open.back().effect == Effect::block || open.back().effect == Effect::preformatted))
      out.paragraph();
    open.pop_back();
  };
  for (size_t at = 0; at < html.size();) {
    if (html[at] != '<') {
      const size_t end = std::min(html.find('<', at), html.size());
      if (skipping == 0) out.text(html.substr(at, end - at), preformatted > 0);
      at = end;
      continue;
    }
    if (html.substr(at).starts_with("<!--")) {
      const size_t end = html.find("-->", at + 4);
      at = end == string_view::npos ? html.size() : end + 3;
      continue;
    }
    Tag tag;
    if (!read_tag(html, at, tag)) {  // "<!DOCTYPE", "<?xml", or a bare '<'
      const bool declaration = at + 1 < html.size() && (html[at + 1] == '!' || html[at + 1] == '?');
      if (!declaration && skipping == 0) out.text("<", preformatted > 0);
      at = declaration ? std::min(html.find('>', at), html.size() - 1) + 1 : at + 1;
      continue;
    }
    if (tag.closing) {
      const auto match =
          std::find_if(open.rbegin(), open.rend(), [&](const Open& o) { return o.name == tag.name; });
      if (match != open.rend())
        for (size_t keep = size_t(open.rend() - match) - 1; open.size() > keep;) close_last();
      continue;
    }
    const Effect effect = has_skipped_class(tag.attributes) ? Effect::skip : effect_of(tag.name);
    if (skipping == 0 && (effect == Effect::block || effect == Effect::preformatted)) out.paragraph();
    if (skipping == 0 && effect == Effect::cell) out.cell();
    if (tag.empty) continue;
    if (tag.name == "script" || tag.name == "style") {  // raw text: only the end tag counts
      at = end_tag(html, at, tag.name);
      continue;
    }
    if (open.size() == kDeepest) continue;
    open.push_back({tag.name, effect});
    skipping += effect == Effect::skip;
    preformatted += effect == Effect::preformatted;
  }
  return out.finish();
}

}  // namespace

std::string decode_entities(string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t length = text[at] == '&' ? text.substr(at, kLongestEntity).find(';') : string_view::npos;
    if (length == string_view::npos) {
      out += text[at];
      continue;
    }
    const size_t end = at + length;
    const string_view name = text.substr(at + 1, end - at - 1);
    if (name.starts_with('#')) {
      const bool hexadecimal = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
      const string_view digits = name.substr(hexadecimal ? 2 : 1);
      int32_t code = 0;
      const auto [stop, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), code, hexadecimal ? 16 : 10);
      if (error == std::errc() && stop == digits.data() + digits.size() && code > 0 &&
          utf8proc_codepoint_valid(code)) {
        utf8proc_uint8_t bytes[4];
        out.append(reinterpret_cast<const char*>(bytes), size_t(utf8proc_encode_char(code, bytes)));
        at = end;
        continue;
      }
    }
    const auto* known = std::find_if(std::begin(kEntities), std::end(kEntities),
                                     [&](const auto& e) { return e.first == name; });
    if (known == std::end(kEntities)) {
      out += '&';
      continue;
    }
    out += known->second;
    at = end;
  }
  return out;
}

std::string html_to_text(string_view html) {
  size_t main = html.find("role=\"main\"");
  if (main != string_view::npos) main = html.rfind('<', main);
  if (main == string_view::npos) return text_of(html);
  // The main element alone: to the tag that closes it.
  int depth = 0;
  Tag first, tag;
  for (size_t at = main; at < html.size();) {
    if (html[at] != '<' || !read_tag(html, at, tag)) {
      ++at;
      continue;
    }
    if (first.name.empty()) first = tag;
    if (tag.name == first.name && !tag.empty) depth += tag.closing ? -1 : 1;
    if (depth == 0) return text_of(html.substr(main, at - main));
  }
  return text_of(html.substr(main));
}

}  // namespace data
