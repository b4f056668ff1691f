# Every part of Toroid that is ours, in one image: `toroid coordinator` unless another command is given. See "With Docker
# Compose" in MANUAL.md, and docker-compose.yml beside this file.

# Node 26 on Debian 12. Any image with `node`, `npm` and `apt-get` will do.
ARG NODE_IMAGE=node:26.10.0-bookworm-slim

# The sandbox helper: a static program that needs nothing of the image it runs in.
FROM ${NODE_IMAGE} AS sandbox
RUN apt-get update \
  && apt-get install -y --no-install-recommends gcc libc6-dev make \
  && rm -rf /var/lib/apt/lists/*
COPY sandbox /src
RUN make -s -j "$(nproc)" -C /src

# TypeScript runs as it is, so packages are all there is to install; the lock file says which.
FROM ${NODE_IMAGE} AS packages
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error

# The page is the one thing that is built, with packages that are not needed later.
FROM ${NODE_IMAGE} AS page
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json ./
COPY protocol protocol
COPY web web
RUN node node_modules/vite/bin/vite.js build web --logLevel error

# What builds run in that name no image: the root of this stage, less what the engine lays over it. As an archive,
# because an executor can map owners only on the file system of its volume, which a container's own root is not.
FROM ${NODE_IMAGE} AS workspace
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates curl git make \
  && apt-get clean && rm -rf /var/lib/apt/lists/* \
  && tar -C / --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* --exclude=./tmp/* --exclude=./etc/resolv.conf \
    --exclude=./etc/hosts --exclude=./etc/hostname --exclude=./.dockerenv -cf - . | gzip -1 > /tmp/default.tar.gz

FROM ${NODE_IMAGE}
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates git iproute2 nftables openssh-client \
  && apt-get clean && rm -rf /var/lib/apt/lists/* \
  && useradd --system --uid 650 --user-group --home-dir /var/lib/toroid --no-create-home toroid \
  && install -d -m 755 /var/lib/toroid \
  && install -d -o toroid -g toroid -m 755 /var/lib/toroid/artifacts /srv/git \
  && install -d -m 711 /var/lib/toroid/executor \
  && ln -s /opt/toroid/bin/toroid.ts /usr/local/bin/toroid
WORKDIR /opt/toroid
COPY --from=workspace /tmp/default.tar.gz /opt/toroid-images/default.tar.gz
COPY --from=sandbox /src/build/toroid-sandbox sandbox/build/toroid-sandbox
COPY --from=packages /src/node_modules node_modules
COPY --from=page /src/web/dist web/dist
COPY LICENSE MANUAL.md package.json ./
COPY bin bin
COPY coordinator coordinator
COPY docker docker
COPY executor executor
COPY kit kit
COPY protocol protocol
ENV NODE_ENV=production
USER toroid
EXPOSE 7433
# A coordinator's. An executor's is in docker-compose.yml.
HEALTHCHECK --interval=5s --timeout=10s --start-period=120s --retries=6 \
  CMD ["node", "/opt/toroid/docker/ready.ts"]
ENTRYPOINT ["toroid"]
CMD ["coordinator"]
