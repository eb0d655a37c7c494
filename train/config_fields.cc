// The one table of the training config's keys: path, place, range, documentation. Read first: config.h.
#include "train/config.h"

namespace train {
namespace {

template <class Enum>
Choice choice(Enum& value, std::vector<std::string> words) {
  static_assert(sizeof(Enum) == 1);
  return {reinterpret_cast<uint8_t*>(&value), std::move(words)};
}

constexpr Range any = {0, 1e15}, at_least_one = {1, 1e15}, fraction = {0, 1}, below_one = {0, 1 - 1e-12};

}  // namespace

std::vector<Field> config_fields(TrainConfig& c) {
  auto& [model, from, data, optim, schedule, precision, scale, dropout, init, budget, eval, checkpoint, log, ema,
         parallel, activation_checkpointing, seed, threads, device] = c;
  // clang-format off
  return {
      {"model", &model, any, "the model: keys of its config.json, or \"preset\" and overrides (model.norms=normformer)"},
      {"from", &from, any, "start from the weights of this model, run or Hugging Face folder; empty: from initial values"},

      {"data.tokenizer", &data.tokenizer, any, "folder of the tokenizer"},
      {"data.train", &data.train, any, "folder of token shards to train on"},
      {"data.valid", &data.valid, any, "folder of token shards to validate on"},
      {"data.sampler", choice(data.sampler, {"blocks", "random_crop", "mlm"}), any,
       "consecutive blocks in shuffled order; crops at random places; masked language modelling"},
      {"data.order", choice(data.order, {"shuffled", "file"}), any,
       "a new order of the rows in each epoch; or that of the file, for comparisons with other programs"},
      {"data.context", &data.context, {0, 1 << 26}, "tokens in a row; 0: the model's context"},
      {"data.batch", &data.batch, at_least_one, "rows in a micro-batch"},
      {"data.accumulate", &data.accumulate, at_least_one, "micro-batches in an update, of each rank"},
      {"data.mask_probability", &data.mask_probability, {1e-6, 1}, "mlm: share of positions that are predicted"},
      {"data.mask_keep", &data.mask_keep, fraction, "mlm: share of those that keep their token"},
      {"data.mask_random", &data.mask_random, fraction, "mlm: share of those that get a random token"},
      {"data.whole_words", &data.whole_words, any, "mlm: words are selected and masked whole, not tokens"},

      {"optim.name", choice(optim.name, {"adamw", "adam", "nag", "sgd"}), any,
       "adamw: PyTorch's; adam: fairseq's (eps beside the uncorrected root); nag: fairseq's Nesterov momentum; sgd. "
       "Decay is decoupled in all but sgd, where it is added to the gradient"},
      {"optim.lr", &optim.lr, any, "peak learning rate"},
      {"optim.betas", &optim.betas, below_one, "Adam's decay rates of the two moments"},
      {"optim.momentum", &optim.momentum, below_one, "of nag and sgd"},
      {"optim.eps", &optim.eps, {1e-30, 1e15}, "Adam's, added to the root of the second moment"},
      {"optim.weight_decay", &optim.weight_decay, any, "per unit of learning rate"},
      {"optim.decay", choice(optim.decay, {"matrices", "all", "no_norm_no_embedding", "no_embedding"}), any,
       "what decays: tensors of two dimensions; everything (fairseq); all but norms, biases and embeddings; all but "
       "embeddings (OLMo)"},
      {"optim.clip", &optim.clip, any, "largest global gradient norm; 0: off"},

      {"schedule.name", choice(schedule.name, {"linear", "cosine", "polynomial", "inverse_sqrt", "constant", "wsd", "ramp"}),
       any, "how the learning rate moves"},
      {"schedule.counting", choice(schedule.counting, {"split", "completed", "current"}), any,
       "which number a rate depends on: current: the update's, from 1 (OLMo); completed: updates before it (fairseq: "
       "a warm-up's first rate is 0); split: current in the warm-up, completed after it (nanoGPT)"},
      {"schedule.warmup", &schedule.warmup, any, "updates of linear warm-up"},
      {"schedule.warmup_from", &schedule.warmup_from, any, "rate at which the warm-up starts"},
      {"schedule.min_lr", &schedule.min_lr, any, "rate at the end of the decay"},
      {"schedule.steps", &schedule.steps, any, "length in updates; 0: the budget's"},
      {"schedule.power", &schedule.power, any, "polynomial: exponent of the decay"},
      {"schedule.period", &schedule.period, any, "cosine: updates in the first period, restarts follow; 0: one period"},
      {"schedule.period_factor", &schedule.period_factor, {1, 1e6}, "cosine: each period's length over the one before"},
      {"schedule.shrink", &schedule.shrink, fraction, "cosine: each period's rates over the one before"},
      {"schedule.decay_fraction", &schedule.decay_fraction, fraction, "wsd: share of the run that decays"},
      {"schedule.decay_shape", choice(schedule.decay_shape, {"linear", "sqrt", "cosine"}), any, "wsd: shape of the decay"},
      {"schedule.ramp_step", &schedule.ramp_step, any, "ramp: growth of the rate in one update"},

      {"precision", choice(precision, {"f32", "bf16", "f16"}), any, "number format of activations and products"},
      {"loss_scale.init", &scale.init, {1e-30, 1e30}, "f16: first loss scale"},
      {"loss_scale.window", &scale.window, any, "f16: clean updates before the scale grows; 0: 16384 / ranks / accumulate"},
      {"loss_scale.factor", &scale.factor, {1, 1e6}, "f16: growth and back-off"},
      {"loss_scale.floor", &scale.floor, any, "f16: the scale never falls below it (fairseq's threshold); 0: none"},
      {"loss_scale.min", &scale.min, any, "f16: abort when the scale falls to it"},
      {"loss_scale.tolerance", &scale.tolerance, fraction, "f16: share of overflows since the last change that is borne"},
      {"loss_scale.memory_efficient", &scale.memory_efficient, any, "f16: no f32 masters, f16 gradients"},

      {"dropout.residual", &dropout.residual, below_one, "on embeddings and on branch outputs"},
      {"dropout.attention", &dropout.attention, below_one, "on attention weights"},
      {"dropout.activation", &dropout.activation, below_one, "after the activation"},
      {"dropout.head", &dropout.head, below_one,
       "in a classifier's head before each of its layers; in the tail bands of an adaptive softmax"},
      {"init", &init, any, "initialisation: fairseq, bert, gpt2, gpt3, megatron, normal, depth, deepnorm, subln, admin or ngpt; "
       "empty: the placement's own, else gpt3 for causal and bert for masked models"},

      {"budget.steps", &budget.steps, any, "updates; of several budgets the first that is spent ends the run"},
      {"budget.tokens", &budget.tokens, any, "tokens"},
      {"budget.epochs", &budget.epochs, any, "passes over the training data"},
      {"budget.seconds", &budget.seconds, any, "wall-clock seconds of training"},

      {"eval.every", &eval.every, any, "updates between validations; 0: only at the end"},
      {"eval.batches", &eval.batches, any, "micro-batches of a validation; 0: all of the data"},
      {"eval.patience", &eval.patience, any, "early stop after so many validations without a new best; 0: off"},

      {"checkpoint.every", &checkpoint.every, any, "updates between checkpoints; 0: only at the end (and at new bests, see keep_best)"},
      {"checkpoint.seconds", &checkpoint.seconds, any, "seconds between checkpoints; 0: off"},
      {"checkpoint.keep", &checkpoint.keep, at_least_one, "how many of the newest to keep"},
      {"checkpoint.keep_best", &checkpoint.keep_best, any, "how many of the best by validation loss to keep; each new best is saved; 0: none"},

      {"log.every", &log.every, at_least_one, "updates between lines of metrics.jsonl"},
      {"log.layers", &log.layers, any, "updates between per-layer norms and gains; 0: off"},
      {"log.samples", &log.samples, any, "updates between samples of the text that the model writes; 0: off"},
      {"log.tensorboard", &log.tensorboard, any, "also write TensorBoard event files"},

      {"ema.decay", &ema.decay, below_one, "moving average of the weights, validated and saved instead; 0: off. Kept in f32, it comes no nearer to a weight than a share "
       "of 6e-8 / (1 - decay)"},
      {"parallel.zero", &parallel.zero, {0, 1},
       "several ranks: 1: masters and moments are dealt to the ranks (ZeRO-1); 0: every rank has them all"},
      {"parallel.sum", choice(parallel.sum, {"fast", "tree"}), any,
       "order in which gradients of micro-batches are added: as they come; one tree, which gives 1, 2, 4, 8 ranks the same bits"},
      {"parallel.bucket_mib", &parallel.bucket_mib, {0.01, 1024}, "MiB of gradients that ranks exchange at once, while backward goes on"},
      {"parallel.timeout", &parallel.timeout, {0.1, 1e6}, "seconds that a rank waits for the others before it ends the run"},
      {"parallel.check", &parallel.check, any, "compare every collective over the ranks, and the weights every 100 updates"},

      {"activation_checkpointing", &activation_checkpointing, any, "recompute a layer in backward: less memory, more time"},
      {"seed", &seed, {0, 9007199254740991.0}, "of initialisation, data order, masking and dropout"},
      {"threads", &threads, {0, 4096}, "0: every core"},
      {"device", choice(device, {"cpu", "cuda", "cuda-host"}), any, "cuda-host: the CUDA kernels run on the CPU"},
  };
  // clang-format on
}

}  // namespace train
