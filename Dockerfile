# Two images from one file:
#   docker build -t gatehouse .                            what serves: service/ only, no training, no build tools
#   docker build -t gatehouse-training --target training . what trains: the same command, with simulate, train, backtest
# The starter model is made on the way, so a new installation answers before it has seen a label.

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/gatehouse/bin:$PATH
# LightGBM's wheel expects the OpenMP runtime from the system.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

# --- building: an environment without pip in it, filled from outside ---------------------------------------------------
FROM base AS build
WORKDIR /src
COPY requirements/build.txt requirements/serving.txt requirements/
RUN python -m venv --without-pip /opt/gatehouse \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt \
    && /opt/build/bin/pip --python /opt/gatehouse/bin/python install --no-cache-dir \
        --require-hashes --only-binary :all: -r requirements/serving.txt

FROM build AS build-serving
COPY pyproject.toml README.md NOTICE ./
COPY service service
# Entry points lead to training, which is not here: the image must not offer commands that it cannot load.
RUN sed -i '/^\[project\.entry-points\./,/^$/d' pyproject.toml \
    && /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/gatehouse/bin/python install --no-cache-dir --no-index --no-deps /dist/*.whl

FROM build AS build-training
COPY requirements/training.txt requirements/
RUN /opt/build/bin/pip --python /opt/gatehouse/bin/python install --no-cache-dir \
        --require-hashes --only-binary :all: -r requirements/training.txt
COPY pyproject.toml README.md NOTICE ./
COPY service service
COPY training training
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/gatehouse/bin/python install --no-cache-dir --no-index --no-deps /dist/*.whl

# --- what both images run on: a numeric user, one writable directory ---------------------------------------------------
FROM base AS runtime
RUN install -d -o 10001 -g 10001 /var/lib/gatehouse
ENV GATEHOUSE_DATABASE_URL=sqlite:////var/lib/gatehouse/gatehouse.db \
    GATEHOUSE_DATA_DIR=/var/lib/gatehouse \
    GATEHOUSE_STARTER_MODEL=/usr/share/gatehouse/starter
WORKDIR /var/lib/gatehouse
VOLUME ["/var/lib/gatehouse"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["gatehouse"]

# --- the starter model -------------------------------------------------------------------------------------------------
FROM build-training AS starter
# Away from the sources, so that what runs is what was installed.
WORKDIR /build
RUN python -m training.starter --out /usr/share/gatehouse/starter

# --- training ----------------------------------------------------------------------------------------------------------
FROM runtime AS training
LABEL org.opencontainers.image.title="gatehouse-training" \
      org.opencontainers.image.description="Gatehouse with simulation, training and backtests"
COPY --from=build-training /opt/gatehouse /opt/gatehouse
COPY --from=starter /usr/share/gatehouse/starter /usr/share/gatehouse/starter
USER 10001:10001
CMD ["--help"]

# --- serving, the default ----------------------------------------------------------------------------------------------
FROM runtime AS serving
LABEL org.opencontainers.image.title="gatehouse" \
      org.opencontainers.image.description="Scores account signups over gRPC and says why"
COPY --from=build-serving /opt/gatehouse /opt/gatehouse
COPY --from=starter /usr/share/gatehouse/starter /usr/share/gatehouse/starter
USER 10001:10001
# gRPC and Prometheus metrics.
EXPOSE 50051 9464
# The standard health service says NOT_SERVING until a model and the database are there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "service.client.health", "127.0.0.1:50051"]
CMD ["serve", "--listen", "0.0.0.0:50051", "--metrics-listen", "0.0.0.0:9464"]
