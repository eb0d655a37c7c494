// The slot tables: name, member and rule of every slot, once. Parser, printer, JSON, parameter list and
// diagram all walk these tables, so that a new slot is one row here and one member in norm_spec.h. Read
// first: norm_spec.h.
#pragma once

#include <array>
#include <variant>

#include "nn/norm_spec.h"

namespace nn {

/// row: no .head or .full allowed; heads: one of them required. Scales: `shared` only where both sublayers
/// may share.
enum class SlotRule { row, heads, own_scale, any_scale, none };

template <class Slots>
struct SlotRow {
  const char* name;
  std::variant<Norm Slots::*, Scale Slots::*, HeadGain Slots::*, Skip Slots::*> member;
  SlotRule rule;
};

inline constexpr std::array<SlotRow<AttnSlots>, 11> attn_slots = {{
    {"in", &AttnSlots::in, SlotRule::row},
    {"q", &AttnSlots::q, SlotRule::heads},
    {"k", &AttnSlots::k, SlotRule::heads},
    {"v", &AttnSlots::v, SlotRule::heads},
    {"ctx", &AttnSlots::ctx, SlotRule::heads},
    {"out", &AttnSlots::out, SlotRule::row},
    {"post", &AttnSlots::post, SlotRule::row},
    {"gain", &AttnSlots::gain, SlotRule::none},
    {"res", &AttnSlots::res, SlotRule::own_scale},
    {"branch", &AttnSlots::branch, SlotRule::any_scale},
    {"skip", &AttnSlots::skip, SlotRule::none},
}};

inline constexpr std::array<SlotRow<FfnSlots>, 7> ffn_slots = {{
    {"in", &FfnSlots::in, SlotRule::row},
    {"mid", &FfnSlots::mid, SlotRule::row},
    {"out", &FfnSlots::out, SlotRule::row},
    {"post", &FfnSlots::post, SlotRule::row},
    {"res", &FfnSlots::res, SlotRule::own_scale},
    {"branch", &FfnSlots::branch, SlotRule::any_scale},
    {"skip", &FfnSlots::skip, SlotRule::none},
}};

template <class Slots>
constexpr const auto& slot_table() {
  if constexpr (std::is_same_v<Slots, AttnSlots>)
    return attn_slots;
  else
    return ffn_slots;
}

/// Words of the enums, in the order of their values.
using engine::norm_kind_names;
inline constexpr std::array<const char*, 3> norm_span_names = {"row", "head", "full"};
inline constexpr std::array<const char*, 5> scale_kind_names = {"none", "constant", "vector", "scalar",
                                                                "shared"};
inline constexpr std::array<const char*, 3> head_gain_names = {"none", "inner", "outer"};
inline constexpr std::array<const char*, 2> skip_names = {"raw", "norm"};
inline constexpr std::array<const char*, 5> stream_names = {"plain", "residual", "b2t", "ngpt", "parallel"};

}  // namespace nn
