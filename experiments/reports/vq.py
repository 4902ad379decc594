"""What a trained VQ-VAE is used for: a discrete code of images, and the images of codes."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from matplotlib.figure import Figure

from experiments.parts import generative
from experiments.reports import vae as vae_report
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import latents
from research.families import vq_vae
from research.training import steps
from research.training.experiment import Report

DEFINITIONS = {
  "test_codes_used": "entries of the codebook that the test set uses at least once",
  "test_perplexity": "exp of the entropy of the entries' frequencies in the whole test set",
  "test_code_bits": "bits of an image's code, places of the map x log2 of config.model.vq.codes",
  "test_squared_error": "mean squared error of the reconstruction, pixels 0 to 1; test set",
}


def report(state, family: vq_vae.VQVAE, config: ml_collections.ConfigDict, test: Dataset) -> Report:
  """Use of the codebook, and reconstructions; samples take a prior over the codes (`experiments.autoregressive`)."""
  variables, count = steps.variables_of(state), config.report.samples

  def measure(variables, batch):
    codes = family.codes(variables, batch["inputs"])
    images = family.likelihood.mean(family.decode(variables, codes))
    error = jnp.square(images - batch["inputs"])
    return codes, error.reshape(len(error), -1).mean(-1)

  codes, errors = generative.over(test, measure, variables)
  counts = np.bincount(codes.ravel(), minlength=config.model.vq.codes)
  batch = vae_report.spread(test, count)
  decode = jax.jit(lambda variables, x: family.likelihood.mean(family.decode(variables, family.codes(variables, x))))
  metrics = {
    "test_codes_used": int((counts > 0).sum()),
    "test_perplexity": float(vq_vae.perplexity(jnp.asarray(counts, jnp.float32))),
    "test_code_bits": float(codes[0].size * np.log2(config.model.vq.codes)),
    "test_squared_error": errors.mean(),
  }
  pictures = {
    "reconstructions": vae_report.pairs(batch["inputs"], np.clip(decode(variables, batch["inputs"]), 0, 1)),
    "codebook": usage(counts),
  }
  return Report(metrics, pictures, DEFINITIONS)


def usage(counts: np.ndarray) -> Figure:
  """How often each entry is used, most frequent first."""
  share = np.sort(counts)[::-1] / counts.sum()
  title = f"{(counts > 0).sum()} of {len(counts)} entries used, perplexity {vq_vae.perplexity(jnp.asarray(share)):.1f}"
  return latents.bars(share, "entry, most used first", "share of the codes", title)


def predictions(
  state,
  family: vq_vae.VQVAE,
  config: ml_collections.ConfigDict,
  path: str,
  test: Examples,
  assemble: pipeline.Assemble,
) -> dict:
  """Codes, and what they decode to, of the images at `path`.

  Raises:
    UserError: no path; a VQ-VAE without a prior over its codes has nothing to sample from.
  """
  if not path:
    prior = "python -m experiments.autoregressive --config=configs/autoregressive/codes.py"
    raise UserError("--input", path, f"name images to encode: samples take a prior over the codes: {prior}")
  dataset, names = generative.inputs_at(path, test, config.report.batch_size, assemble)

  def one(variables, batch):
    codes = family.codes(variables, batch["inputs"])
    return {"codes": codes, "reconstruction": family.likelihood.mean(family.decode(variables, codes))}

  return {**generative.over(dataset, one, steps.variables_of(state)), "input": names}
