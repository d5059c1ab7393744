# The agent in a container, with exactly the packages of constraints.txt.
#
#   docker build -t tuneward .
#
# This takes torch with CUDA, which also runs on a CPU. For a smaller image without CUDA, give pip the index
# of CPU builds that PyTorch's installation page names, through --build-arg PIP_ARGS="...".
FROM python:3.11-slim

ARG PIP_ARGS=""
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    TUNEWARD_HOME=/state \
    HF_HOME=/state/hub \
    XDG_CACHE_HOME=/tmp/cache

# The packages first: they change less often than the code, so their layer is kept.
WORKDIR /opt/tuneward
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY tuneward ./tuneward
COPY agent ./agent
COPY tools ./tools
COPY memory ./memory
COPY models ./models
COPY prompts ./prompts
RUN pip install --constraint constraints.txt ${PIP_ARGS} ".[remote]"

# Not root, and the volumes belong to the user that runs.
RUN useradd --create-home --uid 1000 tuneward \
    && mkdir -p /state /workspace \
    && chown tuneward:tuneward /state /workspace
USER tuneward
WORKDIR /workspace
VOLUME ["/state", "/workspace"]

ENTRYPOINT ["tuneward"]
