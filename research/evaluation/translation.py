"""Translations scored beside their references: BLEU (Papineni et al. 2002) by sacreBLEU (Post 2018)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from research.errors import UserError


class Bleu(NamedTuple):
  """Scores from 0 to 100, each with what sacreBLEU calls its signature: what was done to the text.

  Attributes:
    score: of texts that sacreBLEU tokenises (13a).
    signature: of that.
    tokenised: of the words between spaces, as they stand.
    tokenised_signature: of that.
  """

  score: float
  signature: str
  tokenised: float
  tokenised_signature: str


def bleu(translations: Sequence[str], references: Sequence[str]) -> Bleu:
  """BLEU of a whole set, one reference each.

  Raises:
    UserError: sacreBLEU is not installed.
  """
  library = require()
  scores = []
  for tokenize in ("13a", "none"):
    metric = library.BLEU(tokenize=tokenize)
    scores += [metric.corpus_score(list(translations), [list(references)]).score, str(metric.get_signature())]
  return Bleu(*scores)


def require() -> Any:
  """sacreBLEU's metrics, imported where they are needed: they take a second."""
  try:
    import sacrebleu.metrics
  except ImportError as error:
    remedy = "translations are scored by sacrebleu: pip install 'genera[text]'."
    raise UserError("config.task", "translation", remedy) from error
  return sacrebleu.metrics
