// The activations' names, apart from activation.h so that kernel files can have them without the tape.
#pragma once

#include <cstdint>

namespace engine {

enum class Activation : uint8_t { identity, gelu, gelu_tanh, relu, relu2, silu, tanh, sigmoid };
const char* name_of(Activation activation);

}  // namespace engine
