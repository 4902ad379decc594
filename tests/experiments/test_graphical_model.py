"""Bayesian networks of tables and their uses; what is refused; noisy images that become clean."""

import numpy as np
import pytest

from experiments import graphical_model
from experiments.command import cli
from experiments.parts import denoising
from research.data import bif, classic_networks, discrete
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor
from research.training.precision import precision

ASIA = classic_networks.load("asia")


def trained(config, steps):
  """The experiment and its state after so many updates."""
  experiment = graphical_model.experiment(config)
  executor = Executor(experiment, parallel.plan("jit", 1), config.seed)
  state = executor.init_state()
  for _, _, feed, count in executor.feeds(experiment.train_data, [(step, 1) for step in range(steps)], 1):
    state, _ = executor.update(state, feed, count)
  return experiment, executor, state


def config_of(name, **changes):
  return cli.load_config(f"configs/graphical_model/{name}.py", {"run.num_devices": "1", **changes})


@pytest.fixture
def files(tmp_path):
  """500 patients of asia in a CSV without the column `either`, some cells empty, and the network's file."""
  table = discrete.DiscreteTable("asia", ASIA.sample(500, 0), ASIA.variables).without([], 0.1, 0)
  kept = [i for i, name in enumerate(ASIA.names) if name != "either"]
  lines = [",".join(ASIA.names[i] for i in kept)]
  lines += [",".join("" if row[i] < 0 else ASIA.variables[i].states[row[i]] for i in kept) for row in table.values]
  (tmp_path / "asia.csv").write_text("\n".join(lines) + "\n")
  (tmp_path / "asia.bif").write_text(bif.write(ASIA))
  return tmp_path


def test_one_s_own_table_and_network(files, capsys):
  """Trained on the CSV, `either` hidden; asked by evidence and by rows; drawn from; its file is read again."""
  flags = {"data.name": "table", "data.path": str(files / "asia.csv"), "data.network": str(files / "asia.bif")}
  with precision("float64"):
    experiment, executor, state = trained(config_of("asia", **flags), 3)
    assert np.isfinite(executor.evaluate(state, experiment.test_data)["nll"])
    found = experiment.predict(state, "smoke=yes, xray=yes")
    assert found["probabilities"].shape == (1, 8, 2)
    np.testing.assert_allclose(found["probabilities"].sum(-1), 1)
    assert found["most_probable"][0, ASIA.index("smoke")] == "yes"
    assert "smoke: yes 1.0000, no 0.0000" in capsys.readouterr().out
    (files / "rows.csv").write_text("smoke,lung\nno,?\n,yes\n")
    rows = experiment.predict(state, str(files / "rows.csv"))
    assert rows["probabilities"].shape == (2, 8, 2)
    assert rows["probabilities"][1, ASIA.index("lung"), 0] == pytest.approx(1, abs=1e-12)
    drawn = experiment.sample(state)
    assert drawn["samples"].shape == (8, 8)
    report = experiment.report(state)
    again = bif.parse(report.files["network.bif"].decode())
    assert (again.names, again.parents) == (ASIA.names, ASIA.parents)
    (files / "samples.csv").write_bytes(drawn["samples.csv"])
    np.testing.assert_array_equal(discrete.read(files / "samples.csv", again.variables).values, drawn["samples"])


def test_query_has_the_marginals_of_pgmpy():
  """To 1e-10, as measured once and written into the config; by the real command they are its bars."""
  config = cli.load_config("configs/graphical_model/asia.py:query", {"run.num_devices": "1", "data.rows": "8"})
  with precision("float64"):
    experiment, _, state = trained(config, 1)
    metrics = experiment.report(state).metrics
  assert config.bars
  for name, bar in config.bars.items():
    assert bar["min"] <= metrics[name] <= bar["max"]
  assert metrics["marginal_error"] == 0


@pytest.mark.parametrize("name", classic_networks.NAMES)
def test_marginals_are_pgmpy_s(name):
  """Where it is installed: of all variables, given nothing and given states of a drawn row, to 1e-10."""
  pytest.importorskip("pgmpy")
  import jax
  from pgmpy.inference import VariableElimination
  from pgmpy.readwrite import BIFReader

  from research.families.graphical_model import learning

  network = classic_networks.load(name)
  peer = VariableElimination(BIFReader(string=bif.write(network)).get_model())
  with precision("float64"):
    family = learning.bayesian_network(network.cards, network.parents, given=network.tables)
    params, marginals = family.init(jax.random.key(0), None), jax.jit(family.marginals)
    for known in (0, 4):
      states = np.full(len(network.cards), -1)
      states[:known] = network.sample(1, seed=2)[0, :known]
      evidence = {n: v.states[s] for n, v, s in zip(network.names, network.variables, states) if s >= 0}
      found = np.asarray(marginals(params, states).variables)
      for i, variable in enumerate(network.variables[known:], known):
        theirs = peer.query([variable.name], evidence=evidence, show_progress=False)
        expected = [theirs.get_value(**{variable.name: state}) for state in variable.states]
        np.testing.assert_allclose(found[i, : len(expected)], expected, atol=1e-10)


