"""The manifest of one run: a JobSet, whose jobs are slices and whose pods are machines.

What happens when a pod ends is said twice, because a Job and a JobSet decide one after the other.  Exit codes that
would come again (2 bad input, 3 non-finite numbers) fail the Job by its pod failure policy, and that reason fails the
JobSet.  Every other end of a pod, exit code 75 and a lost node among them, fails the Job for its backoff limit of 0,
and the JobSet starts all pods anew, which resume from the newest checkpoint.
"""

import dataclasses
import re
from typing import Any

from experiments.command import cli, session
from launch.command import Run
from launch.tpu.slices import Slice
from research.errors import UserError
from research.training import job as job_lib

MOUNT = "/workdir"  # of the volume that outlives the pods
JOB = "workers"
CONTAINER = "main"
COORDINATOR_PORT = 8476
TPU_PORT = 8471  # by which the machines of a slice talk to each other
MAX_NAME = 40  # a pod's name, <name>-workers-<slice>-<host>-<five letters>, must fit in 63


@dataclasses.dataclass(frozen=True)
class Resources:
  """What a run asks of the cluster.

  Attributes:
    tpu: generation and shape of a slice; None for GPUs or CPUs.
    slices: of TPUs, joined over the data-centre network.
    chips_per_host: of the TPU node pool's machine type.
    gpu: label of the GPU, `nvidia-h100-80gb`; empty for none.
    gpus: on each node.
    nodes: of GPUs or CPUs, a pod on each.
    claim: the persistent volume claim that holds the workdir, mounted by all pods; else `bucket`.
    bucket: a Cloud Storage bucket that does, by GKE's FUSE driver.
    spot: run on spot nodes.
    grace: seconds between SIGTERM and SIGKILL.
    max_restarts: after which the JobSet fails; preemptions count.
    service_account: of Kubernetes; a bucket needs one with rights to it.
    limits: further limits of a pod, `{"memory": "64Gi"}`.
  """

  tpu: Slice | None = None
  slices: int = 1
  chips_per_host: int = 4
  gpu: str = ""
  gpus: int = 0
  nodes: int = 1
  claim: str = ""
  bucket: str = ""
  spot: bool = False
  grace: int = 120
  max_restarts: int = 100
  service_account: str = ""
  limits: dict[str, str] = dataclasses.field(default_factory=dict)

  @property
  def hosts(self) -> int:
    """Pods of one slice.

    Raises:
      UserError: the machines do not divide the slice.
    """
    if self.tpu is None:
      return self.nodes
    chips = min(self.chips_per_host, self.tpu.chips)
    if self.tpu.chips % chips:
      raise UserError("--chips-per-host", self.chips_per_host, f"it must divide the slice's {self.tpu.chips} chips.")
    return self.tpu.chips // chips


