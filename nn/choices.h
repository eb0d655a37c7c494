// Architecture choices that layers and model configs share, and their names in JSON.
#pragma once

#include <array>

namespace nn {

/// swiglu, geglu, geglu_tanh and reglu are act(gate) * up: two input projections instead of one.
enum class Activation { gelu, gelu_tanh, relu, relu2, silu, swiglu, geglu, geglu_tanh, reglu };
inline constexpr std::array<const char*, 9> activation_names = {
    "gelu", "gelu_tanh", "relu", "relu2", "silu", "swiglu", "geglu", "geglu_tanh", "reglu"};
constexpr bool is_glu(Activation a) { return a >= Activation::swiglu; }

enum class Positions { learned, sinusoidal, rope, none };
inline constexpr std::array<const char*, 4> position_names = {"learned", "sinusoidal", "rope", "none"};

}  // namespace nn
