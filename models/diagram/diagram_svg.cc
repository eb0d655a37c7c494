// The picture as SVG: panels side by side, the stream a thick line, branches to its right. Read first:
// diagram.h.
#include <algorithm>
#include <cstdio>

#include "models/diagram/diagram.h"

namespace models {
namespace {

// Geometry in pixels.
constexpr int margin = 24, title_height = 46, box_height = 26, box_gap = 9, stream_x = 74,
              stream_box_width = 124;
constexpr int branch_x = 170, branch_width = 176, note_x = branch_x + branch_width + 10, column_width = 520,
              fork = 20;

// Where the page is dark, what stands outside the boxes is light.
const char* const dark = R"(<style>
@media (prefers-color-scheme: dark){[fill="#ffffff"]{fill:#111827}[fill="#f7f8fb"]{fill:#1f2937}
[stroke="#d5dae3"]{stroke:#374151}[fill="#26324a"]{fill:#e5e7eb}[stroke="#26324a"]{stroke:#e5e7eb}}
</style>
)";

struct Colours {
  const char *fill, *line;
};
constexpr Colours colours[] = {
    {"#fde8c8", "#c77d0a"}, {"#e3e9f2", "#6b7f9e"}, {"#dcefe2", "#3f8f5f"}, {"#f6dde6", "#b04a78"}};

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

class SvgRenderer {
 public:
  std::string draw(const Picture& picture, const std::string& title) {
    int bottom = 0;
    for (size_t i = 0; i < picture.panels.size(); ++i) {
      left_ = margin + int(i) * column_width;
      y_ = title_height + margin;
      column(picture, i);
      bottom = std::max(bottom, y_);
    }
    const int width = 2 * margin + int(picture.panels.size()) * column_width - 40;
    const int height = bottom + margin;
    char head[512];
    std::snprintf(
        head, sizeof head,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
        "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"13\">\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
        width, height, width, height, width, height);
    const std::string heading = "<text x=\"" + std::to_string(margin) +
                                "\" y=\"34\" font-size=\"19\" font-weight=\"bold\" fill=\"#26324a\">" +
                                escaped(title) + "</text>\n";
    return head + (dark + heading) + lines_ + shapes_ + "</svg>\n";
  }

 private:
  void column(const Picture& picture, size_t i) {
    const PanelPicture& panel = picture.panels[i];
    const bool first = i == 0, last = i + 1 == picture.panels.size();
    const int top = y_;
    if (first)
      stream_boxes(picture.first);
    else
      text(stream_x, y_ + 14, "from layer " + std::to_string(panel.low - 1), "#6b7f9e", "middle"), y_ += 24;
    const int open = y_ + 6;
    y_ += 14;
    const std::string layers = panel.high - panel.low == 1 ? "layer " + std::to_string(panel.low)
                                                           : "layers " + std::to_string(panel.low) + " to " +
                                                                 std::to_string(panel.high - 1);
    sublayer(panel.attn, layers);
    sublayer(panel.ffn, "");
    frame(open, y_ + 4);
    y_ += 16;
    if (last)
      stream_boxes(picture.last);
    else
      text(stream_x, y_ + 16, "to layer " + std::to_string(panel.high), "#6b7f9e", "middle"), y_ += 20;
    const int from = first ? top + box_height / 2 : top + 20;
    const int to = last ? y_ - box_gap - box_height / 2 : y_ - 18;
    lines_ += "<path d=\"M" + at(stream_x, from) + "V" + std::to_string(to) +
              "\" stroke=\"#26324a\" stroke-width=\"3\" fill=\"none\"/>\n";
  }

  void sublayer(const SublayerPicture& s, const std::string& layers) {
    text(branch_x - 78, y_ + 12, s.name, "#26324a", "start", true);
    if (!layers.empty()) text(column_width - 62, y_ + 12, layers, "#6b7f9e", "end");
    y_ += 22;
    stream_boxes(s.before);
    const int fork_y = y_ + 6;
    y_ += fork;
    const int centre = branch_x + branch_width / 2;
    const int first_y = y_;
    for (const Box& b : s.branch) box(b, branch_x, branch_width), y_ += box_height + box_gap;
    const int last_y = y_ - box_gap;
    const int join_y = y_ + 12;
    branch_line("M" + at(stream_x, fork_y) + "H" + std::to_string(left_ + centre - 8) + "q8 0 8 8V" +
                    std::to_string(first_y),
                false);
    branch_line("M" + at(centre, first_y) + "V" + std::to_string(join_y - 8) + "q0 8 -8 8H" +
                    std::to_string(left_ + stream_x + 12),
                true);
    int side_y = (first_y + last_y) / 2 - box_height / 2;
    for (const Box& b : s.beside) {
      const int keep = y_;
      y_ = side_y;
      box(b, stream_x - 42, 84, true);
      y_ = keep, side_y += box_height + box_gap;
    }
    shapes_ += "<circle cx=\"" + std::to_string(left_ + stream_x) + "\" cy=\"" + std::to_string(join_y) +
               "\" r=\"9\" fill=\"#ffffff\" stroke=\"#26324a\" stroke-width=\"2\"/>\n<path d=\"M" +
               at(stream_x - 5, join_y) + "h10M" + at(stream_x, join_y - 5) +
               "v10\" stroke=\"#26324a\" stroke-width=\"2\"/>\n";
    if (!s.join.empty()) text(centre + 10, join_y + 6, s.join, "#b04a78", "start");
    y_ = join_y + 18;
    stream_boxes(s.after);
  }

  void stream_boxes(const std::vector<Box>& boxes) {
    for (const Box& b : boxes)
      box(b, stream_x - stream_box_width / 2, stream_box_width), y_ += box_height + box_gap;
  }

  /// A box at the current height, its slot beside it. On the stream, beside a branch, a short slot stands
  /// below, right of the line; a long one (a constant in full) is left to the text form.
  void box(const Box& b, int x, int width, bool on_stream = false) {
    const Colours& colour = colours[size_t(b.kind)];
    shapes_ += "<rect x=\"" + std::to_string(left_ + x) + "\" y=\"" + std::to_string(y_) + "\" width=\"" +
               std::to_string(width) + "\" height=\"" + std::to_string(box_height) + "\" rx=\"6\" fill=\"" +
               colour.fill + "\" stroke=\"" + colour.line + "\" stroke-width=\"1.3\"/>\n";
    text(x + width / 2, y_ + 17, b.label, "#1d2433", "middle", false, width - 8);
    if (b.slot.empty()) return;
    const std::string mono = " font-family=\"Menlo, 'DejaVu Sans Mono', monospace\" font-size=\"11\"";
    if (on_stream) {
      if (b.slot.size() <= 13)
        text(stream_x + 8, y_ + box_height + 13, b.slot, colour.line, "start", false, 0, mono);
      return;
    }
    text(x + width + 10, y_ + 17, b.slot, colour.line, "start", false, 0, mono);
  }

  /// fit > 0: squeezes text that would be wider than `fit`.
  void text(int x, int y, const std::string& words, const char* colour, const char* anchor, bool bold = false,
            int fit = 0, const std::string& style = "") {
    shapes_ += "<text x=\"" + std::to_string(left_ + x) + "\" y=\"" + std::to_string(y) +
               "\" text-anchor=\"" + anchor + "\" fill=\"" + colour + "\"" +
               (bold ? " font-weight=\"bold\"" : "") + style;
    if (fit > 0 && int(text_width(words)) * 7 > fit)
      shapes_ += " textLength=\"" + std::to_string(fit) + "\" lengthAdjust=\"spacingAndGlyphs\"";
    shapes_ += ">" + escaped(words) + "</text>\n";
  }

  void branch_line(const std::string& path, bool arrow) {
    lines_ += "<path d=\"" + path + "\" stroke=\"#7d8797\" stroke-width=\"1.8\" fill=\"none\"/>\n";
    if (!arrow) return;
    const size_t v = path.find('V');
    const int y = std::stoi(path.substr(v + 1)) + 8;
    lines_ += "<path d=\"M" + at(stream_x + 18, y - 5) + "l-9 5l9 5z\" fill=\"#7d8797\"/>\n";
  }
  void frame(int top, int bottom) {
    lines_ = "<rect x=\"" + std::to_string(left_ - 10) + "\" y=\"" + std::to_string(top) + "\" width=\"" +
             std::to_string(column_width - 20) + "\" height=\"" + std::to_string(bottom - top) +
             "\" rx=\"12\" fill=\"#f7f8fb\" stroke=\"#d5dae3\"/>\n" + lines_;
  }
  std::string at(int x, int y) const { return std::to_string(left_ + x) + " " + std::to_string(y); }

  int left_ = 0, y_ = 0;
  std::string lines_, shapes_;  // lines lie under shapes
};

}  // namespace

std::string diagram_svg(const Picture& picture, const std::string& title) {
  return SvgRenderer().draw(picture, title);
}

}  // namespace models
