"""The manifest against strict schemas: each job as Kubernetes' own batch/v1 Job, the JobSet as its CRD documents it."""

import pytest
import yaml

from launch.k8s import __main__ as k8s
from launch.k8s import jobset

CONFIG = ["--config=configs/mlp/digits.py", "--image=registry/genera:1"]
KINDS = {
  "tpu": ["--tpu=v5e:4x4", "--claim=genera"],
  "slices": ["--tpu=v5p:2x2x2", "--slices=2", "--bucket=genera", "--service-account=trainer", "--spot"],
  "one host": ["--tpu=v5e:2x4", "--chips-per-host=8", "--claim=genera"],
  "gpu": ["--gpu=nvidia-h100-80gb:8", "--nodes=2", "--claim=genera", "--limits=cpu=8,memory=64Gi", "--spot"],
  "cpu": ["--claim=genera"],
}
NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}


def strict(required, **properties):
  return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def listed(items, **more):
  return {"type": "array", "items": items, **more}


STRING, COUNT, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
LABELS = {"type": "object", "additionalProperties": STRING}
_ACTIONS = ["RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts", "RestartJob", "RestartJobAndIgnoreMaxRestarts"]
_REASONS = ["BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy"]
# Of jobset.x-k8s.io/v1alpha2, its Go types' fields and their validations; a job's template has its own schema.
JOBSET = strict(
  ["apiVersion", "kind", "metadata", "spec"],
  apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
  kind={"const": "JobSet"},
  metadata=strict(["name"], name=NAME, namespace=NAME, labels=LABELS, annotations=LABELS),
  spec=strict(
    ["replicatedJobs"],
    replicatedJobs=listed(
      strict(
        ["name", "template"],
        name=NAME,
        groupName=STRING,
        replicas=COUNT,
        template=strict(["spec"], metadata={"type": "object"}, spec={"type": "object"}),
        dependsOn=listed(strict(["name", "status"], name=NAME, status={"enum": ["Ready", "Complete"]}), maxItems=5),
      ),
      minItems=1,
    ),
    network=strict([], enableDNSHostnames=FLAG, subdomain=STRING, publishNotReadyAddresses=FLAG),
    successPolicy=strict(["operator"], operator={"enum": ["All", "Any"]}, targetReplicatedJobs=listed(NAME)),
    failurePolicy=strict(
      [],
      maxRestarts=COUNT,
      restartStrategy={"enum": ["Recreate", "BlockingRecreate", "InPlaceRestart"]},
      rules=listed(
        strict(
          ["name", "action"],
          name={"type": "string", "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
          action={"enum": ["FailJobSet", *_ACTIONS]},
          onJobFailureReasons=listed({"enum": _REASONS}, uniqueItems=True),
          onJobFailureMessagePatterns=listed(STRING, uniqueItems=True),
          targetReplicatedJobs=listed(NAME),
        )
      ),
    ),
    startupPolicy=strict(["startupPolicyOrder"], startupPolicyOrder={"enum": ["AnyOrder", "InOrder"]}),
    suspend=FLAG,
    coordinator=strict(["replicatedJob"], replicatedJob=NAME, jobIndex=COUNT, podIndex=COUNT),
    managedBy=STRING,
    ttlSecondsAfterFinished=COUNT,
  ),
)


def rendered(capsys, *flags) -> list[dict]:
  assert k8s.main([*CONFIG, "--dry-run", *flags]) == 0
  return list(yaml.safe_load_all(capsys.readouterr().out))


def pod(manifest) -> dict:
  (job,) = manifest["spec"]["replicatedJobs"]
  return job["template"]["spec"]["template"]["spec"]


def as_job(replicated) -> dict:
  return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, **replicated["template"]}


@pytest.mark.parametrize("kind", KINDS)
def test_manifest_keeps_the_schemas(kind, capsys):
  jsonschema = pytest.importorskip("jsonschema", reason="needs kubernetes-validate, of the extra `test`")
  validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate, of the extra `test`")
  (manifest,) = rendered(capsys, *KINDS[kind])
  jsonschema.validate(manifest, JOBSET)
  for replicated in manifest["spec"]["replicatedJobs"]:
    validate.validate(as_job(replicated), validate.latest_version(), strict=True)


def test_schemas_catch_a_misspelling(capsys):
  jsonschema = pytest.importorskip("jsonschema", reason="needs kubernetes-validate, of the extra `test`")
  validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate, of the extra `test`")
  (manifest,) = rendered(capsys, *KINDS["tpu"])
  pod(manifest)["terminationGracePeriodSecond"] = 1
  with pytest.raises(validate.ValidationError):
    validate.validate(as_job(manifest["spec"]["replicatedJobs"][0]), validate.latest_version(), strict=True)
  manifest["spec"]["failurePolicy"]["maxRestart"] = 1
  with pytest.raises(jsonschema.ValidationError):
    jsonschema.validate(manifest, JOBSET)


