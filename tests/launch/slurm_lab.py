"""A Slurm of two nodes on this machine alone: its own key, configuration and folder, every port on loopback.

Two settings are not obvious.  JAX takes the first node's *name* as the coordinator's host, so the names must resolve:
127.0.0.1 and 127.0.0.2 do, without an entry in /etc/hosts, where Slurm would turn `localhost` into the host's own name.
And two slurmd on one host need a port and a spool folder each.
"""

import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")
NODES = ("127.0.0.1", "127.0.0.2")
CONFIG = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=200000,batch_sched_delay=0
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
KillWait=15
MessageTimeout=20
JobRequeue=1
RebootProgram=/bin/true
SlurmdParameters=config_overrides
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=60 State=UP
"""


def missing() -> str:
  """Why there can be no Slurm here; empty where there can."""
  path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
  absent = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
  if absent:
    return f"Slurm is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge"
  return "" if os.geteuid() == 0 else "Slurm's daemons want to be root here"


class Lab:
  """The cluster, in an empty folder with a short path (a socket's may have 107 letters)."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}

  def start(self) -> None:
    """Munge, the controller, two nodes; both are idle when this returns."""
    folder = self.folder
    for name in ("state", *(f"spool/{node}" for node in NODES)):
      (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge.key").chmod(0o400)
    ports = free_ports(1 + len(NODES))
    host = socket.gethostname().partition(".")[0]
    line = "NodeName={} NodeAddr=127.0.0.1 NodeHostname={} Port={} CPUs=2 RealMemory=1000 State=UNKNOWN"
    nodes = "\n".join(line.format(node, host, port) for node, port in zip(NODES, ports[1:]))
    text = CONFIG.format(host=host, port=ports[0], folder=folder, nodes=nodes, names=",".join(NODES))
    (folder / "slurm.conf").write_text(text)
    files = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munge.seed"}
    self.run("munged", "--force", f"--key-file={folder}/munge.key", *(f"--{k}={folder}/{v}" for k, v in files.items()))
    self.run("slurmctld")
    for node in NODES:
      self.run("slurmd", "-N", node)
    self.until(lambda: self.run("sinfo", "--noheader", "--Node", "--format=%T").split() == ["idle"] * len(NODES), 60)

  def stop(self) -> None:
    """Ends what still runs in jobs, then the daemons that `start` started, by their process ids."""
    subprocess.run(["scancel", "--user=root"], env=self.environment, capture_output=True, check=False)
    self.until(lambda: not self.run("squeue", "--noheader", "--states=running,completing"), 60)
    for name in (*(f"slurmd.{node}.pid" for node in NODES), "slurmctld.pid", "munged.pid"):
      file = self.folder / name
      if file.exists():
        os.kill(int(file.read_text()), signal.SIGKILL)  # what they would save in their last seconds nobody reads

  def run(self, *words: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout.strip()

  def state(self, job: str) -> str:
    """`RUNNING`, `PENDING`, `COMPLETED`, ... of a job."""
    text = self.run("scontrol", "show", "job", job)
    return text.partition("JobState=")[2].partition(" ")[0]

  def restart_now(self, job: str) -> None:
    """Slurm holds a requeued job back for about two minutes."""
    # That has its reason: a node refuses a job that begins in the second in which it saw it end ("already killed").
    time.sleep(2)
    self.run("scontrol", "update", f"jobid={job}", "StartTime=now")

  def until(self, condition, seconds: float) -> None:
    """Waits for it."""
    deadline = time.time() + seconds
    while not condition():
      assert time.time() < deadline, self.logs()
      time.sleep(0.1)

  def logs(self) -> str:
    """The ends of the daemons' logs, for a test that failed."""
    return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log")))


def free_ports(count: int) -> list[int]:
  """Ports that nobody listens on."""
  sockets = [socket.socket() for _ in range(count)]
  for one in sockets:
    one.bind(("127.0.0.1", 0))
  ports = [one.getsockname()[1] for one in sockets]
  for one in sockets:
    one.close()
  return ports
