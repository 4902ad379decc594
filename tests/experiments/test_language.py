"""Language models and classifiers of texts, as they are used: on one's own files, and from a prompt."""

import jax
import numpy as np
import pytest

from experiments import lstm, open_run, transformer
from experiments.command import cli, session
from research.errors import UserError
from research.text import tokenizers
from research.training import warm
from tests import mock_data


def built(experiment, spec, **fields):
  found = experiment.experiment(cli.load_config(f"configs/{spec}.py:smoke", fields))
  data = found.train_data
  init = jax.jit(lambda key, resident, fed: found.learner.init(key, data.assemble(resident, fed)))
  return found, init(jax.random.key(0), dict(data.resident), data.feed(0))


@pytest.fixture
def text(tmp_path):
  (tmp_path / "own.txt").write_text("one two three\nfour, five\n" * 400)
  return str(tmp_path / "own.txt")


@pytest.mark.parametrize(("experiment", "spec"), [(lstm, "lstm/pydoc"), (transformer, "transformer/pydoc")])
def test_a_model_of_ones_own_text_goes_on_from_a_prompt_or_a_file(experiment, spec, text, tmp_path):
  found, state = built(experiment, spec, **{"data.path": text, "report.top_k": "3"})
  (tmp_path / "prompt.txt").write_text("two")
  by_words, by_file = found.predict(state, "two"), found.predict(state, str(tmp_path / "prompt.txt"))
  assert by_words["tokens"].shape == by_words["log_probabilities"].shape == (2, 8)
  np.testing.assert_array_equal(by_words["tokens"], by_file["tokens"])
  written = by_words["continuations.txt"].decode()
  assert written.startswith("two")
  assert set(written) <= set("one two three\nfour, five\n-")
  with pytest.raises(UserError, match="leave them out"):
    found.predict(state, "ZZ")
  files = found.report(state).files
  assert tokenizers.loads(files["tokenizer.json"].decode()).alphabet == "".join(
    sorted(set("one two three\nfour, five"))
  )


def test_words_and_byte_pairs_take_the_same_command(text):
  found, _ = built(transformer, "transformer/pydoc", **{"data.path": text, "data.tokens": "words"})
  assert set(np.unique(found.train_data.resident["tokens"])) <= set(range(8))
  with pytest.raises(UserError, match="256"):
    built(transformer, "transformer/pydoc", **{"data.path": text, "data.tokens": "bpe"})


def test_a_classifier_of_texts_reads_lines(tmp_path, capsys):
  folder = mock_data.write_raw(tmp_path, "sst2") + "/sst2"
  found, state = built(transformer, "transformer/sst2", **{"data.path": folder, "data.validation": "0.2"})
  (tmp_path / "reviews.txt").write_text("a fine film\n\na dull film\n")
  predicted = found.predict(state, str(tmp_path / "reviews.txt"))
  assert predicted["input"].tolist() == ["a fine film", "a dull film"]
  np.testing.assert_allclose(predicted["probabilities"].sum(1), 1, rtol=1e-5)
  assert "a fine film" in capsys.readouterr().out
  with pytest.raises(UserError, match="one a line"):
    found.predict(state, "")


def test_heads_that_do_not_divide_the_features_are_refused():
  with pytest.raises(UserError, match="must divide"):
    built(transformer, "transformer/pydoc", **{"model.heads": "3"})


GPU = ((lstm, "lstm/shakespeare", 5_000_000), (transformer, "transformer/shakespeare", 5_000_000))
GPU += ((transformer, "transformer/multi30k", 4_000_000),)


@pytest.mark.parametrize(("experiment", "spec", "parameters"), GPU)
def test_the_variant_for_a_gpu_can_be_trained(experiment, spec, parameters, tmp_path):
  """Its update, traced: shapes fit, and its optimizer knows its parameters."""
  name = {"shakespeare": "tinyshakespeare"}.get(spec.partition("/")[2], spec.partition("/")[2])
  fields = {"data.path": f"{mock_data.write_raw(tmp_path, name)}/{name}", "optimizer.warmup": "2 steps"}  # a short text
  found = experiment.experiment(cli.load_config(f"configs/{spec}.py:gpu", fields))
  data = found.train_data
  batch = jax.eval_shape(data.assemble, dict(data.resident), data.feed(0))
  state = jax.eval_shape(found.learner.init, jax.random.key(0), batch)
  after, _ = jax.eval_shape(found.learner.update, state, batch)
  assert jax.tree.map(lambda x: x.shape, after.params) == jax.tree.map(lambda x: x.shape, state.params)
  assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) > parameters


def test_a_classifier_begins_with_a_pretrained_encoder_and_its_tokenizer(tmp_path):
  sentences = [f"{word} film {number}" for number in range(40) for word in ("fine", "dull")]
  (tmp_path / "own.txt").write_text("\n".join(sentences * 20))
  rows = "\n".join(f"{text}\t{text.split()[0]}" for text in sentences)
  (tmp_path / "own.tsv").write_text(f"text\tlabel\n{rows}\n")
  masked = str(tmp_path / "masked")
  text = {"data.path": str(tmp_path / "own.txt"), "data.validation": "0.1"}
  spec, fields = "configs/transformer/masked.py:smoke", {**text, "run.num_devices": "1"}
  config = cli.load_config(spec, fields)
  assert session.run(transformer.experiment, "transformer", spec, config, masked, "train", "") == 0
  fields = {"data.name": "own", "data.path": str(tmp_path / "own.tsv"), "data.tokens": "init_from"}
  with pytest.raises(UserError, match="name the run"):
    built(transformer, "transformer/sst2", **fields)
  found, state = built(transformer, "transformer/sst2", **fields, **{"init_from": masked, "model.depth": "1"})
  state, told = warm.begin(state, masked, "params/encoder")
  assert told["arrays"] > 5
  jax.tree.map(np.testing.assert_array_equal, state.params["encoder"], open_run(masked).state.params["encoder"])
  (tmp_path / "new.txt").write_text("fine film 1\ndull film 2\n")
  assert found.predict(state, str(tmp_path / "new.txt"))["input"].tolist() == ["fine film 1", "dull film 2"]
