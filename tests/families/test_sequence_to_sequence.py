"""Translation: neither padding nor what a pair is packed with changes it; BLEU against its formula; own files."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sacrebleu

from experiments import lstm, transformer
from experiments.command import cli
from research.data import pairs
from research.errors import UserError
from research.evaluation import translation
from research.families import sequence_to_sequence as family_lib
from research.generation.beam import beam_search
from research.networks.attention import Style
from research.networks.recurrent import Recurrent
from research.networks.transformer import EncoderDecoder
from research.networks.translation import RecurrentTranslator
from research.text import parallel, tokenizers
from tests import mock_data

VOCABULARY = 11


def sequences(lengths, seed):
  rng = np.random.default_rng(seed)
  return [rng.integers(parallel.SPECIAL, VOCABULARY, length).astype(np.int32) for length in lengths]


SOURCE, TARGET = sequences((3, 5, 2, 4), 0), sequences((4, 2, 5, 3), 1)
RECURRENT = RecurrentTranslator(VOCABULARY, Recurrent(8, bidirectional=True), Recurrent(8), 6)
TRANSFORMER = EncoderDecoder(Style(features=8, heads=2, positions="sinusoidal"), VOCABULARY, (1, 1))
PLACES = {RECURRENT: lambda batch: (batch["source_segment"],), TRANSFORMER: transformer.places}


def batch_of(data, step=0):
  return data.assemble(dict(data.resident), data.feed(step))


@pytest.fixture(scope="module", params=[RECURRENT, TRANSFORMER], ids=["recurrent", "transformer"])
def fitted(request):
  family = family_lib.translator(request.param, PLACES[request.param])
  batch = batch_of(pairs.padded(SOURCE, TARGET, parallel.BEGIN, 4, seed=None))
  return family, jax.jit(family.init)(jax.random.key(0), batch)


def test_packs_hold_every_pair_once():
  data = pairs.packed(SOURCE, TARGET, parallel.BEGIN, 8, 2, seed=0)
  seen = collections.Counter()
  for step in range(data.num_batches):
    batch = jax.device_get(batch_of(data, step))
    for row in range(2):
      for segment in range(1, batch["segment"][row].max() + 1):
        place, inside = batch["source_segment"][row] == segment, batch["segment"][row] == segment
        source, target = batch["source"][row][place], batch["targets"][row][inside]
        np.testing.assert_array_equal(batch["inputs"][row][inside], [parallel.BEGIN, *target[:-1]])
        np.testing.assert_array_equal(batch["position"][row][inside], np.arange(len(target)))
        seen[source.tobytes(), target.tobytes()] += 1
  expected = {(a.tobytes(), b.tobytes()) for a, b in zip(SOURCE, TARGET)}
  assert expected <= seen.keys()
  assert data.per_step["tokens"] == 14 * 2 / data.num_examples


def test_a_pack_loses_what_its_pairs_do():
  family = family_lib.translator(TRANSFORMER, transformer.places)
  alone = pairs.padded(SOURCE, TARGET, parallel.BEGIN, 4, seed=None)
  packed = pairs.packed(SOURCE, TARGET, parallel.BEGIN, 16, 1, seed=None)
  assert packed.num_examples == 1
  variables = jax.jit(family.init)(jax.random.key(0), batch_of(alone))
  evaluate = jax.jit(family.evaluate)
  one, other = (evaluate(variables, batch_of(data))["loss"] for data in (alone, packed))
  assert one.count == other.count == 14
  np.testing.assert_allclose(one.total, other.total, rtol=1e-5)


def test_padding_never_changes_a_translation(fitted):
  family, variables = fitted

  def search(source):
    carry = family.model.init_carry(variables, 1, 6, (source, (source > 0).astype(jnp.int32)))
    first = jnp.full(1, parallel.BEGIN)
    return beam_search(lambda c, t: family.model.step(variables, c, t), carry, first, 6, beams=3, stop=parallel.END)

  search = jax.jit(search)
  for source in SOURCE[:2]:
    one, other = search(source[None]), search(np.pad(source, (0, 4))[None])
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)


def test_steps_give_the_logits_of_the_full_pass(fitted):
  family, variables = fitted
  network = RECURRENT if "keys" in variables["params"] else TRANSFORMER
  batch = batch_of(pairs.padded(SOURCE, TARGET, parallel.BEGIN, 4, seed=None))
  full = jax.jit(lambda v: network.apply(v, batch["source"], batch["inputs"], False, *PLACES[network](batch)))(
    variables
  )

  @jax.jit
  def stepped(v):
    carry = family.model.init_carry(v, 4, 5, (batch["source"], batch["source_segment"]))
    step = lambda carry, token: family.model.step(v, carry, token)
    return jax.lax.scan(step, carry, batch["inputs"].T)[1].swapaxes(0, 1)

  real = batch["mask"] > 0
  np.testing.assert_allclose(stepped(variables)[real], full[real], atol=1e-4)


def test_bleu_is_its_formula_and_sacrebleu_s():
  translations, references = ["a man in a red hat sits", "a dog runs ."], ["a man in a red hat sat .", "the dog runs ."]

  def grams(words, n):
    return collections.Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

  logs = []
  for n in (1, 2, 3, 4):
    hits = total = 0
    for one, other in zip(translations, references):
      a, b = grams(one.split(), n), grams(other.split(), n)
      hits, total = hits + sum((a & b).values()), total + sum(a.values())
    logs.append(math.log(hits / total))
  shorter = min(0, 1 - sum(len(r.split()) for r in references) / sum(len(t.split()) for t in translations))
  found = translation.bleu(translations, references)
  assert found.tokenised == pytest.approx(100 * math.exp(sum(logs) / 4 + shorter))
  assert found.score == sacrebleu.corpus_bleu(translations, [references]).score
  assert "tok:13a" in found.signature
  assert "tok:none" in found.tokenised_signature


def test_text_returns_and_stops_at_the_end():
  tokenizer = tokenizers.Words.learned("ein mann rennt")
  (tokens,) = parallel.encoded(["ein mann rennt"], tokenizer, 9)
  assert tokens[-1] == parallel.END
  assert parallel.decoded(np.concatenate([tokens, tokens]), tokenizer) == "ein mann rennt"
  assert len(parallel.encoded(["ein mann rennt"], tokenizer, 3)[0]) == 3


def built(experiment, spec, **fields):
  made = experiment.experiment(cli.load_config(f"configs/{spec}.py:smoke", fields))
  data = made.train_data
  init = jax.jit(lambda key, resident, fed: made.learner.init(key, data.assemble(resident, fed)))
  return made, init(jax.random.key(0), dict(data.resident), data.feed(0))


def test_pairs_of_ones_own_are_translated_line_by_line(tmp_path, capsys):
  rows = [f"satz {i}\tsentence {i}" for i in range(40)]
  (tmp_path / "own.tsv").write_text("\n".join(rows) + "\n")
  for side, language in enumerate(("de", "en")):
    (tmp_path / f"own.{language}").write_text("".join(row.split("\t")[side] + "\n" for row in rows))
  by_table = parallel.load("own", "train", str(tmp_path / "own.tsv"))
  path = f"{tmp_path}/own.de,{tmp_path}/own.en"
  by_files = parallel.load("own", "train", path)
  assert by_table[1:] == by_files[1:]
  assert len(by_table.source) == 34
  parts = [set(parallel.load("own", part, path).source) for part in ("train", "validation", "test")]
  assert len(set.union(*parts)) == sum(map(len, parts)) == 40
  fields = {"data.name": "own", "data.path": path, "data.tokens": "words"}
  made, state = built(lstm, "lstm/multi30k", **fields)
  (tmp_path / "ask.txt").write_text("satz 3\n\nsatz 4\n")
  found = made.predict(state, str(tmp_path / "ask.txt"))
  assert found["input"].tolist() == ["satz 3", "satz 4"]
  assert capsys.readouterr().out.count("\n") >= 2
  with pytest.raises(UserError, match="one a line"):
    made.predict(state, "")


def test_bad_pairs_are_refused(tmp_path):
  load = lambda path: parallel.load("own", "train", str(path))
  for name, text, message in (
    ("a.tsv", "one\n" * 30, "by one tab"),
    ("b.tsv", "one\ttwo\n" * 3, "20 or more"),
    ("c.tsv", "one\ttwo\n\ttwo\n", "it is empty"),
    ("d.txt", "one\n" * 30, r"a \.tsv"),
  ):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
      load(tmp_path / name)
  (tmp_path / "e.txt").write_text("one\n" * 29)
  with pytest.raises(UserError, match="line i of one file"):
    load(f"{tmp_path}/d.txt,{tmp_path}/e.txt")
  with pytest.raises(UserError, match="no such file"):
    load(tmp_path / "none.tsv")
  folder = mock_data.write_raw(tmp_path, "multi30k") + "/multi30k"
  with pytest.raises(UserError, match=r"config\.data\.budget"):
    built(transformer, "transformer/multi30k", **{"data.path": folder, "data.budget": "4"})
