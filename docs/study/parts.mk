# The study of docs/12-what-small-scale-shows.md in parts: what `normlab` is asked in each. `make study` runs them in this
# order and keeps what each found as docs/study/PART.json; a part goes on where it was stopped.
#   make study-table4-char                  one part
#   make study STUDY_LIMIT=3600             an hour for each part, then it stops; once more goes on
# A rehearsal in a folder of its own:
#   make study STUDY_SET='--set budget.steps=12 --set eval.every=4' STUDY_SEEDS=3 STUDY_RATES=1e-3 STUDY_STEPS=6 STUDY_WINDOW=3..6 \
#     STUDY_RAMP=0.05 STUDY_WORK=/tmp/w STUDY_RESULTS=/tmp/r STUDY_PAGE=/tmp/p.md
STUDY_LIMIT ?= 7200
STUDY_WORK ?= study
STUDY_RESULTS ?= docs/study
STUDY_PAGE ?= docs/12-what-small-scale-shows.md
STUDY_SET ?=
STUDY_SEEDS ?= 5
STUDY_RATES ?= 1e-3,2e-3,4e-3,8e-3
STUDY_JOBS ?= 2
STUDY_STEPS ?= 1000
STUDY_WINDOW ?= 951..1000
STUDY_RAMP ?= 5e-4

study_compare = --seeds $(STUDY_SEEDS) --jobs $(STUDY_JOBS)
# A placement whose best rate is at the edge of these gets further ones.
study_tuned = $(study_compare) --lr $(STUDY_RATES) --extend
study_table5 = compare pre_ln normformer+r --config docs/configs/study-char.json $(study_compare)
study_hybrid = compare pre_rms post_rms qk_norm mix_ln deepnorm sandwich olmo2 hybridnorm 'hybridnorm*' --config \
  docs/configs/study-hybridnorm.json $(study_tuned)

# 1. NormFormer's Table 4, characters; its full form is the baseline, so that each row is one thing taken away.
study_table4-char = compare normformer+r pre_ln normformer normformer_no_postattn normformer_no_ffnln \
  normformer_no_headscale normformer_3more --config docs/configs/study-char.json $(study_tuned)
# 2. Table 5's settings, at rates that are not tuned, as there.
study_table5-low-rate = $(study_table5) --set optim.lr=1e-3
study_table5-high-rate = $(study_table5) --set optim.lr=3e-3
study_table5-warmup = $(study_table5) --set optim.lr=3e-3 --set schedule.warmup=600
study_table5-clip = $(study_table5) --set optim.lr=3e-3 --set optim.clip=0.1
study_table5-gpt3 = $(study_table5) --set optim.lr=3e-3 --set model.context=128 --set dropout.residual=0.1 \
  --set dropout.attention=0.1
# The same at two rates with GPT-3's initial values, whose embeddings are 0.02 and not 1 wide.
study_table5-low-rate-small = $(study_table5) --set optim.lr=1e-3 --set init=gpt3 --set model.embed_scale=1
study_table5-high-rate-small = $(study_table5) --set optim.lr=3e-3 --set init=gpt3 --set model.embed_scale=1
# 3. Table 4's ends with byte pairs and six layers.
study_table4-bpe = compare pre_ln normformer normformer+r --config docs/configs/study-bpe.json $(study_tuned)
# 4. Figures 3, 4, 5, 6 and 7 at twelve layers, Figure 5 in f16 with the loss scaler. Figures 4 and 6 are the gains that three
# trained models end with.
study_figure3 = probe gradients post_ln pre_ln normformer --config docs/configs/study-figures.json --steps $(STUDY_STEPS) \
  --seeds 3 --window $(STUDY_WINDOW)
study_figure4 = train --config docs/configs/study-figures.json --set model.norms=normformer+r --set budget.steps=$(STUDY_STEPS)
study_figure7 = probe gradients normformer --relative-to pre_ln --config docs/configs/study-figures.json \
  --steps $(STUDY_STEPS) --seeds 3 --window $(STUDY_WINDOW)
study_figure5 = probe stability pre_ln normformer normformer+r --config docs/configs/study-figures.json --seeds 3 \
  --ramp $(STUDY_RAMP) --set precision=f16 --set loss_scale.init=4
# 5. HybridNorm beside what its paper compares it with: each with its own initial values, and all with one rule; 6 and 16 layers.
study_hybrid-6-own = $(study_hybrid)
study_hybrid-6-same = $(study_hybrid) --same-init megatron
study_hybrid-16-own = $(study_hybrid) --set model.layers=16 --set model.width=64 --set model.ffn_width=176
study_hybrid-16-same = $(study_hybrid-16-own) --same-init megatron
# 6. A masked LM, and the same with embeddings multiplied by the root of the width, as in the models of 1. to 3.
study_mlm = compare pre_ln normformer normformer+r --config docs/configs/study-mlm.json $(study_tuned)
study_mlm-scaled = $(study_mlm) --set model.embed_scale=11.313708498984761

