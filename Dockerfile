# The image of a node. It holds what runs and nothing else: Node.js with the libraries it is linked with, and the release
# build; no shell, no package manager, no node_modules.
#
#   docker build -t container-manager .
#   docker run --init -v /var/run/docker.sock:/var/run/docker.sock -v container-manager:/data container-manager
#
# --init: children that a pull's credential helper leaves behind are reaped, and signals reach the node.

FROM node:24-bookworm-slim AS build
# What the classic builder leaves of this stage goes with: docker image prune --filter label=container-manager.stage=build
LABEL container-manager.stage=build
WORKDIR /src
# Before the source, so that a change of the source installs nothing anew. Of what only the development needs, the build
# takes esbuild, in the version of the lock file; no package's own script is run.
COPY package.json package-lock.json ./
RUN flags='--omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error' \
 && npm ci $flags \
 && version=$(node -p 'require("./package-lock.json").packages["node_modules/esbuild"].version') \
 && npm install --no-save --save-prod $flags "esbuild@$version"
COPY cmd cmd
COPY src src
RUN node cmd/build.ts /image/app

# Node.js and what the loader says it needs, at the same paths.
RUN for file in "$(command -v node)" $(LD_TRACE_LOADED_OBJECTS=1 node | grep -o '/[^ ]*'); do \
      mkdir -p "/image$(dirname "$file")" && cp -L "$file" "/image$file" || exit 1; \
    done
COPY LICENSE cmd/image/entry.mjs cmd/image/health.mjs /image/app/
# The program under its name, for `docker exec NODE container-manager ps`.
RUN chmod 755 /image/app/*.mjs \
 && mkdir -p /image/etc /image/tmp /image/usr/local/bin \
 && chmod 1777 /image/tmp \
 && ln -s /app/entry.mjs /image/usr/local/bin/container-manager \
 && echo 'root:x:0:0:root:/data:/sbin/nologin' > /image/etc/passwd \
 && echo 'node:x:1000:1000:node:/data:/sbin/nologin' >> /image/etc/passwd \
 && printf 'root:x:0:\nnode:x:1000:\n' > /image/etc/group
# Volumes that are mounted here take over owner and mode, when they are new.
RUN mkdir -p /state/data /state/cluster && chmod 700 /state/data /state/cluster

FROM scratch
COPY --from=build /image /
COPY --from=build --chown=1000:1000 /state /
# Compiled code is kept in the home directory: a node that starts again starts faster.
ENV PATH=/usr/local/bin HOME=/data NODE_ENV=production CONTAINER_MANAGER_DATA_DIR=/data
WORKDIR /data
VOLUME /data
EXPOSE 8080 4001
ARG REVISION=unknown
LABEL org.opencontainers.image.title="container-manager" \
      org.opencontainers.image.description="A peer-to-peer container manager: curl in, a container out, exactly once." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/app/health.mjs"]
# Begins as root only to find out which group the Docker socket belongs to, and goes on as a user of that group.
ENTRYPOINT ["/app/entry.mjs"]
