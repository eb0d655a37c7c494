// Read first: picture.h.
#include "train/report/picture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/utf8_stream.h"
#include "engine/base/check.h"
#include "train/report/report.h"

namespace train {
namespace {

using engine::Json;

// The colours and dashes of page.js.
constexpr const char* kColors[] = {"#2f62c8", "#d2571c", "#23875f", "#9a3fb5",
                                   "#b88a12", "#cf3270", "#3c8fa3", "#70604c"};
constexpr const char* kDashes[] = {"", "7 3", "2 3", "10 3 2 3", "5 2 1 2 1 2"};
constexpr size_t kMostPoints = 120;
constexpr double kWidth = 360, kHeight = 210, kLeft = 46, kTop = 40, kGap = 60, kBottom = 58;

using Points = std::vector<std::pair<double, double>>;

template <class... Args>
std::string text(const char* format, Args... args) {
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, format, args...);
  return buffer;
}

/// Means of neighbouring points, so that a curve has few of them.
Points thinned(const Points& points) {
  const size_t bucket = (points.size() + kMostPoints - 1) / kMostPoints;
  if (bucket <= 1) return points;
  Points out;
  for (size_t i = 0; i < points.size(); i += bucket) {
    double x = 0, y = 0;
    const size_t end = std::min(points.size(), i + bucket);
    for (size_t j = i; j < end; ++j) x += points[j].first, y += points[j].second;
    out.emplace_back(x / double(end - i), y / double(end - i));
  }
  return out;
}

Points columns(const Json& table, const char* key) {
  Points out;
  if (!table.is_object() || !table.contains(key) || !table.contains("step")) return out;
  for (size_t i = 0; i < table[key].size(); ++i)
    if (table[key][i].is_number() && table["step"][i].is_number())
      out.emplace_back(table["step"][i].get<double>(), table[key][i].get<double>());
  return out;
}

/// The gradient norm of each layer in the last record.
Points gradients(const Json& curves) {
  Points out;
  if (!curves.contains("layers") || !curves["layers"].contains("grad_norm")) return out;
  const Json& panel = curves["layers"]["grad_norm"];
  if (panel["points"].empty()) return out;
  for (const Json& point : panel["points"].back())
    if (point[1].get<double>() > 0) out.emplace_back(point[0].get<double>(), point[1].get<double>());
  return out;
}

/// Its first characters, as XML can hold them: a broken one would make the whole picture unreadable.
std::string shortened(const std::string& name) {
  const std::string whole = data::well_formed(name);
  size_t end = std::min<size_t>(whole.size(), 40);
  while (end < whole.size() && (uint8_t(whole[end]) & 0xc0) == 0x80) --end;
  return whole.substr(0, end);
}

struct Curve {
  Points points;
  size_t run;
  bool dots;
};

/// Axes and curves in a frame whose left edge is at `x0`; y may be logarithmic. The range of y leaves out the
/// first twentieth of the curves, whose fall would flatten the rest.
std::string panel(double x0, const std::string& title, const std::vector<Curve>& curves, bool log_y) {
  double low_x = INFINITY, high_x = -INFINITY, low_y = INFINITY, high_y = -INFINITY;
  for (const Curve& c : curves)
    for (const auto& [x, y] : c.points) low_x = std::min(low_x, x), high_x = std::max(high_x, x);
  for (const Curve& c : curves)
    for (const auto& [x, y] : c.points)
      if (log_y || x >= low_x + (high_x - low_x) / 20)
        low_y = std::min(low_y, y), high_y = std::max(high_y, y);
  if (!(low_y <= high_y)) return "";
  if (high_x <= low_x) high_x = low_x + 1;
  const auto scale = [&](double y) { return log_y ? std::log(y) : y; };
  const double room =
      std::max((scale(high_y) - scale(low_y)) * 0.06, 1e-9 * std::max(1.0, std::abs(scale(high_y))));
  const double bottom = scale(low_y) - room, top = scale(high_y) + room;
  const auto px = [&](double x) { return x0 + (x - low_x) / (high_x - low_x) * kWidth; };
  const auto py = [&](double y) {
    return kTop + (top - std::clamp(scale(y), bottom, top)) / (top - bottom) * kHeight;
  };
  std::string out =
      text("<text x=\"%.0f\" y=\"%.0f\" font-weight=\"600\">", x0, kTop - 14) + title + "</text>\n";
  constexpr int ticks = 4;
  const int x_ticks = int(std::min<double>(ticks, high_x - low_x));  // layers are whole
  for (int i = 0; i <= x_ticks; ++i) {
    const double x = std::round(low_x + (high_x - low_x) * i / x_ticks);
    out += text("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"#667079\">%.4g</text>\n", px(x),
                kTop + kHeight + 16, x);
  }
  for (int i = 0; i <= ticks; ++i) {
    const double at = bottom + (top - bottom) * i / ticks, y = kTop + kHeight - kHeight * i / ticks;
    out += text("<path d=\"M%.1f %.1fh%.0f\" class=\"grid\" stroke=\"#e4e1dc\"/>", x0, y, kWidth) +
           text("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" fill=\"#667079\">%.3g</text>\n", x0 - 6,
                y + 4, log_y ? std::exp(at) : at);
  }
  for (const Curve& c : curves) {
    const char *color = kColors[c.run % std::size(kColors)], *dash = kDashes[c.run % std::size(kDashes)];
    std::string path;
    for (const auto& [x, y] : c.points) path += text("%s%.1f %.1f", path.empty() ? "M" : "L", px(x), py(y));
    if (!c.dots)
      out += "<path d=\"" + path +
             text("\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.7\" stroke-dasharray=\"%s\"/>\n", color,
                  dash);
    for (const auto& [x, y] : c.points)
      if (c.dots) out += text("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>", px(x), py(y), color);
  }
  return out;
}

}  // namespace

std::string report_svg(const std::vector<RunReport>& runs) {
  std::vector<Curve> losses, depth;
  for (size_t i = 0; i < runs.size(); ++i) {
    losses.push_back({thinned(columns(runs[i].curves["train"], "loss")), i, false});
    losses.push_back({columns(runs[i].curves["valid"], "valid_loss"), i, true});
    const Points by_layer = gradients(runs[i].curves);
    depth.push_back({by_layer, i, false});
    depth.push_back({by_layer, i, true});
  }
  const std::string loss = panel(kLeft, "Loss, nats a token, over updates (dots: validation)", losses, false);
  engine::check(!loss.empty(), "no run has a loss to draw");
  const double second = kLeft + kWidth + kGap, width = second + kWidth + 20,
               height = kTop + kHeight + kBottom;
  std::string out = text(
                        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
                        "height=\"%.0f\" "
                        "font-family=\"system-ui, sans-serif\" font-size=\"11.5\" fill=\"#1d2126\">\n",
                        width, height, width, height) +
                    "<style>@media (prefers-color-scheme: "
                    "dark){svg{fill:#e8e6e1}.paper{fill:#1d2126}.grid{stroke:#3a4048}}</style>\n"
                    "<rect class=\"paper\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" +
                    loss + panel(second, "Gradient norm by layer, at the last record", depth, true);
  double x = kLeft;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string name = shortened(runs[i].name);
    out += text("<path d=\"M%.0f %.0fh26\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>", x,
                height - 18, kColors[i % std::size(kColors)], kDashes[i % std::size(kDashes)]) +
           text("<text x=\"%.0f\" y=\"%.0f\">", x + 32, height - 14) + escape_html(name) + "</text>\n";
    x += 50 + 7 * double(name.size());
  }
  return out + "</svg>\n";
}

}  // namespace train
