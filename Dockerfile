# The gateway and nothing else: Node, the libraries that it is linked with, and what it runs. No shell, no package manager.
# For amd64 and arm64. docs/OPERATIONS.md, By Compose, has how to run it.

FROM node:22.23.3-bookworm-slim AS build
SHELL ["/bin/bash", "-euxo", "pipefail", "-c"]
WORKDIR /build

COPY package.json package-lock.json .npmrc ./
# No script of a package is run: what builds this needs none, and the Node that one of them would fetch is here already.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build; npm prune --omit=dev --ignore-scripts --no-audit --no-fund

# uWebSockets.js comes with a binary for every platform: the one for this stays.
RUN uws=$(node -p '`uws_${process.platform}_${process.arch}_${process.versions.modules}.node`'); \
  cd node_modules/uWebSockets.js/dist/bin; \
  test -f "$uws"; \
  find . -type f ! -name "$uws" -delete; \
  mkdir -p /image/usr/local/bin; \
  cp /usr/local/bin/node /image/usr/local/bin/; \
  ldd /usr/local/bin/node "$uws" | grep -o '/lib[^ ]*\.so[^ ]*' | sort -u | xargs cp -L --parents -t /image

RUN mkdir -p /image/app/docs /image/etc /empty; \
  cp -r dist node_modules package.json LICENSE /image/app/; \
  cp docs/openapi.json /image/app/docs/; \
  echo 'tidegate:x:65532:65532::/:/sbin/nologin' > /image/etc/passwd; \
  echo 'tidegate:x:65532:' > /image/etc/group; \
  echo 'hosts: files dns' > /image/etc/nsswitch.conf; \
  install -d -m 1777 /image/tmp; \
  TIDEGATE_WS_ENGINE=uws TIDEGATE_DATA_DIR=/tmp/data chroot /image /usr/local/bin/node /app/dist/main.js check; \
  rm -rf /image/tmp/data

FROM scratch
COPY --from=build /image /
# Of the embedded log, where one process has it: ./data is where it is by default.
COPY --from=build --chown=65532:65532 /empty /data
VOLUME /data
WORKDIR /
USER 65532:65532
ENV NODE_ENV=production PATH=/usr/local/bin
EXPOSE 8080 7000 9100
# That the loop turns; who acts on this starts the process again. Whether it should get clients, balancers ask themselves.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.TIDEGATE_INTERNAL_PORT || 9100}/health/live`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/main.js"]
