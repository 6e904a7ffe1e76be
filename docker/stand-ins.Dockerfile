# Servers from Debian's own packages, for machines that reach no image registry: `docker build --target rabbitmq …`.
# The tests use them where the public images (redis, rabbitmq, prom/prometheus) are not to be had; nobody else needs this.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS redis
RUN command -v redis-server >/dev/null \
 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*; }
# As the public image has it: the data in a folder of the user who runs the server.
RUN install -d -o redis -g redis /data
USER redis
WORKDIR /data
CMD ["redis-server", "--protected-mode", "no"]

FROM ${BASE_IMAGE} AS rabbitmq
# No service manager runs here, so the package must not try to start its server.
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rabbitmq-server \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/man
# The public image lets the first user in from outside, too.
RUN printf 'loopback_users = none\nlisteners.tcp.default = 5672\nlog.console = true\nlog.file = false\n' \
    >/etc/rabbitmq/rabbitmq.conf
USER rabbitmq
ENV HOME=/var/lib/rabbitmq
CMD ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

FROM ${BASE_IMAGE} AS prometheus
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/man
RUN ln -s /usr/bin/prometheus /bin/prometheus 2>/dev/null || true; install -d -o nobody -g nogroup /prometheus
USER nobody
ENTRYPOINT ["/usr/bin/prometheus"]
