"""What a launcher and the processes that it starts agree on; imports nothing, so that a launcher is light."""

EXIT_PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: a temporary failure, to be retried

# The environment of a process that is one of several: host:port of process 0, how many there are, which one it is.
ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
DETECT = "GENERA_DISTRIBUTED"  # "auto": let JAX find out from the cluster (TPU pods, Slurm, Kubernetes, MPI)
# Seconds after which JAX takes a silent process for dead, and ends all.  A launcher that sees its processes die asks
# for many: on a machine that was suspended, or is overloaded, none of them is dead.
HEARTBEAT = "GENERA_HEARTBEAT_SECONDS"