def test_a_tpu_slice_has_a_pod_for_every_machine(capsys):
  (manifest,) = rendered(capsys, *KINDS["slices"])
  (replicated,) = manifest["spec"]["replicatedJobs"]
  job, spec = replicated["template"]["spec"], pod(manifest)
  assert (replicated["replicas"], job["completions"], job["parallelism"]) == (2, 2, 2)
  assert spec["containers"][0]["resources"]["limits"] == {"google.com/tpu": "4"}
  assert spec["nodeSelector"]["cloud.google.com/gke-tpu-topology"] == "2x2x2"
  assert spec["nodeSelector"]["cloud.google.com/gke-tpu-accelerator"] == "tpu-v5p-slice"
  assert "exclusive-topology" in str(manifest["metadata"]["annotations"])
  assert spec["volumes"][0]["csi"]["volumeAttributes"]["bucketName"] == "genera"
  assert job["template"]["metadata"]["annotations"] == {"gke-gcsfuse/volumes": "true"}
  assert spec["containers"][0]["env"] == [{"name": "GENERA_DISTRIBUTED", "value": "auto"}]


def test_gpu_pods_are_told_where_the_first_is(capsys):
  (manifest,) = rendered(capsys, *KINDS["gpu"], "--name=mine")
  env = {entry["name"]: entry.get("value") for entry in pod(manifest)["containers"][0]["env"]}
  assert env["JAX_COORDINATOR_ADDRESS"].startswith("mine-workers-0-0.mine:")
  assert env["JAX_NUM_PROCESSES"] == "2"
  assert "JAX_PROCESS_ID" in env
  assert pod(manifest)["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"


def test_one_machine_is_one_process(capsys):
  for kind in ("one host", "cpu"):
    (manifest,) = rendered(capsys, *KINDS[kind])
    assert manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["completions"] == 1
    assert "env" not in pod(manifest)["containers"][0]


def test_what_would_fail_again_is_not_restarted(capsys):
  (manifest,) = rendered(capsys, *KINDS["cpu"])
  (rule,) = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["podFailurePolicy"]["rules"]
  assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2, 3])
  assert rule["onExitCodes"]["containerName"] == pod(manifest)["containers"][0]["name"]
  (rule,) = manifest["spec"]["failurePolicy"]["rules"]
  assert (rule["action"], rule["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])


def test_the_run_is_in_the_volume_under_the_same_path_after_a_restart(capsys):
  manifests = rendered(capsys, *KINDS["cpu"], "--seeds=0-1", "--config.train.batch_size=64")
  assert [manifest["metadata"]["name"] for manifest in manifests] == ["mlp-digits-0", "mlp-digits-1"]
  for seed, manifest in enumerate(manifests):
    (container,) = pod(manifest)["containers"]
    assert f"--workdir=/workdir/mlp/digits,batch_size=64/seed{seed}" in container["args"]
    assert container["volumeMounts"] == [{"name": "workdir", "mountPath": jobset.MOUNT}]


@pytest.mark.parametrize(
  ("flags", "said"),
  [
    (["--tpu=v5e:4x4"], "--claim"),
    (["--claim=a", "--bucket=b"], "--claim"),
    (["--claim=a", "--workdir=/tmp/run"], "/workdir"),
    (["--claim=a", "--workdir=/workdirs/run"], "/workdir"),
    (["--claim=a", "--name=Mine"], "small letters"),
    (["--claim=a", "--gpu=h100"], "nvidia-h100-80gb:8"),
    (["--claim=a", "--tpu=v5e:4x4", "--chips-per-host=3"], "divide"),
    (["--claim=a", "--tpu=v5e:4x4", "--gpu=a:8"], "TPUs or on GPUs"),
    (["--claim=a", "--slices=2"], "--nodes"),
    (["--claim=a", "--limits=memory"], "memory=64Gi"),
    (["--claim=a", "--config.train.bach_size=3"], "batch_size"),
  ],
)
def test_bad_input(flags, said, capsys):
  assert k8s.main([*CONFIG, "--dry-run", *flags]) == 2
  assert said in capsys.readouterr().err


def test_submits_by_kubectl(tmp_path, monkeypatch, capsys):
  kubectl = tmp_path / "kubectl"
  kubectl.write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/words; cat > {tmp_path}/manifest\n')
  kubectl.chmod(0o755)
  monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
  assert k8s.main([*CONFIG, *KINDS["gpu"]]) == 0
  assert (tmp_path / "words").read_text().split() == ["apply", "-f", "-"]
  (manifest,) = rendered(capsys, *KINDS["gpu"])
  assert yaml.safe_load((tmp_path / "manifest").read_text()) == manifest
  monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
  assert k8s.main([*CONFIG, *KINDS["gpu"]]) == 2
  assert "--dry-run" in capsys.readouterr().err
