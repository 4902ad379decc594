"""Networks by names, BIF files and tables of discrete columns: what is read, what is refused, and pgmpy where it is."""

import gzip
import importlib.resources

import numpy as np
import pytest

from research.data import bayesian_network, bif, classic_networks, discrete
from research.errors import UserError

STATES = {"rain": ("yes", "no"), "sprinkler": ("on", "off"), "grass": ("wet", "damp", "dry")}
PARENTS = {"sprinkler": ("rain",), "grass": ("sprinkler", "rain")}
TABLES = {
  "rain": np.array([0.2, 0.8]),
  "sprinkler": np.array([[0.01, 0.99], [0.4, 0.6]]),
  "grass": np.arange(1, 13).reshape(2, 2, 3) / np.arange(1, 13).reshape(2, 2, 3).sum(-1, keepdims=True),
}
NETWORK = bayesian_network.of("lawn", STATES, PARENTS, TABLES)


def same(one, other):
  assert one.variables == other.variables
  assert one.parents == other.parents
  for a, b in zip(one.tables, other.tables, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("network", [NETWORK, classic_networks.load("asia"), classic_networks.load("alarm")])
def test_bif_round_trip(network, tmp_path):
  (tmp_path / "a.bif").write_text(bif.write(network))
  found = bif.read(tmp_path / "a.bif")
  same(network, found)
  assert found.name == network.name


def test_bif_as_others_write_it():
  """Comments, properties, quoted names, parents in any block order, `default`, and one `table` for all rows."""
  text = """
  // a comment
  network "my net" { property author x; }
  variable a { type discrete[2] { "not yet", <5 }; property position = (1, 2); }
  variable b { type discrete [ 3 ] { p q r }; }
  variable c { type discrete [ 2 ] { x, y }; }
  probability ( b | a, c ) { /* child outermost,
     last parent innermost */ table 0.1 0.2 0.3 0.4  0.5 0.5 0.5 0.5  0.4 0.3 0.2 0.1; }
  probability ( a ) { table 0.25, 0.75; }
  probability ( c | a ) { default 0.5, 0.5; (<5) 1e-1, .9; }
  """
  network = bif.parse(text)
  assert network.name == "my net"
  assert network.variables[0] == ("a", ("not yet", "<5"))
  assert network.parents == ((), (0, 2), (0,))
  np.testing.assert_allclose(network.tables[1][0], [[0.1, 0.5, 0.4], [0.2, 0.5, 0.3]])
  np.testing.assert_allclose(network.tables[1][1, 1], [0.4, 0.5, 0.1])
  np.testing.assert_allclose(network.tables[2], [[0.5, 0.5], [0.1, 0.9]])
  same(network, bif.parse(bif.write(network)))


@pytest.mark.parametrize(
  ("old", "new", "message"),
  [
    ("0.2, 0.8", "0.2, 0.7", r"sum of the table of rain = 0.9: its probabilities are to sum to 1"),
    ("(yes) 0.01, 0.99", "(yes) 0.01, 0.98", r"sum of the table of sprinkler given rain=yes = 0.99"),
    ("0.2, 0.8", "-0.2, 1.2", r"table of rain = -0.2: give probabilities"),
    ("0.2, 0.8", "0.2, 0.8, 0", r"numbers of rain table = 3: give 2"),
    ("0.2, 0.8", "0.2, much", r"line 13 = 'BIF': .*'much': give numbers"),
    ("(yes) 0.01", "(maybe) 0.01", r"row of sprinkler = 'maybe': rain has no such state: it has yes, no"),
    ("( rain )", "( rain | grass )", r"numbers of rain table = 2: give 6"),
    ("sprinkler | rain", "sprinkler | rian", r"lawn = 'rian': it has a table or children but no block"),
    ("[ 3 ]", "[ 4 ]", r"it says 4 states and names 3"),
    ("table 0.2, 0.8;", "", r"table of rain.*it has no row"),
    ("network lawn", "net lawn", r"line 1 = 'BIF': 'net' is none of network, variable, probability"),
  ],
)
def test_bif_says_what_is_wrong(old, new, message):
  text = bif.write(NETWORK)
  assert old in text
  with pytest.raises(UserError, match=message):
    bif.parse(text.replace(old, new, 1), "lawn")


def test_a_file_that_ends_early_or_is_none(tmp_path):
  with pytest.raises(UserError, match="the file ends within a block"):
    bif.parse(bif.write(NETWORK)[:-3])
  with pytest.raises(UserError, match="cannot be read"):
    bif.read(tmp_path / "none.bif")


def test_a_circle_is_named():
  parents = {"rain": ("grass",), "sprinkler": ("rain",), "grass": ("sprinkler",)}
  with pytest.raises(UserError, match=r"rain -> sprinkler -> grass -> rain.*go in a circle"):
    bayesian_network.of("lawn", STATES, parents, {})


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("rain", r"'rain' has no '='"),
    ("rian=yes", r"variable = 'rian': lawn|variable = 'rian': .*the nearest is rain"),
    ("rain=true", r"state of rain = 'true': there is no such state: choose one of yes, no"),
    ("rain=yes, rain=no", "rain is there twice"),
  ],
)
def test_evidence_that_cannot_be_read(text, message):
  with pytest.raises(UserError, match=message):
    NETWORK.evidence(text)