def test_a_tree_around_the_class_reads_digits():
  """Its accuracy by exact inference, on few images, is that of the largest joint probability with each class."""
  with precision("float64"):
    config = config_of("digits_tree", **{"report.samples": "2"})
    experiment, _, state = trained(config, 1)
    use = experiment.report.__self__
    values = use.parts.test.values
    joint = np.zeros((len(values), 10))
    for digit in range(10):
      rows = np.concatenate([values[:, :64], np.full((len(values), 1), digit)], 1)
      for table, scope in zip(state.params, use.family.plan.scopes):
        joint[:, digit] += np.asarray(table)[tuple(rows[:, v] for v in scope)]
    accuracy = (joint.argmax(1) == values[:, 64]).mean()
  assert accuracy > 0.9
  assert len(use.parents[0]) == 1
  assert all(each[0] == 64 for each in use.parents[:64])


@pytest.mark.parametrize("method", ["mean_field", "belief_propagation", "gibbs"])
def test_noise_goes_away(method):
  config = cli.load_config(f"configs/graphical_model/ising.py{'' if 'prop' in method else ':' + method}")
  with config.unlocked():
    config.data.update({"images": 4})
    config.run.num_devices = 1
  experiment, executor, state = trained(config, 30)
  found = executor.evaluate(state, experiment.test_data)
  assert 0.08 < found["noisy_error"] < 0.12
  assert found["error"] < 0.4 * found["noisy_error"]


@pytest.mark.parametrize(
  ("name", "changes", "message"),
  [
    ("asia", {"data.name": "table", "data.path": "{csv}"}, "comes without arrows: give config.data.network"),
    ("asia", {"data.name": "asai"}, "choose asia or alarm"),
    ("asia", {"data.path": "x.bif"}, "config.data.path = 'x.bif': there is no such file"),
    ("asia", {"data.network": "x.bif"}, "it is of a table of one's own"),
    ("asia", {"data.hidden": "brnoc"}, "variable = 'brnoc': .*the nearest is bronc"),
    ("asia", {"data.missing": "1.5"}, "config.data.missing = 1.5: give the share"),
    ("asia", {"data.rows": "2"}, "config.data.rows = 2: give four at least"),
    ("asia", {"model.structure": "tree"}, "choose given, chow_liu or tan"),
    ("asia", {"model.structure": "tan", "model.label": "sick"}, "variable = 'sick': config.model.label has no such"),
    ("asia", {"report.evidence": "rain=yes"}, "variable = 'rain': config.report.evidence has no such"),
    ("asia", {"report.query": "rain"}, "variable = 'rain': config.report.query has no such"),
    ("asia", {"train.learning": "gradient"}, "choose em or none"),
    ("asia", {"train.learning": "none", "model.structure": "chow_liu"}, "there are no tables to keep"),
    ("asia", {"train.precision": "bfloat16"}, "choose float32 or float64"),
    ("ising", {"data.noise": "0.5"}, "config.data.noise = 0.5: give the share"),
    ("ising", {"data.images": "0"}, "config.data.images = 0: give 1 or more"),
    ("ising", {"model.belief_propagation.damping": "1.0"}, "damping = 1.0: give a share"),
  ],
)
def test_refuses(name, changes, message, files):
  changes = {field: text.format(csv=files / "asia.csv") for field, text in changes.items()}
  with pytest.raises(UserError, match=message):
    graphical_model.experiment(config_of(name, **changes))


def test_evidence_that_cannot_be():
  config = cli.load_config("configs/graphical_model/asia.py:query", {"run.num_devices": "1", "data.rows": "8"})
  with precision("float64"):
    experiment, _, state = trained(config, 1)
    with pytest.raises(UserError, match=r"tub=yes, either=no.*gives it probability 0"):
      experiment.predict(state, "tub=yes, either=no")
    with pytest.raises(UserError, match="choose one of yes, no"):
      experiment.predict(state, "tub=maybe")
    with pytest.raises(UserError, match="--input"):
      experiment.predict(state, "")


def test_rows_of_images_keep_their_places():
  config = cli.load_config("configs/graphical_model/ising.py:smoke", {"run.num_devices": "1"})
  arrays = {"row": np.arange(3), "noisy": np.zeros((3, 4))}
  data = denoising.every_row(arrays, 4)
  np.testing.assert_array_equal(data.feed(7)["index"], [0, 1, 2, 0])
  np.testing.assert_array_equal(data.feed(7)["mask"], [1, 1, 1, 0])
  clean, noisy = denoising.images(config)
  assert clean.shape == noisy.shape == (4, 8, 8)
