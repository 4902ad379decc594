# Training on NVIDIA GPUs. The CUDA libraries come with jax's wheels; the host has the driver and the container toolkit.
#   docker build -f launch/docker/cuda.Dockerfile --build-arg COMMIT=$(git rev-parse --short=10 HEAD) -t genera:cuda .
FROM python:3.12-slim

# Process 1 of a container gets no signal that it has not asked for: tini is it, and passes SIGTERM on.
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/*

WORKDIR /genera
COPY . .
RUN sh launch/constraints.sh > /tmp/constraints.txt \
  && pip install --no-cache-dir --constraint /tmp/constraints.txt -e '.[cuda13]'

# What the container toolkit lets in; Kubernetes on GKE does so by itself.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

# There is no git in here to tell run.json what runs.
ARG COMMIT=
ENV GENERA_COMMIT=$COMMIT
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "experiments"]
