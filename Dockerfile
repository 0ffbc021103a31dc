# Two stages: the first compiles, the second holds the program and what it loads. The names of the
# packages are those of packages.txt, installed by the same command as on a developer's machine.
FROM debian:12-slim AS build
WORKDIR /src
COPY dev packages.txt ./
RUN ./dev deps build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN ./dev build release headgate && strip --strip-debug -o /headgate build/release/headgate

FROM debian:12-slim
WORKDIR /tmp/headgate
COPY dev packages.txt ./
RUN ./dev deps runtime \
    && rm -rf /var/lib/apt/lists/* /tmp/headgate \
    && groupadd --gid 10001 headgate \
    && useradd --uid 10001 --gid headgate --no-create-home --home-dir / \
       --shell /usr/sbin/nologin headgate \
    && install -d /etc/headgate
WORKDIR /
COPY --from=build /headgate /usr/bin/headgate
COPY LICENSE /usr/share/doc/headgate/copyright
COPY admin/page/uplot/LICENSE /usr/share/doc/headgate/copyright.uplot
USER 10001
EXPOSE 6432
# Asks /healthz, or the port for clients if there is no HEADGATE_HTTP_PORT.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/bin/headgate", "--health"]
# Without an argument the environment says everything; an argument names a configuration file.
ENTRYPOINT ["/usr/bin/headgate"]
