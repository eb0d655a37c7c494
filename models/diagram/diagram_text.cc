// The picture in box-drawing characters. Read first: diagram.h.
#include <algorithm>

#include "models/diagram/diagram.h"

namespace models {
namespace {

std::string repeat(const char* piece, size_t times) {
  std::string out;
  for (; times > 0; --times) out += piece;
  return out;
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, text_width(text)), ' ');
}

/// Columns: the stream at 4, branch boxes from 9, notes right of them.
class TextRenderer {
 public:
  explicit TextRenderer(const Picture& picture) : picture_(picture) {
    widen(picture.first), widen(picture.last);
    for (const PanelPicture& panel : picture.panels)
      for (const SublayerPicture* s : {&panel.attn, &panel.ffn})
        widen(s->before), widen(s->branch), widen(s->after);
  }

  std::string draw() {
    stream_boxes(picture_.first, true, false);
    for (const PanelPicture& panel : picture_.panels) {
      line("    │");
      const std::string layers = panel.high - panel.low == 1 ? "layer " + std::to_string(panel.low)
                                                             : "layers " + std::to_string(panel.low) +
                                                                   " to " + std::to_string(panel.high - 1);
      line("────┼── " + layers + " " + repeat("─", width_ + 8 - std::min(width_, text_width(layers))));
      sublayer(panel.attn);
      sublayer(panel.ffn);
    }
    line("    │");
    line("────┼──" + repeat("─", width_ + 10));
    stream_boxes(picture_.last, false, true);
    return out_;
  }

 private:
  void widen(const std::vector<Box>& boxes) {
    for (const Box& box : boxes) width_ = std::max(width_, text_width(box.label));
  }
  void line(std::string text) {
    while (text.ends_with(' ')) text.pop_back();
    out_ += text + "\n";
  }
  static std::string note(const std::string& slot) { return slot.empty() ? "" : "  " + slot; }

  /// Boxes on the stream itself, joined by it above (unless it begins here) and below (unless it ends).
  void stream_boxes(const std::vector<Box>& boxes, bool begins, bool ends) {
    if (boxes.empty()) return;
    if (!begins) line("    │");
    line("  ┌─" + std::string(begins ? "─" : "┴") + repeat("─", width_) + "┐");
    for (const Box& box : boxes) line("  │ " + padded(box.label, width_) + " │" + note(box.slot));
    line("  └─" + std::string(ends ? "─" : "┬") + repeat("─", width_) + "┘");
  }

  void sublayer(const SublayerPicture& s) {
    line("    │  " + s.name);
    stream_boxes(s.before, false, false);
    const size_t half = width_ / 2;
    const std::string left = repeat("─", half + 1), right = repeat("─", width_ - half);
    line("    ├────" + std::string("─") + left + "╮");
    line("    │    ┌" + left + "┴" + right + "┐");
    for (const Box& box : s.branch) line("    │    │ " + padded(box.label, width_) + " │" + note(box.slot));
    line("    │    └" + left + "┬" + right + "┘");
    for (const Box& box : s.beside)
      line("    ⊗ " + padded(box.label, half + 5) + "│" + std::string(width_ - half + 1, ' ') +
           note(box.slot));
    line("    ⊕─────" + left + "╯" + (s.join.empty() ? "" : "  " + s.join));
    stream_boxes(s.after, false, false);
  }

  const Picture& picture_;
  size_t width_ = 16;
  std::string out_;
};

}  // namespace

std::string diagram_text(const Picture& picture) { return TextRenderer(picture).draw(); }

}  // namespace models
