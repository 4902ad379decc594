# Training on CPUs, and what needs no accelerator: preflight for fake devices, tables, the listing.
#   docker build -f launch/docker/cpu.Dockerfile --build-arg COMMIT=$(git rev-parse --short=10 HEAD) -t genera:cpu .
FROM python:3.12-slim

# Process 1 of a container gets no signal that it has not asked for: tini is it, and passes SIGTERM on.
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/*

WORKDIR /genera
COPY . .
RUN sh launch/constraints.sh > /tmp/constraints.txt \
  && pip install --no-cache-dir --constraint /tmp/constraints.txt -e .

# There is no git in here to tell run.json what runs.
ARG COMMIT=
ENV GENERA_COMMIT=$COMMIT
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "experiments"]
