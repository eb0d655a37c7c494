// Draws a placement from its NormSpec: as text for terminals and Markdown, and as SVG.
//
// make_picture() turns a config into rows of boxes, once; the two renderers know nothing of slots. The stream
// runs down the left, each branch leaves it to the right and joins it again, and empty slots vanish. Layers
// with equal slots share one panel. Read first: nn/norm_spec.h.
#pragma once

#include <string>
#include <vector>

#include "models/config.h"

namespace models {

/// What a box is, for its colour: a norm, a learned map, the sublayer's core (attention, activation), a
/// scale.
enum class BoxKind { norm, map, core, scale };
struct Box {
  BoxKind kind;
  std::string label;
  std::string slot;  // as written in the NormSpec; empty where no slot stands for it
};

struct SublayerPicture {
  std::string name;
  std::vector<Box> before;  // on the stream, above the fork: skip=norm
  std::vector<Box> branch;
  std::vector<Box> beside;  // on the stream, beside the branch: res
  std::string join;         // beside the join; empty for a plain sum
  std::vector<Box> after;   // on the stream, below the join: post
};
struct PanelPicture {
  int64_t low, high;  // layers [low, high)
  SublayerPicture attn, ffn;
};
struct Picture {
  std::vector<Box> first;  // from tokens to the stream
  std::vector<PanelPicture> panels;
  std::vector<Box> last;  // from the stream to the head
};

Picture make_picture(const ModelConfig& config);
std::string diagram_text(const Picture& picture);
/// One SVG document, panels side by side, with a title.
std::string diagram_svg(const Picture& picture, const std::string& title);

/// Code points in UTF-8 text: the columns it takes.
size_t text_width(const std::string& text);

}  // namespace models