STUDY_PARTS := table4-char table5-low-rate table5-high-rate table5-warmup table5-clip table5-gpt3 \
  table5-low-rate-small table5-high-rate-small table4-bpe figure3 \
  figure4 figure7 figure5 hybrid-6-own hybrid-6-same hybrid-16-own hybrid-16-same mlm mlm-scaled
.PHONY: study $(STUDY_PARTS:%=study-%)
study: build $(STUDY_PARTS:%=$(STUDY_RESULTS)/%.json)
	python3 docs/study/page.py $(STUDY_RESULTS) $(STUDY_PAGE)
$(STUDY_PARTS:%=study-%): study-%: build $(STUDY_RESULTS)/%.json
	python3 docs/study/page.py $(STUDY_RESULTS) $(STUDY_PAGE)

study/corpus/manifest.json:
	$(say) "corpus: Jane Austen's novels, cleaned and split (into study/corpus)"
	@$(NORMLAB) corpus janeausten --out study/corpus
study/char/tokens/done: study/corpus/manifest.json
	@$(NORMLAB) tokenizer train --kind char --special '<unk>' --input study/corpus/train.txt --out study/char/tokenizer
	@$(NORMLAB) prepare --tokenizer study/char/tokenizer --input study/corpus --out study/char/tokens
	@touch $@
study/bpe/tokens/done: study/corpus/manifest.json
	@$(NORMLAB) tokenizer train --input study/corpus/train.txt --vocab-size 2048 --special '<|endoftext|>' --out study/bpe/tokenizer
	@$(NORMLAB) prepare --tokenizer study/bpe/tokenizer --input study/corpus --out study/bpe/tokens
	@touch $@
study/mlm/tokens/done: study/corpus/manifest.json
	@$(NORMLAB) tokenizer train --input study/corpus/train.txt --vocab-size 288 --special '<s>' --special '<pad>' \
	  --special '</s>' --special '<mask>' --out study/mlm/tokenizer
	@$(NORMLAB) prepare --tokenizer study/mlm/tokenizer --input study/corpus --units line --out study/mlm/tokens
	@touch $@

STUDY_GAINS := 1 2 3
$(STUDY_RESULTS)/figure4.json: | study/char/tokens/done
	$(say) 'figure4: $(study_figure4) $(STUDY_SET), seeds $(STUDY_GAINS)'
	@mkdir -p $(STUDY_RESULTS) $(STUDY_WORK)
	@for seed in $(STUDY_GAINS); do run=$(STUDY_WORK)/figure4-$$seed; \
	  if [ ! -e $$run.json ]; then \
	    resume=; [ -d $$run ] && resume=--resume; \
	    timeout --foreground -s INT $(STUDY_LIMIT) $(NORMLAB) $(study_figure4) --set seed=$$seed $(STUDY_SET) --out $$run $$resume && \
	    $(NORMLAB) probe gains --model $$run --json > $$run.json.part && mv $$run.json.part $$run.json || exit 1; fi; done
	@python3 docs/study/page.py --join $(STUDY_GAINS:%=$(STUDY_WORK)/figure4-%.json) > $@.part
	@mv $@.part $@

# A comparison keeps its work and goes on with it; a probe is one piece.
.PRECIOUS: study/corpus/manifest.json study/char/tokens/done study/bpe/tokens/done study/mlm/tokens/done
$(patsubst %,$(STUDY_RESULTS)/%.json,$(filter-out figure4,$(STUDY_PARTS))): $(STUDY_RESULTS)/%.json: | study/char/tokens/done study/bpe/tokens/done study/mlm/tokens/done
	$(say) "$*: $(study_$*) $(STUDY_SET)"
	@mkdir -p $(STUDY_RESULTS) $(STUDY_WORK)
	@if [ '$(firstword $(study_$*))' = compare ]; then \
	  timeout --foreground -s INT $(STUDY_LIMIT) $(NORMLAB) $(study_$*) $(STUDY_SET) --out $(STUDY_WORK)/$* --resume && \
	  cp $(STUDY_WORK)/$*/compare.json $@.part; \
	else timeout --foreground -s INT $(STUDY_LIMIT) $(NORMLAB) $(study_$*) $(STUDY_SET) --json > $(STUDY_WORK)/$*.json && \
	  python3 docs/study/page.py --thin $(STUDY_WORK)/$*.json > $@.part; fi || \
	  { echo 'stopped after $(STUDY_LIMIT) seconds or by you; make study goes on'; exit 1; }
	@mv $@.part $@
