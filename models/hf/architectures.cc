// The list of architectures. Read first: architecture.h.
#include "models/hf/architecture.h"

namespace models {

HfArchitecture hf_gpt2(), hf_gpt_neo(), hf_xglm();
HfArchitecture hf_bert(), hf_roberta(), hf_xlm_roberta(), hf_camembert(), hf_roberta_prelayernorm();
HfArchitecture hf_llama(), hf_olmo2(), hf_olmoe(), hf_gemma2();
HfArchitecture hf_qwen2(), hf_qwen3(), hf_qwen3_moe(), hf_mistral(), hf_mixtral(), hf_gemma();
HfArchitecture hf_opt(), hf_gpt_neox(), hf_distilbert();
std::vector<HfArchitecture> hf_bert_classifiers();

const std::vector<HfArchitecture>& hf_architectures() {
  static const std::vector<HfArchitecture> all =
      hf_joined({hf_gpt2(),      hf_gpt_neo(),     hf_xglm(),      hf_bert(),
                 hf_roberta(),   hf_xlm_roberta(), hf_camembert(), hf_roberta_prelayernorm(),
                 hf_llama(),     hf_olmo2(),       hf_olmoe(),     hf_gemma2(),
                 hf_qwen2(),     hf_qwen3(),       hf_qwen3_moe(), hf_mistral(),
                 hf_mixtral(),   hf_gemma(),       hf_opt(),       hf_gpt_neox(),
                 hf_distilbert()},
                hf_bert_classifiers());
  return all;
}

}  // namespace models
