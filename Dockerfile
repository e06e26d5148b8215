# `postwire serve` as a container, built from source. Nothing runs as root.
#
#   docker build --tag postwire .
#   docker run --rm --publish 2525:2525 --publish 127.0.0.1:8025:8025 --volume mail:/mail postwire
#
# Other commands and options follow the name of the image:
#
#   docker run --rm postwire probe mail.example.org

FROM rust:1-slim-bookworm AS build
WORKDIR /source
COPY . .
# The file names components that only the checks need.
RUN rm rust-toolchain.toml && cargo build --locked --release --package postwire \
    && strip target/release/postwire

FROM debian:bookworm-slim
# The authorities that `send` and `probe` trust.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin postwire \
    && install --directory --owner postwire --group postwire --mode 0700 /mail
COPY --from=build /source/target/release/postwire /usr/local/bin/postwire
USER postwire
VOLUME /mail
EXPOSE 2525 8025
STOPSIGNAL SIGINT
ENTRYPOINT ["postwire"]
CMD ["serve", "--listen", "0.0.0.0:2525", "--web", "0.0.0.0:8025", "--maildir", "/mail"]
