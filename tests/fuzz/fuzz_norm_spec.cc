// Fuzzing the text and JSON forms of norm placements: what is read is printed as text, and written as JSON,
// that reads as the same.
#include "fuzz.h"
#include "nn/norm_spec.h"

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> out = {
      "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln res=vector(0.5)} final=ln",
      "attn{q=rms.head k=rms.head v=rms.head post=rms} ffn{} final=rms; 0: attn{in=rms} ffn{in=rms}",
      "embed=ln(eps=1e-6,bias=0) attn{in=dyt(alpha=0.8) branch=shared(0)}; 25%..75%: ffn{skip=norm}; -2..-1: "
      "attn{}",
      "stream=residual(0.5) init=deepnorm final=l2"};
  for (size_t i = 0; i < 4; ++i) out.push_back(nn::to_json(nn::parse_norm_spec(out[i])).dump());
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text = input_text(bytes, size);
  const auto check_spec = [](const nn::NormSpec& spec) {
    require(again([&] { return nn::parse_norm_spec(nn::print(spec)); }) == spec);
    require(again([&] { return nn::norm_spec_from_json(nn::to_json(spec)); }) == spec);
    for (const int64_t layers : {1, 12}) fuzz_one([&] { nn::resolve_layers(spec, layers); });
  };
  fuzz_one([&] { check_spec(nn::parse_norm_spec(text)); });
  return fuzz_one(
      [&] { check_spec(nn::norm_spec_from_json(engine::parse_json(std::string(text), "fuzz"))); });
}
