//! The integration tests, one binary: the real host on port 0, a clock that is moved, a mailbox as the relay.

#![expect(clippy::unwrap_used, unreachable_pub, reason = "a panic is how a test fails, and nobody imports tests")]

mod app;
mod by_hand;
mod cluster;
mod crash;
mod database;
mod defects;
mod delivery;
mod demo;
mod doors;
mod gate;
mod grpc;
mod misbehaviour;
mod operators;
mod place;
mod relay;
mod rest;
mod sessions;
mod settings;
mod shop;
mod snapshots;
mod stages;
mod store;
mod throttling;
mod tidy;
mod tls;
