# syntax=docker/dockerfile:1
# Built where the compiler is, run where it is not: the second stage holds the binary, certificates, and nothing else.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ make cmake libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates/sandbox/Cargo.toml crates/sandbox/
# The dependencies have a layer of their own: they change far more rarely than the sources.
RUN mkdir -p src crates/sandbox/src crates/sandbox/tests/it tests/it benches \
    && echo 'fn main() {}' | tee src/main.rs benches/speed.rs benches/rollout.rs > tests/it/main.rs \
    && touch src/lib.rs crates/sandbox/src/lib.rs crates/sandbox/tests/it/main.rs \
    && cargo build --profile dist --locked && rm -r src crates/sandbox/src
COPY . .
RUN touch src/main.rs src/lib.rs crates/sandbox/src/lib.rs && cargo build --profile dist --locked

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /work trimtab \
    && install -d -o trimtab /work
COPY --from=build /src/target/dist/trimtab /usr/local/bin/trimtab
USER trimtab
WORKDIR /work
ENTRYPOINT ["trimtab"]