def render(run: Run, resources: Resources, image: str, name: str) -> dict[str, Any]:
  """The JobSet, as the API has it.

  Args:
    run: its workdir below `MOUNT`.
    resources: asked for.
    image: built from a Dockerfile in `launch/docker`.
    name: of the JobSet.

  Raises:
    UserError: a name that Kubernetes would refuse, a workdir that would die with the pods, no volume.
  """
  if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) or len(name) > MAX_NAME:
    raise UserError("--name", name, f"use small letters, digits and dashes, at most {MAX_NAME}, a letter first.")
  if not f"{run.workdir}/".startswith(f"{MOUNT}/"):
    raise UserError("--workdir", run.workdir, f"it must lie in {MOUNT}, where the volume is mounted.")
  if bool(resources.claim) == bool(resources.bucket):
    raise UserError("--claim", resources.claim, "name a persistent volume claim, or a --bucket, to hold the workdir.")
  several_slices = resources.tpu is not None and resources.slices > 1
  # A slice's chips are wired to each other within one node pool.
  annotations = {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"}
  hosts = resources.hosts
  job = {
    "parallelism": hosts,
    "completions": hosts,
    "completionMode": "Indexed",
    "backoffLimit": 0,
    "podFailurePolicy": {"rules": [_rule(cli.EXIT_USER_ERROR, session.EXIT_NON_FINITE)]},
    "template": _pod(run, resources, image, name),
  }
  return {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {"name": name, **({"annotations": annotations} if several_slices else {})},
    "spec": {
      "network": {"enableDNSHostnames": True},
      "failurePolicy": {
        "maxRestarts": resources.max_restarts,
        "rules": [{"name": "wouldFailAgain", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
      },
      "replicatedJobs": [{"name": JOB, "replicas": resources.slices, "template": {"spec": job}}],
    },
  }


def _rule(*codes: int) -> dict[str, Any]:
  exits = {"containerName": CONTAINER, "operator": "In", "values": sorted(codes)}
  return {"action": "FailJob", "onExitCodes": exits}


def _pod(run: Run, resources: Resources, image: str, name: str) -> dict[str, Any]:
  volume = {"name": "workdir", **_volume(resources)}
  container = {
    "name": CONTAINER,
    "image": image,
    # Arguments, not a command: the image's entry point passes signals on, which process 1 by itself would not get
    # before the run has asked for them.
    "args": run.argv(),
    "volumeMounts": [{"name": volume["name"], "mountPath": MOUNT}],
  }
  if environment := _environment(resources, name):
    container["env"] = environment
  if limits := _limits(resources):
    container["resources"] = {"limits": limits}
  if resources.tpu:
    container["ports"] = [{"containerPort": TPU_PORT}]
  spec = {
    "restartPolicy": "Never",
    "terminationGracePeriodSeconds": resources.grace,
    "containers": [container],
    "volumes": [volume],
  }
  if selector := _selector(resources):
    spec["nodeSelector"] = selector
  if resources.spot:
    spec["tolerations"] = [{"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true"}]
  if resources.service_account:
    spec["serviceAccountName"] = resources.service_account
  annotations = {"gke-gcsfuse/volumes": "true"} if resources.bucket else {}
  return {**({"metadata": {"annotations": annotations}} if annotations else {}), "spec": spec}


def _volume(resources: Resources) -> dict[str, Any]:
  if resources.claim:
    return {"persistentVolumeClaim": {"claimName": resources.claim}}
  attributes = {"bucketName": resources.bucket, "mountOptions": "implicit-dirs"}
  return {"csi": {"driver": "gcsfuse.csi.storage.gke.io", "volumeAttributes": attributes}}


def _environment(resources: Resources, name: str) -> list[dict[str, Any]]:
  """By which the pods of one run find each other; TPU pods by what GKE tells them."""
  if resources.hosts * resources.slices == 1:
    return []
  if resources.tpu:
    return [{"name": job_lib.DETECT, "value": "auto"}]
  index = {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
  return [
    {"name": job_lib.ADDRESS, "value": f"{name}-{JOB}-0-0.{name}:{COORDINATOR_PORT}"},
    {"name": job_lib.COUNT, "value": str(resources.nodes)},
    {"name": job_lib.INDEX, "valueFrom": index},
  ]


def _limits(resources: Resources) -> dict[str, str]:
  devices = {}
  if resources.tpu:
    devices["google.com/tpu"] = str(min(resources.chips_per_host, resources.tpu.chips))
  if resources.gpu:
    devices["nvidia.com/gpu"] = str(resources.gpus)
  return {**devices, **resources.limits}


def _selector(resources: Resources) -> dict[str, str]:
  selector = {}
  if resources.tpu:
    selector["cloud.google.com/gke-tpu-accelerator"] = resources.tpu.gke_accelerator
    selector["cloud.google.com/gke-tpu-topology"] = resources.tpu.topology
  if resources.gpu:
    selector["cloud.google.com/gke-accelerator"] = resources.gpu
  if resources.spot:
    selector["cloud.google.com/gke-spot"] = "true"
  return selector
