// What a row of the op table is put through. Each check returns a report; `text` says what was wrong.
#pragma once

#include "engine/cases/case.h"

namespace engine {

struct CaseReport {
  bool ok = true;
  std::string text;
};

/// The f64 value against the row's reference.
CaseReport check_value(const OpCase& c);
/// Central differences in f64 for every floating input.
CaseReport check_gradients(const OpCase& c, GradcheckResult* details = nullptr, Device device = Device::cpu);
/// Value and gradients in f32, bf16 and f16: the error against f64 on unrounded inputs is at most
/// `low_precision_factor` times that of the f64 op on rounded inputs with its results rounded, plus sqrt(n)
/// 2^-24.
CaseReport check_dtypes(const OpCase& c);
/// On another device: value and gradients in f64 against the CPU's, and what check_dtypes() asks of the
/// others.
CaseReport check_device(const OpCase& c, Device device);
/// The same bits from inputs whose storage has gaps and swapped axes.
CaseReport check_strides(const OpCase& c);
/// The same bits, value and gradients, from 1, 2, 3 and 8 threads.
CaseReport check_threads(const OpCase& c);
/// The same bits when uninitialised memory and scratch memory are full of NaNs (set_poisoning()).
CaseReport check_poison(const OpCase& c);
/// The row's gradcheck finds wrong numbers when its node's backward is scaled by 1.01; an Error is no
/// finding.
CaseReport check_mutation(const OpCase& c);

}  // namespace engine