def test_evidence_and_names():
  assert NETWORK.evidence(" rain=no ,grass=dry").tolist() == [1, -1, 2]
  assert NETWORK.evidence("").tolist() == [-1, -1, -1]
  assert NETWORK.index("grass") == 2
  with pytest.raises(UserError, match="give one state or more, each once"):
    bayesian_network.of("x", {"a": ("p", "p")}, {}, {"a": np.array([0.5, 0.5])})
  with pytest.raises(UserError, match=r"shape of the table of grass = \(3,\): give \(2, 2, 3\)"):
    bayesian_network.of("lawn", STATES, PARENTS, {**TABLES, "grass": np.ones(3) / 3})


def test_samples_are_of_the_network():
  """Shares of 20,000 rows within five standard errors; a prefix of the same seed is not promised, the same call is."""
  rows = NETWORK.sample(20_000, seed=3)
  np.testing.assert_array_equal(rows, NETWORK.sample(20_000, seed=3))
  rain = (rows[:, 0] == 0).mean()
  assert abs(rain - 0.2) < 5 * np.sqrt(0.16 / 20_000)
  of = (rows[:, 0] == 1) & (rows[:, 1] == 0)
  share = np.bincount(rows[of, 2], minlength=3) / of.sum()
  assert np.abs(share - NETWORK.tables[2][0, 1]).max() < 5 * np.sqrt(0.25 / of.sum())


def test_a_csv_of_states(tmp_path):
  file = tmp_path / "lawn.csv"
  file.write_text("rain,grass,count\nyes,wet,10\n?,dry,9\nno,,2\n")
  table = discrete.read(file)
  assert table.variables == (("rain", ("no", "yes")), ("grass", ("dry", "wet")), ("count", ("2", "9", "10")))
  assert table.values.tolist() == [[1, 1, 2], [-1, 0, 1], [0, -1, 0]]
  assert not table.complete
  file.write_text("grass,rain\nwet,yes\ndry,NA\n")
  of_network = discrete.read(file, NETWORK.variables)
  assert of_network.values.tolist() == [[0, -1, 0], [-1, -1, 2]], "columns by name; sprinkler is hidden"


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("rain\n", "no rows below the line of names"),
    ("rain,rain\nyes,no\n", "name every column once"),
    ("rain,grass\nyes\n", "line 2: cells = 1: the first line has 2 cells"),
    ("rain,grass\nyes,moist\n", "line 2, column grass = 'moist': there is no such state: it has wet, damp, dry"),
    ("rain,gras\nyes,wet\n", "variable = 'gras': .*the nearest is grass"),
  ],
)
def test_a_csv_that_cannot_be_read(text, message, tmp_path):
  (tmp_path / "a.csv").write_text(text)
  with pytest.raises(UserError, match=message):
    discrete.read(tmp_path / "a.csv", NETWORK.variables)


def test_cells_are_hidden_and_rows_held_out():
  table = discrete.DiscreteTable("lawn", NETWORK.sample(1000, 0), NETWORK.variables)
  hidden = table.without(["grass"], 0.25, seed=0)
  assert (hidden.values[:, 2] == -1).all()
  assert 0.2 < (hidden.values[:, :2] == -1).mean() < 0.3
  seen = hidden.values >= 0
  np.testing.assert_array_equal(hidden.values[seen], table.values[seen])
  parts = table.split()
  assert (len(parts["train"]), len(parts["test"])) == (800, 200)
  with pytest.raises(UserError, match=r"config.data.missing = 1.0"):
    table.without([], 1.0, 0)
  with pytest.raises(UserError, match="the nearest is grass"):
    table.without(["gras"], 0.0, 0)
  with pytest.raises(UserError, match="rows = 3: give five"):
    table.select(slice(3)).split()


def test_alarm_is_the_size_that_was_published():
  """Beinlich et al. 1989: 37 variables and 46 arrows; the repository counts 509 free parameters."""
  alarm = classic_networks.load("alarm")
  free = sum(table.size - table.size // table.shape[-1] for table in alarm.tables)
  assert (len(alarm.variables), sum(map(len, alarm.parents)), free) == (37, 46, 509)
  with pytest.raises(UserError, match="choose asia or alarm"):
    classic_networks.load("alram")


@pytest.mark.parametrize("name", classic_networks.NAMES)
def test_tables_are_those_that_pgmpy_has(name):
  """Of its own copy, where it is installed: to the seven digits that the file has."""
  pytest.importorskip("pgmpy")
  file = importlib.resources.files("pgmpy") / "utils" / "example_models" / f"{name}.bif.gz"
  peer, ours = bif.parse(gzip.decompress(file.read_bytes()).decode()), classic_networks.load(name)
  for node, variable in enumerate(ours.variables):
    other = peer.index(variable.name)
    assert peer.variables[other] == variable
    given = [peer.index(ours.names[p]) for p in ours.parents[node]]
    assert sorted(given) == sorted(peer.parents[other])
    table = peer.tables[other].transpose([*(peer.parents[other].index(p) for p in given), -1])
    np.testing.assert_allclose(ours.tables[node], table, atol=1e-7)
